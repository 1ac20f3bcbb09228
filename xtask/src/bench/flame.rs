//! Flame graphs of folded stacks, as SVG that stands alone: width is the share of the samples, a frame stands on
//! its caller, and its title says the rest.

use std::{collections::BTreeMap, fmt::Write};

const WIDTH: f64 = 1_200.0;
const HEIGHT: f64 = 17.0;
const TOP: f64 = 30.0;
/// Narrower frames are left out, with what stands on them.
const NARROWEST: f64 = 0.4;
/// The width of a character of the labels.
const LETTER: f64 = 6.6;

/// A frame and what it called.
#[derive(Debug, Default)]
pub(super) struct Frame {
    samples: u64,
    called: BTreeMap<String, Frame>,
}

impl Frame {
    /// Counts one sample: its stack, outermost frame first.
    pub(super) fn add<'a>(&mut self, stack: impl IntoIterator<Item = &'a str>) {
        self.samples += 1;
        let mut frame = self;
        for name in stack {
            frame = frame.called.entry(name.to_owned()).or_default();
            frame.samples += 1;
        }
    }

    /// How many samples there were.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// The share of the samples in which a frame is found whose name passes.
    pub(super) fn share(&self, passes: &dyn Fn(&str) -> bool) -> f64 {
        self.within(passes) as f64 / self.samples.max(1) as f64
    }

    fn within(&self, passes: &dyn Fn(&str) -> bool) -> u64 {
        let of = |(name, frame): (&String, &Frame)| {
            if passes(name) { frame.samples } else { frame.within(passes) }
        };
        self.called.iter().map(of).sum()
    }

    fn depth(&self, scale: f64) -> usize {
        let wide = self.called.values().filter(|f| f.samples as f64 * scale >= NARROWEST);
        wide.map(|f| 1 + f.depth(scale)).max().unwrap_or(0)
    }

    /// The picture.
    pub(super) fn svg(&self, title: &str) -> String {
        let scale = WIDTH / self.samples.max(1) as f64;
        let bottom = TOP + HEIGHT * self.depth(scale) as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"monospace\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"6\" y=\"19\" font-size=\"13\">{}</text>\n",
            bottom + 8.0,
            escaped(title)
        );
        self.draw(&mut svg, (0.0, bottom - HEIGHT), scale, self.samples);
        svg.push_str("</svg>\n");
        svg
    }

    fn draw(&self, svg: &mut String, (mut x, y): (f64, f64), scale: f64, all: u64) {
        for (name, frame) in &self.called {
            let width = frame.samples as f64 * scale;
            if width >= NARROWEST {
                rectangle(svg, name, (x, y, width), frame.samples as f64 * 100.0 / all as f64);
                frame.draw(svg, (x, y - HEIGHT), scale, all);
            }
            x += width;
        }
    }
}

fn rectangle(svg: &mut String, name: &str, (x, y, width): (f64, f64, f64), share: f64) {
    let letters = (width / LETTER) as usize;
    let label: String = if letters < 3 { String::new() } else { name.chars().take(letters - 1).collect() };
    let _infallible = writeln!(
        svg,
        "<g><title>{} {share:.1} %</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\" rx=\"1\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
        escaped(name),
        HEIGHT - 1.0,
        colour(name),
        x + 3.0,
        y + 12.0,
        escaped(&label)
    );
}

/// Ours, the driver's, the runtime's, and all else.
fn colour(name: &str) -> &'static str {
    match name {
        n if n.starts_with("tasker") || n.starts_with("<tasker") => "#f2a65a",
        n if n.contains("diesel") || n.starts_with("PQ") || n.starts_with("pq") => "#8ecae6",
        n if n.contains("serde_json") => "#b7e4c7",
        n if n.contains("tokio") => "#d8c3e8",
        _ => "#e9ecef",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::Frame;

    fn graph() -> Frame {
        let mut graph = Frame::default();
        graph.add(["main", "work", "query"]);
        graph.add(["main", "work", "query"]);
        graph.add(["main", "work"]);
        graph.add(["main", "idle<T>"]);
        graph
    }

    #[test]
    fn a_frame_is_as_wide_as_its_samples() {
        let svg = graph().svg("it & that");
        assert!(svg.contains("<title>main 100.0 %</title><rect x=\"0.0\""), "{svg}");
        assert!(svg.contains("<title>query 50.0 %</title>") && svg.contains("width=\"600.0\""), "{svg}");
        assert!(svg.contains("idle&lt;T&gt; 25.0 %") && svg.contains("it &amp; that"), "{svg}");
    }

    #[test]
    fn a_sample_counts_once_however_often_the_name_stands_in_it() {
        let mut graph = graph();
        graph.add(["main", "work", "work"]);
        assert!((graph.share(&|n| n == "work") - 0.8).abs() < 1e-9);
        assert_eq!(graph.samples(), 5);
    }
}
