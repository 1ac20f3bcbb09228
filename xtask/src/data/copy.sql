-- One chunk of tasks, copied from the models. Rows go in by id, as the engine would write them.
insert into tasker.tasks (
  task_id, named_task_id, definition_id, live_steps, seq, state, fail_fast, requested_at, created_at, finished_at, paused_at,
  identity_hash, initiator, source_system, reason, bypass_steps, tags, context)
overriding system value
select c.task_id, m.named_task_id, m.definition_id, m.live_steps, m.seq, m.state, m.fail_fast, m.requested_at + c.shift,
  m.created_at + c.shift, m.finished_at + c.shift, m.paused_at + c.shift,
  encode(sha256(('data ' || c.task_id)::bytea), 'hex'), m.initiator, m.source_system, m.reason, m.bypass_steps, m.tags, m.context
from chunk c join model_tasks m using (kind) order by c.task_id;

insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor, reason)
select c.task_id, m.at + c.shift, m.seq, m.from_state, m.to_state, m.actor, m.reason
from chunk c join model_task_transitions m using (kind) order by c.task_id, m.seq;

insert into tasker.workflow_steps (
  task_id, workflow_step_id, worker_id, available_at, last_attempted_at, last_failure_at, finished_at, created_at, named_step_id,
  queue_id, pending_parents, total_parents, attempts, retry_limit, seq, generation, backoff_request_seconds, priority, retryable,
  skippable, held, paused, state, failure_kind, last_error, results)
overriding system value
select c.task_id, c.first_step_id + m.place - 1, m.worker_id, m.available_at + c.shift, m.last_attempted_at + c.shift,
  m.last_failure_at + c.shift, m.finished_at + c.shift, m.created_at + c.shift, m.named_step_id, m.queue_id, m.pending_parents,
  m.total_parents, m.attempts, m.retry_limit, m.seq, m.generation, m.backoff_request_seconds, m.priority, m.retryable,
  m.skippable, m.held, m.paused, m.state, m.failure_kind, m.last_error, m.results
from chunk c join model_steps m using (kind) order by c.task_id, m.place;

insert into tasker.workflow_step_edges (task_id, from_step_id, to_step_id, name, created_at)
select c.task_id, c.first_step_id + m.from_place - 1, c.first_step_id + m.to_place - 1, m.name, m.created_at + c.shift
from chunk c join model_edges m using (kind) order by c.task_id, m.from_place, m.to_place;

insert into tasker.workflow_step_transitions (
  task_id, workflow_step_id, worker_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state,
  failure_kind, actor, reason)
select c.task_id, c.first_step_id + m.place - 1, m.worker_id, m.at + c.shift, m.available_at + c.shift, m.seq, m.attempt,
  m.generation, m.retry_limit, m.from_state, m.to_state, m.failure_kind, m.actor, m.reason
from chunk c join model_step_transitions m using (kind) order by c.task_id, m.place, m.seq;

truncate chunk;
