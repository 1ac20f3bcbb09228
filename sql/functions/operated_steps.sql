-- Begins an operation on steps: refuses one without an actor, locks everything of the tasks, and says where
-- each named step stands under the locks. Internal to the operations.
-- Returns one row for each distinct pair, none for a task that is named without a step; state is NULL where there is no such step, task_state where there is
-- no such task.
-- Locks: steps in progress of the tasks by id, all their steps by id, their tasks by id. The second takes in what
-- was claimed while the first waited.
create or replace function tasker.operated_steps(p_task_ids bigint[], p_step_ids bigint[], p_actor text)
returns table (task_id bigint, workflow_step_id bigint, state text, task_state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state = 'in_progress' order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) order by s.workflow_step_id for update;
  perform from tasker.tasks t where t.task_id = any (p_task_ids) order by t.task_id for update;
  return query
  select i.task_id, i.step_id, s.state::text, t.state::text
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
  left join tasker.tasks t on t.task_id = i.task_id
  where i.step_id is not null;
end $$;
comment on function tasker.operated_steps(bigint[], bigint[], text) is
  'Locks everything of the tasks and says where each named step stands; internal to the operations.';
