//! What a request is answered: the routes, their faults and errors, always in JSON.
//! It sees requests and answers only; sockets are the service's.

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes},
    header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
    http::request::Parts,
};
use serde_json::{Value, json};

use super::{
    faults::{Fault, Identity},
    shop::{Shop, Taken},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MOST_BYTES: usize = 1 << 20;

pub(super) type Answer = Response<Full<Bytes>>;

/// The error that makes hyper close the connection without an answer.
#[derive(Debug)]
pub(super) struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The connection was dropped on purpose.")
    }
}

impl Error for Dropped {}

enum Route<'a> {
    Cart(&'a str),
    Products,
    Events,
    Stats,
    Health,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/products" => Some(Self::Products),
            "/events" => Some(Self::Events),
            "/stats" => Some(Self::Stats),
            "/health" => Some(Self::Health),
            path => path.strip_prefix("/carts/").map(Self::Cart),
        }
    }

    fn method(&self) -> Method {
        match self {
            Self::Events => Method::POST,
            Self::Cart(_) | Self::Products | Self::Stats | Self::Health => Method::GET,
        }
    }

    /// Who only looks at the service is neither counted nor troubled.
    fn only_looks(&self) -> bool {
        matches!(self, Self::Stats | Self::Health)
    }
}

/// Answers a request, or drops it. The body is read before anything else, as a client expects of an early answer.
pub(super) async fn answer<B>(shop: &Shop, request: Request<B>) -> Result<Answer, Dropped>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        return Ok(error(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {MOST_BYTES} bytes")));
    };
    let Some(route) = Route::of(head.uri.path()).filter(Route::only_looks) else {
        return with_fault(shop, &head, &body.to_bytes()).await;
    };
    Ok(serve(shop, &head, Some(route), &[]))
}

async fn with_fault(shop: &Shop, head: &Parts, body: &[u8]) -> Result<Answer, Dropped> {
    let well = || serve(shop, head, Route::of(head.uri.path()), body);
    let Some((fault, pause)) = shop.meet(Identity::new(head.method.as_str(), head.uri.path(), key(head)))
    else {
        return Ok(well());
    };
    match fault {
        Fault::TooManyRequests => {
            Ok(later(StatusCode::TOO_MANY_REQUESTS, Some(HeaderValue::from_static("1"))))
        }
        Fault::Unavailable => Ok(later(StatusCode::SERVICE_UNAVAILABLE, None)),
        Fault::UnavailableUntil => Ok(later(StatusCode::SERVICE_UNAVAILABLE, soon(SystemTime::now()))),
        Fault::Slow => {
            tokio::time::sleep(pause).await;
            Ok(well())
        }
        Fault::Dropped => Err(Dropped),
        Fault::DroppedAfterwards => {
            well();
            Err(Dropped)
        }
    }
}

fn serve(shop: &Shop, head: &Parts, route: Option<Route<'_>>, body: &[u8]) -> Answer {
    let Some(route) = route else {
        return error(StatusCode::NOT_FOUND, format!("nothing is at {}", head.uri.path()));
    };
    if head.method != route.method() {
        return wrong_method(head, &route.method());
    }
    match route {
        Route::Cart(id) => cart(shop, id),
        Route::Products => json(StatusCode::OK, &json!({"products": shop.products()})),
        Route::Events => event(shop, key(head), body),
        Route::Stats => json(StatusCode::OK, &json!(shop.stats())),
        Route::Health => json(StatusCode::OK, &json!({"status": "ok"})),
    }
}

fn cart(shop: &Shop, id: &str) -> Answer {
    match id.parse().ok().and_then(|id| shop.serve_cart(id)) {
        Some(cart) => json(StatusCode::OK, &cart.json),
        None => error(StatusCode::NOT_FOUND, format!("cart {id} not found")),
    }
}

fn event(shop: &Shop, key: Option<&str>, body: &[u8]) -> Answer {
    let Some(key) = key else {
        return error(StatusCode::BAD_REQUEST, "an event needs an Idempotency-Key header");
    };
    let event = match serde_json::from_slice(body) {
        Ok(event) => event,
        Err(reason) => return error(StatusCode::BAD_REQUEST, format!("the event is not JSON: {reason}")),
    };
    let status = match shop.take_event(key, event) {
        Taken::Stored => StatusCode::ACCEPTED,
        Taken::Repeated => StatusCode::OK,
    };
    json(status, &json!({"accepted": true}))
}

fn key(head: &Parts) -> Option<&str> {
    head.headers.get(KEY).and_then(|key| key.to_str().ok()).filter(|key| !key.is_empty())
}

fn wrong_method(head: &Parts, right: &Method) -> Answer {
    let message = format!("{} is answered to {right}, not to {}", head.uri.path(), head.method);
    with(error(StatusCode::METHOD_NOT_ALLOWED, message), ALLOW, right.as_str().parse().ok())
}

fn later(status: StatusCode, retry_after: Option<HeaderValue>) -> Answer {
    with(error(status, "the order service is busy, try again"), RETRY_AFTER, retry_after)
}

/// A date has whole seconds, so a second and a half cut short is between half a second and one and a half.
fn soon(now: SystemTime) -> Option<HeaderValue> {
    let date = DateTime::<Utc>::from(now + Duration::from_millis(1_500));
    date.format("%a, %d %b %Y %H:%M:%S GMT").to_string().parse().ok()
}

fn error(status: StatusCode, message: impl Into<String>) -> Answer {
    json(status, &json!({"error": message.into()}))
}

fn json(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, Some(HeaderValue::from_static("application/json")))
}

fn with(mut answer: Answer, name: HeaderName, value: Option<HeaderValue>) -> Answer {
    answer.headers_mut().extend(value.map(|value| (name, value)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_about_a_second_ahead() {
        let date = |ms| soon(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)).unwrap();
        assert_eq!(date(784_111_776_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(784_111_776_700), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
