-- The rows of the played tasks, steps by their place in the task, and then the tasks themselves gone.
create temp table model_tasks as
  select m.kind, m.ended_at, t.* from model m join tasker.tasks t using (task_id);
create temp table model_steps as
  select m.kind, row_number() over (partition by s.task_id order by s.workflow_step_id) as place, s.*
  from model m join tasker.workflow_steps s using (task_id);
create temp table model_edges as
  select m.kind, p.place as from_place, c.place as to_place, e.name, e.created_at
  from model m join tasker.workflow_step_edges e using (task_id)
  join model_steps p on p.workflow_step_id = e.from_step_id join model_steps c on c.workflow_step_id = e.to_step_id;
create temp table model_step_transitions as
  select m.kind, s.place, l.*
  from model m join tasker.workflow_step_transitions l using (task_id) join model_steps s using (workflow_step_id);
create temp table model_task_transitions as
  select m.kind, l.* from model m join tasker.task_transitions l using (task_id);
analyze model_tasks, model_steps, model_edges, model_step_transitions, model_task_transitions;

delete from tasker.workflow_step_transitions where task_id in (select task_id from model);
delete from tasker.task_transitions where task_id in (select task_id from model);
delete from tasker.workflow_step_edges where task_id in (select task_id from model);
delete from tasker.workflow_steps where task_id in (select task_id from model);
delete from tasker.tasks where task_id in (select task_id from model);

-- The tasks of one chunk: their kind, their identities, and by how much all instants of the model move.
create temp table chunk (task_id bigint, first_step_id bigint, kind integer, shift interval);
