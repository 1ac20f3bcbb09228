//! The events of a worker, as `subscriber` writes code for them.

/// An event by the name that it has on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventName {
    /// An incarnation registered.
    #[value(alias = "worker.started")]
    WorkerStarted,
    /// A step was claimed.
    #[value(alias = "step.claimed")]
    StepClaimed,
    /// A step completed.
    #[value(alias = "step.completed")]
    StepCompleted,
    /// An attempt failed.
    #[value(alias = "step.failed")]
    StepFailed,
    /// A claimed step was given back unrun.
    #[value(alias = "step.released")]
    StepReleased,
    /// A task settled.
    #[value(alias = "task.settled")]
    TaskSettled,
    /// A report was refused.
    #[value(alias = "lease.lost")]
    LeaseLost,
    /// The incarnation's lease ran out.
    #[value(alias = "worker.expired")]
    WorkerExpired,
}

/// A counter: its name, what it counts, the pattern of what it counts, and an event of that kind.
pub(crate) struct Counter {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) pattern: &'static str,
    pub(crate) sample: &'static str,
}

impl EventName {
    /// The arm of the match that says a sentence.
    pub(crate) const fn arm(self) -> &'static str {
        match self {
            Self::WorkerStarted => include_str!("../templates/event.worker_started.txt"),
            Self::StepClaimed => include_str!("../templates/event.step_claimed.txt"),
            Self::StepCompleted => include_str!("../templates/event.step_completed.txt"),
            Self::StepFailed => include_str!("../templates/event.step_failed.txt"),
            Self::StepReleased => include_str!("../templates/event.step_released.txt"),
            Self::TaskSettled => include_str!("../templates/event.task_settled.txt"),
            Self::LeaseLost => include_str!("../templates/event.lease_lost.txt"),
            Self::WorkerExpired => include_str!("../templates/event.worker_expired.txt"),
        }
    }

    /// What is counted of it. Two counters have two patterns that exclude each other.
    pub(crate) fn counters(self) -> Vec<Counter> {
        let counter = |name, help, pattern, sample| Counter { name, help, pattern, sample };
        match self {
            Self::WorkerStarted => vec![counter(
                "tasker_workers_started_total",
                "Registrations of workers.",
                "Event::WorkerStarted { .. }",
                include_str!("../templates/sample.worker_started.txt"),
            )],
            Self::StepClaimed => vec![counter(
                "tasker_steps_claimed_total",
                "Steps that were claimed.",
                "Event::StepClaimed { .. }",
                include_str!("../templates/sample.step_claimed.txt"),
            )],
            Self::StepCompleted => vec![counter(
                "tasker_steps_completed_total",
                "Steps that completed.",
                "Event::StepCompleted { .. }",
                include_str!("../templates/sample.step_completed.txt"),
            )],
            Self::StepFailed => vec![
                counter(
                    "tasker_steps_retried_total",
                    "Failed attempts that another follows.",
                    "Event::StepFailed {\n            retry_in: Some(_), ..\n        }",
                    include_str!("../templates/sample.step_retried.txt"),
                ),
                counter(
                    "tasker_steps_failed_total",
                    "Failed attempts that none follows.",
                    "Event::StepFailed { retry_in: None, .. }",
                    include_str!("../templates/sample.step_failed.txt"),
                ),
            ],
            Self::StepReleased => vec![counter(
                "tasker_steps_released_total",
                "Steps that were given back unrun.",
                "Event::StepReleased { .. }",
                include_str!("../templates/sample.step_released.txt"),
            )],
            Self::TaskSettled => vec![
                counter(
                    "tasker_tasks_completed_total",
                    "Tasks that completed.",
                    "Event::TaskSettled {\n            state: TaskState::Complete,\n            ..\n        }",
                    include_str!("../templates/sample.task_completed.txt"),
                ),
                counter(
                    "tasker_tasks_failed_total",
                    "Tasks that settled otherwise.",
                    "Event::TaskSettled { .. }",
                    include_str!("../templates/sample.task_failed.txt"),
                ),
            ],
            Self::LeaseLost => vec![counter(
                "tasker_reports_refused_total",
                "Reports that came too late.",
                "Event::LeaseLost { .. }",
                include_str!("../templates/sample.lease_lost.txt"),
            )],
            Self::WorkerExpired => vec![counter(
                "tasker_workers_expired_total",
                "Leases that ran out.",
                "Event::WorkerExpired { .. }",
                include_str!("../templates/sample.worker_expired.txt"),
            )],
        }
    }
}
