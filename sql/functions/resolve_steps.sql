-- Resolves steps by hand: pending or in error, they count as done, with the result given or none, and
-- their children are released exactly as by completion. A skip is a resolution whose reason says so. A hold
-- of fail-fast is lifted once no dead step is left.
--   p_results          one entry a step, NULL for none
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): resolved, already_resolved, refused (with the
-- state of step or task that forbids it), not_found; and task with the new state of a task that changed.
-- Locks: the steps by id, their children by id, what fail-fast holds by id, their tasks by id.
create or replace function tasker.resolve_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_results jsonb[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_ids bigint[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[]; v_gone bigint[]; v_live bigint[]; v_lifted bigint[]; v_given integer[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  with i as (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.state::text as state
    from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    order by s.workflow_step_id for update of s)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.state) into v_tasks, v_steps, v_states from k;
  -- The children are locked before the tasks, which is why release_children does not come first here.
  perform from tasker.workflow_steps s
  where (s.task_id, s.workflow_step_id) in (
    select e.task_id, e.to_step_id from unnest(v_tasks, v_steps) i (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = i.task_id and e.from_step_id = i.step_id)
  order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (v_tasks) and s.held order by s.workflow_step_id for update;
  with k as materialized (
    select t.task_id, t.state::text as state from tasker.tasks t where t.task_id = any (v_tasks) order by t.task_id for update)
  select array_agg(k.task_id), array_agg(k.state) into v_task_ids, v_task_states from k;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (
    select k.* from unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state)
    join unnest(v_task_ids, v_task_states) t (task_id, state) on t.task_id = k.task_id
    where k.state in ('pending', 'error') and t.state in ('pending', 'in_progress', 'error')),
  i as (select * from unnest(p_task_ids, p_step_ids, p_results) i (task_id, step_id, result)),
  before as (
    select s.task_id, s.workflow_step_id, s.available_at is not null and not s.held as live
    from k join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id),
  u as (
    update tasker.workflow_steps s set state = 'resolved_manually', seq = s.seq + 1, available_at = null, finished_at = v_now,
      results = i.result, held = false
    from k join i using (task_id, step_id) join before b on b.task_id = k.task_id and b.workflow_step_id = k.step_id
    where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state, b.live),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'resolved_manually', p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id), array_agg(u.task_id) filter (where u.live)
  into v_done_tasks, v_done_steps, v_gone from u;

  select array_agg(c.task_id) filter (where not c.held) into v_live
  from tasker.release_children(v_done_tasks, v_done_steps, v_now) c;
  select coalesce(array_agg(h.task_id), '{}'), coalesce(array_agg(h.given), '{}') into v_lifted, v_given
  from tasker.lift_hold(v_done_tasks, v_now, p_actor, p_reason) h;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'resolved'
              when k.state = 'resolved_manually' then 'already_resolved' else 'refused' end,
         i.task_id, i.step_id,
         case when d.step_id is not null then 'resolved_manually' when k.state in ('pending', 'error') then 'task ' || t.state else k.state end
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  left join unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state) using (task_id, step_id)
  left join unnest(v_task_ids, v_task_states) t (task_id, state) using (task_id)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id);

  if v_done_tasks is not null then
    -- A change of 0 too: the last dead step of a task in error may be the one that was resolved.
    return query select 'task', a.task_id, null::bigint, a.state from tasker.adjust_tasks(
      v_done_tasks || v_gone || v_live || v_lifted,
      array_fill(0, array[cardinality(v_done_tasks)]) || array_fill(-1, array[coalesce(cardinality(v_gone), 0)])
        || array_fill(1, array[coalesce(cardinality(v_live), 0)]) || v_given,
      p_now, p_actor, p_reason) a;
    perform tasker.wake_workers();
  end if;
end $$;
comment on function tasker.resolve_steps(bigint[], bigint[], jsonb[], text, text, timestamptz) is
  'Resolves steps by hand and releases their children.';
