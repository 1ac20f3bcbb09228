//! Sessions: a signed cookie in the browser, everything else on the server, and a token against forged requests.

mod config;
mod cookie;
mod manager;
mod store;

pub use config::SessionConfig;
#[cfg(feature = "oidc")]
pub(crate) use cookie::{cookie, set_cookie};
pub use manager::{Sessions, SetCookie, Started};
pub use store::{NewSession, SessionStore};
