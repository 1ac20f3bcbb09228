//! Reads a configuration, and with connections asks a database for its name.

use tasker_multidb::DatabaseConfig;
#[cfg(feature = "pools")]
use pq_sys as _;

fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| "postgres://db/app".into());
    let section = serde_json::json!({ "databases": { "primary": { "url": url } } });
    let config: DatabaseConfig = serde_json::from_value(section).expect("a section");
    println!("{} {:?}", config.home().expect("a home").name, config.problems());
    #[cfg(feature = "pools")]
    {
        let databases = tasker_multidb::Databases::open(&config).expect("a configuration");
        let applied = databases.migrate().expect("a database");
        databases.check().expect("a schema");
        println!("{} {}", applied[0].0, applied[0].1.is_empty());
    }
}
