//! Templates as text: `__NAME__` stands for a value, and every value is put in once.

use std::collections::BTreeMap;

/// The template with its values. What a value brings along is not looked at again; a name that has no value
/// stays as it is, which the tests would not let pass.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let values: BTreeMap<&str, &str> = values.iter().copied().collect();
    let mut text = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("__") {
        text.push_str(before);
        match after.split_once("__").and_then(|(name, rest)| Some((*values.get(name)?, rest))) {
            Some((value, after)) => {
                text.push_str(value);
                rest = after;
            }
            None => {
                text.push_str("__");
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn values_are_put_in_once() {
        let values = [("A", "__B__"), ("B", "b")];
        assert_eq!(fill("__A__ and __B__, __C__ __ a__B__b", &values), "__B__ and b, __C__ __ abb");
        assert_eq!(fill("", &values), "");
    }
}
