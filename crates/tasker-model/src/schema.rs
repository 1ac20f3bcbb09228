//! The tables of schema `tasker`, generated from the migrated catalog by `cargo xtask codegen`: do not edit.
//! What a column means is said once, in the comments of the migration.

diesel::table! {
    use diesel::sql_types::*;

    /// A kind of annotation.
    tasker.annotation_types (annotation_type_id) {
        /// Identity.
        annotation_type_id -> Integer,
        /// Unique, 1 to 64 characters.
        name -> Text,
        /// For people, at most 255 characters.
        description -> Nullable<Text>,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// What is kept of API tokens.
    tasker.api_tokens (api_token_id) {
        /// Identity.
        api_token_id -> BigInt,
        /// The part of the token that finds the row, 16 hexadecimal digits; no secret.
        lookup -> Text,
        /// SHA-256 of the whole token, which has 256 random bits.
        digest -> Binary,
        /// On whose behalf the token acts.
        subject -> Text,
        /// For people: what it is for.
        name -> Text,
        /// The roles of whoever sends it.
        roles -> Array<Nullable<Text>>,
        /// What it is for, as resource:action: permitted, and nothing beyond; NULL for what the roles permit.
        permissions -> Nullable<Array<Nullable<Text>>>,
        /// Where it is for; NULL for everywhere.
        namespaces -> Nullable<Array<Nullable<Text>>>,
        /// Who issued it.
        created_by -> Text,
        /// When the row was written.
        created_at -> Timestamptz,
        /// From when on it is refused; NULL for never.
        expires_at -> Nullable<Timestamptz>,
        /// When it was taken back.
        revoked_at -> Nullable<Timestamptz>,
        /// Who took it back.
        revoked_by -> Nullable<Text>,
        /// Its last use, to the minute.
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// Who did or was refused what. Append-only; only prune_audit_log removes.
    tasker.audit_log (audit_id) {
        /// Identity.
        audit_id -> BigInt,
        /// When it was decided.
        at -> Timestamptz,
        /// Who asked; NULL where it is not known.
        subject -> Nullable<Text>,
        /// How they were known: none, jwt, api_token, session, oidc, custom.
        method -> Nullable<Text>,
        /// What was asked for, such as POST /tasks.
        operation -> Text,
        /// The permission asked for, as resource:action; NULL where it did not come to that.
        permission -> Nullable<Text>,
        /// In which namespace.
        namespace -> Nullable<Text>,
        /// On which task. No foreign key: the record outlives the task.
        task_id -> Nullable<BigInt>,
        /// allowed, denied (known, but not permitted) or refused (not let in).
        outcome -> Text,
        /// Why.
        reason -> Text,
        /// What ties the records of one request together.
        correlation_id -> Text,
        /// How many refusals before it were not recorded, since there were too many in their minute.
        suppressed -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// What changed without a transition: holds, pauses, limits, priorities, instants of the next attempt. Append-only.
    tasker.control_log (control_id) {
        /// Identity.
        control_id -> BigInt,
        /// The task concerned.
        task_id -> Nullable<BigInt>,
        /// The step concerned; NULL for the whole task.
        workflow_step_id -> Nullable<BigInt>,
        /// The queue concerned.
        queue_id -> Nullable<Integer>,
        /// When.
        at -> Timestamptz,
        /// What changed.
        kind -> Text,
        /// Before.
        old_value -> Nullable<Jsonb>,
        /// After.
        new_value -> Nullable<Jsonb>,
        /// Who asked for it; NULL where the engine did it.
        actor -> Nullable<Text>,
        /// Why.
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// The edges of a definition.
    tasker.definition_edges (definition_id, from_named_step_id, to_named_step_id) {
        /// The definition.
        definition_id -> BigInt,
        /// The parent.
        from_named_step_id -> Integer,
        /// The child.
        to_named_step_id -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// The steps of a definition, from which those of a task are made.
    tasker.definition_steps (definition_id, named_step_id) {
        /// The definition.
        definition_id -> BigInt,
        /// The step.
        named_step_id -> Integer,
        /// Where its runs are claimed from.
        queue_id -> Integer,
        /// Order in the definition, counted from 0; a parent stands before its children.
        position -> Integer,
        /// Whether a failed attempt may be followed by another.
        default_retryable -> Bool,
        /// The total number of attempts; 0 means never.
        default_retry_limit -> Integer,
        /// Whether a task may leave the step out.
        skippable -> Bool,
        /// 1 is claimed first, 5 last.
        priority -> SmallInt,
        /// The number of its parents.
        total_parents -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// One object known under two ids in two outside systems; found in either orientation.
    tasker.dependent_system_object_maps (dependent_system_object_map_id) {
        /// Identity.
        dependent_system_object_map_id -> BigInt,
        /// The one system.
        dependent_system_one_id -> Integer,
        /// The other system.
        dependent_system_two_id -> Integer,
        /// The id in the one system, 1 to 128 characters.
        remote_id_one -> Text,
        /// The id in the other system, 1 to 128 characters.
        remote_id_two -> Text,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// An outside system that steps talk to.
    tasker.dependent_systems (dependent_system_id) {
        /// Identity.
        dependent_system_id -> Integer,
        /// Unique, 1 to 64 characters.
        name -> Text,
        /// For people, at most 255 characters.
        description -> Nullable<Text>,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// Logins that were begun at a provider and are not finished. A row is taken once.
    tasker.logins (digest) {
        /// SHA-256 of the state that was sent along.
        digest -> Binary,
        /// SHA-256 of the cookie of the browser that began it.
        browser -> Binary,
        /// What the token of the provider must repeat.
        nonce -> Text,
        /// What proves to the provider that the code is asked for by whoever began.
        code_verifier -> Text,
        /// The path to go to afterwards.
        return_to -> Text,
        /// Until when it may be finished.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// The ledger of Tasker's migrations.
    tasker.migrations (version) {
        /// Version and name.
        version -> Text,
        /// SHA-256 of the text that was applied, lowercase hex.
        checksum -> Text,
        /// When.
        applied_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// A step by name and outside system, shared by all workflows that use it.
    tasker.named_steps (named_step_id) {
        /// Identity.
        named_step_id -> Integer,
        /// The outside system that the step talks to.
        dependent_system_id -> Integer,
        /// 1 to 128 characters; unique with the outside system.
        name -> Text,
        /// For people.
        description -> Nullable<Text>,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// A workflow by namespace, name and version.
    tasker.named_tasks (named_task_id) {
        /// Identity.
        named_task_id -> Integer,
        /// Its namespace.
        task_namespace_id -> Integer,
        /// 1 to 64 characters; unique with namespace and version.
        name -> Text,
        /// Semantic version, three numbers.
        version -> Text,
        /// The numbers of the version, by which versions are ordered.
        version_key -> Array<Nullable<Integer>>,
        /// For people.
        description -> Nullable<Text>,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// A namespace and a handler: what a worker claims from.
    tasker.queues (queue_id) {
        /// Identity.
        queue_id -> Integer,
        /// The namespace.
        task_namespace_id -> Integer,
        /// The name under which workers register the handler.
        handler -> Text,
        /// Since when nothing is claimed from the queue; NULL while it is open.
        paused_at -> Nullable<Timestamptz>,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// Who is signed in. A row that is gone is a session that has ended.
    tasker.sessions (digest) {
        /// SHA-256 of the id in the cookie, which has 256 random bits.
        digest -> Binary,
        /// Who.
        subject -> Text,
        /// What was known of them when they signed in.
        identity -> Jsonb,
        /// When they signed in.
        created_at -> Timestamptz,
        /// Their last request, to a tenth of the idle time.
        last_seen_at -> Timestamptz,
        /// When the session ends whatever happens.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// What people and programs note about a task.
    tasker.task_annotations (task_annotation_id) {
        /// Identity.
        task_annotation_id -> BigInt,
        /// The task.
        task_id -> BigInt,
        /// The kind.
        annotation_type_id -> Integer,
        /// The note, an object.
        annotation -> Jsonb,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// Every text that a workflow ever had. A task keeps the one that it started with.
    tasker.task_definitions (definition_id) {
        /// Identity; the latest of a named task is the one with the highest.
        definition_id -> BigInt,
        /// The workflow.
        named_task_id -> Integer,
        /// SHA-256 of the canonical JSON of the definition, lowercase hex.
        content_hash -> Text,
        /// The definition as the engine reads it.
        definition -> Jsonb,
        /// drain: whatever can run, runs before the task goes to error. fail_fast: the first dead step holds the rest.
        failure_policy -> Text,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// A named group of workflows; with a handler it is a queue.
    tasker.task_namespaces (task_namespace_id) {
        /// Identity.
        task_namespace_id -> Integer,
        /// Unique, case-sensitive, 1 to 64 characters.
        name -> Text,
        /// For people, at most 255 characters.
        description -> Nullable<Text>,
        /// Since when all its queues are paused; one that is made later inherits it. NULL otherwise. Claims read the queues' own.
        paused_at -> Nullable<Timestamptz>,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// What happened to a task, appended by the statement that changed it.
    tasker.task_transitions (task_id, seq) {
        /// The task.
        task_id -> BigInt,
        /// When, read from the clock under the row's lock.
        at -> Timestamptz,
        /// Counted from 1 for each task, without gaps.
        seq -> Integer,
        /// The state of the locked row before.
        from_state -> Text,
        /// The state after.
        to_state -> Text,
        /// Who asked for it; NULL where the engine did it in its ordinary course.
        actor -> Nullable<Text>,
        /// Why.
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// One run of a workflow.
    tasker.tasks (task_id) {
        /// Identity.
        task_id -> BigInt,
        /// The definition that the run keeps.
        definition_id -> BigInt,
        /// When the run was asked for.
        requested_at -> Timestamptz,
        /// When the row was written.
        created_at -> Timestamptz,
        /// The workflow.
        named_task_id -> Integer,
        /// Whether the first dead step holds the rest; copied from the definition.
        fail_fast -> Bool,
        /// Its steps that are available (now or later, not held) or in progress. Whoever brings it to 0 settles the task.
        live_steps -> Integer,
        /// The number of its transitions so far.
        seq -> Integer,
        /// Since when none of its steps is claimed; NULL while it runs.
        paused_at -> Nullable<Timestamptz>,
        /// When it came to complete, error, cancelled or resolved_manually; NULL otherwise.
        finished_at -> Nullable<Timestamptz>,
        /// Durable state.
        state -> Text,
        /// The state of a finished task, NULL before: indexes name it instead of the state, so that a start leaves them alone.
        outcome -> Nullable<Text>,
        /// Unique; a second submission with the same one names this task.
        identity_hash -> Text,
        /// Who asked, at most 128 characters.
        initiator -> Text,
        /// Which system asked, at most 128 characters.
        source_system -> Text,
        /// Why, at most 128 characters.
        reason -> Text,
        /// Names of skippable steps that this run leaves out.
        bypass_steps -> Array<Nullable<Text>>,
        /// Words by which people find it.
        tags -> Array<Nullable<Text>>,
        /// The input, an object; every step sees it.
        context -> Jsonb,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// One incarnation of a worker process. It holds the lease of every step that it has in progress.
    tasker.workers (worker_id) {
        /// Identity; never used twice, so a host name or a process id identifies nothing.
        worker_id -> BigInt,
        /// For people: host and process by default.
        name -> Text,
        /// The namespaces that it serves; NULL serves all.
        namespaces -> Nullable<Array<Nullable<Text>>>,
        /// The handlers that it has, fixed for the incarnation.
        handlers -> Array<Nullable<Text>>,
        /// For how long each renewal holds, in milliseconds.
        lease_ms -> Integer,
        /// When it registered.
        started_at -> Timestamptz,
        /// When it last renewed.
        last_seen_at -> Timestamptz,
        /// Until when its steps are its own. Once past, it never renews: the process registers anew.
        lease_until -> Timestamptz,
        /// Whether its last look found nothing: it wants to be woken.
        waiting -> Bool,
        /// When it signed off or its lease was found to have run out.
        ended_at -> Nullable<Timestamptz>,
        /// When the last of its steps had been taken back after its end.
        reaped_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// The child waits for the parent. Both belong to one task; definitions are free of cycles before they get here.
    tasker.workflow_step_edges (task_id, from_step_id, to_step_id) {
        /// The task of both steps.
        task_id -> BigInt,
        /// The parent.
        from_step_id -> BigInt,
        /// The child.
        to_step_id -> BigInt,
        /// What the edge means; provides unless said.
        name -> Text,
        /// When the row was written.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// What happened to a step, appended by the statement that changed it. Creation is no transition.
    tasker.workflow_step_transitions (task_id, workflow_step_id, seq) {
        /// The task.
        task_id -> BigInt,
        /// The step.
        workflow_step_id -> BigInt,
        /// The incarnation that took it or gave it back; NULL where none was involved.
        worker_id -> Nullable<BigInt>,
        /// When, read from the clock under the row's lock.
        at -> Timestamptz,
        /// From when the step may be claimed after it; NULL if it may not.
        available_at -> Nullable<Timestamptz>,
        /// Counted from 1 for each step, without gaps.
        seq -> Integer,
        /// The attempts of the step after it.
        attempt -> Integer,
        /// The generation of the step after it.
        generation -> Integer,
        /// The limit of the step at that time.
        retry_limit -> Integer,
        /// The state of the locked row before.
        from_state -> Text,
        /// The state after.
        to_state -> Text,
        /// How the attempt failed; only on the way to error.
        failure_kind -> Nullable<Text>,
        /// Who asked for it; NULL where the engine did it in its ordinary course.
        actor -> Nullable<Text>,
        /// Why: an operator's words, or what the failed attempt said.
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    /// One step of one task. Its current state is a column; how it came there is in tasker.workflow_step_transitions.
    tasker.workflow_steps (task_id, workflow_step_id) {
        /// The task.
        task_id -> BigInt,
        /// Identity; unique in the database.
        workflow_step_id -> BigInt,
        /// When the row was written.
        created_at -> Timestamptz,
        /// Which step of the workflow it is.
        named_step_id -> Integer,
        /// Where it is claimed from.
        queue_id -> Integer,
        /// The number of its parents.
        total_parents -> Integer,
        /// The total number of attempts; 0 means never.
        retry_limit -> Integer,
        /// Counted from 1, raised by an operator's retry or reset; part of the idempotency key.
        generation -> Integer,
        /// 1 is claimed first, 5 last.
        priority -> SmallInt,
        /// Whether a failed attempt may be followed by another. The first is always allowed.
        retryable -> Bool,
        /// Whether the task may leave it out.
        skippable -> Bool,
        /// Whether fail-fast keeps it from being claimed.
        held -> Bool,
        /// Whether its task is paused.
        paused -> Bool,
        /// The number of its parents that are neither complete nor resolved_manually.
        pending_parents -> Integer,
        /// Attempts of this generation, counted at the claim; a release gives one back.
        attempts -> Integer,
        /// The number of its transitions so far, and so the fencing token of every report.
        seq -> Integer,
        /// The wait decided at the last failure, whole seconds rounded up; cleared at the next claim.
        backoff_request_seconds -> Nullable<Integer>,
        /// The incarnation that runs it; NULL unless in progress.
        worker_id -> Nullable<BigInt>,
        /// From when it may be claimed; NULL unless tasker.is_claimable. Kept while it is held or paused.
        available_at -> Nullable<Timestamptz>,
        /// When it was last claimed.
        last_attempted_at -> Nullable<Timestamptz>,
        /// When its last failed attempt ended.
        last_failure_at -> Nullable<Timestamptz>,
        /// When it came to complete, resolved_manually or cancelled; NULL otherwise.
        finished_at -> Nullable<Timestamptz>,
        /// Durable state.
        state -> Text,
        /// How the last attempt failed; NULL after success, a retry or a reset.
        failure_kind -> Nullable<Text>,
        /// What the last failed attempt said, a sentence for people.
        last_error -> Nullable<Text>,
        /// What it returned; NULL until it is done.
        results -> Nullable<Jsonb>,
    }
}

diesel::joinable!(control_log -> queues (queue_id));
diesel::joinable!(control_log -> tasks (task_id));
diesel::joinable!(definition_steps -> named_steps (named_step_id));
diesel::joinable!(definition_steps -> queues (queue_id));
diesel::joinable!(definition_steps -> task_definitions (definition_id));
diesel::joinable!(named_steps -> dependent_systems (dependent_system_id));
diesel::joinable!(named_tasks -> task_namespaces (task_namespace_id));
diesel::joinable!(queues -> task_namespaces (task_namespace_id));
diesel::joinable!(task_annotations -> annotation_types (annotation_type_id));
diesel::joinable!(task_annotations -> tasks (task_id));
diesel::joinable!(task_definitions -> named_tasks (named_task_id));
diesel::joinable!(tasks -> task_definitions (definition_id));

diesel::allow_tables_to_appear_in_same_query!(
    annotation_types,
    api_tokens,
    audit_log,
    control_log,
    definition_edges,
    definition_steps,
    dependent_system_object_maps,
    dependent_systems,
    logins,
    migrations,
    named_steps,
    named_tasks,
    queues,
    sessions,
    task_annotations,
    task_definitions,
    task_namespaces,
    task_transitions,
    tasks,
    workers,
    workflow_step_edges,
    workflow_step_transitions,
    workflow_steps,
);
