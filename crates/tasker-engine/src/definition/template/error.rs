//! What is wrong with a template, with file, line and path.

use std::fmt;

/// Every problem of one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    source_name: String,
    problems: Vec<TemplateProblem>,
}

/// One problem of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TemplateProblem {
    /// Counted from 1, where it is known.
    pub line: Option<u64>,
    /// Such as `step_templates[2].default_retry_limit`; empty for the whole template.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl TemplateError {
    pub(super) fn new(source_name: &str, problems: Vec<TemplateProblem>) -> Self {
        Self { source_name: source_name.to_owned(), problems }
    }

    /// The name that the caller gave the text, such as its path.
    pub fn source_name(&self) -> &str {
        &self.source_name
    }

    /// The problems, never empty.
    pub fn problems(&self) -> &[TemplateProblem] {
        &self.problems
    }
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.path.is_empty()) {
            (Some(line), true) => write!(f, "line {line}: {}", self.message),
            (Some(line), false) => write!(f, "line {line}: {}: {}", self.path, self.message),
            (None, true) => f.write_str(&self.message),
            (None, false) => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "{}: {only}", self.source_name),
            problems => {
                write!(f, "{}: {} problems:", self.source_name, problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n- {problem}"))
            }
        }
    }
}

impl std::error::Error for TemplateError {}
