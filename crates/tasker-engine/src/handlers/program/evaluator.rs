//! Runs jobs of jq programs away from the worker's threads, a bounded number at a time.
//!
//! A job has its own thread with a large stack, for three reasons: recursion in a program then ends at
//! the meter's bound and not at the process; a program that the meter cannot stop (one long native
//! operation) can be given up without holding a slot of the runtime's blocking pool; and a runtime that
//! shuts down does not wait for it. A job that is given up keeps its place among the threads until it
//! ends by itself.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use jaq_json::Val;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    Program, Stop, json,
    meter::{Limit, MAX_TIME, Meter},
};
use crate::handler::{StepContext, StepError};

/// The stack of a job's thread. Only what is used becomes memory.
pub(crate) const STACK: usize = 128 * 1024 * 1024;
/// After the program's own time the job is given up.
const GRACE: Duration = Duration::from_secs(2);
/// Compiled programs that are kept.
const MAX_CACHED: usize = 512;
/// No message of a program is longer, in characters.
const MAX_MESSAGE: usize = 1_000;

/// Compiled programs and the places to run them. Cheap to clone; clones share both.
#[derive(Clone)]
pub(crate) struct Evaluator {
    programs: Arc<Programs>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Programs(Mutex<HashMap<String, Arc<Program>>>);

impl Programs {
    /// The compiled program. A full cache is emptied: definitions use far fewer programs than it holds,
    /// and then the order of eviction does not matter.
    fn get(&self, source: &str) -> Result<Arc<Program>, String> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned();
        if let Some(program) = cached {
            return Ok(program);
        }
        let program = Arc::new(Program::compile(source)?);
        let mut programs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if programs.len() >= MAX_CACHED {
            programs.clear();
        }
        programs.insert(source.to_owned(), Arc::clone(&program));
        Ok(program)
    }
}

/// One job: the document that its programs read and the budget that they share.
pub(crate) struct Session {
    programs: Arc<Programs>,
    document: Val,
    meter: Meter,
    writer: RefCell<json::Writer>,
}

impl Session {
    fn new(programs: Arc<Programs>, context: &StepContext, stopped: Arc<AtomicBool>) -> Self {
        let now = context.now.timestamp_micros() as f64 / 1e6;
        Self {
            programs,
            document: json::from_json(&context.document()),
            meter: Meter::new(now, stopped),
            writer: RefCell::new(json::Writer::new()),
        }
    }

    /// The one output of the program for the step's document.
    pub(crate) fn on_document(&self, source: &str) -> Result<Value, StepError> {
        self.one(source, self.document.clone())
    }

    /// The one output of the program for another input.
    pub(crate) fn on(&self, source: &str, input: &Value) -> Result<Value, StepError> {
        self.one(source, json::from_json(input))
    }

    /// All outputs of the program: for another input, or for the step's document.
    pub(crate) fn all(&self, source: &str, input: Option<&Value>) -> Result<Vec<Value>, StepError> {
        let input = input.map_or_else(|| self.document.clone(), json::from_json);
        self.outputs(source, input, usize::MAX)
    }

    fn one(&self, source: &str, input: Val) -> Result<Value, StepError> {
        let mut outputs = self.outputs(source, input, 2)?;
        match (outputs.pop(), outputs.is_empty()) {
            (Some(value), true) => Ok(value),
            (Some(_), false) => Err(failed("gave several outputs where one is needed")),
            (None, _) => Err(failed("gave no output where one is needed")),
        }
    }

    fn outputs(&self, source: &str, input: Val, limit: usize) -> Result<Vec<Value>, StepError> {
        let program =
            self.programs.get(source).map_err(|e| StepError::permanent(e).with_code("JQ_SYNTAX"))?;
        let outputs = program.run(input, &self.meter).take(limit);
        outputs.map(|output| self.finish(output)).collect()
    }

    fn finish(&self, output: Result<Val, Stop>) -> Result<Value, StepError> {
        match output {
            Ok(value) => self.writer.borrow_mut().value(&value).map_err(|e| failed(&e)),
            Err(Stop::Error(value)) => Err(raised(&value)),
            Err(Stop::Halted) => Err(self.halted()),
        }
    }

    fn halted(&self) -> StepError {
        match self.meter.limit() {
            Some(Limit::Cancelled) => cancelled(),
            Some(limit) => {
                StepError::permanent(format!("the jq program was stopped: {limit}")).with_code("JQ_LIMIT")
            }
            None => failed("ended early"),
        }
    }
}

fn failed(what: &str) -> StepError {
    StepError::permanent(format!("the jq program {what}")).with_code("JQ_ERROR")
}

/// The failure of an attempt that was told to stop.
pub(crate) fn cancelled() -> StepError {
    StepError::retryable("the attempt was cancelled").with_code("CANCELLED")
}

/// The failure that `error(value)` means: a text is the message of a permanent failure, an object may
/// choose with `message`, `code`, `retryable` and `retry_after` in seconds.
fn raised(value: &Val) -> StepError {
    let value = json::Writer::new().value(value).unwrap_or(Value::Null);
    let message = json::text(value.get("message").unwrap_or(&value));
    let mut error = StepError::permanent(shortened(&message)).with_code("JQ_ERROR");
    if value.get("retryable").and_then(Value::as_bool) == Some(true) {
        error = StepError::retryable(error.message).with_code("JQ_ERROR");
    }
    if let Some(code) = value.get("code").and_then(Value::as_str) {
        error.code = Some(shortened(code));
    }
    let wait = value.get("retry_after").and_then(Value::as_f64);
    error.retry_after = wait.and_then(|s| Duration::try_from_secs_f64(s).ok());
    error
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Ends the job when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Evaluator {
    pub(crate) fn new() -> Self {
        let places = thread::available_parallelism().map_or(4, |n| n.get().max(4));
        Self { programs: Arc::default(), places: Arc::new(Semaphore::new(places)) }
    }

    /// Runs a job, waiting for a place first. A cancelled attempt ends the job and the wait.
    pub(crate) async fn run<T, F>(&self, context: &StepContext, job: F) -> Result<T, StepError>
    where
        T: Send + 'static,
        F: FnOnce(&Session) -> Result<T, StepError> + Send + 'static,
    {
        let place = tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => place.ok(),
            () = context.cancellation.cancelled() => return Err(cancelled()),
        };
        let (send, receive) = oneshot::channel();
        let stop = self.start(context, place, job, |result| drop(send.send(result)))?;
        let result = tokio::select! {
            result = receive => result.unwrap_or_else(|_| Err(panicked())),
            () = context.cancellation.cancelled() => Err(cancelled()),
            () = tokio::time::sleep(MAX_TIME + GRACE) => Err(given_up()),
        };
        drop(stop);
        result
    }

    /// The same for a blocking thread, whose number bounds the jobs already.
    pub(crate) fn run_blocking<T, F>(&self, context: &StepContext, job: F) -> Result<T, StepError>
    where
        T: Send + 'static,
        F: FnOnce(&Session) -> Result<T, StepError> + Send + 'static,
    {
        let (send, receive) = mpsc::sync_channel(1);
        let _stop = self.start(context, None, job, move |result| drop(send.send(result)))?;
        let started = Instant::now();
        while started.elapsed() < MAX_TIME + GRACE {
            // A blocking thread cannot wait for the job and for the token at once, so it looks up.
            match receive.recv_timeout(Duration::from_millis(50)) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => return Err(panicked()),
                Err(RecvTimeoutError::Timeout) if context.cancellation.is_cancelled() => {
                    return Err(cancelled());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Err(given_up())
    }

    fn start<T, F>(
        &self,
        context: &StepContext,
        place: Option<OwnedSemaphorePermit>,
        job: F,
        deliver: impl FnOnce(Result<T, StepError>) + Send + 'static,
    ) -> Result<StopOnDrop, StepError>
    where
        F: FnOnce(&Session) -> Result<T, StepError> + Send + 'static,
    {
        let (programs, context) = (Arc::clone(&self.programs), context.clone());
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = StopOnDrop(Arc::clone(&stopped));
        on_thread(move || {
            deliver(job(&Session::new(programs, &context, stopped)));
            drop(place);
        })?;
        Ok(stop)
    }
}

fn on_thread(job: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, StepError> {
    let thread = thread::Builder::new().name("tasker-jq".into()).stack_size(STACK);
    thread.spawn(job).map_err(|e| StepError::retryable(format!("no thread for a jq program: {e}")))
}

fn panicked() -> StepError {
    failed("made its interpreter fail")
}

fn given_up() -> StepError {
    let seconds = (MAX_TIME + GRACE).as_secs();
    StepError::permanent(format!("the jq program was given up after {seconds} s")).with_code("JQ_LIMIT")
}

/// Whether the program compiles; if not, a sentence with the position. Blocks for about a millisecond.
pub(crate) fn check(source: &str) -> Result<(), String> {
    let owned = source.to_owned();
    let compile = move || Program::compile(&owned).map(drop);
    let (send, receive) = mpsc::sync_channel(1);
    on_thread(move || drop(send.send(compile()))).map_err(|e| e.message)?;
    receive.recv().unwrap_or_else(|_| Err("the jq program made its compiler fail".into()))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
