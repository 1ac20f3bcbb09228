-- Takes the next steps of some queues for a worker: highest priority first, then longest available. Each
-- becomes in_progress under the worker's lease and costs an attempt; its token is its new seq. Internal to
-- tasker.claim_steps and tasker.exchange_steps, which hold the worker's row and say which queues.
--   p_queues       queues to read; paused ones are left out by the caller
--   p_limit        the most steps to take
--   p_after_*      one entry a queue and priority: only steps behind this key are read. Rows that were
--                  claimed but that an old snapshot keeps from being removed stand before it and are not
--                  passed over again. Empty arrays read from the beginning
--   p_now          the instant; NULL reads the database's clock
-- Returns one row a step in the order of claiming, with the key that it was found under.
-- Locks: steps without waiting, tasks that this claim starts by id.
-- Shape: heads of all queues and priorities are peeked with one bounded probe each, so that neither the
-- number of tasks nor rows that are due later, held or paused cost anything; then each queue is read in
-- index order. One statement over all queues would sort the backlog.
create or replace function tasker.take_steps(
  p_worker_id bigint, p_queues integer[], p_limit integer, p_after_queues integer[], p_after_priorities integer[],
  p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz default null)
returns table (task_id bigint, workflow_step_id bigint, queue_id integer, priority integer, available_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp()); v_head record;
  v_tasks bigint[] := '{}'; v_steps bigint[] := '{}'; v_states text[] := '{}';
  v_queues integer[] := '{}'; v_priorities integer[] := '{}'; v_ats timestamptz[] := '{}';
  v_more_tasks bigint[]; v_more_steps bigint[]; v_more_states text[]; v_more_ats timestamptz[];
begin
  for v_head in
    select q.queue_id, p.priority, h.available_at, coalesce(a.at, '-infinity') as after_at, coalesce(a.id, 0) as after_id
    from unnest(p_queues) q (queue_id) cross join generate_series(1, 5) p (priority)
    left join unnest(p_after_queues, p_after_priorities, p_after_at, p_after_ids) a (queue_id, priority, at, id)
      on a.queue_id = q.queue_id and a.priority = p.priority
    cross join lateral (
      select s.available_at from tasker.workflow_steps s
      where s.queue_id = q.queue_id and s.priority = p.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
        and (s.available_at, s.workflow_step_id) > (coalesce(a.at, '-infinity'), coalesce(a.id, 0))
      order by s.available_at, s.workflow_step_id limit 1) h
    order by p.priority, h.available_at
  loop
    with k as (
      select s.task_id, s.workflow_step_id, s.state::text as state, s.available_at from tasker.workflow_steps s
      where s.queue_id = v_head.queue_id and s.priority = v_head.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
        and (s.available_at, s.workflow_step_id) > (v_head.after_at, v_head.after_id)
      order by s.available_at, s.workflow_step_id limit p_limit - cardinality(v_steps) for update skip locked)
    select coalesce(array_agg(k.task_id), '{}'), coalesce(array_agg(k.workflow_step_id), '{}'), coalesce(array_agg(k.state), '{}'),
           coalesce(array_agg(k.available_at), '{}')
    into v_more_tasks, v_more_steps, v_more_states, v_more_ats from k;
    v_tasks := v_tasks || v_more_tasks;
    v_steps := v_steps || v_more_steps;
    v_states := v_states || v_more_states;
    v_ats := v_ats || v_more_ats;
    v_queues := v_queues || array_fill(v_head.queue_id, array[cardinality(v_more_steps)]);
    v_priorities := v_priorities || array_fill(v_head.priority, array[cardinality(v_more_steps)]);
    exit when cardinality(v_steps) >= p_limit;
  end loop;
  if cardinality(v_steps) = 0 then return; end if;
  v_now := greatest(v_now, coalesce(p_now, clock_timestamp()));

  with k as (select * from unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state)),
  u as (
    update tasker.workflow_steps s set state = 'in_progress', attempts = s.attempts + 1, seq = s.seq + 1,
      available_at = null, worker_id = p_worker_id, last_attempted_at = v_now, backoff_request_seconds = null
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state)
  insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
  select u.task_id, u.workflow_step_id, p_worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'in_progress' from u;

  with k as materialized (
    select t.task_id from tasker.tasks t where t.task_id = any (v_tasks) and t.state = 'pending' order by t.task_id for update),
  u as (
    update tasker.tasks t set state = 'in_progress', seq = t.seq + 1 from k where t.task_id = k.task_id and t.state = 'pending'
    returning t.task_id, t.seq)
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state)
  select u.task_id, v_now, u.seq, 'pending', 'in_progress' from u;

  return query select * from unnest(v_tasks, v_steps, v_queues, v_priorities, v_ats);
end $$;
comment on function tasker.take_steps(bigint, integer[], integer, integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'Takes the next steps of some queues for a worker; internal to the claims.';
