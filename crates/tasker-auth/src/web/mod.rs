//! For servers: a layer on the `http` crate, and more for axum.

#[cfg(feature = "axum")]
mod axum;
mod layer;

#[cfg(all(feature = "axum", feature = "oidc"))]
pub use axum::login_routes;
pub use layer::{AuthLayer, AuthService, answer};
