//! JSON Web Tokens: which algorithm and which keys count is said by the configuration alone, never by a token.

mod algorithm;
mod authenticator;
mod claims;
mod config;
mod keys;
mod pem;
#[cfg(feature = "jwks-url")]
mod remote;
mod sign;
mod token;

pub use algorithm::{Algorithm, Family};
pub use authenticator::JwtAuthenticator;
pub use claims::ClaimNames;
pub use config::JwtConfig;
pub use keys::KeySet;
pub use sign::{HmacSigner, TestToken};

#[cfg(feature = "oidc")]
pub(crate) use self::{
    keys::Keys,
    remote::{Ages, RemoteKeys},
    token::{Expected, verify},
};
