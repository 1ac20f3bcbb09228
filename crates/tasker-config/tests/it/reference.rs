//! The page that describes the options.

use std::path::Path;

#[test]
fn the_page_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        page,
        tasker_config::reference(),
        "{} is out of date: run `cargo xtask codegen`",
        path.display()
    );
}
