//! The declarations, in the order of their columns in SQL.

use diesel::query_source::TableNotEqual;
use tasker_model::schema::{
    named_steps, named_tasks, queues, task_annotations, task_definitions, task_namespaces, task_transitions,
    tasks, workers, workflow_step_edges, workflow_step_transitions, workflow_steps,
};

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

table_function! {
    /// Where one task stands; see `sql/functions/get_task_execution_context.sql`.
    fn get_task_execution_context(p_task_id: BigInt, p_now: Timestamptz) -> (task_id) {
        /// The task.
        task_id -> BigInt,
        /// The workflow.
        named_task_id -> Integer,
        /// Durable state.
        status -> Text,
        /// All steps.
        total_steps -> BigInt,
        /// Steps in state pending.
        pending_steps -> BigInt,
        /// Steps in state in_progress.
        in_progress_steps -> BigInt,
        /// Steps that are complete or resolved_manually.
        completed_steps -> BigInt,
        /// Steps in state error.
        failed_steps -> BigInt,
        /// Steps that may be claimed at the instant asked about.
        ready_steps -> BigInt,
        /// The original's five words.
        execution_status -> Text,
        /// What follows from it.
        recommended_action -> Text,
        /// Done steps in a hundred, two decimals.
        completion_percentage -> Numeric,
        /// healthy, recovering or blocked.
        health_status -> Text,
        /// Steps in state cancelled.
        cancelled_steps -> BigInt,
        /// Steps that nothing but a person brings on.
        dead_steps -> BigInt,
        /// Steps whose time has not come.
        waiting_for_retry_steps -> BigInt,
        /// Steps that are held or paused though they could run.
        held_steps -> BigInt,
        /// When the first of the waiting steps becomes ready.
        next_retry_at -> Nullable<Timestamptz>,
        /// As execution_status, with words for waiting_for_retry and held.
        detailed_status -> Text,
    }
}

table_function! {
    /// Where the tasks stand; see `sql/functions/get_task_execution_contexts_batch.sql`.
    fn get_task_execution_contexts_batch(
        p_task_ids: Nullable<Array<BigInt>>, p_now: Timestamptz,
    ) -> (task_id) {
        /// The task.
        task_id -> BigInt,
        /// The workflow.
        named_task_id -> Integer,
        /// Durable state.
        status -> Text,
        /// All steps.
        total_steps -> BigInt,
        /// Steps in state pending.
        pending_steps -> BigInt,
        /// Steps in state in_progress.
        in_progress_steps -> BigInt,
        /// Steps that are complete or resolved_manually.
        completed_steps -> BigInt,
        /// Steps in state error.
        failed_steps -> BigInt,
        /// Steps that may be claimed at the instant asked about.
        ready_steps -> BigInt,
        /// The original's five words.
        execution_status -> Text,
        /// What follows from it.
        recommended_action -> Text,
        /// Done steps in a hundred, two decimals.
        completion_percentage -> Numeric,
        /// healthy, recovering or blocked.
        health_status -> Text,
        /// Steps in state cancelled.
        cancelled_steps -> BigInt,
        /// Steps that nothing but a person brings on.
        dead_steps -> BigInt,
        /// Steps whose time has not come.
        waiting_for_retry_steps -> BigInt,
        /// Steps that are held or paused though they could run.
        held_steps -> BigInt,
        /// When the first of the waiting steps becomes ready.
        next_retry_at -> Nullable<Timestamptz>,
        /// As execution_status, with words for waiting_for_retry and held.
        detailed_status -> Text,
    }
}

// Each function may be joined with these tables, or be asked about in a subquery of them. It is said here
// because no other crate may say it, and not by Diesel's macro, which also speaks for types of its own.
macro_rules! joins {
    ($($function:ident),* with $tables:tt) => { $( joins!(@one $function $tables); )* };
    (@one $function:ident ($($table:ident)*)) => {
        $(
            impl TableNotEqual<$table::table> for $function::table {}
            impl TableNotEqual<$function::table> for $table::table {}
        )*
    };
}

joins!(
    get_step_readiness_status, get_step_readiness_status_batch, get_task_execution_context,
    get_task_execution_contexts_batch with (
        tasks task_definitions task_transitions task_annotations named_tasks task_namespaces
        workflow_steps workflow_step_edges workflow_step_transitions named_steps queues workers
    )
);
joins!(
    get_step_readiness_status, get_step_readiness_status_batch with (
        get_task_execution_context get_task_execution_contexts_batch
    )
);
