//! A handler that takes a result, declared without parents.

use serde::{Deserialize, Serialize};
use tasker_engine::{
    definition::{TypedContext, Workflow},
    handler::StepError,
};

#[derive(Serialize, Deserialize)]
struct Order;
#[derive(Serialize, Deserialize)]
struct Cart;
#[derive(Serialize, Deserialize)]
struct Stock;

async fn cart(_: TypedContext<Order>, _: ()) -> Result<Cart, StepError> {
    Ok(Cart)
}
async fn stock(_: TypedContext<Order>, _: Cart) -> Result<Stock, StepError> {
    Ok(Stock)
}
async fn ship(_: TypedContext<Order>, _: (Cart, Stock)) -> Result<(), StepError> {
    Ok(())
}

fn main() {
    let mut w = Workflow::<Order>::new("order");
    w.step("cart", (), cart);
    w.step("stock", (), stock);
}
