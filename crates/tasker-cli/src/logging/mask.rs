//! Which fields of the log are masked.

/// Words and what stands in place of the value of a field that has one of them in its name.
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    words: Vec<String>,
    text: String,
}

impl Mask {
    pub(crate) fn new(words: &[String], text: &str) -> Self {
        let words = words.iter().filter(|word| !word.is_empty()).map(|word| word.to_lowercase());
        Self { words: words.collect(), text: text.to_owned() }
    }

    /// The mask, if it covers the field of that name.
    pub(crate) fn covers(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        self.words.iter().any(|word| name.contains(word)).then_some(self.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;

    #[test]
    fn a_word_anywhere_in_the_name_counts() {
        let mask = Mask::new(&["passw".into(), "_KEY".into(), String::new()], "***");
        assert_eq!(mask.covers("Password"), Some("***"));
        assert_eq!(mask.covers("api_key"), Some("***"));
        assert_eq!(mask.covers("task"), None);
        assert_eq!(Mask::new(&[], "***").covers("password"), None);
    }
}
