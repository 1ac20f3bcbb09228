//! Where a database is: libpq's URI, read strictly so that no mistake makes libpq quote a password, and shown
//! without anything that may be secret.

use std::{fmt, fs, path::PathBuf, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};

/// A URI of libpq, `postgres://user:password@host:port,host:port/database?parameter=value`.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: Arc<str>,
    shown: Arc<str>,
}

/// What is wrong with a URL, the rest of a sentence; it quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(&'static str);

/// Parameters that tell nothing secret.
const SHOWN: [&str; 8] =
    ["host", "hostaddr", "port", "dbname", "user", "target_session_attrs", "sslmode", "application_name"];

impl DatabaseUrl {
    /// The URL with all that it holds. Whoever asks for it answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether it names several hosts.
    pub fn has_several_hosts(&self) -> bool {
        let rest = split(&self.text).map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        let several = |list: &str| list.contains(',') || list.contains("%2C") || list.contains("%2c");
        several(hosts)
            || parameters(&self.text).any(|(name, value)| name.starts_with("host") && several(value))
    }

    /// A text of libpq's or of a server, without any password of this URL.
    #[cfg(feature = "pools")]
    pub(crate) fn without_password(&self, text: &str) -> String {
        let rest = split(&self.text).map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        let named =
            parameters(&self.text).filter(|(name, _)| name.contains("password")).map(|(_, value)| value);
        let secrets = user.split_once(':').map(|(_, password)| password).into_iter().chain(named);
        let both = secrets.flat_map(|secret| [secret.to_owned(), decoded(secret)]);
        both.filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, s| text.replace(&s, "[redacted]"))
    }

    /// Whether it says something for the parameter.
    pub fn has(&self, parameter: &str) -> bool {
        parameters(&self.text).any(|(name, _)| name == parameter)
    }

    /// The same with the parameter, unless it has it already. The value must need no encoding.
    #[must_use]
    pub fn or(self, parameter: &str, value: impl fmt::Display) -> Self {
        if self.has(parameter) {
            return self;
        }
        let joint = if self.text.contains('?') { '&' } else { '?' };
        let text = format!("{}{joint}{parameter}={value}", self.text).into();
        Self { text, shown: self.shown }
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once("://").filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme))
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = text.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split_once('='))
}

#[cfg(feature = "pools")]
fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let code = piece.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.extend(code);
        bytes.extend_from_slice(piece.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether every `%` begins two hexadecimal digits that are not a zero, and nothing stands there that has to be
/// encoded.
fn is_encoded(text: &str) -> bool {
    let escapes = text.split('%').skip(1);
    let is_escape = |rest: &str| {
        rest.get(..2).is_some_and(|hex| hex != "00" && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    escapes.into_iter().all(is_escape) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// A host, `host:port` or `[address]:port`.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("-"))),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok_and(|p| p > 0));
    port && !host.contains(['[', ']', '@'])
}

impl FromStr for DatabaseUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = split(text).ok_or(BadUrl("must begin with postgres:// or postgresql://"))?;
        if !is_encoded(rest) {
            return Err(BadUrl(
                "has a space, a control character or a `%` that is none; write them as %20, %0A, %25 and so on",
            ));
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = before.split_once('/').unwrap_or((before, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let too_many = [user.matches(':').count() > 1, user.contains('@'), database.contains(['/', '@'])];
        if too_many.contains(&true) || !hosts.split(',').all(is_host) {
            return Err(BadUrl(
                "is not postgres://user:password@host:port/database; within a part write `/` as %2F, `:` as %3A, `@` as %40, `?` as %3F",
            ));
        }
        let is_pair =
            |pair: &str| pair.split_once('=').is_some_and(|(n, v)| !n.is_empty() && !v.contains('='));
        if !query.is_empty() && !query.split('&').all(is_pair) {
            return Err(BadUrl("has parameters that are not name=value with `&` between them"));
        }
        let name = user.split_once(':').map_or(user, |(name, _)| name);
        let at = if name.is_empty() { "" } else { "@" };
        let shown = parameters(text).filter(|(name, _)| SHOWN.contains(name));
        let shown: Vec<String> = shown.map(|(name, value)| format!("{name}={value}")).collect();
        let query = if shown.is_empty() { String::new() } else { format!("?{}", shown.join("&")) };
        let shown = format!("{scheme}://{name}{at}{hosts}/{database}{query}").into();
        Ok(Self { text: text.into(), shown })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Where a configuration has a URL from. It is written without its password, by `Debug` and serde alike.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a URL, or a section with `file` and a path to one")]
#[non_exhaustive]
pub enum UrlSource {
    /// The URL itself, put there by whoever read the environment.
    Text(UrlText),
    /// A file whose text is the URL, without the white space at its end.
    File {
        /// Its path.
        file: PathBuf,
    },
}

/// A text that should be a URL and may hold a password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct UrlText(String);

impl UrlSource {
    /// The URL itself.
    pub fn text(url: impl Into<String>) -> Self {
        Self::Text(UrlText(url.into()))
    }

    /// The URL, or the rest of a sentence that says why there is none. It quotes nothing of the URL.
    pub fn read(&self) -> Result<DatabaseUrl, String> {
        match self {
            Self::Text(UrlText(text)) => text.parse().map_err(|e: BadUrl| e.to_string()),
            Self::File { file } => {
                let text = fs::read_to_string(file)
                    .map_err(|e| format!("names the file {}, which cannot be read: {e}", file.display()))?;
                let of_file = |e: BadUrl| format!("is read from {}: its text {e}", file.display());
                text.trim_end().parse().map_err(of_file)
            }
        }
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.parse::<DatabaseUrl>() {
            Ok(url) => write!(f, "{url}"),
            Err(_) => f.write_str("[redacted]"),
        }
    }
}

impl fmt::Debug for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::File { file } => write!(f, "file {}", file.display()),
        }
    }
}

impl Serialize for UrlSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(&format!("{text:?}")),
            Self::File { file } => serializer.collect_map([("file", file)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 6] = [
        ("postgres://ann:s3cret@db/app", "postgres://ann@db/app"),
        ("postgresql://db", "postgresql://db/"),
        (
            "postgres://a:s3cret@one:5432,two:5433/app?target_session_attrs=read-write&password=s3cret",
            "postgres://a@one:5432,two:5433/app?target_session_attrs=read-write",
        ),
        ("postgres://a@/app?host=%2Fvar%2Frun&port=5432", "postgres://a@/app?host=%2Fvar%2Frun&port=5432"),
        ("postgres://a:s3%40cret@[::1]:5432/app?sslpassword=s3cret", "postgres://a@[::1]:5432/app"),
        ("postgres://a:@db/app?options=-c%20x%3Ds3cret", "postgres://a@db/app"),
    ];

    const BAD: [&str; 14] = [
        "",
        "s3cret",
        "mysql://a:s3cret@db/app",
        "host=db password=s3cret",
        "postgres://a:s3cret/x@db/app",
        "postgres://a:s3@cret@db/app",
        "postgres://a:s3:cret@db/app",
        "postgres://a:s3 cret@db/app",
        "postgres://a:s3%cret@db/app",
        "postgres://a:s3%00cret@db/app",
        "postgres://a:b@db:s3cret/app",
        "postgres://a:b@db/app/s3cret",
        "postgres://a:b@db/app?s3cret",
        "postgres://a:b@db/app?password=s3=cret",
    ];

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (text, shown) in GOOD {
            let url: DatabaseUrl = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(format!("{url} {url:?}"), format!("{shown} {shown}"));
            assert_eq!(url.expose(), text);
            let source = UrlSource::text(text);
            assert_eq!(format!("{source:?}"), shown);
            assert_eq!(serde_json::to_value(&source).unwrap(), serde_json::json!(shown));
        }
    }

    #[test]
    fn a_bad_url_is_refused_and_nothing_of_it_quoted() {
        for text in BAD {
            let error = text.parse::<DatabaseUrl>().expect_err(text).to_string();
            let source = UrlSource::text(text);
            for said in [error, source.read().unwrap_err(), format!("{source:?}")] {
                assert!(!said.contains("cret") && !said.contains("s3"), "{text}: {said}");
            }
        }
    }

    #[test]
    fn a_parameter_is_added_where_it_is_not_there() {
        let url: DatabaseUrl = "postgres://db/app".parse().unwrap();
        let url = url.or("connect_timeout", 5).or("connect_timeout", 6).or("application_name", "x");
        assert_eq!(url.expose(), "postgres://db/app?connect_timeout=5&application_name=x");
    }

    #[cfg(feature = "pools")]
    #[test]
    fn a_password_is_taken_out_of_what_others_say() {
        let url: DatabaseUrl = "postgres://a:s3%40cret@db/app?password=pa%24s".parse().unwrap();
        let said = url.without_password("wrong: s3@cret, s3%40cret, pa$s, pa%24s, app");
        assert_eq!(said, "wrong: [redacted], [redacted], [redacted], [redacted], app");
    }

    #[test]
    fn several_hosts_are_told_from_one() {
        let several = |text: &str| text.parse::<DatabaseUrl>().unwrap().has_several_hosts();
        assert!(several("postgres://a:x@one,two/app") && several("postgres:///app?host=/a,/b"));
        assert!(several("postgres:///app?hostaddr=1.1.1.1%2C1.1.1.2"));
        assert!(
            !several("postgres://a,b@one/app?application_name=a,b") && !several("postgres:///app?host=/a")
        );
    }

    #[test]
    fn a_file_is_read_when_it_is_needed() {
        let source: UrlSource =
            serde_json::from_value(serde_json::json!({ "file": "/nowhere/url" })).unwrap();
        let error = source.read().unwrap_err();
        assert!(error.starts_with("names the file /nowhere/url, which cannot be read"), "{error}");
    }

    #[test]
    fn no_text_panics_or_shows_what_follows_a_colon() {
        const PIECES: [&str; 20] = [
            "postgres://",
            "a",
            ":s3cret",
            "@",
            "/",
            "?",
            "&",
            "=",
            "password",
            "%",
            "%2",
            "%41",
            "é",
            "[",
            "]",
            ",",
            " ",
            "\u{0}",
            "5432",
            "host",
        ];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let text: String = (0..rng.usize(..9)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect();
            let text = if rng.bool() { format!("postgres://{text}") } else { text };
            match text.parse::<DatabaseUrl>() {
                Ok(url) => assert!(!url.or("x", 1).expose().is_empty()),
                Err(error) => assert!(!error.to_string().contains("s3cret"), "{text}"),
            }
        }
    }
}
