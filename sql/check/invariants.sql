-- Everything stored that can be recomputed from edges and log, recomputed: one row for each thing that is
-- wrong, none where all is sound. $1 is an instant (NULL reads the clock); readiness is compared at it.
-- Written against the tables alone: it calls none of the functions that it judges but the one it compares.
with
clock as (select coalesce($1, clock_timestamp()) as now),
last as (
  select distinct on (task_id, workflow_step_id) * from tasker.workflow_step_transitions order by task_id, workflow_step_id, seq desc),
counted as (
  select task_id, workflow_step_id, count(*) as n, min(seq) as first, max(seq) as last,
    count(*) filter (where to_state = 'in_progress') as claims from tasker.workflow_step_transitions group by 1, 2),
parents as (
  select e.task_id, e.to_step_id as workflow_step_id, count(*) as total, count(*) filter (where p.state not in ('complete', 'resolved_manually')) as pending
  from tasker.workflow_step_edges e join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id group by 1, 2),
truth as (
  select s.task_id, s.workflow_step_id, coalesce(l.to_state, 'pending') as state, coalesce(p.pending, 0) as pending, coalesce(p.total, 0) as total,
    coalesce(l.attempt, 0) as attempts, coalesce(l.generation, 1) as generation, coalesce(l.seq, 0) as seq,
    -- permanent only counts while the failure is the last thing that happened: a retry wipes it.
    (l.to_state::text, l.failure_kind::text) is not distinct from ('error', 'permanent') as permanent,
    (coalesce(l.to_state, 'pending') in ('pending', 'error') and coalesce(p.pending, 0) = 0 and coalesce(l.attempt, 0) < s.retry_limit
      and (s.retryable or coalesce(l.attempt, 0) = 0) and (l.to_state::text, l.failure_kind::text) is distinct from ('error', 'permanent')) as claimable
  from tasker.workflow_steps s
  left join last l on l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id
  left join parents p on p.task_id = s.task_id and p.workflow_step_id = s.workflow_step_id),
live as (
  select s.task_id, count(*) filter (where t.state = 'in_progress' or t.claimable and not s.held) as n,
    bool_and(t.state in ('complete', 'resolved_manually')) as all_done
  from tasker.workflow_steps s join truth t on t.task_id = s.task_id and t.workflow_step_id = s.workflow_step_id group by 1),
last_task as (select distinct on (task_id) * from tasker.task_transitions order by task_id, seq desc),
counted_task as (select task_id, count(*) as n, max(seq) as last from tasker.task_transitions group by 1)
select 'state is the last logged' as invariant, s.task_id, s.workflow_step_id, format('%s, log says %s', s.state, t.state) as detail
from tasker.workflow_steps s join truth t using (task_id, workflow_step_id) where s.state <> t.state
union all
-- What foreign keys would say; the rows are written by one statement from rows that hold the keys.
select 'a step names a step and a queue', s.task_id, s.workflow_step_id, format('named step %s, queue %s', s.named_step_id, s.queue_id)
from tasker.workflow_steps s left join tasker.named_steps n using (named_step_id) left join tasker.queues q on q.queue_id = s.queue_id
where n.named_step_id is null or q.queue_id is null
union all
select 'a step is one of a task', s.task_id, s.workflow_step_id, null
from tasker.workflow_steps s left join tasker.tasks k using (task_id) where k.task_id is null
union all
select 'a task names the workflow of its definition', k.task_id, null, format('named task %s, definition %s', k.named_task_id, k.definition_id)
from tasker.tasks k join tasker.task_definitions d using (definition_id) where d.named_task_id <> k.named_task_id
union all
select 'a task has each step once', s.task_id, min(s.workflow_step_id), format('named step %s, %s times', s.named_step_id, count(*))
from tasker.workflow_steps s group by s.task_id, s.named_step_id having count(*) > 1
union all
select 'an edge joins two steps', e.task_id, e.to_step_id, format('%s to %s', e.from_step_id, e.to_step_id)
from tasker.workflow_step_edges e left join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
left join tasker.workflow_steps c on c.task_id = e.task_id and c.workflow_step_id = e.to_step_id
where p.task_id is null or c.task_id is null
union all
select 'a transition is one of a step', t.task_id, t.workflow_step_id, format('transition %s', t.seq)
from tasker.workflow_step_transitions t left join tasker.workflow_steps s using (task_id, workflow_step_id) where s.task_id is null
union all
select 'a transition is one of a task', t.task_id, null, format('transition %s', t.seq)
from tasker.task_transitions t left join tasker.tasks k using (task_id) where k.task_id is null
union all
select 'a task has the steps of its definition', k.task_id, null, format('%s of %s', count(s.workflow_step_id), (
  select count(*) from tasker.definition_steps d where d.definition_id = k.definition_id))
from tasker.tasks k left join tasker.workflow_steps s using (task_id) group by k.task_id, k.definition_id
having count(s.workflow_step_id) <> (select count(*) from tasker.definition_steps d where d.definition_id = k.definition_id)
union all
select 'seq is the number of transitions', s.task_id, s.workflow_step_id, format('%s, log has %s up to %s', s.seq, c.n, c.last)
from tasker.workflow_steps s left join counted c using (task_id, workflow_step_id) where s.seq <> coalesce(c.n, 0) or s.seq <> coalesce(c.last, 0)
union all
select 'each transition starts where the last ended', task_id, workflow_step_id, format('transition %s starts at %s after %s', seq, from_state, before)
from (select *, coalesce(lag(to_state) over (partition by task_id, workflow_step_id order by seq), 'pending') as before from tasker.workflow_step_transitions) x
where from_state <> before
union all
select 'time does not run backwards', task_id, workflow_step_id, format('transition %s at %s follows one at %s', seq, at, before)
from (select *, lag(at) over (partition by task_id, workflow_step_id order by seq) as before from tasker.workflow_step_transitions) x where at < before
union all
select 'pending_parents counts the parents that are not done', s.task_id, s.workflow_step_id, format('%s of %s, edges say %s of %s', s.pending_parents, s.total_parents, t.pending, t.total)
from tasker.workflow_steps s join truth t using (task_id, workflow_step_id) where s.pending_parents <> t.pending or s.total_parents <> t.total
union all
select 'attempts and generation are the last logged', s.task_id, s.workflow_step_id, format('%s/%s, log says %s/%s', s.attempts, s.generation, t.attempts, t.generation)
from tasker.workflow_steps s join truth t using (task_id, workflow_step_id) where s.attempts <> t.attempts or s.generation <> t.generation
union all
select 'available iff claimable', s.task_id, s.workflow_step_id, format('available_at %s, claimable %s', s.available_at, t.claimable)
from tasker.workflow_steps s join truth t using (task_id, workflow_step_id) where (s.available_at is not null) <> t.claimable
union all
select 'no attempt beyond the limit', s.task_id, s.workflow_step_id, format('%s of %s', s.attempts, s.retry_limit)
from tasker.workflow_steps s where s.attempts > s.retry_limit
union all
select 'one completion a generation', task_id, workflow_step_id, format('%s completions in generation %s', count(*), generation)
from tasker.workflow_step_transitions where to_state = 'complete' group by task_id, workflow_step_id, generation having count(*) > 1
union all
select 'a step runs only when its parents are done', s.task_id, s.workflow_step_id, format('%s with %s pending', s.state, t.pending)
from tasker.workflow_steps s join truth t using (task_id, workflow_step_id) where t.pending > 0 and s.state in ('in_progress', 'complete')
union all
select 'a step in progress has a worker that is not reaped', s.task_id, s.workflow_step_id, format('worker %s', s.worker_id)
from tasker.workflow_steps s left join tasker.workers w on w.worker_id = s.worker_id
where s.state = 'in_progress' and (w.worker_id is null or w.reaped_at is not null)
union all
select 'live_steps counts what is available or in progress', k.task_id, null, format('%s, steps say %s', k.live_steps, coalesce(l.n, 0))
from tasker.tasks k left join live l using (task_id) where k.live_steps <> coalesce(l.n, 0)
union all
select 'a task without live steps is settled', k.task_id, null, format('%s with all done %s', k.state, coalesce(l.all_done, true))
from tasker.tasks k left join live l using (task_id)
where k.state in ('pending', 'in_progress') and coalesce(l.n, 0) = 0
  or k.state in ('complete', 'error', 'cancelled', 'resolved_manually') and coalesce(l.n, 0) > 0
  or k.state = 'complete' and not coalesce(l.all_done, true) or k.state = 'error' and coalesce(l.all_done, true)
union all
select 'under fail-fast a dead step holds the rest, and nothing else is held', s.task_id, s.workflow_step_id, format('held %s, fail-fast %s, dead %s', s.held, k.fail_fast, d.dead)
from tasker.workflow_steps s join tasker.tasks k using (task_id)
cross join lateral (
  select exists (
    select from tasker.workflow_steps x join truth t using (task_id, workflow_step_id)
    where x.task_id = s.task_id and (t.state = 'cancelled' or t.state in ('pending', 'error')
      and (t.attempts >= x.retry_limit or not x.retryable and t.attempts > 0 or t.permanent))) as dead) d
where s.state in ('pending', 'in_progress', 'error') and s.held <> (k.fail_fast and d.dead)
union all
select 'what the control log says last is so', s.task_id, s.workflow_step_id, format('%s is %s, logged is %s', x.kind, x.stored, x.logged)
from tasker.workflow_steps s join tasker.tasks k using (task_id)
cross join lateral (
  select 'retry_limit' as kind, to_jsonb(s.retry_limit) as stored, (
    select c.new_value from tasker.control_log c where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'retry_limit'
    order by c.control_id desc limit 1) as logged
  union all select 'priority', to_jsonb(s.priority), (
    select c.new_value from tasker.control_log c where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'priority'
    order by c.control_id desc limit 1)
  union all select 'paused', to_jsonb(s.paused), to_jsonb(k.paused_at is not null or coalesce((
    select c.kind = 'paused' from tasker.control_log c where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind in ('paused', 'resumed')
    order by c.control_id desc limit 1), false))) x
where x.logged is not null and x.stored <> x.logged
union all
select 'a pause is the last logged', p.task_id, null, format('%s paused at %s, log says %s', p.what, p.paused_at, p.logged)
from (
  select k.task_id, 'task' as what, k.paused_at, (
    select case when c.kind = 'paused' then c.at end from tasker.control_log c where c.task_id = k.task_id and c.workflow_step_id is null and c.kind in ('paused', 'resumed')
    order by c.control_id desc limit 1) as logged from tasker.tasks k
  union all select null, 'queue ' || q.queue_id, q.paused_at, (
    select case when c.kind = 'paused' then c.at end from tasker.control_log c where c.queue_id = q.queue_id and c.kind in ('paused', 'resumed')
    order by c.control_id desc limit 1) from tasker.queues q) p
where p.paused_at is distinct from p.logged
union all
select 'the task''s state is the last logged', k.task_id, null, format('%s/%s, log says %s/%s', k.state, k.seq, l.to_state, c.n)
from tasker.tasks k left join last_task l using (task_id) left join counted_task c using (task_id)
where k.state <> coalesce(l.to_state, 'pending') or k.seq <> coalesce(c.n, 0) or k.seq <> coalesce(c.last, 0)
union all
select 'readiness is what edges and log say', r.task_id, r.workflow_step_id, format('ready %s (%s), edges and log say %s', r.ready_for_execution, r.detail,
  t.claimable and s.available_at <= clock.now and not s.held and not s.paused and k.paused_at is null and q.paused_at is null and k.state in ('pending', 'in_progress'))
from clock, tasker.workflow_steps s
join truth t using (task_id, workflow_step_id) join tasker.tasks k using (task_id) join tasker.queues q on q.queue_id = s.queue_id
cross join lateral (
  select * from tasker.get_step_readiness_status(s.task_id, array[s.workflow_step_id], (select coalesce($1, clock_timestamp())))) r
where (select count(*) from tasker.workflow_steps) <= 20000
  and r.ready_for_execution <> coalesce(t.claimable and s.available_at <= clock.now and not s.held and not s.paused
    and k.paused_at is null and q.paused_at is null and k.state in ('pending', 'in_progress'), false)
