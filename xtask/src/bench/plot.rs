//! Log–log plots of time against size, as SVG that stands alone.

use std::path::Path;

use anyhow::Result;

use super::{
    report::{Report, write},
    subjects::{Question, Series},
};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;

/// A named line of (tasks, ms).
struct Line {
    name: String,
    colour: &'static str,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// The published table that the functions are held against, and what they aim at.
const TARGETS: [(f64, f64, f64); 5] =
    [(50.0, 10.0, 1.0), (500.0, 50.0, 2.0), (5e3, 200.0, 12.0), (5e4, 1e3, 100.0), (1e6, 3e3, 2_500.0)];

/// One file a question.
pub(super) fn draw(report: &Report, folder: &Path) -> Result<()> {
    for question in Question::ALL {
        let mut lines: Vec<Line> = [
            (Series::Functions, "#0b6e4f"),
            (Series::Views, "#c1440e"),
            (Series::ViewsInParts, "#8c2f39"),
            (Series::Calls, "#7768ae"),
            (Series::Baseline, "#444444"),
        ]
        .into_iter()
        .map(|(series, colour)| Line {
            name: series.name().to_owned(),
            colour,
            dashed: false,
            points: report
                .line(question, &series)
                .into_iter()
                .map(|c| (c.tasks as f64, c.times.median()))
                .collect(),
        })
        .filter(|line| !line.points.is_empty())
        .collect();
        lines.extend(targets(question));
        let svg = svg(&format!("{}: median time by number of tasks", question.title()), &lines);
        write(&folder.join(format!("{}.svg", question.name())), &svg)?;
    }
    Ok(())
}

fn targets(question: Question) -> Vec<Line> {
    let line = |name: &str, colour, points| Line { name: name.into(), colour, dashed: true, points };
    let flat = |ms: f64| vec![(50.0, ms), (1e6, ms)];
    match question {
        Question::OpenBatch => vec![
            line("target", "#999999", TARGETS.iter().map(|(n, t, _)| (*n, *t)).collect()),
            line("stretch", "#bbbbbb", TARGETS.iter().map(|(n, _, s)| (*n, *s)).collect()),
        ],
        Question::Next100 => vec![line("target", "#999999", flat(5.0))],
        Question::OneReadiness | Question::OneContext => vec![line("target (p99)", "#999999", flat(2.0))],
        _ => vec![],
    }
}

/// Whole powers of ten around the values.
struct Axis {
    low: f64,
    high: f64,
    start: f64,
    length: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64> + Clone, start: f64, length: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10().ceil().max(low + 1.0);
        Self { low, high, start, length }
    }

    fn place(&self, value: f64) -> f64 {
        self.start + (value.log10() - self.low) / (self.high - self.low) * self.length
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|e| 10f64.powi(e))
    }
}

fn svg(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|l| l.points.iter());
    let x = Axis::around(points().map(|p| p.0), LEFT, WIDTH - LEFT - RIGHT);
    let y = Axis::around(points().map(|p| p.1), HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT);
    let mut parts = vec![
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
        ),
        r##"<rect width="100%" height="100%" fill="#ffffff"/>"##.to_owned(),
        text(LEFT, 26.0, "start", &format!(r#"font-size="15">{title}"#)),
    ];
    for tick in x.ticks() {
        let at = x.place(tick);
        parts.push(rule(at, TOP, at, HEIGHT - BOTTOM));
        parts.push(text(at, HEIGHT - BOTTOM + 18.0, "middle", &format!(">{}", number(tick))));
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        parts.push(rule(LEFT, at, WIDTH - RIGHT, at));
        parts.push(text(LEFT - 8.0, at + 4.0, "end", &format!(">{} ms", number(tick))));
    }
    parts.push(text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0, "middle", ">tasks"));
    for (place, line) in lines.iter().enumerate() {
        parts.extend(curve(line, &x, &y));
        let at = TOP + 14.0 + 20.0 * place as f64;
        let start = WIDTH - RIGHT + 14.0;
        parts.push(stroke(line, &format!("M{start:.0} {at:.0}H{:.0}", start + 26.0)));
        parts.push(text(start + 34.0, at + 4.0, "start", &format!(">{}", line.name)));
    }
    parts.push("</svg>\n".to_owned());
    parts.join("\n")
}

fn curve(line: &Line, x: &Axis, y: &Axis) -> Vec<String> {
    let places: Vec<(f64, f64)> = line.points.iter().map(|(n, ms)| (x.place(*n), y.place(*ms))).collect();
    let path = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect::<Vec<_>>().join("L");
    let mut parts = vec![stroke(line, &format!("M{path}"))];
    if !line.dashed {
        let dot = |(x, y): &(f64, f64)| {
            format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{}"/>"#, line.colour)
        };
        parts.extend(places.iter().map(dot));
    }
    parts
}

fn stroke(line: &Line, path: &str) -> String {
    let dashes = if line.dashed { r#" stroke-dasharray="5 4""# } else { "" };
    format!(r#"<path d="{path}" fill="none" stroke="{}" stroke-width="2"{dashes}/>"#, line.colour)
}

fn rule(x1: f64, y1: f64, x2: f64, y2: f64) -> String {
    format!(r##"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="#e4e4e4"/>"##)
}

/// `rest` is further attributes, `>` and the text.
fn text(x: f64, y: f64, anchor: &str, rest: &str) -> String {
    format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222222" {rest}</text>"##)
}

fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e3 => format!("{}k", v / 1e3),
        v if v >= 1.0 => format!("{v}"),
        v => format!("{v:.3}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_is_as_far_at_every_height() {
        let axis = Axis::around([0.2, 300.0].into_iter(), 0.0, 400.0);
        assert_eq!((axis.low, axis.high), (-1.0, 3.0));
        assert!((axis.place(10.0) - axis.place(1.0) - 100.0).abs() < 1e-9);
        assert!((axis.place(1_000.0) - 400.0).abs() < 1e-9);
    }

    #[test]
    fn a_plot_has_every_line_and_its_name() {
        let line = |name: &str| Line {
            name: name.into(),
            colour: "#000000",
            dashed: false,
            points: vec![(50.0, 0.5), (5_000.0, 12.0)],
        };
        let svg = svg("title", &[line("one"), line("two")]);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains(">one</text>") && svg.contains(">two</text>"));
    }
}
