-- Pauses single steps, or resumes them: a paused one is not claimed once this has committed. One that runs may
-- end; its next attempt waits.
--   p_pause            true pauses, false resumes
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): paused, already_paused, resumed, not_paused, refused
-- (with the state of step or task that forbids it, or task paused, whose steps go with it), not_found.
-- Locks: as tasker.operated_steps.
create or replace function tasker.pause_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_pause boolean, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[]; v_refusals text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());
  select array_agg(case
      when t.paused_at is not null then 'task paused'
      when p_pause and k.state not in ('pending', 'in_progress', 'error') then k.state
      when p_pause and k.task_state not in ('pending', 'in_progress', 'error') then 'task ' || k.task_state end order by k.place)
  into v_refusals
  from unnest(v_tasks, v_states, v_task_states) with ordinality k (task_id, state, task_state, place)
  left join tasker.tasks t on t.task_id = k.task_id;

  with u as (
    update tasker.workflow_steps s set paused = p_pause from unnest(v_tasks, v_steps, v_refusals) k (task_id, step_id, refusal)
    where s.task_id = k.task_id and s.workflow_step_id = k.step_id and k.refusal is null and s.paused <> p_pause
    returning s.task_id, s.workflow_step_id),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, case when p_pause then 'paused' else 'resumed' end, p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  if not p_pause then perform tasker.wake_workers(); end if;
  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then case when p_pause then 'paused' else 'resumed' end
              when k.refusal is not null then 'refused' when p_pause then 'already_paused' else 'not_paused' end,
         k.task_id, k.step_id, case when k.state is not null then coalesce(k.refusal, k.state) end
  from unnest(v_tasks, v_steps, v_states, v_refusals) k (task_id, step_id, state, refusal)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
end $$;
comment on function tasker.pause_steps(bigint[], bigint[], boolean, text, text, timestamptz) is 'Pauses single steps, or resumes them.';
