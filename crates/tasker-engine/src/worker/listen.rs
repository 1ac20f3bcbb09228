//! The listener: a connection of its own that hears of new work, so that an idle worker seldom has to ask.
//!
//! A hint and nothing more. The worker polls slowly only while a probe that the listener sends to itself
//! comes back: behind a transaction pooler, without TLS where the server demands it, or with the feature
//! `notify` off, it never does, and the worker polls as if nobody notified.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::incarnation::Input;

/// Starts the listener; it ends with the token.
#[cfg(not(feature = "notify"))]
pub(super) fn start(_: &str, _: mpsc::Sender<Input>, _: CancellationToken) {}

/// Starts the listener; it ends with the token.
#[cfg(feature = "notify")]
pub(super) fn start(url: &str, worker: mpsc::Sender<Input>, stop: CancellationToken) {
    let url = url.to_owned();
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = session::keep(&url, &worker) => {}
        }
    });
}

#[cfg(feature = "notify")]
mod session {
    use std::{future::poll_fn, time::Duration};

    use tokio::{
        sync::mpsc::{self, error::SendError},
        time,
    };
    use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Notification};

    use super::Input;

    /// How often a probe is sent; what one has not brought back before the next is not relied on.
    const PROBE: Duration = Duration::from_secs(60);

    /// How long the first probe may take.
    const FIRST: Duration = Duration::from_secs(1);

    /// The longest wait before a lost connection is opened again.
    const RECONNECT: Duration = Duration::from_secs(30);

    /// Listens until the worker is gone, over as many connections as that takes.
    pub(super) async fn keep(url: &str, worker: &mpsc::Sender<Input>) {
        let mut wait = Duration::from_millis(100);
        while !worker.is_closed() {
            match listen(url, worker).await {
                Ok(heard) if heard => wait = Duration::from_millis(100),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "notifications do not arrive; polling"),
            }
            if worker.send(Input::Notified(false)).await.is_err() {
                return;
            }
            time::sleep(wait).await;
            wait = (wait * 2).min(RECONNECT);
        }
    }

    /// One connection to its end; whether a probe ever came back on it.
    async fn listen(url: &str, worker: &mpsc::Sender<Input>) -> Result<bool, Error> {
        let mut config: Config = url.parse()?;
        config.application_name("tasker listener").keepalives_idle(Duration::from_secs(30));
        let (client, mut connection) = config.connect(NoTls).await?;
        let (probes, mut returned) = mpsc::channel(64);
        let told = worker.clone();
        let driven = tokio::spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notification) = message?
                    && tell(&notification, &probes, &told).await.is_err()
                {
                    break;
                }
            }
            Ok::<(), Error>(())
        });
        let heard = keep_probing(&client, &mut returned, worker).await;
        drop(client);
        driven.abort();
        heard
    }

    /// Passes a notification on at once: between it and the next look for work there is no other task. An error
    /// where nobody is interested any more.
    async fn tell(
        notification: &Notification,
        probes: &mpsc::Sender<String>,
        worker: &mpsc::Sender<Input>,
    ) -> Result<(), SendError<Input>> {
        match notification.payload() {
            p if p.starts_with("probe") => {
                // Those of others come too; one that is not taken counts as one that did not come.
                let _full = probes.try_send(p.to_owned());
                Ok(())
            }
            "check" => worker.send(Input::Check).await,
            _ => worker.send(Input::Woken).await,
        }
    }

    /// Listens and sends probes until one does not come back; whether one ever did.
    async fn keep_probing(
        client: &Client,
        returned: &mut mpsc::Receiver<String>,
        worker: &mpsc::Sender<Input>,
    ) -> Result<bool, Error> {
        client.batch_execute("listen tasker").await?;
        let probe = format!("probe {:016x}", fastrand::u64(..));
        let (mut answered, mut ever) = (false, false);
        let mut due = time::interval(PROBE);
        let mut first = Box::pin(time::sleep(FIRST));
        loop {
            tokio::select! {
                _ = due.tick() => {
                    if ever && !answered {
                        return Ok(ever);
                    }
                    answered = false;
                    client.batch_execute(&format!("notify tasker, '{probe}'")).await?;
                }
                () = &mut first, if !ever => return Ok(false),
                heard = returned.recv() => {
                    let Some(heard) = heard else { return Ok(ever) };
                    if heard == probe {
                        (answered, ever) = (true, true);
                        if worker.send(Input::Notified(true)).await.is_err() {
                            return Ok(ever);
                        }
                    }
                }
            }
        }
    }
}
