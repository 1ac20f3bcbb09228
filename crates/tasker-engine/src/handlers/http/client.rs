//! The connections that all `http` steps of a worker share.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, Url, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::sync::OnceCell;

use crate::handler::StepError;

/// A host that does not even accept a connection is not waited for as long as an answer is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One client for `http` and one for `https`, each built when the first step needs it: the second
/// cannot exist on a machine without certificates of authorities, and the first must.
#[derive(Default)]
pub(crate) struct Clients {
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
}

impl Clients {
    /// The client for the URL's scheme.
    pub(super) async fn of(&self, url: &Url) -> Result<Client, StepError> {
        let client = match url.scheme() {
            "https" => self.secure.get_or_try_init(|| blocking(secure)).await,
            _ => self.plain.get_or_try_init(|| blocking(plain)).await,
        };
        client.cloned().map_err(|e| {
            let reason = super::answer::root_cause(&e);
            let message = format!("{} cannot be reached by this worker: {reason}", url.scheme());
            StepError::retryable(message).with_code("HTTP_TLS")
        })
    }
}

/// Building a client may read every certificate of the machine from its disk.
async fn blocking(
    build: fn() -> Result<Client, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<Client, std::io::Error> {
    let built = tokio::task::spawn_blocking(build).await.map_err(std::io::Error::other)?;
    built.map_err(std::io::Error::other)
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("tasker/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
}

/// Trusts nobody, so that no certificates are looked for.
fn plain() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Ok(builder().tls_backend_preconfigured(tls).build()?)
}

/// Trusts whom the platform trusts.
fn secure() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    // An error says that the program has chosen a provider already, which is then the one to use.
    let _ = ring::default_provider().install_default();
    Ok(builder().build()?)
}
