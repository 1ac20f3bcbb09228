-- Deletes what no task needs any more: incarnations of workers whose last step was taken back before an instant,
-- and texts of workflows written before it that a newer text of the same version replaced and that no task keeps.
-- Explain no longer names such a worker for an instant before.
--   p_limit  at most so many of each
-- Returns how many of each are gone.
-- Locks: workers, then definitions, without waiting. A submission locks the definition that it found, so that what
-- is about to be used stays.
create or replace function tasker.prune_leftovers(p_before timestamptz, p_limit integer default 500)
returns table (workers integer, definitions integer)
language plpgsql rows 1 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_definitions bigint[];
begin
  with k as materialized (
    select w.worker_id from tasker.workers w where w.reaped_at < p_before
      and not exists (select from tasker.workflow_steps s where s.worker_id = w.worker_id)
    limit p_limit for update skip locked),
  d as (delete from tasker.workers w using k where w.worker_id = k.worker_id returning w.worker_id)
  select count(*) into workers from d;

  with k as materialized (
    select d.definition_id from tasker.task_definitions d
    where d.created_at < p_before
      and exists (select from tasker.task_definitions n where n.named_task_id = d.named_task_id and n.definition_id > d.definition_id)
      and not exists (select from tasker.tasks t where t.definition_id = d.definition_id)
    limit p_limit for update of d skip locked)
  select coalesce(array_agg(k.definition_id), '{}') into v_definitions from k;
  -- A submission that had committed before the lock, and after the snapshot that chose the definition, counts.
  v_definitions := array(
    select d.id from unnest(v_definitions) d (id) where not exists (select from tasker.tasks t where t.definition_id = d.id));
  delete from tasker.definition_edges e where e.definition_id = any (v_definitions);
  delete from tasker.definition_steps s where s.definition_id = any (v_definitions);
  delete from tasker.task_definitions d where d.definition_id = any (v_definitions);
  definitions := cardinality(v_definitions);
  return next;
end $$;
comment on function tasker.prune_leftovers(timestamptz, integer) is
  'Deletes workers that ended and texts of workflows that were replaced, once no task needs them.';
