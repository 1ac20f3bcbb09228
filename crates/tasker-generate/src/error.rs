//! Why nothing was generated.

use std::{io, path::PathBuf};

use tasker_engine::definition::TemplateError;

use crate::NameError;

/// Why nothing was generated. No file has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A name that cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A workflow without steps.
    #[error("a workflow needs a step: write --steps fetch,validate,ship")]
    NoSteps,
    /// Two steps whose names, or the types named after them, are the same.
    #[error("the steps `{first}` and `{second}` would have the same {what}; name one of them otherwise")]
    SameStep {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// What is the same.
        what: &'static str,
    },
    /// What was asked for is no workflow.
    #[error("{}", .0.problems().iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
    Workflow(#[source] TemplateError),
    /// Files that would be overwritten.
    #[error("{} there already; --force overwrites, --dry-run shows what would be written", are(.0))]
    Exists(Vec<PathBuf>),
    /// Something that is no file stands where a file should be.
    #[error("{} is there and is no file; move it away or choose another --directory", .0.display())]
    NoFile(PathBuf),
    /// The file system refuses.
    #[error("{} cannot be written: {source}; nothing was changed", path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file system refused, and then refused to take back what had been done before.
    #[error("{} cannot be written: {source}; look after {}", path.display(), list(left))]
    Left {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
        /// Files that are not as they were.
        left: Vec<PathBuf>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn are(paths: &[PathBuf]) -> String {
    format!("{} {}", list(paths), if paths.len() == 1 { "is" } else { "are" })
}
