//! The decisions of a worker, one situation at a time, on a clock that the test moves.

mod bounds;

use std::time::Duration;

use serde_json::Value;
use tasker_engine::{
    commands::Claim,
    report::Report,
    worker::core::{Action, Answer, Core, End, Exchange, Limits},
};
use tasker_model::{StepId, TaskId};

const MS: Duration = Duration::from_millis(1);

fn limits() -> Limits {
    Limits {
        capacity: 4,
        batch: 3,
        poll_min: 10 * MS,
        poll_max: 80 * MS,
        poll_notified: 1_000 * MS,
        lease: 3_000 * MS,
        drain: 500 * MS,
        until_idle: false,
    }
}

fn core() -> Core {
    Core::new(limits(), Duration::ZERO)
}

fn claim(step: i64) -> Claim {
    Claim { task_id: TaskId(1), step_id: StepId(step), token: 1 }
}

fn claims(steps: impl IntoIterator<Item = i64>) -> Vec<Claim> {
    steps.into_iter().map(claim).collect()
}

fn done(step: i64) -> Option<Report> {
    Some(Report::Completed(claim(step), Value::Null))
}

fn turn(core: &mut Core, now: Duration) -> Exchange {
    match core.next(now) {
        Some(Action::Exchange(exchange)) => exchange,
        other => panic!("at {now:?} a turn was expected, not {other:?}"),
    }
}

fn answer(core: &mut Core, now: Duration, exchange: &Exchange, claimed: Vec<Claim>) {
    core.exchanged(now, exchange.id, Answer { claimed, ..Answer::default() });
}

/// A core that runs these steps and knows that there are no more.
fn running(steps: std::ops::RangeInclusive<i64>) -> Core {
    let mut core = core();
    let first = turn(&mut core, Duration::ZERO);
    answer(&mut core, MS, &first, claims(steps));
    if let Some(Action::Exchange(more)) = core.next(MS) {
        answer(&mut core, MS, &more, vec![]);
    }
    core
}

#[test]
fn a_claim_asks_for_the_free_places_and_no_more() {
    let mut core = core();
    let first = turn(&mut core, Duration::ZERO);
    assert_eq!((first.claim, first.reports.len(), first.expire), (4, 0, true));
    assert_eq!(core.next(Duration::ZERO), None, "what is asked for takes its places already");
    answer(&mut core, MS, &first, claims(1..=3));
    let mut core = running(1..=3);
    assert_eq!(core.next(5 * MS), None);
    let poll = turn(&mut core, 200 * MS);
    assert_eq!(poll.claim, 1);
}

#[test]
fn what_ended_is_reported_together_with_a_claim_for_its_places() {
    let mut core = running(1..=4);
    core.ended(claim(1), done(1));
    core.ended(claim(2), done(2));
    let exchange = turn(&mut core, 2 * MS);
    assert_eq!((exchange.reports.len(), exchange.claim, exchange.expire), (2, 2, false));
    // The next report waits for the answer, and then carries whatever came meanwhile.
    core.ended(claim(3), done(3));
    assert_eq!(core.next(2 * MS), None);
    answer(&mut core, 3 * MS, &exchange, claims([5]));
    assert_eq!(turn(&mut core, 3 * MS).reports.len(), 1);
}

#[test]
fn a_batch_is_bounded() {
    let mut core = running(1..=4);
    (1..=4).for_each(|s| core.ended(claim(s), done(s)));
    let first = turn(&mut core, 2 * MS);
    assert_eq!((first.reports.len(), first.claim), (3, 3), "the fourth still takes its place");
    answer(&mut core, 3 * MS, &first, vec![]);
    assert_eq!(turn(&mut core, 3 * MS).reports.len(), 1);
}

#[test]
fn pauses_double_up_to_the_longest_and_end_with_work() {
    let mut core = core();
    let (mut now, mut pauses) = (Duration::ZERO, vec![]);
    for _ in 0..6 {
        let look = turn(&mut core, now);
        answer(&mut core, now, &look, vec![]);
        assert_eq!(core.next(now), None);
        pauses.push((core.wake_at() - now).as_millis());
        now = core.wake_at();
    }
    assert_eq!(pauses, [10, 20, 40, 80, 80, 80]);
    let look = turn(&mut core, now);
    answer(&mut core, now, &look, claims([1]));
    assert_eq!(core.wake_at() - now, 10 * MS);
}

#[test]
fn notifications_make_pauses_long_and_their_end_short() {
    let mut core = Core::new(Limits { lease: 60_000 * MS, ..limits() }, Duration::ZERO);
    core.set_notified(Duration::ZERO, true);
    let (mut now, mut pauses) = (Duration::ZERO, vec![]);
    for _ in 0..9 {
        let look = turn(&mut core, now);
        answer(&mut core, now, &look, vec![]);
        pauses.push((core.wake_at() - now).as_millis());
        now = core.wake_at();
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    let look = turn(&mut core, now);
    answer(&mut core, now, &look, vec![]);
    core.set_notified(now, false);
    turn(&mut core, now);
}

#[test]
fn a_due_instant_ends_the_pause() {
    let mut core = core();
    let look = turn(&mut core, Duration::ZERO);
    core.exchanged(Duration::ZERO, look.id, Answer { due_in: Some(3 * MS), ..Answer::default() });
    assert_eq!(core.wake_at(), 3 * MS);
    turn(&mut core, 3 * MS);
}

#[test]
fn a_notification_during_a_look_means_one_more() {
    let mut core = core();
    let look = turn(&mut core, Duration::ZERO);
    core.woken();
    answer(&mut core, MS, &look, vec![]);
    let again = core.wake_at();
    assert!(again <= 2 * MS, "{again:?}");
    turn(&mut core, again);
}

#[test]
fn fruitless_notifications_are_spaced() {
    let mut core = core();
    let (mut now, mut looks) = (Duration::ZERO, 0);
    while now < 1_000 * MS {
        core.woken();
        if let Some(Action::Exchange(look)) = core.next(now) {
            looks += 1;
            answer(&mut core, now, &look, vec![]);
        }
        now += MS;
    }
    assert!(looks < 25, "{looks} looks in a second of notifications about somebody else's work");
}

#[test]
fn a_full_answer_is_followed_by_another_look_when_a_place_is_free() {
    let mut core = core();
    let first = turn(&mut core, Duration::ZERO);
    answer(&mut core, MS, &first, claims(1..=4));
    assert_eq!(core.next(MS), None);
    core.ended(claim(1), None);
    assert_eq!(
        turn(&mut core, 2 * MS).claim,
        1,
        "a transactional step freed its place, its children may be ready"
    );
}

#[test]
fn a_refused_turn_is_tried_again_with_its_reports_and_patience() {
    let mut core =
        Core::new(Limits { poll_max: 20_000 * MS, lease: 60_000 * MS, ..limits() }, Duration::ZERO);
    let first = turn(&mut core, Duration::ZERO);
    answer(&mut core, MS, &first, claims(1..=4));
    core.ended(claim(1), done(1));
    let mut now = 2 * MS;
    for wait in [50, 100, 200, 400, 800, 1_600, 2_000, 2_000] {
        let exchange = turn(&mut core, now);
        assert_eq!(exchange.reports.len(), 1);
        core.refused(now, exchange.id);
        assert_eq!(core.next(now), None);
        now += Duration::from_millis(wait);
        assert_eq!(core.wake_at(), now);
    }
}

#[test]
fn the_lease_is_renewed_three_times_in_its_length_and_never_after_it() {
    let mut core = running(1..=1);
    assert!(matches!(core.next(1_000 * MS), Some(Action::Renew(claims)) if claims == [claim(1)]));
    core.renewed(1_000 * MS, true, &[], &[]);
    assert!(matches!(core.next(2_000 * MS), Some(Action::Renew(_))));
    core.not_renewed(2_001 * MS);
    assert!(core.wake_at() < 2_500 * MS, "a failed renewal is tried again soon");
    let stop = core.next(4_000 * MS);
    assert_eq!(stop, Some(Action::Stop(claims([1]))), "the lease of one second ago has run out");
    core.ended(claim(1), Some(Report::Released(claim(1))));
    let report = turn(&mut core, 4_001 * MS);
    assert_eq!(report.claim, 0);
    core.refused(4_002 * MS, report.id);
    assert_eq!(core.next(4_003 * MS), Some(Action::Over(End::Expired)), "nobody waits for what is lost");
}

/// The turn before took steps back, so this one does not; no notification tells that a lease has run out.
#[test]
fn a_lease_that_ran_out_just_after_a_look_is_looked_at_within_a_poll() {
    let mut core = Core::new(Limits { lease: 3_600_000 * MS, ..limits() }, Duration::ZERO);
    core.set_notified(Duration::ZERO, true);
    let mut now = Duration::ZERO;
    let found = |due_in| Answer { due_in, ..Answer::default() };
    for _ in 0..8 {
        let look = turn(&mut core, now);
        core.exchanged(now, look.id, found(None));
        now = core.wake_at();
    }
    let look = turn(&mut core, now);
    assert!(look.expire);
    core.exchanged(now, look.id, found(Some(30 * MS)));
    let look = turn(&mut core, now + 30 * MS);
    assert!(!look.expire);
    core.exchanged(now + 30 * MS, look.id, found(Some(Duration::ZERO)));
    assert_eq!(core.wake_at(), now + 80 * MS);
    assert!(turn(&mut core, now + 80 * MS).expire);
}

#[test]
fn a_lease_that_is_gone_stops_everything() {
    let mut core = running(1..=2);
    core.renewed(1_000 * MS, false, &[], &[]);
    assert_eq!(core.next(1_000 * MS), Some(Action::Stop(claims([1, 2]))));
    assert_eq!(core.next(1_000 * MS), None, "no claim, no renewal");
}

#[test]
fn a_lost_claim_is_told_to_stop_unless_it_was_claimed_anew() {
    let mut core = running(1..=2);
    let old = Claim { token: 0, ..claim(2) };
    core.renewed(MS, true, &[claim(1), old], &[]);
    assert_eq!(core.next(MS), Some(Action::Stop(claims([1]))));
}

#[test]
fn a_claim_that_nobody_knows_of_is_given_back_after_two_renewals() {
    let mut core = running(1..=1);
    core.renewed(1_000 * MS, true, &[], &claims([1, 9]));
    assert!(!core.held().contains(&claim(9)), "its answer may be on the way");
    core.renewed(2_000 * MS, true, &[], &claims([1, 9]));
    let exchange = turn(&mut core, 2_000 * MS);
    let reports = if exchange.reports.is_empty() {
        answer(&mut core, 2_000 * MS, &exchange, vec![]);
        turn(&mut core, 2_000 * MS).reports
    } else {
        exchange.reports
    };
    assert_eq!(*reports, [Report::Released(claim(9))]);
}

#[test]
fn a_claim_whose_answer_is_on_its_way_is_not_given_back() {
    let mut core = core();
    let slow = turn(&mut core, Duration::ZERO);
    core.renewed(1_000 * MS, true, &[], &claims([9]));
    core.renewed(2_000 * MS, true, &[], &claims([9]));
    answer(&mut core, 2_500 * MS, &slow, claims([9]));
    assert_eq!(core.held(), claims([9]), "it runs, and nothing is reported of it");
    // The same for a turn that began before the claim was found and whose answer is lost.
    let mut core = self::core();
    let lost = turn(&mut core, Duration::ZERO);
    core.renewed(1_000 * MS, true, &[], &claims([9]));
    core.refused(1_500 * MS, lost.id);
    core.renewed(2_000 * MS, true, &[], &claims([9]));
    assert_eq!(core.held(), claims([9]), "it is to be given back");
}

#[test]
fn while_handlers_of_an_expired_lease_end_nothing_wakes_the_worker() {
    let mut core = running(1..=1);
    assert_eq!(core.next(3_000 * MS), Some(Action::Stop(claims([1]))));
    assert_eq!(core.next(3_000 * MS), None);
    assert_eq!(core.wake_at(), Duration::MAX);
}

#[test]
fn a_stop_drains_and_then_tells_what_still_runs() {
    let mut core = running(1..=2);
    assert!(!core.is_stopping());
    core.stop(10 * MS);
    assert!(core.is_stopping());
    core.ended(claim(1), done(1));
    let report = turn(&mut core, 11 * MS);
    assert_eq!((report.reports.len(), report.claim), (1, 0));
    answer(&mut core, 12 * MS, &report, vec![]);
    assert_eq!(core.next(509 * MS), None);
    assert_eq!(core.wake_at(), 510 * MS);
    assert_eq!(core.next(510 * MS), Some(Action::Stop(claims([2]))));
    core.ended(claim(2), Some(Report::Released(claim(2))));
    let report = turn(&mut core, 511 * MS);
    answer(&mut core, 512 * MS, &report, vec![]);
    assert_eq!(core.next(512 * MS), Some(Action::Over(End::Stopped)));
    assert_eq!(core.next(513 * MS), None);
}

#[test]
fn until_idle_ends_when_nobody_has_anything_left() {
    let mut core = Core::new(Limits { until_idle: true, ..limits() }, Duration::ZERO);
    let look = turn(&mut core, Duration::ZERO);
    answer(&mut core, MS, &look, vec![]);
    assert_eq!(core.next(MS), Some(Action::AskDrained));
    assert_eq!(core.next(MS), None);
    core.drained(2 * MS, false);
    let look = turn(&mut core, 20 * MS);
    answer(&mut core, 21 * MS, &look, vec![]);
    assert_eq!(core.next(21 * MS), Some(Action::AskDrained));
    core.drained(22 * MS, true);
    assert_eq!(core.next(22 * MS), Some(Action::Over(End::Stopped)));
}

#[test]
fn a_turn_of_few_reports_leaves_other_work_to_the_next() {
    let mut core = running(1..=1);
    core.ended(claim(1), done(1));
    let short = turn(&mut core, 2 * MS);
    assert_eq!((short.reports.len(), short.claim, short.further), (1, 4, false));
    answer(&mut core, 3 * MS, &short, vec![]);
    let look = turn(&mut core, 3 * MS);
    assert_eq!((look.reports.len(), look.further), (0, true), "the next comes at once");
    answer(&mut core, 4 * MS, &look, vec![]);
    assert_eq!(core.next(4 * MS), None);
}

#[test]
fn a_chain_looks_for_other_work_every_few_milliseconds() {
    let mut core = running(1..=1);
    core.ended(claim(1), done(1));
    let short = turn(&mut core, 2 * MS);
    assert!(!short.further);
    answer(&mut core, 3 * MS, &short, claims([2]));
    assert_eq!(core.next(3 * MS), None, "the child runs");
    assert!(core.wake_at() <= 21 * MS, "{:?}", core.wake_at());
    core.ended(claim(2), done(2));
    assert!(turn(&mut core, 21 * MS).further, "the last look is older than that");
}

#[test]
fn a_chain_does_not_put_off_what_is_due() {
    let mut core = running(1..=1);
    core.woken();
    let look = turn(&mut core, 2 * MS);
    core.exchanged(2 * MS, look.id, Answer { due_in: Some(4 * MS), ..Answer::default() });
    core.ended(claim(1), done(1));
    let short = turn(&mut core, 3 * MS);
    assert!(!short.further);
    answer(&mut core, 4 * MS, &short, claims([2]));
    assert_eq!(core.wake_at(), 6 * MS);
}

#[test]
fn whoever_was_woken_looks_with_the_next_report() {
    let mut core = running(1..=1);
    core.woken();
    core.ended(claim(1), done(1));
    let exchange = turn(&mut core, 2 * MS);
    assert_eq!((exchange.reports.len(), exchange.further), (1, true));
}

/// The looks of a chain that find no other work do not make the next task wait.
#[test]
fn a_chain_keeps_pauses_short() {
    let mut core = Core::new(Limits { lease: 60_000 * MS, ..limits() }, Duration::ZERO);
    core.set_notified(Duration::ZERO, true);
    let first = turn(&mut core, Duration::ZERO);
    answer(&mut core, Duration::ZERO, &first, claims([1]));
    let (mut now, mut looks) = (Duration::ZERO, 0);
    for step in 1..=20 {
        now += 21 * MS;
        while let Some(Action::Exchange(look)) = core.next(now) {
            assert!(look.reports.is_empty());
            looks += 1;
            answer(&mut core, now, &look, vec![]);
        }
        core.ended(claim(step), done(step));
        let report = turn(&mut core, now);
        answer(&mut core, now, &report, if step < 20 { claims([step + 1]) } else { vec![] });
    }
    assert!(looks > 5, "it looked {looks} times");
    if let Some(Action::Exchange(last)) = core.next(now) {
        answer(&mut core, now, &last, vec![]);
    }
    core.woken();
    assert!(core.wake_at() <= now + 4 * MS, "{:?} after {now:?}", core.wake_at());
}

#[test]
fn a_turn_of_failures_looks_in_the_same_round_trip() {
    let mut core = running(1..=1);
    core.ended(claim(1), Some(Report::Released(claim(1))));
    let exchange = turn(&mut core, 2 * MS);
    assert_eq!((exchange.reports.len(), exchange.further), (1, true));
}

#[test]
fn a_submission_takes_a_turn_along_where_nothing_else_is_under_way() {
    let mut core = running(1..=3);
    let along = core.take_along(2 * MS).unwrap();
    assert_eq!((along.reports.len(), along.claim, along.further, along.expire), (0, 1, true, false));
    assert_eq!(core.take_along(2 * MS), None, "one is under way");
    answer(&mut core, 3 * MS, &along, claims([4]));
    assert_eq!(core.held(), claims(1..=4));
    assert_eq!(core.take_along(3 * MS), None, "no place is free");
    core.ended(claim(1), done(1));
    core.stop(4 * MS);
    assert_eq!(core.take_along(4 * MS), None, "it claims no more");
    let mut core = running(1..=1);
    assert_eq!(core.take_along(3_001 * MS), None, "its lease ran out");
}

#[test]
fn a_turn_that_is_called_off_leaves_its_look_to_the_next() {
    let mut core = running(1..=1);
    core.woken();
    let along = core.take_along(5 * MS).unwrap();
    assert_eq!(core.next(5 * MS), None, "it looks for whoever woke the worker");
    core.called_off(along.id);
    let look = turn(&mut core, 5 * MS);
    assert_eq!((look.claim, look.further), (3, true));
    core.refused(6 * MS, look.id);
    assert_eq!(core.take_along(7 * MS), None, "the database refused a turn a moment ago");
}
