//! The databases of a program, on real servers.

mod alone;
mod config;
mod docs;
mod failover;
mod pools;
mod replicas;
mod routing;
mod start;
mod support;
