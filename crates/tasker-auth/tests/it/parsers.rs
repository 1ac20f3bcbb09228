//! Random texts for what reads headers and configurations; the other parsers are tried beside their own tests.
#![cfg(feature = "oidc")]

use crate::support::Noise;
use serde_json::{Value, json};
use tasker_auth::{
    ApiTokenConfig, AuthConfig, CorrelationId, FetchConfig, OidcConfig, Registry, RolePolicy, RolesConfig,
    SessionConfig, jwt::JwtConfig, read_section,
};

#[test]
fn ten_thousand_random_correlation_ids_do_not_panic() {
    let mut noise = Noise(11);
    for _ in 0..10_000 {
        let text = noise.text(&["0123-abc", "a.b:c_d"]);
        if let Some(id) = CorrelationId::parse(&text) {
            assert!(id.as_str() == text && !text.contains(|c: char| c.is_control() || c.is_whitespace()));
        }
    }
}

/// A value of any kind, with keys that the sections know and others.
fn value(noise: &mut Noise, depth: u32) -> Value {
    const KEYS: [&str; 24] = [
        "authentication_enabled",
        "authenticator",
        "authenticator_options",
        "authorization_enabled",
        "open",
        "audit",
        "record",
        "algorithms",
        "issuer",
        "audience",
        "leeway_seconds",
        "header",
        "secret",
        "file",
        "jwks_url",
        "fetch",
        "claims",
        "cookie",
        "idle_seconds",
        "session",
        "scopes",
        "roles",
        "permissions",
        "own",
    ];
    match noise.next() % if depth == 0 { 6 } else { 8 } {
        0 => Value::Null,
        1 => json!(noise.next() & 1 == 0),
        2 => json!(noise.next() as i64),
        3 => json!(f64::from_bits(noise.next())),
        4 => json!(noise.text(&["tasker.task:show", "HS256", "https://issuer.example/"])),
        5 => json!(KEYS[noise.next() as usize % KEYS.len()]),
        6 => (0..noise.next() % 4).map(|_| value(noise, depth - 1)).collect(),
        _ => {
            let mut section = serde_json::Map::new();
            for _ in 0..noise.next() % 6 {
                let key = KEYS[noise.next() as usize % KEYS.len()];
                let _before = section.insert(key.to_owned(), value(noise, depth - 1));
            }
            section.into()
        }
    }
}

/// Each is a configuration or a list of mistakes.
#[test]
fn ten_thousand_random_sections_do_not_panic() {
    let mut noise = Noise(12);
    for _ in 0..10_000 {
        let section = value(&mut noise, 3);
        if let Ok(config) = read_section::<AuthConfig>(&section) {
            let _built = config.build(&Registry::default());
        }
        let problems = [
            read_section::<JwtConfig>(&section).map_or_else(|p| p, |c| c.problems()),
            read_section::<SessionConfig>(&section).map_or_else(|p| p, |c| c.problems()),
            read_section::<OidcConfig>(&section).map_or_else(|p| p, |c| c.problems()),
            read_section::<ApiTokenConfig>(&section).map_or_else(|p| p, |c| c.problems()),
            read_section::<FetchConfig>(&section).map_or_else(|p| p, |_| vec![]),
            read_section::<RolesConfig>(&section).and_then(RolePolicy::new).map_or_else(|p| p, |_| vec![]),
        ];
        assert!(problems.iter().flatten().all(|p| !p.reason.is_empty()));
    }
}
