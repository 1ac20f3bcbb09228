//! Reads a configuration and says one value and where it is from.

use tasker_config::Config;

fn main() {
    let config = Config::builder()
        .toml("own.toml", "[execution]\nlease_seconds = 10")
        .variables([("TASKER_EXECUTION__DRAIN_SECONDS", "5")])
        .build()
        .expect("a configuration");
    let execution = config.execution();
    println!("{} {} {}", execution.lease_seconds, execution.drain_seconds, config.source("execution.lease_seconds"));
}
