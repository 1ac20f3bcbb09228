//! Every pair of states, for both machines: what Rust says, what the SQL functions say, what the triggers
//! let an UPDATE do, and what the logs take.

use std::{collections::HashSet, fmt};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    result::{DatabaseErrorKind, Error},
    sql_types::Bool,
};
use tasker_model::{StepState, TaskState};
use tasker_state_machine::{
    Cause::{self, Engine, Operator},
    Refusal, Transition,
    guard::{GuardError, may_complete, may_start},
    step, task,
};
use tasker_testkit::TestDatabase;

const ROWS: &str = "
insert into tasker.task_namespaces (name) values ('n');
insert into tasker.named_tasks (task_namespace_id, name, version) values (1, 't', '1.0.0');
insert into tasker.task_definitions (named_task_id, content_hash, definition, failure_policy) values (1, repeat('0', 64), '{}', 'drain');
insert into tasker.dependent_systems (name) values ('s');
insert into tasker.named_steps (dependent_system_id, name) values (1, 'a');
insert into tasker.queues (task_namespace_id, handler) values (1, 'h');
insert into tasker.workers (name, handlers, lease_ms, started_at, last_seen_at, lease_until) values ('w', '{h}', 1000, now(), now(), now());";

/// What a row must say beside its state for the CHECKs to take it, as columns and values.
fn beside_step(state: StepState) -> [(&'static str, &'static str); 7] {
    let (worker, available, attempted, failed, finished, kind, attempts) = match state {
        StepState::Pending => ("null", "now()", "null", "null", "null", "null", "0"),
        StepState::InProgress => ("1", "null", "now()", "null", "null", "null", "1"),
        StepState::Complete | StepState::ResolvedManually | StepState::Cancelled => {
            ("null", "null", "now()", "null", "now()", "null", "1")
        }
        StepState::Error => ("null", "now()", "now()", "now()", "null", "'timeout'", "1"),
    };
    [
        ("worker_id", worker),
        ("available_at", available),
        ("last_attempted_at", attempted),
        ("last_failure_at", failed),
        ("finished_at", finished),
        ("failure_kind", kind),
        ("attempts", attempts),
    ]
}

fn finished(state: TaskState) -> &'static str {
    if state.is_open() { "null" } else { "now()" }
}

fn insert_task(state: TaskState) -> String {
    format!(
        "insert into tasker.tasks (named_task_id, definition_id, live_steps, requested_at, created_at, identity_hash, context, state, finished_at)
         values (1, 1, 0, now(), now(), 'i', '{{}}', '{state}', {});",
        finished(state)
    )
}

fn insert_step(state: StepState) -> String {
    let (columns, values): (Vec<_>, Vec<_>) = beside_step(state).into_iter().unzip();
    format!(
        "{} insert into tasker.workflow_steps (task_id, created_at, named_step_id, queue_id, pending_parents, total_parents, state, {})
         select task_id, now(), 1, 1, 0, 0, '{state}', {} from tasker.tasks;",
        insert_task(TaskState::Pending),
        columns.join(", "),
        values.join(", ")
    )
}

fn update_step(to: StepState) -> String {
    let changes: Vec<_> =
        beside_step(to).iter().map(|(column, value)| format!("{column} = {value}")).collect();
    format!("update tasker.workflow_steps set state = '{to}', {}", changes.join(", "))
}

fn update_task(to: TaskState) -> String {
    format!("update tasker.tasks set state = '{to}', finished_at = {}", finished(to))
}

fn log_step(from: StepState, to: StepState, actor: &str) -> String {
    let kind = if to == StepState::Error { "'timeout'" } else { "null" };
    format!(
        "insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, seq, attempt, generation, retry_limit, from_state, to_state, failure_kind, actor)
         select task_id, workflow_step_id, now(), 1, 1, 1, 3, '{from}', '{to}', {kind}, {actor} from tasker.workflow_steps"
    )
}

fn log_task(from: TaskState, to: TaskState, actor: &str) -> String {
    format!(
        "insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor)
         select task_id, now(), 1, '{from}', '{to}', {actor} from tasker.tasks"
    )
}

/// What the database made of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Taken,
    /// Under the name of a rule, or with the sentence about a transition.
    Refused(String),
}

/// Tries a statement on rows that only it sees; nothing stays.
fn attempt(conn: &mut PgConnection, rows: &str, statement: &str) -> Answer {
    let mut answer = Answer::Taken;
    let _rolled_back = conn.transaction::<(), _, _>(|conn| {
        conn.batch_execute(rows).unwrap_or_else(|e| panic!("{rows}: {e}"));
        match diesel::sql_query(statement).execute(conn) {
            Ok(1) => {}
            Ok(n) => panic!("{statement} touched {n} rows"),
            Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, info)) => {
                // Of an illegal transition, the sentence.
                let rule = info.constraint_name().filter(|name| !name.ends_with("_is_legal"));
                answer = Answer::Refused(rule.unwrap_or(info.message()).to_owned());
            }
            Err(other) => panic!("{statement}: {other}"),
        }
        Err(Error::RollbackTransaction)
    });
    answer
}

fn sql_says(conn: &mut PgConnection, subject: &str, from: &str, to: &str) -> bool {
    #[derive(QueryableByName)]
    struct Verdict {
        #[diesel(sql_type = Bool)]
        legal: bool,
    }
    let query = format!("select tasker.{subject}_transition_is_legal('{from}', '{to}') as legal");
    diesel::sql_query(query).get_result::<Verdict>(conn).unwrap_or_else(|e| panic!("{e}")).legal
}

/// One pair of one machine, asked of everything that has a say.
struct Pair {
    subject: &'static str,
    from: String,
    to: String,
    by_engine: bool,
    by_operator: bool,
    rows: String,
    update: String,
    log: String,
    log_with_actor: String,
}

fn pairs() -> Vec<Pair> {
    let mut all = vec![];
    for (from, to) in StepState::ALL.iter().flat_map(|f| StepState::ALL.iter().map(move |t| (*f, *t))) {
        all.push(Pair {
            subject: "step",
            from: from.to_string(),
            to: to.to_string(),
            by_engine: step::check(from, to, Engine).is_ok(),
            by_operator: step::check(from, to, Operator).is_ok(),
            rows: insert_step(from),
            update: update_step(to),
            log: log_step(from, to, "null"),
            log_with_actor: log_step(from, to, "'ada'"),
        });
    }
    for (from, to) in TaskState::ALL.iter().flat_map(|f| TaskState::ALL.iter().map(move |t| (*f, *t))) {
        all.push(Pair {
            subject: "task",
            from: from.to_string(),
            to: to.to_string(),
            by_engine: task::check(from, to, Engine).is_ok(),
            by_operator: task::check(from, to, Operator).is_ok(),
            rows: insert_task(from),
            update: update_task(to),
            log: log_task(from, to, "null"),
            log_with_actor: log_task(from, to, "'ada'"),
        });
    }
    all
}

#[test]
fn rust_functions_triggers_and_logs_give_one_verdict() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    conn.batch_execute(ROWS).unwrap();
    let (mut wrong, mut legal) = (vec![], 0);
    let pairs = pairs();
    assert_eq!(pairs.len(), 72);
    for p in &pairs {
        let mut expect = |what: &str, found: Answer, taken: bool, refusal: String| {
            let expected = if taken { Answer::Taken } else { Answer::Refused(refusal) };
            if found != expected {
                wrong.push(format!(
                    "{} {} -> {}: {what} is {found:?}, not {expected:?}",
                    p.subject, p.from, p.to
                ));
            }
        };
        legal += usize::from(p.by_operator);
        let function = if sql_says(conn, p.subject, &p.from, &p.to) {
            Answer::Taken
        } else {
            Answer::Refused("function".into())
        };
        expect("the function", function, p.by_operator, "function".into());
        // Writing the state that is there already is no transition, so the trigger has nothing to say.
        let update = attempt(conn, &p.rows, &p.update);
        let message = format!("a {} may not go from {} to {}", p.subject, p.from, p.to);
        expect("the update", update, p.by_operator || p.from == p.to, message);
        let illegal = format!("{}_transition_legal", p.subject);
        expect(
            "the log with an actor",
            attempt(conn, &p.rows, &p.log_with_actor),
            p.by_operator,
            illegal.clone(),
        );
        let nobody = format!("{}_operation_has_actor", p.subject);
        let refusal = if p.by_operator { nobody } else { illegal };
        expect("the log without an actor", attempt(conn, &p.rows, &p.log), p.by_engine, refusal);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(legal, step::TRANSITIONS.len() + task::TRANSITIONS.len());
}

/// The tables of architecture §4, written once more in their own words.
#[test]
fn the_tables_are_the_ones_agreed_on() {
    fn words<S: fmt::Display + Copy>(table: &[Transition<S>]) -> Vec<String> {
        table.iter().map(|t| format!("{} > {} by {:?}: {}", t.from, t.to, t.cause, t.event)).collect()
    }
    assert_eq!(
        words(step::TRANSITIONS),
        [
            "pending > in_progress by Engine: claim",
            "pending > cancelled by Operator: cancel",
            "pending > resolved_manually by Operator: resolve",
            "in_progress > complete by Engine: complete",
            "in_progress > error by Engine: fail",
            "in_progress > cancelled by Operator: cancel",
            "in_progress > pending by Engine: release",
            "error > in_progress by Engine: claim",
            "error > pending by Operator: retry",
            "error > cancelled by Operator: cancel",
            "error > resolved_manually by Operator: resolve",
            "complete > pending by Operator: reset",
            "resolved_manually > pending by Operator: reset",
            "cancelled > pending by Operator: retry",
        ]
    );
    assert_eq!(
        words(task::TRANSITIONS),
        [
            "pending > in_progress by Engine: start",
            "pending > complete by Engine: settle",
            "pending > error by Engine: settle",
            "pending > cancelled by Operator: cancel",
            "in_progress > complete by Engine: settle",
            "in_progress > error by Engine: settle",
            "in_progress > cancelled by Operator: cancel",
            "error > pending by Operator: retry",
            "error > cancelled by Operator: cancel",
            "error > resolved_manually by Operator: resolve",
            "complete > pending by Operator: reset",
            "resolved_manually > pending by Operator: reset",
            "cancelled > pending by Operator: retry",
        ]
    );
    let steps: HashSet<_> = step::TRANSITIONS.iter().map(|t| (t.from, t.to)).collect();
    let tasks: HashSet<_> = task::TRANSITIONS.iter().map(|t| (t.from, t.to)).collect();
    assert_eq!((steps.len(), tasks.len()), (14, 13), "no pair stands there twice");
}

/// A refusal names exactly what would have been legal, in the value and in the sentence.
fn assert_refusals_name_the_way_out<S>(
    all: &[S],
    subject: &str,
    check: impl Fn(S, S, Cause) -> Result<(), Refusal<S>>,
) where
    S: Copy + PartialEq + fmt::Debug + fmt::Display,
{
    for cause in [Engine, Operator] {
        for from in all.iter().copied() {
            let mut legal: Vec<S> =
                all.iter().copied().filter(|to| check(from, *to, cause).is_ok()).collect();
            for to in all.iter().copied() {
                let Err(refusal) = check(from, to, cause) else { continue };
                assert_eq!((refusal.subject, refusal.from, refusal.to), (subject, from, to));
                let mut named = refusal.legal.clone();
                named.sort_by_key(ToString::to_string);
                legal.sort_by_key(ToString::to_string);
                assert_eq!(named, legal, "{refusal}");
                assert_eq!(
                    refusal.needs_operator,
                    cause == Engine && check(from, to, Operator).is_ok(),
                    "{refusal}"
                );
                let sentence = refusal.to_string();
                let (asked, way_out) = sentence.split_once("; ").expect("two parts");
                assert!(asked.starts_with(&format!("a {from} {subject} cannot become {to}")), "{sentence}");
                assert_eq!(
                    asked.ends_with("unless an operator asks for it"),
                    refusal.needs_operator,
                    "{sentence}"
                );
                let names: Vec<_> = refusal.legal.iter().map(ToString::to_string).collect();
                match names.is_empty() {
                    true => assert_eq!(way_out, "nothing else leads on from there"),
                    false => assert_eq!(way_out, format!("it can become {}", names.join(", "))),
                }
            }
        }
    }
}

#[test]
fn refusals_name_what_would_have_been_legal() {
    assert_refusals_name_the_way_out(StepState::ALL, "step", step::check);
    assert_refusals_name_the_way_out(TaskState::ALL, "task", task::check);
}

#[test]
fn an_operator_may_do_whatever_the_engine_does_and_reopen_what_is_over() {
    for (from, to) in StepState::ALL.iter().flat_map(|f| StepState::ALL.iter().map(move |t| (*f, *t))) {
        assert!(step::check(from, to, Engine).is_err() || step::check(from, to, Operator).is_ok());
    }
    for (from, to) in TaskState::ALL.iter().flat_map(|f| TaskState::ALL.iter().map(move |t| (*f, *t))) {
        assert!(task::check(from, to, Engine).is_err() || task::check(from, to, Operator).is_ok());
    }
    for state in StepState::ALL {
        let leads_on = StepState::ALL.iter().any(|to| step::check(*state, *to, Engine).is_ok());
        assert_eq!(leads_on, !state.is_terminal(), "terminal is what only an operator leads out of: {state}");
        assert!(step::check(*state, *state, Operator).is_err(), "staying is no transition");
    }
    for state in TaskState::ALL {
        let leads_on = TaskState::ALL.iter().any(|to| task::check(*state, *to, Engine).is_ok());
        assert_eq!(leads_on, state.is_open(), "{state}");
    }
}

#[test]
fn guards_count_what_is_not_done() {
    for (n, one) in StepState::ALL.iter().enumerate() {
        for two in &StepState::ALL[n..] {
            let steps = [*one, *two, StepState::Complete];
            let open = usize::from(!one.is_done()) + usize::from(!two.is_done());
            let (start, complete) = (may_start(&steps), may_complete(&steps));
            if open == 0 {
                assert_eq!((start, complete), (Ok(()), Ok(())));
            } else {
                assert_eq!(start, Err(GuardError::ParentsPending { pending: open, total: 3 }));
                assert_eq!(complete, Err(GuardError::StepsOpen { open, total: 3 }));
            }
        }
    }
    assert_eq!(
        (may_start(&[]), may_complete(&[])),
        (Ok(()), Ok(())),
        "a root may start, an empty task completes"
    );
    let refusal = may_start(&[StepState::Cancelled, StepState::Complete]).unwrap_err();
    assert_eq!(refusal.to_string(), "the step waits for 1 of its 2 parents");
}
