-- Writes the results of attempts that succeeded, releases the children and settles the tasks. Internal to
-- tasker.complete_steps and tasker.exchange_steps.
--   p_task_ids, p_step_ids, p_tokens, p_results  one entry a report; the token is the seq of the claim
--   p_now  the instant; NULL reads the database's clock under the steps' locks
--   p_children  false if none of the steps has children
--   p_worker_id, p_queues, p_priority, p_limit  who goes on with the children, as tasker.release_children
-- Returns what changed, in one row of arrays, each NULL if empty:
--   done     the reports that were accepted
--   ready    children that became available
--   taken    children that the worker goes on with: in progress, their token is their seq
--   settled  tasks that settled, with their state
-- Locks: the reported steps by id, their children by id, their tasks by id.
create or replace function tasker.finish_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[], p_now timestamptz default null,
  p_children boolean default true, p_worker_id bigint default null, p_queues integer[] default null, p_priority integer default 5, p_limit integer default 0,
  out done_tasks bigint[], out done_steps bigint[], out ready_tasks bigint[], out ready_steps bigint[], out taken_tasks bigint[], out taken_steps bigint[],
  out settled_tasks bigint[], out settled_states text[])
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare v_now timestamptz; v_live bigint[]; v_adjust bigint[]; v_deltas integer[];
begin
  with i as (select * from unnest(p_task_ids, p_step_ids, p_tokens, p_results) i (task_id, step_id, token, result)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.worker_id, i.token, i.result
    from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    where s.state = 'in_progress' and s.seq = i.token order by s.workflow_step_id for update of s),
  -- The clock is read here, under the locks.
  g as (select k.*, coalesce(p_now, clock_timestamp()) as at from k),
  u as (
    update tasker.workflow_steps s set state = 'complete', seq = s.seq + 1, worker_id = null, finished_at = g.at,
      results = g.result, failure_kind = null, last_error = null
    from g where s.task_id = g.task_id and s.workflow_step_id = g.workflow_step_id and s.state = 'in_progress' and s.seq = g.token
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, g.worker_id, g.at),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    select u.task_id, u.workflow_step_id, u.worker_id, u.at, u.seq, u.attempts, u.generation, u.retry_limit, 'in_progress', 'complete' from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id), max(u.at) into done_tasks, done_steps, v_now from u;
  if done_tasks is null then return; end if;

  if p_children then
    select array_agg(c.task_id) filter (where not c.taken), array_agg(c.workflow_step_id) filter (where not c.taken),
           array_agg(c.task_id) filter (where c.taken), array_agg(c.workflow_step_id) filter (where c.taken),
           array_agg(c.task_id) filter (where not c.held)
    into ready_tasks, ready_steps, taken_tasks, taken_steps, v_live
    from tasker.release_children(done_tasks, done_steps, v_now, p_worker_id, p_queues, p_priority, p_limit, p_now) c;
  end if;

  -- Along a chain one step ends and one becomes available: nothing to write, no task row to lock.
  select array_agg(d.task_id), array_agg(d.delta) into v_adjust, v_deltas from (
    select x.task_id, sum(x.delta)::integer as delta
    from (select unnest(done_tasks), -1 union all select unnest(v_live), 1) x (task_id, delta) group by 1) d
  where d.delta <> 0;
  if v_adjust is not null then
    select array_agg(a.task_id), array_agg(a.state) into settled_tasks, settled_states from tasker.adjust_tasks(v_adjust, v_deltas, p_now) a;
  end if;
  if ready_tasks is not null then perform tasker.wake_workers(); end if;
end $$;
comment on function tasker.finish_steps(bigint[], bigint[], integer[], jsonb[], timestamptz, boolean, bigint, integer[], integer, integer) is
  'Writes results, releases the children, settles the tasks; internal to the commands.';
