-- Counts done parents off their children, in the order of the children's ids, and makes those available
-- whose last parent this was. The decrement is relative and is applied to the row as it is once its lock
-- is held, so two parents that end at once are both counted.
--   p_task_ids, p_step_ids  steps that have just become complete or resolved_manually
--   p_now        from when the children are available
--   p_worker_id  the worker that goes on with them at once, as a claim of it would; NULL for nobody
--   p_queues     the queues that it serves
--   p_priority   the lowest priority that it may go on with: nothing that waits stands above it
--   p_limit      the most children that it goes on with
--   p_clock      the instant that the log of those gets; NULL reads the database's clock under the lock
-- Returns one row for each child that became available or was gone on with (taken): task, step, whether
-- fail-fast holds it.
-- Locks: the children by id.
create or replace function tasker.release_children(
  p_task_ids bigint[], p_step_ids bigint[], p_now timestamptz, p_worker_id bigint default null, p_queues integer[] default null,
  p_priority integer default 5, p_limit integer default 0, p_clock timestamptz default null)
returns table (task_id bigint, workflow_step_id bigint, held boolean, taken boolean)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
  with d as (
    select e.task_id, e.to_step_id, count(*)::integer as n
    from unnest(p_task_ids, p_step_ids) p (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = p.task_id and e.from_step_id = p.step_id group by 1, 2),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.state::text as state, d.n, s.held or s.paused as kept, s.queue_id, s.priority,
      tasker.is_claimable(s.state, s.pending_parents - d.n, s.attempts, s.retry_limit, s.retryable, s.failure_kind) as claimable
    from d join tasker.workflow_steps s on s.task_id = d.task_id and s.workflow_step_id = d.to_step_id
    order by s.workflow_step_id for update of s),
  g as (
    select k.*, coalesce(p_clock, clock_timestamp()) as at,
      coalesce(k.claimable and not k.kept and k.priority <= p_priority and k.queue_id = any (p_queues), false) as eligible from k),
  c as (
    select g.*, g.eligible and row_number() over (partition by g.eligible order by g.priority, g.workflow_step_id) <= p_limit as taken from g),
  u as (
    update tasker.workflow_steps s set
      pending_parents = s.pending_parents - c.n,
      available_at = case when c.claimable and not c.taken then p_now end,
      state = case when c.taken then 'in_progress' else s.state end,
      worker_id = case when c.taken then p_worker_id else s.worker_id end,
      attempts = s.attempts + c.taken::integer, seq = s.seq + c.taken::integer,
      last_attempted_at = case when c.taken then c.at else s.last_attempted_at end,
      backoff_request_seconds = case when not c.taken then s.backoff_request_seconds end
    from c where s.task_id = c.task_id and s.workflow_step_id = c.workflow_step_id
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.held, s.available_at, c.taken, c.at, c.state),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    select u.task_id, u.workflow_step_id, p_worker_id, u.at, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'in_progress' from u where u.taken)
  select u.task_id, u.workflow_step_id, u.held, u.taken from u where u.available_at is not null or u.taken;
end $$;
comment on function tasker.release_children(bigint[], bigint[], timestamptz, bigint, integer[], integer, integer, timestamptz) is
  'Counts done parents off their children and makes available those with none left, or goes on with them; internal to the commands.';
