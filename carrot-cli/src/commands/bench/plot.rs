//! A plot of the rates over the time, and of the latencies.

use std::fmt::Write;

use super::results::{QUANTILES, milliseconds};
use super::running::Measured;
use super::watching::BenchSample;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 620.0;
/// The top and the bottom of the rates.
const RATES: (f64, f64) = (40.0, 220.0);
/// The top of the first bar of the latencies, and the distance between two.
const BARS: (f64, f64) = (280.0, 26.0);
const PUBLISHED: &str = "#b35900";
const RECEIVED: &str = "#1f6fb2";

/// Returns an SVG image.
pub(super) fn svg(measured: &Measured) -> String {
    let height = BARS.0 + BARS.1 * QUANTILES.len() as f64 + 10.0;
    let mut image = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    rates(&mut image, &measured.samples);
    latencies(&mut image, measured);
    image.push_str("</svg>\n");
    image
}

fn text(image: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: &str) {
    let _ = writeln!(
        image,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
    );
}

/// The messages in a second between two samples, and the time of the later one in seconds.
fn steps(samples: &[BenchSample], number: impl Fn(&BenchSample) -> u64) -> Vec<(f64, f64)> {
    let step = |pair: &[BenchSample]| {
        let [earlier, later] = pair else { return None };
        let seconds = later.time.saturating_sub(earlier.time).as_secs_f64();
        let more = number(later).saturating_sub(number(earlier)) as f64;
        (seconds > 0.0).then(|| (later.time.as_secs_f64(), more / seconds))
    };
    samples.windows(2).filter_map(step).collect()
}

fn rates(image: &mut String, samples: &[BenchSample]) {
    let lines = [
        ("published", PUBLISHED, steps(samples, |sample| sample.published)),
        ("received", RECEIVED, steps(samples, |sample| sample.received)),
    ];
    let points = || lines.iter().flat_map(|(_, _, line)| line);
    let longest = points().map(|(time, _)| *time).fold(0.001, f64::max);
    let most = points().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let (top, bottom) = RATES;
    text(image, LEFT, top - 20.0, "start", "black", "messages per second");
    for part in [0.0, 0.5, 1.0] {
        let y = bottom - part * (bottom - top);
        let _ = writeln!(image, "<path d=\"M{LEFT} {y}H{RIGHT}\" stroke=\"#ddd\"/>");
        text(image, LEFT - 8.0, y + 4.0, "end", "black", &format!("{:.0}", most * part));
        let x = LEFT + part * (RIGHT - LEFT);
        let seconds = format!("{:.1} s", longest * part);
        text(image, x, bottom + 18.0, "middle", "black", &seconds);
    }
    for (index, (name, colour, line)) in lines.iter().enumerate() {
        let mut path = String::new();
        for (time, rate) in line {
            let x = LEFT + time / longest * (RIGHT - LEFT);
            let y = bottom - rate / most * (bottom - top);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
        let _ = writeln!(
            image,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        let x = RIGHT - 80.0 * (1.0 - index as f64);
        text(image, x, top - 20.0, "end", colour, name);
    }
}

fn latencies(image: &mut String, measured: &Measured) {
    let (top, height) = BARS;
    let times: Vec<_> = QUANTILES
        .iter()
        .filter_map(|(name, part)| Some((*name, milliseconds(measured.latencies.quantile(*part)?))))
        .collect();
    if times.is_empty() {
        return;
    }
    text(image, LEFT, top - 12.0, "start", "black", "latency in milliseconds");
    let longest = times.iter().map(|(_, time)| *time).fold(0.001, f64::max);
    for (index, (name, time)) in times.iter().enumerate() {
        let y = top + height * index as f64;
        let width = time / longest * (RIGHT - LEFT - 70.0);
        text(image, LEFT - 8.0, y + 13.0, "end", "black", name);
        let _ = writeln!(
            image,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" fill=\"{RECEIVED}\"/>"
        );
        text(image, LEFT + width + 6.0, y + 13.0, "start", "black", &format!("{time:.3}"));
    }
}
