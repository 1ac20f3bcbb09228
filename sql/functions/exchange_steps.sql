-- One turn of a worker in one round trip and one commit: reports attempts that succeeded, goes on with the
-- children that became available, and claims further steps up to the limit. What it goes on with is what a
-- claim could take now, and never passes over waiting work of a higher priority.
--   p_worker_id  the incarnation; one that has ended or whose lease ran out reports but claims nothing
--   p_limit      the most steps to take
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
  p_worker_id bigint, p_limit integer, p_expire boolean, p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[],
  p_after_queues integer[], p_after_priorities integer[], p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz default null)
returns table (
  kind text, task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_queues integer[]; v_first integer := 5; v_kinds text[]; v_tasks bigint[]; v_steps bigint[]; v_now timestamptz; v_due timestamptz;
  v_taken_tasks bigint[] := '{}'; v_taken_steps bigint[] := '{}'; v_ats timestamptz[]; v_from integer[]; v_priorities integer[];
begin
  if p_expire and cardinality(p_task_ids) = 0 then perform tasker.expire_leases(100, p_now); end if;
  if p_limit > 0 then v_queues := tasker.served_queues(p_worker_id, p_now); end if;

  if cardinality(p_task_ids) > 0 then
    if v_queues is not null then
      v_first := coalesce(tasker.first_priority(v_queues, p_after_queues, p_after_priorities, p_after_at, p_after_ids, p_now), 5);
    end if;
    select array_agg(f.kind), array_agg(f.task_id), array_agg(f.workflow_step_id) into v_kinds, v_tasks, v_steps
    from tasker.finish_steps(p_task_ids, p_step_ids, p_tokens, p_results, p_now,
      case when v_queues is not null then p_worker_id end, v_queues, v_first, p_limit) f;
    return query select f.kind, f.task_id, f.step_id, null::integer, null::integer, null::integer, null::bigint, null::text, null::jsonb, null::jsonb, null::timestamptz
      from unnest(v_kinds, v_tasks, v_steps) f (kind, task_id, step_id) where f.kind <> 'taken';
    select coalesce(array_agg(f.task_id), '{}'), coalesce(array_agg(f.step_id), '{}') into v_taken_tasks, v_taken_steps
      from unnest(v_kinds, v_tasks, v_steps) f (kind, task_id, step_id) where f.kind = 'taken';
  end if;
  if v_queues is null then return; end if;

  if cardinality(v_taken_steps) < p_limit then
    select coalesce(array_agg(k.task_id), '{}'), coalesce(array_agg(k.workflow_step_id), '{}'), array_agg(k.queue_id), array_agg(k.priority), array_agg(k.available_at)
    into v_tasks, v_steps, v_from, v_priorities, v_ats
    from tasker.take_steps(p_worker_id, v_queues, p_limit - cardinality(v_taken_steps), p_after_queues, p_after_priorities, p_after_at, p_after_ids, p_now) k;
    return query
    select distinct on (h.queue_id, h.priority) 'head', h.queue_id::bigint, h.step_id, h.priority, null::integer, null::integer, null::bigint, null::text, null::jsonb, null::jsonb, h.at
    from unnest(v_from, v_priorities, v_ats, v_steps) h (queue_id, priority, at, step_id) order by h.queue_id, h.priority, h.at desc, h.step_id desc;
    v_taken_tasks := v_taken_tasks || v_tasks;
    v_taken_steps := v_taken_steps || v_steps;
  end if;
  if cardinality(v_taken_steps) > 0 then
    update tasker.workers w set waiting = false where w.worker_id = p_worker_id and w.waiting;
    return query select 'claimed', c.* from tasker.claimed_steps(v_taken_tasks, v_taken_steps) c;
  else
    update tasker.workers w set waiting = true where w.worker_id = p_worker_id and not w.waiting;
    v_now := coalesce(p_now, clock_timestamp());
    v_due := least(
      tasker.next_due_after(v_queues, v_now),
      (select min(w.lease_until) from tasker.workers w where w.reaped_at is null and w.worker_id <> p_worker_id));
    return query select 'idle', null::bigint, null::bigint,
      case when v_due is not null then least(greatest(ceil(extract(epoch from v_due - v_now) * 1000), 0), 2147483647)::integer end,
      null::integer, null::integer, null::bigint, null::text, null::jsonb, null::jsonb, null::timestamptz;
  end if;
end $$;
comment on function tasker.exchange_steps(bigint, integer, boolean, bigint[], bigint[], integer[], jsonb[], integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'One turn of a worker: reports what succeeded, goes on with the children, claims more.';
