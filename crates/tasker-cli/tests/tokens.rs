//! `tasker token`: a token is shown once, kept as a digest, known by a service until it is taken back.

mod support;

use support::Bench;

const NEW: [&str; 6] = ["token", "create", "--subject", "nightly", "--name", "for the import"];

#[test]
fn a_token_is_shown_once_and_kept_as_a_digest() {
    let bench = Bench::new();
    let ran = bench.tasker(&NEW).expect(0);
    let text = ran.out.trim_end();
    assert!(text.starts_with("tasker_") && text.len() > 64 && !ran.err.contains(text), "{ran:?}");
    let secret = text.rsplit('_').next().unwrap();
    let stored = format!("select count(*) as n from tasker.api_tokens t where t::text like '%{secret}%'");
    assert_eq!(bench.count(&stored), 0);
    let digest = format!(
        "select count(*) as n from tasker.api_tokens where digest = sha256('{text}'::bytea) and created_by = 'tester'"
    );
    assert_eq!(bench.count(&digest), 1);
    for args in [&["token", "list"][..], &["token", "list", "--json"]] {
        let listed = bench.tasker(args).expect(0);
        assert!(listed.out.contains("nightly") && !listed.out.contains(secret), "{listed:?}");
    }
}

#[test]
fn it_has_what_it_was_given() {
    let bench = Bench::new();
    let flags = [
        "--role",
        "importer",
        "--permission",
        "tasker.task:create",
        "--permission",
        "tasker.queue:*",
        "--namespace",
        "shop",
        "--expires-in",
        "1d",
        "--prefix",
        "shop",
        "--actor",
        "ada",
        "--json",
    ];
    let ran = bench.tasker(&[&NEW[..], &flags].concat()).expect(0).json();
    assert!(ran["token"].as_str().unwrap().starts_with("shop_") && ran["id"] == 1, "{ran}");
    let kept = "select count(*) as n from tasker.api_tokens where roles = '{importer}' and namespaces = '{shop}'
        and permissions @> '{tasker.task:create,tasker.queue:index,tasker.queue:pause}' and cardinality(permissions) = 3
        and created_by = 'ada' and expires_at between now() + interval '23 h' and now() + interval '25 h'";
    assert_eq!(bench.count(kept), 1);
}

#[test]
fn it_is_taken_back_once() {
    let bench = Bench::new();
    bench.tasker(&NEW).expect(0);
    assert!(
        bench.tasker(&["token", "revoke", "1", "--actor", "ada"]).expect(0).out.contains("is taken back")
    );
    let revoked =
        "select count(*) as n from tasker.api_tokens where revoked_at is not null and revoked_by = 'ada'";
    assert_eq!(bench.count(revoked), 1);
    for id in ["1", "2"] {
        assert!(bench.tasker(&["token", "revoke", id]).expect(7).err.contains("was taken back before"));
    }
    assert_eq!(
        bench.tasker(&["token", "list", "--subject", "hourly", "--json"]).expect(0).json(),
        serde_json::json!([])
    );
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_issued() {
    let bench = Bench::new();
    let long = "x".repeat(256);
    for flags in [
        &["--permission", "tasker.task:fly"][..],
        &["--permission", "**"],
        &["--prefix", "A"],
        &["--expires-in", "-1d"],
        &["--role"],
    ] {
        bench.tasker(&[&NEW[..], flags].concat()).expect(2);
    }
    bench.tasker(&["token", "create", "--subject", &long, "--name", "x"]).expect(2);
    bench.tasker(&["token", "create", "--subject", "", "--name", "x"]).expect(2);
    bench.tasker(&[&NEW[..], &["--expires-in", "100000000000000d"]].concat()).expect(4);
    assert_eq!(bench.count("select count(*) as n from tasker.api_tokens"), 0);
}
