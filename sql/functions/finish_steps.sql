-- Writes the results of attempts that succeeded, releases the children and settles the tasks. Internal to
-- tasker.complete_steps and tasker.exchange_steps.
--   p_task_ids, p_step_ids, p_tokens, p_results  one entry a report; the token is the seq of the claim
--   p_now  the instant; NULL reads the database's clock under the steps' locks
--   p_worker_id, p_queues, p_priority, p_limit  who goes on with the children, as tasker.release_children
-- Returns what changed, in rows of (kind, task_id, workflow_step_id):
--   completed  the report was accepted
--   ready      a child that became available
--   taken      a child that the worker goes on with: in progress, its token is its seq
--   complete, error  a task that settled; workflow_step_id is NULL
-- Locks: the reported steps by id, their children by id, their tasks by id.
create or replace function tasker.finish_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[], p_now timestamptz default null,
  p_worker_id bigint default null, p_queues integer[] default null, p_priority integer default 5, p_limit integer default 0)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_workers bigint[]; v_kinds text[];
  v_ready_tasks bigint[]; v_ready_steps bigint[]; v_live_tasks bigint[]; v_adjust bigint[]; v_deltas integer[];
begin
  with i as (select * from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.worker_id
    from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    where s.state = 'in_progress' and s.seq = i.token order by s.workflow_step_id for update of s)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.worker_id) into v_tasks, v_steps, v_workers from k;
  if v_tasks is null then return; end if;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (select * from unnest(v_tasks, v_steps, v_workers) k (task_id, step_id, worker_id)),
  i as (select * from unnest(p_task_ids, p_step_ids, p_tokens, p_results) i (task_id, step_id, token, result)),
  u as (
    update tasker.workflow_steps s set state = 'complete', seq = s.seq + 1, worker_id = null, finished_at = v_now,
      results = i.result, failure_kind = null, last_error = null
    from k join i using (task_id, step_id) where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = 'in_progress' and s.seq = i.token
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, 'in_progress', 'complete' from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_tasks, v_steps from u;

  select array_agg(c.task_id), array_agg(c.workflow_step_id), array_agg(case when c.taken then 'taken' else 'ready' end),
         array_agg(c.task_id) filter (where not c.held)
  into v_ready_tasks, v_ready_steps, v_kinds, v_live_tasks
  from tasker.release_children(v_tasks, v_steps, v_now, p_worker_id, p_queues, p_priority, p_limit, p_now) c;

  -- Along a chain one step ends and one becomes available: nothing to write, no task row to lock.
  select array_agg(d.task_id), array_agg(d.delta) into v_adjust, v_deltas from (
    select x.task_id, sum(x.delta)::integer as delta
    from (select unnest(v_tasks), -1 union all select unnest(v_live_tasks), 1) x (task_id, delta) group by 1) d
  where d.delta <> 0;

  return query select 'completed', d.task_id, d.step_id from unnest(v_tasks, v_steps) d (task_id, step_id);
  return query select c.kind, c.task_id, c.step_id from unnest(v_kinds, v_ready_tasks, v_ready_steps) c (kind, task_id, step_id);
  if v_adjust is not null then
    return query select a.state, a.task_id, null::bigint from tasker.adjust_tasks(v_adjust, v_deltas, p_now) a;
  end if;
  if 'ready' = any (v_kinds) then perform tasker.wake_workers(); end if;
end $$;
comment on function tasker.finish_steps(bigint[], bigint[], integer[], jsonb[], timestamptz, bigint, integer[], integer, integer) is
  'Writes results, releases the children, settles the tasks; internal to the commands.';
