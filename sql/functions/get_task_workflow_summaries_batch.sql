-- What the tasks are made of and what can be done next: where they stand, with the steps by id.
--   p_task_ids  the tasks; each counts once; NULL means every open one
--   p_now       moves the clock, not the state; defaults to the start of the statement
-- Returns one row for each task that exists, ordered by task. The first thirteen columns are those of
-- tasker.get_task_execution_contexts_batch. Then:
--   root_step_ids          steps without parents, by id
--   ready_step_ids         steps that may be claimed, by id
--   next_step_ids          the same in the order in which they are claimed: priority, then longest available
--   blocked_step_ids       steps in pending or error that may not be claimed, by id
--   blocking_reasons       one word for each of them, in the same order: the detail of
--                          tasker.get_step_readiness_status_batch
--   max_dependency_depth   the level of the deepest step, 0 if no step has a parent; NULL without steps
--   parallelism_potential  high_parallelism (more than 5 ready), moderate_parallelism (more than 1),
--                          sequential_only (1), no_ready_work
--   workflow_efficiency    first that holds: optimal (steps are ready, none is in error), recovering (steps are
--                          ready), processing (steps run), complete (every step is done), blocked (nothing but a
--                          person brings it on), waiting
-- The lists are empty, never NULL. Nothing is decided here: counts, words and levels are those of the three
-- functions that it reads, so the rows of a step are read once by each.
create or replace function tasker.get_task_workflow_summaries_batch(p_task_ids bigint[], p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, root_step_ids bigint[], ready_step_ids bigint[], next_step_ids bigint[],
  blocked_step_ids bigint[], blocking_reasons text[], max_dependency_depth integer, parallelism_potential text,
  workflow_efficiency text)
language sql stable rows 100 as $$
  select c.task_id, c.named_task_id, c.status, c.total_steps, c.pending_steps, c.in_progress_steps, c.completed_steps, c.failed_steps,
    c.ready_steps, c.execution_status, c.recommended_action, c.completion_percentage, c.health_status,
    coalesce(s.roots, '{}'), coalesce(s.ready, '{}'), coalesce(s.next, '{}'), coalesce(s.blocked, '{}'), coalesce(s.reasons, '{}'), l.depth,
    case when c.ready_steps > 5 then 'high_parallelism' when c.ready_steps > 1 then 'moderate_parallelism'
         when c.ready_steps = 1 then 'sequential_only' else 'no_ready_work' end,
    case when c.ready_steps > 0 and c.failed_steps = 0 then 'optimal' when c.ready_steps > 0 then 'recovering'
         when c.in_progress_steps > 0 then 'processing' when c.execution_status = 'all_complete' then 'complete'
         when c.execution_status = 'blocked_by_failures' then 'blocked' else 'waiting' end
  from tasker.get_task_execution_contexts_batch(p_task_ids, p_now) c
  left join (
    select r.task_id, array_agg(r.workflow_step_id order by r.workflow_step_id) filter (where r.total_parents = 0) as roots,
      array_agg(r.workflow_step_id order by r.workflow_step_id) filter (where r.ready_for_execution) as ready,
      array_agg(r.workflow_step_id order by r.priority, r.available_at, r.workflow_step_id) filter (where r.ready_for_execution) as next,
      array_agg(r.workflow_step_id order by r.workflow_step_id) filter (where r.blocked) as blocked,
      array_agg(r.detail order by r.workflow_step_id) filter (where r.blocked) as reasons
    from (
      select r.*, s.priority, r.current_state in ('pending', 'error') and not r.ready_for_execution as blocked
      from tasker.get_step_readiness_status_batch(p_task_ids, p_now) r
      join tasker.workflow_steps s on s.task_id = r.task_id and s.workflow_step_id = r.workflow_step_id) r
    group by r.task_id) s using (task_id)
  left join (
    select l.task_id, max(l.dependency_level) as depth from tasker.calculate_dependency_levels_batch(p_task_ids) l group by l.task_id) l using (task_id)
  order by c.task_id
$$;
comment on function tasker.get_task_workflow_summaries_batch(bigint[], timestamptz) is
  'What the tasks are made of and what can be done next; NULL means every open task.';
