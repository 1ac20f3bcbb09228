-- Makes steps run anew, whatever became of them: pending, attempts from 0, a new generation and so a new
-- idempotency key, no result. Their children wait for them again, and the task opens again, all in one
-- transaction. What a handler is running is taken off its claim: tasker.lost_claims tells it, and its late report
-- is refused. A pending step is as a reset would leave it.
--   p_descendants      whether everything that waits for them, directly or not, is reset with them. It leaves out
--                      what the task's bypass_steps skipped. Without it a step whose child has run on its result
--                      (in progress, in error or complete) is refused, unless the child is reset in the same call
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): reset (also for each descendant), already_pending,
-- refused (with children ran), not_found; and task with the new state of a task that changed.
-- Locks: as tasker.operated_steps.
create or replace function tasker.reset_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_descendants boolean, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[];
  v_reset_tasks bigint[]; v_reset_steps bigint[]; v_running boolean;
begin
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state)
  into v_tasks, v_steps, v_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());

  with recursive n as materialized (
    select * from unnest(v_tasks, v_steps, v_states) n (task_id, step_id, state) where tasker.step_transition_is_legal(n.state, 'pending')),
  below as (
    select n.task_id, n.step_id from n where p_descendants
    union
    select e.task_id, e.to_step_id from below b join tasker.workflow_step_edges e on e.task_id = b.task_id and e.from_step_id = b.step_id),
  -- Steps that stay while a parent goes back, though they have run; what is above them may not go back either.
  kept as (
    select e.task_id, e.to_step_id as step_id
    from n join tasker.workflow_step_edges e on e.task_id = n.task_id and e.from_step_id = n.step_id
    join tasker.workflow_steps c on c.task_id = e.task_id and c.workflow_step_id = e.to_step_id
    where not p_descendants and c.state in ('in_progress', 'error', 'complete')
      and (e.task_id, e.to_step_id) not in (select n.task_id, n.step_id from n)
    union
    select e.task_id, e.from_step_id from kept x join tasker.workflow_step_edges e on e.task_id = x.task_id and e.to_step_id = x.step_id
    join n on n.task_id = e.task_id and n.step_id = e.from_step_id),
  r as (
    select n.task_id, n.step_id from n where (n.task_id, n.step_id) not in (select x.task_id, x.step_id from kept x)
    union
    select b.task_id, b.step_id from below b
    join tasker.workflow_steps s on s.task_id = b.task_id and s.workflow_step_id = b.step_id
    join tasker.tasks t on t.task_id = b.task_id
    join tasker.named_steps m on m.named_step_id = s.named_step_id
    where tasker.step_transition_is_legal(s.state, 'pending') and not (s.state = 'resolved_manually' and m.name = any (t.bypass_steps)))
  select array_agg(r.task_id), array_agg(r.step_id) into v_reset_tasks, v_reset_steps from r;

  with r as materialized (select * from unnest(v_reset_tasks, v_reset_steps) r (task_id, step_id)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.state::text as state, s.worker_id, (
      select count(*)::integer from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      where e.task_id = s.task_id and e.to_step_id = s.workflow_step_id
        and (not tasker.is_done(p.state) or (p.task_id, p.workflow_step_id) in (select r.task_id, r.step_id from r))) as pending_parents
    from r join tasker.workflow_steps s on s.task_id = r.task_id and s.workflow_step_id = r.step_id),
  u as (
    update tasker.workflow_steps s set state = 'pending', seq = s.seq + 1, generation = s.generation + 1, attempts = 0, worker_id = null,
      failure_kind = null, last_error = null, backoff_request_seconds = null, finished_at = null, results = null,
      pending_parents = k.pending_parents,
      available_at = case when tasker.is_claimable('pending', k.pending_parents, 0, s.retry_limit, s.retryable, null) then v_now end
    from k where s.task_id = k.task_id and s.workflow_step_id = k.workflow_step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.available_at, k.state, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.available_at, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'pending', p_actor, p_reason from u)
  select bool_or(u.state = 'in_progress') into v_running from u;
  -- Whoever runs one of them is told to look at its claims.
  if v_running then perform pg_notify('tasker', 'check'); end if;

  -- The children that stay: pending ones wait again, and what is over counts its parents for when it comes back.
  with c as materialized (
    select e.task_id, e.to_step_id as step_id, (
      select count(*)::integer from tasker.workflow_step_edges f
      join tasker.workflow_steps p on p.task_id = f.task_id and p.workflow_step_id = f.from_step_id
      where f.task_id = e.task_id and f.to_step_id = e.to_step_id and not tasker.is_done(p.state)) as pending_parents
    from unnest(v_reset_tasks, v_reset_steps) r (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = r.task_id and e.from_step_id = r.step_id group by 1, 2)
  update tasker.workflow_steps s set pending_parents = c.pending_parents,
    available_at = case when c.pending_parents = 0 then s.available_at end
  from c where s.task_id = c.task_id and s.workflow_step_id = c.step_id and s.pending_parents <> c.pending_parents;

  return query
  select 'reset', r.task_id, r.step_id, 'pending' from unnest(v_reset_tasks, v_reset_steps) r (task_id, step_id) order by 2, 3;
  return query
  select case when k.state is null then 'not_found' when k.state = 'pending' then 'already_pending' else 'refused' end,
         k.task_id, k.step_id, case when k.state = 'pending' then k.state when k.state is not null then 'children ran' end
  from unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state)
  where not exists (
    select from unnest(v_reset_tasks, v_reset_steps) r (task_id, step_id) where r.task_id = k.task_id and r.step_id = k.step_id) order by 2, 3;
  return query
  select 'task', a.task_id, null::bigint, a.state from tasker.recount_tasks(v_reset_tasks, v_now, p_actor, p_reason) a where v_reset_tasks is not null;
end $$;
comment on function tasker.reset_steps(bigint[], bigint[], boolean, text, text, timestamptz) is
  'Makes steps run anew, alone or with everything that waits for them.';
