-- The tables of Tasker. The schema itself and its ledger, tasker.migrations, belong to the migration
-- harness. Every name is written qualified, so no search_path can lead elsewhere.
-- Comments on columns are the source of the documentation of the Rust schema.

create domain tasker.step_state as text
  constraint step_state_known check (value in ('pending', 'in_progress', 'complete', 'error', 'cancelled', 'resolved_manually'));
comment on domain tasker.step_state is 'Durable state of a step; everything finer is derived.';

create domain tasker.task_state as text
  constraint task_state_known check (value in ('pending', 'in_progress', 'complete', 'error', 'cancelled', 'resolved_manually'));
comment on domain tasker.task_state is 'Durable state of a task; everything finer is derived.';

create domain tasker.failure_kind as text
  constraint failure_kind_known check (value in ('retryable', 'permanent', 'timeout', 'panic', 'lost_lease'));
comment on domain tasker.failure_kind is 'How an attempt failed. Only permanent ends the attempts of a step at once.';

-- The one home of legality in SQL: the conditions of the logs and the triggers of the rows ask these.
create function tasker.step_transition_is_legal(from_state text, to_state text) returns boolean
  language sql immutable parallel safe return
  from_state || '>' || to_state in (
    'pending>in_progress', 'pending>cancelled', 'pending>resolved_manually',
    'in_progress>complete', 'in_progress>error', 'in_progress>cancelled', 'in_progress>pending',
    'error>in_progress', 'error>pending', 'error>cancelled', 'error>resolved_manually',
    'complete>pending',
    'resolved_manually>pending',
    'cancelled>pending');
comment on function tasker.step_transition_is_legal(text, text) is 'Whether a step may go from one state to the other.';

create function tasker.task_transition_is_legal(from_state text, to_state text) returns boolean
  language sql immutable parallel safe return
  from_state || '>' || to_state in (
    'pending>in_progress', 'pending>complete', 'pending>error', 'pending>cancelled',
    'in_progress>complete', 'in_progress>error', 'in_progress>cancelled',
    'error>pending', 'error>cancelled', 'error>resolved_manually',
    'complete>pending',
    'resolved_manually>pending',
    'cancelled>pending');
comment on function tasker.task_transition_is_legal(text, text) is 'Whether a task may go from one state to the other.';

create function tasker.is_done(state text) returns boolean
  language sql immutable parallel safe return state in ('complete', 'resolved_manually');
comment on function tasker.is_done(text) is 'Whether a step in this state satisfies its children.';

-- The rule of readiness without the clock, the task, holds and pauses: a step is claimable at all.
-- tasker.guard_step ties available_at to it; nothing else decides it.
create function tasker.is_claimable(state text, pending_parents integer, attempts integer, retry_limit integer, retryable boolean, failure_kind text)
  returns boolean language sql immutable parallel safe return
  state in ('pending', 'error') and pending_parents = 0 and attempts < retry_limit
  and (retryable or attempts = 0) and failure_kind is distinct from 'permanent';
comment on function tasker.is_claimable(text, integer, integer, integer, boolean, text) is
  'Whether a step may be attempted as soon as its time has come: pending or error, all parents done, attempts left, retryable or never attempted, last failure not permanent.';

create domain tasker.key as text constraint key_length check (length(value) between 1 and 128);
comment on domain tasker.key is 'A text by which something is found, 1 to 128 characters.';
create domain tasker.label as text constraint label_length check (length(value) <= 128);
comment on domain tasker.label is 'Words about something, at most 128 characters.';
create domain tasker.object as jsonb constraint is_object check (jsonb_typeof(value) = 'object');
comment on domain tasker.object is 'A JSON object.';

create table tasker.task_namespaces (
  task_namespace_id integer generated always as identity primary key,
  name text not null unique constraint namespace_name_length check (length(name) between 1 and 64),
  description text constraint namespace_description_length check (length(description) <= 255),
  paused_at timestamptz,
  created_at timestamptz not null default clock_timestamp()
);
comment on table tasker.task_namespaces is 'A named group of workflows; with a handler it is a queue.';
comment on column tasker.task_namespaces.task_namespace_id is 'Identity.';
comment on column tasker.task_namespaces.name is 'Unique, case-sensitive, 1 to 64 characters.';
comment on column tasker.task_namespaces.description is 'For people, at most 255 characters.';
comment on column tasker.task_namespaces.paused_at is 'Since when all its queues are paused; one that is made later inherits it. NULL otherwise. Claims read the queues'' own.';
comment on column tasker.task_namespaces.created_at is 'When the row was written.';

create table tasker.named_tasks (
  named_task_id integer generated always as identity primary key,
  task_namespace_id integer not null references tasker.task_namespaces,
  name text not null constraint named_task_name_length check (length(name) between 1 and 64),
  version text not null constraint named_task_version_form check (version ~ '^\d{1,9}\.\d{1,9}\.\d{1,9}$'),
  version_key integer[] not null generated always as (string_to_array(version, '.')::integer[]) stored,
  description text,
  created_at timestamptz not null default clock_timestamp(),
  unique (task_namespace_id, name, version)
);
comment on table tasker.named_tasks is 'A workflow by namespace, name and version.';
comment on column tasker.named_tasks.named_task_id is 'Identity.';
comment on column tasker.named_tasks.task_namespace_id is 'Its namespace.';
comment on column tasker.named_tasks.name is '1 to 64 characters; unique with namespace and version.';
comment on column tasker.named_tasks.version is 'Semantic version, three numbers.';
comment on column tasker.named_tasks.version_key is 'The numbers of the version, by which versions are ordered.';
comment on column tasker.named_tasks.description is 'For people.';
comment on column tasker.named_tasks.created_at is 'When the row was written.';

create table tasker.task_definitions (
  definition_id bigint generated always as identity primary key,
  named_task_id integer not null references tasker.named_tasks,
  content_hash text not null unique constraint content_hash_form check (content_hash ~ '^[0-9a-f]{64}$'),
  definition jsonb not null constraint definition_is_object check (jsonb_typeof(definition) = 'object'),
  failure_policy text not null constraint failure_policy_known check (failure_policy in ('drain', 'fail_fast')),
  created_at timestamptz not null default clock_timestamp()
);
create index task_definitions_named_task on tasker.task_definitions (named_task_id);
comment on table tasker.task_definitions is 'Every text that a workflow ever had. A task keeps the one that it started with.';
comment on column tasker.task_definitions.definition_id is 'Identity; the latest of a named task is the one with the highest.';
comment on column tasker.task_definitions.named_task_id is 'The workflow.';
comment on column tasker.task_definitions.content_hash is 'SHA-256 of the canonical JSON of the definition, lowercase hex.';
comment on column tasker.task_definitions.definition is 'The definition as the engine reads it.';
comment on column tasker.task_definitions.failure_policy is 'drain: whatever can run, runs before the task goes to error. fail_fast: the first dead step holds the rest.';
comment on column tasker.task_definitions.created_at is 'When the row was written.';

create table tasker.dependent_systems (
  dependent_system_id integer generated always as identity primary key,
  name text not null unique constraint dependent_system_name_length check (length(name) between 1 and 64),
  description text constraint dependent_system_description_length check (length(description) <= 255),
  created_at timestamptz not null default clock_timestamp()
);
comment on table tasker.dependent_systems is 'An outside system that steps talk to.';
comment on column tasker.dependent_systems.dependent_system_id is 'Identity.';
comment on column tasker.dependent_systems.name is 'Unique, 1 to 64 characters.';
comment on column tasker.dependent_systems.description is 'For people, at most 255 characters.';
comment on column tasker.dependent_systems.created_at is 'When the row was written.';

create table tasker.dependent_system_object_maps (
  dependent_system_object_map_id bigint generated always as identity primary key,
  dependent_system_one_id integer not null references tasker.dependent_systems,
  dependent_system_two_id integer not null references tasker.dependent_systems,
  remote_id_one text not null constraint remote_id_one_length check (length(remote_id_one) between 1 and 128),
  remote_id_two text not null constraint remote_id_two_length check (length(remote_id_two) between 1 and 128),
  created_at timestamptz not null default clock_timestamp()
);
-- One row for a pair of objects, whichever way round it is named.
create unique index dependent_system_object_maps_pair on tasker.dependent_system_object_maps (
  least(array[dependent_system_one_id::text, remote_id_one], array[dependent_system_two_id::text, remote_id_two]),
  greatest(array[dependent_system_one_id::text, remote_id_one], array[dependent_system_two_id::text, remote_id_two]));
create index dependent_system_object_maps_two on tasker.dependent_system_object_maps (dependent_system_two_id, remote_id_two);
create index dependent_system_object_maps_one on tasker.dependent_system_object_maps (dependent_system_one_id, remote_id_one);
comment on table tasker.dependent_system_object_maps is 'One object known under two ids in two outside systems; found in either orientation.';
comment on column tasker.dependent_system_object_maps.dependent_system_object_map_id is 'Identity.';
comment on column tasker.dependent_system_object_maps.dependent_system_one_id is 'The one system.';
comment on column tasker.dependent_system_object_maps.dependent_system_two_id is 'The other system.';
comment on column tasker.dependent_system_object_maps.remote_id_one is 'The id in the one system, 1 to 128 characters.';
comment on column tasker.dependent_system_object_maps.remote_id_two is 'The id in the other system, 1 to 128 characters.';
comment on column tasker.dependent_system_object_maps.created_at is 'When the row was written.';

create table tasker.named_steps (
  named_step_id integer generated always as identity primary key,
  dependent_system_id integer not null references tasker.dependent_systems,
  name text not null constraint named_step_name_length check (length(name) between 1 and 128),
  description text,
  created_at timestamptz not null default clock_timestamp(),
  unique (dependent_system_id, name)
);
comment on table tasker.named_steps is 'A step by name and outside system, shared by all workflows that use it.';
comment on column tasker.named_steps.named_step_id is 'Identity.';
comment on column tasker.named_steps.dependent_system_id is 'The outside system that the step talks to.';
comment on column tasker.named_steps.name is '1 to 128 characters; unique with the outside system.';
comment on column tasker.named_steps.description is 'For people.';
comment on column tasker.named_steps.created_at is 'When the row was written.';

create table tasker.queues (
  queue_id integer generated always as identity primary key,
  task_namespace_id integer not null references tasker.task_namespaces,
  handler text not null constraint queue_handler_length check (length(handler) between 1 and 256),
  paused_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  unique (task_namespace_id, handler)
);
comment on table tasker.queues is 'A namespace and a handler: what a worker claims from.';
comment on column tasker.queues.queue_id is 'Identity.';
comment on column tasker.queues.task_namespace_id is 'The namespace.';
comment on column tasker.queues.handler is 'The name under which workers register the handler.';
comment on column tasker.queues.paused_at is 'Since when nothing is claimed from the queue; NULL while it is open.';
comment on column tasker.queues.created_at is 'When the row was written.';

create table tasker.definition_steps (
  definition_id bigint not null references tasker.task_definitions,
  named_step_id integer not null references tasker.named_steps,
  queue_id integer not null references tasker.queues,
  position integer not null constraint definition_step_position check (position >= 0),
  default_retryable boolean not null,
  default_retry_limit integer not null constraint default_retry_limit_range check (default_retry_limit between 0 and 1000),
  skippable boolean not null,
  priority smallint not null constraint definition_step_priority check (priority between 1 and 5),
  total_parents integer not null constraint definition_step_parents check (total_parents >= 0),
  primary key (definition_id, named_step_id),
  unique (definition_id, position)
);
comment on table tasker.definition_steps is 'The steps of a definition, from which those of a task are made.';
comment on column tasker.definition_steps.definition_id is 'The definition.';
comment on column tasker.definition_steps.named_step_id is 'The step.';
comment on column tasker.definition_steps.queue_id is 'Where its runs are claimed from.';
comment on column tasker.definition_steps.position is 'Order in the definition, counted from 0; a parent stands before its children.';
comment on column tasker.definition_steps.default_retryable is 'Whether a failed attempt may be followed by another.';
comment on column tasker.definition_steps.default_retry_limit is 'The total number of attempts; 0 means never.';
comment on column tasker.definition_steps.skippable is 'Whether a task may leave the step out.';
comment on column tasker.definition_steps.priority is '1 is claimed first, 5 last.';
comment on column tasker.definition_steps.total_parents is 'The number of its parents.';

create table tasker.definition_edges (
  definition_id bigint not null,
  from_named_step_id integer not null,
  to_named_step_id integer not null,
  primary key (definition_id, from_named_step_id, to_named_step_id),
  foreign key (definition_id, from_named_step_id) references tasker.definition_steps,
  foreign key (definition_id, to_named_step_id) references tasker.definition_steps,
  constraint definition_edge_not_self check (from_named_step_id <> to_named_step_id)
);
comment on table tasker.definition_edges is 'The edges of a definition.';
comment on column tasker.definition_edges.definition_id is 'The definition.';
comment on column tasker.definition_edges.from_named_step_id is 'The parent.';
comment on column tasker.definition_edges.to_named_step_id is 'The child.';

-- What an update leaves alone stands first and last: the log writes what lies between.
create table tasker.tasks (
  task_id bigint generated always as identity primary key,
  definition_id bigint not null references tasker.task_definitions,
  requested_at timestamptz not null,
  created_at timestamptz not null,
  named_task_id integer not null,
  fail_fast boolean not null default false,
  live_steps integer not null,
  seq integer not null default 0,
  paused_at timestamptz,
  finished_at timestamptz,
  state tasker.task_state not null default 'pending',
  outcome text generated always as (case when finished_at is not null then state end) stored,
  identity_hash tasker.key not null unique,
  initiator tasker.label not null default 'unknown',
  source_system tasker.label not null default 'unknown',
  reason tasker.label not null default 'unknown',
  bypass_steps text[] not null default '{}',
  tags text[] not null default '{}',
  context tasker.object not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
-- A start changes no index, and half of each page is free for its new version.
create index tasks_open on tasker.tasks (task_id) where finished_at is null;
-- What is old enough to be pruned, oldest first.
create index tasks_finished on tasker.tasks (outcome, finished_at) where outcome is not null;
create index tasks_definition on tasker.tasks (definition_id);
-- Counts of what is not complete, without a look at what is; ordinary tasks and steps never enter these.
create index tasks_stopped on tasker.tasks (outcome, task_id) where outcome in ('error', 'cancelled', 'resolved_manually');
-- The tasks of a period. Rows stand roughly in the order of creation, so a few pages say where to look.
create index tasks_created on tasker.tasks using brin (created_at) with (pages_per_range = 16, autosummarize = on);
comment on table tasker.tasks is 'One run of a workflow.';
comment on column tasker.tasks.task_id is 'Identity.';
comment on column tasker.tasks.named_task_id is 'The workflow.';
comment on column tasker.tasks.definition_id is 'The definition that the run keeps.';
comment on column tasker.tasks.live_steps is 'Its steps that are available (now or later, not held) or in progress. Whoever brings it to 0 settles the task.';
comment on column tasker.tasks.seq is 'The number of its transitions so far.';
comment on column tasker.tasks.state is 'Durable state.';
comment on column tasker.tasks.fail_fast is 'Whether the first dead step holds the rest; copied from the definition.';
comment on column tasker.tasks.requested_at is 'When the run was asked for.';
comment on column tasker.tasks.created_at is 'When the row was written.';
comment on column tasker.tasks.finished_at is 'When it came to complete, error, cancelled or resolved_manually; NULL otherwise.';
comment on column tasker.tasks.paused_at is 'Since when none of its steps is claimed; NULL while it runs.';
comment on column tasker.tasks.outcome is 'The state of a finished task, NULL before: indexes name it instead of the state, so that a start leaves them alone.';
comment on column tasker.tasks.identity_hash is 'Unique; a second submission with the same one names this task.';
comment on column tasker.tasks.initiator is 'Who asked, at most 128 characters.';
comment on column tasker.tasks.source_system is 'Which system asked, at most 128 characters.';
comment on column tasker.tasks.reason is 'Why, at most 128 characters.';
comment on column tasker.tasks.bypass_steps is 'Names of skippable steps that this run leaves out.';
comment on column tasker.tasks.tags is 'Words by which people find it.';
comment on column tasker.tasks.context is 'The input, an object; every step sees it.';

create table tasker.workers (
  worker_id bigint generated always as identity primary key,
  name text not null constraint worker_name_length check (length(name) between 1 and 256),
  namespaces text[],
  handlers text[] not null,
  lease_ms integer not null constraint lease_range check (lease_ms between 100 and 86400000),
  started_at timestamptz not null,
  last_seen_at timestamptz not null,
  lease_until timestamptz not null,
  waiting boolean not null default false,
  ended_at timestamptz,
  reaped_at timestamptz,
  constraint worker_reaped_after_end check (reaped_at is null or ended_at is not null)
) with (fillfactor = 50);
create index workers_alive on tasker.workers (lease_until) where reaped_at is null;
comment on table tasker.workers is 'One incarnation of a worker process. It holds the lease of every step that it has in progress.';
comment on column tasker.workers.worker_id is 'Identity; never used twice, so a host name or a process id identifies nothing.';
comment on column tasker.workers.name is 'For people: host and process by default.';
comment on column tasker.workers.namespaces is 'The namespaces that it serves; NULL serves all.';
comment on column tasker.workers.handlers is 'The handlers that it has, fixed for the incarnation.';
comment on column tasker.workers.lease_ms is 'For how long each renewal holds, in milliseconds.';
comment on column tasker.workers.started_at is 'When it registered.';
comment on column tasker.workers.last_seen_at is 'When it last renewed.';
comment on column tasker.workers.lease_until is 'Until when its steps are its own. Once past, it never renews: the process registers anew.';
comment on column tasker.workers.waiting is 'Whether its last look found nothing: it wants to be woken.';
comment on column tasker.workers.ended_at is 'When it signed off or its lease was found to have run out.';
comment on column tasker.workers.reaped_at is 'When the last of its steps had been taken back after its end.';

-- What an update leaves alone stands first: the log writes what lies between the ends that are as they were.
create table tasker.workflow_steps (
  task_id bigint not null,
  workflow_step_id bigint generated always as identity,
  created_at timestamptz not null,
  named_step_id integer not null,
  queue_id integer not null,
  total_parents integer not null,
  retry_limit integer not null default 3,
  generation integer not null default 1,
  priority smallint not null default 3,
  retryable boolean not null default true,
  skippable boolean not null default false,
  held boolean not null default false,
  paused boolean not null default false,
  pending_parents integer not null,
  attempts integer not null default 0,
  seq integer not null default 0,
  backoff_request_seconds integer,
  worker_id bigint,
  available_at timestamptz,
  last_attempted_at timestamptz,
  last_failure_at timestamptz,
  finished_at timestamptz,
  state tasker.step_state not null default 'pending',
  failure_kind tasker.failure_kind,
  last_error text,
  results jsonb,
  primary key (task_id, workflow_step_id)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
-- The key ends with the step, so that a claim can read on behind the last one taken, also among equals.
create index workflow_steps_ready on tasker.workflow_steps (queue_id, priority, available_at, workflow_step_id)
  where available_at is not null and not held and not paused;
create index workflow_steps_set_aside on tasker.workflow_steps (state) where state in ('cancelled', 'resolved_manually');
create index workflow_steps_worker on tasker.workflow_steps (worker_id, workflow_step_id) where worker_id is not null;
comment on table tasker.workflow_steps is 'One step of one task. Its current state is a column; how it came there is in tasker.workflow_step_transitions.';
comment on column tasker.workflow_steps.task_id is 'The task.';
comment on column tasker.workflow_steps.workflow_step_id is 'Identity; unique in the database.';
comment on column tasker.workflow_steps.worker_id is 'The incarnation that runs it; NULL unless in progress.';
comment on column tasker.workflow_steps.available_at is 'From when it may be claimed; NULL unless tasker.is_claimable. Kept while it is held or paused.';
comment on column tasker.workflow_steps.last_attempted_at is 'When it was last claimed.';
comment on column tasker.workflow_steps.last_failure_at is 'When its last failed attempt ended.';
comment on column tasker.workflow_steps.finished_at is 'When it came to complete, resolved_manually or cancelled; NULL otherwise.';
comment on column tasker.workflow_steps.created_at is 'When the row was written.';
comment on column tasker.workflow_steps.named_step_id is 'Which step of the workflow it is.';
comment on column tasker.workflow_steps.queue_id is 'Where it is claimed from.';
comment on column tasker.workflow_steps.pending_parents is 'The number of its parents that are neither complete nor resolved_manually.';
comment on column tasker.workflow_steps.total_parents is 'The number of its parents.';
comment on column tasker.workflow_steps.attempts is 'Attempts of this generation, counted at the claim; a release gives one back.';
comment on column tasker.workflow_steps.retry_limit is 'The total number of attempts; 0 means never.';
comment on column tasker.workflow_steps.seq is 'The number of its transitions so far, and so the fencing token of every report.';
comment on column tasker.workflow_steps.generation is 'Counted from 1, raised by an operator''s retry or reset; part of the idempotency key.';
comment on column tasker.workflow_steps.backoff_request_seconds is 'The wait decided at the last failure, whole seconds rounded up; cleared at the next claim.';
comment on column tasker.workflow_steps.priority is '1 is claimed first, 5 last.';
comment on column tasker.workflow_steps.retryable is 'Whether a failed attempt may be followed by another. The first is always allowed.';
comment on column tasker.workflow_steps.skippable is 'Whether the task may leave it out.';
comment on column tasker.workflow_steps.held is 'Whether fail-fast keeps it from being claimed.';
comment on column tasker.workflow_steps.paused is 'Whether its task is paused.';
comment on column tasker.workflow_steps.state is 'Durable state.';
comment on column tasker.workflow_steps.failure_kind is 'How the last attempt failed; NULL after success, a retry or a reset.';
comment on column tasker.workflow_steps.last_error is 'What the last failed attempt said, a sentence for people.';
comment on column tasker.workflow_steps.results is 'What it returned; NULL until it is done.';

create table tasker.workflow_step_edges (
  task_id bigint not null,
  from_step_id bigint not null,
  to_step_id bigint not null,
  name tasker.key not null default 'provides',
  created_at timestamptz not null,
  primary key (task_id, from_step_id, to_step_id),
  constraint edge_not_self check (from_step_id <> to_step_id)
);
create index workflow_step_edges_to on tasker.workflow_step_edges (task_id, to_step_id);
comment on table tasker.workflow_step_edges is 'The child waits for the parent. Both belong to one task; definitions are free of cycles before they get here.';
comment on column tasker.workflow_step_edges.task_id is 'The task of both steps.';
comment on column tasker.workflow_step_edges.from_step_id is 'The parent.';
comment on column tasker.workflow_step_edges.to_step_id is 'The child.';
comment on column tasker.workflow_step_edges.name is 'What the edge means; provides unless said.';
comment on column tasker.workflow_step_edges.created_at is 'When the row was written.';

create table tasker.workflow_step_transitions (
  task_id bigint not null,
  workflow_step_id bigint not null,
  worker_id bigint,
  at timestamptz not null,
  available_at timestamptz,
  seq integer not null,
  attempt integer not null,
  generation integer not null,
  retry_limit integer not null,
  from_state tasker.step_state not null,
  to_state tasker.step_state not null,
  failure_kind tasker.failure_kind,
  actor text,
  reason text,
  primary key (task_id, workflow_step_id, seq)
) with (autovacuum_vacuum_insert_scale_factor = 0.2);
comment on table tasker.workflow_step_transitions is 'What happened to a step, appended by the statement that changed it. Creation is no transition.';
comment on column tasker.workflow_step_transitions.task_id is 'The task.';
comment on column tasker.workflow_step_transitions.workflow_step_id is 'The step.';
comment on column tasker.workflow_step_transitions.worker_id is 'The incarnation that took it or gave it back; NULL where none was involved.';
comment on column tasker.workflow_step_transitions.at is 'When, read from the clock under the row''s lock.';
comment on column tasker.workflow_step_transitions.available_at is 'From when the step may be claimed after it; NULL if it may not.';
comment on column tasker.workflow_step_transitions.seq is 'Counted from 1 for each step, without gaps.';
comment on column tasker.workflow_step_transitions.attempt is 'The attempts of the step after it.';
comment on column tasker.workflow_step_transitions.generation is 'The generation of the step after it.';
comment on column tasker.workflow_step_transitions.retry_limit is 'The limit of the step at that time.';
comment on column tasker.workflow_step_transitions.from_state is 'The state of the locked row before.';
comment on column tasker.workflow_step_transitions.to_state is 'The state after.';
comment on column tasker.workflow_step_transitions.failure_kind is 'How the attempt failed; only on the way to error.';
comment on column tasker.workflow_step_transitions.actor is 'Who asked for it; NULL where the engine did it in its ordinary course.';
comment on column tasker.workflow_step_transitions.reason is 'Why: an operator''s words, or what the failed attempt said.';

create table tasker.task_transitions (
  task_id bigint not null,
  at timestamptz not null,
  seq integer not null,
  from_state tasker.task_state not null,
  to_state tasker.task_state not null,
  actor text,
  reason text,
  primary key (task_id, seq)
);
comment on table tasker.task_transitions is 'What happened to a task, appended by the statement that changed it.';
comment on column tasker.task_transitions.task_id is 'The task.';
comment on column tasker.task_transitions.at is 'When, read from the clock under the row''s lock.';
comment on column tasker.task_transitions.seq is 'Counted from 1 for each task, without gaps.';
comment on column tasker.task_transitions.from_state is 'The state of the locked row before.';
comment on column tasker.task_transitions.to_state is 'The state after.';
comment on column tasker.task_transitions.actor is 'Who asked for it; NULL where the engine did it in its ordinary course.';
comment on column tasker.task_transitions.reason is 'Why.';

create table tasker.control_log (
  control_id bigint generated always as identity primary key,
  task_id bigint references tasker.tasks,
  workflow_step_id bigint,
  queue_id integer references tasker.queues,
  at timestamptz not null,
  kind text not null constraint control_kind_known check (kind in ('held', 'unheld', 'paused', 'resumed', 'retry_limit', 'priority', 'due')),
  old_value jsonb,
  new_value jsonb,
  actor text,
  reason text,
  foreign key (task_id, workflow_step_id) references tasker.workflow_steps,
  constraint control_names_something check (task_id is not null or queue_id is not null)
);
create index control_log_task on tasker.control_log (task_id, workflow_step_id) where task_id is not null;
create index control_log_queue on tasker.control_log (queue_id) where queue_id is not null;
comment on table tasker.control_log is 'What changed without a transition: holds, pauses, limits, priorities, instants of the next attempt. Append-only.';
comment on column tasker.control_log.control_id is 'Identity.';
comment on column tasker.control_log.task_id is 'The task concerned.';
comment on column tasker.control_log.workflow_step_id is 'The step concerned; NULL for the whole task.';
comment on column tasker.control_log.queue_id is 'The queue concerned.';
comment on column tasker.control_log.at is 'When.';
comment on column tasker.control_log.kind is 'What changed.';
comment on column tasker.control_log.old_value is 'Before.';
comment on column tasker.control_log.new_value is 'After.';
comment on column tasker.control_log.actor is 'Who asked for it; NULL where the engine did it.';
comment on column tasker.control_log.reason is 'Why.';

create table tasker.annotation_types (
  annotation_type_id integer generated always as identity primary key,
  name text not null unique constraint annotation_type_name_length check (length(name) between 1 and 64),
  description text constraint annotation_type_description_length check (length(description) <= 255),
  created_at timestamptz not null default clock_timestamp()
);
comment on table tasker.annotation_types is 'A kind of annotation.';
comment on column tasker.annotation_types.annotation_type_id is 'Identity.';
comment on column tasker.annotation_types.name is 'Unique, 1 to 64 characters.';
comment on column tasker.annotation_types.description is 'For people, at most 255 characters.';
comment on column tasker.annotation_types.created_at is 'When the row was written.';

create table tasker.task_annotations (
  task_annotation_id bigint generated always as identity primary key,
  task_id bigint not null references tasker.tasks,
  annotation_type_id integer not null references tasker.annotation_types,
  annotation jsonb not null constraint annotation_is_object check (jsonb_typeof(annotation) = 'object'),
  created_at timestamptz not null default clock_timestamp()
);
create index task_annotations_task on tasker.task_annotations (task_id);
create index task_annotations_type on tasker.task_annotations (annotation_type_id);
comment on table tasker.task_annotations is 'What people and programs note about a task.';
comment on column tasker.task_annotations.task_annotation_id is 'Identity.';
comment on column tasker.task_annotations.task_id is 'The task.';
comment on column tasker.task_annotations.annotation_type_id is 'The kind.';
comment on column tasker.task_annotations.annotation is 'The note, an object.';
comment on column tasker.task_annotations.created_at is 'When the row was written.';

-- The database refuses whatever the state machine refuses, also to a writer that goes round the functions. What must
-- hold of the rows that every turn of a worker writes stands in triggers and not in CHECKs: PostgreSQL reads the text
-- of a CHECK anew for each statement that writes, which took a third of the time of a turn of one step.
create function tasker.refuse_row(rows text, rule text) returns void language plpgsql as $$
begin
  raise exception 'a row of tasker.% breaks the rule %', rows, rule
    using errcode = 'check_violation', constraint = rule, table = rows, schema = 'tasker', hint = 'Use the functions of schema tasker, which keep it.';
end $$;
comment on function tasker.refuse_row(text, text) is 'Raises the refusal of a row under the name of the rule that it breaks.';

create function tasker.refuse_transition(subject text, from_state text, to_state text) returns void language plpgsql as $$
begin
  raise exception 'a % may not go from % to %', subject, from_state, to_state
    using errcode = 'check_violation', constraint = subject || '_transition_is_legal',
          hint = 'Use the functions of schema tasker; the legal transitions are in tasker.' || subject || '_transition_is_legal.';
end $$;
comment on function tasker.refuse_transition(text, text, text) is 'Raises the refusal of an illegal change of state.';

create function tasker.guard_step() returns trigger language plpgsql as $$
declare
  broken constant text := case
    when old.state <> new.state and not tasker.step_transition_is_legal(old.state, new.state) then 'step_transition_is_legal'
    when (new.available_at is not null) <> tasker.is_claimable(
      new.state, new.pending_parents, new.attempts, new.retry_limit, new.retryable, new.failure_kind) then 'available_iff_claimable'
    when (new.worker_id is not null) <> (new.state = 'in_progress') then 'worker_iff_in_progress'
    when new.state = 'in_progress' and (new.attempts <= 0 or new.last_attempted_at is null) then 'attempted_iff_attempts'
    when (new.finished_at is not null) <> (new.state in ('complete', 'resolved_manually', 'cancelled')) then 'step_finished_iff_terminal'
    when new.results is not null and not tasker.is_done(new.state) then 'results_only_when_done'
    when new.state = 'error' and (new.failure_kind is null or new.last_failure_at is null) then 'error_says_how'
    when new.pending_parents not between 0 and new.total_parents then 'pending_parents_range'
    when new.attempts < 0 then 'attempts_range'
    when new.seq < 0 then 'step_seq_range'
    when new.retry_limit not between 0 and 1000000 then 'retry_limit_range'
    when new.generation < 1 then 'generation_range'
    when new.priority not between 1 and 5 then 'step_priority' end;
begin
  if broken is null then return new; end if;
  if broken = 'step_transition_is_legal' then perform tasker.refuse_transition('step', old.state, new.state); end if;
  perform tasker.refuse_row('workflow_steps', broken);
end $$;
comment on function tasker.guard_step() is 'Refuses a step whose columns do not fit each other and a change of state that is not legal.';
create trigger guard_step before insert or update on tasker.workflow_steps for each row execute function tasker.guard_step();

create function tasker.guard_task() returns trigger language plpgsql as $$
declare
  broken constant text := case
    when old.state <> new.state and not tasker.task_transition_is_legal(old.state, new.state) then 'task_transition_is_legal'
    when (new.finished_at is not null) <> (new.state in ('complete', 'error', 'cancelled', 'resolved_manually')) then 'task_finished_iff_terminal'
    when new.live_steps < 0 then 'live_steps_range'
    when new.live_steps > 0 and new.state not in ('pending', 'in_progress') then 'task_finished_has_no_live_steps'
    when new.seq < 0 then 'task_seq_range' end;
begin
  if broken is null then return new; end if;
  if broken = 'task_transition_is_legal' then perform tasker.refuse_transition('task', old.state, new.state); end if;
  perform tasker.refuse_row('tasks', broken);
end $$;
comment on function tasker.guard_task() is 'Refuses a task whose columns do not fit each other and a change of state that is not legal.';
create trigger guard_task before insert or update on tasker.tasks for each row execute function tasker.guard_task();

-- Without an actor there is only what the engine does in its ordinary course.
create function tasker.guard_step_transition() returns trigger language plpgsql as $$
declare
  broken constant text := case
    when not tasker.step_transition_is_legal(new.from_state, new.to_state) then 'step_transition_legal'
    when new.actor is null and new.to_state not in ('in_progress', 'complete', 'error') and (new.from_state <> 'in_progress' or new.to_state <> 'pending')
      then 'step_operation_has_actor'
    when (new.failure_kind is not null) <> (new.to_state = 'error') then 'failure_has_a_kind'
    when new.seq < 1 then 'step_transition_seq'
    when new.attempt < 0 then 'transition_attempt' end;
begin
  if broken is null then return new; end if;
  perform tasker.refuse_row('workflow_step_transitions', broken);
end $$;
comment on function tasker.guard_step_transition() is 'Refuses an entry of the log of steps that is not legal or not whole.';
create trigger guard_step_transition before insert or update on tasker.workflow_step_transitions
  for each row execute function tasker.guard_step_transition();

create function tasker.guard_task_transition() returns trigger language plpgsql as $$
declare
  broken constant text := case
    when not tasker.task_transition_is_legal(new.from_state, new.to_state) then 'task_transition_legal'
    when new.actor is null and new.to_state not in ('in_progress', 'complete', 'error') then 'task_operation_has_actor'
    when new.seq < 1 then 'task_transition_seq' end;
begin
  if broken is null then return new; end if;
  perform tasker.refuse_row('task_transitions', broken);
end $$;
comment on function tasker.guard_task_transition() is 'Refuses an entry of the log of tasks that is not legal or not whole.';
create trigger guard_task_transition before insert or update on tasker.task_transitions
  for each row execute function tasker.guard_task_transition();
