//! A made-up catalogue from a seed: the same seed gives the same shop, good orders and bad ones.
//! It is built as JSON and read like a file, so that generated and loaded data take one way.

use std::collections::HashSet;

use fastrand::Rng;
use serde_json::{Number, Value, json};

use super::catalogue::{Catalogue, Product, entries};

const PRODUCTS: usize = 40;
const MOST_LINES: usize = 5;
/// A line of a good cart wants at most this many; twice as many are always in stock.
const MOST_WANTED: u64 = 4;
/// One cart in this many cannot be met.
const BAD_ONE_IN: usize = 20;

const MAKES: [&str; 8] =
    ["Alder", "Brightwater", "Copperfield", "Fenwick", "Larkspur", "Mistral", "Oakhaven", "Tansy"];
const THINGS: [&str; 10] = [
    "Bread Knife",
    "Canvas Bag",
    "Desk Lamp",
    "Enamel Mug",
    "Felt Slippers",
    "Garden Fork",
    "Linen Apron",
    "Notebook",
    "Tea Kettle",
    "Wool Blanket",
];

/// Why a cart cannot be met.
#[derive(Clone, Copy)]
enum Defect {
    /// One line wants more than there is.
    Short,
    /// Each of two lines could be met, their sum cannot.
    ShortInSum,
    /// A product is not in the catalogue.
    Missing,
}

impl Catalogue {
    /// Makes 40 products and `carts` carts of 1 to 5 lines, of which one in 20, rounded, cannot be met.
    pub(crate) fn generate(seed: u64, carts: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let products = entries(products(&mut rng)).expect("generated products keep the rules of a file");
        let bad = rng.choose_multiple(1..=carts, (carts + BAD_ONE_IN / 2) / BAD_ONE_IN);
        let bad: HashSet<usize> = bad.into_iter().collect();
        let mut defects = [Defect::Short, Defect::ShortInSum, Defect::Missing].into_iter().cycle();
        let carts = (1..=carts).map(|id| {
            let defect = if bad.contains(&id) { defects.next() } else { None };
            cart(id, lines(&mut rng, &products, defect), &mut rng)
        });
        let carts = entries(carts.collect()).expect("generated carts keep the rules of a file");
        Self { carts, products }
    }
}

fn products(rng: &mut Rng) -> Vec<Value> {
    let titles = MAKES.iter().flat_map(|make| THINGS.iter().map(move |thing| format!("{make} {thing}")));
    let mut titles = rng.choose_multiple(titles, PRODUCTS);
    rng.shuffle(&mut titles);
    let numbered = titles.into_iter().zip(1..);
    numbered.map(|(title, id)| product(id, &title, rng)).collect()
}

fn product(id: u64, title: &str, rng: &mut Rng) -> Value {
    let stock = rng.u64(2 * MOST_WANTED..=120);
    json!({"id": id, "title": title, "price": hundredths(rng.u64(199..25_000)), "stock": stock})
}

fn cart(id: usize, lines: Vec<Value>, rng: &mut Rng) -> Value {
    let total_quantity: u64 = lines.iter().filter_map(|line| line["quantity"].as_u64()).sum();
    json!({
        "id": id,
        "user_id": rng.u64(1..=200),
        "total_products": lines.len(),
        "total_quantity": total_quantity,
        "products": lines,
    })
}

fn lines(rng: &mut Rng, products: &[Product], defect: Option<Defect>) -> Vec<Value> {
    let count = rng.usize(1..=MOST_LINES);
    let mut chosen = rng.choose_multiple(products, count);
    if count > 1 && rng.u8(..8) == 0 {
        chosen[count - 1] = chosen[0];
    }
    let mut lines: Vec<Value> =
        chosen.iter().map(|product| line(product.id, rng.u64(1..=MOST_WANTED), rng)).collect();
    if let Some(defect) = defect {
        spoil(&mut lines, chosen[0], defect, rng);
    }
    lines
}

/// Spoils a cart by its first line, which is for `product`.
fn spoil(lines: &mut Vec<Value>, product: &Product, defect: Defect, rng: &mut Rng) {
    match defect {
        Defect::Short => lines[0] = line(product.id, product.stock + rng.u64(1..=9), rng),
        Defect::ShortInSum => {
            lines.truncate(MOST_LINES - 1);
            lines[0] = line(product.id, product.stock / 2 + 1, rng);
            lines.push(line(product.id, product.stock.div_ceil(2), rng));
        }
        Defect::Missing => lines[0] = line(PRODUCTS as u64 + rng.u64(1..=50), rng.u64(1..=MOST_WANTED), rng),
    }
}

/// One line in five has no discount.
fn line(product: u64, quantity: u64, rng: &mut Rng) -> Value {
    let discount = if rng.u8(..5) == 0 { 0 } else { rng.u64(1..=2_000) };
    json!({"id": product, "quantity": quantity, "discount_percentage": hundredths(discount)})
}

/// The number is made from its text, so that it reads as cents do.
fn hundredths(amount: u64) -> Number {
    format!("{}.{:02}", amount / 100, amount % 100)
        .parse()
        .expect("two integers and a point are a JSON number")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{catalogue::Line, rule},
        *,
    };

    fn carts(catalogue: &Catalogue) -> Vec<&Value> {
        catalogue.carts.iter().map(|cart| &cart.json).collect()
    }

    fn repeats(catalogue: &Catalogue) -> usize {
        let repeats = |lines: &[Line]| {
            let mut seen = HashSet::new();
            lines.iter().any(|line| !seen.insert(line.product))
        };
        catalogue.carts.iter().filter(|cart| repeats(&cart.lines)).count()
    }

    #[test]
    fn a_seed_gives_the_same_catalogue() {
        assert_eq!(carts(&Catalogue::generate(7, 50)), carts(&Catalogue::generate(7, 50)));
        assert_ne!(carts(&Catalogue::generate(7, 50)), carts(&Catalogue::generate(8, 50)));
    }

    #[test]
    fn one_cart_in_twenty_cannot_be_met() {
        for seed in 0..50 {
            let catalogue = Catalogue::generate(seed, 300);
            let expected = rule::expected(&catalogue);
            assert_eq!((expected.complete, expected.error), (285, 15), "seed {seed}");
            assert_eq!((catalogue.carts.len(), catalogue.products.len()), (300, PRODUCTS));
            assert!(catalogue.carts.iter().all(|cart| (1..=MOST_LINES).contains(&cart.lines.len())));
            assert!((10..70).contains(&repeats(&catalogue)), "seed {seed}: {}", repeats(&catalogue));
        }
    }

    #[test]
    fn no_carts_are_no_orders() {
        assert!(Catalogue::generate(1, 0).carts.is_empty());
    }

    #[test]
    fn hundredths_are_written_as_cents() {
        assert_eq!(hundredths(1_999).to_string(), "19.99");
        assert_eq!(hundredths(5).to_string(), "0.05");
    }
}
