//! What a person sees: a line for everything that happens, a bar while it runs, and a verdict.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{checks::Outcome, watch::Counts};

/// Where the demo talks. With `--json`, standard output gets one object and people read standard error.
pub(super) struct Screen {
    json: bool,
    colour: bool,
}

/// The bar of a run.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn show(&self, counts: &Counts) {
        self.0.set_position(counts.settled.unsigned_abs());
        let Counts { steps_done, retries, takeovers, .. } = counts;
        self.0.set_message(format!("{steps_done} steps done, {retries} retries, {takeovers} taken over"));
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        let terminal = if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        Self { json, colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) }
    }

    pub(super) fn title(&self) {
        self.say(&self.bold("Tasker: orders through a durable workflow, while a worker is killed"));
    }

    pub(super) fn say(&self, line: &str) {
        if self.json {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }

    pub(super) fn bar(&self, tasks: usize) -> Bar {
        let bar = ProgressBar::with_draw_target(Some(tasks as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} orders  {msg}");
        Bar(style.map(|s| bar.clone().with_style(s)).unwrap_or(bar))
    }

    /// The verdict.
    pub(super) fn end(&self, outcome: &Outcome) {
        self.counts(outcome);
        self.say(&format!("\n{}", outcome.drawing));
        self.checks(outcome);
        if self.json {
            println!("{}", serde_json::to_string(outcome).unwrap_or_default());
        }
    }

    fn counts(&self, o: &Outcome) {
        self.say(&format!(
            "\n{} orders in {:.1} s: {} complete, {} refused, {} steps",
            self.bold(&o.tasks.to_string()),
            o.seconds,
            o.complete,
            o.error,
            o.steps
        ));
        self.say(&format!(
            "{} bad answers of the service, {} retries, {} steps taken over from the killed worker",
            o.faults, o.retries, o.takeovers
        ));
        if let Some(refusal) = &o.refusal {
            self.say(&format!("a refused order says: {refusal}"));
        }
    }

    fn checks(&self, o: &Outcome) {
        self.check(o.lost == 0, &format!("lost orders: {}", o.lost));
        self.check(
            o.doubled == 0,
            &format!("orders or steps that happened twice in the database: {}", o.doubled),
        );
        self.check(o.stuck == 0, &format!("stuck tasks: {}", o.stuck));
        self.check(o.misjudged == 0, "every order ended as the rule says");
        self.check(
            o.money_adds_up(),
            &format!("money adds up: {} booked, {} by the rule", o.order_total, o.expected_total),
        );
        self.check(
            o.events_add_up(),
            &format!(
                "one event for each order: {}, and {} repeats told apart by their key",
                o.events, o.repeated_events
            ),
        );
    }

    fn check(&self, good: bool, line: &str) {
        let mark = if good { self.paint("32", "ok  ") } else { self.paint("31", "FAIL") };
        self.say(&format!("{mark} {line}"));
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
