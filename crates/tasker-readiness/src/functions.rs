//! The declarations, a module for each function or pair of functions, in the order of their columns in SQL.

use diesel::query_source::TableNotEqual;
use tasker_model::schema::{
    named_steps, named_tasks, queues, task_annotations, task_definitions, task_namespaces, task_transitions,
    tasks, workers, workflow_step_edges, workflow_step_transitions, workflow_steps,
};

mod analytics;
mod dependency_levels;
mod execution_context;
mod next_ready;
mod slowest;
mod step_readiness;
mod system_health;
mod workflow_summary;

pub use analytics::*;
pub use dependency_levels::*;
pub use execution_context::*;
pub use next_ready::*;
pub use slowest::*;
pub use step_readiness::*;
pub use system_health::*;
pub use workflow_summary::*;

// Each function may be joined with these tables, or be asked about in a subquery of them. It is said here
// because no other crate may say it, and not by Diesel's macro, which also speaks for types of its own.
macro_rules! joins {
    ($($function:ident),* with $tables:tt) => { $( joins!(@one $function $tables); )* };
    (@one $function:ident ($($table:ident)*)) => {
        $(
            impl TableNotEqual<$table::table> for $function::table {}
            impl TableNotEqual<$function::table> for $table::table {}
        )*
    };
}

joins!(
    get_step_readiness_status, get_step_readiness_status_batch, get_task_execution_context,
    get_task_execution_contexts_batch with (
        tasks task_definitions task_transitions task_annotations named_tasks task_namespaces
        workflow_steps workflow_step_edges workflow_step_transitions named_steps queues workers
    )
);
joins!(
    get_step_readiness_status, get_step_readiness_status_batch with (
        get_task_execution_context get_task_execution_contexts_batch
    )
);
joins!(
    calculate_dependency_levels, calculate_dependency_levels_batch, get_task_workflow_summary,
    get_task_workflow_summaries_batch, get_slowest_steps, get_slowest_tasks, get_next_ready_steps with (
        tasks task_annotations named_tasks task_namespaces workflow_steps workflow_step_edges named_steps queues
    )
);
