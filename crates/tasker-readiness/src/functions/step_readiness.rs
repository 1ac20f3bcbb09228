//! `get_step_readiness_status` and its batch form.

use crate::table_function;

table_function! {
    /// Readiness of the steps of one task; see `sql/functions/get_step_readiness_status.sql`.
    fn get_step_readiness_status(
        p_task_id: BigInt, p_step_ids: Nullable<Array<BigInt>>, p_now: Timestamptz,
    ) -> (workflow_step_id) {
        /// The step.
        workflow_step_id -> BigInt,
        /// The task.
        task_id -> BigInt,
        /// Which step of the workflow it is.
        named_step_id -> Integer,
        /// Its name.
        name -> Text,
        /// Durable state.
        current_state -> Text,
        /// Whether no parent is pending.
        dependencies_satisfied -> Bool,
        /// Whether attempts are left, and no more than that.
        retry_eligible -> Bool,
        /// Whether it may be claimed at the instant asked about.
        ready_for_execution -> Bool,
        /// When its last attempt failed, if it is in error.
        last_failure_at -> Nullable<Timestamptz>,
        /// When it becomes ready again, if it is in error and another attempt follows.
        next_retry_at -> Nullable<Timestamptz>,
        /// All parents.
        total_parents -> Integer,
        /// Parents that are done.
        completed_parents -> Integer,
        /// Attempts of this generation.
        attempts -> Integer,
        /// How many there may be.
        retry_limit -> Integer,
        /// The wait decided at the last failure, seconds.
        backoff_request_seconds -> Nullable<Integer>,
        /// When it was last claimed.
        last_attempted_at -> Nullable<Timestamptz>,
        /// Whether a failed attempt may be followed by another.
        retryable -> Bool,
        /// From when it may be claimed.
        available_at -> Nullable<Timestamptz>,
        /// Whether that instant has come.
        retry_due -> Bool,
        /// Whether fail-fast holds it.
        held -> Bool,
        /// Whether it, its task or its queue is paused.
        paused -> Bool,
        /// How the last attempt failed.
        failure_kind -> Nullable<Text>,
        /// What the last failed attempt said.
        last_error -> Nullable<Text>,
        /// Raised by an operator's retry or reset.
        generation -> Integer,
        /// State of the task.
        task_state -> Text,
        /// The handler that it needs.
        handler -> Text,
        /// The incarnation that runs it.
        worker_id -> Nullable<BigInt>,
        /// Until when that incarnation's lease holds.
        lease_until -> Nullable<Timestamptz>,
        /// The one word for where it stands.
        detail -> Text,
    }
}

table_function! {
    /// Readiness of every step of the tasks; see `sql/functions/get_step_readiness_status_batch.sql`.
    fn get_step_readiness_status_batch(
        p_task_ids: Nullable<Array<BigInt>>, p_now: Timestamptz,
    ) -> (workflow_step_id) {
        /// The step.
        workflow_step_id -> BigInt,
        /// The task.
        task_id -> BigInt,
        /// Which step of the workflow it is.
        named_step_id -> Integer,
        /// Its name.
        name -> Text,
        /// Durable state.
        current_state -> Text,
        /// Whether no parent is pending.
        dependencies_satisfied -> Bool,
        /// Whether attempts are left, and no more than that.
        retry_eligible -> Bool,
        /// Whether it may be claimed at the instant asked about.
        ready_for_execution -> Bool,
        /// When its last attempt failed, if it is in error.
        last_failure_at -> Nullable<Timestamptz>,
        /// When it becomes ready again, if it is in error and another attempt follows.
        next_retry_at -> Nullable<Timestamptz>,
        /// All parents.
        total_parents -> Integer,
        /// Parents that are done.
        completed_parents -> Integer,
        /// Attempts of this generation.
        attempts -> Integer,
        /// How many there may be.
        retry_limit -> Integer,
        /// The wait decided at the last failure, seconds.
        backoff_request_seconds -> Nullable<Integer>,
        /// When it was last claimed.
        last_attempted_at -> Nullable<Timestamptz>,
        /// Whether a failed attempt may be followed by another.
        retryable -> Bool,
        /// From when it may be claimed.
        available_at -> Nullable<Timestamptz>,
        /// Whether that instant has come.
        retry_due -> Bool,
        /// Whether fail-fast holds it.
        held -> Bool,
        /// Whether it, its task or its queue is paused.
        paused -> Bool,
        /// How the last attempt failed.
        failure_kind -> Nullable<Text>,
        /// What the last failed attempt said.
        last_error -> Nullable<Text>,
        /// Raised by an operator's retry or reset.
        generation -> Integer,
        /// State of the task.
        task_state -> Text,
        /// The handler that it needs.
        handler -> Text,
        /// The incarnation that runs it.
        worker_id -> Nullable<BigInt>,
        /// Until when that incarnation's lease holds.
        lease_until -> Nullable<Timestamptz>,
        /// The one word for where it stands.
        detail -> Text,
    }
}
