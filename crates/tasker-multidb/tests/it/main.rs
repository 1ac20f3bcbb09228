//! The databases of a program, on real servers.

mod config;
mod replicas;
mod start;
mod support;
