-- Submits one task by name, for any language: the definition registered last for the version named, or for
-- the highest version. Runs in the caller's transaction; rolled back with it.
-- The context is not held against the definition's JSON Schema here; the engine's own submit does that.
-- Returns the task_id; of the existing task where p_identity_hash is taken.
create or replace function tasker.submit_task(
  p_namespace text, p_name text, p_context jsonb, p_version text default null, p_identity_hash text default null,
  p_initiator text default null, p_source_system text default null, p_reason text default null)
returns bigint language plpgsql as $$
declare v_definition bigint; v_task bigint;
begin
  select d.definition_id into v_definition
  from tasker.task_definitions d join tasker.named_tasks t on t.named_task_id = d.named_task_id
  join tasker.task_namespaces n on n.task_namespace_id = t.task_namespace_id
  where n.name = p_namespace and t.name = p_name and (p_version is null or t.version = p_version)
  order by t.version_key desc, d.definition_id desc limit 1;
  if not found then
    raise exception 'no workflow % is registered in namespace %', p_name || coalesce('@' || p_version, ''), p_namespace
      using errcode = 'no_data_found', hint = 'Start a worker that has it, or register it with `tasker submit`.';
  end if;
  select s.task_id into v_task from tasker.submit_tasks(v_definition, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
    'identity_hash', coalesce(p_identity_hash, gen_random_uuid()::text), 'initiator', p_initiator,
    'source_system', p_source_system, 'reason', p_reason)) || jsonb_build_object('context', p_context))) s;
  return v_task;
end $$;
comment on function tasker.submit_task(text, text, jsonb, text, text, text, text, text) is 'Submits one task by name, for any language.';
