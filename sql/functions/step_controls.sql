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
