//! `generate KIND NAME`: the command line that `tasker` and others take as it is, and what it reports.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    AuthenticatorArgs, CoordinatorArgs, GenerateError, HandlerArgs, PlaceArgs, Plan, SubscriberArgs,
};

/// What can be generated.
#[derive(Debug, Clone, clap::Subcommand)]
#[non_exhaustive]
pub enum Generate {
    /// A workflow: its template in YAML, and in Rust what its steps run
    Handler(HandlerArgs),
    /// A subscriber: tells or counts what a worker does
    Subscriber(SubscriberArgs),
    /// An authenticator: who asks
    Authenticator(AuthenticatorArgs),
    /// A coordinator: may they
    Coordinator(CoordinatorArgs),
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Written {
    /// It is new.
    Written,
    /// It took the place of another.
    Overwritten,
    /// It would have been written.
    Would,
}

/// One file of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportedFile {
    /// Where.
    pub path: PathBuf,
    /// What became of it.
    pub written: Written,
    /// Its text, where it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What was generated; as text, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The files.
    pub files: Vec<ReportedFile>,
    /// What remains to be done by hand, in order.
    pub next_steps: Vec<String>,
}

impl Generate {
    /// Generates what was asked for; paths are looked at from `root`.
    ///
    /// # Errors
    /// With a sentence that says what to do. Nothing has been changed then.
    pub fn run(&self, root: &Path) -> Result<Report, GenerateError> {
        let (plan, place) = self.plan()?;
        let written = match place.dry_run {
            true => vec![Written::Would; plan.files.len()],
            false => plan.write(root, place.force)?.into_iter().map(Written::of).collect(),
        };
        let files = plan.files.into_iter().zip(written).map(|(file, written)| ReportedFile {
            path: file.path,
            written,
            text: place.dry_run.then_some(file.text),
        });
        Ok(Report { files: files.collect(), next_steps: plan.next_steps })
    }

    fn plan(&self) -> Result<(Plan, &PlaceArgs), GenerateError> {
        match self {
            Self::Handler(args) => Ok((args.plan()?, &args.place)),
            Self::Subscriber(args) => Ok((args.plan()?, &args.place)),
            Self::Authenticator(args) => Ok((args.plan()?, &args.place)),
            Self::Coordinator(args) => Ok((args.plan()?, &args.place)),
        }
    }
}

impl Written {
    fn of(replaced: bool) -> Self {
        if replaced { Self::Overwritten } else { Self::Written }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            let word = match file.written {
                Written::Written => "wrote",
                Written::Overwritten => "overwrote",
                Written::Would => "would write",
            };
            writeln!(f, "{word} {}", file.path.display())?;
            if let Some(text) = &file.text {
                writeln!(f, "{}", indented(text, "    "))?;
            }
        }
        write!(f, "\nNext:")?;
        let mut steps = (1..).zip(&self.next_steps);
        steps.try_for_each(|(n, step)| write!(f, "\n{n}. {}", indented(step, "   ").trim_start()))
    }
}

fn indented(text: &str, by: &str) -> String {
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("{by}{line}") };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}
