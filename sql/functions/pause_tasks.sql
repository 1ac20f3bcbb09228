-- Pauses tasks, or resumes them: of a paused one nothing is claimed once this has committed. What runs may end,
-- and releases its children, which wait with the rest. Retries, resets and the like leave the pause.
--   p_pause            true pauses, false resumes
--   p_actor, p_reason  who and why; the actor is needed
-- Returns one row for each distinct id: outcome is paused, already_paused, resumed, not_paused, refused (a task that
-- is over is not paused, but is resumed) or not_found; state is the task's.
-- Steps that were paused alone are the task's from then on, and go on with it.
-- Locks: steps in progress of the tasks by id, all their steps by id, the tasks by id.
create or replace function tasker.pause_tasks(p_task_ids bigint[], p_pause boolean, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (task_id bigint, outcome text, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_now timestamptz; v_done bigint[];
begin
  perform tasker.operated_steps(p_task_ids, '{}', p_actor);
  v_now := coalesce(p_now, clock_timestamp());

  with t as (
    update tasker.tasks t set paused_at = case when p_pause then v_now end
    where t.task_id = any (p_task_ids) and (t.paused_at is null) = p_pause
      and (not p_pause or t.state in ('pending', 'in_progress', 'error'))
    returning t.task_id),
  alone as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, actor, reason)
    select s.task_id, s.workflow_step_id, v_now, 'resumed', p_actor, p_reason
    from t join tasker.workflow_steps s on s.task_id = t.task_id where p_pause and s.paused order by s.workflow_step_id),
  l as (
    insert into tasker.control_log (task_id, at, kind, actor, reason)
    select t.task_id, v_now, case when p_pause then 'paused' else 'resumed' end, p_actor, p_reason from t)
  select coalesce(array_agg(t.task_id), '{}') into v_done from t;
  update tasker.workflow_steps s set paused = p_pause where s.task_id = any (v_done) and s.paused <> p_pause;

  if not p_pause then perform tasker.wake_workers(); end if;
  return query
  select i.task_id,
    case when t.task_id is null then 'not_found' when i.task_id = any (v_done) then case when p_pause then 'paused' else 'resumed' end
         when not p_pause then 'not_paused' when t.paused_at is not null then 'already_paused' else 'refused' end,
    t.state::text
  from (select distinct unnest(p_task_ids)) i (task_id) left join tasker.tasks t on t.task_id = i.task_id order by 1;
end $$;
comment on function tasker.pause_tasks(bigint[], boolean, text, text, timestamptz) is 'Pauses tasks, or resumes them.';
