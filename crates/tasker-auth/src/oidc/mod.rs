//! Signing in at an OpenID Connect provider: the code flow with PKCE, state and nonce. It ends in a session.

mod config;
mod discovery;
mod login;
mod store;

pub use config::OidcConfig;
pub use login::{Begun, Finished, OidcLogin};
pub use store::{Login, LoginStore};
