//! The tests of this crate, one binary so that they are linked once and share a server. A file is a behaviour.

mod acceptance;
mod alone;
mod api_token;
mod cedar;
mod constraints;
mod graphql;
mod jwks_url;
mod jwt;
mod oidc;
mod operations;
mod parsers;
mod permissions;
mod policy;
mod secrets;
mod session;
mod start;
mod support;
mod web;
