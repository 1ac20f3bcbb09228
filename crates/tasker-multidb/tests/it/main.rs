//! The databases of a program, on real servers.

mod config;
mod failover;
mod replicas;
mod routing;
mod start;
mod support;
