use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use carrot::layers::{OutgoingMessage, PublishLayer};
use carrot::memory::Broker;
use carrot::{Connection, Error};
use carrot_programs::rates::{self, Pair, Rate};

use crate::support::{Program, Queues, SOON, eventually, ready, run, unique};

const PATH: &str = env!("CARGO_BIN_EXE_rates");
const CALLERS: usize = 8;
const SERVERS: usize = 4;
const CALLS: usize = 2000;

/// Counts the requests that are sent.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl PublishLayer for Asked {
    fn before_send(&self, _: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn pair(from: &str) -> Pair {
    Pair { from: from.into(), to: "USD".into() }
}

/// Asks from eight threads, and calls `kill` in the middle. Returns the number of answers of each
/// server.
fn ask_while(connection: &Connection, queue: &str, kill: impl FnOnce()) -> BTreeMap<String, usize> {
    let asked = Asked::default();
    let caller = connection.caller(queue).layer(asked.clone()).build().unwrap();
    let pairs: Vec<Pair> =
        (0..CALLS).map(|number| pair(if number % 2 == 0 { "EUR" } else { "GBP" })).collect();
    let answers = thread::scope(|scope| {
        let asking = scope.spawn(|| rates::ask_all(&caller, CALLERS, &pairs));
        let asked = || asked.0.load(Ordering::Relaxed);
        eventually("calls", || asked() > CALLS / 10);
        kill();
        assert!(asked() < CALLS, "the server ended too late");
        asking.join().unwrap()
    });
    assert_eq!(answers.len(), CALLS);
    let mut of_servers = BTreeMap::new();
    for (pair, answer) in pairs.iter().zip(answers) {
        let Rate { rate, server } = answer.unwrap();
        assert_eq!(rate, if pair.from == "EUR" { 1.08 } else { 1.27 });
        *of_servers.entry(server).or_default() += 1;
    }
    of_servers
}

#[test]
fn server_lost_during_calls_costs_no_answer() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let mut servers: Vec<_> = (0..SERVERS)
        .map(|number| {
            let connection = Connection::new(broker.connector());
            let server = rates::serve(&connection, "rates", &format!("server {number}")).unwrap();
            (connection, server)
        })
        .collect();
    let killed = servers.remove(0);
    let answers = ask_while(&connection, "rates", || {
        // Its unanswered request returns to the queue.
        killed.0.close().unwrap();
    });
    assert_eq!(answers.len(), SERVERS, "{answers:?}");
    for (_, server) in servers {
        server.stop(SOON).unwrap();
    }
    assert_eq!(ready(&connection, "rates"), 0);
}

on_remote_brokers! {
    fn server_killed_during_calls_costs_no_answer(url: &str) {
        let connection = carrot::connect(url).unwrap();
        let queue = unique("rates");
        let _queues = Queues { connection: connection.clone(), names: vec![queue.clone()] };
        let start = |number: usize| {
            let name = format!("server {number}");
            Program::start(PATH, url, &["serve", &name, &queue], "serving")
        };
        let mut servers: Vec<Program> = (0..SERVERS).map(start).collect();
        let killed = servers.remove(0);
        let answers = ask_while(&connection, &queue, || killed.kill());
        assert_eq!(answers.len(), SERVERS, "{answers:?}");
        assert!(answers["server 0"] < answers["server 1"], "{answers:?}");

        let printed = run(PATH, url, &["ask", "40", &queue]);
        let answered: u32 =
            printed.lines().filter_map(|line| line.split(' ').next()?.parse::<u32>().ok()).sum();
        assert_eq!(answered, 40, "{printed}");
        for server in servers {
            let printed = server.terminate();
            assert!(printed.contains("requests answered"), "{printed}");
        }
        assert_eq!(ready(&connection, &queue), 0);
    }
}

on_both_backends! {
    fn unknown_pair_is_an_error_of_its_kind(url: &str) {
        let connection = carrot::connect(url).unwrap();
        let queue = unique("rates");
        let _queues = Queues { connection: connection.clone(), names: vec![queue.clone()] };
        let caller = connection.caller(&*queue).build().unwrap();
        let server = rates::serve(&connection, &queue, "server").unwrap();
        match rates::ask(&caller, &pair("XXX")) {
            Err(Error::Remote { kind, message }) => {
                assert_eq!((&*kind, &*message), ("unknown-pair", "no rate of XXX/USD"));
            }
            other => panic!("{other:?}"),
        }
        server.stop(SOON).unwrap();
    }
}
