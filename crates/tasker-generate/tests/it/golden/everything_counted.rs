//! The subscriber `everything_counted`: counts what workers did, after their commits.
//!
//! Counting takes a few nanoseconds, so a worker does not wait for it. `render` gives the counters in
//! the text form of Prometheus.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tasker::engine::event::{Event, EventSink};
use tasker::model::TaskState;

/// The counters, in the order of the events.
const COUNTERS: [(&str, &str); 10] = [
    // The name, and what is counted.
    ("tasker_workers_started_total", "Registrations of workers."),
    ("tasker_steps_claimed_total", "Steps that were claimed."),
    ("tasker_steps_completed_total", "Steps that completed."),
    (
        "tasker_steps_retried_total",
        "Failed attempts that another follows.",
    ),
    (
        "tasker_steps_failed_total",
        "Failed attempts that none follows.",
    ),
    (
        "tasker_steps_released_total",
        "Steps that were given back unrun.",
    ),
    ("tasker_tasks_completed_total", "Tasks that completed."),
    ("tasker_tasks_failed_total", "Tasks that settled otherwise."),
    (
        "tasker_reports_refused_total",
        "Reports that came too late.",
    ),
    ("tasker_workers_expired_total", "Leases that ran out."),
];

/// Give its `sink` to the worker, as `WorkerOptions::events`; several workers may share it.
#[derive(Debug, Default)]
pub struct EverythingCounted {
    counts: [AtomicU64; COUNTERS.len()],
}

impl EverythingCounted {
    /// Where a worker sends its events.
    pub fn sink(self: &Arc<Self>) -> EventSink {
        let this = Arc::clone(self);
        EventSink::new(move |event| {
            let count = counter(event).and_then(|at| this.counts.get(at));
            if let Some(count) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// The counters by name.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        COUNTERS.iter().map(|(name, _)| *name).zip(counts).collect()
    }

    /// The counters as Prometheus reads them.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for ((name, help), (_, count)) in COUNTERS.iter().zip(self.counts()) {
            // Writing to a text cannot fail.
            let _infallible = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}"
            );
        }
        text
    }
}

/// Which of the counters counts the event.
fn counter(event: &Event) -> Option<usize> {
    let name = match event {
        Event::WorkerStarted { .. } => "tasker_workers_started_total",
        Event::StepClaimed { .. } => "tasker_steps_claimed_total",
        Event::StepCompleted { .. } => "tasker_steps_completed_total",
        Event::StepFailed {
            retry_in: Some(_), ..
        } => "tasker_steps_retried_total",
        Event::StepFailed { retry_in: None, .. } => "tasker_steps_failed_total",
        Event::StepReleased { .. } => "tasker_steps_released_total",
        Event::TaskSettled {
            state: TaskState::Complete,
            ..
        } => "tasker_tasks_completed_total",
        Event::TaskSettled { .. } => "tasker_tasks_failed_total",
        Event::LeaseLost { .. } => "tasker_reports_refused_total",
        Event::WorkerExpired { .. } => "tasker_workers_expired_total",
        _ => return None,
    };
    COUNTERS.iter().position(|(counter, _)| *counter == name)
}

#[cfg(test)]
mod tests {
    use tasker::model::{FailureKind, StepId, TaskId, WorkerId};

    use super::*;

    /// One event for each counter, in their order.
    fn events() -> Vec<Event> {
        vec![
            Event::WorkerStarted {
                worker_id: WorkerId(1),
            },
            Event::StepClaimed {
                task_id: TaskId(1),
                step_id: StepId(2),
                step_name: "ship".into(),
                attempt: 1,
            },
            Event::StepCompleted {
                task_id: TaskId(1),
                step_id: StepId(2),
                step_name: "ship".into(),
            },
            Event::StepFailed {
                task_id: TaskId(1),
                step_id: StepId(2),
                step_name: "ship".into(),
                attempt: 1,
                kind: FailureKind::Retryable,
                message: "the port is closed".into(),
                retry_in: Some(std::time::Duration::from_secs(5)),
            },
            Event::StepFailed {
                task_id: TaskId(1),
                step_id: StepId(2),
                step_name: "ship".into(),
                attempt: 2,
                kind: FailureKind::Permanent,
                message: "no such port".into(),
                retry_in: None,
            },
            Event::StepReleased {
                task_id: TaskId(1),
                step_id: StepId(2),
            },
            Event::TaskSettled {
                task_id: TaskId(1),
                state: TaskState::Complete,
            },
            Event::TaskSettled {
                task_id: TaskId(1),
                state: TaskState::Error,
            },
            Event::LeaseLost {
                task_id: TaskId(1),
                step_id: StepId(2),
            },
            Event::WorkerExpired {
                worker_id: WorkerId(1),
            },
        ]
    }

    #[test]
    fn each_event_is_counted_by_its_counter() {
        let subscriber = Arc::new(EverythingCounted::default());
        let sink = subscriber.sink();
        for (times, event) in (1..).zip(&events()) {
            (0..times).for_each(|_| sink.emit(event));
        }
        let counted: Vec<u64> = subscriber.counts().into_iter().map(|(_, n)| n).collect();
        assert_eq!(counted, (1..=events().len() as u64).collect::<Vec<_>>());
        assert_eq!(counted.len(), COUNTERS.len());
    }

    #[test]
    fn counting_is_exact_from_many_threads() {
        let subscriber = Arc::new(EverythingCounted::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let sink = subscriber.sink();
                scope.spawn(move || (0..100).for_each(|_| sink.emit(&events()[0])));
            }
        });
        assert_eq!(subscriber.counts()[0].1, 800);
    }

    #[test]
    fn the_text_has_every_counter_with_help_and_type() {
        let text = EverythingCounted::default().render();
        for (name, help) in COUNTERS {
            let lines = format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} 0\n");
            assert!(text.contains(&lines), "{name}: {text}");
        }
    }
}
