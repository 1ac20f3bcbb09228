//! The workflow of `examples/order.yaml` in typed Rust: the same five steps, the same rule, the same sentences.

use std::{collections::BTreeMap, sync::Arc};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Number, json};
use tasker::prelude::*;

/// What a task is given: a cart, of which only the id is read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CartRef {
    /// The cart at the order service.
    pub(crate) id: u64,
}

/// A cart as the order service has it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cart {
    products: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: u64,
    quantity: u32,
    discount_percentage: Number,
}

/// What the shop sells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Products {
    products: Vec<Product>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Product {
    id: u64,
    title: String,
    price: Number,
    stock: u64,
}

/// Nothing to say but that the cart can be ordered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Valid {
    lines: usize,
}

/// The order that was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    order_id: i64,
    total: String,
}

/// The order service, shared by the steps.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    url: Arc<str>,
    client: reqwest::Client,
}

impl Service {
    /// A client of the service at this address.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').into(), client: reqwest::Client::new() }
    }

    async fn get<T: DeserializeOwned>(&self, key: &str, path: &str) -> Result<T, StepError> {
        let request = self.client.get(format!("{}{path}", self.url)).header("Idempotency-Key", key);
        Ok(classified(request.send().await?)?.json().await?)
    }

    async fn post(&self, key: &str, path: &str, body: &serde_json::Value) -> Result<(), StepError> {
        let request = self.client.post(format!("{}{path}", self.url)).header("Idempotency-Key", key);
        classified(request.json(body).send().await?).map(drop)
    }
}

/// Whether another attempt may help is the service's to say.
fn classified(response: reqwest::Response) -> Result<reqwest::Response, StepError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
    let message = format!("{} answered {status}", response.url().path());
    let error = match status.as_u16() {
        408 | 409 | 425 | 429 | 500.. => StepError::retryable(message),
        _ => StepError::permanent(message),
    };
    Err(match wait {
        Some(seconds) => error.with_retry_after(std::time::Duration::from_secs(seconds)),
        None => error,
    })
}

/// The workflow against this service.
pub(crate) fn workflow(service: Service) -> Result<TypedWorkflow<CartRef>, DefinitionErrors> {
    let mut w = Workflow::<CartRef>::new("typed_order").namespace("shop").version("1.0.0");
    let (carts, shop, events) = (service.clone(), service.clone(), service);
    let cart =
        w.step("fetch_cart", (), move |order: TypedContext<CartRef>, ()| {
            let service = carts.clone();
            async move {
                service.get::<Cart>(&order.idempotency_key(), &format!("/carts/{}", order.input.id)).await
            }
        });
    let products = w.step("fetch_products", (), move |order: TypedContext<CartRef>, ()| {
        let service = shop.clone();
        async move { service.get::<Products>(&order.idempotency_key(), "/products").await }
    });
    let valid = w.step("validate_products", (cart, products), validate);
    let order = w.transactional_step("create_order", (cart, products, valid), create);
    let published = w.step("publish_event", order, move |ctx: TypedContext<CartRef>, order: Order| {
        let service = events.clone();
        async move {
            let event = json!({"type": "order_placed", "order_id": order.order_id, "total": order.total});
            service.post(&ctx.idempotency_key(), "/events", &event).await
        }
    });
    let quick =
        BackoffPolicy::Table { waits_ms: vec![200, 500, 1_000], factor: 2.0, cap_ms: 5_000, jitter: 0.1 };
    w.configure(cart).retry_limit(5).backoff(quick.clone());
    w.configure(products).retry_limit(5).backoff(quick.clone());
    w.configure(published).retry_limit(5).backoff(quick);
    w.build()
}

/// Every product exists and is in stock for all lines together.
async fn validate(_: TypedContext<CartRef>, (cart, shop): (Cart, Products)) -> Result<Valid, StepError> {
    let mut wanted = BTreeMap::<u64, u64>::new();
    for line in &cart.products {
        *wanted.entry(line.id).or_default() += u64::from(line.quantity);
    }
    for (id, wanted) in wanted {
        let why = match shop.products.iter().find(|p| p.id == id) {
            None => format!("Product {id} does not exist: {wanted} wanted, 0 available."),
            Some(p) if wanted > p.stock => {
                format!("Product {id} ({}) is short: {wanted} wanted, {} available.", p.title, p.stock)
            }
            Some(_) => continue,
        };
        return Err(StepError::permanent(why).with_code("INVALID_CART_PRODUCTS"));
    }
    Ok(Valid { lines: cart.products.len() })
}

/// The sum of the lines, each rounded half up to cents before it is added, in exact decimals.
fn total(cart: &Cart, shop: &Products) -> Result<Decimal, StepError> {
    let exact =
        |n: &Number| n.to_string().parse::<Decimal>().map_err(|e| StepError::permanent(format!("{n}: {e}")));
    let mut total = Decimal::new(0, 2);
    for line in &cart.products {
        let Some(product) = shop.products.iter().find(|p| p.id == line.id) else { continue };
        let share = Decimal::ONE - exact(&line.discount_percentage)? / Decimal::ONE_HUNDRED;
        let price = exact(&product.price)? * Decimal::from(line.quantity) * share;
        total += price.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    }
    Ok(total)
}

/// Writes the order in the same commit as the step: exactly once.
fn create(
    conn: &mut PgConnection,
    ctx: &TypedContext<CartRef>,
    (cart, shop, _): (Cart, Products, Valid),
) -> Result<Order, StepError> {
    #[derive(QueryableByName)]
    struct Written {
        #[diesel(sql_type = BigInt)]
        order_id: i64,
    }
    let total = total(&cart, &shop)?.to_string();
    let written: Written = sql_query(
        "insert into orders (task_id, cart_id, total) values ($1, $2, $3::numeric) returning order_id",
    )
    .bind::<BigInt, _>(ctx.task_id)
    .bind::<BigInt, _>(i64::try_from(ctx.input.id)?)
    .bind::<Text, _>(&total)
    .get_result(conn)?;
    Ok(Order { order_id: written.order_id, total })
}
