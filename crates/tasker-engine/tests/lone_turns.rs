//! A turn of one report or one claim goes by plain statements, one of several by statements over arrays. What they do
//! is one thing: two databases that are led through the same history, one of them alone and one in pairs, end equal in
//! every row, and every answer on the way is the same.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use support::{Bench, HANDLER, execute, fail_fast, parts, texts};
use tasker_engine::{
    commands::{Ask, ClaimedStep, Exchanged, exchange},
    definition::{StepDefinition, WorkflowParts},
    identity::Identity,
    operations,
    report::Report,
    submit::{TaskRequest, submit},
};

/// What each history starts with: two tasks of one workflow, whose steps stand in the same order in both databases.
const TASKS: usize = 2;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// One database of the two.
struct Side {
    bench: Bench,
    /// Whether each report and each claim is a turn of its own.
    alone: bool,
}

impl Side {
    fn new(workflow: &WorkflowParts, before: &str, alone: bool) -> Self {
        let mut bench = Bench::with(workflow.clone());
        execute(&mut bench.conn, "update tasker.workers set lease_until = '2100-01-01'");
        let requests: Vec<_> = (0..TASKS).map(|n| TaskRequest::new(json!({ "task": n }))).collect();
        submit(&mut bench.conn, &bench.definition, &requests, &Identity::Random, Some(start())).unwrap();
        execute(&mut bench.conn, before);
        Self { bench, alone }
    }

    fn turn(&mut self, limit: usize, further: bool, reports: &[Report], now: DateTime<Utc>) -> Exchanged {
        let ask = Ask { limit: limit.try_into().unwrap(), further, expire: false };
        exchange(&mut self.bench.conn, self.bench.worker, ask, reports, &[], Some(now)).unwrap()
    }

    /// Claims what there is.
    fn claim(&mut self, now: DateTime<Utc>) -> Vec<Exchanged> {
        if !self.alone {
            return vec![self.turn(100, true, &[], now)];
        }
        let mut turns = vec![];
        while turns.last().is_none_or(|t: &Exchanged| !t.claimed.is_empty()) {
            turns.push(self.turn(1, true, &[], now));
        }
        turns
    }

    /// Reports that all of these succeeded, and goes on with their children.
    fn report(&mut self, steps: &[ClaimedStep], now: DateTime<Utc>) -> Vec<Exchanged> {
        let mut reports: Vec<_> =
            steps.iter().map(|s| Report::Completed(s.claim(), json!({ "of": s.step_name }))).collect();
        if self.alone {
            return reports.iter().map(|r| self.turn(100, false, std::slice::from_ref(r), now)).collect();
        }
        // One that nobody holds makes two of one.
        let nobodys = tasker_engine::commands::Claim { token: 99, ..steps[0].claim() };
        reports.push(Report::Completed(nobodys, Value::Null));
        vec![self.turn(100, false, &reports, now)]
    }

    /// Every row that a turn writes.
    fn rows(&mut self) -> Vec<String> {
        let tables = [
            ("tasks", "- 'identity_hash' - 'created_at'"),
            ("workflow_steps", "- 'created_at'"),
            ("workflow_step_transitions", ""),
            ("task_transitions", ""),
        ];
        let mut rows = vec![];
        for (table, without) in tables {
            let sql = format!(
                "select '{table} ' || (to_jsonb(t) {without})::text from tasker.{table} t order by 1"
            );
            rows.extend(texts(&mut self.bench.conn, &sql));
        }
        rows
    }
}

/// The answers of one round in words, without the order of the turns that brought them.
fn words(turns: &[Exchanged]) -> Vec<String> {
    let mut words = vec![];
    for turn in turns {
        let changes = &turn.changes;
        words.extend(turn.claimed.iter().map(|s| format!("claimed {s:?}")));
        words.extend(changes.accepted.iter().map(|s| format!("accepted {s}")));
        words.extend(changes.ready.iter().map(|s| format!("ready {s}")));
        words.extend(changes.settled.iter().map(|s| format!("settled {s:?}")));
    }
    words.sort();
    words
}

/// Leads both through the history until nothing is claimed; how many steps were run.
fn run(name: &str, workflow: &WorkflowParts, before: &str) -> usize {
    let mut sides = [true, false].map(|alone| Side::new(workflow, before, alone));
    let (mut now, mut steps, mut ran) = (start(), vec![], 0);
    for round in 0..20 {
        now += TimeDelta::seconds(1);
        let turns = if steps.is_empty() {
            sides.each_mut().map(|s| s.claim(now))
        } else {
            ran += steps.len();
            sides.each_mut().map(|s| s.report(&steps, now))
        };
        let [alone, paired] = turns.each_ref().map(|t| words(t));
        assert_eq!(alone, paired, "{name}: the answers of round {round}");
        let [alone, paired] = sides.each_mut().map(Side::rows);
        assert_eq!(alone, paired, "{name}: the rows after round {round}");
        let idle = steps.is_empty();
        steps = turns[1].iter().flat_map(|t| t.claimed.clone()).collect();
        if idle && steps.is_empty() {
            return ran;
        }
    }
    panic!("{name} does not end");
}

fn with_second_handler() -> WorkflowParts {
    let mut workflow = parts(&[("a", &[])]);
    for (name, handler) in [("b", "somebody else's"), ("c", HANDLER)] {
        let mut step = StepDefinition::new(name, handler);
        step.depends_on = vec!["a".into()];
        workflow.steps.push(step);
    }
    workflow
}

fn never_run(mut workflow: WorkflowParts, step: &str) -> WorkflowParts {
    let step = workflow.steps.iter_mut().find(|s| s.name == step).unwrap();
    step.retry_limit = 0;
    workflow
}

#[test]
fn a_turn_of_one_step_does_what_a_turn_of_several_does() {
    let chain: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &["b"])];
    let diamond: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])];
    let two_roots: &[(&str, &[&str])] = &[("a", &[]), ("b", &[]), ("c", &["a"])];
    let set = |what: &str| format!("update tasker.{what}");
    let named = |name: &str| {
        format!("named_step_id = (select named_step_id from tasker.named_steps where name = '{name}')")
    };
    let mut urgent = parts(chain);
    urgent.steps[1].priority = 1;
    let histories = [
        ("one step", parts(&[("a", &[])]), String::new(), 2),
        ("a chain", parts(chain), String::new(), 6),
        ("a chain whose second step is urgent", urgent, String::new(), 6),
        ("a diamond", parts(diamond), String::new(), 8),
        ("two roots", parts(two_roots), String::new(), 6),
        ("a child of another worker", with_second_handler(), String::new(), 4),
        ("a child that may never run", never_run(parts(chain), "b"), String::new(), 2),
        ("a root that may never run", never_run(parts(two_roots), "b"), String::new(), 4),
        (
            "a root that may never run and holds the rest",
            never_run(fail_fast(two_roots), "b"),
            String::new(),
            0,
        ),
        ("a paused queue", parts(chain), set("queues set paused_at = now()"), 0),
        (
            "a paused child",
            parts(chain),
            set(&format!("workflow_steps set paused = true where {}", named("b"))),
            2,
        ),
        (
            "a held child",
            parts(chain),
            set(&format!("workflow_steps set held = true where {}", named("b"))),
            2,
        ),
        (
            "a second attempt",
            parts(chain),
            set("workflow_steps set attempts = 1, backoff_request_seconds = 7"),
            6,
        ),
        (
            "a failed child",
            parts(chain),
            set(&format!(
                "workflow_steps set state = 'error', seq = 2, attempts = 1, failure_kind = 'timeout', last_failure_at = created_at where {}",
                named("b")
            )),
            6,
        ),
    ];
    for (name, workflow, before, expected) in histories {
        // Rows that no command would write so are set behind the guards, equally on both sides.
        let before = format!(
            "set session_replication_role = replica; {before}; set session_replication_role = origin"
        );
        assert_eq!(run(name, &workflow, &before), expected, "{name}: the steps that ran");
    }
}

/// A report that comes alone after its task was settled or its claim was lost changes nothing.
#[test]
fn a_lone_report_whose_claim_is_lost_is_refused() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    operations::cancel(&mut bench.conn, &[task], "ada", None, None).unwrap();
    let mut side = Side { bench, alone: true };
    let before = side.rows();
    let turned = side.turn(10, false, &[Report::Completed(claims["a"], json!({}))], start());
    assert_eq!((turned.changes.accepted.len(), turned.claimed.len()), (0, 0));
    assert_eq!(side.rows(), before);
    side.bench.database.assert_sound();
}
