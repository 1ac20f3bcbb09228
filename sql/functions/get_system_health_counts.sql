-- How much of everything there is, in one row, exact.
--   p_now  moves the clock, not the state; defaults to the start of the statement
-- The first sixteen columns are those of the original, by durable state: a task or step that nothing has
-- happened to is pending. Of the steps in error: retryable_error_steps (another attempt follows by itself),
-- exhausted_retry_steps (no attempt is left), in_backoff_steps (the time of the next attempt has not come).
-- active_connections are those of this database that run a statement, this one included, as far as the role may
-- see; max_connections is the server's setting. Then:
--   resolved_manually_tasks, cancelled_steps, resolved_manually_steps  the states that the original leaves out
--   open_tasks, paused_tasks  pending or in_progress, and those of them that are paused
--   ready_steps    may be claimed now
--   held_steps     claimable, but held by fail-fast
--   paused_steps   claimable and not held, but step, task or queue is paused
--   paused_queues  queues from which nothing is claimed
--   live_workers   incarnations whose lease holds
--   expired_leases incarnations whose lease ran out and whose steps have not all been taken back
-- Cost: the steps of tasks that are open, in error or resolved are read by key, which offset 0 sees to, as a join
-- may read all that ever ran; and the entries of two indexes that only stopped tasks and steps set aside have. Of
-- what is complete nothing is read but one small index entry for each task (tasks_definition, a page for about a
-- thousand): a task has the steps of its definition, so the number of complete steps is what remains of the total.
create or replace function tasker.get_system_health_counts(p_now timestamptz default statement_timestamp())
returns table (
  total_tasks bigint, pending_tasks bigint, in_progress_tasks bigint, complete_tasks bigint, error_tasks bigint, cancelled_tasks bigint,
  total_steps bigint, pending_steps bigint, in_progress_steps bigint, complete_steps bigint, error_steps bigint,
  retryable_error_steps bigint, exhausted_retry_steps bigint, in_backoff_steps bigint, active_connections bigint, max_connections bigint,
  resolved_manually_tasks bigint, cancelled_steps bigint, resolved_manually_steps bigint, open_tasks bigint, paused_tasks bigint,
  ready_steps bigint, held_steps bigint, paused_steps bigint, paused_queues bigint, live_workers bigint, expired_leases bigint)
language sql stable rows 1 as $$
  select a.tasks, o.pending, o.in_progress, a.tasks - o.pending - o.in_progress - h.error - h.cancelled - h.resolved_manually, h.error, h.cancelled,
    a.steps, s.pending, s.in_progress, a.steps - s.pending - s.in_progress - s.error - r.cancelled - r.resolved_manually, s.error,
    s.retryable, s.exhausted, s.in_backoff, c.active, current_setting('max_connections')::bigint,
    h.resolved_manually, r.cancelled, r.resolved_manually, o.pending + o.in_progress, o.paused,
    s.ready, s.held, s.paused, q.paused, w.live, w.expired
  from (
    select coalesce(sum(d.tasks), 0)::bigint as tasks, coalesce(sum(d.tasks * n.steps), 0)::bigint as steps
    from (select t.definition_id, count(*) as tasks from tasker.tasks t group by 1) d
    cross join lateral (select count(*) as steps from tasker.definition_steps n where n.definition_id = d.definition_id) n) a
  cross join (
    select count(*) filter (where t.state = 'pending') as pending, count(*) filter (where t.state = 'in_progress') as in_progress,
      count(t.paused_at) as paused
    from tasker.tasks t where t.finished_at is null) o
  cross join (
    select count(*) filter (where t.state = 'error') as error, count(*) filter (where t.state = 'cancelled') as cancelled,
      count(*) filter (where t.state = 'resolved_manually') as resolved_manually
    from tasker.tasks t where t.outcome in ('error', 'cancelled', 'resolved_manually')) h
  cross join (
    select count(*) filter (where s.state = 'cancelled') as cancelled, count(*) filter (where s.state = 'resolved_manually') as resolved_manually
    from tasker.workflow_steps s where s.state in ('cancelled', 'resolved_manually')) r
  cross join (
    select count(*) filter (where s.state = 'pending') as pending, count(*) filter (where s.state = 'in_progress') as in_progress,
      count(*) filter (where s.state = 'error') as error,
      count(*) filter (where s.state = 'error' and tasker.is_claimable(s.state, 0, s.attempts, s.retry_limit, s.retryable, s.failure_kind)) as retryable,
      count(*) filter (where s.state = 'error' and s.attempts >= s.retry_limit) as exhausted,
      count(*) filter (where s.state = 'error' and s.available_at > p_now) as in_backoff,
      count(*) filter (where t.open and s.available_at <= p_now and not s.held and not s.paused and not t.paused and q.paused_at is null) as ready,
      count(*) filter (where s.available_at is not null and s.held) as held,
      count(*) filter (where t.open and s.available_at is not null and not s.held and (s.paused or t.paused or q.paused_at is not null)) as paused
    from (
      select t.task_id, t.paused_at is not null as paused, true as open from tasker.tasks t where t.finished_at is null
      union all
      select t.task_id, false, false from tasker.tasks t where t.outcome in ('error', 'resolved_manually')) t
    cross join lateral (
      select s.state, s.attempts, s.retry_limit, s.retryable, s.failure_kind, s.available_at, s.held, s.paused, s.queue_id
      from tasker.workflow_steps s where s.task_id = t.task_id offset 0) s
    join tasker.queues q on q.queue_id = s.queue_id) s
  cross join (select count(*) as paused from tasker.queues q where q.paused_at is not null) q
  cross join (
    select count(*) filter (where w.lease_until > p_now) as live, count(*) filter (where w.lease_until <= p_now) as expired
    from tasker.workers w where w.reaped_at is null) w
  cross join (
    select count(*) as active from pg_catalog.pg_stat_activity c
    where c.datname = current_database() and c.backend_type = 'client backend' and c.state = 'active') c
$$;
comment on function tasker.get_system_health_counts(timestamptz) is 'How much of everything there is, in one row, exact.';
