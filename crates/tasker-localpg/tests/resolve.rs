//! Which database is taken, and what is said when there is none.

mod support;

use support::{answers, fake_server, folder, server};
use tasker_localpg::{Environment, LocalPgError, Origin, Resolved, Wanted, resolve_in};

fn resolve(vars: &[(&str, &str)], explicit: Option<&str>) -> Result<Resolved, LocalPgError> {
    let env: Environment = vars.iter().copied().collect();
    let wanted = Wanted::throw_away().may_fetch(false);
    resolve_in(&env, explicit.map(str::to_owned), &wanted, &mut |_| ())
}

#[test]
fn the_flag_comes_before_the_variables_and_empty_ones_do_not_count() {
    let ours = ("TASKER_DATABASE_URL", "postgres://ours/");
    let general = ("DATABASE_URL", "host=general");
    let empty = ("TASKER_DATABASE_URL", "");
    let origin = |vars: &[_], flag| resolve(vars, flag).unwrap().origin;
    assert_eq!(origin(&[ours, general], Some("postgresql://x/")), Origin::Flag);
    assert_eq!(origin(&[ours, general], Some("")), Origin::TaskerDatabaseUrl);
    assert_eq!(origin(&[empty, general], None), Origin::DatabaseUrl);
}

#[test]
fn another_database_is_refused_without_its_password() {
    let vars = [("DATABASE_URL", "mysql://ann:secret@db/app")];
    let said = resolve(&vars, None).unwrap_err().to_string();
    assert!(said.starts_with("DATABASE_URL is not a PostgreSQL URL: mysql://ann:***@db/app"));
}

#[test]
fn debug_hides_the_password() {
    let resolved = resolve(&[], Some("postgres://ann:secret@db/app")).unwrap();
    assert!(resolved.url.contains("secret"));
    let shown = format!("{resolved:?}");
    assert!(shown.contains("ann:***@db") && !shown.contains("secret"));
}

#[test]
fn without_a_server_it_says_what_to_install_and_what_was_refused() {
    let dir = folder();
    let old = fake_server(&dir.path().join("old"), "12.3");
    let cache = dir.path().join("cache");
    let cached_only = [("TASKER_PG_SEARCH", "cache"), ("TASKER_CACHE_DIR", cache.to_str().unwrap())];
    let said = resolve(&cached_only, None).unwrap_err().to_string();
    assert!(said.contains("apt-get install postgresql") && said.contains("TASKER_DATABASE_URL"));
    // A folder that is named and unfit is an error even where a server could be fetched.
    let env: Environment = [("PG_BINDIR", old)].into_iter().collect();
    let error = resolve_in(&env, None, &Wanted::throw_away(), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("is PostgreSQL 12.3; 14 or newer is needed"));
}

#[test]
fn a_private_cluster_is_started_where_nothing_is_named() {
    let Some(server) = server() else { return };
    let dir = folder();
    let env: Environment =
        [("PG_BINDIR", server.bindir()), ("TASKER_DATA_DIR", &dir.path().join("pg"))].into_iter().collect();
    let mut steps = Vec::new();
    let progress = &mut |step: tasker_localpg::Progress| steps.push(step.to_string());
    let resolved = resolve_in(&env, None, &Wanted::durable(), progress).unwrap();
    let cluster = resolved.cluster.as_ref().unwrap();
    assert_eq!(resolved.url, cluster.url());
    assert!(answers(&dir.path().join("pg")));
    assert!(steps[0].starts_with("starting PostgreSQL") && steps.len() == 1);
}
