//! The effects of the options, by what reads them.

pub(crate) mod auth;
pub(crate) mod databases;
pub(crate) mod engine;
pub(crate) mod logs;
pub(crate) mod workers;

use std::time::{Duration, Instant};

use crate::support::{Bench, Ran, command, run};

/// Runs `tasker` with a configuration against a bench's own database.
pub(crate) fn configured(bench: &Bench, config: &str, args: &[&str]) -> Ran {
    bench.file("tasker.toml", config);
    bench.tasker(args)
}

/// The same where only the configuration names a database.
pub(crate) fn unnamed(bench: &Bench, config: &str, args: &[&str]) -> Ran {
    bench.file("tasker.toml", config);
    run(command(bench.dir.path()).args(args), "")
}

/// Waits until something is so, at most a minute.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One step that does nothing.
pub(crate) const ONE: &str = "
name: one
namespace_name: shop
step_templates:
  - name: only
    handler_class: jq
    handler_config: { filter: .context }
";

/// A step that waits as long.
pub(crate) fn sleeping(name: &str, duration: &str) -> String {
    format!("  - {{ name: {name}, handler_class: sleep, handler_config: {{ duration: {duration} }} }}\n")
}
