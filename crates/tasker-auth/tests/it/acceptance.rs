//! The acceptance lines A01 to A13 and Z01 to Z11: each has a test whose name begins with it, and the attacks
//! that this crate answers to are tests by name.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of all tests beside this one.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|e| e == "rs")).map(fs::read_to_string);
    let mut names = BTreeSet::new();
    for text in texts {
        let text = text.unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let is_test = line == "#[test]" || line.starts_with("#[tokio::test");
            let Some(next) = lines.clone().find(|l| !l.starts_with("#[")).filter(|_| is_test) else {
                continue;
            };
            let name = next.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap_or_default();
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn every_line_has_its_test() {
    let tests = tests();
    let lines = (1..=13).map(|n| format!("a{n:02}_")).chain((1..=11).map(|n| format!("z{n:02}_")));
    let without: Vec<String> = lines.filter(|line| !tests.iter().any(|t| t.starts_with(line))).collect();
    assert_eq!(without, [""; 0]);
}

#[test]
fn every_attack_has_its_test() {
    let tests = tests();
    for name in [
        "forgery_alg_none",
        "forgery_hs_with_the_public_key",
        "forgery_kid_and_embedded_keys",
        "a08_what_is_refused_and_that_nothing_stays",
        "clock_skew_is_allowed_up_to_the_leeway",
        "replay_a_state_is_taken_once",
        "replay_an_id_token_has_the_nonce_of_its_login",
        "fixation_a_login_never_keeps_the_id_of_the_request",
        "csrf_a_change_needs_the_token_of_its_session",
        "no_secret_in_use_is_ever_logged",
        "ssrf_addresses_are_refused_at_the_start",
        "ssrf_a_name_that_leads_inside_is_refused",
        "ssrf_redirects_are_not_followed",
        "timing_secrets_are_compared_in_one_place",
        "d01_sixty_four_threads_see_only_themselves",
        "d01_sixty_four_threads_with_tokens_of_their_own",
        "d01_sixty_four_at_once_see_themselves",
        "d02_every_document_demands_all_that_it_uses",
        "d06_no_token_is_stored_in_clear",
        "d24_the_example_policy_knows_every_resource",
    ] {
        assert!(tests.contains(name), "{name} is gone");
    }
    let parsers = tests.iter().filter(|name| name.starts_with("ten_thousand_random_")).count();
    assert!(parsers >= 6, "{parsers} parsers are given random texts");
}

/// The table of `docs/auth.md` has every code of the crate, each with its status.
#[test]
fn the_page_has_every_code_with_its_status() {
    use tasker_auth::{AuthError, Permission, Refusal, Unavailable};
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(own.join("../../docs/auth.md")).unwrap();
    let errors = [
        AuthError::Missing { expected: "x" },
        Refusal::Invalid.into(),
        Refusal::Expired.into(),
        Refusal::NotYet.into(),
        Refusal::Revoked.into(),
        Refusal::Audience.into(),
        Refusal::UnknownUser.into(),
        Refusal::Login.into(),
        AuthError::Forbidden(Permission::TaskShow),
        AuthError::Csrf { header: "x" },
        AuthError::UnknownOperation,
        AuthError::Unchecked,
        Unavailable::new("x", "y").into(),
    ];
    for error in &errors {
        let (status, code) = (format!("| {} |", error.status()), format!("`{}`", error.code()));
        assert!(page.lines().any(|line| line.contains(&status) && line.contains(&code)), "{status} {code}");
    }
    let source = fs::read_to_string(own.join("src/error.rs")).unwrap();
    let (_, body) = source.split_once("fn code(&self)").unwrap();
    let codes = body.split_once("\n    }").unwrap().0.matches("=> \"").count();
    assert_eq!(codes, errors.len(), "a code is not tried above");
}
