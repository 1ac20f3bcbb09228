//! However the statements of commands interleave, what each commit leaves is sound; and a statement that relies on
//! what it read before its lock is found.

use tasker_testkit::model::statements::{Slip, meet, meetings};

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a run are its evidence")]
fn whoever_waits_for_whom_every_commit_leaves_sound_rows() {
    for meeting in meetings() {
        let met = meet(&meeting, None);
        assert_eq!(met.violation, None);
        println!("{}: {} states, {} ends, {} deadlocks", meeting.name, met.states, met.ends, met.deadlocks);
        assert!(met.ends > 0 && met.states > 100, "{}: the sessions do not meet", meeting.name);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the stories are worth reading")]
fn a_statement_that_trusts_what_it_read_before_its_lock_is_found() {
    for slip in Slip::ALL {
        let found = meetings().iter().find_map(|m| meet(m, Some(slip)).violation);
        println!("{slip:?} in {}\n", found.unwrap_or_else(|| panic!("{slip:?} is not caught")));
    }
}
