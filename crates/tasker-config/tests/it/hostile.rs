//! Whatever stands in files and variables, it is taken or refused; nothing panics.

use tasker_config::{Config, options};

const PIECES: [&str; 44] = [
    "[execution]",
    "[auth]",
    "[auth.audit]",
    "[auth.authenticator_options]",
    "[database.databases.primary]",
    "[environments.production.backoff]",
    "[[auth]]",
    "[environments]",
    "[cache]",
    "[",
    "]",
    "{",
    "}",
    "=",
    " = ",
    "\n",
    "\r\n",
    "\"",
    "'''",
    "\\u0000",
    ",",
    ".",
    "#",
    "lease_seconds",
    "open",
    "url",
    "url_file",
    "secret",
    "default_backoff_seconds",
    "production",
    "env",
    "file",
    "0x7fffffffffffffffff",
    "1e999",
    "nan",
    "-0.0",
    "1979-05-27",
    "true",
    "\"postgres://a:b@c/d\"",
    "{ env = \"X\" }",
    "{ file = \"/dev/null\" }",
    "é\u{301}",
    "\u{202e}",
    "\u{0}",
];

const VALUES: [&str; 16] = [
    "",
    "true",
    "0",
    "-1",
    "1e999",
    "NaN",
    "18446744073709551616",
    ",,,",
    "a,b",
    "\u{0}",
    "é\u{301}",
    "{}",
    "[1]",
    "postgres://a:b@c/d?e=f",
    ":tasker",
    "/dev/null",
];

#[test]
fn no_file_panics() {
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..10_000 {
        let text: String = (0..rng.usize(..24)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect();
        build(Config::builder().toml("t", text.as_str()), &text);
        // Whole assignments of real keys go deeper than syntax.
        let option = options()[rng.usize(..options().len())];
        let value = PIECES[32 + rng.usize(..PIECES.len() - 32)];
        let text = format!(
            "{} = {value}\n{}",
            option.key.replace('*', "\"x.y\""),
            PIECES[rng.usize(..PIECES.len())]
        );
        build(Config::builder().toml("t", text.as_str()), &text);
    }
}

#[test]
fn no_variable_panics() {
    let mut rng = fastrand::Rng::with_seed(2);
    for _ in 0..10_000 {
        let mut name = options()[rng.usize(..options().len())].variable().replace('*', "ANY");
        if rng.usize(..4) == 0 {
            name += ["__X", "_FILE", "__", "____", "É"][rng.usize(..5)];
        }
        let value: String = (0..rng.usize(..3)).map(|_| VALUES[rng.usize(..VALUES.len())]).collect();
        build(Config::builder().variables([(name.as_str(), value.as_str())]), &name);
        let key: String = (0..rng.usize(..4)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect();
        build(Config::builder().set(key.as_str(), value), &key);
    }
}

#[track_caller]
fn build(builder: tasker_config::Builder, what: &str) {
    match builder.build() {
        Ok(config) => assert!(!config.show().is_empty()),
        Err(report) => {
            assert!(!report.mistakes().is_empty(), "{what}");
            assert!(report.mistakes().iter().all(|m| !m.reason.is_empty()), "{what}");
        }
    }
}

#[test]
fn a_deep_or_long_text_is_refused() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("{} = 1", "a.".repeat(20_000) + "a"),
        "x".repeat(1 << 20),
    ] {
        assert!(Config::builder().toml("t", text).build().is_err());
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_told() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let value = OsString::from_vec(vec![b'1', 0xff]);
    let report =
        Config::builder().variables([("TASKER_EXECUTION__LEASE_SECONDS", value)]).build().unwrap_err();
    assert_eq!(
        report.mistakes()[0].to_string(),
        "TASKER_EXECUTION__LEASE_SECONDS: execution.lease_seconds is not UTF-8"
    );
}
