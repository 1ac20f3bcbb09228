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

    use tokio::{sync::mpsc, time};
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
        let (notify, mut notified) = mpsc::channel(64);
        let driven = tokio::spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    // Whoever does not keep up has been told already.
                    Ok(AsyncMessage::Notification(n)) => drop(notify.try_send(n)),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        let heard = hear(&client, &mut notified, worker).await;
        drop(client);
        driven.abort();
        heard
    }

    async fn hear(
        client: &Client,
        notified: &mut mpsc::Receiver<Notification>,
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
                heard = notified.recv() => {
                    let Some(heard) = heard else { return Ok(ever) };
                    let input = match heard.payload() {
                        p if p == probe => {
                            (answered, ever) = (true, true);
                            Input::Notified(true)
                        }
                        p if p.starts_with("probe") => continue,
                        "check" => Input::Check,
                        _ => Input::Woken,
                    };
                    if worker.send(input).await.is_err() {
                        return Ok(ever);
                    }
                }
            }
        }
    }
}
