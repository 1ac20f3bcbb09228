-- Lifts the hold of fail-fast where no dead step is left: nothing else could bring the held steps back.
-- Logs each step as tasker.hold_rest does.
-- Returns one row a task whose hold was lifted: how many of its steps became available by it.
-- Locks: the held steps, which the caller has locked before the tasks.
create or replace function tasker.lift_hold(p_task_ids bigint[], p_now timestamptz, p_actor text, p_reason text)
returns table (task_id bigint, given integer)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
  with i as (
    select i.task_id from (select distinct unnest(p_task_ids)) i (task_id)
    where not exists (
      select from tasker.workflow_steps s where s.task_id = i.task_id
        and tasker.is_dead(s.state, s.attempts, s.retry_limit, s.retryable, s.failure_kind))),
  u as (
    update tasker.workflow_steps s set held = false from i where s.task_id = i.task_id and s.held
    returning s.task_id, s.workflow_step_id, s.seq, s.available_at),
  n as (select u.task_id, count(u.available_at)::integer as given from u group by 1),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, p_now, 'unheld', jsonb_build_object('seq', u.seq), p_actor, p_reason from u)
  select n.task_id, n.given from n;
end $$;
comment on function tasker.lift_hold(bigint[], timestamptz, text, text) is
  'Lifts the hold of fail-fast where no dead step is left; internal to the commands.';
