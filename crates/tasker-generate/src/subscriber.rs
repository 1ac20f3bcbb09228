//! `subscriber`: listens to what a worker does, and tells it or counts it.

use crate::{
    GenerateError, Name, PlaceArgs, Plan,
    event::{Counter, EventName},
    fill::fill,
};

/// What `subscriber` takes.
#[derive(Debug, Clone, clap::Args)]
#[non_exhaustive]
pub struct SubscriberArgs {
    /// The name of the subscriber
    pub name: String,
    /// The events that it listens to [default: what needs attention, or with --metrics what is usually counted]
    #[arg(long, value_name = "NAMES", value_enum, value_delimiter = ',')]
    pub events: Vec<EventName>,
    /// Count events instead of telling them
    #[arg(long)]
    pub metrics: bool,
    /// Where the files go.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// The types that samples are made of.
const TYPES: [&str; 5] = ["FailureKind", "StepId", "TaskId", "TaskState", "WorkerId"];

impl SubscriberArgs {
    /// The files.
    ///
    /// # Errors
    /// If the name cannot be one.
    pub fn plan(&self) -> Result<Plan, GenerateError> {
        let (template, used) = match self.metrics {
            true => (
                include_str!("../templates/subscriber.metrics.rs.txt"),
                include_str!("../templates/subscriber.metrics.use.txt"),
            ),
            false => (
                include_str!("../templates/subscriber.rs.txt"),
                include_str!("../templates/subscriber.use.txt"),
            ),
        };
        let name = Name::of_type("a subscriber", &self.name, template)?;
        let values =
            [("name", name.snake()), ("Name", &name.pascal()), ("VERSION", env!("CARGO_PKG_VERSION"))];
        let directory = self.place.directory("src/subscribers");
        Ok(Plan::default()
            .next(format!("Declare `pub mod {name};` in {}.", directory.join("mod.rs").display()))
            .next(fill(include_str!("../templates/subscriber.manifest.txt"), &values))
            .next(fill(used, &values))
            .next(format!("cargo test {name}"))
            .file(directory.join(format!("{name}.rs")), self.rust(&name, template)))
    }

    /// Each once, in the order of the engine.
    fn events(&self) -> Vec<EventName> {
        use EventName::{LeaseLost, StepCompleted, StepFailed, TaskSettled, WorkerExpired};
        let mut events = match (self.events.is_empty(), self.metrics) {
            (false, _) => self.events.clone(),
            (true, true) => vec![StepCompleted, StepFailed, TaskSettled, LeaseLost],
            (true, false) => vec![StepFailed, LeaseLost, WorkerExpired],
        };
        events.sort();
        events.dedup();
        events
    }

    fn rust(&self, name: &Name, template: &str) -> String {
        let events = self.events();
        let counters: Vec<Counter> = events.iter().flat_map(|event| event.counters()).collect();
        let samples: Vec<&str> = counters.iter().map(|counter| counter.sample).collect();
        let arms: String = events.iter().map(|event| event.arm()).collect();
        let count = counters.len().to_string();
        let has_state = self.metrics && events.contains(&EventName::TaskSettled);
        let state = if has_state { "use tasker::model::TaskState;\n" } else { "" };
        let said: String = counters.iter().map(pair).collect();
        let counting: String =
            counters.iter().map(|c| format!("        {} => \"{}\",\n", c.pattern, c.name)).collect();
        fill(
            template,
            &[
                ("name", name.snake()),
                ("Name", &name.pascal()),
                ("ARMS", &arms),
                ("SAMPLES", &list(&samples)),
                ("TYPES", &types(&samples, has_state)),
                ("USE_STATE", state),
                ("COUNT", &count),
                ("COUNTERS", &said),
                ("COUNTING", &counting),
            ],
        )
    }
}

/// A counter with what it counts, as rustfmt writes a pair: on one line, if that is short.
fn pair(counter: &Counter) -> String {
    let (name, help) = (format!("{:?}", counter.name), format!("{:?}", counter.help));
    match name.len() + help.len() {
        ..=58 => format!("    ({name}, {help}),\n"),
        _ => format!("    (\n        {name},\n        {help},\n    ),\n"),
    }
}

/// A list of samples, as rustfmt writes one.
fn list(samples: &[&str]) -> String {
    let [only] = samples else { return format!("        vec![\n{}        ]\n", samples.concat()) };
    let lines: Vec<&str> = only.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let text = lines.join("\n");
    format!("        vec![{}]\n", text.trim().trim_end_matches(','))
}

/// The line that brings what the samples are made of.
fn types(samples: &[&str], has_state: bool) -> String {
    let text = samples.concat();
    let used = TYPES.into_iter().filter(|name| text.contains(name) && !(has_state && *name == "TaskState"));
    match used.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        [only] => format!("    use tasker::model::{only};\n\n"),
        several => format!("    use tasker::model::{{{}}};\n\n", several.join(", ")),
    }
}
