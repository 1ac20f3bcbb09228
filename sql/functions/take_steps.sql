-- Takes the next steps of some queues for a worker: highest priority first, then longest available. Each
-- becomes in_progress under the worker's lease and costs an attempt; its token is its new seq. Internal to
-- tasker.claim_steps and tasker.exchange_steps, which hold the worker's row and say which queues.
--   p_queues       queues to read; paused ones are left out by the caller
--   p_limit        the most steps to take
--   p_after_*      one entry a queue and priority: only steps behind this key are read. Rows that were
--                  claimed but that an old snapshot keeps from being removed stand before it and are not
--                  passed over again. Empty arrays read from the beginning
--   p_now          the instant; NULL reads the database's clock
-- Returns one row: the steps in the order of claiming, as task_ids and step_ids (empty if there was none), and
-- the last key read of each queue and priority.
-- Locks: steps without waiting, tasks that this claim starts by id.
-- Shape: heads of all queues and priorities are peeked with one bounded probe each, so that neither the
-- number of tasks nor rows that are due later, held or paused cost anything; then each queue is read in
-- index order. One statement over all queues would sort the backlog.
create or replace function tasker.take_steps(
  p_worker_id bigint, p_queues integer[], p_limit integer, p_after_queues integer[], p_after_priorities integer[],
  p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz,
  out task_ids bigint[], out step_ids bigint[], out head_queues integer[], out head_priorities integer[], out head_ats timestamptz[], out head_ids bigint[])
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp()); v_head record; v_states text[] := '{}';
  v_tasks bigint[]; v_steps bigint[]; v_more text[]; v_at timestamptz; v_step record; v_seq integer;
begin
  task_ids := '{}'; step_ids := '{}'; head_queues := '{}'; head_priorities := '{}'; head_ats := '{}'; head_ids := '{}';
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
      order by s.available_at, s.workflow_step_id limit p_limit - cardinality(step_ids) for update skip locked)
    select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.state), (array_agg(k.available_at))[count(*)] into v_tasks, v_steps, v_more, v_at from k;
    continue when v_tasks is null;
    task_ids := task_ids || v_tasks;
    step_ids := step_ids || v_steps;
    v_states := v_states || v_more;
    head_queues := head_queues || v_head.queue_id;
    head_priorities := head_priorities || v_head.priority;
    head_ats := head_ats || v_at;
    head_ids := head_ids || v_steps[cardinality(v_steps)];
    exit when cardinality(step_ids) >= p_limit;
  end loop;
  if cardinality(step_ids) = 0 then return; end if;
  v_now := greatest(v_now, coalesce(p_now, clock_timestamp()));

  -- One step goes by plain statements: those over arrays cost more to begin than there is to do. A test holds the two
  -- equal.
  if cardinality(step_ids) = 1 then
    update tasker.workflow_steps s set state = 'in_progress', attempts = s.attempts + 1, seq = s.seq + 1,
      available_at = null, worker_id = p_worker_id, last_attempted_at = v_now, backoff_request_seconds = null
    where s.task_id = task_ids[1] and s.workflow_step_id = step_ids[1] and s.state = v_states[1]
    returning s.seq, s.attempts, s.generation, s.retry_limit into v_step;
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    values (task_ids[1], step_ids[1], p_worker_id, v_now, v_step.seq, v_step.attempts, v_step.generation, v_step.retry_limit, v_states[1], 'in_progress');
    update tasker.tasks t set state = 'in_progress', seq = t.seq + 1 where t.task_id = task_ids[1] and t.state = 'pending' returning t.seq into v_seq;
    if found then
      insert into tasker.task_transitions (task_id, at, seq, from_state, to_state) values (task_ids[1], v_now, v_seq, 'pending', 'in_progress');
    end if;
    return;
  end if;

  with k as (select * from unnest(task_ids, step_ids, v_states) k (task_id, step_id, state)),
  u as (
    update tasker.workflow_steps s set state = 'in_progress', attempts = s.attempts + 1, seq = s.seq + 1,
      available_at = null, worker_id = p_worker_id, last_attempted_at = v_now, backoff_request_seconds = null
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state)
  insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
  select u.task_id, u.workflow_step_id, p_worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'in_progress' from u;

  with k as materialized (
    select t.task_id from tasker.tasks t where t.task_id = any (task_ids) and t.state = 'pending' order by t.task_id for update),
  u as (
    update tasker.tasks t set state = 'in_progress', seq = t.seq + 1 from k where t.task_id = k.task_id and t.state = 'pending'
    returning t.task_id, t.seq)
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state)
  select u.task_id, v_now, u.seq, 'pending', 'in_progress' from u;
end $$;
comment on function tasker.take_steps(bigint, integer[], integer, integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'Takes the next steps of some queues for a worker; internal to the claims.';
