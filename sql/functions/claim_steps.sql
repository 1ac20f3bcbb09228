-- Claims the next steps for a worker: highest priority first, then longest available. Each becomes
-- in_progress under the worker's lease and costs an attempt; its token is its new seq.
--   p_worker_id  an incarnation registered by tasker.register_worker; one that has ended or whose lease
--                ran out gets no rows
--   p_limit      the most steps to take
--   p_now        the instant; NULL reads the database's clock
-- Returns one row a step in the order of claiming, with all that a handler needs: the task's context and
-- the results of the parents by name.
-- Locks: the worker (key share: a renewal may pass, an expiry may not), steps without waiting, tasks that
-- this claim starts by id.
-- Shape: heads of all queues and priorities are peeked with one bounded probe each, so that neither the
-- number of tasks nor rows that are due later, held or paused cost anything; then each queue is read in
-- index order. One statement over all queues would sort the backlog.
create or replace function tasker.claim_steps(p_worker_id bigint, p_limit integer, p_now timestamptz default null)
returns table (
  task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_worker tasker.workers; v_queues integer[]; v_head record;
  v_tasks bigint[] := '{}'; v_steps bigint[] := '{}'; v_states text[] := '{}';
  v_more_tasks bigint[]; v_more_steps bigint[]; v_more_states text[];
begin
  perform tasker.expire_leases(100, p_now);

  select * into v_worker from tasker.workers w
  where w.worker_id = p_worker_id and w.ended_at is null and w.lease_until > v_now for key share;
  if not found then return; end if;
  v_queues := array(
    select q.queue_id from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
    where q.paused_at is null and q.handler = any (v_worker.handlers)
      and (v_worker.namespaces is null or n.name = any (v_worker.namespaces)));

  for v_head in
    select q.queue_id, p.priority, h.available_at
    from unnest(v_queues) q (queue_id) cross join generate_series(1, 5) p (priority)
    cross join lateral (
      select s.available_at from tasker.workflow_steps s
      where s.queue_id = q.queue_id and s.priority = p.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
      order by s.available_at limit 1) h
    order by p.priority, h.available_at
  loop
    with k as (
      select s.task_id, s.workflow_step_id, s.state::text as state from tasker.workflow_steps s
      where s.queue_id = v_head.queue_id and s.priority = v_head.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
      order by s.available_at limit p_limit - cardinality(v_steps) for update skip locked)
    select coalesce(array_agg(k.task_id), '{}'), coalesce(array_agg(k.workflow_step_id), '{}'), coalesce(array_agg(k.state), '{}')
    into v_more_tasks, v_more_steps, v_more_states from k;
    v_tasks := v_tasks || v_more_tasks;
    v_steps := v_steps || v_more_steps;
    v_states := v_states || v_more_states;
    exit when cardinality(v_steps) >= p_limit;
  end loop;
  if cardinality(v_steps) = 0 then return; end if;
  v_now := greatest(v_now, coalesce(p_now, clock_timestamp()));

  return query
  with k as (select * from unnest(v_tasks, v_steps, v_states) with ordinality k (task_id, step_id, state, place)),
  u as (
    update tasker.workflow_steps s set state = 'in_progress', attempts = s.attempts + 1, seq = s.seq + 1,
      available_at = null, worker_id = p_worker_id, last_attempted_at = v_now, backoff_request_seconds = null
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.named_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state, k.place),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    select u.task_id, u.workflow_step_id, p_worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'in_progress' from u)
  select u.task_id, u.workflow_step_id, u.seq, u.attempts, u.generation, t.definition_id, n.name, t.context,
    coalesce((
      select jsonb_object_agg(pn.name, p.results) from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      join tasker.named_steps pn on pn.named_step_id = p.named_step_id
      where e.task_id = u.task_id and e.to_step_id = u.workflow_step_id), '{}'::jsonb),
    v_now
  from u join tasker.tasks t on t.task_id = u.task_id join tasker.named_steps n on n.named_step_id = u.named_step_id
  order by u.place;

  with k as materialized (
    select t.task_id from tasker.tasks t where t.task_id = any (v_tasks) and t.state = 'pending' order by t.task_id for update),
  u as (
    update tasker.tasks t set state = 'in_progress', seq = t.seq + 1 from k where t.task_id = k.task_id and t.state = 'pending'
    returning t.task_id, t.seq)
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state)
  select u.task_id, v_now, u.seq, 'pending', 'in_progress' from u;
end $$;
comment on function tasker.claim_steps(bigint, integer, timestamptz) is
  'Claims the next steps for a worker, with all that their handlers need; takes back steps of dead workers first.';
