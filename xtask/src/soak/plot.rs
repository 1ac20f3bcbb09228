//! Four panels over the minutes: rate, latency, memory, tables. SVG that stands alone.

use super::sample::Sample;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 130.0;
const GAP: f64 = 34.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;

struct Panel {
    title: &'static str,
    colour: &'static str,
    of: fn(&Sample) -> f64,
}

const PANELS: [Panel; 4] = [
    Panel { title: "steps a second", colour: "#0b6e4f", of: |s| s.steps_per_s },
    Panel { title: "p99 from submission to end, ms", colour: "#c1440e", of: |s| s.p99_ms },
    Panel { title: "memory of the worker, MiB", colour: "#7768ae", of: |s| s.rss_kib as f64 / 1024.0 },
    Panel {
        title: "tables and indexes, MiB",
        colour: "#444444",
        of: |s| s.tables_bytes as f64 / 1_048_576.0,
    },
];

/// The document.
pub(super) fn draw(samples: &[Sample]) -> String {
    let height = TOP + (PANEL + GAP) * PANELS.len() as f64;
    let minutes = samples.last().map_or(1.0, |s| s.seconds / 60.0).max(0.1);
    let mut parts = vec![
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">"#
        ),
        r##"<rect width="100%" height="100%" fill="#ffffff"/>"##.to_owned(),
    ];
    for (place, panel) in PANELS.iter().enumerate() {
        parts.extend(panel.draw(samples, TOP + (PANEL + GAP) * place as f64, minutes));
    }
    parts.push("</svg>\n".into());
    parts.join("\n")
}

impl Panel {
    fn draw(&self, samples: &[Sample], top: f64, minutes: f64) -> Vec<String> {
        let most = samples.iter().map(self.of).fold(0.0, f64::max).max(1e-9) * 1.1;
        let x = |sample: &Sample| LEFT + sample.seconds / 60.0 / minutes * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| top + PANEL * (1.0 - value / most);
        let mut parts = vec![text(LEFT, top - 8.0, "start", self.title)];
        for share in [0.0, 0.5, 1.0] {
            let value = most * share;
            parts.push(format!(
                r##"<path d="M{LEFT} {0:.1}H{1:.1}" stroke="#e4e4e4"/>"##,
                y(value),
                WIDTH - RIGHT
            ));
            parts.push(text(LEFT - 8.0, y(value) + 4.0, "end", &number(value)));
        }
        let points: Vec<String> =
            samples.iter().map(|s| format!("{:.1} {:.1}", x(s), y((self.of)(s)))).collect();
        if !points.is_empty() {
            parts.push(format!(
                r#"<path d="M{}" fill="none" stroke="{}" stroke-width="1.5"/>"#,
                points.join("L"),
                self.colour
            ));
        }
        parts.push(text(WIDTH - RIGHT, top + PANEL + 16.0, "end", &format!("{} min", number(minutes))));
        parts
    }
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222222">{text}</text>"##)
}

fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}
