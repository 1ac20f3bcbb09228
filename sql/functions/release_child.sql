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
