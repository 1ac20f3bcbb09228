//! The subscriber `one`: tells in sentences what a worker did, after its commit.
//!
//! A worker does not wait for those who listen, so events go through a bounded queue to a thread of
//! their own; what does not fit is dropped and counted. What is said of an event is in `sentence`.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tasker::engine::event::{Event, EventSink};

/// How many sentences may wait to be told.
const WAITING: usize = 1_024;

/// Give its `sink` to the worker, as `WorkerOptions::events`.
pub struct One {
    queue: SyncSender<String>,
    thread: JoinHandle<()>,
    dropped: Arc<AtomicU64>,
}

impl One {
    /// Starts the thread. `tell` is called on it, with one sentence after the other; it may take its
    /// time.
    pub fn start(tell: impl Fn(&str) + Send + 'static) -> Self {
        let (queue, sentences) = sync_channel::<String>(WAITING);
        let thread = thread::spawn(move || sentences.iter().for_each(|text| tell(&text)));
        Self {
            queue,
            thread,
            dropped: Arc::default(),
        }
    }

    /// Where a worker sends its events; several workers may share the subscriber.
    pub fn sink(&self) -> EventSink {
        let (queue, dropped) = (self.queue.clone(), Arc::clone(&self.dropped));
        EventSink::new(move |event| {
            let Some(sentence) = sentence(event) else {
                return;
            };
            if queue.try_send(sentence).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// How many sentences were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything is told. Drop the workers and their sinks before.
    pub fn finish(self) {
        drop(self.queue);
        // Where `tell` has panicked, the rest is lost with it.
        let _ended = self.thread.join();
    }
}

impl fmt::Debug for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("One")
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

/// What is told of an event; `None` for those that are left alone.
fn sentence(event: &Event) -> Option<String> {
    let text = match event {
        Event::StepCompleted {
            task_id, step_name, ..
        } => {
            format!("task {task_id}: {step_name} completed")
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tasker::model::{StepId, TaskId};

    use super::*;

    /// One of each event that is told.
    fn events() -> Vec<Event> {
        vec![Event::StepCompleted {
            task_id: TaskId(1),
            step_id: StepId(2),
            step_name: "ship".into(),
        }]
    }

    #[test]
    fn each_event_is_told_once_and_in_order() {
        let (told, sentences) = channel();
        let subscriber = One::start(move |text| told.send(text.to_owned()).unwrap());
        let sink = subscriber.sink();
        events().iter().for_each(|event| sink.emit(event));
        drop(sink);
        assert_eq!(subscriber.dropped(), 0);
        subscriber.finish();
        let told: Vec<String> = sentences.iter().collect();
        assert_eq!(
            told,
            events().iter().filter_map(sentence).collect::<Vec<_>>()
        );
        assert_eq!(told.len(), events().len());
    }

    #[test]
    fn a_worker_never_waits_for_it() {
        let (begun, first) = channel();
        let (go_on, gate) = channel::<()>();
        let subscriber = One::start(move |_| {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        });
        let (sink, events) = (subscriber.sink(), events());
        let event = &events[0];
        sink.emit(event);
        first.recv().unwrap();
        (0..WAITING + 3).for_each(|_| sink.emit(event));
        assert_eq!(subscriber.dropped(), 3);
        (0..=WAITING).for_each(|_| go_on.send(()).unwrap());
        drop(sink);
        subscriber.finish();
    }
}
