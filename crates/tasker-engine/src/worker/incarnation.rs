//! One incarnation of a worker on tokio: does what its [`Core`] decides and tells it what came of it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use diesel::PgConnection;
use serde_json::Value;
use tasker_model::WorkerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Worker, WorkerReport,
    core::{Action, Answer, Core, End, Exchange, Limits},
    heads::Heads,
    intake::Submission,
    listen,
    telling::Telling,
    turn::{self, Turn},
};
use crate::{
    commands::{self, Claim, Renewed},
    db::DbError,
    report::Report,
    runner::RunEnd,
};

/// Something that happened, on its way to the core.
#[cfg_attr(not(feature = "notify"), expect(dead_code, reason = "only the listener tells of notifications"))]
pub(super) enum Input {
    Ended(Claim, RunEnd),
    Turned {
        id: u64,
        took: Duration,
        swept: bool,
        turn: Box<Result<Turn, DbError>>,
    },
    /// Tasks to be created, with a claim if it suits.
    Submission(Submission),
    /// A turn that a submission took along did not come about.
    CalledOff {
        id: u64,
        took: Duration,
        swept: bool,
    },
    Renewed(Duration, Result<Renewed, DbError>),
    Drained(Result<bool, DbError>),
    /// A notification: there may be something to claim.
    Woken,
    /// A notification: claims may have been taken away.
    Check,
    /// Whether notifications arrive.
    Notified(bool),
}

pub(super) struct Incarnation {
    worker: Worker,
    worker_id: WorkerId,
    core: Core,
    heads: Heads,
    started: Instant,
    running: HashMap<Claim, CancellationToken>,
    telling: Telling,
    sender: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    failed: Option<DbError>,
}

impl Incarnation {
    /// Of a worker that registered at `started`.
    pub(super) fn new(worker: &Worker, worker_id: WorkerId, started: Instant) -> Self {
        let options = &worker.options;
        let capacity = options.max_in_flight.max(1);
        let limits = Limits {
            capacity,
            batch: 500,
            poll_min: options.poll_min,
            poll_max: options.poll_max,
            poll_notified: options.poll_notified.max(options.poll_max),
            lease: options.lease,
            drain: options.drain,
            until_idle: options.until_idle,
        };
        // Every attempt sends once, and so do the few other tasks: nobody waits for a place for long.
        let (sender, inputs) = mpsc::channel(capacity + 16);
        Self {
            worker: worker.clone(),
            worker_id,
            core: Core::new(limits, Duration::ZERO),
            heads: Heads::default(),
            started,
            running: HashMap::new(),
            telling: Telling::new(options.events.clone()),
            sender,
            inputs,
            failed: None,
        }
    }

    /// Works until the shutdown, the end of the lease or an error that waiting does not mend.
    pub(super) async fn run(
        mut self,
        shutdown: &CancellationToken,
        total: &mut WorkerReport,
    ) -> Result<End, DbError> {
        let listening = self.listen();
        let open = self.worker.intake.lead_to(self.sender.clone());
        let mut inputs = vec![];
        let end = loop {
            if let Some(end) = self.act() {
                break end;
            }
            let wake_at = self.started + self.core.wake_at().min(Duration::from_secs(86_400 * 365));
            let stopping = self.core.is_stopping();
            tokio::select! {
                _ = self.inputs.recv_many(&mut inputs, 1_024) => {}
                () = tokio::time::sleep_until(wake_at.into()) => {}
                () = shutdown.cancelled(), if !stopping => self.core.stop(self.now()),
            }
            for input in inputs.drain(..) {
                self.take_in(input);
            }
        };
        drop((listening, open));
        self.telling.add_to(total);
        match self.failed.take() {
            Some(error) => Err(error),
            None if end == End::Expired && shutdown.is_cancelled() => Ok(End::Stopped),
            None => {
                if end == End::Stopped {
                    self.sign_off().await;
                }
                Ok(end)
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Starts the listener; it ends when the guard is dropped.
    fn listen(&self) -> tokio_util::sync::DropGuard {
        let stop = CancellationToken::new();
        if self.worker.options.notifications {
            listen::start(self.worker.runner.db.url(), self.sender.clone(), stop.clone());
        }
        stop.drop_guard()
    }

    /// Does what the core asks for until it asks for nothing; the end, once it has come.
    fn act(&mut self) -> Option<End> {
        while let Some(action) = self.core.next(self.now()) {
            match action {
                Action::Exchange(exchange) => self.exchange(exchange),
                Action::Renew(claims) => self.renew(claims),
                Action::Stop(claims) => self.stop_running(&claims),
                Action::AskDrained => self.ask_drained(),
                Action::Over(end) => return Some(end),
            }
        }
        None
    }

    fn take_in(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Ended(claim, end) => self.ended(claim, end),
            Input::Turned { id, took, swept, turn } => self.turned(id, took, swept, *turn),
            Input::Submission(submission) => self.submit(submission),
            Input::CalledOff { id, took, swept } => {
                self.heads.reached(now, vec![], swept, took);
                self.core.called_off(id);
            }
            Input::Renewed(asked, Ok(r)) => self.core.renewed(asked, r.alive, &r.lost, &r.others),
            Input::Renewed(_, Err(error)) => {
                self.trouble("renewing the lease", &error);
                self.core.not_renewed(now);
            }
            Input::Drained(Ok(nothing_left)) => self.core.drained(now, nothing_left),
            Input::Drained(Err(error)) => {
                self.trouble("asking what is left", &error);
                self.core.drained(now, false);
            }
            Input::Woken => self.core.woken(),
            Input::Check => self.core.check_claims(now),
            Input::Notified(notified) => self.core.set_notified(now, notified),
        }
    }

    fn exchange(&mut self, exchange: Exchange) {
        let (runner, worker_id, sender) = (self.worker.runner.clone(), self.worker_id, self.sender.clone());
        let (after, swept) = match (exchange.claim, exchange.further) {
            (0, _) => (vec![], false),
            (_, false) => (self.heads.settled(), false),
            (_, true) => self.heads.next(self.now()),
        };
        let (id, db, began) = (exchange.id, runner.db.clone(), Instant::now());
        let work = move |conn: &mut PgConnection| {
            let mut turn = turn::take(conn, &runner, worker_id, &exchange, &after);
            // Nothing of it came about: an error of the connection, which is then looked at.
            let nothing = turn.decided.is_empty() && turn.steps.is_empty();
            match turn.error.take_if(|_| nothing) {
                Some(error) => Err(error),
                None => Ok(turn),
            }
        };
        db.query_then(work, move |turned| {
            let took = began.elapsed();
            // The receiver is gone only when the incarnation is over.
            let _over = sender.blocking_send(Input::Turned { id, took, swept, turn: Box::new(turned) });
        });
    }

    /// Where nothing may be claimed now, the submission is dropped and its caller writes it.
    fn submit(&mut self, Submission { tasks, answer }: Submission) {
        let Some(exchange) = self.core.take_along(self.now()) else { return };
        let (runner, worker_id, sender) = (self.worker.runner.clone(), self.worker_id, self.sender.clone());
        let (after, swept) = self.heads.next(self.now());
        let (id, db, began) = (exchange.id, runner.db.clone(), Instant::now());
        let work =
            move |conn: &mut PgConnection| turn::submit(conn, &runner, worker_id, &exchange, &after, &tasks);
        db.query_then(work, move |done| {
            let took = began.elapsed();
            let (submitted, input) = match done {
                Ok((tasks, turn)) => (Ok(tasks), Input::Turned { id, took, swept, turn: Box::new(Ok(turn)) }),
                Err(error) => (Err(error.into()), Input::CalledOff { id, took, swept }),
            };
            let _over = sender.blocking_send(input);
            let _gone = answer.send(submitted);
        });
    }

    fn turned(&mut self, id: u64, took: Duration, swept: bool, turned: Result<Turn, DbError>) {
        let now = self.now();
        let mut turn = match turned {
            Ok(turn) => turn,
            Err(error) => {
                self.heads.reached(now, vec![], swept, took);
                return self.refused(id, error);
            }
        };
        self.heads.reached(now, std::mem::take(&mut turn.heads), swept, took);
        if let Some(error) = turn.error.take().map(DbError::from) {
            self.trouble("reporting and claiming", &error);
            if !error.is_transient() {
                self.fail(error);
            }
        }
        self.telling.reported(&turn.decided, &turn.changes, &turn.written);
        let due_in = turn.due_in_ms.map(|ms| Duration::from_millis(ms.unsigned_abs().into()));
        let answer = Answer {
            claimed: turn.steps.iter().map(commands::ClaimedStep::claim).collect(),
            left_ready: !turn.changes.ready.is_empty(),
            due_in,
            unreported: std::mem::take(&mut turn.unreported),
        };
        self.core.exchanged(now, id, answer);
        self.start(turn);
    }

    fn refused(&mut self, id: u64, error: DbError) {
        if error.is_transient() {
            self.trouble("reporting and claiming", &error);
            self.core.refused(self.now(), id);
        } else {
            // Trying again would not help, and nothing that is claimed could end.
            self.core.exchanged(self.now(), id, Answer::default());
            self.fail(error);
        }
    }

    fn trouble(&self, what: &'static str, error: &DbError) {
        self.worker.runner.db.patience(what).complain(error);
    }

    fn fail(&mut self, error: DbError) {
        self.failed.get_or_insert(error);
        self.core.stop(self.now());
    }

    fn start(&mut self, mut turn: Turn) {
        for step in std::mem::take(&mut turn.steps) {
            let results = turn.ancestors.remove(&step.step_id).unwrap_or_else(|| step.parent_results.clone());
            let (claim, cancellation) = (step.claim(), CancellationToken::new());
            self.running.insert(claim, cancellation.clone());
            self.telling.claimed(&step);
            let (runner, sender) = (self.worker.runner.clone(), self.sender.clone());
            tokio::spawn(async move {
                let end = runner.attempt(&step, results, cancellation).await;
                let _over = sender.send(Input::Ended(claim, end)).await;
            });
        }
    }

    fn ended(&mut self, claim: Claim, end: RunEnd) {
        self.running.remove(&claim);
        match end {
            RunEnd::Report(report) => self.core.ended(claim, Some(report)),
            RunEnd::Committed(changes) => {
                self.telling.reported(&[Report::Completed(claim, Value::Null)], &changes, &[]);
                self.core.ended(claim, None);
            }
            RunEnd::LeaseLost => {
                self.telling.lost(claim);
                self.core.ended(claim, None);
            }
        }
    }

    fn stop_running(&self, claims: &[Claim]) {
        claims.iter().filter_map(|c| self.running.get(c)).for_each(CancellationToken::cancel);
    }

    fn renew(&self, claims: Vec<Claim>) {
        let (worker_id, clock) = (self.worker_id, self.worker.runner.clock.clone());
        let (asked, db, sender) = (self.now(), self.worker.runner.db.clone(), self.sender.clone());
        tokio::spawn(async move {
            let renewed = db
                .query(move |conn| commands::renew_worker_with(conn, worker_id, &claims, clock.now()))
                .await;
            let _over = sender.send(Input::Renewed(asked, renewed)).await;
        });
    }

    fn ask_drained(&self) {
        let (worker_id, db, sender) = (self.worker_id, self.worker.runner.db.clone(), self.sender.clone());
        tokio::spawn(async move {
            let answer = db.query(move |conn| commands::is_drained(conn, worker_id)).await;
            let _over = sender.send(Input::Drained(answer)).await;
        });
    }

    async fn sign_off(&self) {
        let (worker_id, now) = (self.worker_id, self.worker.runner.clock.now());
        if let Err(error) =
            self.worker.runner.db.query(move |conn| commands::end_worker(conn, worker_id, now)).await
        {
            tracing::warn!(%error, "the worker could not sign off; its lease will run out");
        }
    }
}
