//! What is timed: our functions, the equal views, and the statements of a baseline.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// A question that several systems answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// Readiness of everything open, counted in the server.
    OpenBatch,
    /// Context of everything open, counted in the server.
    OpenContexts,
    /// The next 100 ready steps of the whole system.
    Next100,
    /// Readiness of the steps of one task.
    OneReadiness,
    /// Context of one task.
    OneContext,
    /// Readiness of the steps of 30 tasks, in one call.
    ThirtyReadiness,
    /// Context of 30 tasks, in one call.
    ThirtyContexts,
}

impl Question {
    pub(super) const ALL: [Self; 7] = [
        Self::OpenBatch,
        Self::OpenContexts,
        Self::Next100,
        Self::OneReadiness,
        Self::OneContext,
        Self::ThirtyReadiness,
        Self::ThirtyContexts,
    ];

    /// The name in files.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OpenBatch => "open_batch",
            Self::OpenContexts => "open_contexts",
            Self::Next100 => "next100",
            Self::OneReadiness => "one_readiness",
            Self::OneContext => "one_context",
            Self::ThirtyReadiness => "thirty_readiness",
            Self::ThirtyContexts => "thirty_contexts",
        }
    }

    /// The name for people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::OpenBatch => "readiness, everything open",
            Self::OpenContexts => "context, everything open",
            Self::Next100 => "next 100 ready steps",
            Self::OneReadiness => "readiness, one task",
            Self::OneContext => "context, one task",
            Self::ThirtyReadiness => "readiness, 30 tasks",
            Self::ThirtyContexts => "context, 30 tasks",
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Series {
    /// The functions of schema `tasker`.
    Functions,
    /// The equal views.
    Views,
    /// The equal view of contexts that computes its parts for all tasks.
    ViewsInParts,
    /// The functions, called for each of 30 tasks.
    Calls,
    /// What `--baseline` brought.
    Baseline,
}

impl Series {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Views => "views",
            Self::ViewsInParts => "views in parts",
            Self::Calls => "30 calls",
            Self::Baseline => "baseline",
        }
    }
}

/// A statement that answers a question.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) question: Question,
    pub(super) series: Series,
    pub(super) sql: String,
}

/// Ours and the views.
pub(super) fn own() -> Vec<Subject> {
    use Question::*;
    use Series::*;
    let counted = "select count(*) as steps, count(*) filter (where ready_for_execution) as ready from";
    let summed = "select count(*) as tasks, sum(ready_steps) as ready from";
    let open = "in ('pending', 'in_progress')";
    let all = [
        (OpenBatch, Functions, format!("{counted} tasker.get_step_readiness_status_batch(null)")),
        (OpenBatch, Views, format!("{counted} bench.step_readiness where task_state {open}")),
        (OpenContexts, Functions, format!("{summed} tasker.get_task_execution_contexts_batch(null)")),
        (OpenContexts, Views, format!("{summed} bench.task_context where status {open}")),
        (Next100, Functions, "select * from tasker.get_next_ready_steps(100)".into()),
        (
            Next100,
            Views,
            "select * from bench.step_readiness where ready_for_execution order by workflow_step_id limit 100".into(),
        ),
        (OneReadiness, Functions, "select * from tasker.get_step_readiness_status($1)".into()),
        (OneReadiness, Views, "select * from bench.step_readiness where task_id = $1".into()),
        (OneContext, Functions, "select * from tasker.get_task_execution_context($1)".into()),
        (OneContext, Views, "select * from bench.task_context where task_id = $1".into()),
        (OneContext, ViewsInParts, "select * from bench.task_context_in_parts where task_id = $1".into()),
        (ThirtyReadiness, Functions, "select * from tasker.get_step_readiness_status_batch($1)".into()),
        (ThirtyReadiness, Views, "select * from bench.step_readiness where task_id = any ($1)".into()),
        (ThirtyReadiness, Calls, "select * from tasker.get_step_readiness_status($1)".into()),
        (ThirtyContexts, Functions, "select * from tasker.get_task_execution_contexts_batch($1)".into()),
        (ThirtyContexts, Views, "select * from bench.task_context where task_id = any ($1)".into()),
        (ThirtyContexts, Calls, "select * from tasker.get_task_execution_context($1)".into()),
    ];
    all.into_iter().map(|(question, series, sql)| Subject { question, series, sql }).collect()
}

/// Another system's script; the contract is in docs/benchmarks.md.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    /// Makes its schema.
    pub(super) load: String,
    /// Fills it from the tables of schema `tasker`.
    pub(super) map: String,
    /// Its answers.
    pub(super) subjects: Vec<Subject>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no baseline", path.display()))
    }

    /// Parts begin with a line `-- bench: NAME`; what stands before the first is the load.
    fn parse(text: &str) -> Result<Self> {
        let mut baseline = Self::default();
        let mut part = "load";
        let mut body = String::new();
        for line in text.lines().map(Some).chain([None]) {
            let next = line.and_then(|l| l.strip_prefix("-- bench:")).map(str::trim);
            if let (None, Some(line)) = (next, line) {
                body = body + line + "\n";
                continue;
            }
            baseline.take(part, std::mem::take(&mut body))?;
            part = next.unwrap_or_default();
        }
        if baseline.subjects.is_empty() {
            bail!("it answers no question: no part `-- bench: open_batch` or other");
        }
        Ok(baseline)
    }

    fn take(&mut self, part: &str, body: String) -> Result<()> {
        match part {
            "load" => self.load = body,
            "map" => self.map = body,
            name => {
                let question = Question::ALL.into_iter().find(|q| q.name() == name);
                let names = Question::ALL.map(Question::name).join(", ");
                let question = question.with_context(|| format!("`{name}` is none of load, map, {names}"))?;
                let sql = body.trim().trim_end_matches(';').to_owned();
                self.subjects.push(Subject { question, series: Series::Baseline, sql });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_split_at_its_marks() {
        let text = "create schema old;\n-- bench: map\ninsert 1;\n-- bench: one_context\nselect 1;\n";
        let baseline = Baseline::parse(text).unwrap();
        assert_eq!((baseline.load.as_str(), baseline.map.as_str()), ("create schema old;\n", "insert 1;\n"));
        assert_eq!(baseline.subjects.len(), 1);
        assert_eq!(baseline.subjects[0].question, Question::OneContext);
        assert_eq!(baseline.subjects[0].sql, "select 1");
    }

    #[test]
    fn a_baseline_that_answers_nothing_is_refused() {
        assert!(Baseline::parse("create schema old;").is_err());
        assert!(Baseline::parse("-- bench: no_such_question\nselect 1").is_err());
    }
}
