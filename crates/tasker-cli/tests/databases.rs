//! Several configured databases: where tasks go, who serves them, and what is said of them.

mod support;

use serde_json::json;
use support::{Bench, PRICES, Ran, command, run};
use tasker_testkit::TestDatabase;

/// A home and a second database; the namespace `shop` lives in the second one.
struct Two {
    home: Bench,
    second: TestDatabase,
}

impl Two {
    fn new(second: TestDatabase) -> Self {
        let home = Bench::new();
        home.file("shop.yaml", PRICES);
        home.file("billing.yaml", &PRICES.replace("namespace_name: shop", "namespace_name: billing"));
        home.file("i.json", r#"{"items": [{"price": 2}]}"#);
        let databases = format!(
            "[database.databases.primary]\nurl = \"{}\"\n[database.databases.second]\nurl = \"{}\"\n",
            home.database.url(),
            second.url()
        );
        home.file("tasker.toml", &format!("{databases}[database.namespaces]\nshop = \":second\"\n"));
        Self { home, second }
    }

    /// Runs `tasker` where only the configuration names databases.
    fn tasker(&self, args: &[&str]) -> Ran {
        run(command(self.home.dir.path()).args(args), "")
    }

    fn submit(&self, workflow: &str) -> serde_json::Value {
        self.tasker(&["submit", workflow, "--input", "i.json", "--json"]).expect(0).json()[0].clone()
    }
}

#[test]
fn a_task_goes_where_its_namespace_lives_and_one_worker_serves_all() {
    let two = Two::new(TestDatabase::new());
    let (shop, billing) = (two.submit("shop.yaml"), two.submit("billing.yaml"));
    assert_eq!((&shop["database"], &shop["task_id"]), (&json!("second"), &json!(1)));
    assert_eq!((&billing["database"], &billing["task_id"]), (&json!("primary"), &json!(1)));
    let ran = two.tasker(&["worker", "--until-idle"]).expect(0);
    assert!(ran.out.contains("8 attempts completed"), "{ran:?}");
    for (database, namespace) in [("second", "shop"), ("primary", "billing")] {
        let ran = two.tasker(&["task", "list", "--database", database]).expect(0);
        assert!(
            ran.out.contains(&format!("{namespace}.prices@1.2.0")) && ran.out.contains("complete"),
            "{ran:?}"
        );
    }
    let ran = two.tasker(&["task", "list"]).expect(0);
    assert!(ran.out.contains("billing.prices") && !ran.out.contains("shop.prices"), "the home: {ran:?}");
    two.tasker(&["run", "shop.yaml", "--input", "i.json"]).expect(0);
    assert_eq!(two.home.count("select count(*) as n from tasker.tasks"), 1);
    let ran = two.tasker(&["task", "list", "--database", "other"]).expect(4);
    assert!(
        ran.err.contains("no database `other` holds Tasker's tables; those that do are primary, second"),
        "{ran:?}"
    );
}

#[test]
fn databases_are_listed_checked_and_migrated() {
    let two = Two::new(TestDatabase::empty());
    let ran = two.tasker(&["database", "list"]).expect(0);
    let line = |name: &str| ran.out.lines().find(|l| l.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("primary").contains("the default, home"), "{ran:?}");
    assert!(line("second").contains("namespace shop"), "{ran:?}");
    for args in [&["database", "check"][..], &["worker", "--until-idle"]] {
        let ran = two.tasker(args).expect(6);
        assert!(
            ran.err.contains("database `second`") && ran.err.contains("run `tasker database migrate`"),
            "{ran:?}"
        );
    }
    let ran = two.tasker(&["database", "migrate"]).expect(0);
    assert!(ran.out.contains("primary: the schema is up to date\nsecond: applied 0001_tables"), "{ran:?}");
    assert!(two.tasker(&["database", "check"]).expect(0).out.contains("every database can be used"));
    tasker_model::migrations::verify(&mut two.second.connection()).unwrap();
}

#[test]
fn a_chosen_database_needs_a_configuration_and_no_url() {
    let bench = Bench::new();
    let ran = run(command(bench.dir.path()).args(["task", "list", "--database", "second"]), "").expect(4);
    assert!(ran.err.contains("no databases are configured; write `[database.databases.primary]`"), "{ran:?}");
    let ran = bench.tasker(&["task", "list", "--database", "second"]).expect(2);
    assert!(ran.err.contains("leave --database-url and TASKER_DATABASE_URL out"), "{ran:?}");
}

/// The layout in which every environment has its databases is the one that counts.
#[test]
fn m03_d05_the_secondary_database_of_an_environment_is_found() {
    let two = Two::new(TestDatabase::new());
    let text = |name: &str| {
        format!(
            "[database.databases.primary]\nurl = \"{}\"\n[environments.production.database]\n\
             enable_secondary_database = true\nname = \"{name}\"\n\
             [environments.production.database.databases.tasker]\nurl = \"{}\"\n",
            two.home.database.url(),
            two.second.url()
        )
    };
    for name in ["tasker", ":tasker"] {
        two.home.file("tasker.toml", &text(name));
        let submit = ["submit", "shop.yaml", "--input", "i.json", "--json", "--env"];
        let ran = two.tasker(&[&submit[..], &["production"]].concat()).expect(0);
        assert_eq!(ran.json()[0]["database"], "tasker");
    }
    assert_eq!(two.home.count("select count(*) as n from tasker.tasks"), 0);
    let ran = two.tasker(&["submit", "shop.yaml", "--input", "i.json", "--json"]).expect(0);
    assert_eq!(ran.json()[0]["database"], "primary");
    assert_eq!(two.home.count("select count(*) as n from tasker.tasks"), 1);
}
