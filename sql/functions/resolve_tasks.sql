-- Declares tasks in error to be dealt with. Their steps stay as they are; a reset of one opens its task again.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns one row for each distinct id: outcome is resolved, already_resolved, refused (with the state that
-- forbids it) or not_found.
-- Locks: the tasks by id.
create or replace function tasker.resolve_tasks(p_task_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (task_id bigint, outcome text, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_now timestamptz; v_ids bigint[]; v_states text[]; v_done bigint[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  with k as materialized (
    select t.task_id, t.state::text as state from tasker.tasks t where t.task_id = any (p_task_ids) order by t.task_id for update)
  select array_agg(k.task_id), array_agg(k.state) into v_ids, v_states from k;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (
    select * from unnest(v_ids, v_states) k (task_id, state) where tasker.task_transition_is_legal(k.state, 'resolved_manually')),
  u as (
    update tasker.tasks t set state = 'resolved_manually', seq = t.seq + 1, finished_at = v_now
    from k where t.task_id = k.task_id and t.state = k.state returning t.task_id, t.seq, k.state),
  l as (
    insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor, reason)
    select u.task_id, v_now, u.seq, u.state, 'resolved_manually', p_actor, p_reason from u)
  select array_agg(u.task_id) into v_done from u;

  return query
  select i.task_id,
    case when k.state is null then 'not_found' when i.task_id = any (v_done) then 'resolved'
         when k.state = 'resolved_manually' then 'already_resolved' else 'refused' end,
    case when i.task_id = any (v_done) then 'resolved_manually' else k.state end
  from (select distinct unnest(p_task_ids)) i (task_id)
  left join unnest(v_ids, v_states) k (task_id, state) using (task_id) order by 1;
end $$;
comment on function tasker.resolve_tasks(bigint[], text, text, timestamptz) is 'Declares tasks in error to be dealt with.';
