//! Hosts whose clocks are wrong: a worker five minutes ahead or behind claims, waits and renews by the database's
//! clock alone.
//!
//! The worker runs with a library before its C library that moves the clock of the day, and nothing else.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod support;

use std::process::Command;

use support::{Bench, command, run};

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long skew(void) { const char *s = getenv("SKEW_SECONDS"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *at) {
  int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(id, at);
  if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += skew();
  return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
"#;

/// `flaky` asks a port where nobody listens, waits its second and is asked again; `long` outlives three leases.
const WORKFLOW: &str = r#"
name: clocks
step_templates:
  - name: flaky
    handler_class: http
    default_retry_limit: 2
    backoff: 1s
    handler_config: { url: "http://127.0.0.1:1/" }
  - name: long
    handler_class: sleep
    handler_config: { duration: 2s }
"#;

/// The shim, or `None` where no C compiler is.
fn shim(bench: &Bench) -> Option<std::path::PathBuf> {
    let (source, library) = (bench.file("skew.c", SHIM), bench.dir.path().join("skew.so"));
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    built.is_ok_and(|status| status.success()).then_some(library)
}

#[test]
fn a_workers_own_clock_decides_nothing() {
    for skew in ["-300", "300"] {
        let bench = Bench::new();
        let Some(shim) = shim(&bench) else { return eprintln!("skipped: no C compiler") };
        bench.file("w.yaml", WORKFLOW);
        bench.tasker(&["submit", "w.yaml"]).expect(0);
        let mut worker = command(bench.dir.path());
        worker
            .env("TASKER_DATABASE_URL", bench.database.url())
            .env("LD_PRELOAD", &shim)
            .env("SKEW_SECONDS", skew);
        let ran = run(worker.args(["worker", "--until-idle", "--lease", "700ms"]), "").expect(0);
        // Its log is dated by the clock that it believes in, which shows that the shim works.
        let (own, real) =
            (bench.count("select extract(epoch from clock_timestamp())::bigint as n"), stamp(&ran.err));
        let off = real - own;
        assert!(
            (off - skew.parse::<i64>().unwrap()).abs() < 60,
            "{skew}: the log is {off} s off: {}",
            ran.err
        );

        // The second attempt came when it was due, by the database's clock, and no second later.
        let late = "select (1000 * extract(epoch from c.at - f.available_at))::bigint as n
            from tasker.workflow_step_transitions f join tasker.workflow_step_transitions c
              on c.workflow_step_id = f.workflow_step_id and c.seq = f.seq + 1
            where f.to_state = 'error' and f.available_at is not null and c.to_state = 'in_progress'";
        let late = bench.count(late);
        assert!((0..1_000).contains(&late), "{skew}: {late} ms late");
        // Every instant that was stored lies in the time of the test.
        let strange = "select count(*) as n from tasker.workflow_step_transitions
            where at not between clock_timestamp() - interval '1 min' and clock_timestamp()";
        assert_eq!(bench.count(strange), 0);
        let lost =
            "select count(*) as n from tasker.workflow_step_transitions where failure_kind = 'lost_lease'";
        assert_eq!(bench.count(lost), 0, "{skew}: a lease was lost");
        bench.database.assert_sound();
    }
}

/// The first instant of a log, as seconds.
fn stamp(log: &str) -> i64 {
    let plain = log.replace("\u{1b}[2m", "");
    let at = plain
        .split_whitespace()
        .find_map(|word| chrono::DateTime::parse_from_rfc3339(word.trim_end_matches("\u{1b}[0m")).ok());
    at.unwrap_or_else(|| panic!("no instant in {log}")).timestamp()
}
