#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(feature = "config")]
pub use tasker_config as config;
pub use tasker_engine as engine;
pub use tasker_model as model;
#[cfg(feature = "multidb")]
pub use tasker_multidb as multidb;
pub use tasker_readiness as readiness;
pub use tasker_state_machine as state_machine;

/// What a program that defines and runs workflows uses all the time.
pub mod prelude {
    pub use tasker_engine::{
        db::Db,
        definition::{
            BackoffPolicy, DefinitionErrors, FailurePolicy, TypedContext, TypedWorkflow, Workflow,
            WorkflowDefinition,
        },
        handler::{HandlerRegistry, StepContext, StepError, StepResult},
        identity::Identity,
        submit::{Submitted, TaskRequest, submit},
        worker::{Worker, WorkerOptions, WorkerReport},
    };
    #[cfg(feature = "declarative")]
    pub use tasker_engine::{
        definition::Template,
        handlers::{DeclarativeOptions, Variables},
    };
    pub use tasker_model::{StepId, StepState, TaskId, TaskState};
    pub use tokio_util::sync::CancellationToken;
}
