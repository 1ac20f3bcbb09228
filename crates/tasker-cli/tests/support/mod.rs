//! Runs the built program against a database of its own and tells what came out.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use diesel::{QueryableByName, RunQueryDsl, sql_types::BigInt};
use serde_json::Value;
use tasker_testkit::TestDatabase;
use tempfile::TempDir;

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Panics unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// A database and a folder.
pub(crate) struct Bench {
    pub(crate) database: TestDatabase,
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { database: TestDatabase::new(), dir: TempDir::new().unwrap() }
    }

    /// Writes a file; returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs `tasker` with these arguments against the database.
    pub(crate) fn tasker(&self, args: &[&str]) -> Ran {
        self.tasker_with(args, "")
    }

    /// The same with a stdin.
    pub(crate) fn tasker_with(&self, args: &[&str], stdin: &str) -> Ran {
        run(command(self.dir.path()).env("TASKER_DATABASE_URL", self.database.url()).args(args), stdin)
    }

    /// Starts `tasker` and does not wait.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = command(self.dir.path());
        command.env("TASKER_DATABASE_URL", self.database.url()).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn count(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let counted: Count = diesel::sql_query(sql)
            .get_result(&mut self.database.connection())
            .unwrap_or_else(|e| panic!("{e}"));
        counted.n
    }

    /// Nothing at all was submitted, not even a definition.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, why: &str) {
        let sql = "select (select count(*) from tasker.tasks) + (select count(*) from tasker.task_definitions) as n";
        assert_eq!(self.count(sql), 0, "{why}: something was written");
    }

    pub(crate) fn execute(&self, sql: &str) {
        diesel::sql_query(sql)
            .execute(&mut self.database.connection())
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

/// The program with nothing of the developer's own environment that it would read.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasker"));
    command.current_dir(dir).env("USER", "tester");
    for name in [
        "TASKER_DATABASE_URL",
        "DATABASE_URL",
        "RUST_LOG",
        "NO_COLOR",
        "TASKER_CONFIG",
        "TASKER_ENV",
        "UNSET_IN_TESTS",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, stdin: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that has refused its arguments does not read.
    let _not_read = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    ended(child)
}

/// Waits for the end of a program.
pub(crate) fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Adds prices up; asks for an array.
pub(crate) const PRICES: &str = r#"
name: prices
namespace_name: shop
version: 1.2.0
schema:
  type: object
  required: [items]
  properties: { items: { type: array } }
step_templates:
  - name: load
    handler_class: jq
    handler_config: { filter: .context.items }
  - name: total
    handler_class: jq
    depends_on_step: load
    handler_config: { filter: ".steps.load | map(.price) | add" }
  - name: count
    handler_class: jq
    depends_on_step: load
    skippable: true
    handler_config: { filter: ".steps.load | length" }
  - name: report
    handler_class: jq
    depends_on_steps: [total, count]
    handler_config: { filter: "{total: .steps.total, count: .steps.count}" }
"#;

/// `judge` fails for good where the context says `bad`.
pub(crate) const TROUBLE: &str = r#"
name: trouble
namespace_name: shop
step_templates:
  - name: fetch
    handler_class: jq
    handler_config: { filter: .context }
  - name: judge
    handler_class: jq
    depends_on_step: fetch
    handler_config: { filter: 'if .context.bad then error("it is bad") else 1 end' }
  - name: ship
    handler_class: jq
    depends_on_step: judge
    handler_config: { filter: .steps.judge }
"#;
