//! SIGINT and SIGTERM: the first asks the worker to stop, the second ends the program at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure, Outcome};

const STOPPING: &str = "stopping: running steps may end, the rest is given back; \
     press Ctrl-C again to stop at once";

const STOPPED: &str = "stopped at once: the next worker takes back what ran when the lease has run out";

/// Cancels `interrupted` at the first signal and says so. Call it inside a runtime.
pub(crate) fn listen(interrupted: CancellationToken, say: fn(&str)) -> Outcome<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        interrupted.cancel();
        say(STOPPING);
        signals.next().await;
        say(STOPPED);
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
