-- Reports attempts that succeeded: writes results and transitions, releases the children, settles the
-- tasks. One round trip, one transaction, any number of steps.
--   p_task_ids, p_step_ids, p_tokens, p_results  one entry a report; the token is the seq of the claim
--   p_now  the instant; NULL reads the database's clock under the steps' locks
-- Returns what changed, in rows of (kind, task_id, workflow_step_id):
--   completed  the report was accepted. A report without this row no longer held its claim: lease lost
--   ready      a child that became available
--   complete, error  a task that settled; workflow_step_id is NULL
-- Locks: the reported steps by id, their children by id, their tasks by id.
create or replace function tasker.complete_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[], p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_workers bigint[];
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

  select array_agg(c.task_id), array_agg(c.workflow_step_id), array_agg(c.task_id) filter (where not c.held)
  into v_ready_tasks, v_ready_steps, v_live_tasks from tasker.release_children(v_tasks, v_steps, v_now) c;

  -- Along a chain one step ends and one becomes available: nothing to write, no task row to lock.
  select array_agg(d.task_id), array_agg(d.delta) into v_adjust, v_deltas from (
    select x.task_id, sum(x.delta)::integer as delta
    from (select unnest(v_tasks), -1 union all select unnest(v_live_tasks), 1) x (task_id, delta) group by 1) d
  where d.delta <> 0;

  return query select 'completed', d.task_id, d.step_id from unnest(v_tasks, v_steps) d (task_id, step_id);
  return query select 'ready', c.task_id, c.step_id from unnest(v_ready_tasks, v_ready_steps) c (task_id, step_id);
  if v_adjust is not null then
    return query select a.state, a.task_id, null::bigint from tasker.adjust_tasks(v_adjust, v_deltas, p_now) a;
  end if;
end $$;
comment on function tasker.complete_steps(bigint[], bigint[], integer[], jsonb[], timestamptz) is
  'Reports attempts that succeeded: results, transitions, release of the children, settling of the tasks.';
