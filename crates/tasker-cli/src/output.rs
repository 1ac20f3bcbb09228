//! Everything that reaches stdout and stderr: lines, JSON, tables, colours. Nothing else prints.

use std::{
    cell::RefCell,
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::{Exit, Failure, Outcome};

/// A table is not squeezed into fewer columns.
const NARROW: u16 = 60;

/// Where a command writes what it found.
#[derive(Debug)]
pub(crate) struct Output {
    /// Whether it is read by a program.
    pub(crate) json: bool,
    colours: bool,
    failed: RefCell<Option<io::Error>>,
}

impl Output {
    /// Colours only where a person sees them and has not asked for none.
    pub(crate) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let colours = !json && !plain && io::stdout().is_terminal();
        Self { json, colours, failed: RefCell::new(None) }
    }

    /// Writes a line for people or programs. After the first failure nothing is written any more.
    pub(crate) fn line(&self, text: impl Display) {
        if self.failed.borrow().is_some() {
            return;
        }
        if let Err(e) = writeln!(io::stdout().lock(), "{text}") {
            *self.failed.borrow_mut() = Some(e);
        }
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(e) => *self.failed.borrow_mut() = Some(e.into()),
        }
    }

    /// Writes the value for programs, or what `human` writes for people.
    pub(crate) fn either(&self, value: &impl Serialize, human: impl FnOnce()) {
        if self.json { self.json(value) } else { human() }
    }

    /// Writes rows under a header, without borders; nothing where there are no rows.
    pub(crate) fn table(&self, header: &[&str], rows: Vec<Vec<Cell>>) {
        if rows.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header.iter().map(|h| h.to_uppercase()));
        table.add_rows(rows);
        self.fit(&mut table);
        table.to_string().lines().for_each(|line| self.line(line.trim_end()));
    }

    fn fit(&self, table: &mut Table) {
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        // A terminal that does not know its width, or has none to speak of, wraps by itself.
        let wraps = io::stdout().is_terminal() && table.width().is_some_and(|columns| columns >= NARROW);
        table.set_content_arrangement(match wraps {
            true => ContentArrangement::Dynamic,
            false => ContentArrangement::Disabled,
        });
        if self.colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
    }

    /// A heading or another word that should stand out.
    pub(crate) fn strong(&self, text: &str) -> String {
        if self.colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.into() }
    }

    /// What becomes of the exit code: a reader that went away is no failure, a full disk is.
    pub(crate) fn finish(&self, exit: Exit) -> Outcome {
        let flushed = io::stdout().flush().err();
        match self.failed.take().or(flushed) {
            Some(e) if e.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Unexpected, format!("the output could not be written: {e}")))
            }
            _ => Ok(exit),
        }
    }
}

/// Writes a line to stderr; if nobody reads it, so be it.
pub(crate) fn note(text: impl Display) {
    let _nobody_reads = writeln!(io::stderr().lock(), "{text}");
}

/// A state in its colour.
pub(crate) fn state(word: impl Display) -> Cell {
    let word = word.to_string();
    let colour = match word.as_str() {
        "complete" => Some(Color::Green),
        "resolved_manually" => Some(Color::Cyan),
        "error" => Some(Color::Red),
        "in_progress" => Some(Color::Yellow),
        "cancelled" => Some(Color::DarkGrey),
        _ => None,
    };
    let cell = Cell::new(word);
    match colour {
        Some(colour) => cell.fg(colour),
        None => cell,
    }
}

/// The text in one line of at most so many characters, without anything that moves a terminal's cursor.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c == ' ').filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn one_line_is_harmless_and_short() {
        assert_eq!(one_line("a\n\u{1b}[31mb  c", 80), "a [31mb c");
        assert_eq!(one_line("äöü", 2), "äö…");
        assert_eq!(one_line("äö", 2), "äö");
    }
}
