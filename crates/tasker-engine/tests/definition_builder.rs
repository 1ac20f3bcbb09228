//! The typed builder: what it defines, registers and runs without a database.

use std::time::Duration;

use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tasker_engine::{
    definition::{BackoffPolicy, FailurePolicy, InlineError, StepHandle, TypedContext, Workflow},
    handler::{Failure, Handler, HandlerRegistry, StepError},
};

#[derive(Serialize, Deserialize)]
struct Order {
    sku: String,
    quantity: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cart {
    cents: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stock {
    held: u32,
}

async fn cart(ctx: TypedContext<Order>, _: ()) -> Result<Cart, StepError> {
    if ctx.input.quantity == 0 {
        return Err(StepError::permanent("the order is empty"));
    }
    Ok(Cart { cents: 250 * u64::from(ctx.input.quantity) })
}

async fn stock(ctx: TypedContext<Order>, _cart: Cart) -> Result<Stock, StepError> {
    Ok(Stock { held: ctx.input.quantity })
}

async fn ship(ctx: TypedContext<Order>, (cart, stock): (Cart, Stock)) -> Result<String, StepError> {
    Ok(format!(
        "{}×{} for {} ({}, {})",
        stock.held,
        ctx.input.sku,
        cart.cents,
        ctx.attempt,
        ctx.idempotency_key()
    ))
}

fn create(_: &mut PgConnection, ctx: &TypedContext<Order>, cart: Cart) -> Result<u64, StepError> {
    Ok(cart.cents + u64::from(ctx.input.quantity))
}

fn order(quantity: u32) -> Order {
    Order { sku: "tea".into(), quantity }
}

fn shop() -> (Workflow<Order>, StepHandle<Cart>, StepHandle<String>) {
    let mut w = Workflow::<Order>::new("order").namespace("shop").version("1.2.0");
    let c = w.step("cart", (), cart);
    let s = w.step("stock", c, stock);
    let shipped = w.step("ship", (c, s), ship);
    (w, c, shipped)
}

#[test]
fn defines_and_registers() {
    let (mut w, cart, shipped) = shop();
    w.configure(shipped)
        .retry_limit(5)
        .retryable(false)
        .timeout(Duration::from_micros(1_500))
        .backoff(BackoffPolicy::Fixed { wait_ms: 10, jitter: 0.0 })
        .priority(1)
        .skippable()
        .dependent_system("carrier")
        .description("Hands the parcel over")
        .config(json!({"carrier": "post"}));
    w.configure(cart).priority(2);
    let workflow = w.description("Orders").failure_policy(FailurePolicy::FailFast).build().unwrap();

    let definition = workflow.definition();
    assert_eq!(definition.full_name(), "shop.order@1.2.0");
    let step = definition.step("ship").unwrap();
    assert_eq!(step.depends_on, ["cart", "stock"]);
    assert_eq!((step.retry_limit, step.retryable, step.timeout_ms, step.priority), (5, false, Some(2), 1));
    assert_eq!((step.skippable, step.dependent_system.as_str()), (true, "carrier"));

    let mut registry = HandlerRegistry::new();
    workflow.register(&mut registry);
    assert_eq!(
        registry.names(),
        ["shop/order@1.2.0/cart", "shop/order@1.2.0/ship", "shop/order@1.2.0/stock"]
    );
    assert!(definition.steps().iter().all(|step| registry.get(&step.handler).is_some()));
}

#[tokio::test]
async fn runs_without_a_database() {
    let (w, c, shipped) = shop();
    let run = w.build().unwrap().run_inline(&order(2)).await.unwrap();
    assert_eq!(run.get(c), Ok(Cart { cents: 500 }));
    assert_eq!(run.get(shipped).unwrap(), "2×tea for 500 (1, 1:ship:1)");
    assert_eq!(run.results["stock"], json!({"held": 2}));

    let (_, foreign, _) = shop();
    assert!(matches!(run.get(foreign), Err(InlineError::Result(_))));
}

#[tokio::test]
async fn stops_at_the_first_failure() {
    let (w, ..) = shop();
    let error = w.build().unwrap().run_inline(&order(0)).await.unwrap_err();
    assert_eq!(error.to_string(), "step \"cart\" failed: the order is empty");
}

#[tokio::test]
async fn a_transactional_step_wants_a_connection() {
    let (mut w, c, _) = shop();
    let created = w.transactional_step("create", c, create);
    w.configure(created).retry_limit(1);
    let workflow = w.build().unwrap();
    let mut registry = HandlerRegistry::new();
    workflow.register(&mut registry);
    assert!(matches!(registry.get("shop/order@1.2.0/create"), Some(Handler::Transactional(_))));
    let error = workflow.run_inline(&order(1)).await.unwrap_err();
    assert_eq!(error, InlineError::NeedsConnection { step: "create".into() });
}

#[tokio::test]
async fn unreadable_contexts_and_results_fail_permanently() {
    let (w, ..) = shop();
    let workflow = w.build().unwrap();
    let mut registry = HandlerRegistry::new();
    workflow.register(&mut registry);
    let Some(Handler::Async(handler)) = registry.get("shop/order@1.2.0/stock") else { panic!("no handler") };

    let context = |context, results: serde_json::Value| tasker_engine::handler::StepContext {
        task_id: tasker_model::TaskId(7),
        step_id: tasker_model::StepId(8),
        step_name: "stock".into(),
        workflow: "shop.order@1.2.0".into(),
        attempt: 1,
        generation: 1,
        context: std::sync::Arc::new(context),
        results: std::sync::Arc::new(serde_json::from_value(results).unwrap()),
        config: Default::default(),
        now: Default::default(),
        cancellation: Default::default(),
    };
    let good = json!({"sku": "tea", "quantity": 1});
    for (context, expected) in [
        (
            context(json!({"sku": "tea"}), json!({"cart": {"cents": 1}})),
            "the task's context is not a definition_builder::Order: missing field `quantity`",
        ),
        (
            context(good.clone(), json!({"cart": {"cents": -1}})),
            "the result of the parent step \"cart\" is not a definition_builder::Cart: invalid value: integer `-1`, expected u64",
        ),
        (
            context(good.clone(), json!({})),
            "the parent step \"cart\" left no result; `.optional()` takes its handle without one",
        ),
    ] {
        let error = handler.call(context).await.unwrap_err();
        assert_eq!((error.failure, error.message.as_str()), (Failure::Permanent, expected));
    }
    assert_eq!(handler.call(context(good, json!({"cart": {"cents": 1}}))).await, Ok(json!({"held": 1})));
}

#[tokio::test]
async fn tuples_repetition_and_absent_parents() {
    let mut w = Workflow::<u32>::new("numbers");
    let a = w.step("a", (), async |ctx: TypedContext<u32>, ()| Ok(ctx.input));
    let none = w.step("none", (), async |_: TypedContext<u32>, ()| Ok(None::<u32>));
    let all = w.step(
        "all",
        (a, a, a, a, a, a, a, none.optional()),
        async |_: TypedContext<u32>,
               (b, c, d, e, f, g, h, n): (u32, u32, u32, u32, u32, u32, u32, Option<Option<u32>>)| {
            Ok((b + c + d + e + f + g + h, n.is_none()))
        },
    );
    let workflow = w.build().unwrap();
    assert_eq!(workflow.definition().step("all").unwrap().depends_on, ["a", "none"]);
    let run = workflow.run_inline(&3).await.unwrap();
    assert_eq!(run.get(all), Ok((21, true)));
}

#[test]
fn everything_surfaces_at_build() {
    let (_, foreign, _) = shop();
    let mut w = Workflow::<Order>::new("order").version("1.0");
    let a = w.step("a", (), cart);
    w.step("a", a, stock);
    w.step("b", foreign, stock);
    w.configure(foreign).priority(1);
    let found: Vec<_> = w.build().unwrap_err().problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "version \"1.0\" is not three whole numbers of at most nine digits with dots between, such as \"1.0.0\"",
            "step \"b\" was given the handle of a step of another workflow",
            "configure was given the handle of a step of another workflow",
            "2 steps have the name \"a\"; names are unique in a workflow",
            "step \"a\" depends on itself",
        ]
    );
}
