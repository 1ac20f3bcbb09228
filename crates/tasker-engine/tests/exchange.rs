//! A worker's turn: what it goes on with, what it claims, where it reads on, and whom it wakes.

mod support;

use diesel::PgConnection;
use serde_json::json;
use support::{Bench, HANDLER, execute, number, parts, register, texts};
use tasker_engine::{
    commands::{self, Ask, Claim, Exchanged, Head, NewTasks, exchange, submit_and_exchange},
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    report::Report,
};
use tasker_model::{StepState, TaskState, WorkerId};

fn done(claim: &Claim) -> Report {
    Report::Completed(*claim, json!({ "by": claim.token }))
}

fn turn(conn: &mut PgConnection, worker: WorkerId, limit: i32, reports: &[Report]) -> Exchanged {
    exchange(conn, worker, Ask { limit, further: true, expire: false }, reports, &[], None).unwrap()
}

fn names(exchanged: &Exchanged) -> Vec<&str> {
    exchanged.claimed.iter().map(|s| s.step_name.as_str()).collect()
}

/// What has been told since the last call.
fn listening(bench: &Bench) -> impl FnMut() -> Vec<String> + use<> {
    let mut listener = bench.database.connection();
    execute(&mut listener, "listen tasker");
    move || {
        execute(&mut listener, "select 1");
        let mut payloads: Vec<String> =
            listener.notifications_iter().filter_map(Result::ok).map(|n| n.payload).collect();
        payloads.sort();
        payloads
    }
}

#[test]
fn a_chain_is_gone_on_with_in_the_commit_that_completes_its_parent() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    let turned = turn(&mut bench.conn, bench.worker, 10, &[done(&claims["a"])]);
    assert_eq!((names(&turned), &turned.changes.ready), (vec!["b"], &vec![]));
    let next = &turned.claimed[0];
    assert_eq!(next.parent_results, json!({ "a": { "by": 1 } }));
    assert_eq!((next.token, next.attempt), (1, 1));
    assert_eq!(bench.step_state(task, "b"), StepState::InProgress);
    let log = "select concat_ws(' ', from_state, to_state, worker_id) from tasker.workflow_step_transitions order by at, seq";
    assert_eq!(texts(&mut bench.conn, log)[2], format!("pending in_progress {}", bench.worker));
    bench.database.assert_sound();
    let last = turn(&mut bench.conn, bench.worker, 10, &[done(&next.claim())]);
    assert_eq!(last.changes.settled, [(task, TaskState::Complete)]);
    bench.database.assert_sound();
}

#[test]
fn it_goes_on_with_no_more_than_it_may_take() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["a"])]);
    let (_, claims) = bench.started();
    let turned = turn(&mut bench.conn, bench.worker, 2, &[done(&claims["a"])]);
    assert_eq!((turned.claimed.len(), turned.changes.ready.len()), (2, 1));
    assert_eq!(turn(&mut bench.conn, bench.worker, 2, &[]).claimed.len(), 1);
    bench.database.assert_sound();
}

#[test]
fn nothing_of_a_higher_priority_is_passed_over() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (_, claims) = bench.started();
    let mut urgent = parts(&[("u", &[])]);
    urgent.name = "urgent".into();
    urgent.steps[0].priority = 1;
    bench.definition = WorkflowDefinition::new(urgent).unwrap();
    bench.submit();
    let turned = turn(&mut bench.conn, bench.worker, 1, &[done(&claims["a"])]);
    assert_eq!((names(&turned), turned.changes.ready.len()), (vec!["u"], 1));
    // Both at once where there is room, in the order of their priority.
    let turned = turn(&mut bench.conn, bench.worker, 5, &[done(&turned.claimed[0].claim())]);
    assert_eq!(names(&turned), ["b"]);
    bench.database.assert_sound();
}

/// A short turn claims nothing else for now: it leaves the last place to what waits above, and only that one.
#[test]
fn a_short_turn_leaves_the_last_place_to_a_higher_priority() {
    for (places, goes_on) in [(1, false), (2, true)] {
        let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
        let (_, claims) = bench.started();
        let mut urgent = parts(&[("u", &[])]);
        urgent.name = "urgent".into();
        urgent.steps[0].priority = 1;
        bench.definition = WorkflowDefinition::new(urgent).unwrap();
        bench.submit();
        let ask = Ask { limit: places, further: false, expire: false };
        let turned = exchange(&mut bench.conn, bench.worker, ask, &[done(&claims["a"])], &[], None).unwrap();
        assert_eq!(
            (names(&turned) == ["b"], turned.changes.ready.is_empty()),
            (goes_on, goes_on),
            "{places}"
        );
        bench.database.assert_sound();
    }
}

#[test]
fn a_queue_that_is_paused_or_somebody_elses_is_not_gone_on_with() {
    let mut steps = WorkflowParts::new("two handlers");
    steps.steps.push(StepDefinition::new("a", HANDLER));
    for (name, handler) in [("b", "other"), ("c", HANDLER)] {
        let mut step = StepDefinition::new(name, handler);
        step.depends_on = vec!["a".into()];
        steps.steps.push(step);
    }
    let mut bench = Bench::with(steps);
    let (_, claims) = bench.started();
    execute(
        &mut bench.conn,
        &format!("update tasker.queues set paused_at = now() where handler = '{HANDLER}'"),
    );
    let turned = turn(&mut bench.conn, bench.worker, 9, &[done(&claims["a"])]);
    assert_eq!((turned.claimed.len(), turned.changes.ready.len()), (0, 2));
    execute(&mut bench.conn, "update tasker.queues set paused_at = null");
    assert_eq!(names(&turn(&mut bench.conn, bench.worker, 9, &[])), ["c"], "b has no worker here");
}

#[test]
fn a_worker_whose_lease_ran_out_reports_and_takes_nothing() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    execute(&mut bench.conn, "update tasker.workers set lease_until = now() - interval '1 s'");
    let turned = turn(&mut bench.conn, bench.worker, 9, &[done(&claims["a"])]);
    assert_eq!((turned.changes.accepted.len(), turned.claimed.len()), (1, 0));
    assert_eq!(bench.step_state(task, "b"), StepState::Pending);
}

#[test]
fn a_join_is_taken_once_by_whoever_ends_its_last_parent() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &[]), ("join", &["a", "b"])]);
    let (task, claims) = bench.started();
    let worker = bench.worker;
    bench.begin();
    assert_eq!(turn(&mut bench.conn, worker, 9, &[done(&claims["a"])]).claimed.len(), 0);
    let other = register(&mut bench.database.connection(), 3_600_000);
    let report = done(&claims["b"]);
    let second = bench.blocked(move |conn| turn(conn, other, 9, &[report]));
    bench.commit();
    assert_eq!(names(&second.join().unwrap()), ["join"]);
    assert_eq!(bench.step(task, "join").worker_id, Some(other));
    bench.database.assert_sound();
}

#[test]
fn a_short_turn_goes_on_with_children_and_leaves_other_work_to_the_next() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    bench.submit();
    let ask = |further| Ask { limit: 9, further, expire: false };
    let report = [done(&claims["a"])];
    let short = exchange(&mut bench.conn, bench.worker, ask(false), &report, &[], None).unwrap();
    assert_eq!((names(&short), short.due_in_ms), (vec!["b"], None));
    assert_eq!(short.claimed[0].task_id, task);
    let report = [done(&short.claimed[0].claim())];
    let none = exchange(&mut bench.conn, bench.worker, ask(false), &report, &[], None).unwrap();
    assert_eq!((none.claimed.len(), none.changes.settled.len()), (0, 1));
    let next = exchange(&mut bench.conn, bench.worker, ask(true), &[], &[], None).unwrap();
    assert_eq!(names(&next), ["a"]);
    bench.database.assert_sound();
}

#[test]
fn a_claim_reads_on_behind_a_head_and_a_sweep_finds_what_stands_before_it() {
    let mut bench = Bench::new(&[("a", &[])]);
    let tasks: Vec<_> = (0..4).map(|_| bench.submit()).collect();
    let first = turn(&mut bench.conn, bench.worker, 2, &[]);
    assert_eq!(first.claimed.iter().map(|s| s.task_id).collect::<Vec<_>>(), tasks[..2]);
    let [head] = &first.heads[..] else { panic!("{:?}", first.heads) };
    assert_eq!(head.step_id, first.claimed[1].step_id.0);
    // The third was given back with an older instant than the head's: it stands before it.
    let behind = |conn: &mut PgConnection, heads: &[Head]| {
        let ask = Ask { limit: 9, further: true, expire: false };
        exchange(conn, bench.worker, ask, &[], heads, None).unwrap()
    };
    let moved =
        "update tasker.workflow_steps set available_at = available_at - interval '1 h' where task_id = ";
    execute(&mut bench.conn, &format!("{moved}{}", tasks[2]));
    let next = behind(&mut bench.conn, &first.heads);
    assert_eq!(next.claimed.iter().map(|s| s.task_id).collect::<Vec<_>>(), tasks[3..]);
    assert_eq!(behind(&mut bench.conn, &next.heads).claimed, []);
    assert_eq!(behind(&mut bench.conn, &[]).claimed[0].task_id, tasks[2]);
}

#[test]
fn an_idle_turn_says_when_to_look_again() {
    let mut bench = Bench::new(&[("a", &[])]);
    assert_eq!(turn(&mut bench.conn, bench.worker, 9, &[]).due_in_ms, None, "nothing waits for anything");
    let (_, claims) = bench.started();
    let mut failed = support::failed(claims["a"], tasker_model::FailureKind::Retryable);
    failed.delay_ms = 60_000;
    commands::fail(&mut bench.conn, &[failed], None).unwrap();
    let due = turn(&mut bench.conn, bench.worker, 9, &[]).due_in_ms.unwrap();
    assert!((50_000..=60_000).contains(&due), "{due}");
    // Another worker's lease runs out earlier than that.
    register(&mut bench.conn, 5_000);
    let due = turn(&mut bench.conn, bench.worker, 9, &[]).due_in_ms.unwrap();
    assert!((1..=5_000).contains(&due), "{due}");
}

#[test]
fn workers_are_woken_only_while_one_waits() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let mut listener = bench.database.connection();
    execute(&mut listener, "listen tasker");
    let mut heard = move || {
        execute(&mut listener, "select 1");
        listener.notifications_iter().filter_map(Result::ok).filter(|n| n.payload.is_empty()).count()
    };
    bench.submit();
    assert_eq!(heard(), 0, "nobody waits");
    turn(&mut bench.conn, bench.worker, 9, &[]);
    let idle = register(&mut bench.conn, 3_600_000);
    turn(&mut bench.conn, idle, 9, &[]);
    assert_eq!(number(&mut bench.conn, "select count(*) from tasker.workers where waiting"), 1);
    bench.submit();
    assert_eq!(heard(), 1);
    let busy = turn(&mut bench.conn, idle, 9, &[]);
    bench.submit();
    assert_eq!(heard(), 1, "with places left it goes on being told");
    turn(&mut bench.conn, idle, 1, &[]);
    assert_eq!(number(&mut bench.conn, "select count(*) from tasker.workers where waiting"), 0);
    bench.submit();
    assert_eq!(heard(), 0, "with none left it is not");
    // What is gone on with is nobody else's business; what is left behind is.
    turn(&mut bench.conn, bench.worker, 9, &[]);
    turn(&mut bench.conn, bench.worker, 9, &[]);
    turn(&mut bench.conn, idle, 1, &[done(&busy.claimed[0].claim())]);
    assert_eq!(heard(), 0);
}

#[test]
fn a_report_wakes_workers_where_it_leaves_a_child_to_them() {
    for alone in [false, true] {
        let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
        let (_, claims) = bench.started();
        let idle = register(&mut bench.conn, 3_600_000);
        turn(&mut bench.conn, idle, 9, &[]);
        let mut heard = listening(&bench);
        let report = |bench: &mut Bench, claim: Claim| match alone {
            true => turn(&mut bench.conn, bench.worker, 0, &[done(&claim)]).changes,
            false => bench.complete(claim),
        };
        assert_eq!(report(&mut bench, claims["a"]).ready.len(), 1);
        assert_eq!(heard(), [""], "alone: {alone}");
        let last = bench.claims()["b"];
        assert_eq!(report(&mut bench, last).settled.len(), 1);
        assert_eq!(heard(), [] as [&str; 0], "alone: {alone}");
    }
}

#[test]
fn what_an_operator_does_reaches_whoever_waits_and_whoever_runs_it() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let mut heard = listening(&bench);
    let (task, claims) = bench.started();
    let idle = register(&mut bench.conn, 3_600_000);
    turn(&mut bench.conn, idle, 9, &[]);
    let operate = |bench: &mut Bench, call: &str, step: &str| {
        let step = claims.get(step).map_or_else(|| bench.step(task, step).workflow_step_id, |c| c.step_id);
        execute(
            &mut bench.conn,
            &format!("select tasker.{}", call.replace('$', &format!("'{{{task}}}', '{{{step}}}'"))),
        );
    };
    operate(&mut bench, "reset_steps($, true, 'ada', 'again')", "a");
    assert_eq!(heard(), ["", "check"], "it is available again, and was running");
    operate(&mut bench, "reset_steps($, true, 'ada', 'again')", "a");
    assert_eq!(heard(), [] as [&str; 0], "nothing was to do");
    operate(&mut bench, "resolve_steps($, '{null}', 'ada', 'by hand')", "a");
    assert_eq!(heard(), [""], "the child is available");
}

#[test]
fn a_renewal_tells_what_is_lost_and_what_was_forgotten() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &[]), ("c", &[])]);
    let (_, claims) = bench.started();
    bench.complete(claims["a"]);
    let known = [claims["a"], claims["b"]];
    let renewed = commands::renew_worker_with(&mut bench.conn, bench.worker, &known, None).unwrap();
    assert!(renewed.alive);
    assert_eq!((renewed.lost, renewed.others), (vec![claims["a"]], vec![claims["c"]]));
    commands::end_worker(&mut bench.conn, bench.worker, None).unwrap();
    let over = commands::renew_worker_with(&mut bench.conn, bench.worker, &known, None).unwrap();
    assert_eq!(over, commands::Renewed::default());
}

/// What the engine's submission writes of one request for each identity.
fn new_tasks(definition: &WorkflowDefinition, identities: &[&str]) -> NewTasks {
    let requests = identities.iter().map(|i| json!({ "context": {}, "identity_hash": i })).collect();
    NewTasks {
        definition: serde_json::to_value(definition).unwrap(),
        hash: definition.content_hash(),
        requests,
    }
}

#[test]
fn a_submission_by_way_of_a_worker_claims_in_its_own_commit() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &[]), ("c", &["a", "b"])]);
    let old = bench.submit();
    let [tasks, more] = [&["one", "two", "one"][..], &["three"]].map(|i| new_tasks(&bench.definition, i));
    let mut listener = bench.database.connection();
    execute(&mut listener, "listen tasker");
    let mut told = || {
        execute(&mut listener, "select 1");
        listener.notifications_iter().filter_map(Result::ok).count()
    };
    let other = register(&mut bench.conn, 3_600_000);
    assert_eq!(turn(&mut bench.conn, other, 2, &[]).claimed.len(), 2, "of the old task");
    assert_eq!(turn(&mut bench.conn, other, 2, &[]).claimed.len(), 0, "and it waits");
    let mut submit = |tasks| submit_and_exchange(&mut bench.conn, tasks, bench.worker, 3, &[], None).unwrap();
    let (created, exchanged) = submit(&tasks);
    let (one, two) = (created[0].1, created[1].1);
    assert_eq!(created, [(0, one, true), (1, two, true), (2, one, false)]);
    let claimed: Vec<_> = exchanged.claimed.iter().map(|s| (s.task_id, s.step_name.as_str())).collect();
    assert_eq!(claimed, [(one, "a"), (one, "b"), (two, "a")], "not {old}");
    assert_eq!(exchanged.heads.len(), 1);
    assert_eq!(told(), 1, "one step is left");
    // The tasks are there: it is a turn like any other, and claims what was left.
    let (created, exchanged) = submit(&tasks);
    assert_eq!(created, [(0, one, false), (1, two, false), (2, one, false)]);
    assert_eq!((names(&exchanged), told()), (vec!["b"], 0));
    assert_eq!((names(&submit(&more).1), told()), (vec!["a", "b"], 0), "nothing is left to be told of");
    bench.database.assert_sound();
}

#[test]
fn a_submission_by_way_of_a_worker_that_is_over_is_a_submission() {
    let mut bench = Bench::new(&[("a", &[])]);
    let tasks = new_tasks(&bench.definition, &["one"]);
    execute(&mut bench.conn, "update tasker.workers set lease_until = now() - interval '1 ms'");
    let (created, exchanged) =
        submit_and_exchange(&mut bench.conn, &tasks, bench.worker, 9, &[], None).unwrap();
    assert_eq!((created.len(), exchanged), (1, Exchanged::default()));
    assert_eq!(bench.step_state(created[0].1, "a"), StepState::Pending);
    bench.database.assert_sound();
}

#[test]
fn a_submission_that_is_refused_claims_nothing() {
    let mut bench = Bench::new(&[("a", &[])]);
    let task = bench.submit();
    let mut tasks = new_tasks(&bench.definition, &["one"]);
    tasks.requests[0]["initiator"] = "x".repeat(129).into();
    submit_and_exchange(&mut bench.conn, &tasks, bench.worker, 9, &[], None).unwrap_err();
    assert_eq!(bench.step_state(task, "a"), StepState::Pending);
    assert_eq!(number(&mut bench.conn, "select count(*) from tasker.tasks"), 1);
}
