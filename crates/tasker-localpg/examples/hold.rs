//! Starts a private cluster, prints its directory and URL, and holds it until standard input ends.
//!
//! `hold` starts a throw-away cluster, `hold DIR` uses the durable one in `DIR`. Kill it in any way
//! you like: the server is gone a moment later.
#![expect(clippy::print_stdout, reason = "a program for a terminal, and for a test that reads it")]

use std::error::Error;
use std::io::{self, Read};

use tasker_localpg::{Cluster, ClusterOptions, Search};

fn main() -> Result<(), Box<dyn Error>> {
    let binaries = Search::from_env().find().ok_or("no PostgreSQL server found")?;
    let options = match std::env::args_os().nth(1) {
        Some(dir) => ClusterOptions::durable(dir),
        None => ClusterOptions::throw_away(),
    };
    let cluster = Cluster::start(&binaries, options)?;
    println!("{}", cluster.dir().display());
    println!("{}", cluster.url());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
