//! What the typed builder refuses to compile, with what the compiler says. The snapshots were taken with
//! Rust 1.95 and are written anew with `TRYBUILD=overwrite`.

#[test]
#[ignore = "builds every dependency once more and compares with one version of the compiler; run with --ignored"]
fn refusals() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/accepted.rs");
    for case in [
        "wrong_input",
        "tuple_order",
        "unknown_parent",
        "cycle",
        "missing_parent",
        "wrong_context",
        "missing_output",
        "unreadable_output",
    ] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}
