//! A value that must not be seen: it has no `Display`, and `Debug` and serde write `[redacted]`.

use std::{fmt, fs, path::PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// A secret text. It cannot be compared, since `==` takes a time that tells how much is equal.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Whoever asks for it answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

/// Where a configuration has a secret from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum SecretSource {
    /// The secret itself, put there by whoever read the environment.
    Text(Secret),
    /// A file whose text is the secret, without the line ends at its end.
    File {
        /// Its path.
        file: PathBuf,
    },
}

impl SecretSource {
    /// The secret, or the rest of a sentence that says why there is none.
    pub fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::File { file } => fs::read_to_string(file)
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
                .map_err(|e| format!("the file {} cannot be read: {e}", file.display())),
        }
    }
}
