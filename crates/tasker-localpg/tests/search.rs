//! Which server is taken when there are several, and which are refused.

mod support;

use std::path::PathBuf;

use support::{fake_server, folder, script};
use tasker_localpg::{Environment, Search, ServerBinaries};

#[test]
fn path_comes_before_pg_config_before_the_usual_folders() {
    let dir = folder();
    let on_path = fake_server(&dir.path().join("path"), "15.1");
    let told = fake_server(&dir.path().join("told"), "16.1");
    let usual = fake_server(&dir.path().join("lib/17/bin"), "17.1");
    let tools = dir.path().join("tools");
    script(&tools, "pg_config", &format!("echo {}", told.display()));
    let search = Search {
        path: vec![tools, on_path.clone()],
        usual: vec![dir.path().join("lib/*/bin")],
        ..Search::default()
    };
    assert_eq!(search.candidates(), [on_path.clone(), told, usual]);
    assert_eq!(search.find().unwrap().bindir(), on_path);
}

#[test]
fn the_usual_folders_are_taken_newest_first() {
    let dir = folder();
    let bin = |version: &str| dir.path().join(format!("pgsql-{version}/bin"));
    for version in ["9.6", "14", "16", "15"] {
        fake_server(&bin(version), version);
    }
    script(&bin("18"), "postgres", "exit 1");
    let search = Search { usual: vec![dir.path().join("pgsql-*/bin")], ..Search::default() };
    let order: Vec<PathBuf> = ["16", "15", "14", "9.6"].iter().map(|v| bin(v)).collect();
    assert_eq!(search.candidates(), order);
}

#[test]
fn the_version_of_existing_data_is_preferred() {
    let dir = folder();
    for version in ["14", "16"] {
        fake_server(&dir.path().join(version).join("bin"), version);
    }
    let search = Search { usual: vec![dir.path().join("*/bin")], ..Search::default() };
    let major = |wanted| search.look(Some(wanted)).unwrap().version().major();
    assert_eq!((major(14), major(16), major(17)), (14, 16, 16));
}

#[test]
fn an_old_server_is_refused_with_its_version() {
    let dir = folder();
    let bindir = fake_server(dir.path(), "13.22");
    let refused = ServerBinaries::at(&bindir).unwrap_err();
    assert_eq!(refused.reason, "is PostgreSQL 13.22; 14 or newer is needed");
    let search = Search { path: vec![bindir], ..Search::default() };
    assert_eq!(search.find(), None);
    assert_eq!(search.look(None).unwrap_err(), [refused]);
}

#[test]
fn an_explicit_folder_is_the_only_one() {
    let dir = folder();
    let on_path = fake_server(&dir.path().join("path"), "15.1");
    let search =
        Search { bindir: Some(dir.path().join("nowhere")), path: vec![on_path], ..Search::default() };
    let refused = search.look(None).unwrap_err();
    assert_eq!(refused[0].reason, "has no initdb");
}

#[test]
fn the_environment_can_hide_installed_servers() {
    let dir = folder();
    let on_path = fake_server(&dir.path().join("path"), "15.1");
    let cache = dir.path().join("cache");
    let env = |search: &str| -> Environment {
        [
            ("PATH", on_path.to_str().unwrap()),
            ("TASKER_CACHE_DIR", cache.to_str().unwrap()),
            ("TASKER_PG_SEARCH", search),
            ("PG_BINDIR", ""),
        ]
        .into_iter()
        .collect()
    };
    let everywhere = Search::in_environment(&env(""));
    assert_eq!(everywhere.find().unwrap().bindir(), on_path);
    assert_eq!(everywhere.cache, Some(cache.clone()));
    assert_eq!(Search::in_environment(&env("cache")).find(), None);
}
