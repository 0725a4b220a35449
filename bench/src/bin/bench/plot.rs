//! Draws the results: for each workload a bar for each client. The length of a bar is the speed
//! relative to the fastest client.

use std::fmt::Write;

use crate::results::Results;
use crate::table::{peers, rounded};
use crate::workloads::Workload;

const BAR: usize = 11;
const GAP: usize = 12;
const LEFT: usize = 330;
const WIDTH: usize = 380;
const TOP: usize = 46;

fn colour(peer: &str) -> &'static str {
    match peer {
        "carrot" => "#e8711c",
        "rabbitmq-c" => "#4c566a",
        "amiquip" => "#5b8db8",
        "lapin" => "#6aa56a",
        "amqprs" => "#a97bb5",
        "pika" => "#c9b458",
        _ => "#b0a8a0",
    }
}

pub fn draw(results: &Results, workloads: &[Workload]) -> String {
    let peers = peers(results);
    let mut body = String::new();
    for (index, peer) in peers.iter().enumerate() {
        let left = 12 + index * 100;
        let _ = writeln!(body, r#"<rect x="{left}" y="12" width="12" height="12" fill="{}"/>"#, colour(peer));
        let _ = writeln!(body, r#"<text x="{}" y="22">{peer}</text>"#, left + 17);
    }
    let mut top = TOP;
    for workload in workloads.iter().filter(|workload| workload.kind != "idle") {
        let rates = peers.iter().filter_map(|peer| Some((*peer, results.spread(workload, peer, |measurement| Some(measurement.rate()))?)));
        let rates: Vec<_> = rates.collect();
        let Some(fastest) = rates.iter().map(|(_, rate)| rate.median).reduce(f64::max) else { continue };
        let title = workload.title();
        let (first, rest) = title.split_once(", ").unwrap_or((&title, ""));
        let _ = writeln!(body, r#"<text x="{}" y="{}" text-anchor="end" font-weight="bold">{first}</text>"#, LEFT - 10, top + 10);
        let _ = writeln!(body, r##"<text x="{}" y="{}" text-anchor="end" fill="#666">{rest}</text>"##, LEFT - 10, top + 23);
        for (peer, rate) in &rates {
            let length = |rate: f64| rate / fastest * WIDTH as f64;
            let _ = writeln!(
                body,
                r#"<rect x="{LEFT}" y="{top}" width="{:.1}" height="{}" fill="{}"/>"#,
                length(rate.median).max(1.0),
                BAR - 1,
                colour(peer)
            );
            let end = LEFT as f64 + length(rate.median) + 5.0;
            let _ = writeln!(body, r#"<text x="{end:.1}" y="{}">{}/s</text>"#, top + BAR - 2, rounded(rate.median));
            top += BAR;
        }
        top += GAP + 26_usize.saturating_sub(rates.len() * BAR);
    }
    let (width, height) = (LEFT + WIDTH + 70, top);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n{body}</svg>\n"
    )
}
