-- Ends an operation that holds the locks of everything of the tasks: under fail-fast a dead step holds the rest,
-- a hold without a dead step is lifted, live_steps is counted anew, and what has no live step left settles.
-- Returns one row for each task whose state changed, as tasker.adjust_tasks does.
-- Locks: none that the caller does not hold.
create or replace function tasker.recount_tasks(p_task_ids bigint[], p_now timestamptz, p_actor text, p_reason text)
returns table (task_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  perform tasker.hold_rest(array(
    select t.task_id from tasker.tasks t where t.task_id = any (p_task_ids) and t.fail_fast and exists (
      select from tasker.workflow_steps s where s.task_id = t.task_id
        and tasker.is_dead(s.state, s.attempts, s.retry_limit, s.retryable, s.failure_kind))), p_now);
  perform tasker.wake_workers();
  perform tasker.lift_hold(p_task_ids, p_now, p_actor, p_reason);
  return query
  with n as (
    select t.task_id, count(s.workflow_step_id)::integer - t.live_steps as delta
    from tasker.tasks t
    left join tasker.workflow_steps s on s.task_id = t.task_id and (s.available_at is not null and not s.held or s.state = 'in_progress')
    where t.task_id = any (p_task_ids) group by t.task_id, t.live_steps),
  g as (select array_agg(n.task_id) as ids, array_agg(n.delta) as deltas from n)
  select a.task_id, a.state from g, tasker.adjust_tasks(g.ids, g.deltas, p_now, p_actor, p_reason) a;
end $$;
comment on function tasker.recount_tasks(bigint[], timestamptz, text, text) is
  'Holds or frees what a dead step decides, counts live_steps anew and settles; internal to the operations.';
