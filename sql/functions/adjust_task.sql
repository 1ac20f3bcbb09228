-- What tasker.adjust_tasks does in the ordinary course, for one task and in plain statements; what is out of it, it
-- leaves to that. A test holds the two equal. Internal to tasker.finish_step.
--   p_delta  the net change of live_steps
--   p_now    the instant of a transition; NULL reads the clock under the lock
-- Returns the state that the task has now if it changed, else NULL.
create or replace function tasker.adjust_task(p_task_id bigint, p_delta integer, p_now timestamptz) returns text
language plpgsql as $$
declare v_task record; v_to text; v_now timestamptz;
begin
  select t.live_steps + p_delta as live, t.state, t.seq + 1 as seq into v_task from tasker.tasks t where t.task_id = p_task_id for update;
  if v_task.state not in ('pending', 'in_progress') or current_setting('transaction_isolation') <> 'read committed' then
    return (select a.state from tasker.adjust_tasks(array[p_task_id], array[p_delta], p_now) a);
  end if;
  if v_task.live > 0 then
    update tasker.tasks t set live_steps = v_task.live where t.task_id = p_task_id;
    return null;
  end if;
  -- Read in a statement after the one that waited for the lock, as there.
  v_to := case when exists (select from tasker.workflow_steps s where s.task_id = p_task_id and not tasker.is_done(s.state)) then 'error' else 'complete' end;
  v_now := coalesce(p_now, clock_timestamp());
  update tasker.tasks t set live_steps = v_task.live, state = v_to, seq = v_task.seq, finished_at = v_now where t.task_id = p_task_id;
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state) values (p_task_id, v_now, v_task.seq, v_task.state, v_to);
  return v_to;
end $$;
comment on function tasker.adjust_task(bigint, integer, timestamptz) is 'What tasker.adjust_tasks does, for one task; internal to the commands.';
