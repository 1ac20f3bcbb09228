//! API tokens: random, shown once, kept as a digest, with an expiry, scopes and a way to take them back.

mod authenticator;
mod text;

pub use authenticator::{ApiTokenAuthenticator, ApiTokenConfig, StoredToken, TokenStore};
pub use text::{TokenParts, TokenText};
