//! What is generated, as files that are compiled here, so that their own tests run with these.
//!
//! `TASKER_UPDATE_GOLDEN=1 cargo test -p tasker-generate golden` writes them anew.

use std::{collections::BTreeSet, fs, path::Path};

use clap::Parser;
use tasker_generate::Generate;

// Formatted as rustfmt does it by itself, which is not how this workspace is; public for programs, not for this one.
macro_rules! golden {
    ($($name:ident $file:literal),* $(,)?) => {
        $(
            #[rustfmt::skip]
            #[allow(unreachable_pub)]
            #[path = $file]
            pub(crate) mod $name;
        )*
    };
}

golden!(
    everything "golden/everything.rs",
    everything_counted "golden/everything_counted.rs",
    gateway "golden/gateway.rs",
    import "golden/import.rs",
    one "golden/one.rs",
    one_counted "golden/one_counted.rs",
    order "golden/order.rs",
    order_alerts "golden/order_alerts.rs",
    order_metrics "golden/order_metrics.rs",
    partner "golden/partner.rs",
    portal "golden/portal.rs",
    shop "golden/shop.rs",
    single "golden/single.rs",
    staff "golden/staff.rs",
);

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: Generate,
}

/// Every command whose files are here.
pub(crate) const COMMANDS: [&str; 14] = [
    "handler Order --steps fetch_cart,validate,ship --namespace shop --version 1.2.0",
    "handler single --steps only",
    "subscriber OrderAlerts",
    "subscriber OrderMetrics --metrics",
    "subscriber everything --events worker_started,step_claimed,step_completed,step_failed,step_released,task_settled,lease_lost,worker_expired",
    "subscriber EverythingCounted --metrics --events worker_started,step_claimed,step_completed,step_failed,step_released,task_settled,lease_lost,worker_expired",
    "subscriber one --events step.completed",
    "subscriber OneCounted --metrics --events worker_started",
    "authenticator partner --type jwt",
    "authenticator portal --type session",
    "authenticator import --type api-token",
    "authenticator staff --type oidc",
    "authenticator gateway --type custom",
    "coordinator shop",
];

/// What the words of a command line ask for.
pub(crate) fn parsed(words: &str) -> Generate {
    let words: Vec<&str> = ["generate"].into_iter().chain(words.split(' ')).collect();
    try_parsed(&words).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn try_parsed(words: &[&str]) -> Result<Generate, clap::Error> {
    Cli::try_parse_from(words).map(|cli| cli.what)
}

#[test]
fn the_files_here_are_what_is_generated() {
    let dir = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        parsed(&format!("{command} --directory ."))
            .run(dir.path())
            .unwrap_or_else(|e| panic!("{command}: {e}"));
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let names = |folder: &Path| -> BTreeSet<_> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let update = std::env::var_os("TASKER_UPDATE_GOLDEN").is_some();
    for name in names(dir.path()) {
        let text = fs::read_to_string(dir.path().join(&name)).unwrap();
        if update {
            fs::write(here.join(&name), &text).unwrap();
        }
        let kept = fs::read_to_string(here.join(&name)).unwrap_or_default();
        assert!(kept == text, "{name:?} is not what is generated; see the head of this file");
    }
    assert_eq!(names(&here), names(dir.path()));
}
