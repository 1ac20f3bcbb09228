-- Retries every failed and cancelled step of tasks in error or cancelled: tasker.retry_steps over all of them.
-- Returns one row a task: outcome is retried, already_open (it is pending or in progress and nothing of it has failed),
-- refused (with the state that forbids it) or not_found, and the number of steps that were given a new generation.
-- Locks: as tasker.operated_steps.
create or replace function tasker.retry_tasks(p_task_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (task_id bigint, outcome text, state text, retried_steps integer)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_tasks bigint[]; v_steps bigint[]; v_retried bigint[];
begin
  perform tasker.operated_steps(p_task_ids, '{}', p_actor);
  select array_agg(s.task_id), array_agg(s.workflow_step_id) into v_tasks, v_steps
  from tasker.workflow_steps s join tasker.tasks t on t.task_id = s.task_id
  where s.task_id = any (p_task_ids) and s.state in ('error', 'cancelled') and t.state in ('error', 'cancelled');
  select array_agg(r.task_id) into v_retried
  from tasker.retry_steps(v_tasks, v_steps, p_actor, p_reason, p_now) r where r.outcome = 'retried';
  return query
  select i.task_id,
    case when t.task_id is null then 'not_found' when n.n > 0 then 'retried'
         when t.state in ('pending', 'in_progress') and not exists (
           select from tasker.workflow_steps s where s.task_id = i.task_id and s.state in ('error', 'cancelled')) then 'already_open'
         else 'refused' end,
    t.state::text, coalesce(n.n, 0)
  from (select distinct unnest(p_task_ids)) i (task_id)
  left join tasker.tasks t on t.task_id = i.task_id
  left join (select r.task_id, count(*)::integer as n from unnest(v_retried) r (task_id) group by 1) n on n.task_id = i.task_id
  order by 1;
end $$;
comment on function tasker.retry_tasks(bigint[], text, text, timestamptz) is 'Retries every failed and cancelled step of the tasks.';
