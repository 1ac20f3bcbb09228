//! A result that has no JSON form.

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
    struct Secret;
    w.step("secret", (), async |_: TypedContext<Order>, _: ()| Ok(Secret));
}
