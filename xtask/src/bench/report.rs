//! The figures as a table, JSON and CSV.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::{
    crowd::Circumstance,
    scale::Cell,
    server::Conditions,
    subjects::{Question, Series},
};

/// Everything that a run found.
pub(super) struct Report {
    pub(super) command: String,
    pub(super) conditions: Conditions,
    pub(super) load_at_end: String,
    pub(super) cells: Vec<Cell>,
    pub(super) circumstances: Vec<Circumstance>,
}

impl Report {
    /// The figures of one question by one series, by size.
    pub(super) fn line(&self, question: Question, series: &Series) -> Vec<&Cell> {
        self.cells.iter().filter(|c| c.question == question && c.series == *series).collect()
    }

    fn cell(&self, tasks: usize, question: Question) -> Option<&Cell> {
        self.line(question, &Series::Functions).into_iter().find(|c| c.tasks == tasks)
    }

    /// How many times longer another series took than the functions: the median over pairs taken one after
    /// the other.
    fn pairs(&self) -> Vec<(&Cell, f64)> {
        let others = self.cells.iter().filter(|c| c.series != Series::Functions);
        others
            .filter_map(|other| {
                let ours = self.cell(other.tasks, other.question)?;
                let ratios = other.times.0.iter().zip(&ours.times.0).map(|(o, f)| o / f).collect();
                Some((other, super::measure::Times(ratios).median()))
            })
            .collect()
    }

    pub(super) fn print(&self) {
        println!("{}\n", self.conditions.sentence());
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "tasks",
            "question",
            "by",
            "median ms",
            "p99 ms",
            "runs",
            "buffers",
            "plan",
        ]);
        for c in &self.cells {
            table.add_row([
                c.tasks.to_string(),
                c.question.title().into(),
                c.series.name().into(),
                ms(c.times.median()),
                if c.times.0.len() < 100 { String::new() } else { ms(c.times.quantile(0.99)) },
                c.times.0.len().to_string(),
                c.plan.buffers.to_string(),
                c.plan.shape.chars().take(90).collect(),
            ]);
        }
        println!("{table}\n");
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["tasks", "pair", "times as long, median of pairs"]);
        for (other, ratio) in self.pairs() {
            let pair = format!("{}: {} against functions", other.question.title(), other.series.name());
            table.add_row([other.tasks.to_string(), pair, format!("{ratio:.1}")]);
        }
        println!("{table}\n");
        if !self.circumstances.is_empty() {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_header([
                "circumstance",
                "next 100 ms",
                "buffers",
                "everything open ms",
                "one task p99 ms",
            ]);
            for c in &self.circumstances {
                table.add_row([
                    c.name.clone(),
                    ms(c.next100_ms),
                    c.next100_buffers.to_string(),
                    ms(c.open_batch_ms),
                    ms(c.one_readiness_p99_ms),
                ]);
            }
            println!("{table}\n");
        }
        println!("load at the end: {}", self.load_at_end);
    }

    pub(super) fn json(&self) -> Value {
        let mut sizes: Vec<usize> = self.cells.iter().map(|c| c.tasks).collect();
        sizes.dedup();
        let of = |tasks, question, share| self.cell(tasks, question).map(|c| round(c.times.quantile(share)));
        let scale: Vec<Value> = sizes
            .iter()
            .map(|tasks| {
                json!({
                    "tasks": tasks,
                    "open_batch_ms": of(*tasks, Question::OpenBatch, 0.5),
                    "next100_ms": of(*tasks, Question::Next100, 0.5),
                    "one_readiness_p99_ms": of(*tasks, Question::OneReadiness, 0.99),
                    "one_context_p99_ms": of(*tasks, Question::OneContext, 0.99),
                })
            })
            .collect();
        let pair = |(other, ratio): (&Cell, f64)| {
            let name = format!(
                "{}, {} tasks: {} against functions",
                other.question.title(),
                other.tasks,
                other.series.name()
            );
            json!({"name": name, "tasks": other.tasks, "question": other.question.name(),
                   "series": other.series.name(), "ratio": round(ratio)})
        };
        let cell = |c: &Cell| {
            json!({"tasks": c.tasks, "question": c.question.name(), "series": c.series.name(),
                   "median_ms": round(c.times.median()), "p99_ms": round(c.times.quantile(0.99)),
                   "min_ms": round(c.times.quantile(0.0)), "runs": c.times.0.len(), "plan": c.plan})
        };
        json!({
            "command": self.command,
            "conditions": self.conditions,
            "load_at_end": self.load_at_end,
            "scale": scale,
            "pairs": self.pairs().into_iter().map(pair).collect::<Vec<_>>(),
            "cells": self.cells.iter().map(cell).collect::<Vec<_>>(),
            "circumstances": self.circumstances,
        })
    }

    fn csv(&self) -> String {
        let head = "tasks,question,series,median_ms,p99_ms,min_ms,runs,buffers\n".to_owned();
        self.cells.iter().fold(head, |all, c| {
            all + &format!(
                "{},{},{},{:.4},{:.4},{:.4},{},{}\n",
                c.tasks,
                c.question.name(),
                c.series.name(),
                c.times.median(),
                c.times.quantile(0.99),
                c.times.quantile(0.0),
                c.times.0.len(),
                c.plan.buffers
            )
        })
    }

    pub(super) fn write(&self, json: Option<&Path>, csv: Option<&Path>) -> Result<()> {
        if let Some(path) = json {
            write(path, &(serde_json::to_string_pretty(&self.json())? + "\n"))?;
        }
        if let Some(path) = csv {
            write(path, &self.csv())?;
        }
        Ok(())
    }
}

/// Writes a file, and its folder where there is none.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// Three digits that mean something.
pub(super) fn ms(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
