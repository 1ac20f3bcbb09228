//! What an order costs and when it is refused, in exact decimals and apart from any workflow.
//! The demo compares what the engine did with this judge; it must never be computed from the engine's answers.

use std::{error::Error, fmt};

use rust_decimal::{Decimal, RoundingStrategy};

use super::catalogue::{Cart, Catalogue, Line, Product};

/// What ordering every cart of a catalogue comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Carts that can be ordered.
    pub(crate) complete: usize,
    /// Carts that are refused.
    pub(crate) error: usize,
    /// The sum of the orders that can be made, with two decimals.
    pub(crate) total: Decimal,
}

/// The product that made an order fail: the first such in the cart's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoProduct { product: u64, wanted: u64 },
    ShortStock { product: u64, title: String, wanted: u64, available: u64 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProduct { product, wanted } => {
                write!(f, "Product {product} does not exist: {wanted} wanted, 0 available.")
            }
            Self::ShortStock { product, title, wanted, available } => {
                write!(f, "Product {product} ({title}) is short: {wanted} wanted, {available} available.")
            }
        }
    }
}

impl Error for Refusal {}

/// Counts and adds up the orders of all carts.
pub(crate) fn expected(catalogue: &Catalogue) -> Expected {
    let none = Expected { complete: 0, error: 0, total: Decimal::new(0, 2) };
    catalogue.carts.iter().fold(none, |sum, cart| match order(cart, catalogue) {
        Ok(total) => Expected { complete: sum.complete + 1, total: sum.total + total, ..sum },
        Err(_) => Expected { error: sum.error + 1, ..sum },
    })
}

/// The cart's total, with two decimals, if every product exists and is in stock for all its lines together.
pub(crate) fn order(cart: &Cart, catalogue: &Catalogue) -> Result<Decimal, Refusal> {
    let mut total = Decimal::ZERO;
    for line in &cart.lines {
        total += price(line, available(line.product, cart, catalogue)?);
    }
    total.rescale(2);
    Ok(total)
}

fn available<'a>(id: u64, cart: &Cart, catalogue: &'a Catalogue) -> Result<&'a Product, Refusal> {
    let lines = cart.lines.iter().filter(|line| line.product == id);
    let wanted = lines.map(|line| u64::from(line.quantity)).sum();
    let product = catalogue.product(id).ok_or(Refusal::NoProduct { product: id, wanted })?;
    if wanted > product.stock {
        let (title, available) = (product.title.clone(), product.stock);
        return Err(Refusal::ShortStock { product: id, title, wanted, available });
    }
    Ok(product)
}

/// Each line is rounded before it is added, since each is a position on the bill.
fn price(line: &Line, product: &Product) -> Decimal {
    let share = Decimal::ONE - line.discount_percentage / Decimal::ONE_HUNDRED;
    let exact = product.price * Decimal::from(line.quantity) * share;
    exact.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::catalogue::entries, *};

    /// Products: 1 at 10.50, 5 in stock; 2 at 0.05, 100 in stock; 3 at 19.99, 44 in stock.
    fn catalogue(carts: Vec<Value>) -> Catalogue {
        let products = vec![
            json!({"id": 1, "title": "Kettle", "price": 10.5, "stock": 5}),
            json!({"id": 2, "title": "Button", "price": 0.05, "stock": 100}),
            json!({"id": 3, "title": "Palette", "price": 19.99, "stock": 44}),
        ];
        Catalogue { carts: entries(carts).unwrap(), products: entries(products).unwrap() }
    }

    /// Orders a cart of lines (product, quantity, discount), the discount as JSON text.
    fn ordered(lines: &[(u64, u32, &str)]) -> Result<String, String> {
        let lines: Vec<Value> = lines
            .iter()
            .map(|(id, quantity, discount)| {
                let discount: Value = serde_json::from_str(discount).unwrap();
                json!({"id": id, "quantity": quantity, "discount_percentage": discount})
            })
            .collect();
        let catalogue = catalogue(vec![json!({"id": 1, "products": lines})]);
        order(&catalogue.carts[0], &catalogue)
            .map(|total| total.to_string())
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_half_cent_is_rounded_up() {
        // 0.05 × 0.90 = 0.045, and 0.05 × 0.50 = 0.025, where rounding to even would give 0.04 and 0.02.
        assert_eq!(ordered(&[(2, 1, "10")]).unwrap(), "0.05");
        assert_eq!(ordered(&[(2, 1, "50")]).unwrap(), "0.03");
        // 0.05 × 0.8999 = 0.044995 stays below the half.
        assert_eq!(ordered(&[(2, 1, "10.01")]).unwrap(), "0.04");
    }

    #[test]
    fn each_line_is_rounded_before_it_is_added() {
        // Twice 0.025 is 0.05, but twice 0.03 is 0.06.
        assert_eq!(ordered(&[(2, 1, "50"), (2, 1, "50.0")]).unwrap(), "0.06");
    }

    #[test]
    fn a_line_has_its_own_discount() {
        // 19.99 × 2 × 0.8027 = 32.091946 → 32.09; 10.50 × 3 × 0.9461 = 29.80215 → 29.80.
        assert_eq!(ordered(&[(3, 2, "19.73"), (1, 3, "5.39")]).unwrap(), "61.89");
    }

    #[test]
    fn no_discount_and_full_discount() {
        assert_eq!(ordered(&[(3, 3, "0")]).unwrap(), "59.97");
        assert_eq!(ordered(&[(1, 2, "0.0")]).unwrap(), "21.00");
        assert_eq!(ordered(&[(3, 3, "100"), (2, 1, "100.0")]).unwrap(), "0.00");
    }

    #[test]
    fn an_empty_cart_costs_nothing() {
        assert_eq!(ordered(&[]).unwrap(), "0.00");
    }

    #[test]
    fn the_lines_of_a_product_share_its_stock() {
        // 10.50 × 3 = 31.50 and 10.50 × 2 × 0.5 = 10.50.
        assert_eq!(ordered(&[(1, 3, "0"), (1, 2, "50")]).unwrap(), "42.00");
        let short = ordered(&[(2, 1, "0"), (1, 3, "0"), (1, 3, "0")]);
        assert_eq!(short.unwrap_err(), "Product 1 (Kettle) is short: 6 wanted, 5 available.");
    }

    #[test]
    fn a_missing_product_is_named() {
        assert_eq!(
            ordered(&[(99, 2, "0")]).unwrap_err(),
            "Product 99 does not exist: 2 wanted, 0 available."
        );
    }

    #[test]
    fn a_catalogue_is_the_sum_of_its_orders() {
        let line = |id, quantity| json!([{"id": id, "quantity": quantity, "discount_percentage": 0}]);
        let carts = [line(1, 2), line(1, 6), line(3, 1), line(4, 1), json!([])];
        let carts = carts.iter().zip(1..).map(|(lines, id)| json!({"id": id, "products": lines}));
        let expected = expected(&catalogue(carts.collect()));
        assert_eq!(expected, Expected { complete: 3, error: 2, total: "40.99".parse().unwrap() });
        assert_eq!(super::expected(&catalogue(Vec::new())).total.to_string(), "0.00");
    }
}
