//! Where a decision tips: at a bound, one step before it and one after.

use super::*;

/// A core that has looked in vain until its pauses are the longest, and when its last look was.
fn patient() -> (Core, Duration) {
    let (mut core, mut now) = (core(), Duration::ZERO);
    for _ in 0..5 {
        now = core.wake_at().max(now);
        let look = turn(&mut core, now);
        answer(&mut core, now, &look, vec![]);
    }
    assert_eq!(core.wake_at(), now + 80 * MS);
    (core, now)
}

#[test]
fn without_a_free_place_nothing_but_the_lease_wakes_the_worker() {
    let mut core = core();
    let first = turn(&mut core, Duration::ZERO);
    answer(&mut core, MS, &first, claims(1..=4));
    core.woken();
    assert_eq!((core.next(MS), core.wake_at()), (None, 1_000 * MS));
}

#[test]
fn a_refused_look_is_tried_again_before_its_pause_is_over() {
    let (mut core, now) = patient();
    core.woken();
    let at = core.wake_at();
    let look = turn(&mut core, at);
    core.refused(at, look.id);
    assert_eq!(core.wake_at(), at + 50 * MS);
    assert!(core.wake_at() < now + 80 * MS, "or the pause is over too");
    assert_eq!(turn(&mut core, at + 50 * MS).claim, 4);
}

#[test]
fn steps_of_dead_workers_are_looked_for_three_times_in_a_short_lease() {
    let mut core = Core::new(Limits { lease: 90 * MS, poll_max: 80 * MS, ..limits() }, Duration::ZERO);
    let first = turn(&mut core, Duration::ZERO);
    assert!(first.expire);
    answer(&mut core, Duration::ZERO, &first, vec![]);
    core.woken();
    let early = turn(&mut core, 29 * MS);
    assert!(!early.expire);
    answer(&mut core, 29 * MS, &early, vec![]);
    assert!(matches!(core.next(30 * MS), Some(Action::Renew(_))));
    core.woken();
    let look = turn(&mut core, 31 * MS);
    assert!(look.expire, "a third of the lease is over");
}

#[test]
fn a_chain_looks_for_other_work_at_the_twentieth_millisecond() {
    for (at, further) in [(19, false), (20, true)] {
        let mut core = core();
        let first = turn(&mut core, Duration::ZERO);
        answer(&mut core, Duration::ZERO, &first, claims([1]));
        core.ended(claim(1), done(1));
        let report = turn(&mut core, at * MS);
        assert_eq!((report.reports.len(), report.further), (1, further), "after {at} ms");
    }
}

#[test]
fn nine_reports_look_for_other_work_and_eight_do_not() {
    for (reports, further) in [(8, false), (9, true)] {
        let mut core = Core::new(Limits { capacity: 20, batch: 20, ..limits() }, Duration::ZERO);
        let first = turn(&mut core, Duration::ZERO);
        answer(&mut core, Duration::ZERO, &first, claims(1..=reports));
        (1..=reports).for_each(|step| core.ended(claim(step), done(step)));
        assert_eq!(turn(&mut core, MS).further, further, "{reports} reports");
    }
}

#[test]
fn beside_a_turn_under_way_a_hundred_reports_are_worth_another() {
    for (reports, turns) in [(99, false), (100, true)] {
        let mut core = Core::new(Limits { capacity: 200, batch: 200, ..limits() }, Duration::ZERO);
        let first = turn(&mut core, Duration::ZERO);
        answer(&mut core, Duration::ZERO, &first, claims(1..=150));
        core.woken();
        let look = turn(&mut core, 2 * MS);
        assert_eq!((look.reports.len(), look.claim), (0, 50));
        (1..=reports).for_each(|step| core.ended(claim(step), done(step)));
        assert_eq!(core.next(2 * MS).is_some(), turns, "{reports} reports");
    }
}

#[test]
fn a_child_that_is_gone_on_with_ends_the_long_pauses() {
    let (mut core, mut now) = (core(), Duration::ZERO);
    let first = turn(&mut core, now);
    answer(&mut core, now, &first, claims([1]));
    for _ in 0..5 {
        now = core.wake_at();
        let look = turn(&mut core, now);
        answer(&mut core, now, &look, vec![]);
    }
    assert_eq!(core.wake_at(), now + 80 * MS);
    core.ended(claim(1), done(1));
    let report = turn(&mut core, now + 5 * MS);
    assert!(!report.further);
    answer(&mut core, now + 6 * MS, &report, claims([2]));
    let look = turn(&mut core, now + 20 * MS);
    answer(&mut core, now + 20 * MS, &look, vec![]);
    assert_eq!(core.wake_at(), now + 30 * MS);
}

#[test]
fn a_cancellation_has_the_claims_checked_at_once_where_something_runs() {
    let mut core = running(1..=1);
    core.check_claims(5 * MS);
    assert_eq!(core.next(5 * MS), Some(Action::Renew(claims([1]))));
    let mut idle = self::core();
    let look = turn(&mut idle, Duration::ZERO);
    answer(&mut idle, MS, &look, vec![]);
    idle.check_claims(5 * MS);
    assert_eq!(idle.next(5 * MS), None);
}

#[test]
fn a_renewal_that_failed_is_tried_again_after_a_twentieth_of_the_lease() {
    let mut core = core();
    let first = turn(&mut core, Duration::ZERO);
    answer(&mut core, MS, &first, claims(1..=4));
    assert_eq!(core.next(1_000 * MS), Some(Action::Renew(claims(1..=4))));
    core.not_renewed(1_001 * MS);
    assert_eq!((core.next(1_001 * MS), core.wake_at()), (None, 1_151 * MS));
    assert_eq!(core.next(1_151 * MS), Some(Action::Renew(claims(1..=4))));
}

#[test]
fn whoever_took_all_that_fits_or_left_something_looks_again() {
    let mut core = core();
    let first = turn(&mut core, Duration::ZERO);
    answer(&mut core, Duration::ZERO, &first, claims(1..=4));
    core.ended(claim(1), done(1));
    assert!(turn(&mut core, MS).further, "the next report looks, though the last look was a moment ago");
    let mut core = self::core();
    let first = turn(&mut core, Duration::ZERO);
    core.exchanged(MS, first.id, Answer { left_ready: true, ..Answer::default() });
    assert_eq!(turn(&mut core, MS).claim, 4);
}
