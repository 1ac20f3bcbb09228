//! Fetches from the URLs of a configuration, and from those that a provider names in turn, without being led to
//! hosts inside the network: names are resolved, addresses are checked, and only checked addresses are connected
//! to. Redirects are not followed and proxies not used.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client, ClientBuilder, RequestBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::{Deserialize, Serialize};

use crate::Problem;

/// Larger answers are not read.
const LARGEST: usize = 512 * 1024;

/// How an issuer is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchConfig {
    /// Hosts that may have a private, loopback or link-local address, and may be asked without TLS: names or
    /// addresses, without port. Empty in production, unless the issuer is inside the network.
    pub allow_hosts: BTreeSet<String>,
    /// How long one answer is waited for, 1 to 60.
    pub timeout_seconds: u32,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { allow_hosts: BTreeSet::new(), timeout_seconds: 5 }
    }
}

impl FetchConfig {
    /// Every mistake, with its key.
    pub fn problems(&self) -> Vec<Problem> {
        if (1..=60).contains(&self.timeout_seconds) {
            return vec![];
        }
        vec![Problem::new("fetch.timeout_seconds", "must be 1 to 60")]
    }
}

/// Fetches, with one pool of connections.
#[derive(Clone)]
pub(crate) struct Fetcher {
    client: Client,
    allowed: Arc<BTreeSet<String>>,
}

impl Fetcher {
    pub(crate) fn new(config: &FetchConfig) -> Result<Self, String> {
        let allowed = Arc::new(config.allow_hosts.clone());
        let builder = Client::builder()
            .user_agent(concat!("tasker-auth/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(u64::from(config.timeout_seconds)))
            .dns_resolver(Arc::new(CheckedNames(Arc::clone(&allowed))));
        let client = with_tls(builder).map_err(|e| format!("no client for HTTPS can be made: {e}"))?;
        Ok(Self { client, allowed })
    }

    /// The URL, or the rest of a sentence that says why nothing is fetched from it.
    pub(crate) fn check(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|e| format!("is no URL: {e}"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_allowed = self.allowed.contains(&host);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_allowed) {
            return Err("must begin with https://, unless its host is one of `fetch.allow_hosts`".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry a user or a password".into());
        }
        match host.parse::<IpAddr>() {
            Ok(address) if !is_public(address) && !is_allowed => Err(refused(&host)),
            _ => Ok(url),
        }
    }

    /// The text at the URL.
    pub(crate) async fn get(&self, url: &str) -> Result<String, String> {
        read(self.client.get(self.check(url)?)).await
    }

    /// The answer to a form.
    #[cfg(feature = "oidc")]
    pub(crate) async fn post(
        &self,
        url: &str,
        form: String,
        basic: Option<(&str, &str)>,
    ) -> Result<String, String> {
        let request = self.client.post(self.check(url)?).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        read(match basic {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        })
        .await
    }
}

async fn read(request: RequestBuilder) -> Result<String, String> {
    let said = |e: reqwest::Error| root_cause(&e.without_url());
    let mut answer = request.header("accept", "application/json").send().await.map_err(said)?;
    if answer.status() != 200 {
        return Err(format!("answered {}", answer.status().as_u16()));
    }
    let mut body = vec![];
    while let Some(chunk) = answer.chunk().await.map_err(said)? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(format!("answered with more than {LARGEST} bytes"));
        }
    }
    String::from_utf8(body).map_err(|_| "answered with something else than text".into())
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn refused(host: &str) -> String {
    format!("{host} is an address inside the network; name the host in `fetch.allow_hosts` if that is meant")
}

/// With whom the platform trusts; without certificates of authorities, with nobody, which still serves the hosts
/// that are asked without TLS.
fn with_tls(builder: ClientBuilder) -> Result<Client, Box<dyn std::error::Error>> {
    // An error says that the program has chosen a provider already, which is then the one to use.
    let _ = ring::default_provider().install_default();
    let nobody = || -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    };
    if Client::builder().build().is_ok() {
        return Ok(builder.build()?);
    }
    Ok(builder.tls_backend_preconfigured(nobody()?).build()?)
}

/// Resolves names and keeps to the addresses that may be asked.
struct CheckedNames(Arc<BTreeSet<String>>);

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let is_allowed = allowed.contains(&host);
            let all = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let checked: Vec<SocketAddr> = all.filter(|a| is_allowed || is_public(a.ip())).collect();
            if checked.is_empty() {
                return Err(refused(&host).into());
            }
            Ok(Box::new(checked.into_iter()) as Addrs)
        })
    }
}

/// Whether the address is one of the public Internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(a: Ipv4Addr) -> bool {
    let [first, second, third, _] = a.octets();
    let is_special = match (first, second, third) {
        (0 | 10 | 127, ..) => true,
        // Carriers' own, benchmarks, protocol assignments, documentation.
        (100, 64..=127, _) | (198, 18 | 19, _) | (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) => true,
        // Relays from IPv6.
        (192, 88, 99) => true,
        _ => first >= 224,
    };
    !is_special && !a.is_private() && !a.is_link_local()
}

fn is_public_v6(a: Ipv6Addr) -> bool {
    let s = a.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        // Mapped, and translated by NAT64: what counts is the address within.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(v4(high, low))
        }
        // 6to4 carries one too; Teredo, documentation, the rest of 2001:0000::/23.
        [0x2002, ..] | [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false,
        [0x3fff, 0..=0xfff, ..] => false,
        // Only this block is given to the Internet: neither loopback nor local nor multicast is in it.
        _ => s[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_a_network_are_not_public() {
        for text in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in
            ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
