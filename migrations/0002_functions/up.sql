-- Generated from sql/functions by `cargo xtask codegen`: the functions as they are installed.

-- What tasker.adjust_tasks does in the ordinary course, for one task and in plain statements; what is out of it, it
-- leaves to that. A test holds the two equal. Internal to tasker.finish_step.
--   p_delta  the net change of live_steps
--   p_now    the instant of a transition; NULL reads the clock under the lock
-- Returns the state that the task has now if it changed, else NULL.
create or replace function tasker.adjust_task(p_task_id bigint, p_delta integer, p_now timestamptz) returns text
language plpgsql as $$
declare v_task record; v_to text; v_now timestamptz;
begin
  select t.live_steps + p_delta as live, t.state, t.seq + 1 as seq into v_task from tasker.tasks t where t.task_id = p_task_id for update;
  if v_task.state not in ('pending', 'in_progress') or current_setting('transaction_isolation') <> 'read committed' then
    return (select a.state from tasker.adjust_tasks(array[p_task_id], array[p_delta], p_now) a);
  end if;
  if v_task.live > 0 then
    update tasker.tasks t set live_steps = v_task.live where t.task_id = p_task_id;
    return null;
  end if;
  -- Read in a statement after the one that waited for the lock, as there.
  v_to := case when exists (select from tasker.workflow_steps s where s.task_id = p_task_id and not tasker.is_done(s.state)) then 'error' else 'complete' end;
  v_now := coalesce(p_now, clock_timestamp());
  update tasker.tasks t set live_steps = v_task.live, state = v_to, seq = v_task.seq, finished_at = v_now where t.task_id = p_task_id;
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state) values (p_task_id, v_now, v_task.seq, v_task.state, v_to);
  return v_to;
end $$;
comment on function tasker.adjust_task(bigint, integer, timestamptz) is 'What tasker.adjust_tasks does, for one task; internal to the commands.';

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

-- Results of all ancestors of each step, for handlers that read further back than their parents. Every
-- ancestor is visited once however many paths lead to it.
-- Returns one row a step: its id and an object of results by step name.
create or replace function tasker.ancestor_results(p_task_ids bigint[], p_step_ids bigint[])
returns table (workflow_step_id bigint, results jsonb)
language sql stable as $$
  with recursive a as (
    select i.task_id, i.step_id as of_step_id, e.from_step_id as step_id
    from unnest(p_task_ids, p_step_ids) i (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = i.task_id and e.to_step_id = i.step_id
    union
    select a.task_id, a.of_step_id, e.from_step_id from a
    join tasker.workflow_step_edges e on e.task_id = a.task_id and e.to_step_id = a.step_id)
  select a.of_step_id, jsonb_object_agg(n.name, s.results)
  from a join tasker.workflow_steps s on s.task_id = a.task_id and s.workflow_step_id = a.step_id
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  group by a.of_step_id
$$;
comment on function tasker.ancestor_results(bigint[], bigint[]) is 'Results of all ancestors of each step, by name.';

-- How deep each step of one task lies: a batch of one. No row if there is no such task.
-- Columns as tasker.calculate_dependency_levels_batch, ordered by level and step.
create or replace function tasker.calculate_dependency_levels(p_task_id bigint)
returns table (workflow_step_id bigint, dependency_level integer, task_id bigint)
language sql stable rows 10 as $$
  select * from tasker.calculate_dependency_levels_batch(array[p_task_id])
$$;
comment on function tasker.calculate_dependency_levels(bigint) is 'How deep each step of one task lies, by the longest path.';

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

-- Cancels single steps; their tasks go on. What waits for a cancelled step waits until it is retried or reset;
-- under fail-fast it holds the rest, as any dead step does. A handler that still runs learns of it through
-- tasker.lost_claims; its late report is refused.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): cancelled, already_cancelled, refused (with the
-- state of step or task that forbids it), not_found; and task with the new state of a task that changed.
-- Locks: as tasker.operated_steps.
create or replace function tasker.cancel_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (
    select k.*, s.worker_id from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    where tasker.step_transition_is_legal(k.state, 'cancelled') and k.task_state in ('pending', 'in_progress', 'error')),
  u as (
    update tasker.workflow_steps s set state = 'cancelled', seq = s.seq + 1, worker_id = null, available_at = null,
      finished_at = v_now, held = false
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'cancelled', p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;
  -- As tasker.cancel_tasks.
  if v_done_steps is not null and 'in_progress' = any (v_states) then perform pg_notify('tasker', 'check'); end if;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'cancelled'
              when k.state = 'cancelled' then 'already_cancelled' else 'refused' end,
         k.task_id, k.step_id,
         case when d.step_id is not null then 'cancelled' when tasker.step_transition_is_legal(k.state, 'cancelled') then 'task ' || k.task_state else k.state end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
  return query
  select 'task', a.task_id, null::bigint, a.state from tasker.recount_tasks(v_done_tasks, v_now, p_actor, p_reason) a where v_done_tasks is not null;
end $$;
comment on function tasker.cancel_steps(bigint[], bigint[], text, text, timestamptz) is 'Cancels single steps; their tasks go on.';

-- Cancels tasks and, in the same transaction, their unfinished steps. A handler that still runs learns of
-- it through tasker.lost_claims; its late report is refused.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns one row for each distinct id: outcome is cancelled, already_cancelled, refused (with the state
-- that forbids it) or not_found.
-- Locks: steps in progress by id, other unfinished steps by id, tasks by id.
-- While the first statement waits, a step that it did not see may be claimed: the second takes in what is in
-- progress once more, and what was is read under its lock.
create or replace function tasker.cancel_tasks(p_task_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (task_id bigint, outcome text, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_ids bigint[]; v_states text[]; v_cancel bigint[];
  v_tasks bigint[]; v_steps bigint[]; v_before text[]; v_workers bigint[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state = 'in_progress' order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state in ('pending', 'in_progress', 'error') order by s.workflow_step_id for update;
  with k as materialized (
    select t.task_id, t.state::text as state from tasker.tasks t where t.task_id = any (p_task_ids) order by t.task_id for update)
  select array_agg(k.task_id), array_agg(k.state),
         coalesce(array_agg(k.task_id) filter (where k.state in ('pending', 'in_progress', 'error')), '{}')
  into v_ids, v_states, v_cancel from k;
  with k as materialized (
    select s.task_id, s.workflow_step_id, s.state::text as state, s.worker_id from tasker.workflow_steps s
    where s.task_id = any (v_cancel) and s.state in ('pending', 'in_progress', 'error') order by s.workflow_step_id for update)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.state), array_agg(k.worker_id)
  into v_tasks, v_steps, v_before, v_workers from k;
  v_now := coalesce(p_now, clock_timestamp());

  with before as (select * from unnest(v_tasks, v_steps, v_before, v_workers) b (task_id, workflow_step_id, state, worker_id)),
  u as (
    update tasker.workflow_steps s set state = 'cancelled', seq = s.seq + 1, worker_id = null, available_at = null,
      finished_at = v_now, held = false
    from before b where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id and s.state = b.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, b.state, b.worker_id)
  insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
  select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'cancelled', p_actor, p_reason from u;

  with k as (select * from unnest(v_ids, v_states) k (task_id, state)),
  u as (
    update tasker.tasks t set state = 'cancelled', seq = t.seq + 1, live_steps = 0, finished_at = v_now
    from k where t.task_id = any (v_cancel) and t.task_id = k.task_id and t.state = k.state
    returning t.task_id, t.seq, k.state)
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor, reason)
  select u.task_id, v_now, u.seq, u.state, 'cancelled', p_actor, p_reason from u;

  -- A worker whose handlers run then compares notes at once instead of at its next renewal.
  if array_remove(v_workers, null) <> '{}' then perform pg_notify('tasker', 'check'); end if;
  return query
  select i.task_id,
    case when k.state is null then 'not_found' when i.task_id = any (v_cancel) then 'cancelled'
         when k.state = 'cancelled' then 'already_cancelled' else 'refused' end,
    case when i.task_id = any (v_cancel) then 'cancelled' else k.state end
  from (select distinct unnest(p_task_ids)) i (task_id)
  left join unnest(v_ids, v_states) k (task_id, state) using (task_id) order by 1;
end $$;
comment on function tasker.cancel_tasks(bigint[], text, text, timestamptz) is 'Cancels tasks with their unfinished steps.';

-- Claims the next steps for a worker: highest priority first, then longest available. Each becomes
-- in_progress under the worker's lease and costs an attempt; its token is its new seq.
--   p_worker_id  an incarnation registered by tasker.register_worker; one that has ended or whose lease
--                ran out gets no rows
--   p_limit      the most steps to take
--   p_now        the instant; NULL reads the database's clock
-- Returns one row a step in the order of claiming, with all that a handler needs: the task's context and
-- the results of the parents by name.
-- Locks: as tasker.expire_leases; then the worker (key share), steps without waiting, tasks that this claim
-- starts by id.
create or replace function tasker.claim_steps(p_worker_id bigint, p_limit integer, p_now timestamptz default null)
returns table (
  task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_worker record; v_taken record;
begin
  perform tasker.expire_leases(100, p_now);
  v_worker := tasker.served_queues(p_worker_id, p_now);
  if v_worker.queues is null then return; end if;
  v_taken := tasker.take_steps(p_worker_id, v_worker.queues, p_limit, '{}', '{}', '{}', '{}', p_now);
  return query select * from tasker.claimed_steps(v_taken.task_ids, v_taken.step_ids);
end $$;
comment on function tasker.claim_steps(bigint, integer, timestamptz) is
  'Claims the next steps for a worker, with all that their handlers need; takes back steps of dead workers first.';

-- What tasker.claimed_steps returns, for one step: a statement over arrays costs more to begin than to run. A test holds
-- the two equal. Internal to tasker.exchange_steps.
create or replace function tasker.claimed_step(
  p_task_id bigint, p_step_id bigint,
  out token integer, out attempt integer, out generation integer, out definition_id bigint, out step_name text, out context jsonb,
  out parent_results jsonb, out claimed_at timestamptz)
language plpgsql stable as $$
declare v_parents integer;
begin
  select s.seq, s.attempts, s.generation, t.definition_id, n.name, t.context, s.last_attempted_at, s.total_parents
  into token, attempt, generation, definition_id, step_name, context, claimed_at, v_parents
  from tasker.workflow_steps s join tasker.tasks t on t.task_id = s.task_id join tasker.named_steps n on n.named_step_id = s.named_step_id
  where s.task_id = p_task_id and s.workflow_step_id = p_step_id;
  parent_results := '{}';
  if v_parents > 0 then
    parent_results := coalesce((
      select jsonb_object_agg(pn.name, p.results) from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      join tasker.named_steps pn on pn.named_step_id = p.named_step_id
      where e.task_id = p_task_id and e.to_step_id = p_step_id), parent_results);
  end if;
end $$;
comment on function tasker.claimed_step(bigint, bigint) is 'What tasker.claimed_steps returns, for one step; internal to the claims.';

-- What handlers need of steps that have just been claimed: the task's context and the results of the
-- parents by name. Internal to tasker.claim_steps and tasker.exchange_steps.
-- Returns one row a step, in the order of the arguments. PostgreSQL writes it into the statement that calls it.
create or replace function tasker.claimed_steps(p_task_ids bigint[], p_step_ids bigint[])
returns table (
  task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language sql stable rows 100 as $$
  select s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, t.definition_id, n.name, t.context,
    case when s.total_parents = 0 then '{}'::jsonb else coalesce((
      select jsonb_object_agg(pn.name, p.results) from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      join tasker.named_steps pn on pn.named_step_id = p.named_step_id
      where e.task_id = s.task_id and e.to_step_id = s.workflow_step_id), '{}'::jsonb) end,
    s.last_attempted_at
  from unnest(p_task_ids, p_step_ids) with ordinality k (task_id, step_id, place)
  join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
  join tasker.tasks t on t.task_id = s.task_id join tasker.named_steps n on n.named_step_id = s.named_step_id
  order by k.place
$$;
comment on function tasker.claimed_steps(bigint[], bigint[]) is 'What handlers need of claimed steps; internal to the claims.';

-- Reports attempts that succeeded: writes results and transitions, releases the children, settles the
-- tasks. One round trip, one transaction, any number of steps.
--   p_task_ids, p_step_ids, p_tokens, p_results  one entry a report; the token is the seq of the claim
--   p_now  the instant; NULL reads the database's clock under the steps' locks
-- Returns what changed, in rows of (kind, task_id, workflow_step_id):
--   completed  the report was accepted. A report without this row no longer held its claim: lease lost
--   ready      a child that became available
--   complete, error  a task that settled; workflow_step_id is NULL
-- Locks: the reported steps by id, their children by id, their tasks by id.
create or replace function tasker.complete_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[], p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare d record;
begin
  d := tasker.finish_steps(p_task_ids, p_step_ids, p_tokens, p_results, p_now);
  return query
  select 'completed', x.task_id, x.step_id from unnest(d.done_tasks, d.done_steps) x (task_id, step_id)
  union all select 'ready', x.task_id, x.step_id from unnest(d.ready_tasks, d.ready_steps) x (task_id, step_id)
  union all select x.state, x.task_id, null from unnest(d.settled_states, d.settled_tasks) x (state, task_id);
end $$;
comment on function tasker.complete_steps(bigint[], bigint[], integer[], jsonb[], timestamptz) is
  'Reports attempts that succeeded: results, transitions, release of the children, settling of the tasks.';

-- How many tasks tasker.prune_tasks would delete in all its batches, for those who look before they delete.
-- Arguments as there, but several states. Returns one row for each state that has any: the tasks, and when the
-- first and the last of them finished.
create or replace function tasker.count_prunable(p_before timestamptz, p_states text[], p_namespaces text[] default null)
returns table (state text, tasks bigint, first_finished_at timestamptz, last_finished_at timestamptz)
language sql stable rows 4 as $$
  select t.outcome, count(*), min(t.finished_at), max(t.finished_at) from tasker.tasks t
  where t.outcome = any (p_states) and t.finished_at < p_before
    and (p_namespaces is null or t.named_task_id in (
      select w.named_task_id from tasker.named_tasks w join tasker.task_namespaces n on n.task_namespace_id = w.task_namespace_id
      where n.name = any (p_namespaces)))
  group by 1 order by 1
$$;
comment on function tasker.count_prunable(timestamptz, text[], text[]) is 'How many tasks tasker.prune_tasks would delete.';

-- Signs an incarnation off. Steps that it still has in progress are taken back by the next claim of anyone.
-- Returns whether it was still alive.
-- Locks: the worker, so that a claim of it that is under way ends first: its steps must be seen, or the
-- incarnation would be taken for empty and nobody would ever take them back.
create or replace function tasker.end_worker(p_worker_id bigint, p_now timestamptz default null)
returns boolean language plpgsql as $$
declare v_now timestamptz;
begin
  perform from tasker.workers w where w.worker_id = p_worker_id for update;
  v_now := coalesce(p_now, clock_timestamp());
  update tasker.workers w set ended_at = v_now, lease_until = least(w.lease_until, v_now),
    reaped_at = case when not exists (select from tasker.workflow_steps s where s.worker_id = w.worker_id) then v_now end
  where w.worker_id = p_worker_id and w.ended_at is null;
  return found;
end $$;
comment on function tasker.end_worker(bigint, timestamptz) is 'Signs an incarnation of a worker off.';

-- One turn of a worker in one round trip and one commit: reports attempts that succeeded, goes on with the
-- children that became available, and claims further steps up to the limit. What it goes on with is what a
-- claim could take now, and never takes the last place from waiting work of a higher priority.
--   p_worker_id  the incarnation; one that has ended or whose lease ran out reports but claims nothing
--   p_limit      the most steps to take
--   p_further    whether to claim steps other than the children; false answers a report sooner, and a turn soon
--                after it looks for them
--   p_expire     whether to take back steps of dead workers; only together with empty reports, because
--                that locks tasks before steps
--   p_task_ids, p_step_ids, p_tokens, p_results  the reports, as tasker.complete_steps
--   p_after_*    where to read on, as tasker.take_steps
--   p_now        the instant; NULL reads the database's clock
-- Returns rows by kind:
--   completed, ready, complete, error  as tasker.complete_steps
--   claimed   a step with all that its handler needs: token, attempt, … claimed_at
--   head      the last key taken from a queue (task_id) and priority (token): claimed_at, workflow_step_id
--   idle      nothing was claimed: token milliseconds until something becomes claimable or a lease runs
--             out, NULL if nothing does. The worker is marked as waiting and is woken by tasker.wake_workers
-- Locks: workers, the reported steps by id, their children by id, their tasks by id; then further steps
-- without waiting and the tasks that the claim starts by id. Two turns that start and settle the same tasks
-- within one moment may deadlock; that is transient.
create or replace function tasker.exchange_steps(
  p_worker_id bigint, p_limit integer, p_further boolean, p_expire boolean, p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[],
  p_after_queues integer[], p_after_priorities integer[], p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz default null)
returns table (
  kind text, task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_worker record; v_queues integer[]; v_done record; v_more record; v_first integer := 5; v_children boolean; v_child_ids bigint[]; v_claimed record; v_place integer; v_now timestamptz; v_due timestamptz;
  v_tasks bigint[] := '{}'; v_steps bigint[] := '{}';
begin
  if p_expire and cardinality(p_task_ids) = 0 then perform tasker.expire_leases(100, p_now); end if;
  if cardinality(p_task_ids) = 1 then
    v_child_ids := array(select e.to_step_id from tasker.workflow_step_edges e where e.task_id = p_task_ids[1] and e.from_step_id = p_step_ids[1]);
    v_children := v_child_ids <> '{}';
  elsif cardinality(p_task_ids) > 1 then
    v_children := exists (
      select from unnest(p_task_ids, p_step_ids) r (task_id, step_id)
      join tasker.workflow_step_edges e on e.task_id = r.task_id and e.from_step_id = r.step_id);
  end if;
  -- Who only reports the last steps of tasks claims nothing.
  if p_limit > 0 and (p_further or v_children) then
    v_worker := tasker.served_queues(p_worker_id, p_now);
    v_queues := v_worker.queues;
  end if;

  if cardinality(p_task_ids) > 0 then
    -- A worker that claims nothing else for now and keeps a place free takes nobody's by going on.
    if v_children and v_queues is not null and (p_further or p_limit <= coalesce(cardinality(v_child_ids), p_limit)) then
      v_first := coalesce(tasker.first_priority(v_queues, p_after_queues, p_after_priorities, p_after_at, p_after_ids, p_now), 5);
    end if;
    v_done := case cardinality(p_task_ids)
      when 1 then tasker.finish_step(p_task_ids[1], p_step_ids[1], p_tokens[1], p_results[1], p_now, v_child_ids,
        case when v_queues is not null then p_worker_id end, v_queues, v_first, p_limit)
      else tasker.finish_steps(p_task_ids, p_step_ids, p_tokens, p_results, p_now, v_children,
        case when v_queues is not null then p_worker_id end, v_queues, v_first, p_limit) end;
    kind := 'completed';
    for i in 1 .. coalesce(cardinality(v_done.done_tasks), 0) loop
      task_id := v_done.done_tasks[i]; workflow_step_id := v_done.done_steps[i];
      return next;
    end loop;
    kind := 'ready';
    for i in 1 .. coalesce(cardinality(v_done.ready_tasks), 0) loop
      task_id := v_done.ready_tasks[i]; workflow_step_id := v_done.ready_steps[i];
      return next;
    end loop;
    workflow_step_id := null;
    -- An array of texts is walked: a subscript would read it from the start each time.
    v_place := 0;
    foreach kind in array coalesce(v_done.settled_states, '{}') loop
      v_place := v_place + 1; task_id := v_done.settled_tasks[v_place];
      return next;
    end loop;
    if v_done.taken_tasks is not null then
      v_tasks := v_done.taken_tasks; v_steps := v_done.taken_steps;
    end if;
  end if;
  if v_queues is null then return; end if;

  if p_further and cardinality(v_steps) < p_limit then
    v_more := tasker.take_steps(p_worker_id, v_queues, p_limit - cardinality(v_steps), p_after_queues, p_after_priorities, p_after_at, p_after_ids, p_now);
    kind := 'head';
    for i in 1 .. cardinality(v_more.head_ids) loop
      task_id := v_more.head_queues[i]; token := v_more.head_priorities[i]; claimed_at := v_more.head_ats[i]; workflow_step_id := v_more.head_ids[i];
      return next;
    end loop;
    v_tasks := v_tasks || v_more.task_ids;
    v_steps := v_steps || v_more.step_ids;
  end if;
  if cardinality(v_steps) > 0 then
    -- A worker that has but one step goes on being told of new work: it soon waits again. More at a time come where
    -- many submit, and their commits would wait for each other's notifications.
    if v_worker.waiting and (cardinality(v_steps) > 1 or cardinality(v_steps) >= p_limit) then
      update tasker.workers w set waiting = false where w.worker_id = p_worker_id;
    end if;
    if cardinality(v_steps) = 1 then
      v_claimed := tasker.claimed_step(v_tasks[1], v_steps[1]);
      kind := 'claimed'; task_id := v_tasks[1]; workflow_step_id := v_steps[1]; token := v_claimed.token; attempt := v_claimed.attempt;
      generation := v_claimed.generation; definition_id := v_claimed.definition_id; step_name := v_claimed.step_name; context := v_claimed.context;
      parent_results := v_claimed.parent_results; claimed_at := v_claimed.claimed_at;
      return next;
      return;
    end if;
    return query select 'claimed', c.* from tasker.claimed_steps(v_tasks, v_steps) c;
  elsif p_further then
    -- Another turn of the same worker may have marked it meanwhile.
    update tasker.workers w set waiting = true where w.worker_id = p_worker_id and not w.waiting;
    v_now := coalesce(p_now, clock_timestamp());
    v_due := least(
      tasker.next_due_after(v_queues, v_now),
      (select min(w.lease_until) from tasker.workers w where w.reaped_at is null and w.worker_id <> p_worker_id));
    kind := 'idle'; task_id := null; workflow_step_id := null; claimed_at := null; token := null;
    if v_due is not null then token := least(greatest(ceil(extract(epoch from v_due - v_now) * 1000), 0), 2147483647); end if;
    return next;
  end if;
end $$;
comment on function tasker.exchange_steps(bigint, integer, boolean, boolean, bigint[], bigint[], integer[], jsonb[], integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'One turn of a worker: reports what succeeded, goes on with the children, claims more.';

-- Runs the statement of an `sql` step that returns no rows, with its input as $1 (jsonb).
-- Returns the number of rows affected. Runs with the caller's rights and search_path.
-- What may pass (tasker.is_transient_sqlstate) is raised as a serialization failure, with its own message:
-- not every client passes on the SQLSTATE.
create or replace function tasker.execute_step_command(p_statement text, p_input jsonb) returns bigint
language plpgsql as $$
declare v_count bigint;
begin
  execute p_statement using p_input;
  get diagnostics v_count = row_count;
  return v_count;
exception when others or query_canceled then
  if not tasker.is_transient_sqlstate(sqlstate) then raise; end if;
  raise exception '%', sqlerrm using errcode = 'serialization_failure';
end $$;
comment on function tasker.execute_step_command(text, jsonb) is 'Runs the statement of an sql step that returns no rows.';

-- Runs the statement of an `sql` step that returns rows, with its input as $1 (jsonb).
-- Returns a jsonb array with one object a row. Runs with the caller's rights and search_path.
-- What may pass (tasker.is_transient_sqlstate) is raised as a serialization failure, with its own message:
-- not every client passes on the SQLSTATE.
create or replace function tasker.execute_step_sql(p_statement text, p_input jsonb) returns jsonb
language plpgsql as $$
declare v_row record; v_rows jsonb[] := '{}';
begin
  for v_row in execute p_statement using p_input loop
    v_rows := v_rows || to_jsonb(v_row);
  end loop;
  return to_jsonb(v_rows);
exception when others or query_canceled then
  if not tasker.is_transient_sqlstate(sqlstate) then raise; end if;
  raise exception '%', sqlerrm using errcode = 'serialization_failure';
end $$;
comment on function tasker.execute_step_sql(text, jsonb) is 'Runs the statement of an sql step that returns rows.';

-- Takes back a bounded number of steps of incarnations whose lease ran out, as failures of kind
-- lost_lease that may be tried again at once. This is the whole of recovery; every claim calls it.
-- A worker that is just claiming or reporting holds its locks and is passed over until the next call.
-- Returns the number of steps taken back.
-- Locks: the dead workers, their steps by id (both without waiting), then as tasker.fail_steps.
create or replace function tasker.expire_leases(p_limit integer default 100, p_now timestamptz default null)
returns integer language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_dead bigint[]; v_tasks bigint[]; v_steps bigint[]; v_tokens integer[]; v_messages text[]; v_count integer;
begin
  v_dead := array(
    select w.worker_id from tasker.workers w where w.reaped_at is null and w.lease_until <= v_now
    order by w.lease_until limit 16 for update skip locked);
  if cardinality(v_dead) = 0 then return 0; end if;
  update tasker.workers w set ended_at = coalesce(w.ended_at, v_now) where w.worker_id = any (v_dead) and w.ended_at is null;

  with k as materialized (
    select s.task_id, s.workflow_step_id, s.seq, s.worker_id from tasker.workflow_steps s
    where s.worker_id = any (v_dead) order by s.workflow_step_id limit p_limit for update skip locked)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.seq),
         array_agg(format('the lease of worker %s (%s) ran out', w.worker_id, w.name)), count(*)
  into v_tasks, v_steps, v_tokens, v_messages, v_count
  from k join tasker.workers w on w.worker_id = k.worker_id;
  if v_count > 0 then
    perform tasker.fail_steps(v_tasks, v_steps, v_tokens, array_fill('lost_lease'::text, array[v_count]),
      array_fill(0::bigint, array[v_count]), v_messages, p_now);
  end if;

  update tasker.workers w set reaped_at = v_now where w.worker_id = any (v_dead)
    and not exists (select from tasker.workflow_steps s where s.worker_id = w.worker_id);
  return v_count;
end $$;
comment on function tasker.expire_leases(integer, timestamptz) is
  'Takes back a bounded number of steps of workers whose lease ran out; called by every claim.';

-- Why each step of the tasks is not running: every reason, since when it holds, and what it is about.
--   p_task_ids  the tasks; each counts once
--   p_step_ids  narrows the answer to these steps; NULL means all
--   p_at        a past instant: state, holds and pauses as they were then, from the logs alone. NULL explains
--               the state as it is stored
--   p_now       where p_at is NULL, moves the clock, not the state
-- Returns one row a step, ordered by task and step. state, since, generation, attempts and retry_limit are
-- the step's at that instant (NULL where it did not exist yet, or where its log was pruned); claimable says
-- whether tasker.claim_steps would take it then, and is NULL where the log was pruned; claimable_since is
-- NULL unless it is.
-- reasons is an array of objects, empty where a worker is about to take the step. Each has reason and
-- since; the others of their fields are named in docs/explain.md. All but no_worker keep the step from being
-- claimed: there is none of these exactly where claimable is true.
-- Each condition of tasker.is_claimable is asked of the function itself, with every other argument at a
-- value that does no harm: what it refuses is a reason, so the rule stays in one place.
create or replace function tasker.explain_steps(
  p_task_ids bigint[], p_step_ids bigint[] default null, p_at timestamptz default null, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, workflow_step_id bigint, name text, namespace text, handler text, at timestamptz, task_state text, state text,
  since timestamptz, generation integer, attempts integer, retry_limit integer, claimable boolean, claimable_since timestamptz, reasons jsonb)
language sql stable rows 1000 as $$
  with c as materialized (select coalesce(p_at, p_now) as at),
  f as materialized (
    select f.*, bool_and(f.known) over (partition by f.task_id) as task_known
    from (
      select * from tasker.step_situation(p_task_ids) where p_at is null
      union all
      select * from tasker.step_situation_at(p_task_ids, p_at) where p_at is not null) f),
  g as materialized (
    select f.*, f.state in ('pending', 'error') as unfinished, f.task_state in ('pending', 'in_progress') as task_open,
      -- Which parents a step waited for cannot be told where the log of one of them is gone.
      f.state is not null and (not f.known or f.state in ('pending', 'error') and not f.task_known) as pruned,
      f.state = 'cancelled' or f.state in ('pending', 'error')
        and not tasker.is_claimable(f.state, 0, f.attempts, f.retry_limit, f.retryable, f.failure_kind) as dead
    from f),
  h as (
    select g.*, case when not g.pruned then
      coalesce(g.available_at <= c.at and g.held_at is null and g.step_paused_at is null and g.task_paused_at is null
        and g.queue_paused_at is null and g.task_open, false) end as claimable
    from g, c where p_step_ids is null or g.workflow_step_id = any (p_step_ids)),
  open_parents as (
    select e.task_id, e.to_step_id as workflow_step_id, jsonb_agg(jsonb_build_object(
      'step_id', p.workflow_step_id, 'name', p.name, 'state', p.state, 'since', p.since, 'attempts', p.attempts, 'retry_limit', p.retry_limit,
      'next_attempt_at', case when p.attempts > 0 and p.available_at > c.at then p.available_at end, 'dead', p.dead)
      order by p.workflow_step_id) as parents
    from c, tasker.workflow_step_edges e join g p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
    where e.task_id = any (p_task_ids) and (p_at is null or e.created_at <= p_at) and not tasker.is_done(p.state) group by 1, 2),
  dead as (
    select g.task_id, jsonb_agg(jsonb_build_object('step_id', g.workflow_step_id, 'name', g.name) order by g.workflow_step_id) as steps
    from g where g.dead group by 1),
  alive as materialized (
    select w.handlers, w.namespaces from tasker.workers w, c
    where w.started_at <= c.at and c.at < least(w.lease_until, w.ended_at)),
  served as (
    select q.namespace, q.handler, (
      exists (select from alive w where q.handler = any (w.handlers) and (w.namespaces is null or q.namespace = any (w.namespaces)))) as served
    from (select distinct h.namespace, h.handler from h where h.claimable) q)
  select h.task_id, h.workflow_step_id, h.name, h.namespace, h.handler, c.at, h.task_state,
    case when not h.pruned then h.state end, case when h.state is not null and not h.pruned then h.since end,
    case when h.state is not null and not h.pruned then h.generation end, case when h.state is not null and not h.pruned then h.attempts end,
    case when h.state is not null and not h.pruned then h.retry_limit end,
    h.claimable, case when h.claimable then greatest(h.available_at, h.freed_at) end, r.reasons
  from c, h
  left join open_parents o on o.task_id = h.task_id and o.workflow_step_id = h.workflow_step_id
  left join dead d on d.task_id = h.task_id
  left join served v on v.namespace = h.namespace and v.handler = h.handler
  left join tasker.workers w on w.worker_id = h.worker_id
  cross join lateral (
    -- A lease is its last renewal and what that grants; one that was renewed after the past instant held at
    -- it, but until when, as it stood then, nobody noted.
    select case when p_at is null then w.lease_until
      when w.last_seen_at <= c.at then
        least(w.last_seen_at + w.lease_ms * interval '1 ms', case when w.ended_at <= c.at then w.ended_at end) end as lease_until) lease
  cross join lateral (
    select coalesce(jsonb_agg(r.reason order by r.place) filter (where r.reason is not null), '[]') as reasons
    from (values
      (1, case when h.state is null then jsonb_build_object('reason', 'not_created', 'created_at', h.created_at) end),
      (2, case when h.pruned then jsonb_build_object('reason', 'pruned', 'logged_from', h.logged_from) end),
      (3, case when not h.pruned and h.state = 'in_progress' then jsonb_build_object(
        'reason', 'in_progress', 'since', h.since, 'worker_id', h.worker_id, 'worker', w.name, 'attempt', h.attempts, 'retry_limit', h.retry_limit,
        'lease_until', lease.lease_until, 'lease_ran_out', coalesce(lease.lease_until <= c.at, false)) end),
      (4, case when not h.pruned and h.state <> 'in_progress' and not tasker.is_claimable(h.state, 0, 0, 1, true, null) then
        jsonb_build_object('reason', h.state, 'since', h.since)
          || case when h.state = 'complete' then '{}' else jsonb_build_object('actor', h.actor, 'because', h.reason) end end),
      (5, case when h.unfinished and not h.pruned and not tasker.is_claimable('error', 0, 0, 1, true, h.failure_kind) then
        jsonb_build_object('reason', 'permanent', 'since', h.since, 'error', h.reason) end),
      (6, case when h.unfinished and not h.pruned and not tasker.is_claimable('error', 0, h.attempts, h.retry_limit, true, null) then
        jsonb_build_object('reason', 'exhausted', 'since', greatest(h.since, h.limit_at), 'attempts', h.attempts, 'retry_limit', h.retry_limit,
          'failure_kind', case when h.state = 'error' then h.failure_kind end, 'error', case when h.state = 'error' then h.reason end) end),
      (7, case when h.unfinished and not h.pruned and not tasker.is_claimable('error', 0, h.attempts, h.attempts + 1, h.retryable, null) then
        jsonb_build_object('reason', 'not_retryable', 'since', h.since, 'failure_kind', case when h.state = 'error' then h.failure_kind end,
          'error', case when h.state = 'error' then h.reason end) end),
      (8, case when h.unfinished and not h.pruned and not tasker.is_claimable('pending', h.pending_parents, 0, 1, true, null) then
        jsonb_build_object('reason', 'waiting_for_parents', 'since', h.since, 'done', h.total_parents - h.pending_parents,
          'total', h.total_parents, 'parents', coalesce(o.parents, '[]')) end),
      (9, case when h.unfinished and not h.pruned and h.held_at is not null then
        jsonb_build_object('reason', 'held', 'since', h.held_at, 'dead', coalesce(d.steps, '[]')) end),
      (10, case when h.unfinished and not h.pruned and h.step_paused_at is not null then
        jsonb_build_object('reason', 'paused', 'what', 'step', 'since', h.step_paused_at) end),
      (11, case when h.unfinished and not h.pruned and h.task_paused_at is not null then
        jsonb_build_object('reason', 'paused', 'what', 'task', 'since', h.task_paused_at) end),
      (12, case when h.unfinished and not h.pruned and h.queue_paused_at is not null then
        jsonb_build_object('reason', 'paused', 'what', 'queue', 'since', h.queue_paused_at, 'namespace', h.namespace, 'handler', h.handler) end),
      (13, case when h.unfinished and not h.pruned and not h.task_open then
        jsonb_build_object('reason', 'task_finished', 'since', h.task_since, 'state', h.task_state) end),
      (14, case when h.unfinished and not h.pruned and h.attempts > 0 and h.available_at > c.at then
        jsonb_build_object('reason', 'waiting_for_retry', 'since', h.since, 'due_at', h.available_at, 'attempt', h.attempts + 1,
          'retry_limit', h.retry_limit, 'failure_kind', case when h.state = 'error' then h.failure_kind end,
          'error', case when h.state = 'error' then h.reason end) end),
      (15, case when h.unfinished and not h.pruned and h.attempts = 0 and h.available_at > c.at then
        jsonb_build_object('reason', 'scheduled', 'since', h.since, 'due_at', h.available_at) end),
      (16, case when h.claimable and not v.served then
        jsonb_build_object('reason', 'no_worker', 'namespace', h.namespace, 'handler', h.handler, 'since', greatest(h.available_at, h.freed_at, (
          select max(least(x.lease_until, x.ended_at)) from tasker.workers x
          where h.handler = any (x.handlers) and (x.namespaces is null or h.namespace = any (x.namespaces))
            and least(x.lease_until, x.ended_at) <= c.at))) end)) r (place, reason)) r
  order by h.task_id, h.workflow_step_id
$$;
comment on function tasker.explain_steps(bigint[], bigint[], timestamptz, timestamptz) is
  'Why each step of the tasks is not running, now or at a past instant.';

-- Reports attempts that failed. Whether another attempt follows is decided by tasker.is_claimable on the
-- row; when, by the delay that the caller computed (the backoff has one home, outside SQL).
--   p_task_ids, p_step_ids, p_tokens  one entry a report; the token is the seq of the claim
--   p_kinds      retryable, permanent, timeout, panic or lost_lease
--   p_delays_ms  the wait before the next attempt, from p_now
--   p_messages   what happened, a sentence for people
-- Returns rows of (kind, task_id, workflow_step_id): retry (another attempt will follow), dead (none will),
-- held (fail-fast took the next attempt away, in this call or before), complete or error (a task that settled). A
-- report without a row for its step no longer held its claim: lease lost.
-- Locks: the reported steps and, of a fail-fast task in which one of them will be dead, all that is in progress, together
-- by id; then what else is unfinished in such a task; the tasks by id.
create or replace function tasker.fail_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_kinds text[], p_delays_ms bigint[], p_messages text[],
  p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_workers bigint[]; v_outcomes text[];
  v_adjust bigint[]; v_deltas integer[]; v_fast bigint[]; v_held_tasks bigint[]; v_held integer[];
begin
  -- What fail-fast is going to hold is locked together with the reports: two failures of one task would else each have
  -- locked a step that the other's hold waits for.
  with i as (select * from unnest(p_task_ids, p_step_ids, p_tokens, p_kinds) i (task_id, step_id, token, kind)),
  f as (
    select distinct s.task_id from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    join tasker.tasks t on t.task_id = s.task_id
    where t.fail_fast and s.state = 'in_progress' and s.seq = i.token and tasker.is_dead('error', s.attempts, s.retry_limit, s.retryable, i.kind)),
  n as (
    select i.task_id, i.step_id, i.token from i
    union select s.task_id, s.workflow_step_id, s.seq from f join tasker.workflow_steps s on s.task_id = f.task_id where s.state = 'in_progress'),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.worker_id, n.token
    from n join tasker.workflow_steps s on s.task_id = n.task_id and s.workflow_step_id = n.step_id
    where s.state = 'in_progress' and s.seq = n.token order by s.workflow_step_id for update of s)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.worker_id) into v_tasks, v_steps, v_workers
  from k where (k.task_id, k.workflow_step_id, k.token) in (select i.task_id, i.step_id, i.token from i);
  if v_tasks is null then return; end if;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (select * from unnest(v_tasks, v_steps, v_workers) k (task_id, step_id, worker_id)),
  i as (
    select * from unnest(p_task_ids, p_step_ids, p_tokens, p_kinds, p_delays_ms, p_messages) i (task_id, step_id, token, kind, delay_ms, message)),
  u as (
    update tasker.workflow_steps s set state = 'error', seq = s.seq + 1, worker_id = null, last_failure_at = v_now,
      failure_kind = i.kind, last_error = i.message, backoff_request_seconds = ceil(i.delay_ms / 1000.0)::integer,
      available_at = case when tasker.is_claimable('error', s.pending_parents, s.attempts, s.retry_limit, s.retryable, i.kind)
        then v_now + i.delay_ms * interval '1 ms' end
    from k join i using (task_id, step_id) where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = 'in_progress' and s.seq = i.token
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.available_at, s.held, s.failure_kind, s.last_error, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state, failure_kind, reason)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.available_at, u.seq, u.attempts, u.generation, u.retry_limit, 'in_progress', 'error', u.failure_kind, u.last_error from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id),
         array_agg(case when u.available_at is null then 'dead' when u.held then 'held' else 'retry' end)
  into v_tasks, v_steps, v_outcomes from u;

  v_fast := array(
    select distinct t.task_id from unnest(v_tasks, v_outcomes) o (task_id, outcome)
    join tasker.tasks t on t.task_id = o.task_id where o.outcome = 'dead' and t.fail_fast);
  if cardinality(v_fast) > 0 then
    select array_agg(h.task_id), array_agg(-h.taken) into v_held_tasks, v_held from tasker.hold_rest(v_fast, v_now) h;
  end if;

  select array_agg(d.task_id), array_agg(d.delta) into v_adjust, v_deltas from (
    select x.task_id, sum(x.delta)::integer as delta from (
      select o.task_id, -1 from unnest(v_tasks, v_outcomes) o (task_id, outcome) where o.outcome <> 'retry'
      union all select * from unnest(v_held_tasks, v_held)) x (task_id, delta) group by 1) d
  where d.delta <> 0;

  return query
  select case when o.outcome = 'retry' and o.task_id = any (v_fast) then 'held' else o.outcome end, o.task_id, o.step_id
  from unnest(v_tasks, v_steps, v_outcomes) o (task_id, step_id, outcome);
  if v_adjust is not null then
    return query select a.state, a.task_id, null::bigint from tasker.adjust_tasks(v_adjust, v_deltas, p_now) a;
  end if;
  -- Also for a later retry: who waits has to know when it is due.
  if 'retry' = any (v_outcomes) then perform tasker.wake_workers(); end if;
end $$;
comment on function tasker.fail_steps(bigint[], bigint[], integer[], text[], bigint[], text[], timestamptz) is
  'Reports attempts that failed: kind, message, the instant of the next attempt, holds, settling of the tasks.';

-- What tasker.finish_steps does, for one report: plain statements, because a statement over arrays costs more to begin
-- than a turn of one step has to do. A test holds the two equal. Internal to tasker.exchange_steps.
--   p_task_id, p_step_id, p_token, p_result  the report; the token is the seq of the claim
--   p_now        the instant; NULL reads the database's clock under the step's lock
--   p_children   the step's children
--   p_worker_id, p_queues, p_priority, p_limit  who goes on with the children, as tasker.release_children
-- Returns what changed, as tasker.finish_steps.
-- Locks: the step, its children by id, its task. Plans are generic by the caller's setting.
create or replace function tasker.finish_step(
  p_task_id bigint, p_step_id bigint, p_token integer, p_result jsonb, p_now timestamptz, p_children bigint[],
  p_worker_id bigint, p_queues integer[], p_priority integer, p_limit integer,
  out done_tasks bigint[], out done_steps bigint[], out ready_tasks bigint[], out ready_steps bigint[], out taken_tasks bigint[], out taken_steps bigint[],
  out settled_tasks bigint[], out settled_states text[])
language plpgsql as $$
declare v_worker bigint; v_step record; v_child record; v_now timestamptz; v_live integer; v_state text;
begin
  select s.worker_id into v_worker from tasker.workflow_steps s
  where s.task_id = p_task_id and s.workflow_step_id = p_step_id and s.state = 'in_progress' and s.seq = p_token for update;
  if not found then return; end if;
  v_now := coalesce(p_now, clock_timestamp());
  update tasker.workflow_steps s set state = 'complete', seq = s.seq + 1, worker_id = null, finished_at = v_now,
    results = p_result, failure_kind = null, last_error = null
  where s.task_id = p_task_id and s.workflow_step_id = p_step_id and s.state = 'in_progress' and s.seq = p_token
  returning s.seq, s.attempts, s.generation, s.retry_limit into v_step;
  insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
  values (p_task_id, p_step_id, v_worker, v_now, v_step.seq, v_step.attempts, v_step.generation, v_step.retry_limit, 'in_progress', 'complete');
  done_tasks := array[p_task_id];
  done_steps := array[p_step_id];

  v_live := 0;
  if cardinality(p_children) = 1 then
    v_child := tasker.release_child(p_task_id, p_children[1], v_now, p_worker_id, p_queues, p_priority, p_limit, p_now);
    if v_child.ready then ready_tasks := done_tasks; ready_steps := p_children; end if;
    if v_child.taken then taken_tasks := done_tasks; taken_steps := p_children; end if;
    v_live := ((v_child.ready or v_child.taken) and not v_child.held)::integer;
  elsif p_children <> '{}' then
    select array_agg(c.task_id) filter (where not c.taken), array_agg(c.workflow_step_id) filter (where not c.taken),
           array_agg(c.task_id) filter (where c.taken), array_agg(c.workflow_step_id) filter (where c.taken),
           count(*) filter (where not c.held)
    into ready_tasks, ready_steps, taken_tasks, taken_steps, v_live
    from tasker.release_children(done_tasks, done_steps, v_now, p_worker_id, p_queues, p_priority, p_limit, p_now) c;
  end if;
  if v_live <> 1 then
    v_state := tasker.adjust_task(p_task_id, v_live - 1, p_now);
    if v_state is not null then
      settled_tasks := done_tasks;
      settled_states := array[v_state];
    end if;
  end if;
  if ready_tasks is not null then perform tasker.wake_workers(); end if;
end $$;
comment on function tasker.finish_step(bigint, bigint, integer, jsonb, timestamptz, bigint[], bigint, integer[], integer, integer) is
  'What tasker.finish_steps does, for one report; internal to the commands.';

-- Writes the results of attempts that succeeded, releases the children and settles the tasks. Internal to
-- tasker.complete_steps and tasker.exchange_steps.
--   p_task_ids, p_step_ids, p_tokens, p_results  one entry a report; the token is the seq of the claim
--   p_now  the instant; NULL reads the database's clock under the steps' locks
--   p_children  false if none of the steps has children
--   p_worker_id, p_queues, p_priority, p_limit  who goes on with the children, as tasker.release_children
-- Returns what changed, in one row of arrays, each NULL if empty:
--   done     the reports that were accepted
--   ready    children that became available
--   taken    children that the worker goes on with: in progress, their token is their seq
--   settled  tasks that settled, with their state
-- Locks: the reported steps by id, their children by id, their tasks by id.
create or replace function tasker.finish_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[], p_now timestamptz default null,
  p_children boolean default true, p_worker_id bigint default null, p_queues integer[] default null, p_priority integer default 5, p_limit integer default 0,
  out done_tasks bigint[], out done_steps bigint[], out ready_tasks bigint[], out ready_steps bigint[], out taken_tasks bigint[], out taken_steps bigint[],
  out settled_tasks bigint[], out settled_states text[])
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare v_now timestamptz; v_live bigint[]; v_adjust bigint[]; v_deltas integer[];
begin
  with i as (select * from unnest(p_task_ids, p_step_ids, p_tokens, p_results) i (task_id, step_id, token, result)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.worker_id, i.token, i.result
    from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    where s.state = 'in_progress' and s.seq = i.token order by s.workflow_step_id for update of s),
  -- The clock is read here, under the locks.
  g as (select k.*, coalesce(p_now, clock_timestamp()) as at from k),
  u as (
    update tasker.workflow_steps s set state = 'complete', seq = s.seq + 1, worker_id = null, finished_at = g.at,
      results = g.result, failure_kind = null, last_error = null
    from g where s.task_id = g.task_id and s.workflow_step_id = g.workflow_step_id and s.state = 'in_progress' and s.seq = g.token
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, g.worker_id, g.at),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    select u.task_id, u.workflow_step_id, u.worker_id, u.at, u.seq, u.attempts, u.generation, u.retry_limit, 'in_progress', 'complete' from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id), max(u.at) into done_tasks, done_steps, v_now from u;
  if done_tasks is null then return; end if;

  if p_children then
    select array_agg(c.task_id) filter (where not c.taken), array_agg(c.workflow_step_id) filter (where not c.taken),
           array_agg(c.task_id) filter (where c.taken), array_agg(c.workflow_step_id) filter (where c.taken),
           array_agg(c.task_id) filter (where not c.held)
    into ready_tasks, ready_steps, taken_tasks, taken_steps, v_live
    from tasker.release_children(done_tasks, done_steps, v_now, p_worker_id, p_queues, p_priority, p_limit, p_now) c;
  end if;

  -- Along a chain one step ends and one becomes available: nothing to write, no task row to lock.
  select array_agg(d.task_id), array_agg(d.delta) into v_adjust, v_deltas from (
    select x.task_id, sum(x.delta)::integer as delta
    from (select unnest(done_tasks), -1 union all select unnest(v_live), 1) x (task_id, delta) group by 1) d
  where d.delta <> 0;
  if v_adjust is not null then
    select array_agg(a.task_id), array_agg(a.state) into settled_tasks, settled_states from tasker.adjust_tasks(v_adjust, v_deltas, p_now) a;
  end if;
  if ready_tasks is not null then perform tasker.wake_workers(); end if;
end $$;
comment on function tasker.finish_steps(bigint[], bigint[], integer[], jsonb[], timestamptz, boolean, bigint, integer[], integer, integer) is
  'Writes results, releases the children, settles the tasks; internal to the commands.';

-- The highest priority (the least number) at which something waits in some queues, NULL if nothing does.
-- One bounded probe for each queue and priority; internal to tasker.exchange_steps.
--   p_after_*  where to read on, as tasker.take_steps
create or replace function tasker.first_priority(
  p_queues integer[], p_after_queues integer[], p_after_priorities integer[], p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz)
returns integer language plpgsql set plan_cache_mode = force_generic_plan as $$
declare v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  return (
    select p.priority from generate_series(1, 5) p (priority)
    where exists (
      select from unnest(p_queues) q (queue_id)
      left join unnest(p_after_queues, p_after_priorities, p_after_at, p_after_ids) a (queue_id, priority, at, id)
        on a.queue_id = q.queue_id and a.priority = p.priority
      cross join lateral (
        select from tasker.workflow_steps s
        where s.queue_id = q.queue_id and s.priority = p.priority::smallint
          and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
          and (s.available_at, s.workflow_step_id) > (coalesce(a.at, '-infinity'), coalesce(a.id, 0))
        order by s.available_at, s.workflow_step_id limit 1) h)
    order by p.priority limit 1);
end $$;
comment on function tasker.first_priority(integer[], integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'The highest priority at which something waits; internal to the claims.';

-- How the tasks that were created in a period have fared up to now, in one row.
--   p_since  tasks created after it, up to p_now, are looked at; NULL means the hour before p_now
--   p_now    moves the clock, not the state; defaults to the start of the statement
-- Tasks are counted by their own state, each once:
--   active_tasks_count      open tasks, whenever they were created
--   total_namespaces_count  namespaces that have a task, whenever it was created
--   unique_task_types_count workflows that have a task, by namespace and name; versions are one
--   system_health_score     completed of those that completed or failed, three decimals; 1 if there are none
--   task_throughput         tasks created in the period
--   completion_count, error_count, completion_rate, error_rate  those of them that are complete, or in error, and
--                           how many of a hundred that is, two decimals; 0 if there are none
--   avg_task_duration       of the complete ones: seconds from created to finished, three decimals
--   avg_step_duration       of their complete steps: seconds from the last claim to completion, three decimals
--   step_throughput         steps of the tasks created in the period
--   analysis_period_start, calculated_at  the period
--   cancelled_count, resolved_manually_count, open_count  the rest of the tasks created in the period
-- An average of nothing is NULL. A step's row carries the instants of its last claim and of its completion as
-- the log has them, so the log need not be read.
-- Cost: the tasks of the period (a BRIN index on created_at) and their steps by key, which offset 0 sees to, as a
-- join may read all that ever ran; the open tasks by index alone; a probe for each definition.
create or replace function tasker.get_analytics_metrics(p_since timestamptz default null, p_now timestamptz default statement_timestamp())
returns table (
  active_tasks_count bigint, total_namespaces_count bigint, unique_task_types_count bigint, system_health_score double precision,
  task_throughput bigint, completion_count bigint, error_count bigint, completion_rate double precision, error_rate double precision,
  avg_task_duration double precision, avg_step_duration double precision, step_throughput bigint, analysis_period_start timestamptz,
  calculated_at timestamptz, cancelled_count bigint, resolved_manually_count bigint, open_count bigint)
language sql stable rows 1 as $$
  -- From one definition that has tasks to the next: a join would read every task.
  with recursive used (definition_id) as (
    (select t.definition_id from tasker.tasks t order by t.definition_id limit 1)
    union all
    select (select t.definition_id from tasker.tasks t where t.definition_id > u.definition_id order by t.definition_id limit 1)
    from used u where u.definition_id is not null)
  select o.active, k.namespaces, k.types, coalesce(round(m.complete::numeric / nullif(m.complete + m.error, 0), 3), 1)::double precision,
    m.tasks, m.complete, m.error, coalesce(round(m.complete * 100.0 / nullif(m.tasks, 0), 2), 0)::double precision,
    coalesce(round(m.error * 100.0 / nullif(m.tasks, 0), 2), 0)::double precision, round(m.seconds, 3)::double precision,
    round(s.seconds, 3)::double precision, s.steps, coalesce(p_since, p_now - interval '1 hour'), p_now,
    m.cancelled, m.resolved_manually, m.open
  from (
    select count(*) as tasks, count(*) filter (where t.state = 'complete') as complete, count(*) filter (where t.state = 'error') as error,
      count(*) filter (where t.state = 'cancelled') as cancelled, count(*) filter (where t.state = 'resolved_manually') as resolved_manually,
      count(*) filter (where t.state in ('pending', 'in_progress')) as open,
      avg(extract(epoch from t.finished_at - t.created_at)) filter (where t.state = 'complete') as seconds
    from tasker.tasks t where t.created_at > coalesce(p_since, p_now - interval '1 hour') and t.created_at <= p_now) m
  cross join (
    select count(*) as steps, avg(extract(epoch from s.finished_at - s.last_attempted_at)) filter (where s.state = 'complete') as seconds
    from tasker.tasks t
    cross join lateral (select s.state, s.finished_at, s.last_attempted_at from tasker.workflow_steps s where s.task_id = t.task_id offset 0) s
    where t.created_at > coalesce(p_since, p_now - interval '1 hour') and t.created_at <= p_now) s
  cross join (select count(*) as active from tasker.tasks t where t.finished_at is null) o
  cross join (
    select count(distinct n.task_namespace_id) as namespaces, count(distinct (n.task_namespace_id, n.name)) as types
    from used u join tasker.task_definitions d on d.definition_id = u.definition_id join tasker.named_tasks n on n.named_task_id = d.named_task_id) k
$$;
comment on function tasker.get_analytics_metrics(timestamptz, timestamptz) is 'How the tasks that were created in a period have fared up to now.';

-- What one call of tasker.claim_steps would take now, for a worker that serves everything named; claims and locks
-- nothing.
--   p_limit       the most rows
--   p_namespaces  the namespaces looked at; NULL for all
--   p_handlers    the handlers looked at; NULL for all
--   p_now         moves the clock, not the state; defaults to the start of the statement
-- Returns one row a step in the order of claiming, which place counts from 1: by priority; within one, queue
-- after queue, the one whose first step has been available longest first; within a queue, longest available
-- first. Among steps that became available at one instant a claim takes those that are stored first; they stand
-- by id here. Paused queues, and steps that are held, paused or due later, are left out.
-- Cost: one bounded probe of the ready index for each queue and priority, and one more for each that is needed
-- to fill p_limit, whatever the backlog: one statement over all queues would sort it, and so would a bitmap of
-- one queue, which is why the function forbids that.
create or replace function tasker.get_next_ready_steps(
  p_limit integer default 100, p_namespaces text[] default null, p_handlers text[] default null,
  p_now timestamptz default statement_timestamp())
returns table (
  place bigint, workflow_step_id bigint, task_id bigint, step_name text, task_name text, namespace_name text, version text, handler text,
  priority smallint, available_at timestamptz, attempts integer, retry_limit integer)
language plpgsql stable rows 100 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare v_head record; v_place bigint := 0; v_rows bigint;
begin
  for v_head in
    -- Each head is at least one row, so no more of them are needed than rows.
    select q.queue_id, q.handler, n.name as namespace_name, p.priority
    from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
    cross join generate_series(1, 5) p (priority)
    cross join lateral (
      select s.available_at from tasker.workflow_steps s
      where s.queue_id = q.queue_id and s.priority = p.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= p_now
      order by s.available_at limit 1) h
    where q.paused_at is null and (p_namespaces is null or n.name = any (p_namespaces)) and (p_handlers is null or q.handler = any (p_handlers))
    order by p.priority, h.available_at, q.queue_id limit p_limit
  loop
    return query
    select v_place + row_number() over (order by s.available_at, s.workflow_step_id),
      s.workflow_step_id, s.task_id, n.name, k.name, v_head.namespace_name, k.version, v_head.handler, s.priority, s.available_at, s.attempts, s.retry_limit
    from (
      select s.task_id, s.workflow_step_id, s.named_step_id, s.priority, s.available_at, s.attempts, s.retry_limit from tasker.workflow_steps s
      where s.queue_id = v_head.queue_id and s.priority = v_head.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= p_now
      order by s.available_at, s.workflow_step_id limit p_limit - v_place) s
    join tasker.named_steps n on n.named_step_id = s.named_step_id
    -- The planner does not know the limit, takes it for a tenth of the backlog and would read all tasks.
    cross join lateral (
      select k.name, k.version from tasker.tasks t join tasker.named_tasks k on k.named_task_id = t.named_task_id
      where t.task_id = s.task_id limit 1) k
    order by 1;
    get diagnostics v_rows = row_count;
    v_place := v_place + v_rows;
    exit when v_place >= p_limit;
  end loop;
end $$;
comment on function tasker.get_next_ready_steps(integer, text[], text[], timestamptz) is
  'What a claim would take next from all queues, in the order of claiming; claims nothing.';

-- The complete steps that ran longest, of tasks created in a period.
--   p_since      tasks created after it, up to p_now, are looked at; NULL means the 24 hours before p_now
--   p_limit      the most rows; NULL for all
--   p_namespace, p_task_name, p_version  narrow it to workflows; NULL for any
--   p_now        moves the clock, not the state; defaults to the start of the statement
-- Returns one row a step, longest first, then by step. The first twelve columns are those of the original.
-- duration_seconds is how long its last attempt ran: from the claim to the completion, three decimals.
-- Then claimed_at, and queueing_seconds: how long it could have been claimed before it was, that is from the
-- last of the completions of its parents and the instant that the transition before the claim set, or from its
-- creation if there was neither.
-- Cost: the tasks of the period (a BRIN index on created_at) and their steps by key, which offset 0 sees to, as a
-- join may read all that ever ran; the log only for the rows returned.
create or replace function tasker.get_slowest_steps(
  p_since timestamptz default null, p_limit integer default 10, p_namespace text default null, p_task_name text default null,
  p_version text default null, p_now timestamptz default statement_timestamp())
returns table (
  workflow_step_id bigint, task_id bigint, step_name text, task_name text, namespace_name text, version text,
  duration_seconds double precision, attempts integer, created_at timestamptz, completed_at timestamptz, retryable boolean,
  step_status text, claimed_at timestamptz, queueing_seconds double precision)
language sql stable rows 10 as $$
  select s.workflow_step_id, s.task_id, n.name, s.task_name, s.namespace_name, s.version,
    round(extract(epoch from s.finished_at - s.last_attempted_at), 3)::double precision, s.attempts, s.created_at, s.finished_at, s.retryable,
    s.state::text, s.last_attempted_at,
    round(extract(epoch from s.last_attempted_at - least(s.last_attempted_at, greatest(s.created_at, b.since, p.done_at))), 3)::double precision
  from (
    select s.*, k.name as task_name, k.version, m.name as namespace_name
    from tasker.tasks t
    cross join lateral (select s.* from tasker.workflow_steps s where s.task_id = t.task_id and s.state = 'complete' offset 0) s
    join tasker.named_tasks k on k.named_task_id = t.named_task_id join tasker.task_namespaces m on m.task_namespace_id = k.task_namespace_id
    where t.created_at > coalesce(p_since, p_now - interval '24 hours') and t.created_at <= p_now
      and (p_namespace is null or m.name = p_namespace) and (p_task_name is null or k.name = p_task_name)
      and (p_version is null or k.version = p_version)
    order by s.finished_at - s.last_attempted_at desc, s.workflow_step_id limit p_limit) s
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  -- Completion is the last transition and the claim the one before it.
  left join lateral (
    select coalesce(l.available_at, l.at) as since from tasker.workflow_step_transitions l
    where l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id and l.seq = s.seq - 2) b on true
  cross join lateral (
    select max(p.finished_at) as done_at from tasker.workflow_step_edges e
    join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
    where e.task_id = s.task_id and e.to_step_id = s.workflow_step_id) p
  order by s.finished_at - s.last_attempted_at desc, s.workflow_step_id
$$;
comment on function tasker.get_slowest_steps(timestamptz, integer, text, text, text, timestamptz) is
  'The complete steps that ran longest, of tasks created in a period.';

-- The tasks that took longest from their creation to completion or failure, of those created in a period.
--   p_since      tasks created after it, up to p_now, are looked at; NULL means the 24 hours before p_now
--   p_limit      the most rows; NULL for all
--   p_namespace, p_task_name, p_version  narrow it to workflows; NULL for any
--   p_now        moves the clock, not the state; defaults to the start of the statement
-- Returns one row for each task that is complete or in error, longest first, then by task. The first thirteen
-- columns are those of the original: duration_seconds is from created_at to completed_at, three decimals;
-- completed_at is when it went to its state; completed_steps are complete or resolved_manually. Then task_status.
-- Cost: the tasks of the period (a BRIN index on created_at); steps only of the rows returned.
create or replace function tasker.get_slowest_tasks(
  p_since timestamptz default null, p_limit integer default 10, p_namespace text default null, p_task_name text default null,
  p_version text default null, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, task_name text, namespace_name text, version text, duration_seconds double precision, step_count bigint,
  completed_steps bigint, error_steps bigint, created_at timestamptz, completed_at timestamptz, initiator text, source_system text,
  task_status text)
language sql stable rows 10 as $$
  select t.task_id, t.task_name, t.namespace_name, t.version, round(extract(epoch from t.finished_at - t.created_at), 3)::double precision,
    s.total, s.done, s.error, t.created_at, t.finished_at, t.initiator, t.source_system, t.state::text
  from (
    select t.*, k.name as task_name, k.version, m.name as namespace_name
    from tasker.tasks t
    join tasker.named_tasks k on k.named_task_id = t.named_task_id join tasker.task_namespaces m on m.task_namespace_id = k.task_namespace_id
    where t.created_at > coalesce(p_since, p_now - interval '24 hours') and t.created_at <= p_now and t.state in ('complete', 'error')
      and (p_namespace is null or m.name = p_namespace) and (p_task_name is null or k.name = p_task_name)
      and (p_version is null or k.version = p_version)
    order by t.finished_at - t.created_at desc, t.task_id limit p_limit) t
  cross join lateral (
    select count(*) as total, count(*) filter (where tasker.is_done(s.state)) as done, count(*) filter (where s.state = 'error') as error
    from tasker.workflow_steps s where s.task_id = t.task_id) s
  order by t.finished_at - t.created_at desc, t.task_id
$$;
comment on function tasker.get_slowest_tasks(timestamptz, integer, text, text, text, timestamptz) is
  'The tasks that took longest to completion or failure, of those created in a period.';

-- Readiness of the steps of one task, ordered by step.
--   p_step_ids  NULL means all steps of the task
-- Columns as tasker.get_step_readiness_status_batch.
create or replace function tasker.get_step_readiness_status(p_task_id bigint, p_step_ids bigint[] default null, p_now timestamptz default statement_timestamp())
returns table (
  workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean,
  retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz, next_retry_at timestamptz, total_parents integer,
  completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds integer, last_attempted_at timestamptz,
  retryable boolean, available_at timestamptz, retry_due boolean, held boolean, paused boolean, failure_kind text, last_error text,
  generation integer, task_state text, handler text, worker_id bigint, lease_until timestamptz, detail text)
language sql stable parallel safe rows 10 as $$
  select * from tasker.step_readiness_at(p_now, false) r
  where r.task_id = p_task_id and (p_step_ids is null or r.workflow_step_id = any (p_step_ids))
  order by r.workflow_step_id
$$;
comment on function tasker.get_step_readiness_status(bigint, bigint[], timestamptz) is 'Readiness of the steps of one task.';

-- Readiness of every step of the tasks, from the stored state and counters.
--   p_task_ids  the tasks; each counts once; NULL means every open one
--   p_now       moves the clock, not the state; defaults to the start of the statement
-- Returns one row a step, ordered by task and step; for NULL in no order, which would sort the backlog. The first sixteen columns are those of the original;
-- retry_eligible means attempts < retry_limit only, next_retry_at is the instant at which readiness flips.
-- Then: retryable, available_at, retry_due (its time has come), held, paused (step, task or queue),
-- failure_kind, last_error, generation, task_state, handler, worker_id, lease_until, and detail, the one
-- word for where it stands: ready, waiting_for_retry, scheduled, waiting_for_parents, held, paused, exhausted,
-- permanent, not_retryable, task_finished, or the state itself.
-- To ask for everything open, write NULL in the statement: bound as a parameter of a statement that is
-- prepared, it is read task by task.
create or replace function tasker.get_step_readiness_status_batch(p_task_ids bigint[], p_now timestamptz default statement_timestamp())
returns table (
  workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean,
  retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz, next_retry_at timestamptz, total_parents integer,
  completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds integer, last_attempted_at timestamptz,
  retryable boolean, available_at timestamptz, retry_due boolean, held boolean, paused boolean, failure_kind text, last_error text,
  generation integer, task_state text, handler text, worker_id bigint, lease_until timestamptz, detail text)
language sql stable parallel safe rows 1000 as $$
  (select * from tasker.step_readiness_at(p_now, false) r where r.task_id = any (p_task_ids) order by r.task_id, r.workflow_step_id)
  union all
  -- Only one branch runs. The two ranges say everything or nothing once more: the planner takes a range whose
  -- bounds it does not know for a two-hundredth, so a generic plan counts this branch for next to nothing,
  -- and a prepared call with an array is not planned anew each time.
  select * from tasker.step_readiness_at(p_now, true) r
  where p_task_ids is null
    and r.task_id between case when p_task_ids is null then 0 else 1 end and case when p_task_ids is null then 9223372036854775807 else 0 end
    and r.task_state between case when p_task_ids is null then 'a' else 'z' end and case when p_task_ids is null then 'z' else 'a' end
$$;
comment on function tasker.get_step_readiness_status_batch(bigint[], timestamptz) is 'Readiness of every step of the tasks; NULL means every open task.';

-- How much of everything there is, in one row, exact.
--   p_now  moves the clock, not the state; defaults to the start of the statement
-- The first sixteen columns are those of the original, by durable state: a task or step that nothing has
-- happened to is pending. Of the steps in error: retryable_error_steps (another attempt follows by itself),
-- exhausted_retry_steps (no attempt is left), in_backoff_steps (the time of the next attempt has not come).
-- active_connections are those of this database that run a statement, this one included, as far as the role may
-- see; max_connections is the server's setting. Then:
--   resolved_manually_tasks, cancelled_steps, resolved_manually_steps  the states that the original leaves out
--   open_tasks, paused_tasks  pending or in_progress, and those of them that are paused
--   ready_steps    may be claimed now
--   held_steps     claimable, but held by fail-fast
--   paused_steps   claimable and not held, but step, task or queue is paused
--   paused_queues  queues from which nothing is claimed
--   live_workers   incarnations whose lease holds
--   expired_leases incarnations whose lease ran out and whose steps have not all been taken back
-- Cost: the steps of tasks that are open, in error or resolved are read by key, which offset 0 sees to, as a join
-- may read all that ever ran; and the entries of two indexes that only stopped tasks and steps set aside have. Of
-- what is complete nothing is read but one small index entry for each task (tasks_definition, a page for about a
-- thousand): a task has the steps of its definition, so the number of complete steps is what remains of the total.
create or replace function tasker.get_system_health_counts(p_now timestamptz default statement_timestamp())
returns table (
  total_tasks bigint, pending_tasks bigint, in_progress_tasks bigint, complete_tasks bigint, error_tasks bigint, cancelled_tasks bigint,
  total_steps bigint, pending_steps bigint, in_progress_steps bigint, complete_steps bigint, error_steps bigint,
  retryable_error_steps bigint, exhausted_retry_steps bigint, in_backoff_steps bigint, active_connections bigint, max_connections bigint,
  resolved_manually_tasks bigint, cancelled_steps bigint, resolved_manually_steps bigint, open_tasks bigint, paused_tasks bigint,
  ready_steps bigint, held_steps bigint, paused_steps bigint, paused_queues bigint, live_workers bigint, expired_leases bigint)
language sql stable rows 1 as $$
  select a.tasks, o.pending, o.in_progress, a.tasks - o.pending - o.in_progress - h.error - h.cancelled - h.resolved_manually, h.error, h.cancelled,
    a.steps, s.pending, s.in_progress, a.steps - s.pending - s.in_progress - s.error - r.cancelled - r.resolved_manually, s.error,
    s.retryable, s.exhausted, s.in_backoff, c.active, current_setting('max_connections')::bigint,
    h.resolved_manually, r.cancelled, r.resolved_manually, o.pending + o.in_progress, o.paused,
    s.ready, s.held, s.paused, q.paused, w.live, w.expired
  from (
    select coalesce(sum(d.tasks), 0)::bigint as tasks, coalesce(sum(d.tasks * n.steps), 0)::bigint as steps
    from (select t.definition_id, count(*) as tasks from tasker.tasks t group by 1) d
    cross join lateral (select count(*) as steps from tasker.definition_steps n where n.definition_id = d.definition_id) n) a
  cross join (
    select count(*) filter (where t.state = 'pending') as pending, count(*) filter (where t.state = 'in_progress') as in_progress,
      count(t.paused_at) as paused
    from tasker.tasks t where t.finished_at is null) o
  cross join (
    select count(*) filter (where t.state = 'error') as error, count(*) filter (where t.state = 'cancelled') as cancelled,
      count(*) filter (where t.state = 'resolved_manually') as resolved_manually
    from tasker.tasks t where t.outcome in ('error', 'cancelled', 'resolved_manually')) h
  cross join (
    select count(*) filter (where s.state = 'cancelled') as cancelled, count(*) filter (where s.state = 'resolved_manually') as resolved_manually
    from tasker.workflow_steps s where s.state in ('cancelled', 'resolved_manually')) r
  cross join (
    select count(*) filter (where s.state = 'pending') as pending, count(*) filter (where s.state = 'in_progress') as in_progress,
      count(*) filter (where s.state = 'error') as error,
      count(*) filter (where s.state = 'error' and tasker.is_claimable(s.state, 0, s.attempts, s.retry_limit, s.retryable, s.failure_kind)) as retryable,
      count(*) filter (where s.state = 'error' and s.attempts >= s.retry_limit) as exhausted,
      count(*) filter (where s.state = 'error' and s.available_at > p_now) as in_backoff,
      count(*) filter (where t.open and s.available_at <= p_now and not s.held and not s.paused and not t.paused and q.paused_at is null) as ready,
      count(*) filter (where s.available_at is not null and s.held) as held,
      count(*) filter (where t.open and s.available_at is not null and not s.held and (s.paused or t.paused or q.paused_at is not null)) as paused
    from (
      select t.task_id, t.paused_at is not null as paused, true as open from tasker.tasks t where t.finished_at is null
      union all
      select t.task_id, false, false from tasker.tasks t where t.outcome in ('error', 'resolved_manually')) t
    cross join lateral (
      select s.state, s.attempts, s.retry_limit, s.retryable, s.failure_kind, s.available_at, s.held, s.paused, s.queue_id
      from tasker.workflow_steps s where s.task_id = t.task_id offset 0) s
    join tasker.queues q on q.queue_id = s.queue_id) s
  cross join (select count(*) as paused from tasker.queues q where q.paused_at is not null) q
  cross join (
    select count(*) filter (where w.lease_until > p_now) as live, count(*) filter (where w.lease_until <= p_now) as expired
    from tasker.workers w where w.reaped_at is null) w
  cross join (
    select count(*) as active from pg_catalog.pg_stat_activity c
    where c.datname = current_database() and c.backend_type = 'client backend' and c.state = 'active') c
$$;
comment on function tasker.get_system_health_counts(timestamptz) is 'How much of everything there is, in one row, exact.';

-- Where one task stands. No row if there is no such task.
-- Columns as tasker.get_task_execution_contexts_batch.
create or replace function tasker.get_task_execution_context(p_task_id bigint, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, cancelled_steps bigint, dead_steps bigint, waiting_for_retry_steps bigint,
  held_steps bigint, next_retry_at timestamptz, detailed_status text)
language sql stable parallel safe rows 1 as $$
  select * from tasker.task_execution_contexts_at(p_now, false) r where r.task_id = p_task_id
$$;
comment on function tasker.get_task_execution_context(bigint, timestamptz) is 'Where one task stands.';

-- Where the tasks stand, counted over their steps.
--   p_task_ids  the tasks; each counts once; NULL means every open one
--   p_now       moves the clock, not the state; defaults to the start of the statement
-- Returns one row for each task that exists, ordered by task; for NULL in no order. The first thirteen columns are those of the
-- original. Then: cancelled_steps, dead_steps (exhausted, permanent, not retryable or cancelled),
-- waiting_for_retry_steps, held_steps, next_retry_at (the earliest instant at which a waiting step becomes
-- ready), and detailed_status, which says waiting_for_retry and held where execution_status has no word.
create or replace function tasker.get_task_execution_contexts_batch(p_task_ids bigint[], p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, cancelled_steps bigint, dead_steps bigint, waiting_for_retry_steps bigint,
  held_steps bigint, next_retry_at timestamptz, detailed_status text)
language sql stable parallel safe rows 100 as $$
  (select * from tasker.task_execution_contexts_at(p_now, false) r where r.task_id = any (p_task_ids) order by r.task_id)
  union all
  -- As in tasker.get_step_readiness_status_batch: the ranges are for the generic plan.
  select * from tasker.task_execution_contexts_at(p_now, true) r
  where p_task_ids is null
    and r.task_id between case when p_task_ids is null then 0 else 1 end and case when p_task_ids is null then 9223372036854775807 else 0 end
    and r.status between case when p_task_ids is null then 'a' else 'z' end and case when p_task_ids is null then 'z' else 'a' end
$$;
comment on function tasker.get_task_execution_contexts_batch(bigint[], timestamptz) is 'Where the tasks stand; NULL means every open task.';

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

-- What one task is made of and what can be done next: a batch of one. No row if there is no such task.
-- Columns as tasker.get_task_workflow_summaries_batch.
create or replace function tasker.get_task_workflow_summary(p_task_id bigint, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, root_step_ids bigint[], ready_step_ids bigint[], next_step_ids bigint[],
  blocked_step_ids bigint[], blocking_reasons text[], max_dependency_depth integer, parallelism_potential text,
  workflow_efficiency text)
language sql stable rows 1 as $$
  select * from tasker.get_task_workflow_summaries_batch(array[p_task_id], p_now)
$$;
comment on function tasker.get_task_workflow_summary(bigint, timestamptz) is 'What one task is made of and what can be done next.';

-- Fail-fast: holds every unfinished step of these tasks that is not held yet. A step in progress is held
-- too: it may finish, but a failure of it is not tried again.
-- Locks: steps in progress by id, then the others by id.
-- Logs each held step with its seq, so that the log tells which transitions came before the hold and which
-- after, whatever their instants: tasker.step_situation_at reads it.
-- Returns one row a task: how many live steps the hold took away.
create or replace function tasker.hold_rest(p_task_ids bigint[], p_now timestamptz)
returns table (task_id bigint, taken integer)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state = 'in_progress' order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state in ('pending', 'error') order by s.workflow_step_id for update;
  return query
  with u as (
    update tasker.workflow_steps s set held = true
    where s.task_id = any (p_task_ids) and s.state in ('pending', 'in_progress', 'error') and not s.held
    returning s.task_id, s.workflow_step_id, s.seq, s.available_at),
  n as (select u.task_id, count(u.available_at)::integer as taken from u group by 1),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, new_value, reason)
    select u.task_id, u.workflow_step_id, p_now, 'held', jsonb_build_object('seq', u.seq), 'fail-fast: a step of the task is dead' from u)
  select n.task_id, n.taken from n;
end $$;
comment on function tasker.hold_rest(bigint[], timestamptz) is 'Holds every unfinished step of the tasks; internal to the commands.';

-- Whether nothing but a person brings a step on, whatever its parents do: it is cancelled, or it may not be
-- attempted even once they are done.
create or replace function tasker.is_dead(state text, attempts integer, retry_limit integer, retryable boolean, failure_kind text)
returns boolean language sql immutable parallel safe return
  state = 'cancelled' or state in ('pending', 'error') and not tasker.is_claimable(state, 0, attempts, retry_limit, retryable, failure_kind);
comment on function tasker.is_dead(text, integer, integer, boolean, text) is
  'Whether nothing but a person brings a step on: cancelled, or not to be attempted even once its parents are done.';

-- Whether nothing is or will become claimable for a worker unless somebody submits or intervenes: no step
-- of its queues is available (now or later, not held, not paused) or in progress.
create or replace function tasker.is_drained(p_worker_id bigint) returns boolean
language sql stable as $$
  select tasker.next_due_at(p_worker_id) is null and not exists (
    select from tasker.workers w
    join tasker.queues q on q.handler = any (w.handlers) and q.paused_at is null
    join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id and (w.namespaces is null or n.name = any (w.namespaces))
    join tasker.workflow_steps s on s.queue_id = q.queue_id
    where w.worker_id = p_worker_id and s.worker_id is not null)
$$;
comment on function tasker.is_drained(bigint) is 'Whether nothing is or will become claimable for a worker by itself.';

-- Whether a statement that was refused with this SQLSTATE may succeed when it is run again: classes 08
-- (connection), 40 (rollback), 53 (resources), 57 (operator), 58 (system), and 55P03 (a lock was not granted).
create or replace function tasker.is_transient_sqlstate(p_sqlstate text) returns boolean
language sql immutable strict parallel safe as $$
  select left(p_sqlstate, 2) in ('08', '40', '53', '57', '58') or p_sqlstate = '55P03'
$$;
comment on function tasker.is_transient_sqlstate(text) is 'Whether what was refused with this SQLSTATE may succeed when it is run again.';

-- Lifts the hold of fail-fast where no dead step is left: nothing else could bring the held steps back.
-- Logs each step as tasker.hold_rest does.
-- Returns one row a task whose hold was lifted: how many of its steps became available by it.
-- Locks: the held steps, which the caller has locked before the tasks.
create or replace function tasker.lift_hold(p_task_ids bigint[], p_now timestamptz, p_actor text, p_reason text)
returns table (task_id bigint, given integer)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
  with i as (
    select i.task_id from (select distinct unnest(p_task_ids)) i (task_id)
    where not exists (
      select from tasker.workflow_steps s where s.task_id = i.task_id
        and tasker.is_dead(s.state, s.attempts, s.retry_limit, s.retryable, s.failure_kind))),
  u as (
    update tasker.workflow_steps s set held = false from i where s.task_id = i.task_id and s.held
    returning s.task_id, s.workflow_step_id, s.seq, s.available_at),
  n as (select u.task_id, count(u.available_at)::integer as given from u group by 1),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, p_now, 'unheld', jsonb_build_object('seq', u.seq), p_actor, p_reason from u)
  select n.task_id, n.given from n;
end $$;
comment on function tasker.lift_hold(bigint[], timestamptz, text, text) is
  'Lifts the hold of fail-fast where no dead step is left; internal to the commands.';

-- Which of these claims are no longer held: cancelled, taken back or reported already. A worker asks while
-- its handlers run, so that they learn of it. Returns the steps' ids.
create or replace function tasker.lost_claims(p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[])
returns setof bigint language sql stable as $$
  select i.step_id from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)
  left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
  where s.seq is distinct from i.token
$$;
comment on function tasker.lost_claims(bigint[], bigint[], integer[]) is 'Which of these claims are no longer held.';

-- The earliest instant after p_now at which a step of some queues becomes claimable; NULL if none waits for
-- time. What is due already is not looked at, so nothing that stands in front costs anything.
-- One bounded probe for each queue and priority.
create or replace function tasker.next_due_after(p_queues integer[], p_now timestamptz) returns timestamptz
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
begin
  return (select min(h.available_at)
  from unnest(p_queues) q (queue_id) cross join generate_series(1, 5) p (priority)
  cross join lateral (
    select s.available_at from tasker.workflow_steps s
    where s.queue_id = q.queue_id and s.priority = p.priority::smallint
      and s.available_at is not null and not s.held and not s.paused and s.available_at > p_now
    order by s.available_at, s.workflow_step_id limit 1) h);
end $$;
comment on function tasker.next_due_after(integer[], timestamptz) is 'The earliest later instant at which a step of some queues becomes claimable.';

-- When the next step becomes claimable for a worker: the earliest available_at over its queues, which may
-- lie in the past; NULL if nothing waits for time. One bounded probe for each queue and priority.
create or replace function tasker.next_due_at(p_worker_id bigint) returns timestamptz
language sql stable as $$
  select min(h.available_at)
  from tasker.workers w
  join tasker.queues q on q.handler = any (w.handlers) and q.paused_at is null
  join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id and (w.namespaces is null or n.name = any (w.namespaces))
  cross join generate_series(1, 5) p (priority)
  cross join lateral (
    select s.available_at from tasker.workflow_steps s
    where s.queue_id = q.queue_id and s.priority = p.priority::smallint
      and s.available_at is not null and not s.held and not s.paused
    order by s.available_at limit 1) h
  where w.worker_id = p_worker_id
$$;
comment on function tasker.next_due_at(bigint) is 'When the next step becomes claimable for a worker; NULL if nothing waits for time.';

-- Begins an operation on steps: refuses one without an actor, locks everything of the tasks, and says where
-- each named step stands under the locks. Internal to the operations.
-- Returns one row for each distinct pair, none for a task that is named without a step; state is NULL where there is no such step, task_state where there is
-- no such task.
-- Locks: steps in progress of the tasks by id, all their steps by id, their tasks by id. The second takes in what
-- was claimed while the first waited.
create or replace function tasker.operated_steps(p_task_ids bigint[], p_step_ids bigint[], p_actor text)
returns table (task_id bigint, workflow_step_id bigint, state text, task_state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state = 'in_progress' order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) order by s.workflow_step_id for update;
  perform from tasker.tasks t where t.task_id = any (p_task_ids) order by t.task_id for update;
  return query
  select i.task_id, i.step_id, s.state::text, t.state::text
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
  left join tasker.tasks t on t.task_id = i.task_id
  where i.step_id is not null;
end $$;
comment on function tasker.operated_steps(bigint[], bigint[], text) is
  'Locks everything of the tasks and says where each named step stands; internal to the operations.';

-- Pauses queues, or resumes them: of a paused one no claim that begins after this has committed takes a step. What
-- runs may end, and a claim that has begun may still take some.
--   p_namespace        the namespace; NULL means every one that has the handler
--   p_handler          the handler; NULL means the whole namespace, also the queues that it comes to have
--   p_pause            true pauses, false resumes
--   p_actor, p_reason  who and why; the actor is needed
-- Returns one row for each queue, by namespace and handler: outcome is paused, already_paused, resumed or not_paused,
-- steps the number of its steps that a claim would find, now or later, if the queue were open. No row: there is no
-- such queue. A namespace without a queue yet is paused all the same, and has no row.
-- Locks: the namespace, the queues by id.
create or replace function tasker.pause_queues(
  p_namespace text, p_handler text, p_pause boolean, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (queue_id integer, namespace text, handler text, outcome text, steps bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_now timestamptz; v_ids integer[]; v_done integer[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  if p_namespace is null and p_handler is null then
    raise exception 'a pause of queues needs a namespace or a handler' using errcode = 'null_value_not_allowed';
  end if;
  -- The lock comes before the look at the queues, so one that is just being registered is waited for or inherits.
  perform from tasker.task_namespaces n where p_handler is null and n.name = p_namespace for no key update;
  with k as materialized (
    select q.queue_id from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
    where (p_namespace is null or n.name = p_namespace) and (p_handler is null or q.handler = p_handler)
    order by q.queue_id for update of q)
  select array_agg(k.queue_id) into v_ids from k;
  v_now := coalesce(p_now, clock_timestamp());

  update tasker.task_namespaces n set paused_at = case when p_pause then v_now end
  where p_handler is null and n.name = p_namespace and (n.paused_at is null) = p_pause;
  with u as (
    update tasker.queues q set paused_at = case when p_pause then v_now end
    where q.queue_id = any (v_ids) and (q.paused_at is null) = p_pause returning q.queue_id),
  l as (
    insert into tasker.control_log (queue_id, at, kind, actor, reason)
    select u.queue_id, v_now, case when p_pause then 'paused' else 'resumed' end, p_actor, p_reason from u)
  select coalesce(array_agg(u.queue_id), '{}') into v_done from u;

  if not p_pause then perform tasker.wake_workers(); end if;
  return query
  select q.queue_id, n.name, q.handler,
    case when q.queue_id = any (v_done) then case when p_pause then 'paused' else 'resumed' end
         when p_pause then 'already_paused' else 'not_paused' end,
    (select count(*) from tasker.workflow_steps s where s.queue_id = q.queue_id and s.available_at is not null and not s.held and not s.paused)
  from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
  where q.queue_id = any (v_ids) order by n.name, q.handler;
end $$;
comment on function tasker.pause_queues(text, text, boolean, text, text, timestamptz) is 'Pauses queues, or resumes them.';

-- Pauses single steps, or resumes them: a paused one is not claimed once this has committed. One that runs may
-- end; its next attempt waits.
--   p_pause            true pauses, false resumes
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): paused, already_paused, resumed, not_paused, refused
-- (with the state of step or task that forbids it, or task paused, whose steps go with it), not_found.
-- Locks: as tasker.operated_steps.
create or replace function tasker.pause_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_pause boolean, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[]; v_refusals text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());
  select array_agg(case
      when t.paused_at is not null then 'task paused'
      when p_pause and k.state not in ('pending', 'in_progress', 'error') then k.state
      when p_pause and k.task_state not in ('pending', 'in_progress', 'error') then 'task ' || k.task_state end order by k.place)
  into v_refusals
  from unnest(v_tasks, v_states, v_task_states) with ordinality k (task_id, state, task_state, place)
  left join tasker.tasks t on t.task_id = k.task_id;

  with u as (
    update tasker.workflow_steps s set paused = p_pause from unnest(v_tasks, v_steps, v_refusals) k (task_id, step_id, refusal)
    where s.task_id = k.task_id and s.workflow_step_id = k.step_id and k.refusal is null and s.paused <> p_pause
    returning s.task_id, s.workflow_step_id),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, case when p_pause then 'paused' else 'resumed' end, p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  if not p_pause then perform tasker.wake_workers(); end if;
  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then case when p_pause then 'paused' else 'resumed' end
              when k.refusal is not null then 'refused' when p_pause then 'already_paused' else 'not_paused' end,
         k.task_id, k.step_id, case when k.state is not null then coalesce(k.refusal, k.state) end
  from unnest(v_tasks, v_steps, v_states, v_refusals) k (task_id, step_id, state, refusal)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
end $$;
comment on function tasker.pause_steps(bigint[], bigint[], boolean, text, text, timestamptz) is 'Pauses single steps, or resumes them.';

-- Pauses tasks, or resumes them: of a paused one nothing is claimed once this has committed. What runs may end,
-- and releases its children, which wait with the rest. Retries, resets and the like leave the pause.
--   p_pause            true pauses, false resumes
--   p_actor, p_reason  who and why; the actor is needed
-- Returns one row for each distinct id: outcome is paused, already_paused, resumed, not_paused, refused (a task that
-- is over is not paused, but is resumed) or not_found; state is the task's.
-- Steps that were paused alone are the task's from then on, and go on with it.
-- Locks: steps in progress of the tasks by id, all their steps by id, the tasks by id.
create or replace function tasker.pause_tasks(p_task_ids bigint[], p_pause boolean, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (task_id bigint, outcome text, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_now timestamptz; v_done bigint[];
begin
  perform tasker.operated_steps(p_task_ids, '{}', p_actor);
  v_now := coalesce(p_now, clock_timestamp());

  with t as (
    update tasker.tasks t set paused_at = case when p_pause then v_now end
    where t.task_id = any (p_task_ids) and (t.paused_at is null) = p_pause
      and (not p_pause or t.state in ('pending', 'in_progress', 'error'))
    returning t.task_id),
  alone as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, actor, reason)
    select s.task_id, s.workflow_step_id, v_now, 'resumed', p_actor, p_reason
    from t join tasker.workflow_steps s on s.task_id = t.task_id where p_pause and s.paused order by s.workflow_step_id),
  l as (
    insert into tasker.control_log (task_id, at, kind, actor, reason)
    select t.task_id, v_now, case when p_pause then 'paused' else 'resumed' end, p_actor, p_reason from t)
  select coalesce(array_agg(t.task_id), '{}') into v_done from t;
  update tasker.workflow_steps s set paused = p_pause where s.task_id = any (v_done) and s.paused <> p_pause;

  if not p_pause then perform tasker.wake_workers(); end if;
  return query
  select i.task_id,
    case when t.task_id is null then 'not_found' when i.task_id = any (v_done) then case when p_pause then 'paused' else 'resumed' end
         when not p_pause then 'not_paused' when t.paused_at is not null then 'already_paused' else 'refused' end,
    t.state::text
  from (select distinct unnest(p_task_ids)) i (task_id) left join tasker.tasks t on t.task_id = i.task_id order by 1;
end $$;
comment on function tasker.pause_tasks(bigint[], boolean, text, text, timestamptz) is 'Pauses tasks, or resumes them.';

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

-- Deletes finished tasks with all that belongs to them: steps, edges, both logs, control log, annotations. One
-- call is one bounded batch; call it again until it returns no row. Their identities are free again.
--   p_before      tasks that finished before this instant
--   p_state       which of them: complete, error, cancelled or resolved_manually; one state a call, so that one
--                 range of an index is read in order
--   p_namespaces  only tasks of workflows of these namespaces; NULL means all
--   p_limit       at most so many tasks
--   p_step_limit  and no more once they have so many steps; the first is taken whatever it has
--   p_after       where the last batch ended (its last finished_at): what was deleted there is not read again, which
--                 counts where an old snapshot keeps vacuum from removing it. NULL begins with the oldest
-- Returns one row for each task that is gone, the first to finish first.
-- Locks: tasks, then their steps, all without waiting, so that it can stand in nobody's way and in no deadlock.
-- A task that an operator is working on is passed over; one that was opened again is read anew under its lock
-- and stays.
create or replace function tasker.prune_tasks(
  p_before timestamptz, p_state text default 'complete', p_namespaces text[] default null, p_limit integer default 500,
  p_step_limit integer default 10000, p_after timestamptz default null)
returns table (task_id bigint, finished_at timestamptz, steps integer)
language plpgsql rows 500 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_workflows integer[]; v_tasks bigint[]; v_finished timestamptz[]; v_counts integer[];
begin
  if p_state is null or p_state not in ('complete', 'error', 'cancelled', 'resolved_manually') then
    raise exception 'tasks that are % are not pruned', coalesce(p_state, 'NULL') using errcode = 'invalid_parameter_value',
      hint = 'Only finished tasks are: complete, error, cancelled, resolved_manually.';
  end if;
  if p_before is null or p_limit is null or p_limit < 1 or p_step_limit is null or p_step_limit < 1 then
    raise exception 'pruning needs an instant and limits of at least 1' using errcode = 'invalid_parameter_value';
  end if;
  if p_namespaces is not null then
    v_workflows := array(
      select w.named_task_id from tasker.named_tasks w join tasker.task_namespaces n on n.task_namespace_id = w.task_namespace_id
      where n.name = any (p_namespaces));
  end if;

  with k as materialized (
    select t.task_id, t.finished_at from tasker.tasks t
    where t.outcome = p_state and t.finished_at < p_before and t.finished_at >= coalesce(p_after, '-infinity')
      and (v_workflows is null or t.named_task_id = any (v_workflows))
    order by t.finished_at limit p_limit for update skip locked),
  n as (
    select k.*, (select count(*) from tasker.workflow_steps s where s.task_id = k.task_id)::integer as steps from k),
  c as (
    select n.*, row_number() over w as place, sum(n.steps) over w as total from n window w as (order by n.finished_at, n.task_id))
  select array_agg(c.task_id), array_agg(c.finished_at), array_agg(c.steps) into v_tasks, v_finished, v_counts
  from c where c.place = 1 or c.total <= p_step_limit;
  if v_tasks is null then return; end if;

  -- Operations lock steps before tasks. Whoever has a step of a task now, waits for that task: it is let go.
  with k as materialized (select s.task_id from tasker.workflow_steps s where s.task_id = any (v_tasks) for update skip locked),
  n as (select k.task_id, count(*) as locked from k group by 1)
  select array_agg(i.task_id), array_agg(i.finished_at), array_agg(i.steps) into v_tasks, v_finished, v_counts
  from unnest(v_tasks, v_finished, v_counts) i (task_id, finished_at, steps) left join n on n.task_id = i.task_id
  where i.steps = coalesce(n.locked, 0);
  if v_tasks is null then return; end if;

  delete from tasker.workflow_step_edges e where e.task_id = any (v_tasks);
  delete from tasker.workflow_step_transitions l where l.task_id = any (v_tasks);
  delete from tasker.control_log l where l.task_id = any (v_tasks);
  delete from tasker.workflow_steps s where s.task_id = any (v_tasks);
  delete from tasker.task_annotations a where a.task_id = any (v_tasks);
  delete from tasker.task_transitions l where l.task_id = any (v_tasks);
  delete from tasker.tasks t where t.task_id = any (v_tasks);
  return query
  select i.task_id, i.finished_at, i.steps from unnest(v_tasks, v_finished, v_counts) i (task_id, finished_at, steps)
  order by i.finished_at, i.task_id;
end $$;
comment on function tasker.prune_tasks(timestamptz, text, text[], integer, integer, timestamptz) is
  'Deletes a bounded batch of finished tasks with all that belongs to them.';

-- Ends an operation that holds the locks of everything of the tasks: under fail-fast a dead step holds the rest,
-- a hold without a dead step is lifted, live_steps is counted anew, and what has no live step left settles.
-- Returns one row for each task whose state changed, as tasker.adjust_tasks does.
-- Locks: none that the caller does not hold.
create or replace function tasker.recount_tasks(p_task_ids bigint[], p_now timestamptz, p_actor text, p_reason text)
returns table (task_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  perform tasker.hold_rest(array(
    select t.task_id from tasker.tasks t where t.task_id = any (p_task_ids) and t.fail_fast and exists (
      select from tasker.workflow_steps s where s.task_id = t.task_id
        and tasker.is_dead(s.state, s.attempts, s.retry_limit, s.retryable, s.failure_kind))), p_now);
  perform tasker.wake_workers();
  perform tasker.lift_hold(p_task_ids, p_now, p_actor, p_reason);
  return query
  with n as (
    select t.task_id, count(s.workflow_step_id)::integer - t.live_steps as delta
    from tasker.tasks t
    left join tasker.workflow_steps s on s.task_id = t.task_id and (s.available_at is not null and not s.held or s.state = 'in_progress')
    where t.task_id = any (p_task_ids) group by t.task_id, t.live_steps),
  g as (select array_agg(n.task_id) as ids, array_agg(n.delta) as deltas from n)
  select a.task_id, a.state from g, tasker.adjust_tasks(g.ids, g.deltas, p_now, p_actor, p_reason) a;
end $$;
comment on function tasker.recount_tasks(bigint[], timestamptz, text, text) is
  'Holds or frees what a dead step decides, counts live_steps anew and settles; internal to the operations.';

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

-- Registers an incarnation of a worker and grants its first lease.
--   p_namespaces  what it serves; NULL serves all
--   p_handlers    the handlers that it has
--   p_lease_ms    for how long each renewal holds
-- Returns the new worker_id and the end of the lease.
create or replace function tasker.register_worker(
  p_name text, p_namespaces text[], p_handlers text[], p_lease_ms integer, p_now timestamptz default null)
returns table (worker_id bigint, lease_until timestamptz)
language sql volatile as $$
  insert into tasker.workers as w (name, namespaces, handlers, lease_ms, started_at, last_seen_at, lease_until)
  select p_name, p_namespaces, p_handlers, p_lease_ms, c.now, c.now, c.now + p_lease_ms * interval '1 ms'
  from (select coalesce(p_now, clock_timestamp()) as now) c
  returning w.worker_id, w.lease_until
$$;
comment on function tasker.register_worker(text, text[], text[], integer, timestamptz) is 'Registers an incarnation of a worker and grants its first lease.';

-- What tasker.release_children does, for the only child of one parent and in plain statements. A test holds the two
-- equal. Internal to tasker.finish_step.
--   p_now, p_worker_id, p_queues, p_priority, p_limit, p_clock  as there
-- Returns whether fail-fast holds the child, whether it became available and whether it was gone on with.
-- Locks: the child.
create or replace function tasker.release_child(
  p_task_id bigint, p_step_id bigint, p_now timestamptz, p_worker_id bigint, p_queues integer[], p_priority integer, p_limit integer, p_clock timestamptz,
  out held boolean, out ready boolean, out taken boolean)
language plpgsql as $$
declare v_child record; v_at timestamptz;
begin
  select s.state, s.held, s.paused, s.queue_id, s.priority,
    tasker.is_claimable(s.state, s.pending_parents - 1, s.attempts, s.retry_limit, s.retryable, s.failure_kind) as claimable
  into v_child from tasker.workflow_steps s where s.task_id = p_task_id and s.workflow_step_id = p_step_id for update;
  held := v_child.held;
  taken := p_limit > 0 and coalesce(
    v_child.claimable and not v_child.held and not v_child.paused and v_child.priority <= p_priority and v_child.queue_id = any (p_queues), false);
  ready := v_child.claimable and not taken;
  if not taken then
    update tasker.workflow_steps s set pending_parents = s.pending_parents - 1, available_at = case when ready then p_now end
    where s.task_id = p_task_id and s.workflow_step_id = p_step_id;
    return;
  end if;
  v_at := coalesce(p_clock, clock_timestamp());
  update tasker.workflow_steps s set pending_parents = s.pending_parents - 1, available_at = null, state = 'in_progress', worker_id = p_worker_id,
    attempts = s.attempts + 1, seq = s.seq + 1, last_attempted_at = v_at, backoff_request_seconds = null
  where s.task_id = p_task_id and s.workflow_step_id = p_step_id
  returning s.seq, s.attempts, s.generation, s.retry_limit, v_child.state into v_child;
  insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
  values (p_task_id, p_step_id, p_worker_id, v_at, v_child.seq, v_child.attempts, v_child.generation, v_child.retry_limit, v_child.state, 'in_progress');
end $$;
comment on function tasker.release_child(bigint, bigint, timestamptz, bigint, integer[], integer, integer, timestamptz) is
  'What tasker.release_children does, for the only child of one parent; internal to the commands.';

-- Counts done parents off their children, in the order of the children's ids, and makes those available
-- whose last parent this was. The decrement is relative and is applied to the row as it is once its lock
-- is held, so two parents that end at once are both counted.
--   p_task_ids, p_step_ids  steps that have just become complete or resolved_manually
--   p_now        from when the children are available
--   p_worker_id  the worker that goes on with them at once, as a claim of it would; NULL for nobody
--   p_queues     the queues that it serves
--   p_priority   the lowest priority that it may go on with: nothing that waits stands above it
--   p_limit      the most children that it goes on with
--   p_clock      the instant that the log of those gets; NULL reads the database's clock under the lock
-- Returns one row for each child that became available or was gone on with (taken): task, step, whether
-- fail-fast holds it.
-- Locks: the children by id.
create or replace function tasker.release_children(
  p_task_ids bigint[], p_step_ids bigint[], p_now timestamptz, p_worker_id bigint default null, p_queues integer[] default null,
  p_priority integer default 5, p_limit integer default 0, p_clock timestamptz default null)
returns table (task_id bigint, workflow_step_id bigint, held boolean, taken boolean)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
  with d as (
    select e.task_id, e.to_step_id, count(*)::integer as n
    from unnest(p_task_ids, p_step_ids) p (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = p.task_id and e.from_step_id = p.step_id group by 1, 2),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.state::text as state, d.n, s.held or s.paused as kept, s.queue_id, s.priority,
      tasker.is_claimable(s.state, s.pending_parents - d.n, s.attempts, s.retry_limit, s.retryable, s.failure_kind) as claimable
    from d join tasker.workflow_steps s on s.task_id = d.task_id and s.workflow_step_id = d.to_step_id
    order by s.workflow_step_id for update of s),
  g as (
    select k.*, coalesce(p_clock, clock_timestamp()) as at,
      coalesce(k.claimable and not k.kept and k.priority <= p_priority and k.queue_id = any (p_queues), false) as eligible from k),
  c as (
    select g.*, g.eligible and row_number() over (partition by g.eligible order by g.priority, g.workflow_step_id) <= p_limit as taken from g),
  u as (
    update tasker.workflow_steps s set
      pending_parents = s.pending_parents - c.n,
      available_at = case when c.claimable and not c.taken then p_now end,
      state = case when c.taken then 'in_progress' else s.state end,
      worker_id = case when c.taken then p_worker_id else s.worker_id end,
      attempts = s.attempts + c.taken::integer, seq = s.seq + c.taken::integer,
      last_attempted_at = case when c.taken then c.at else s.last_attempted_at end,
      backoff_request_seconds = case when not c.taken then s.backoff_request_seconds end
    from c where s.task_id = c.task_id and s.workflow_step_id = c.workflow_step_id
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.held, s.available_at, c.taken, c.at, c.state),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    select u.task_id, u.workflow_step_id, p_worker_id, u.at, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'in_progress' from u where u.taken)
  select u.task_id, u.workflow_step_id, u.held, u.taken from u where u.available_at is not null or u.taken;
end $$;
comment on function tasker.release_children(bigint[], bigint[], timestamptz, bigint, integer[], integer, integer, timestamptz) is
  'Counts done parents off their children and makes available those with none left, or goes on with them; internal to the commands.';

-- Gives claimed steps back unrun: they are pending again at once and get their attempt back.
--   p_task_ids, p_step_ids, p_tokens  one entry a claim; the token is the seq of the claim
-- Returns rows of (kind, task_id, workflow_step_id): released, or complete/error for a task that settled.
-- A claim without a row was no longer held.
-- Locks: the steps by id, the tasks by id.
create or replace function tasker.release_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_reason text default null, p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_workers bigint[]; v_dead bigint[];
begin
  with i as (select distinct * from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.worker_id
    from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    where s.state = 'in_progress' and s.seq = i.token order by s.workflow_step_id for update of s)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.worker_id) into v_tasks, v_steps, v_workers from k;
  if v_tasks is null then return; end if;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (select * from unnest(v_tasks, v_steps, v_workers) k (task_id, step_id, worker_id)),
  u as (
    update tasker.workflow_steps s set state = 'pending', seq = s.seq + 1, worker_id = null, attempts = s.attempts - 1,
      available_at = case when tasker.is_claimable('pending', s.pending_parents, s.attempts - 1, s.retry_limit, s.retryable, s.failure_kind) then v_now end
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = 'in_progress'
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.available_at, s.held, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state, reason)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.available_at, u.seq, u.attempts, u.generation, u.retry_limit, 'in_progress', 'pending', p_reason from u)
  select array_agg(u.task_id) filter (where u.available_at is null or u.held) into v_dead from u;

  return query select 'released', r.task_id, r.step_id from unnest(v_tasks, v_steps) r (task_id, step_id);
  if v_dead is not null then
    return query select a.state, a.task_id, null::bigint
      from tasker.adjust_tasks(v_dead, array_fill(-1, array[cardinality(v_dead)]), p_now) a;
  end if;
  perform tasker.wake_workers();
end $$;
comment on function tasker.release_steps(bigint[], bigint[], integer[], text, timestamptz) is
  'Gives claimed steps back unrun, with their attempt.';

-- Renews the lease of all steps of an incarnation by one update.
-- Returns the new end of the lease, or NULL: the lease ran out or the worker ended, so this incarnation is
-- over and the process registers anew.
create or replace function tasker.renew_lease(p_worker_id bigint, p_now timestamptz default null)
returns timestamptz language sql volatile as $$
  update tasker.workers w set last_seen_at = c.now, lease_until = c.now + w.lease_ms * interval '1 ms'
  from (select coalesce(p_now, clock_timestamp()) as now) c
  where w.worker_id = p_worker_id and w.ended_at is null and w.lease_until > c.now
  returning w.lease_until
$$;
comment on function tasker.renew_lease(bigint, timestamptz) is 'Renews the lease of an incarnation; NULL if it is over.';

-- Renews the lease of an incarnation and compares notes with it in the same round trip: which of the claims
-- that it knows of it no longer holds, and which others it holds without knowing, because an answer was lost.
--   p_task_ids, p_step_ids, p_tokens  the claims that the worker knows of
-- Returns rows of (kind, task_id, workflow_step_id, token): renewed (once, the rest NULL) unless the lease
-- ran out or the worker ended; lost, with the token that was asked about; other, with the token that is held.
-- Locks: the worker.
create or replace function tasker.renew_worker(
  p_worker_id bigint, p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint, token integer)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
  if tasker.renew_lease(p_worker_id, p_now) is null then return; end if;
  return query select 'renewed', null::bigint, null::bigint, null::integer;
  return query
    select 'lost', i.task_id, i.step_id, i.token from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)
    left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    where s.seq is distinct from i.token;
  return query
    select 'other', s.task_id, s.workflow_step_id, s.seq from tasker.workflow_steps s
    where s.worker_id = p_worker_id and not exists (
      select from unnest(p_step_ids, p_tokens) i (step_id, token) where i.step_id = s.workflow_step_id and i.token = s.seq);
end $$;
comment on function tasker.renew_worker(bigint, bigint[], bigint[], integer[], timestamptz) is
  'Renews a lease; says which claims are lost and which others the worker holds.';

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

-- Resolves steps by hand: pending or in error, they count as done, with the result given or none, and
-- their children are released exactly as by completion. A skip is a resolution whose reason says so. A hold
-- of fail-fast is lifted once no dead step is left.
--   p_results          one entry a step, NULL for none
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): resolved, already_resolved, refused (with the
-- state of step or task that forbids it), not_found; and task with the new state of a task that changed.
-- Locks: the steps by id, their children by id, what fail-fast holds by id, their tasks by id.
create or replace function tasker.resolve_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_results jsonb[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_ids bigint[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[]; v_gone bigint[]; v_live bigint[]; v_lifted bigint[]; v_given integer[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  with i as (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.state::text as state
    from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    order by s.workflow_step_id for update of s)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.state) into v_tasks, v_steps, v_states from k;
  -- The children are locked before the tasks, which is why release_children does not come first here.
  perform from tasker.workflow_steps s
  where (s.task_id, s.workflow_step_id) in (
    select e.task_id, e.to_step_id from unnest(v_tasks, v_steps) i (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = i.task_id and e.from_step_id = i.step_id)
  order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (v_tasks) and s.held order by s.workflow_step_id for update;
  with k as materialized (
    select t.task_id, t.state::text as state from tasker.tasks t where t.task_id = any (v_tasks) order by t.task_id for update)
  select array_agg(k.task_id), array_agg(k.state) into v_task_ids, v_task_states from k;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (
    select k.* from unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state)
    join unnest(v_task_ids, v_task_states) t (task_id, state) on t.task_id = k.task_id
    where k.state in ('pending', 'error') and t.state in ('pending', 'in_progress', 'error')),
  i as (select * from unnest(p_task_ids, p_step_ids, p_results) i (task_id, step_id, result)),
  before as (
    select s.task_id, s.workflow_step_id, s.available_at is not null and not s.held as live
    from k join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id),
  u as (
    update tasker.workflow_steps s set state = 'resolved_manually', seq = s.seq + 1, available_at = null, finished_at = v_now,
      results = i.result, held = false
    from k join i using (task_id, step_id) join before b on b.task_id = k.task_id and b.workflow_step_id = k.step_id
    where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state, b.live),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'resolved_manually', p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id), array_agg(u.task_id) filter (where u.live)
  into v_done_tasks, v_done_steps, v_gone from u;

  select array_agg(c.task_id) filter (where not c.held) into v_live
  from tasker.release_children(v_done_tasks, v_done_steps, v_now) c;
  select coalesce(array_agg(h.task_id), '{}'), coalesce(array_agg(h.given), '{}') into v_lifted, v_given
  from tasker.lift_hold(v_done_tasks, v_now, p_actor, p_reason) h;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'resolved'
              when k.state = 'resolved_manually' then 'already_resolved' else 'refused' end,
         i.task_id, i.step_id,
         case when d.step_id is not null then 'resolved_manually' when k.state in ('pending', 'error') then 'task ' || t.state else k.state end
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  left join unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state) using (task_id, step_id)
  left join unnest(v_task_ids, v_task_states) t (task_id, state) using (task_id)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id);

  if v_done_tasks is not null then
    -- A change of 0 too: the last dead step of a task in error may be the one that was resolved.
    return query select 'task', a.task_id, null::bigint, a.state from tasker.adjust_tasks(
      v_done_tasks || v_gone || v_live || v_lifted,
      array_fill(0, array[cardinality(v_done_tasks)]) || array_fill(-1, array[coalesce(cardinality(v_gone), 0)])
        || array_fill(1, array[coalesce(cardinality(v_live), 0)]) || v_given,
      p_now, p_actor, p_reason) a;
    perform tasker.wake_workers();
  end if;
end $$;
comment on function tasker.resolve_steps(bigint[], bigint[], jsonb[], text, text, timestamptz) is
  'Resolves steps by hand and releases their children.';

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

-- Gives dead or failed steps a new generation: pending again, attempts from 0, a new idempotency key. The
-- task opens again. Under fail-fast the hold is lifted once no dead step is left; until then it takes in the
-- retried steps too.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): retried, already_pending, refused (with the state of
-- step or task that forbids it), not_found; and task with the new state of a task that changed.
-- Locks: as tasker.operated_steps.
create or replace function tasker.retry_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (
    select * from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
    where k.state in ('error', 'cancelled') and k.task_state in ('pending', 'in_progress', 'error', 'cancelled')),
  u as (
    update tasker.workflow_steps s set state = 'pending', seq = s.seq + 1, generation = s.generation + 1, attempts = 0,
      failure_kind = null, last_error = null, backoff_request_seconds = null, finished_at = null,
      available_at = case when tasker.is_claimable('pending', s.pending_parents, 0, s.retry_limit, s.retryable, null) then v_now end
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.available_at, k.state),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, u.available_at, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'pending', p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'retried'
              when k.state = 'pending' then 'already_pending' else 'refused' end,
         k.task_id, k.step_id,
         case when d.step_id is not null then 'pending' when k.state in ('error', 'cancelled') then 'task ' || k.task_state else k.state end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
  return query
  select 'task', a.task_id, null::bigint, a.state from tasker.recount_tasks(v_done_tasks, v_now, p_actor, p_reason) a where v_done_tasks is not null;
end $$;
comment on function tasker.retry_steps(bigint[], bigint[], text, text, timestamptz) is
  'Gives dead or failed steps a new generation and opens their tasks again.';

-- Makes steps that wait for their next attempt due at once. Nothing else changes: the same generation, the same
-- idempotency key, no attempt given back.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): due, already_due, refused (with the state of step
-- or task that forbids it, or not claimable), not_found.
-- Logs the instant with the step's seq, so that explain finds what it replaces.
-- Locks: as tasker.operated_steps.
create or replace function tasker.retry_steps_now(
  p_task_ids bigint[], p_step_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());

  with b as materialized (
    select s.task_id, s.workflow_step_id, s.available_at from unnest(v_tasks, v_steps, v_task_states) k (task_id, step_id, task_state)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    where s.available_at > v_now and k.task_state in ('pending', 'in_progress', 'error')),
  u as (
    update tasker.workflow_steps s set available_at = v_now from b
    where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id and s.available_at = b.available_at
    returning s.task_id, s.workflow_step_id, s.seq, b.available_at),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, old_value, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, 'due', to_jsonb(u.available_at), jsonb_build_object('seq', u.seq, 'available_at', v_now), p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  if v_done_tasks is not null then perform tasker.wake_workers(); end if;
  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'due'
              when s.available_at is not null and k.task_state in ('pending', 'in_progress', 'error') then 'already_due' else 'refused' end,
         k.task_id, k.step_id,
         case when k.state not in ('pending', 'error') or s.available_at is not null and k.task_state in ('pending', 'in_progress', 'error') then k.state
              when k.task_state not in ('pending', 'in_progress', 'error') then 'task ' || k.task_state
              when k.state is not null then 'not claimable' end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) on d.task_id = k.task_id and d.step_id = k.step_id order by 2, 3;
end $$;
comment on function tasker.retry_steps_now(bigint[], bigint[], text, text, timestamptz) is
  'Makes steps that wait for their next attempt due at once.';

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

-- The queues that a living worker claims from, paused ones left out, under a lock that lets renewals pass
-- and an expiry not; and whether it is marked as waiting. Internal to the claims.
-- Returns NULLs for a worker that has ended or whose lease ran out.
-- Locks: the worker (key share).
create or replace function tasker.served_queues(p_worker_id bigint, p_now timestamptz, out queues integer[], out waiting boolean)
language plpgsql set plan_cache_mode = force_generic_plan as $$
begin
  select w.waiting, array(
      select q.queue_id from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
      where q.paused_at is null and q.handler = any (w.handlers) and (w.namespaces is null or n.name = any (w.namespaces)))
  into waiting, queues from tasker.workers w
  where w.worker_id = p_worker_id and w.ended_at is null and w.lease_until > coalesce(p_now, clock_timestamp()) for key share;
end $$;
comment on function tasker.served_queues(bigint, timestamptz) is 'The queues that a living worker claims from; internal to the claims.';

-- Changes in which order steps are claimed. A step that runs keeps running; its next attempt has the new priority.
--   p_priority         1 is claimed first, 5 last
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): prioritized, unchanged, refused (with the state of
-- step or task that forbids it), not_found.
-- Locks: as tasker.operated_steps.
create or replace function tasker.set_priorities(
  p_task_ids bigint[], p_step_ids bigint[], p_priority integer, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  if p_priority is null or p_priority not between 1 and 5 then
    raise exception 'a priority lies between 1 and 5, this is %', p_priority using errcode = 'invalid_parameter_value';
  end if;
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());

  with b as materialized (
    select s.task_id, s.workflow_step_id, s.priority from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    where k.state in ('pending', 'in_progress', 'error') and k.task_state in ('pending', 'in_progress', 'error') and s.priority <> p_priority),
  u as (
    update tasker.workflow_steps s set priority = p_priority from b
    where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id
    returning s.task_id, s.workflow_step_id, b.priority),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, old_value, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, 'priority', to_jsonb(u.priority), to_jsonb(p_priority), p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'prioritized'
              when k.state in ('pending', 'in_progress', 'error') and k.task_state in ('pending', 'in_progress', 'error') then 'unchanged' else 'refused' end,
         k.task_id, k.step_id,
         case when k.state in ('pending', 'in_progress', 'error') and k.task_state not in ('pending', 'in_progress', 'error')
           then 'task ' || k.task_state else k.state end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
end $$;
comment on function tasker.set_priorities(bigint[], bigint[], integer, text, text, timestamptz) is 'Changes in which order steps are claimed.';

-- Changes how many attempts steps may have. A raised limit brings an exhausted step back: due at the instant that
-- its last transition or tasker.retry_steps_now set, or at once if there is none or it is past; its task opens
-- again. A lowered one may leave a step dead, and the task may settle by it.
--   p_retry_limit      the total number of attempts, 0 to 1000000; 0 means never
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): limited, unchanged, refused (with the state of step
-- or task that forbids it, or attempts N where the limit would be below the attempts made), not_found; and task
-- with the new state of a task that changed.
-- Locks: as tasker.operated_steps.
create or replace function tasker.set_retry_limits(
  p_task_ids bigint[], p_step_ids bigint[], p_retry_limit integer, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_refusals text[]; v_done_tasks bigint[]; v_done_steps bigint[];
begin
  if p_retry_limit is null or p_retry_limit not between 0 and 1000000 then
    raise exception 'a retry limit lies between 0 and 1000000, this is %', p_retry_limit using errcode = 'invalid_parameter_value';
  end if;
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());
  select array_agg(case
      when k.state not in ('pending', 'in_progress', 'error') then k.state
      when k.task_state not in ('pending', 'in_progress', 'error') then 'task ' || k.task_state
      when s.attempts > p_retry_limit then 'attempts ' || s.attempts end order by k.place)
  into v_refusals
  from unnest(v_tasks, v_steps, v_states, v_task_states) with ordinality k (task_id, step_id, state, task_state, place)
  left join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id;

  with b as materialized (
    select s.task_id, s.workflow_step_id, s.retry_limit, greatest(v_now, coalesce((
        select (c.new_value ->> 'available_at')::timestamptz from tasker.control_log c
        where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'due' and (c.new_value ->> 'seq')::integer = s.seq
        order by c.control_id desc limit 1), l.available_at)) as due_at
    from unnest(v_tasks, v_steps, v_refusals) k (task_id, step_id, refusal)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    left join tasker.workflow_step_transitions l on l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id and l.seq = s.seq
    where k.refusal is null and s.retry_limit <> p_retry_limit),
  u as (
    update tasker.workflow_steps s set retry_limit = p_retry_limit, available_at =
      case when tasker.is_claimable(s.state, s.pending_parents, s.attempts, p_retry_limit, s.retryable, s.failure_kind)
        then coalesce(s.available_at, b.due_at) end
    from b where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id
    returning s.task_id, s.workflow_step_id, b.retry_limit),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, old_value, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, 'retry_limit', to_jsonb(u.retry_limit), to_jsonb(p_retry_limit), p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'limited' when k.refusal is not null then 'refused' else 'unchanged' end,
         k.task_id, k.step_id, coalesce(k.refusal, k.state)
  from unnest(v_tasks, v_steps, v_states, v_refusals) k (task_id, step_id, state, refusal)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
  return query
  select 'task', a.task_id, null::bigint, a.state from tasker.recount_tasks(v_done_tasks, v_now, p_actor, p_reason) a where v_done_tasks is not null;
end $$;
comment on function tasker.set_retry_limits(bigint[], bigint[], integer, text, text, timestamptz) is 'Changes how many attempts steps may have.';

-- Leaves out steps that the definition marks skippable: tasker.resolve_steps without a result, with a reason that
-- says so. What is not skippable can still be resolved.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): skipped, already_resolved, refused (with the state
-- of step or task that forbids it, or not skippable), not_found; and task with the new state of a task that changed.
-- Locks: as tasker.resolve_steps.
create or replace function tasker.skip_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_tasks bigint[]; v_steps bigint[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  -- Whether a step is skippable never changes: it is read without a lock.
  select coalesce(array_agg(i.task_id), '{}'), coalesce(array_agg(i.step_id), '{}') into v_tasks, v_steps
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id where s.skippable is not false;
  return query
  select 'refused', s.task_id, s.workflow_step_id, 'not skippable'
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id where not s.skippable;
  return query
  select case r.outcome when 'resolved' then 'skipped' else r.outcome end, r.task_id, r.workflow_step_id, r.state
  from tasker.resolve_steps(v_tasks, v_steps, array_fill(null::jsonb, array[cardinality(v_steps)]), p_actor, 'skipped' || coalesce(': ' || p_reason, ''), p_now) r;
end $$;
comment on function tasker.skip_steps(bigint[], bigint[], text, text, timestamptz) is 'Leaves out steps that the definition marks skippable.';

-- What the control log says about one step up to an instant: the last word on hold and pauses, of the step,
-- its task and its queue. Internal to tasker.step_situation and tasker.step_situation_at.
--   p_at  only what was logged at or before it; infinity for all
-- Returns exactly one row: held_at and held_seq (of the last hold, NULL if it was lifted), step_paused_at,
-- task_paused_at, queue_paused_at (NULL if resumed or never paused), freed_at (the last time that a hold was
-- lifted or a pause ended), limit_at (the last change of the retry limit).
create or replace function tasker.step_controls(p_task_id bigint, p_step_id bigint, p_queue_id integer, p_at timestamptz)
returns table (
  held_at timestamptz, held_seq integer, step_paused_at timestamptz, task_paused_at timestamptz, queue_paused_at timestamptz,
  freed_at timestamptz, limit_at timestamptz)
language sql stable rows 1 as $$
  select
    (array_agg(case when c.kind = 'held' then c.at end order by c.control_id desc) filter (where c.kind in ('held', 'unheld')))[1],
    (array_agg((c.new_value ->> 'seq')::integer order by c.control_id desc) filter (where c.kind in ('held', 'unheld')))[1],
    (array_agg(case when c.kind = 'paused' then c.at end order by c.control_id desc) filter (where c.scope = 'step' and c.kind in ('paused', 'resumed')))[1],
    (array_agg(case when c.kind = 'paused' then c.at end order by c.control_id desc) filter (where c.scope = 'task' and c.kind in ('paused', 'resumed')))[1],
    (array_agg(case when c.kind = 'paused' then c.at end order by c.control_id desc) filter (where c.scope = 'queue' and c.kind in ('paused', 'resumed')))[1],
    max(c.at) filter (where c.kind in ('unheld', 'resumed')),
    max(c.at) filter (where c.kind = 'retry_limit' and c.scope = 'step')
  from (
    select 'step' as scope, x.* from tasker.control_log x where x.task_id = p_task_id and x.workflow_step_id = p_step_id and x.at <= p_at
    union all
    select 'task', x.* from tasker.control_log x where x.task_id = p_task_id and x.workflow_step_id is null and x.at <= p_at
    union all
    select 'queue', x.* from tasker.control_log x where x.queue_id = p_queue_id and x.task_id is null and x.at <= p_at) c
$$;
comment on function tasker.step_controls(bigint, bigint, integer, timestamptz) is
  'What the control log says about one step up to an instant; internal to explain.';

-- Readiness of every step there is, for callers that filter it: the one text of what a step's row, its task
-- and its queue mean at an instant. Inlined, so a filter by task or by state of the task reads by index and
-- columns that nobody asks for cost nothing: it has no order of its own, and joins by key from the left, which
-- the planner drops where the joined table is not asked about.
--   p_open  whether only open tasks are meant; written as a constant, so that their index serves
-- Columns as tasker.get_step_readiness_status_batch.
create or replace function tasker.step_readiness_at(p_now timestamptz, p_open boolean)
returns table (
  workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean,
  retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz, next_retry_at timestamptz, total_parents integer,
  completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds integer, last_attempted_at timestamptz,
  retryable boolean, available_at timestamptz, retry_due boolean, held boolean, paused boolean, failure_kind text, last_error text,
  generation integer, task_state text, handler text, worker_id bigint, lease_until timestamptz, detail text)
language sql stable parallel safe rows 1000 as $$
  select s.workflow_step_id, t.task_id, s.named_step_id, n.name, s.state::text, s.pending_parents = 0, s.attempts < s.retry_limit,
    coalesce(s.available_at <= p_now and t.state in ('pending', 'in_progress') and not s.held and not s.paused and t.paused_at is null and q.paused_at is null, false),
    case when s.state = 'error' then s.last_failure_at end, case when s.state = 'error' then s.available_at end, s.total_parents,
    s.total_parents - s.pending_parents, s.attempts, s.retry_limit, s.backoff_request_seconds, s.last_attempted_at,
    s.retryable, s.available_at, coalesce(s.available_at <= p_now, false), s.held, s.paused or t.paused_at is not null or q.paused_at is not null,
    s.failure_kind::text, s.last_error, s.generation, t.state::text, q.handler, s.worker_id, w.lease_until,
    case
      when s.state not in ('pending', 'error') then s.state::text
      when s.failure_kind = 'permanent' then 'permanent'
      when s.attempts >= s.retry_limit then 'exhausted'
      when s.attempts > 0 and not s.retryable then 'not_retryable'
      when s.pending_parents > 0 then 'waiting_for_parents'
      when s.held then 'held'
      when s.paused or t.paused_at is not null or q.paused_at is not null then 'paused'
      when t.state not in ('pending', 'in_progress') then 'task_finished'
      when s.available_at <= p_now then 'ready'
      when s.attempts > 0 then 'waiting_for_retry'
      else 'scheduled'
    end
  from tasker.tasks t join tasker.workflow_steps s on s.task_id = t.task_id
  left join tasker.queues q on q.queue_id = s.queue_id
  left join tasker.named_steps n on n.named_step_id = s.named_step_id
  left join tasker.workers w on w.worker_id = s.worker_id
  where not p_open or t.finished_at is null
$$;
comment on function tasker.step_readiness_at(timestamptz, boolean) is 'Readiness of every step, to be filtered; internal to the read functions.';

-- What tasker.explain_steps judges, for every step of the tasks, from the stored rows; the log only says
-- since when and by whom. Internal to tasker.explain_steps.
-- Returns one row a step; task_since and since are the instants of the last transition (creation if there
-- was none), available_at is NULL unless tasker.is_claimable, held_at and the three paused_at are NULL
-- unless it is held or paused, known is always true.
-- A child is available from the end of its last parent: of two that end at once, release_children may have
-- noted the earlier one's instant.
create or replace function tasker.step_situation(p_task_ids bigint[])
returns table (
  task_id bigint, workflow_step_id bigint, name text, namespace text, handler text, known boolean, created_at timestamptz,
  task_state text, task_since timestamptz, state text, since timestamptz, generation integer, attempts integer, retry_limit integer,
  retryable boolean, failure_kind text, pending_parents integer, total_parents integer, available_at timestamptz, worker_id bigint,
  actor text, reason text, held_at timestamptz, step_paused_at timestamptz, task_paused_at timestamptz, queue_paused_at timestamptz,
  freed_at timestamptz, limit_at timestamptz, logged_from timestamptz)
language sql stable rows 1000 as $$
  select s.task_id, s.workflow_step_id, n.name, m.name, q.handler, true, s.created_at,
    t.state::text, coalesce(t.finished_at, t.created_at), s.state::text, coalesce(l.at, s.created_at), s.generation, s.attempts, s.retry_limit,
    s.retryable, s.failure_kind::text, s.pending_parents, s.total_parents,
    case when s.available_at is not null then greatest(s.available_at, (
      select max(p.finished_at) from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      where e.task_id = s.task_id and e.to_step_id = s.workflow_step_id)) end,
    s.worker_id, l.actor, coalesce(l.reason, s.last_error),
    case when s.held then coalesce(c.held_at, s.created_at) end,
    case when s.paused and t.paused_at is null then coalesce(c.step_paused_at, s.created_at) end, t.paused_at, q.paused_at,
    c.freed_at, c.limit_at, null::timestamptz
  from tasker.tasks t join tasker.workflow_steps s on s.task_id = t.task_id
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  join tasker.queues q on q.queue_id = s.queue_id join tasker.task_namespaces m on m.task_namespace_id = q.task_namespace_id
  left join tasker.workflow_step_transitions l on l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id and l.seq = s.seq
  cross join lateral tasker.step_controls(s.task_id, s.workflow_step_id, s.queue_id, 'infinity') c
  where t.task_id = any (p_task_ids)
$$;
comment on function tasker.step_situation(bigint[]) is 'What explain judges, from the stored rows; internal to tasker.explain_steps.';

-- What tasker.explain_steps judges, for every step of the tasks as it was at a past instant, from the logs
-- and edges alone: of the rows only what never changes is read, and the retry limit where nobody changed it
-- since. Internal to tasker.explain_steps.
--   p_at  everything logged at or before it has happened, nothing after it has
-- Columns as tasker.step_situation. state is NULL for a step that did not exist yet. known is false where
-- the log of the step or its task no longer reaches back to p_at: the transition before the first one after
-- p_at is gone; logged_from is where it begins.
-- That a child becomes available is no transition: it is from the instant at which its last parent was done,
-- its own last transition or tasker.retry_steps_now made it available, or a raised limit gave it attempts, whichever
-- came last.
create or replace function tasker.step_situation_at(p_task_ids bigint[], p_at timestamptz)
returns table (
  task_id bigint, workflow_step_id bigint, name text, namespace text, handler text, known boolean, created_at timestamptz,
  task_state text, task_since timestamptz, state text, since timestamptz, generation integer, attempts integer, retry_limit integer,
  retryable boolean, failure_kind text, pending_parents integer, total_parents integer, available_at timestamptz, worker_id bigint,
  actor text, reason text, held_at timestamptz, step_paused_at timestamptz, task_paused_at timestamptz, queue_paused_at timestamptz,
  freed_at timestamptz, limit_at timestamptz, logged_from timestamptz)
language sql stable rows 1000 as $$
  with t as (
    select k.task_id, coalesce(l.to_state::text, 'pending') as state, coalesce(l.at, k.created_at) as since,
      coalesce(l.seq, 0) + 1 = coalesce(n.seq, k.seq + 1) as known
    from tasker.tasks k
    left join lateral (
      select x.to_state, x.at, x.seq from tasker.task_transitions x where x.task_id = k.task_id and x.at <= p_at order by x.seq desc limit 1) l on true
    left join lateral (
      select min(x.seq) as seq from tasker.task_transitions x where x.task_id = k.task_id and x.at > p_at) n on true
    where k.task_id = any (p_task_ids)),
  s as materialized (
    select s.task_id, s.workflow_step_id, s.named_step_id, s.queue_id, s.created_at, s.retryable,
      case when s.created_at <= p_at then coalesce(l.to_state::text, 'pending') end as state, coalesce(l.at, s.created_at) as since,
      coalesce(l.generation, 1) as generation, coalesce(l.attempt, 0) as attempts,
      coalesce((
        select (c.old_value #>> '{}')::integer from tasker.control_log c
        where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'retry_limit' and c.at > p_at
        order by c.control_id limit 1), s.retry_limit) as retry_limit,
      l.failure_kind::text as failure_kind, coalesce((
        select (c.new_value ->> 'available_at')::timestamptz from tasker.control_log c
        where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'due' and c.at <= p_at
          and (c.new_value ->> 'seq')::integer = coalesce(l.seq, 0)
        order by c.control_id desc limit 1), case when l.seq is null then s.created_at else l.available_at end) as own_at,
      case when l.to_state = 'in_progress' then l.worker_id end as worker_id, l.actor, l.reason, coalesce(l.seq, 0) as seq,
      t.state as task_state, t.since as task_since, n.at as logged_from,
      t.known and coalesce(l.seq, 0) + 1 = coalesce(n.seq, s.seq + 1) as known
    from t join tasker.workflow_steps s on s.task_id = t.task_id
    left join lateral (
      select x.* from tasker.workflow_step_transitions x
      where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.at <= p_at order by x.seq desc limit 1) l on true
    left join lateral (
      select x.seq, x.at from tasker.workflow_step_transitions x
      where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.at > p_at order by x.seq limit 1) n on true),
  p as (
    select e.task_id, e.to_step_id as workflow_step_id, count(*)::integer as total,
      count(*) filter (where not tasker.is_done(s.state))::integer as pending, max(s.since) filter (where tasker.is_done(s.state)) as done_at
    from tasker.workflow_step_edges e join s on s.task_id = e.task_id and s.workflow_step_id = e.from_step_id
    where e.task_id = any (p_task_ids) and e.created_at <= p_at group by 1, 2)
  select s.task_id, s.workflow_step_id, n.name, m.name, q.handler, s.known, s.created_at,
    s.task_state, s.task_since, s.state, s.since, s.generation, s.attempts, s.retry_limit,
    s.retryable, s.failure_kind, coalesce(p.pending, 0), coalesce(p.total, 0),
    case when tasker.is_claimable(s.state, coalesce(p.pending, 0), s.attempts, s.retry_limit, s.retryable, s.failure_kind) then
      coalesce(greatest(s.own_at, p.done_at, (
        select max(x.at) from tasker.control_log x
        where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.kind = 'retry_limit' and x.at <= p_at
          and (x.old_value #>> '{}')::integer <= s.attempts and (x.new_value #>> '{}')::integer > s.attempts)), s.since) end,
    s.worker_id, s.actor, s.reason,
    -- Cancelling and resolving end a hold too.
    case when not exists (
      select from tasker.workflow_step_transitions x
      where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.seq > c.held_seq and x.seq <= s.seq
        and x.to_state in ('cancelled', 'resolved_manually')) then c.held_at end,
    case when c.task_paused_at is null then c.step_paused_at end, c.task_paused_at, c.queue_paused_at, c.freed_at, c.limit_at, s.logged_from
  from s left join p on p.task_id = s.task_id and p.workflow_step_id = s.workflow_step_id
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  join tasker.queues q on q.queue_id = s.queue_id join tasker.task_namespaces m on m.task_namespace_id = q.task_namespace_id
  cross join lateral tasker.step_controls(s.task_id, s.workflow_step_id, s.queue_id, p_at) c
$$;
comment on function tasker.step_situation_at(bigint[], timestamptz) is
  'What explain judges, as it was at a past instant, from the logs and edges alone; internal to tasker.explain_steps.';

-- Creates tasks by way of a worker: as tasker.submit_tasks, and in the same commit one turn of the worker that reports
-- nothing and claims up to the limit. So the first steps of the tasks begin without a commit of their own and without
-- a notification. The claim is an ordinary one and takes what is first in its queues, which may be other steps.
--   p_definition_id, p_requests  as tasker.submit_tasks
--   p_worker_id, p_limit, p_after_*, p_now  as tasker.exchange_steps
-- Returns what tasker.exchange_steps returns, and before it for each request a row of the kind submitted: the task_id,
-- in token its position from 0, and in attempt 1 where it was created now, else 0.
-- Other workers are told of what is left of the tasks' steps.
-- Locks: the definition (key share) and the identities of the requests, as tasker.submit_tasks; then as a turn without
-- reports: the worker (key share), steps without waiting, the tasks that the claim starts by id.
create or replace function tasker.submit_and_exchange(
  p_definition_id bigint, p_requests jsonb, p_worker_id bigint, p_limit integer, p_after_queues integer[], p_after_priorities integer[],
  p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz default null)
returns table (
  kind text, task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_ids bigint[] := '{}';
begin
  kind := 'submitted';
  for task_id, token, attempt in
    select s.task_id, s."position", s.created::integer from tasker.submit_tasks(p_definition_id, p_requests, p_now, false) s
  loop
    v_ids := v_ids || task_id;
    return next;
  end loop;
  return query select * from tasker.exchange_steps(
    p_worker_id, p_limit, true, false, '{}', '{}', '{}', '{}', p_after_queues, p_after_priorities, p_after_at, p_after_ids, p_now);
  if exists (select from tasker.workflow_steps s where s.task_id = any (v_ids) and s.available_at is not null) then
    perform tasker.wake_workers();
  end if;
end $$;
comment on function tasker.submit_and_exchange(bigint, jsonb, bigint, integer, integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'Creates tasks by way of a worker, which claims in the same commit.';

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

-- Takes the next steps of some queues for a worker: highest priority first, then longest available. Each
-- becomes in_progress under the worker's lease and costs an attempt; its token is its new seq. Internal to
-- tasker.claim_steps and tasker.exchange_steps, which hold the worker's row and say which queues.
--   p_queues       queues to read; paused ones are left out by the caller
--   p_limit        the most steps to take
--   p_after_*      one entry a queue and priority: only steps behind this key are read. Rows that were
--                  claimed but that an old snapshot keeps from being removed stand before it and are not
--                  passed over again. Empty arrays read from the beginning
--   p_now          the instant; NULL reads the database's clock
-- Returns one row: the steps in the order of claiming, as task_ids and step_ids (empty if there was none), and
-- the last key read of each queue and priority.
-- Locks: steps without waiting, tasks that this claim starts by id.
-- Shape: heads of all queues and priorities are peeked with one bounded probe each, so that neither the
-- number of tasks nor rows that are due later, held or paused cost anything; then each queue is read in
-- index order. One statement over all queues would sort the backlog.
create or replace function tasker.take_steps(
  p_worker_id bigint, p_queues integer[], p_limit integer, p_after_queues integer[], p_after_priorities integer[],
  p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz,
  out task_ids bigint[], out step_ids bigint[], out head_queues integer[], out head_priorities integer[], out head_ats timestamptz[], out head_ids bigint[])
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp()); v_head record; v_states text[] := '{}';
  v_tasks bigint[]; v_steps bigint[]; v_more text[]; v_at timestamptz; v_step record; v_seq integer;
begin
  task_ids := '{}'; step_ids := '{}'; head_queues := '{}'; head_priorities := '{}'; head_ats := '{}'; head_ids := '{}';
  for v_head in
    select q.queue_id, p.priority, h.available_at, coalesce(a.at, '-infinity') as after_at, coalesce(a.id, 0) as after_id
    from unnest(p_queues) q (queue_id) cross join generate_series(1, 5) p (priority)
    left join unnest(p_after_queues, p_after_priorities, p_after_at, p_after_ids) a (queue_id, priority, at, id)
      on a.queue_id = q.queue_id and a.priority = p.priority
    cross join lateral (
      select s.available_at from tasker.workflow_steps s
      where s.queue_id = q.queue_id and s.priority = p.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
        and (s.available_at, s.workflow_step_id) > (coalesce(a.at, '-infinity'), coalesce(a.id, 0))
      order by s.available_at, s.workflow_step_id limit 1) h
    order by p.priority, h.available_at
  loop
    with k as (
      select s.task_id, s.workflow_step_id, s.state::text as state, s.available_at from tasker.workflow_steps s
      where s.queue_id = v_head.queue_id and s.priority = v_head.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
        and (s.available_at, s.workflow_step_id) > (v_head.after_at, v_head.after_id)
      order by s.available_at, s.workflow_step_id limit p_limit - cardinality(step_ids) for update skip locked)
    select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.state), (array_agg(k.available_at))[count(*)] into v_tasks, v_steps, v_more, v_at from k;
    continue when v_tasks is null;
    task_ids := task_ids || v_tasks;
    step_ids := step_ids || v_steps;
    v_states := v_states || v_more;
    head_queues := head_queues || v_head.queue_id;
    head_priorities := head_priorities || v_head.priority;
    head_ats := head_ats || v_at;
    head_ids := head_ids || v_steps[cardinality(v_steps)];
    exit when cardinality(step_ids) >= p_limit;
  end loop;
  if cardinality(step_ids) = 0 then return; end if;
  v_now := greatest(v_now, coalesce(p_now, clock_timestamp()));

  -- One step goes by plain statements: those over arrays cost more to begin than there is to do. A test holds the two
  -- equal.
  if cardinality(step_ids) = 1 then
    update tasker.workflow_steps s set state = 'in_progress', attempts = s.attempts + 1, seq = s.seq + 1,
      available_at = null, worker_id = p_worker_id, last_attempted_at = v_now, backoff_request_seconds = null
    where s.task_id = task_ids[1] and s.workflow_step_id = step_ids[1] and s.state = v_states[1]
    returning s.seq, s.attempts, s.generation, s.retry_limit into v_step;
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
    values (task_ids[1], step_ids[1], p_worker_id, v_now, v_step.seq, v_step.attempts, v_step.generation, v_step.retry_limit, v_states[1], 'in_progress');
    update tasker.tasks t set state = 'in_progress', seq = t.seq + 1 where t.task_id = task_ids[1] and t.state = 'pending' returning t.seq into v_seq;
    if found then
      insert into tasker.task_transitions (task_id, at, seq, from_state, to_state) values (task_ids[1], v_now, v_seq, 'pending', 'in_progress');
    end if;
    return;
  end if;

  with k as (select * from unnest(task_ids, step_ids, v_states) k (task_id, step_id, state)),
  u as (
    update tasker.workflow_steps s set state = 'in_progress', attempts = s.attempts + 1, seq = s.seq + 1,
      available_at = null, worker_id = p_worker_id, last_attempted_at = v_now, backoff_request_seconds = null
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state)
  insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state)
  select u.task_id, u.workflow_step_id, p_worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'in_progress' from u;

  with k as materialized (
    select t.task_id from tasker.tasks t where t.task_id = any (task_ids) and t.state = 'pending' order by t.task_id for update),
  u as (
    update tasker.tasks t set state = 'in_progress', seq = t.seq + 1 from k where t.task_id = k.task_id and t.state = 'pending'
    returning t.task_id, t.seq)
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state)
  select u.task_id, v_now, u.seq, 'pending', 'in_progress' from u;
end $$;
comment on function tasker.take_steps(bigint, integer[], integer, integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'Takes the next steps of some queues for a worker; internal to the claims.';

-- Where every task there is stands, for callers that filter it by task or status: the one text of how steps are
-- counted and what follows. Inlined, so the filter reaches the tables; it has no order of its own.
-- Columns as tasker.get_task_execution_contexts_batch.
create or replace function tasker.task_execution_contexts_at(p_now timestamptz, p_open boolean)
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, cancelled_steps bigint, dead_steps bigint, waiting_for_retry_steps bigint,
  held_steps bigint, next_retry_at timestamptz, detailed_status text)
language sql stable parallel safe rows 1000 as $$
  select c.task_id, c.named_task_id, c.state, c.total, c.pending, c.in_progress, c.done, c.failed, c.ready,
    case when c.verdict in ('waiting_for_retry', 'held') then 'waiting_for_dependencies' else c.verdict end,
    case c.verdict
      when 'has_ready_steps' then 'execute_ready_steps' when 'processing' then 'wait_for_completion'
      when 'blocked_by_failures' then 'handle_failures'
      when 'all_complete' then 'finalize_task' else 'wait_for_dependencies' end,
    case when c.total = 0 then 0.0 else round(c.done * 100.0 / c.total, 2) end,
    case when c.failed = 0 then 'healthy' when c.ready > 0 then 'recovering' when c.dead_errors > 0 then 'blocked' else 'recovering' end,
    c.cancelled, c.dead, c.retrying, c.held, c.next_retry_at, c.verdict
  from (
    select a.*, case
        when a.ready > 0 then 'has_ready_steps' when a.in_progress > 0 then 'processing' when a.retrying > 0 then 'waiting_for_retry'
        when a.dead > 0 then 'blocked_by_failures' when a.done = a.total then 'all_complete' when a.held > 0 then 'held'
        else 'waiting_for_dependencies' end as verdict
    from (
      select t.task_id, t.named_task_id, t.state::text as state, count(s.state) as total,
        count(*) filter (where s.state = 'pending') as pending, count(*) filter (where s.state = 'in_progress') as in_progress,
        count(*) filter (where tasker.is_done(s.state)) as done, count(*) filter (where s.state = 'error') as failed,
        count(*) filter (where s.state = 'cancelled') as cancelled,
        count(*) filter (where s.available_at <= p_now and s.runs) as ready,
        count(*) filter (where s.available_at > p_now and s.runs) as retrying,
        min(s.available_at) filter (where s.available_at > p_now and s.runs) as next_retry_at,
        count(*) filter (where s.available_at is not null and not s.runs) as held,
        count(*) filter (where s.dead) as dead, count(*) filter (where s.dead and s.state = 'error') as dead_errors
      from tasker.tasks t
      left join lateral (
        select s.state, s.available_at,
          not s.held and not s.paused and t.paused_at is null and t.state in ('pending', 'in_progress') and q.paused_at is null as runs,
          s.state = 'cancelled' or s.state in ('pending', 'error')
            and not tasker.is_claimable(s.state, 0, s.attempts, s.retry_limit, s.retryable, s.failure_kind) as dead
        from tasker.workflow_steps s left join tasker.queues q on q.queue_id = s.queue_id where s.task_id = t.task_id) s on true
      where not p_open or t.finished_at is null
      group by t.task_id, t.named_task_id, t.state) a) c
$$;
comment on function tasker.task_execution_contexts_at(timestamptz, boolean) is 'Where every task stands, to be filtered; internal to the read functions.';

-- Tells workers that wait for work to look again, by a notification on the channel `tasker` that arrives
-- when the caller's transaction commits. A hint only: whoever misses it looks at its next poll. While no
-- worker waits nothing is sent, because transactions that notify commit one after the other.
create or replace function tasker.wake_workers() returns void
language plpgsql set plan_cache_mode = force_generic_plan as $$
begin
  perform pg_notify('tasker', '') where exists (select from tasker.workers w where w.waiting and w.ended_at is null);
end $$;
comment on function tasker.wake_workers() is 'Tells workers that wait for work to look again; a hint only.';

-- Which of these reports were written although nobody heard of it: the entry of the log behind the claim's own is
-- theirs. What took the claim away otherwise (an expired lease, an operator) is not. A worker asks where a report was
-- refused, which may have been its second try.
--   p_task_ids, p_step_ids, p_tokens  the claims that were reported on
-- Returns one row for each that was: the step, its token, the state that the report brought, and whether no attempt follows,
-- also because fail-fast holds the step now; and what the task came to by the same commit, NULL where it did not settle.
-- Both rows of the log were then inserted by one transaction: their xmin says so.
create or replace function tasker.written_reports(p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[])
returns table (workflow_step_id bigint, token integer, to_state text, over boolean, task_state text)
language sql stable rows 10 as $$
  select i.step_id, i.token, l.to_state::text, l.available_at is null or s.held, (
    select t.to_state::text from tasker.task_transitions t where t.task_id = l.task_id and t.xmin = l.xmin and t.to_state in ('complete', 'error'))
  from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)
  join tasker.workflow_step_transitions l on l.task_id = i.task_id and l.workflow_step_id = i.step_id and l.seq = i.token + 1
  join tasker.workflow_steps s on s.task_id = l.task_id and s.workflow_step_id = l.workflow_step_id
  where l.from_state = 'in_progress' and l.actor is null and l.to_state in ('complete', 'error', 'pending')
    and l.failure_kind is distinct from 'lost_lease'
$$;
comment on function tasker.written_reports(bigint[], bigint[], integer[]) is 'Which of these reports were written although their answer was lost.';
