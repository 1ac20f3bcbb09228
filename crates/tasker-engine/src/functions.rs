//! Declarations of the SQL functions that [`commands`](crate::commands) calls.

#![allow(missing_docs, reason = "columns and arguments are documented in sql/functions, one file each")]

use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz};
use tasker_readiness::table_function;

table_function! {
    fn claim_steps(p_worker_id: BigInt, p_limit: Integer, p_now: Nullable<Timestamptz>) -> (workflow_step_id) {
        task_id -> BigInt, workflow_step_id -> BigInt, token -> Integer, attempt -> Integer, generation -> Integer,
        definition_id -> BigInt, step_name -> Text, context -> Jsonb, parent_results -> Jsonb, claimed_at -> Timestamptz,
    }
}

table_function! {
    fn exchange_steps(
        p_worker_id: BigInt, p_limit: Integer, p_further: Bool, p_expire: Bool, p_task_ids: Array<BigInt>,
        p_step_ids: Array<BigInt>, p_tokens: Array<Integer>, p_results: Array<Jsonb>, p_after_queues: Array<Integer>, p_after_priorities: Array<Integer>,
        p_after_at: Array<Timestamptz>, p_after_ids: Array<BigInt>, p_now: Nullable<Timestamptz>,
    ) -> (kind) {
        kind -> Text, task_id -> Nullable<BigInt>, workflow_step_id -> Nullable<BigInt>, token -> Nullable<Integer>,
        attempt -> Nullable<Integer>, generation -> Nullable<Integer>, definition_id -> Nullable<BigInt>,
        step_name -> Nullable<Text>, context -> Nullable<Jsonb>, parent_results -> Nullable<Jsonb>,
        claimed_at -> Nullable<Timestamptz>,
    }
}

table_function! {
    fn renew_worker(
        p_worker_id: BigInt, p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, p_tokens: Array<Integer>,
        p_now: Nullable<Timestamptz>,
    ) -> (kind) {
        kind -> Text, task_id -> Nullable<BigInt>, workflow_step_id -> Nullable<BigInt>, token -> Nullable<Integer>,
    }
}

table_function! {
    fn written_reports(p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, p_tokens: Array<Integer>) -> (workflow_step_id) {
        workflow_step_id -> BigInt, token -> Integer, to_state -> Text, over -> Bool, task_state -> Nullable<Text>,
    }
}

table_function! {
    fn complete_steps(
        p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, p_tokens: Array<Integer>, p_results: Array<Jsonb>,
        p_now: Nullable<Timestamptz>,
    ) -> (kind) { kind -> Text, task_id -> BigInt, workflow_step_id -> Nullable<BigInt>, }
}

table_function! {
    fn fail_steps(
        p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, p_tokens: Array<Integer>, p_kinds: Array<Text>,
        p_delays_ms: Array<BigInt>, p_messages: Array<Text>, p_now: Nullable<Timestamptz>,
    ) -> (kind) { kind -> Text, task_id -> BigInt, workflow_step_id -> Nullable<BigInt>, }
}

table_function! {
    fn release_steps(
        p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, p_tokens: Array<Integer>, p_reason: Nullable<Text>,
        p_now: Nullable<Timestamptz>,
    ) -> (kind) { kind -> Text, task_id -> BigInt, workflow_step_id -> Nullable<BigInt>, }
}

table_function! {
    fn ancestor_results(p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>) -> (workflow_step_id) {
        workflow_step_id -> BigInt, results -> Jsonb,
    }
}

table_function! {
    fn register_worker(
        p_name: Text, p_namespaces: Nullable<Array<Text>>, p_handlers: Array<Text>, p_lease_ms: Integer,
        p_now: Nullable<Timestamptz>,
    ) -> (worker_id) { worker_id -> BigInt, lease_until -> Timestamptz, }
}

table_function! {
    fn submit_tasks(p_definition_id: BigInt, p_requests: Jsonb, p_now: Nullable<Timestamptz>, p_wake: Bool) -> (position) {
        position -> Integer, task_id -> BigInt, created -> Bool,
    }
}

table_function! {
    fn submit_and_exchange(
        p_definition_id: BigInt, p_requests: Jsonb, p_worker_id: BigInt, p_limit: Integer, p_after_queues: Array<Integer>,
        p_after_priorities: Array<Integer>, p_after_at: Array<Timestamptz>, p_after_ids: Array<BigInt>, p_now: Nullable<Timestamptz>,
    ) -> (kind) {
        kind -> Text, task_id -> Nullable<BigInt>, workflow_step_id -> Nullable<BigInt>, token -> Nullable<Integer>,
        attempt -> Nullable<Integer>, generation -> Nullable<Integer>, definition_id -> Nullable<BigInt>,
        step_name -> Nullable<Text>, context -> Nullable<Jsonb>, parent_results -> Nullable<Jsonb>,
        claimed_at -> Nullable<Timestamptz>,
    }
}

table_function! {
    fn cancel_tasks(p_task_ids: Array<BigInt>, p_actor: Text, p_reason: Nullable<Text>, p_now: Nullable<Timestamptz>) -> (task_id) {
        task_id -> BigInt, outcome -> Text, state -> Nullable<Text>,
    }
}

table_function! {
    fn retry_tasks(p_task_ids: Array<BigInt>, p_actor: Text, p_reason: Nullable<Text>, p_now: Nullable<Timestamptz>) -> (task_id) {
        task_id -> BigInt, outcome -> Text, state -> Nullable<Text>, retried_steps -> Integer,
    }
}

table_function! {
    fn resolve_tasks(p_task_ids: Array<BigInt>, p_actor: Text, p_reason: Nullable<Text>, p_now: Nullable<Timestamptz>) -> (task_id) {
        task_id -> BigInt, outcome -> Text, state -> Nullable<Text>,
    }
}

table_function! {
    fn pause_tasks(
        p_task_ids: Array<BigInt>, p_pause: Bool, p_actor: Text, p_reason: Nullable<Text>, p_now: Nullable<Timestamptz>,
    ) -> (task_id) { task_id -> BigInt, outcome -> Text, state -> Nullable<Text>, }
}

table_function! {
    fn pause_queues(
        p_namespace: Nullable<Text>, p_handler: Nullable<Text>, p_pause: Bool, p_actor: Text, p_reason: Nullable<Text>,
        p_now: Nullable<Timestamptz>,
    ) -> (queue_id) { queue_id -> Integer, namespace -> Text, handler -> Text, outcome -> Text, steps -> BigInt, }
}

table_function! {
    fn operated_steps(p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, p_actor: Text) -> (workflow_step_id) {
        task_id -> BigInt, workflow_step_id -> BigInt, state -> Nullable<Text>, task_state -> Nullable<Text>,
    }
}

table_function! {
    fn prune_tasks(
        p_before: Timestamptz, p_state: Text, p_namespaces: Nullable<Array<Text>>, p_limit: Integer, p_step_limit: Integer,
        p_after: Nullable<Timestamptz>,
    ) -> (task_id) { task_id -> BigInt, finished_at -> Timestamptz, steps -> Integer, }
}

table_function! {
    fn prune_leftovers(p_before: Timestamptz, p_limit: Integer) -> (workers) { workers -> Integer, definitions -> Integer, }
}

table_function! {
    fn count_prunable(p_before: Timestamptz, p_states: Array<Text>, p_namespaces: Nullable<Array<Text>>) -> (state) {
        state -> Text, tasks -> BigInt, first_finished_at -> Timestamptz, last_finished_at -> Timestamptz,
    }
}

/// Declares functions that operate on steps: what they take between the steps and the actor is all that differs.
macro_rules! step_operations {
    ($($name:ident($($extra:ident: $type:ty),*);)*) => {$(
        table_function! {
            fn $name(
                p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, $($extra: $type,)* p_actor: Text, p_reason: Nullable<Text>,
                p_now: Nullable<Timestamptz>,
            ) -> (outcome) {
                outcome -> Text, task_id -> BigInt, workflow_step_id -> Nullable<BigInt>, state -> Nullable<Text>,
            }
        }
    )*};
}

step_operations! {
    cancel_steps();
    retry_steps();
    retry_steps_now();
    reset_steps(p_descendants: Bool);
    resolve_steps(p_results: Array<Nullable<Jsonb>>);
    skip_steps();
    set_retry_limits(p_retry_limit: Integer);
    set_priorities(p_priority: Integer);
    pause_steps(p_pause: Bool);
}

#[diesel::declare_sql_function]
extern "SQL" {
    #[sql_name = "tasker.lost_claims"]
    fn lost_claims(p_task_ids: Array<BigInt>, p_step_ids: Array<BigInt>, p_tokens: Array<Integer>) -> BigInt;
    #[sql_name = "tasker.renew_lease"]
    fn renew_lease(p_worker_id: BigInt, p_now: Nullable<Timestamptz>) -> Nullable<Timestamptz>;
    #[sql_name = "tasker.end_worker"]
    fn end_worker(p_worker_id: BigInt, p_now: Nullable<Timestamptz>) -> Bool;
    #[sql_name = "tasker.next_due_at"]
    fn next_due_at(p_worker_id: BigInt) -> Nullable<Timestamptz>;
    #[sql_name = "tasker.is_drained"]
    fn is_drained(p_worker_id: BigInt) -> Bool;
    #[sql_name = "tasker.register_definition"]
    fn register_definition(p_definition: Jsonb, p_content_hash: Text) -> BigInt;
}
