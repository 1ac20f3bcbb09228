//! The sources of a configuration, in code.

use std::{ffi::OsString, path::PathBuf};

use serde_json::Value;

use crate::{Config, ConfigReport, build};

/// Collects sources. Whatever the order of the calls, a later one of these wins: defaults, files in their order, the
/// overrides in them for the environment, variables, values of code in their order.
#[derive(Default)]
pub struct Builder {
    pub(crate) files: Vec<File>,
    pub(crate) environment: Option<String>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) values: Vec<(String, Value)>,
}

/// A file, read when the configuration is built.
pub(crate) enum File {
    At(PathBuf),
    Text { name: String, text: String },
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl Builder {
    /// A TOML file. One that is not there is a mistake.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(File::At(path.into()));
        self
    }

    /// A TOML text; the name stands in reports and is not opened.
    #[must_use]
    pub fn toml(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push(File::Text { name: name.into(), text: text.into() });
        self
    }

    /// The environment whose overrides, `[environments.NAME]`, apply. If there are files, one of them must have it.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// The variables of the environment, such as [`std::env::vars_os`] has them. Those of the form
    /// `TASKER_SECTION__KEY` set options; the others only give secrets that a file asks for by name.
    #[must_use]
    pub fn variables<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        all: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.variables.extend(all.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// A value of the program itself, for a key such as `execution.lease_seconds`. A section is set key by key.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.push((key.into(), value.into()));
        self
    }

    /// The configuration. Reads the files, and those that secrets are in.
    ///
    /// # Errors
    /// Every mistake of every source at once.
    pub fn build(self) -> Result<Config, ConfigReport> {
        build::build(self)
    }
}
