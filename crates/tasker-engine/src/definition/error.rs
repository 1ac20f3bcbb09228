//! Everything that can be wrong with a definition, as sentences.

use std::fmt;

use super::{JsonError, MAX_EDGES, MAX_STEPS, VersionError};

/// Every problem of one definition, in the order in which they were met; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionErrors {
    problems: Vec<DefinitionError>,
}

impl DefinitionErrors {
    /// The problems.
    pub fn problems(&self) -> &[DefinitionError] {
        &self.problems
    }

    /// Nothing, if there is no problem.
    pub(super) fn check(problems: Vec<DefinitionError>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// These problems behind others that were met earlier.
    pub(super) fn after(self, mut earlier: Vec<DefinitionError>) -> Self {
        earlier.extend(self.problems);
        Self { problems: earlier }
    }
}

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "the workflow is not valid: {only}"),
            problems => {
                write!(f, "the workflow is not valid, {} problems:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n- {problem}"))
            }
        }
    }
}

impl std::error::Error for DefinitionErrors {}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameFault {
    /// No character.
    Empty,
    /// More characters than the column takes.
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A control character, a line break or an invisible mark of direction.
    NotPrintable(char),
    /// White space at an end, which nobody sees.
    OuterSpace,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong { chars, limit } => {
                write!(f, "has {chars} characters, more than the {limit} allowed")
            }
            Self::NotPrintable(c) => write!(f, "contains the unprintable character U+{:04X}", u32::from(*c)),
            Self::OuterSpace => f.write_str("begins or ends with white space"),
        }
    }
}

/// One problem of a definition.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A name that cannot be stored or read.
    #[error("the {what} {name:?} {fault}")]
    Name {
        /// `namespace`, `workflow name`, `step name`, `handler of step "x"` …
        what: String,
        /// The name, cut if it is long.
        name: String,
        /// What is wrong.
        fault: NameFault,
    },
    /// Not a version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// More than [`MAX_STEPS`]. Nothing else is checked then.
    #[error(
        "the workflow has {count} steps, more than the {MAX_STEPS} allowed; split it into several workflows"
    )]
    TooManySteps {
        /// How many there are.
        count: usize,
    },
    /// More than [`MAX_EDGES`]. Nothing else is checked then.
    #[error(
        "the workflow has {count} dependencies, more than the {MAX_EDGES} allowed; let a step in between join its parents"
    )]
    TooManyEdges {
        /// How many there are.
        count: usize,
    },
    /// Larger than what can be stored.
    #[error("the definition has {bytes} bytes as JSON, more than the {limit} allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// Two steps of one name.
    #[error("{count} steps have the name {step:?}; names are unique in a workflow")]
    DuplicateStep {
        /// The name.
        step: String,
        /// How many have it.
        count: usize,
    },
    /// A parent that does not exist.
    #[error("step {step:?} depends on {parent:?}, which is not a step of this workflow{}", hint(.suggestion))]
    UnknownParent {
        /// The child.
        step: String,
        /// The name that nothing has.
        parent: String,
        /// A name that is nearly the same.
        suggestion: Option<String>,
    },
    /// A step that waits for itself.
    #[error("step {step:?} depends on itself")]
    SelfDependency {
        /// The step.
        step: String,
    },
    /// One parent said twice.
    #[error("step {step:?} names its parent {parent:?} more than once")]
    RepeatedParent {
        /// The child.
        step: String,
        /// The parent.
        parent: String,
    },
    /// Steps that wait for each other.
    #[error("the steps {} wait for each other in a cycle", .path.join(" → "))]
    Cycle {
        /// Along the edges; the first name is also the last.
        path: Vec<String>,
    },
    /// A parent that belongs to another workflow's builder.
    #[error("{place} was given the handle of a step of another workflow")]
    ForeignHandle {
        /// `step "x"`, or `configure`.
        place: String,
    },
    /// A number outside its bounds.
    #[error("step {step:?}: {field} is {value}, expected {expected}")]
    OutOfRange {
        /// The step.
        step: String,
        /// `retry_limit`, `backoff.jitter` …
        field: &'static str,
        /// What there is.
        value: String,
        /// What there may be.
        expected: String,
    },
    /// JSON that cannot be stored.
    #[error("{place}: {error}")]
    Json {
        /// `schema`, or `step "x": handler_config`.
        place: String,
        /// Why.
        error: JsonError,
    },
    /// A text with the character that PostgreSQL cannot hold.
    #[error("{place} contains the character \\u0000, which cannot be stored")]
    NulCharacter {
        /// `description`, or `step "x": description`.
        place: String,
    },
    /// Not a JSON Schema, or one that refers to another document.
    #[error("schema: {message}")]
    Schema {
        /// Why.
        message: String,
    },
}

impl DefinitionError {
    /// The step concerned, where the problem belongs to one.
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::DuplicateStep { step, .. }
            | Self::UnknownParent { step, .. }
            | Self::SelfDependency { step }
            | Self::RepeatedParent { step, .. }
            | Self::OutOfRange { step, .. } => Some(step),
            Self::Cycle { path } => path.first().map(String::as_str),
            Self::Name { .. }
            | Self::Version(_)
            | Self::TooManySteps { .. }
            | Self::TooManyEdges { .. }
            | Self::TooLarge { .. }
            | Self::ForeignHandle { .. }
            | Self::Json { .. }
            | Self::NulCharacter { .. }
            | Self::Schema { .. } => None,
        }
    }
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}
