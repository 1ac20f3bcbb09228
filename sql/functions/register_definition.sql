-- Finds or writes a definition and all that it names: namespace, named task, outside systems, named steps,
-- queues, steps and edges. A text that is there already is found by its hash; another text of the same
-- version is a further row, and tasks keep the one that they started with.
--   p_definition    as the engine validated it: namespace, name, version, description, failure_policy and
--                   steps in an order in which parents stand first
--   p_content_hash  SHA-256 of its canonical JSON, lowercase hex
-- Returns the definition_id. Two sessions that register the same text at once get the same id.
create or replace function tasker.register_definition(p_definition jsonb, p_content_hash text)
returns bigint language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare v_namespace integer; v_paused_at timestamptz; v_named_task integer; v_definition bigint;
begin
  select d.definition_id into v_definition from tasker.task_definitions d
  where d.content_hash = p_content_hash and d.definition = p_definition for key share;
  if found then return v_definition; end if;
  -- Find-or-create is insert-or-nothing and then read: a concurrent creator is waited for.
  insert into tasker.task_namespaces (name) values (p_definition ->> 'namespace') on conflict (name) do nothing;
  select task_namespace_id into v_namespace from tasker.task_namespaces where name = p_definition ->> 'namespace';
  insert into tasker.named_tasks (task_namespace_id, name, version, description)
  values (v_namespace, p_definition ->> 'name', p_definition ->> 'version', p_definition ->> 'description')
  on conflict (task_namespace_id, name, version) do nothing;
  select named_task_id into v_named_task from tasker.named_tasks
  where task_namespace_id = v_namespace and name = p_definition ->> 'name' and version = p_definition ->> 'version';

  loop
    insert into tasker.task_definitions (named_task_id, content_hash, definition, failure_policy)
    values (v_named_task, p_content_hash, p_definition, coalesce(p_definition ->> 'failure_policy', 'drain'))
    on conflict (content_hash) do nothing returning definition_id into v_definition;
    exit when found;
    -- Locked as a task that refers to it would lock it: tasker.prune_leftovers passes it over until the caller has
    -- ended. Where that was faster, it is written anew.
    select definition_id into v_definition from tasker.task_definitions
    where content_hash = p_content_hash and definition = p_definition for key share;
    if found then return v_definition; end if;
    if exists (select from tasker.task_definitions where content_hash = p_content_hash and definition <> p_definition) then
      raise exception 'the hash % belongs to another definition', p_content_hash using errcode = 'invalid_parameter_value',
        hint = 'Pass the SHA-256 of the canonical JSON of this one.';
    end if;
  end loop;

  insert into tasker.dependent_systems (name)
  select distinct s ->> 'dependent_system' as name from jsonb_array_elements(p_definition -> 'steps') s order by 1
  on conflict (name) do nothing;
  insert into tasker.named_steps (dependent_system_id, name, description)
  select d.dependent_system_id, s ->> 'name', s ->> 'description'
  from jsonb_array_elements(p_definition -> 'steps') s join tasker.dependent_systems d on d.name = s ->> 'dependent_system'
  order by 1, 2 on conflict (dependent_system_id, name) do nothing;
  -- A new queue of a paused namespace is paused; the lock keeps tasker.pause_queues from passing between.
  select paused_at into v_paused_at from tasker.task_namespaces where task_namespace_id = v_namespace for share;
  with q as (
    insert into tasker.queues (task_namespace_id, handler, paused_at)
    select distinct v_namespace, s ->> 'handler' as handler, v_paused_at from jsonb_array_elements(p_definition -> 'steps') s order by 2
    on conflict (task_namespace_id, handler) do nothing returning queue_id, paused_at)
  insert into tasker.control_log (queue_id, at, kind, reason)
  select q.queue_id, q.paused_at, 'paused', 'its namespace is paused' from q where q.paused_at is not null;

  insert into tasker.definition_steps (
    definition_id, named_step_id, queue_id, position, default_retryable, default_retry_limit, skippable, priority, total_parents)
  select v_definition, n.named_step_id, q.queue_id, s.place - 1, (s.step ->> 'retryable')::boolean,
    coalesce((s.step ->> 'retry_limit')::integer, 3), (s.step ->> 'skippable')::boolean, (s.step ->> 'priority')::smallint,
    jsonb_array_length(s.step -> 'depends_on')
  from jsonb_array_elements(p_definition -> 'steps') with ordinality s (step, place)
  join tasker.dependent_systems d on d.name = s.step ->> 'dependent_system'
  join tasker.named_steps n on n.dependent_system_id = d.dependent_system_id and n.name = s.step ->> 'name'
  join tasker.queues q on q.task_namespace_id = v_namespace and q.handler = s.step ->> 'handler';
  insert into tasker.definition_edges (definition_id, from_named_step_id, to_named_step_id)
  select v_definition, p.named_step_id, c.named_step_id
  from jsonb_array_elements(p_definition -> 'steps') s
  cross join jsonb_array_elements_text(s -> 'depends_on') parent (name)
  join (tasker.definition_steps c join tasker.named_steps cn on cn.named_step_id = c.named_step_id)
    on c.definition_id = v_definition and cn.name = s ->> 'name'
  join (tasker.definition_steps p join tasker.named_steps pn on pn.named_step_id = p.named_step_id)
    on p.definition_id = v_definition and pn.name = parent.name;
  return v_definition;
end $$;
comment on function tasker.register_definition(jsonb, text) is 'Finds or writes a definition and all that it names.';
