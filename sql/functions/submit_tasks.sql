-- Creates tasks of one definition with all their steps and edges, in the caller's transaction.
--   p_definition_id  the definition that the tasks keep
--   p_requests       an array of objects: context and identity_hash, and optionally initiator,
--                    source_system, reason, tags, bypass_steps, requested_at
--   p_wake           whether to tell workers that wait; false where the caller does so
-- Returns one row a request, in order: its position from 0, the task, and whether it was created now. A
-- request whose identity_hash is taken names the task that has it and creates nothing.
-- A task without a step that could ever run settles at once.
create or replace function tasker.submit_tasks(p_definition_id bigint, p_requests jsonb, p_now timestamptz default null, p_wake boolean default true)
returns table ("position" integer, task_id bigint, created boolean)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_definition record; v_live integer; v_ids bigint[];
begin
  select d.named_task_id, d.failure_policy, (
      select count(*) from tasker.definition_steps s where s.definition_id = d.definition_id
        and tasker.is_claimable('pending', s.total_parents, 0, s.default_retry_limit, s.default_retryable, null)) as live
  into v_definition from tasker.task_definitions d where d.definition_id = p_definition_id for key share;
  if not found then
    raise exception 'there is no definition %', p_definition_id using errcode = 'no_data_found', hint = 'Register it with tasker.register_definition.';
  end if;
  v_live := v_definition.live;

  -- Ids follow the order of the requests. Rows are written in that of the identities, so that two batches which name
  -- the same ones wait for each other in one order.
  with r as materialized (
    select nextval('tasker.tasks_task_id_seq') as task_id, r.request
    from jsonb_array_elements(p_requests) with ordinality r (request, place) order by r.place),
  t as (
    insert into tasker.tasks (
      task_id, named_task_id, definition_id, live_steps, fail_fast, requested_at, created_at, identity_hash, initiator, source_system, reason,
      bypass_steps, tags, context) overriding system value
    select r.task_id, v_definition.named_task_id, p_definition_id, v_live, v_definition.failure_policy = 'fail_fast',
      coalesce((r.request ->> 'requested_at')::timestamptz, v_now), v_now, r.request ->> 'identity_hash',
      coalesce(r.request ->> 'initiator', 'unknown'), coalesce(r.request ->> 'source_system', 'unknown'), coalesce(r.request ->> 'reason', 'unknown'),
      coalesce((select array_agg(b) from jsonb_array_elements_text(r.request -> 'bypass_steps') b), '{}'),
      coalesce((select array_agg(g) from jsonb_array_elements_text(r.request -> 'tags') g), '{}'), r.request -> 'context'
    from r order by r.request ->> 'identity_hash', r.task_id
    on conflict (identity_hash) do nothing
    returning tasks.task_id),
  s as (
    insert into tasker.workflow_steps (
      task_id, named_step_id, queue_id, created_at, pending_parents, total_parents, retry_limit, retryable, skippable, priority, available_at)
    select t.task_id, d.named_step_id, d.queue_id, v_now, d.total_parents, d.total_parents, d.default_retry_limit, d.default_retryable, d.skippable, d.priority,
      case when tasker.is_claimable('pending', d.total_parents, 0, d.default_retry_limit, d.default_retryable, null) then v_now end
    from t cross join tasker.definition_steps d where d.definition_id = p_definition_id
    order by t.task_id, d.position
    returning workflow_steps.task_id, workflow_steps.workflow_step_id, workflow_steps.named_step_id),
  e as (
    insert into tasker.workflow_step_edges (task_id, from_step_id, to_step_id, created_at)
    select p.task_id, p.workflow_step_id, c.workflow_step_id, v_now
    from tasker.definition_edges d
    join s p on p.named_step_id = d.from_named_step_id
    join s c on c.named_step_id = d.to_named_step_id and c.task_id = p.task_id
    where d.definition_id = p_definition_id)
  select coalesce(array_agg(t.task_id order by t.task_id), '{}') into v_ids from t;

  if p_requests @? '$[*].bypass_steps[*]' then
    if exists (
      select from tasker.tasks t cross join unnest(t.bypass_steps) b (name)
      where t.task_id = any (v_ids) and not exists (
        select from tasker.workflow_steps s join tasker.named_steps n on n.named_step_id = s.named_step_id
        where s.task_id = t.task_id and n.name = b.name and s.skippable)) then
      raise exception 'bypass_steps names a step that the workflow does not have or that is not skippable' using errcode = 'invalid_parameter_value',
        hint = 'Mark the step skippable in the definition.';
    end if;
    -- Whoever asked for a task is the one who skips: one call for each of them.
    perform (
      select count(*) from tasker.resolve_steps(g.task_ids, g.step_ids, array_fill(null::jsonb, array[cardinality(g.step_ids)]),
        g.initiator, 'skipped: named in bypass_steps', p_now))
    from (
      select t.initiator, array_agg(s.task_id) as task_ids, array_agg(s.workflow_step_id) as step_ids
      from tasker.tasks t join tasker.workflow_steps s on s.task_id = t.task_id
      join tasker.named_steps n on n.named_step_id = s.named_step_id
      where t.task_id = any (v_ids) and n.name = any (t.bypass_steps) group by t.initiator) g;
  end if;

  if p_wake and v_live > 0 and cardinality(v_ids) > 0 then perform tasker.wake_workers(); end if;
  -- After the skips, which may have left nothing that keeps the task from its end. A step that may never run is dead
  -- from the start, and under fail-fast holds the rest.
  if v_definition.failure_policy = 'fail_fast' and exists (
    select from tasker.definition_steps d where d.definition_id = p_definition_id
      and tasker.is_dead('pending', 0, d.default_retry_limit, d.default_retryable, null)) then
    perform tasker.recount_tasks(v_ids, v_now, null, null);
  elsif v_live = 0 and cardinality(v_ids) > 0 then
    perform tasker.adjust_tasks(v_ids, array_fill(0, array[cardinality(v_ids)]), p_now);
  end if;

  if cardinality(v_ids) = jsonb_array_length(p_requests) then
    return query select (i.place - 1)::integer, i.task_id, true from unnest(v_ids) with ordinality i (task_id, place);
    return;
  end if;
  return query
  select (r.place - 1)::integer, t.task_id, t.task_id = any (v_ids) and r.place = min(r.place) over (partition by t.task_id)
  from jsonb_array_elements(p_requests) with ordinality r (request, place)
  join tasker.tasks t on t.identity_hash = r.request ->> 'identity_hash' order by r.place;
end $$;
comment on function tasker.submit_tasks(bigint, jsonb, timestamptz, boolean) is 'Creates tasks of one definition with all their steps and edges.';
