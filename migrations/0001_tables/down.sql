drop table tasker.task_annotations, tasker.annotation_types, tasker.control_log, tasker.task_transitions,
  tasker.workflow_step_transitions, tasker.workflow_step_edges, tasker.workflow_steps, tasker.workers, tasker.tasks,
  tasker.definition_edges, tasker.definition_steps, tasker.queues, tasker.named_steps,
  tasker.dependent_system_object_maps, tasker.dependent_systems, tasker.task_definitions, tasker.named_tasks,
  tasker.task_namespaces;
drop function tasker.guard_task_transition();
drop function tasker.guard_step_transition();
drop function tasker.guard_task();
drop function tasker.guard_step();
drop function tasker.refuse_transition(text, text, text);
drop function tasker.refuse_row(text, text);
drop function tasker.is_claimable(text, integer, integer, integer, boolean, text);
drop function tasker.is_done(text);
drop function tasker.task_transition_is_legal(text, text);
drop function tasker.step_transition_is_legal(text, text);
drop domain tasker.object;
drop domain tasker.label;
drop domain tasker.key;
drop domain tasker.failure_kind;
drop domain tasker.task_state;
drop domain tasker.step_state;
