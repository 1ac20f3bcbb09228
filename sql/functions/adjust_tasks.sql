-- Adds each task's net change to live_steps under the task's row lock, and settles what reaches 0.
-- Every command ends here. The steps are read in a statement after the one that waited for the lock,
-- so the answer includes whatever the transaction before us committed.
--   p_task_ids, p_deltas  one entry a change; entries of one task are added up; 0 only asks to settle
--   p_now                 the instant of the transitions; NULL reads the clock under the lock
--   p_actor, p_reason     go into the log of the tasks whose state changes
-- Returns one row for each task whose state changed: its id and the state that it has now.
create or replace function tasker.adjust_tasks(
  p_task_ids bigint[], p_deltas integer[], p_now timestamptz default null, p_actor text default null, p_reason text default null)
returns table (task_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_ids bigint[]; v_live integer[]; v_states text[]; v_reopened bigint[]; v_now timestamptz;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'Tasker''s commands need isolation level read committed, this transaction is %', current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state', hint = 'Begin the transaction with the default isolation level.';
  end if;

  with d as (select x.task_id, sum(x.delta)::integer as delta from unnest(p_task_ids, p_deltas) x (task_id, delta) group by 1),
  k as materialized (
    select t.task_id, t.live_steps + d.delta as live, t.state::text as state
    from tasker.tasks t join d on d.task_id = t.task_id order by t.task_id for update of t)
  select array_agg(k.task_id), array_agg(k.live), array_agg(k.state) into v_ids, v_live, v_states from k;
  v_now := coalesce(p_now, clock_timestamp());

  -- Work came back to a finished task, its last dead step was resolved, or a step that can never run was reset
  -- or was the last cancelled one to be retried: it opens again. In the last two cases it settles in error, where
  -- the step can be resolved; a task that stayed complete or cancelled would be stuck.
  if v_states && array['complete', 'error', 'cancelled', 'resolved_manually'] then
    with r as (
      select k.task_id, k.live, k.state from unnest(v_ids, v_live, v_states) k (task_id, live, state)
      where k.state not in ('pending', 'in_progress')
        and (k.live > 0 or k.state = 'error' and not exists (
          select from tasker.workflow_steps s where s.task_id = k.task_id and not tasker.is_done(s.state))
          or k.state = 'complete' and exists (
          select from tasker.workflow_steps s where s.task_id = k.task_id and not tasker.is_done(s.state))
          or k.state = 'cancelled' and not exists (
          select from tasker.workflow_steps s where s.task_id = k.task_id and s.state = 'cancelled'))),
    u as (
      update tasker.tasks t set state = 'pending', seq = t.seq + 1, finished_at = null, live_steps = r.live
      from r where t.task_id = r.task_id and t.state = r.state returning t.task_id, t.seq, r.state as from_state),
    l as (
      insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor, reason)
      select u.task_id, v_now, u.seq, u.from_state, 'pending', coalesce(p_actor, 'tasker'), p_reason from u)
    select array_agg(u.task_id) into v_reopened from u;
  end if;

  return query
  with k as (
    select k.task_id, k.live, k.state as before,
           case when k.task_id = any (v_reopened) then 'pending' else k.state end as from_state
    from unnest(v_ids, v_live, v_states) k (task_id, live, state)),
  target as (
    select k.*, case
        when k.live > 0 or k.from_state not in ('pending', 'in_progress') then k.from_state
        when exists (select from tasker.workflow_steps s where s.task_id = k.task_id and not tasker.is_done(s.state)) then 'error'
        else 'complete' end as to_state
    from k),
  u as (
    update tasker.tasks t set live_steps = g.live, state = g.to_state,
      seq = t.seq + (g.to_state <> g.from_state)::integer,
      finished_at = case when g.to_state <> g.from_state then v_now else t.finished_at end
    from target g where t.task_id = g.task_id and t.state = g.from_state
    returning t.task_id, t.seq, g.before, g.from_state, g.to_state),
  l as (
    insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor, reason)
    select u.task_id, v_now, u.seq, u.from_state, u.to_state, p_actor, p_reason from u where u.to_state <> u.from_state)
  select u.task_id, u.to_state from u where u.to_state <> u.before;
end $$;
comment on function tasker.adjust_tasks(bigint[], integer[], timestamptz, text, text) is
  'Adds net changes to live_steps under the tasks'' locks and settles what reaches 0; internal to the commands.';
