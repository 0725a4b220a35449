use std::collections::BTreeSet;

use carrot::Connection;
use carrot::topology::{DeleteIf, Topology};

use crate::support::{Program, Queues, eventually, ready, request, unique};

const PATH: &str = env!("CARGO_BIN_EXE_price_converter");

/// Starts the program with three prices, looks at it as an operator does, and ends it.
fn operate(url: &str) {
    let arguments = ["127.0.0.1:0", "10", "20", "30"];
    let mut program = Program::start(PATH, url, &arguments, "metrics at");
    let line = program.line("metrics at");
    let (_, address) = line.trim_end_matches("/metrics").split_once("http://").unwrap();
    let get = |path| request(address, "GET", path, "", "").unwrap();
    let mut page = String::new();
    eventually("the metrics of three converted prices", || {
        page = get("/metrics").1;
        has(&page, &["carrot_settled_messages{", "\"prices-in-eur\"", "\"acknowledged\"", "} 3"])
    });
    for line in [
        ["messaging_client_sent_messages{", "\"prices\"", "\"confirmed\"", "} 3"],
        ["messaging_client_sent_messages{", "\"converted-prices\"", "\"confirmed\"", "} 3"],
        ["carrot_queue_duration_count{", "\"prices-in-eur\"", "", "} 3"],
        ["carrot_connection_losses{", "\"publish\"", "", "} 0"],
    ] {
        assert!(has(&page, &line), "{line:?}: {page}");
    }
    assert_eq!((get("/ready").0, get("/other").0), (200, 404));
    let printed = program.terminate();
    assert!(printed.ends_with("3 prices converted"), "{printed}");
    check_traces(&printed);
}

fn has(page: &str, parts: &[&str]) -> bool {
    page.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

/// Each price has a trace of its own: sent, handled, and sent again while it was handled.
fn check_traces(log: &str) {
    let of = |span: &str| -> Vec<Vec<&str>> {
        let lines = log.lines().filter(|line| line.contains(span));
        lines
            .map(|line| line.split("trace_id=").skip(1).map(|rest| &rest[..32]).collect())
            .collect()
    };
    let sent: BTreeSet<&str> =
        of("INFO publish{otel.name=publish prices ").concat().into_iter().collect();
    let converted = of(":publish{otel.name=publish converted-prices ");
    assert_eq!((sent.len(), converted.len()), (3, 3), "{log}");
    assert!(converted.iter().all(|ids| ids.len() == 2 && ids[0] == ids[1]), "{converted:?}");
    assert_eq!(converted.iter().map(|ids| ids[0]).collect::<BTreeSet<_>>(), sent);
}

#[test]
fn service_shows_metrics_and_traces() {
    operate(&format!("memory://{}", unique("broker")));
}

/// Deletes the exchanges of the topology when it is dropped.
struct Exchanges(Connection, Topology);

impl Drop for Exchanges {
    fn drop(&mut self) {
        for exchange in &self.1.exchanges {
            let _ = self.0.delete_exchange(&exchange.name, DeleteIf::ALWAYS);
        }
    }
}

on_brokers_with_quorum_queues! {
    fn service_declares_its_topology_and_converts(url: &str) {
        let connection = carrot::connect(url).unwrap();
        let topology: Topology = toml::from_str(include_str!("../../price_converter.toml")).unwrap();
        let names = ["prices-in-eur", "prices-in-usd", "prices-in-eur.failed"].map(String::from);
        let _queues = Queues { connection: connection.clone(), names: names.into() };
        let _exchanges = Exchanges(connection.clone(), topology.clone());
        operate(url);
        let differences = connection.check(&topology).unwrap();
        assert!(differences.is_equal(), "{differences}");
        assert_eq!((ready(&connection, "prices-in-eur"), ready(&connection, "prices-in-usd")), (0, 3));
        let dollars = connection.consumer(&topology.queues[1]).build().unwrap();
        let mut prices = Vec::new();
        for message in dollars.fetch_all() {
            let message = message.unwrap();
            prices.push(message.decode::<f64>().unwrap());
            message.ack().unwrap();
        }
        prices.sort_by(f64::total_cmp);
        assert_eq!(prices, [10.0, 20.0, 30.0].map(|euros| euros * 1.08));
    }
}
