//! What the shop sells and what its customers want, read from two JSON files and checked once.
//! Money goes from a number's text into a decimal; no binary fraction takes part in a computation.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Number, Value};

/// The bounds keep `price × quantity × (1 − discount)` within a decimal's 28 digits, so that it is exact.
const MOST_PRICE: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
const MOST_QUANTITY: u32 = 1_000_000;
const MOST_DECIMALS: u32 = 4;

/// Carts to be ordered and the products they may hold, each with an id of its own, in the order of their file.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    pub(crate) carts: Vec<Cart>,
    pub(crate) products: Vec<Product>,
}

/// What one customer wants.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cart {
    pub(crate) id: u64,
    #[serde(rename = "products")]
    pub(crate) lines: Vec<Line>,
    /// The object as it was read. It is served, and submitted as a workflow's input, with every field it has.
    #[serde(skip)]
    pub(crate) json: Value,
}

/// A product in a cart. The same product may be in several lines.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    #[serde(rename = "id")]
    pub(crate) product: u64,
    pub(crate) quantity: u32,
    #[serde(deserialize_with = "exact")]
    pub(crate) discount_percentage: Decimal,
}

/// A product for sale. Orders do not consume its stock.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: u64,
    pub(crate) title: String,
    #[serde(deserialize_with = "exact")]
    pub(crate) price: Decimal,
    pub(crate) stock: u64,
    #[serde(skip)]
    pub(crate) json: Value,
}

impl Catalogue {
    /// Reads `{"carts": […]}` and `{"products": […]}`. An error is a sentence that names file and reason.
    pub(crate) fn load(carts: &Path, products: &Path) -> Result<Self> {
        Ok(Self { carts: from_file(carts)?, products: from_file(products)? })
    }

    pub(crate) fn cart(&self, id: u64) -> Option<&Cart> {
        self.carts.iter().find(|cart| cart.id == id)
    }

    pub(crate) fn product(&self, id: u64) -> Option<&Product> {
        self.products.iter().find(|product| product.id == id)
    }
}

/// An object of one of the two lists.
pub(super) trait Entry: DeserializeOwned {
    /// The list's name in its file.
    const LIST: &str;

    fn id(&self) -> u64;
    fn keep(&mut self, json: Value);
    fn check(&self) -> Result<()>;
}

impl Entry for Cart {
    const LIST: &str = "carts";

    fn id(&self) -> u64 {
        self.id
    }

    fn keep(&mut self, json: Value) {
        self.json = json;
    }

    fn check(&self) -> Result<()> {
        for line in &self.lines {
            let quantity = line.quantity;
            ensure!(
                (1..=MOST_QUANTITY).contains(&quantity),
                "a quantity is 1 to {MOST_QUANTITY}, not {quantity}"
            );
            amount("a discount", line.discount_percentage, Decimal::ONE_HUNDRED)?;
        }
        Ok(())
    }
}

impl Entry for Product {
    const LIST: &str = "products";

    fn id(&self) -> u64 {
        self.id
    }

    fn keep(&mut self, json: Value) {
        self.json = json;
    }

    fn check(&self) -> Result<()> {
        amount("a price", self.price, MOST_PRICE)
    }
}

fn amount(what: &str, amount: Decimal, most: Decimal) -> Result<()> {
    ensure!(Decimal::ZERO <= amount && amount <= most, "{what} is 0 to {most}, not {amount}");
    let decimals = amount.normalize().scale();
    ensure!(
        decimals <= MOST_DECIMALS,
        "{what} has at most {MOST_DECIMALS} decimals, but {amount} has {decimals}"
    );
    Ok(())
}

fn from_file<T: Entry>(path: &Path) -> Result<Vec<T>> {
    list(path, T::LIST)
        .and_then(entries)
        .map_err(|reason| anyhow!("The {} cannot be taken from {}: {reason:#}.", T::LIST, path.display()))
}

fn list(path: &Path, name: &str) -> Result<Vec<Value>> {
    let mut file: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let list = file.get_mut(name).map(Value::take).with_context(|| format!("it has no member \"{name}\""))?;
    serde_json::from_value(list).with_context(|| format!("its member \"{name}\" is not usable"))
}

/// Types and checks the objects of a list; each keeps its JSON.
pub(super) fn entries<T: Entry>(list: Vec<Value>) -> Result<Vec<T>> {
    let mut ids = HashSet::new();
    let numbered = list.into_iter().zip(1..);
    numbered
        .map(|(json, number)| entry(json, &mut ids).with_context(|| format!("its entry {number}")))
        .collect()
}

fn entry<T: Entry>(json: Value, ids: &mut HashSet<u64>) -> Result<T> {
    let mut entry = T::deserialize(&json)?;
    entry.check()?;
    ensure!(ids.insert(entry.id()), "the id {} is taken already", entry.id());
    entry.keep(json);
    Ok(entry)
}

/// The shortest text that stands for a JSON number is what its author wrote, and a decimal holds that exactly.
fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = Number::deserialize(deserializer)?.to_string();
    Decimal::from_str_exact(&text)
        .or_else(|_| Decimal::from_scientific(&text))
        .map_err(|_| serde::de::Error::custom(format_args!("{text} does not fit a decimal")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A directory of the test's own, named by the process, since nothing else here needs a temporary one.
    fn write(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("tasker-orders-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        path
    }

    fn refusal<T: Entry>(name: &str, text: &str) -> String {
        let path = write(name, text);
        let error = from_file::<T>(&path).err().unwrap().to_string();
        fs::remove_file(&path).unwrap();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        error
    }

    #[test]
    fn a_file_is_read_with_every_field_kept() {
        let cart = json!({"id": 3, "products": [{"id": 4, "quantity": 2, "discount_percentage": 14.12}], "gift": true});
        let product = json!({"id": 4, "title": "Kettle", "price": 12.99, "stock": 68});
        let carts = write("carts.json", &json!({"carts": [cart]}).to_string());
        let products = write("products.json", &json!({"products": [product]}).to_string());
        let catalogue = Catalogue::load(&carts, &products).unwrap();
        fs::remove_file(carts).unwrap();
        fs::remove_file(products).unwrap();
        assert_eq!(catalogue.cart(3).unwrap().json, cart);
        assert_eq!(catalogue.cart(3).unwrap().lines[0].discount_percentage.to_string(), "14.12");
        assert_eq!(catalogue.product(4).unwrap().price.to_string(), "12.99");
        assert_eq!(catalogue.product(4).unwrap().json, product);
        assert!(catalogue.cart(4).is_none() && catalogue.product(3).is_none());
    }

    #[test]
    fn money_is_what_the_text_says() {
        for (text, money) in
            [("0.1", "0.1"), ("19.99", "19.99"), ("2", "2"), ("1e2", "100"), ("999999.9999", "999999.9999")]
        {
            let product = format!(r#"{{"id": 1, "title": "", "price": {text}, "stock": 0}}"#);
            let read: Vec<Product> = entries(vec![serde_json::from_str(&product).unwrap()]).unwrap();
            assert_eq!(read[0].price.normalize().to_string(), money);
        }
    }

    #[test]
    fn a_bad_file_is_refused_by_name_and_reason() {
        let missing = from_file::<Cart>(Path::new("/nowhere/carts.json")).err().unwrap().to_string();
        assert!(missing.starts_with("The carts cannot be taken from /nowhere/carts.json: "), "{missing}");
        for (name, text, reason) in [
            ("broken", "{", "EOF while parsing"),
            ("empty", "{}", "it has no member \"products\""),
            ("object", r#"{"products": 1}"#, "its member \"products\" is not usable: invalid type"),
            (
                "priceless",
                r#"{"products": [{"id": 1, "title": "", "stock": 1}]}"#,
                "its entry 1: missing field `price`",
            ),
            (
                "free",
                r#"{"products": [{"id": 1, "title": "", "stock": 1, "price": -1}]}"#,
                "a price is 0 to 1000000, not -1",
            ),
            (
                "fine",
                r#"{"products": [{"id": 1, "title": "", "stock": 1, "price": 1e-5}]}"#,
                "at most 4 decimals",
            ),
            (
                "huge",
                r#"{"products": [{"id": 1, "title": "", "stock": 1, "price": 1e300}]}"#,
                "does not fit a decimal",
            ),
        ] {
            let error = refusal::<Product>(name, text);
            assert!(error.contains(reason), "{error}");
        }
        let twice =
            refusal::<Cart>("twice", r#"{"carts": [{"id": 5, "products": []}, {"id": 5, "products": []}]}"#);
        assert!(twice.contains("its entry 2: the id 5 is taken already"), "{twice}");
        let line =
            r#"{"carts": [{"id": 5, "products": [{"id": 1, "quantity": 0, "discount_percentage": 0}]}]}"#;
        assert!(refusal::<Cart>("none", line).contains("a quantity is 1 to 1000000, not 0"));
    }
}
