//! SIGINT and SIGTERM: the first asks the worker to stop, the second ends the program at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{Exit, Failure, Outcome},
    output::note,
};

/// What to say when the first signal comes.
pub(crate) const STOPPING: &str = "stopping: running steps may end, the rest is given back; \
     press Ctrl-C again to stop at once";

/// Cancels `interrupted` at the first signal. Call it inside a runtime.
pub(crate) fn listen(interrupted: CancellationToken) -> Outcome<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        note(STOPPING);
        interrupted.cancel();
        signals.next().await;
        note("stopped at once: what ran is taken back by the next worker when the lease has run out");
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Outcome<Self> {
        let kind = |kind| {
            signal(kind)
                .map_err(|e| Failure::new(Exit::Unexpected, format!("signals cannot be received: {e}")))
        };
        Ok(Self { interrupt: kind(SignalKind::interrupt())?, terminate: kind(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
