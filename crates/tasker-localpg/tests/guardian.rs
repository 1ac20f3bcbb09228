//! A server must not outlive its users when they are killed. Each test kills child processes,
//! which are this test program again, running `child` alone.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use support::{answers, eventually, folder, server};
use tasker_localpg::{Cluster, ClusterOptions, status};

const DURABLE: &str = "TASKER_LOCALPG_TEST_DURABLE";
const THROW_AWAY: &str = "TASKER_LOCALPG_TEST_THROW_AWAY";

#[test]
#[ignore = "the child process of the other tests; does nothing without them"]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn child() {
    let (options, handles) = match (std::env::var_os(DURABLE), std::env::var_os(THROW_AWAY)) {
        // Each handle has a guardian; when they die together, exactly one has to be the last.
        (Some(dir), _) => (ClusterOptions::durable(dir), 3),
        (None, Some(parent)) => (ClusterOptions::throw_away_in(parent), 1),
        (None, None) => return,
    };
    let binaries = server().unwrap();
    let start = |_| Cluster::start(&binaries, options.clone()).unwrap();
    let held: Vec<Cluster> = (0..handles).map(start).collect();
    println!("cluster={}", held[0].dir().display());
    loop {
        thread::park();
    }
}

/// A process that uses a cluster until it is killed.
struct User(Child);

impl User {
    fn spawn(variable: &str, dir: &Path) -> User {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(variable, dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        User(child)
    }

    /// The cluster's directory, once it is up.
    fn cluster(&mut self) -> PathBuf {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("cluster=")?.1.into()))
            .expect("the child says where its cluster is")
    }

    /// SIGKILL: nothing of the process runs any more.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_killed_owner_takes_its_throw_away_cluster_along() {
    if server().is_none() {
        return;
    }
    let parent = folder();
    open_to_all(parent.path());
    let mut owner = User::spawn(THROW_AWAY, parent.path());
    let dir = owner.cluster();
    assert!(answers(&dir));
    owner.kill();
    eventually("the directory is removed", || !dir.exists());
    assert!(!answers(&dir));
}

#[test]
fn an_owner_killed_during_the_start_leaves_nothing() {
    if server().is_none() {
        return;
    }
    let parent = folder();
    open_to_all(parent.path());
    let entries = || std::fs::read_dir(parent.path()).unwrap().flatten();
    let begun = || entries().any(|cluster| cluster.path().join("start.log").exists());
    // Different moments of creation and start; each has to end the same.
    for pause_ms in [0, 100, 300, 600] {
        let owner = User::spawn(THROW_AWAY, parent.path());
        eventually("the guardian is at work", begun);
        thread::sleep(Duration::from_millis(pause_ms));
        owner.kill();
        eventually("the directory is removed", || entries().next().is_none());
    }
}

#[test]
fn a_durable_cluster_survives_all_but_its_last_user() {
    let Some(binaries) = server() else { return };
    let parent = folder();
    let dir = parent.path().join("pg");
    let mut first = User::spawn(DURABLE, &dir);
    first.cluster();
    let mut second = User::spawn(DURABLE, &dir);
    second.cluster();
    let pid = status(&binaries, &dir).unwrap().pid;
    first.kill();
    // Who arrives passes the gate after the dead one's guardian did or before: both must do.
    let third = Cluster::start(&binaries, ClusterOptions::durable(&dir)).unwrap();
    assert!(!third.was_started_here());
    drop(third);
    assert!(answers(&dir));
    assert_eq!(status(&binaries, &dir).unwrap().pid, pid);
    second.kill();
    eventually("the server is stopped", || !status(&binaries, &dir).unwrap().is_running());
    assert!(dir.join("data/PG_VERSION").exists());
}

#[test]
fn who_comes_after_an_owner_killed_during_the_start_gets_a_server() {
    let Some(binaries) = server() else { return };
    for pause_ms in [0, 100, 300, 600] {
        let parent = folder();
        let dir = parent.path().join("pg");
        let owner = User::spawn(DURABLE, &dir);
        eventually("the guardian is at work", || dir.join("start.log").exists());
        thread::sleep(Duration::from_millis(pause_ms));
        owner.kill();
        let cluster = Cluster::start(&binaries, ClusterOptions::durable(&dir)).unwrap();
        assert!(answers(&dir));
        drop(cluster);
        // The dead one's guardian may still have to find out that it was not the last.
        eventually("the server is stopped", || !answers(&dir));
    }
}

/// Lets the user who runs the server remove a directory from here, as in a temporary folder.
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o1777)).unwrap();
}
