//! `tasker generate`: writes code of the caller's own, by the crate tasker-generate.

use tasker_generate::{Generate, GenerateError};

use crate::{
    exit::{Exit, Failure, Outcome},
    output::Output,
};

pub(crate) fn run(what: &Generate, out: &Output) -> Outcome {
    let here = std::env::current_dir()
        .map_err(|e| Failure::new(Exit::Unexpected, format!("the current folder cannot be read: {e}")))?;
    let report = what.run(&here)?;
    out.either(&report, || out.line(&report));
    Ok(Exit::Ok)
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
