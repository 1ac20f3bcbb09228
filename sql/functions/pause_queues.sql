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
