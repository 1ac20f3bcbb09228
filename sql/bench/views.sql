-- The baseline of the benchmarks: what tasker.get_step_readiness_status and tasker.get_task_execution_context
-- answer, as views that count parents from the edges and read no counter. Before anything is timed,
-- sql/bench/differences.sql proves them equal to the functions.
create schema bench;

create view bench.step_readiness as
select s.workflow_step_id, s.task_id, s.named_step_id, n.name, s.state::text as current_state, p.total = p.done as dependencies_satisfied,
  s.attempts < s.retry_limit as retry_eligible,
  s.state in ('pending', 'error') and p.total = p.done and s.attempts < s.retry_limit and (s.retryable or s.attempts = 0)
    and s.failure_kind is distinct from 'permanent' and s.available_at <= statement_timestamp()
    and not s.held and not s.paused and t.paused_at is null and q.paused_at is null and t.state in ('pending', 'in_progress') as ready_for_execution,
  case when s.state = 'error' then s.last_failure_at end as last_failure_at, case when s.state = 'error' then s.available_at end as next_retry_at,
  p.total as total_parents, p.done as completed_parents, s.attempts, s.retry_limit, s.backoff_request_seconds, s.last_attempted_at,
  t.state::text as task_state
from (
  select s.task_id, s.workflow_step_id, count(e.from_step_id)::integer as total,
    (count(*) filter (where p.state in ('complete', 'resolved_manually')))::integer as done
  from tasker.workflow_steps s
  left join tasker.workflow_step_edges e on e.task_id = s.task_id and e.to_step_id = s.workflow_step_id
  left join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
  group by s.task_id, s.workflow_step_id) p
join tasker.workflow_steps s on s.task_id = p.task_id and s.workflow_step_id = p.workflow_step_id
join tasker.tasks t on t.task_id = s.task_id
join tasker.named_steps n on n.named_step_id = s.named_step_id
join tasker.queues q on q.queue_id = s.queue_id;

-- Two ways to write the same view. This one lets a filter by task through to the steps.
create view bench.task_context as
select t.task_id, t.named_task_id, t.state::text as status, coalesce(c.total, 0) as total_steps, coalesce(c.pending, 0) as pending_steps,
  coalesce(c.in_progress, 0) as in_progress_steps, coalesce(c.done, 0) as completed_steps, coalesce(c.failed, 0) as failed_steps,
  coalesce(c.ready, 0) as ready_steps
from tasker.tasks t left join (
  select r.task_id, count(*) as total, count(*) filter (where r.current_state = 'pending') as pending,
    count(*) filter (where r.current_state = 'in_progress') as in_progress,
    count(*) filter (where r.current_state in ('complete', 'resolved_manually')) as done,
    count(*) filter (where r.current_state = 'error') as failed, count(*) filter (where r.ready_for_execution) as ready
  from bench.step_readiness r group by r.task_id) c on c.task_id = t.task_id;

-- This one names its parts, and one of them is read twice: PostgreSQL computes such a part once, for all tasks,
-- whatever the filter. The shipped views of the original behave like this.
create view bench.task_context_in_parts as
with readiness as (select * from bench.step_readiness),
ready as (select task_id, count(*) as ready from readiness where ready_for_execution group by task_id),
counted as (
  select task_id, count(*) as total, count(*) filter (where current_state = 'pending') as pending,
    count(*) filter (where current_state = 'in_progress') as in_progress,
    count(*) filter (where current_state in ('complete', 'resolved_manually')) as done,
    count(*) filter (where current_state = 'error') as failed
  from readiness group by task_id)
select t.task_id, t.named_task_id, t.state::text as status, coalesce(c.total, 0) as total_steps, coalesce(c.pending, 0) as pending_steps,
  coalesce(c.in_progress, 0) as in_progress_steps, coalesce(c.done, 0) as completed_steps, coalesce(c.failed, 0) as failed_steps,
  coalesce(r.ready, 0) as ready_steps
from tasker.tasks t left join counted c on c.task_id = t.task_id left join ready r on r.task_id = t.task_id;
