//! What follows from a row alone; no database is asked.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tasker_model::{StepId, StepState, TaskId, TaskState};
use tasker_readiness::{BlockingReason, StepReadinessStatus, TaskExecutionContext};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_585_600, 0).unwrap_or_default()
}

/// A fresh root that is ready.
fn step() -> StepReadinessStatus {
    StepReadinessStatus {
        workflow_step_id: StepId(1),
        task_id: TaskId(1),
        named_step_id: 1,
        name: "a".into(),
        current_state: StepState::Pending,
        dependencies_satisfied: true,
        retry_eligible: true,
        ready_for_execution: true,
        last_failure_at: None,
        next_retry_at: None,
        total_parents: 0,
        completed_parents: 0,
        attempts: 0,
        retry_limit: 3,
        backoff_request_seconds: None,
        last_attempted_at: None,
        retryable: true,
        available_at: Some(noon()),
        retry_due: true,
        held: false,
        paused: false,
        failure_kind: None,
        last_error: None,
        generation: 1,
        task_state: TaskState::Pending,
        handler: "h".into(),
        worker_id: None,
        lease_until: None,
        detail: "ready".into(),
    }
}

fn blocked(detail: &str) -> StepReadinessStatus {
    StepReadinessStatus { ready_for_execution: false, detail: detail.into(), ..step() }
}

fn context(execution_status: &str, recommended_action: &str, health_status: &str) -> TaskExecutionContext {
    TaskExecutionContext {
        task_id: TaskId(1),
        named_task_id: 1,
        status: TaskState::Pending,
        total_steps: 1,
        pending_steps: 1,
        in_progress_steps: 0,
        completed_steps: 0,
        failed_steps: 0,
        ready_steps: 1,
        execution_status: execution_status.into(),
        recommended_action: recommended_action.into(),
        completion_percentage: 0.0,
        health_status: health_status.into(),
        cancelled_steps: 0,
        dead_steps: 0,
        waiting_for_retry_steps: 0,
        held_steps: 0,
        next_retry_at: None,
        detailed_status: execution_status.into(),
    }
}

#[test]
fn every_word_of_the_function_is_a_reason() {
    assert_eq!(step().blocking_reason(), None);
    for reason in [
        BlockingReason::InProgress,
        BlockingReason::Permanent,
        BlockingReason::Exhausted,
        BlockingReason::NotRetryable,
        BlockingReason::WaitingForParents,
        BlockingReason::Held,
        BlockingReason::Paused,
        BlockingReason::TaskFinished,
        BlockingReason::WaitingForRetry,
        BlockingReason::Scheduled,
    ] {
        assert_eq!(blocked(reason.as_str()).blocking_reason(), Some(reason));
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        assert_eq!(reason.to_string(), reason.as_str());
    }
    for state in StepState::ALL.iter().filter(|s| s.is_terminal()) {
        assert_eq!(blocked(state.as_str()).blocking_reason(), Some(BlockingReason::Finished));
    }
}

#[test]
fn the_time_until_ready_is_known_only_where_the_clock_brings_it() {
    assert_eq!(step().time_until_ready(noon() - TimeDelta::hours(1)), Some(Duration::ZERO), "ready is ready");
    for waits in ["waiting_for_retry", "scheduled"] {
        let step = blocked(waits);
        assert_eq!(
            step.time_until_ready(noon() - TimeDelta::milliseconds(1_500)),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(
            step.time_until_ready(noon() + TimeDelta::hours(1)),
            Some(Duration::ZERO),
            "never less than none"
        );
    }
    // These keep their instant, but it is not what they wait for.
    for other in ["held", "paused", "task_finished", "waiting_for_parents", "permanent", "in_progress"] {
        assert_eq!(blocked(other).time_until_ready(noon() - TimeDelta::hours(1)), None, "{other}");
    }
    let without = StepReadinessStatus { available_at: None, ..blocked("waiting_for_retry") };
    assert_eq!(without.time_until_ready(noon()), None);
}

#[test]
fn dependencies_are_counted() {
    let of = |total_parents, completed_parents| {
        StepReadinessStatus { total_parents, completed_parents, ..step() }.dependency_status()
    };
    assert_eq!(of(0, 0), "no_dependencies");
    assert_eq!(of(3, 3), "all_satisfied");
    assert_eq!(of(3, 2), "2/3_satisfied");
    assert_eq!(of(1, 0), "0/1_satisfied");
}

#[test]
fn the_retry_status_tells_exhausted_from_waiting() {
    assert_eq!(step().retry_status(), "retry_eligible");
    assert_eq!(blocked("waiting_for_retry").retry_status(), "waiting_for_backoff");
    assert_eq!(blocked("permanent").retry_status(), "not_retryable");
    assert_eq!(blocked("not_retryable").retry_status(), "not_retryable");
    for other in ["held", "waiting_for_parents", "in_progress", "complete"] {
        assert_eq!(blocked(other).retry_status(), "retry_eligible", "{other}");
    }
    let exhausted = StepReadinessStatus { retry_eligible: false, ..blocked("exhausted") };
    assert_eq!(exhausted.retry_status(), "max_retries_reached");
}

#[test]
fn the_effective_backoff_is_what_was_decided() {
    let of = |backoff_request_seconds| {
        StepReadinessStatus { backoff_request_seconds, ..step() }.effective_backoff()
    };
    assert_eq!(of(None), Duration::ZERO);
    assert_eq!(of(Some(32)), Duration::from_secs(32));
    assert_eq!(of(Some(-1)), Duration::ZERO);
}

#[test]
fn each_status_of_a_task_has_its_predicates_and_urgency() {
    for (status, action, urgency, work, is_blocked, is_complete) in [
        ("has_ready_steps", "execute_ready_steps", "high", true, false, false),
        ("processing", "wait_for_completion", "low", true, false, false),
        ("blocked_by_failures", "handle_failures", "critical", false, true, false),
        ("all_complete", "finalize_task", "medium", false, false, true),
        ("waiting_for_dependencies", "wait_for_dependencies", "low", false, false, false),
    ] {
        let c = context(status, action, "healthy");
        assert_eq!(c.urgency(), urgency, "{status}");
        assert_eq!(
            (c.has_work_to_do(), c.is_blocked(), c.is_complete()),
            (work, is_blocked, is_complete),
            "{status}"
        );
    }
    for (health, healthy, needs) in
        [("healthy", true, false), ("recovering", false, false), ("blocked", false, true)]
    {
        let c = context("processing", "wait_for_completion", health);
        assert_eq!((c.is_healthy(), c.needs_intervention()), (healthy, needs), "{health}");
    }
}
