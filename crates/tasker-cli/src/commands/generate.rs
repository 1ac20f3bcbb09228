//! `tasker generate`: writes code of the caller's own, by the crate tasker-generate.

use tasker_config::Config;
use tasker_generate::{Generate, GenerateError};

use crate::{
    exit::{Exit, Failure, Outcome},
    output::Output,
};

pub(crate) fn run(what: &Generate, config: &Config, out: &Output) -> Outcome {
    let here = std::env::current_dir()
        .map_err(|e| Failure::new(Exit::Unexpected, format!("the current folder cannot be read: {e}")))?;
    let report = configured(what.clone(), config).run(&here)?;
    out.either(&report, || out.line(&report));
    Ok(Exit::Ok)
}

/// With the folder that is configured, where no flag names one.
fn configured(mut what: Generate, config: &Config) -> Generate {
    if let Generate::Handler(args) = &mut what {
        let configured = config.engine().task_handler_directory.as_ref();
        args.place.directory = args.place.directory.take().or_else(|| configured.map(Into::into));
    }
    what
}

impl From<GenerateError> for Failure {
    fn from(e: GenerateError) -> Self {
        let exit = match &e {
            GenerateError::Exists(_) | GenerateError::NoFile(_) => Exit::Refused,
            GenerateError::Write { .. } | GenerateError::Left { .. } => Exit::Unexpected,
            _ => Exit::BadInput,
        };
        Self { exit, error: e.into() }
    }
}
