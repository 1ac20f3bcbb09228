-- Fail-fast: holds every unfinished step of these tasks that is not held yet. A step in progress is held
-- too: it may finish, but a failure of it is not tried again.
-- Locks: steps in progress by id, then the others by id.
-- Logs each held step with its seq, so that the log tells which transitions came before the hold and which
-- after, whatever their instants: tasker.step_situation_at reads it.
-- Returns one row a task: how many live steps the hold took away.
create or replace function tasker.hold_rest(p_task_ids bigint[], p_now timestamptz)
returns table (task_id bigint, taken integer)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state = 'in_progress' order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state in ('pending', 'error') order by s.workflow_step_id for update;
  return query
  with u as (
    update tasker.workflow_steps s set held = true
    where s.task_id = any (p_task_ids) and s.state in ('pending', 'in_progress', 'error') and not s.held
    returning s.task_id, s.workflow_step_id, s.seq, s.available_at),
  n as (select u.task_id, count(u.available_at)::integer as taken from u group by 1),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, new_value, reason)
    select u.task_id, u.workflow_step_id, p_now, 'held', jsonb_build_object('seq', u.seq), 'fail-fast: a step of the task is dead' from u)
  select n.task_id, n.taken from n;
end $$;
comment on function tasker.hold_rest(bigint[], timestamptz) is 'Holds every unfinished step of the tasks; internal to the commands.';
