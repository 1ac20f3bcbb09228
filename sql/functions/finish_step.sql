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
