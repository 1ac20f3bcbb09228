//! Fetches a server into the cache, runs it once, and prints where it is.
//!
//! `TASKER_CACHE_DIR=/var/tmp/x cargo run -p tasker-localpg --example fetch`
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;

use tasker_localpg::{Cluster, ClusterOptions, Environment, fetch};

fn main() -> Result<(), Box<dyn Error>> {
    let cache = Environment::current().cache_dir()?;
    let binaries = fetch(&cache, &mut |step| println!("{step}"))?;
    let cluster = Cluster::start(&binaries, ClusterOptions::throw_away())?;
    println!("PostgreSQL {} ran in {}", binaries.version(), cluster.dir().display());
    cluster.close()?;
    Ok(())
}
