-- How deep each step of the tasks lies: the number of edges on the longest path that leads to it.
--   p_task_ids  the tasks; each counts once; NULL means every open one
-- Returns one row a step of every component, ordered by task, level and step: the step, its level (0 without
-- parents, else one more than its deepest parent) and the task. No row for a task that does not exist.
-- Steps that wait for each other in a circle, which no definition can have, end it with an error that names
-- the first of them.
-- Every step and every edge is read and visited once, whatever the number of paths: a step is passed on when
-- the last of its parents has been. Steps are numbered without gaps and edges stand sorted by parent, so that
-- the walk needs nothing but arrays. Nested loops are off because the steps of a task cannot be estimated, and
-- numbering its edges by one would take time by the square.
create or replace function tasker.calculate_dependency_levels_batch(p_task_ids bigint[])
returns table (workflow_step_id bigint, dependency_level integer, task_id bigint)
language plpgsql stable rows 1000 set plan_cache_mode = force_custom_plan set enable_nestloop = off as $$
#variable_conflict use_column
declare
  v_tasks bigint[]; v_steps bigint[]; v_waits integer[]; v_levels integer[];
  v_first integer[]; v_children integer[];  -- children of step i: v_children[v_first[i] .. v_first[i + 1] - 1]
  v_queue integer[]; v_count integer; v_head integer := 1; v_tail integer := 0; v_parent integer; v_child integer;
begin
  v_tasks := coalesce(p_task_ids, array(select t.task_id from tasker.tasks t where t.finished_at is null));
  with s as materialized (
    select s.task_id, s.workflow_step_id, row_number() over (order by s.task_id, s.workflow_step_id)::integer as place
    from tasker.workflow_steps s where s.task_id = any (v_tasks)),
  e as materialized (
    select p.place as parent, c.place as child
    from tasker.workflow_step_edges e join s p on p.workflow_step_id = e.from_step_id join s c on c.workflow_step_id = e.to_step_id
    where e.task_id = any (v_tasks)),
  n as (
    select s.task_id, s.workflow_step_id, s.place, coalesce(i.n, 0) as parents, coalesce(o.n, 0) as children
    from s left join (select e.child as place, count(*)::integer as n from e group by 1) i using (place)
    left join (select e.parent as place, count(*)::integer as n from e group by 1) o using (place)),
  f as (select n.*, (1 + sum(n.children) over (order by n.place) - n.children)::integer as first from n)
  select array_agg(f.task_id order by f.place), array_agg(f.workflow_step_id order by f.place),
    array_agg(f.parents order by f.place), array_agg(f.first order by f.place), count(*)::integer,
    (select array_agg(e.child order by e.parent) from e)
  into v_tasks, v_steps, v_waits, v_first, v_count, v_children from f;
  if v_count = 0 then return; end if;
  v_first := v_first || coalesce(cardinality(v_children), 0) + 1;

  v_levels := array_fill(0, array[v_count]);
  v_queue := array_fill(0, array[v_count]);
  for i in 1 .. v_count loop
    if v_waits[i] = 0 then v_tail := v_tail + 1; v_queue[v_tail] := i; end if;
  end loop;
  while v_head <= v_tail loop
    v_parent := v_queue[v_head];
    v_head := v_head + 1;
    for i in v_first[v_parent] .. v_first[v_parent + 1] - 1 loop
      v_child := v_children[i];
      if v_levels[v_child] <= v_levels[v_parent] then v_levels[v_child] := v_levels[v_parent] + 1; end if;
      v_waits[v_child] := v_waits[v_child] - 1;
      if v_waits[v_child] = 0 then v_tail := v_tail + 1; v_queue[v_tail] := v_child; end if;
    end loop;
  end loop;
  if v_tail < v_count then
    v_child := (select min(w.place) from unnest(v_waits) with ordinality w (n, place) where w.n > 0);
    raise exception 'steps of task % wait for each other in a circle', v_tasks[v_child] using errcode = 'integrity_constraint_violation',
      detail = format('Step %s is in the circle or below it.', v_steps[v_child]),
      hint = 'Definitions are free of circles; an edge was written around tasker.submit_tasks.';
  end if;

  return query
  select l.step_id, l.level, l.task_id from unnest(v_steps, v_levels, v_tasks) l (step_id, level, task_id)
  order by l.task_id, l.level, l.step_id;
end $$;
comment on function tasker.calculate_dependency_levels_batch(bigint[]) is 'How deep each step of the tasks lies, by the longest path; NULL means every open task.';
