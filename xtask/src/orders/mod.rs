//! A small order service on loopback that misbehaves on purpose, for the demo and for trying things by hand.
//! [`Catalogue`] is the data, [`expected`] the independent judge of it, [`OrderService`] serves it over HTTP
//! and [`Faults`] decides which requests are served badly first. Nothing here knows the engine.

pub(crate) mod catalogue;
pub(crate) mod faults;
mod generate;
mod routes;
pub(crate) mod rule;
mod service;
pub(crate) mod shop;
#[cfg(test)]
mod workflows;

pub(crate) use self::{catalogue::Catalogue, faults::Faults, rule::expected, service::OrderService};
