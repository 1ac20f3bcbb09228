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
