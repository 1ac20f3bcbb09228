//! `http`: sends one request; the answer decides what the step becomes.
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `url` | absolute, `http` or `https`; required | |
//! | `method` | any HTTP method | `GET` |
//! | `params` | object, added to the URL's query; a list repeats its key, null leaves it out | |
//! | `headers` | object of texts | `Accept: application/json` |
//! | `body` | any JSON, sent as `application/json` | none |
//! | `text` | text, sent as `text/plain; charset=utf-8`; not together with `body` | none |
//! | `timeout` | of the whole exchange, in seconds or as `"1.5s"` | 30 s |
//! | `success` | list of statuses and ranges such as `"200-204"` | `["200-226"]` |
//! | `output` | jq over `{status, headers, body}`; its one output is the step's result | `.` |
//! | `idempotency_header` | header that carries the idempotency key; false sends none | `Idempotency-Key` |
//!
//! All but `output` and `idempotency_header` are templates. In the result, names of headers are in
//! lower case, a repeated header's values are joined by `, `, and `body` is JSON where the answer says
//! that it is, null where it is empty, else text.
//!
//! | what happens | failure | code |
//! |---|---|---|
//! | 408, 409, 425, 429, 5xx | retryable, after `Retry-After` if the answer has one | `HTTP_<status>` |
//! | any other status that is no success, redirects included | permanent | `HTTP_<status>` |
//! | no connection, or a lost one | retryable | `HTTP_CONNECT` |
//! | no answer in time | retryable | `HTTP_TIMEOUT` |
//! | `https` on a machine without certificates of authorities | retryable | `HTTP_TLS` |
//! | JSON that is none | retryable | `HTTP_BODY` |
//! | a body over the limit, or one that is no text | permanent | `HTTP_BODY` |
//!
//! A redirect is never followed: it would carry headers, the credentials among them, to a place that
//! the definition does not name. Proxies of the environment are not used.
//!
//! Messages name the method, the URL without user, password and values of its query, the status, and
//! the `error` or `message` of a JSON answer; they never hold headers of the request.

mod answer;
mod client;
mod request;

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use reqwest::Response;
use serde_json::{Value, json};

pub(crate) use self::client::Clients;
pub(crate) use self::request::{Config, KEYS};
use super::{
    config::{Fields, invalid},
    expression::Templates,
    program::evaluator::cancelled,
};
use crate::handler::{BoxFuture, Inputs, StepContext, StepError, StepHandler, StepResult};

/// Bounds of the `http` handler.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// The most bytes of an answer's body; 1 MiB unless said otherwise. A longer answer is a permanent
    /// failure, as the result is stored with the step.
    pub body_limit: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { body_limit: 1024 * 1024 }
    }
}

/// The handler `http`.
pub(crate) struct Http {
    pub(crate) templates: Templates,
    pub(crate) clients: Arc<Clients>,
    pub(crate) options: HttpOptions,
}

impl StepHandler for Http {
    fn call(&self, context: StepContext) -> BoxFuture<StepResult> {
        let attempt = Attempt {
            templates: self.templates.clone(),
            clients: Arc::clone(&self.clients),
            limit: self.options.body_limit,
        };
        Box::pin(async move {
            tokio::select! {
                result = attempt.run(&context) => result,
                () = context.cancellation.cancelled() => Err(cancelled()),
            }
        })
    }

    fn inputs(&self) -> Inputs {
        Inputs::Ancestors
    }
}

struct Attempt {
    templates: Templates,
    clients: Arc<Clients>,
    limit: usize,
}

impl Attempt {
    async fn run(&self, context: &StepContext) -> StepResult {
        let fields = Fields::rendered("http", KEYS, context, &self.templates).await?;
        let config = Config::parse(&fields).map_err(invalid)?;
        let result = self.exchange(context, config).await;
        result.map_err(|error| fields.hide(error))
    }

    async fn exchange(&self, context: &StepContext, config: Config) -> StepResult {
        let (name, output) = (config.name(), config.output.clone());
        let client = self.clients.of(&config.url).await?;
        let success = config.success.clone();
        let started = Instant::now();
        let sent = config.request(&client, &context.idempotency_key()).send().await;
        let response = sent.map_err(|e| answer::lost(&name, &e))?;
        let status = response.status().as_u16();
        if !success.iter().any(|range| range.contains(&status)) {
            return Err(self.refused(context.now, started, &name, response).await);
        }
        let result = self.accepted(&name, response).await?;
        match output {
            Some(output) => {
                self.templates.evaluator.run(context, move |session| session.on(&output, &result)).await
            }
            None => Ok(result),
        }
    }

    async fn accepted(&self, name: &str, mut response: Response) -> StepResult {
        let bytes = self.body(name, &mut response).await?;
        let headers = answer::headers(response.headers());
        let body = answer::body(name, response.headers(), bytes)?;
        Ok(json!({"status": response.status().as_u16(), "headers": headers, "body": body}))
    }

    /// `asked` is the instant of the claim, which lies behind by as long as the exchange took.
    async fn refused(
        &self,
        asked: DateTime<Utc>,
        started: Instant,
        name: &str,
        mut response: Response,
    ) -> StepError {
        // The excerpt is a courtesy: without it the status still decides.
        let bytes = self.body(name, &mut response).await.unwrap_or_default();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        answer::refusal(name, response.status(), response.headers(), &body, asked + started.elapsed())
    }

    /// The body, read in pieces so that no more than the limit is ever held.
    async fn body(&self, name: &str, response: &mut Response) -> Result<Vec<u8>, StepError> {
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| answer::lost(name, &e))? {
            if bytes.len() + piece.len() > self.limit {
                return Err(answer::too_large(name, self.limit));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}
