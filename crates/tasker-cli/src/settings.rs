//! Where the configuration is, and the only place that hands the environment to it.

use std::{env, path::PathBuf};

use clap::Args;
use tasker_config::{Config, ConfigReport};

/// Which configuration applies; flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration, instead of TASKER_CONFIG or a tasker.toml here
    #[arg(
        id = "config_file",
        long = "config",
        value_name = "FILE",
        global = true,
        help_heading = "Global options"
    )]
    file: Option<PathBuf>,
    /// The environment whose overrides in the configuration apply, instead of TASKER_ENV
    #[arg(
        id = "config_env",
        long = "env",
        value_name = "NAME",
        global = true,
        help_heading = "Global options"
    )]
    environment: Option<String>,
}

/// The file that is read where nobody names one.
const HERE: &str = "tasker.toml";

impl ConfigArgs {
    /// The file: the flag's, the variable's, or the one that is here.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let named = self.file.clone().or_else(|| variable("TASKER_CONFIG").map(PathBuf::from));
        named.or_else(|| Some(PathBuf::from(HERE)).filter(|here| here.exists()))
    }

    /// The environment, if one is named.
    pub(crate) fn environment(&self) -> Option<String> {
        self.environment.clone().or_else(|| variable("TASKER_ENV"))
    }

    /// The configuration, or everything that is wrong with it.
    pub(crate) fn load(&self) -> Result<Config, ConfigReport> {
        let mut builder = Config::builder().variables(env::vars_os());
        if let Some(file) = self.file() {
            builder = builder.file(file);
        }
        if let Some(name) = self.environment() {
            builder = builder.environment(name);
        }
        builder.build()
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
