//! The tables of backends in `docs/guarantees.md` are those of the conformance kit.
//!
//! `CARROT_TEST_WRITE_DOCS=1 cargo test -p carrot-tests --test guide tables` writes them.

use std::fmt::Write;

use carrot_conformance::{Case, Feature, Features, Tier, cases};

use crate::{activemq_features, backend_features, path, read};

const PAGE: &str = "docs/guarantees.md";
const BEGIN: &str = "<!-- begin of backends: tests/guide/backends.rs -->\n";
const END: &str = "<!-- end of backends -->";

/// Means of a test, which no program has.
const OF_TESTS: [Feature; 4] =
    [Feature::ManualClock, Feature::CutConnection, Feature::BlockBroker, Feature::RestartBroker];

struct ListedBackend {
    name: &'static str,
    features: Features,
}

fn backends() -> [ListedBackend; 5] {
    let backend = |name, features| ListedBackend { name, features };
    [
        backend("RabbitMQ", backend_features::rabbitmq()),
        backend("memory", backend_features::memory()),
        backend("server", backend_features::hosted()),
        backend("ZeroMQ", backend_features::hosted()),
        backend("ActiveMQ", activemq_features::features()),
    ]
}

impl ListedBackend {
    fn has(&self, feature: Feature) -> bool {
        self.features.contains(feature)
    }

    /// Returns whether a case runs, and has to pass.
    fn runs(&self, case: &Case) -> bool {
        case.needs.iter().all(|feature| self.has(*feature))
    }
}

/// Returns the features that some backend has, in the order of the kit.
fn features(backends: &[ListedBackend]) -> impl Iterator<Item = Feature> {
    let has_some = |feature: &Feature| backends.iter().any(|backend| backend.has(*feature));
    Feature::ALL.iter().copied().filter(move |f| !OF_TESTS.contains(f)).filter(has_some)
}

fn row(text: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    writeln!(text, "| {first} | {} |", cells.join(" | ")).unwrap();
}

fn heading(text: &mut String, first: &str, columns: &[&str]) {
    row(text, first, columns.iter().map(|name| (*name).to_owned()));
    row(text, "---", columns.iter().map(|_| "---".to_owned()));
    *text = text.replace("| --- |", "|---|").replace(" --- |", "---|");
}

fn tiers(text: &mut String, backends: &[ListedBackend]) {
    for tier in Tier::ALL {
        let of_tier: Vec<_> = cases().iter().filter(|case| case.tier == tier).collect();
        let count = |backend: &ListedBackend| {
            of_tier.iter().filter(|case| backend.runs(case)).count().to_string()
        };
        let total = std::iter::once(of_tier.len().to_string());
        row(text, tier.as_str(), total.chain(backends.iter().map(count)));
    }
}

/// Returns the tables, and the features that each backend lacks.
fn tables() -> String {
    let backends = backends();
    let names: Vec<&str> = backends.iter().map(|backend| backend.name).collect();
    let mut text = String::new();
    let columns: Vec<&str> = std::iter::once("cases").chain(names.iter().copied()).collect();
    heading(&mut text, "tier of the conformance kit", &columns);
    tiers(&mut text, &backends);
    text.push('\n');
    heading(&mut text, "feature", &names);
    for feature in features(&backends) {
        let has = |backend: &ListedBackend| if backend.has(feature) { "yes" } else { "no" };
        row(&mut text, feature.as_str(), backends.iter().map(|backend| has(backend).to_owned()));
    }
    for backend in &backends {
        let lacks: Vec<_> = features(&backends).filter(|feature| !backend.has(*feature)).collect();
        if !lacks.is_empty() {
            let names: Vec<_> = lacks.iter().map(|feature| feature.as_str()).collect();
            write!(text, "\n{} lacks: {}.\n", backend.name, names.join(", ")).unwrap();
        }
    }
    wrapped(&text)
}

/// Breaks lines that are no rows after 100 columns.
fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with('|') || line.len() <= 100 {
            lines.push(line.to_owned());
            continue;
        }
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.len() + 1 + word.len() > 100 {
                lines.push(std::mem::take(&mut current));
            }
            current =
                if current.is_empty() { word.to_owned() } else { format!("{current} {word}") };
        }
        lines.push(current);
    }
    lines.join("\n") + "\n"
}

#[test]
fn tables_of_backends_are_those_of_the_kit() {
    let page = read(PAGE);
    let (before, rest) = page.split_once(BEGIN).expect("a mark for the begin");
    let (shown, after) = rest.split_once(END).expect("a mark for the end");
    let expected = format!("\n{}\n", tables());
    if std::env::var_os("CARROT_TEST_WRITE_DOCS").is_some() {
        std::fs::write(path(PAGE), format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, expected, "CARROT_TEST_WRITE_DOCS=1 writes the tables");
}
