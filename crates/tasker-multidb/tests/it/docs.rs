//! The page: its configurations can be used as they stand.

use std::path::Path;

use tasker_multidb::DatabaseConfig;

#[test]
fn every_configuration_of_the_page_is_one() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/multidb.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let document: serde_json::Value = toml::from_str(block).unwrap();
        let config: DatabaseConfig = serde_json::from_value(document["database"].clone()).unwrap();
        assert_eq!(config.problems(), [], "{block}");
    }
}
