//! The order service as a running thing: a listener on loopback, its connections and an orderly end.
//! What is answered is in the routes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time,
};

use super::{
    Catalogue, Faults, routes,
    shop::{Shop, Stats},
};

/// How long open requests may take to end when the service stops; longer than the slowest answer.
const GRACE: Duration = Duration::from_secs(2);
/// The wait after a connection could not be taken, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A running order service. Dropping it stops it too, without waiting for the end.
pub(crate) struct OrderService {
    address: SocketAddr,
    shop: Arc<Shop>,
    /// Nothing is ever sent: that it is gone is the word to stop.
    running: watch::Sender<()>,
    listening: JoinHandle<()>,
}

impl OrderService {
    /// Listens on a port of 127.0.0.1, 0 for any that is free. The answers are computed on tokio's runtime.
    pub(crate) async fn start(catalogue: Arc<Catalogue>, faults: Faults, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("The order service cannot listen on port {port} of 127.0.0.1"))?;
        let address = listener.local_addr()?;
        let shop = Arc::new(Shop::new(catalogue, faults));
        let (running, stopped) = watch::channel(());
        let listening = tokio::spawn(listen(listener, Arc::clone(&shop), stopped));
        Ok(Self { address, shop, running, listening })
    }

    /// The address to put before a path, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shop.stats()
    }

    /// The events that were stored, in the order of their keys.
    #[cfg(test)]
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        self.shop.events()
    }

    /// Takes no more requests and returns when the open ones are answered, or after two seconds.
    pub(crate) async fn stop(self) {
        drop(self.running);
        // The task can only fail by a panic, which the runtime has reported.
        let _ = self.listening.await;
    }
}

async fn listen(listener: TcpListener, shop: Arc<Shop>, mut stopped: watch::Receiver<()>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { open.spawn(converse(stream, Arc::clone(&shop), stopped.clone())); }
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
    drop(listener);
    // A client that never finishes its request is cut off when the set is dropped.
    let _ = time::timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
}

/// Serves one connection to its end. How it ends is the client's business, or a fault.
async fn converse(stream: TcpStream, shop: Arc<Shop>, mut stopped: watch::Receiver<()>) {
    let answer = service_fn(|request| routes::answer(&shop, request));
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use std::collections::BTreeMap;

    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{
        super::faults::{Fault, Identity},
        *,
    };

    const SEED: u64 = 11;

    async fn start(faults: Faults) -> OrderService {
        OrderService::start(Arc::new(Catalogue::generate(1, 20)), faults, 0).await.unwrap()
    }

    /// Sends one request on a connection of its own and gives all that came back; nothing if it was dropped.
    async fn send(address: SocketAddr, start: &str, key: Option<&str>, body: &str) -> String {
        let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{start} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{key}Content-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    /// Status and JSON body of an answer.
    async fn call(service: &OrderService, start: &str, key: Option<&str>, body: &str) -> (u16, Value) {
        let answer = send(service.address, start, key, body).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json"), "{head}");
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// A key whose first event meets the fault.
    fn key_for(wanted: Fault) -> String {
        let meets = |key: &String| {
            let planned = Faults::seeded(SEED).planned(&Identity::new("POST", "/events", Some(key)));
            planned.is_some_and(|(fault, _)| fault == wanted)
        };
        (0..10_000).map(|task| format!("{task}:4:0")).find(meets).unwrap()
    }

    #[tokio::test]
    async fn carts_and_products_are_served_as_they_are() {
        let service = start(Faults::off()).await;
        let catalogue = Catalogue::generate(1, 20);
        assert_eq!(
            call(&service, "GET /carts/3", None, "").await,
            (200, catalogue.cart(3).unwrap().json.clone())
        );
        let products: Vec<_> = catalogue.products.iter().map(|product| &product.json).collect();
        assert_eq!(call(&service, "GET /products", None, "").await, (200, json!({"products": products})));
        let health = call(&service, "GET /health", None, "").await;
        assert_eq!(health, (200, json!({"status": "ok"})));
        service.stop().await;
    }

    #[tokio::test]
    async fn an_error_is_json_with_a_reason() {
        let service = start(Faults::off()).await;
        for (start, key, body, status, reason) in [
            ("GET /carts/999999", None, "", 404, "cart 999999 not found"),
            ("GET /carts/x", None, "", 404, "cart x not found"),
            ("GET /elsewhere", None, "", 404, "nothing is at /elsewhere"),
            ("POST /products", None, "", 405, "/products is answered to GET, not to POST"),
            ("POST /health", None, "", 405, "/health is answered to GET, not to POST"),
            ("GET /events", None, "", 405, "/events is answered to POST, not to GET"),
            ("POST /events", None, "{}", 400, "an event needs an Idempotency-Key header"),
            (
                "POST /events",
                Some("a"),
                "{",
                400,
                "the event is not JSON: EOF while parsing an object at line 1 column 1",
            ),
        ] {
            assert_eq!(call(&service, start, key, body).await, (status, json!({"error": reason})), "{start}");
        }
        assert!(send(service.address, "PUT /events", None, "").await.contains("allow: POST\r\n"));
        let long = "1".repeat((1 << 20) + 1);
        assert!(send(service.address, "POST /events", Some("a"), &long).await.starts_with("HTTP/1.1 413 "));
        assert_eq!(service.stats().events, 0);
        service.stop().await;
    }

    #[tokio::test]
    async fn what_happened_is_counted() {
        let service = start(Faults::off()).await;
        call(&service, "GET /carts/1", None, "").await;
        call(&service, "GET /carts/21", None, "").await;
        let accepted = json!({"accepted": true});
        assert_eq!(call(&service, "POST /events", Some("a"), r#"{"n": 1}"#).await, (202, accepted.clone()));
        assert_eq!(call(&service, "POST /events", Some("a"), r#"{"n": 1}"#).await, (200, accepted.clone()));
        assert_eq!(call(&service, "POST /events", Some("b"), r#"{"n": 2}"#).await, (202, accepted));
        let stats =
            json!({"requests": 5, "faults": {}, "events": 2, "repeated_events": 1, "carts_served": 1});
        assert_eq!(call(&service, "GET /stats", None, "").await, (200, stats.clone()));
        assert_eq!(json!(service.stats()), stats);
        assert_eq!(service.events(), [json!({"n": 1}), json!({"n": 2})]);
        service.stop().await;
    }

    #[tokio::test]
    async fn a_refusal_says_when_to_come_back() {
        let service = start(Faults::seeded(SEED)).await;
        for (fault, status, retry_after) in [
            (Fault::TooManyRequests, "429 Too Many Requests", Some("retry-after: 1\r\n")),
            (Fault::Unavailable, "503 Service Unavailable", None),
            (Fault::UnavailableUntil, "503 Service Unavailable", Some(" GMT\r\n")),
        ] {
            let key = key_for(fault);
            let refused = send(service.address, "POST /events", Some(&key), "{}").await;
            assert!(refused.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{refused}");
            assert_eq!(refused.contains("retry-after: "), retry_after.is_some(), "{refused}");
            assert!(refused.contains(retry_after.unwrap_or_default()), "{refused}");
            assert_eq!(call(&service, "POST /events", Some(&key), "{}").await.0, 202);
            assert_eq!(service.stats().faults[&fault], 1);
        }
        service.stop().await;
    }

    #[tokio::test]
    async fn a_dropped_event_may_have_happened() {
        let service = start(Faults::seeded(SEED)).await;
        for (fault, events, status) in [(Fault::Dropped, 0, 202), (Fault::DroppedAfterwards, 2, 200)] {
            let key = key_for(fault);
            assert_eq!(send(service.address, "POST /events", Some(&key), "{}").await, "");
            assert_eq!(service.stats().events, events);
            assert_eq!(call(&service, "POST /events", Some(&key), "{}").await.0, status);
        }
        let faults = BTreeMap::from([(Fault::Dropped, 1), (Fault::DroppedAfterwards, 1)]);
        let stats = Stats { requests: 4, faults, events: 2, repeated_events: 1, carts_served: 0 };
        assert_eq!(service.stats(), stats);
        service.stop().await;
    }

    #[tokio::test]
    async fn a_slow_answer_is_a_good_one() {
        let service = start(Faults::seeded(SEED)).await;
        let key = key_for(Fault::Slow);
        assert_eq!(call(&service, "POST /events", Some(&key), "{}").await.0, 202);
        assert_eq!(service.stats().faults, BTreeMap::from([(Fault::Slow, 1)]));
        service.stop().await;
    }

    #[tokio::test]
    async fn a_stop_closes_idle_connections() {
        let service = start(Faults::off()).await;
        let mut idle = TcpStream::connect(service.address).await.unwrap();
        idle.write_all(b"GET /health HTTP/1.1\r\nHost: shop\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        service.stop().await;
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).await.unwrap();
    }

    #[tokio::test]
    async fn a_stop_waits_for_an_open_answer() {
        let service = start(Faults::seeded(SEED)).await;
        let (address, shop) = (service.address, Arc::clone(&service.shop));
        let stop_in_the_middle = async {
            while shop.stats().faults.is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(shop.stats().events, 0, "the slow answer is still to come");
            service.stop().await;
        };
        let key = key_for(Fault::Slow);
        let (answer, ()) = tokio::join!(send(address, "POST /events", Some(&key), "{}"), stop_in_the_middle);
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert_eq!(shop.stats().events, 1);
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let service = start(Faults::off()).await;
        let port = service.address.port();
        let catalogue = Arc::new(Catalogue::generate(1, 1));
        let error = OrderService::start(catalogue, Faults::off(), port).await.err().unwrap().to_string();
        assert_eq!(error, format!("The order service cannot listen on port {port} of 127.0.0.1"));
        assert_eq!(service.url(), format!("http://127.0.0.1:{port}"));
        service.stop().await;
    }
}
