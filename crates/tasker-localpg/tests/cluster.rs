//! Clusters on a real server: what starts, what is shared, what stays.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::{answers, fake_server, folder, server};
use tasker_localpg::{Closed, Cluster, ClusterOptions, LocalPgError, ServerBinaries, status, stop};

#[test]
fn a_throw_away_cluster_comes_and_goes() {
    let Some(server) = server() else { return };
    let options = ClusterOptions::throw_away().max_connections(300);
    let cluster = Cluster::start(&server, options).unwrap();
    let dir = cluster.dir().to_owned();
    let mode = fs::metadata(&dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(answers(&dir) && cluster.was_started_here());
    let settings = fs::read_to_string(dir.join("tasker.conf")).unwrap();
    assert!(settings.contains("max_connections = 300") && settings.contains("fsync = off"));
    assert_eq!(cluster.close().unwrap(), Closed::Stopped);
    assert!(!dir.exists());
}

#[test]
fn a_setting_reaches_the_server_and_wins() {
    let Some(server) = server() else { return };
    let options = ClusterOptions::throw_away().setting("fsync", "on").setting("work_mem", "7MB");
    let cluster = Cluster::start(&server, options).unwrap();
    let settings = fs::read_to_string(cluster.dir().join("tasker.conf")).unwrap();
    assert!(settings.ends_with("fsync = 'on'\nwork_mem = '7MB'\n"), "{settings}");
    assert!(answers(cluster.dir()));
    let refused = Cluster::start(&server, ClusterOptions::throw_away().setting("no_such_setting", "1"));
    assert!(refused.is_err());
}

#[test]
fn a_standby_is_a_copy_that_replays() {
    let Some(server) = server() else { return };
    let primary = Cluster::start(&server, ClusterOptions::throw_away()).unwrap();
    let options = ClusterOptions::standby_of(&primary).setting("cluster_name", "copy");
    let standby = Cluster::start(&server, options).unwrap();
    assert!(answers(standby.dir()) && standby.url() != primary.url());
    assert!(standby.dir().join("data/standby.signal").exists());
    assert!(!primary.dir().join("data/standby.signal").exists());
    let settings = fs::read_to_string(standby.dir().join("tasker.conf")).unwrap();
    assert!(settings.contains("cluster_name = 'copy'"), "{settings}");
}

#[test]
fn two_throw_away_clusters_do_not_meet() {
    let Some(server) = server() else { return };
    let parent = folder();
    let start = || Cluster::start(&server, ClusterOptions::throw_away_in(parent.path())).unwrap();
    let (one, other) = (start(), start());
    assert_ne!(one.url(), other.url());
    drop(one);
    assert!(answers(other.dir()));
    drop(other);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn the_last_user_of_a_durable_cluster_stops_it() {
    let Some(server) = server() else { return };
    let parent = folder();
    let dir = parent.path().join("it's, \"a\" $(cluster)");
    let start = || Cluster::start(&server, ClusterOptions::durable(&dir)).unwrap();
    let (first, second) = (start(), start());
    assert!(first.was_started_here() && !second.was_started_here());
    assert_eq!(first.url(), second.url());
    assert_eq!(first.close().unwrap(), Closed::StillUsed);
    let now = status(&server, &dir).unwrap();
    assert!(answers(&dir) && now.pid == second.pid());
    assert_eq!(now.url, Some(second.url()));
    assert_eq!(second.close().unwrap(), Closed::Stopped);
    let now = status(&server, &dir).unwrap();
    assert!(!now.is_running() && !answers(&dir));
    assert_eq!(now.data_version, Some(server.version().major()));
    drop(start());
}

#[test]
fn many_who_arrive_at_once_share_one_server() {
    let Some(server) = server() else { return };
    let parent = folder();
    let dir = parent.path().join("pg");
    let start = || Cluster::start(&server, ClusterOptions::durable(&dir)).unwrap();
    let clusters: Vec<Cluster> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|s| s.join().unwrap()).collect()
    });
    let starters = clusters.iter().filter(|c| c.was_started_here()).count();
    assert_eq!(starters, 1);
    let ends: Vec<Closed> = clusters.into_iter().map(|c| c.close().unwrap()).collect();
    assert_eq!(ends.iter().filter(|e| **e == Closed::Stopped).count(), 1);
    assert!(!answers(&dir));
}

#[test]
fn stop_does_not_ask_the_users() {
    let Some(server) = server() else { return };
    let parent = folder();
    let dir = parent.path().join("pg");
    assert!(!stop(&server, &dir).unwrap(), "there is nothing to stop");
    let cluster = Cluster::start(&server, ClusterOptions::durable(&dir)).unwrap();
    assert!(stop(&server, &dir).unwrap());
    assert!(!answers(&dir) && !stop(&server, &dir).unwrap());
    assert_eq!(cluster.close().unwrap(), Closed::Stopped);
}

#[test]
fn a_long_path_is_refused_before_anything_is_made() {
    let parent = folder();
    let binaries = ServerBinaries::at(&fake_server(&parent.path().join("bin"), "15.1")).unwrap();
    let dir = parent.path().join("x".repeat(100));
    let error = Cluster::start(&binaries, ClusterOptions::durable(&dir)).unwrap_err();
    assert!(matches!(error, LocalPgError::SocketPathTooLong { .. }));
    assert!(error.to_string().contains("shorter path") && !dir.exists());
}

#[test]
fn data_of_another_version_is_left_alone() {
    let parent = folder();
    let bindir = parent.path().join("bin");
    let binaries = ServerBinaries::at(&fake_server(&bindir, "15.1")).unwrap();
    support::script(&bindir, "pg_ctl", "exit 3");
    let dir = parent.path().join("pg");
    fs::create_dir_all(dir.join("data")).unwrap();
    fs::write(dir.join("data/PG_VERSION"), "14\n").unwrap();
    let error = Cluster::start(&binaries, ClusterOptions::durable(&dir)).unwrap_err();
    assert!(error.to_string().contains("set PG_BINDIR to a PostgreSQL 14"));
}

#[test]
fn a_failed_start_tells_what_the_server_said() {
    let parent = folder();
    let bindir = parent.path().join("bin");
    let binaries = ServerBinaries::at(&fake_server(&bindir, "15.1")).unwrap();
    support::script(&bindir, "initdb", "echo no space for you >&2; exit 1");
    let clusters = parent.path().join("clusters");
    fs::create_dir(&clusters).unwrap();
    let error = Cluster::start(&binaries, ClusterOptions::throw_away_in(&clusters)).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("could not create") && said.contains("no space for you"));
    assert_eq!(fs::read_dir(&clusters).unwrap().count(), 0);
}
