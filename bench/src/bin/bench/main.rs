//! Runs Carrot and its peers with the same workloads, interleaved, and prints the results.

mod activemq;
mod broker;
mod comparison;
mod docs;
mod hosted;
mod pair;
mod peers;
mod plot;
mod results;
mod table;
mod workloads;
mod zeromq;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use broker::BenchBroker;
use comparison::BrokerComparison;
use peers::{PeerClient, PeerOutcome};
use results::{RecordedSpeeds, Results};
use workloads::Workload;

const HELP: &str = "\
Runs Carrot and its peers with the same workloads, interleaved, in several rounds.

  scripts/bench [--quick] [--check] [--record] [--write-docs] [--server] [--zeromq] [--activemq] [--rounds N] [--minutes N] [--out DIR] [--peers A,B] [WORKLOAD ...]

  WORKLOAD   the workloads to run, by name or by the beginning of a name; default: all
  --quick    fewer workloads, peers and rounds: about a minute
  --check    fails if Carrot, compared to raw amiquip, is less than half as fast as recorded in bench/recorded.json
  --record   writes bench/recorded.json
  --write-docs  puts the table and the plot into docs/performance.md and docs/performance.svg
  --server   compares Carrot's server with RabbitMQ, by the clients carrot and rabbitmq-c
  --zeromq   compares Carrot and a host of zmq:// with libzmq's sockets
  --activemq  compares Carrot on an ActiveMQ broker with ActiveMQ's own client for Java
  --rounds   the largest number of rounds; default: 5, or 3 with --quick
  --minutes  starts no round that would end later; default: 14, or 1 with --quick
  --out      the folder for results.json, table.md and plot.svg; default: target/bench
  --peers    the peers to run, separated by commas; default: all
  --list     lists the workloads
  --install  installs what the peers need (Debian, as root)";

/// The number of repetitions of a workload that is much slower than recorded. The machine may have
/// been busy.
const AGAIN: usize = 3;

struct BenchOptions {
    quick: bool,
    check: bool,
    record: bool,
    write_docs: bool,
    server: bool,
    zeromq: bool,
    activemq: bool,
    rounds: usize,
    limit: Duration,
    out: PathBuf,
    peers: Option<Vec<String>>,
    workloads: Vec<Workload>,
}

fn options() -> Result<Option<BenchOptions>, Box<dyn Error>> {
    let (mut quick, mut check, mut record, mut write_docs) = (false, false, false, false);
    let (mut server, mut zeromq, mut activemq, mut list) = (false, false, false, false);
    let (mut rounds, mut minutes, mut peers, mut names) = (None, None, None, Vec::new());
    let mut out = PathBuf::from("target/bench");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match &*argument {
            "--quick" => quick = true,
            "--check" => check = true,
            "--record" => record = true,
            "--write-docs" => write_docs = true,
            "--server" => server = true,
            "--zeromq" => zeromq = true,
            "--activemq" => activemq = true,
            "--rounds" => rounds = Some(value()?.parse()?),
            "--minutes" => minutes = Some(value()?.parse::<f64>()?),
            "--out" => out = value()?.into(),
            "--peers" => peers = Some(value()?.split(',').map(str::to_string).collect()),
            "--list" => list = true,
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(None);
            }
            unknown if unknown.starts_with('-') => return Err(format!("unknown option {unknown}\n\n{HELP}").into()),
            name => names.push(name.to_string()),
        }
    }
    let mut workloads = if activemq { workloads::on_activemq() } else { workloads::all() };
    if list {
        workloads.iter().for_each(|workload| println!("{:<16} {}", workload.name, workload.title()));
        return Ok(None);
    }
    if let Some(unknown) = names.iter().find(|name| !workloads.iter().any(|workload| workload.name.starts_with(&***name))) {
        return Err(format!("unknown workload \"{unknown}\"; --list lists the workloads").into());
    }
    let full_names: Vec<&str> = workloads.iter().map(|workload| workload.name).collect();
    let is_selected =
        |workload: &Workload, name: &str| workload.name == name || (workload.name.starts_with(name) && !full_names.contains(&name));
    workloads.retain(|workload| match names.is_empty() {
        true => workload.quick || !quick || activemq,
        false => names.iter().any(|name| is_selected(workload, name)),
    });
    let rounds = rounds.unwrap_or(if quick { 3 } else { 5 });
    let limit = Duration::from_secs_f64(60.0 * minutes.unwrap_or(if quick { 1.0 } else { 14.0 }));
    Ok(Some(BenchOptions { quick, check, record, write_docs, server, zeromq, activemq, rounds, limit, out, peers, workloads }))
}

fn main() -> ExitCode {
    let outcome = options().and_then(|options| options.map_or(Ok(true), |options| run(&options)));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &BenchOptions) -> Result<bool, Box<dyn Error>> {
    if options.zeromq {
        return compare_zeromq(options);
    }
    if options.activemq {
        return compare_on_activemq(options);
    }
    let started = Instant::now();
    let broker = BenchBroker::from_env()?;
    let mut results = Results::begin(&broker);
    let peers: Vec<PeerClient> = peers::all()?
        .into_iter()
        .filter(|peer| options.peers.as_ref().is_none_or(|selected| peer.name == "carrot" || selected.iter().any(|name| name == peer.name)))
        .filter(|peer| peer.quick || !options.quick)
        .collect();
    let seconds = if options.quick { 0.3 } else { 1.0 };

    let mut workloads = options.workloads.clone();
    workloads.retain(|workload| !options.server || comparison::is_compared(workload));
    for workload in &mut workloads {
        if workload.kind != "idle" {
            warm_up(&broker, &peers[0], workload, seconds)?;
        }
    }
    if options.server {
        return compare_brokers(&broker, &peers, &workloads, options);
    }
    let mut slowest_round = Duration::ZERO;
    for round in 0..options.rounds {
        if round > 0 && started.elapsed() + slowest_round > options.limit {
            break;
        }
        let began = Instant::now();
        run_round(&broker, &mut results, &peers, &workloads, round)?;
        slowest_round = slowest_round.max(began.elapsed());
    }
    if options.check {
        for again in 0..AGAIN {
            let slower = RecordedSpeeds::load()?.slower(&results, &workloads);
            run_round(&broker, &mut results, &peers, &slower, options.rounds + again)?;
        }
    }
    results.end(started.elapsed());

    std::fs::create_dir_all(&options.out)?;
    let table = table::write(&results, &workloads);
    println!("{table}");
    std::fs::write(options.out.join("table.md"), &table)?;
    let plot = plot::draw(&results, &workloads);
    std::fs::write(options.out.join("plot.svg"), &plot)?;
    std::fs::write(options.out.join("results.json"), serde_json::to_string_pretty(&results)? + "\n")?;
    if options.write_docs {
        docs::write(&table, &plot)?;
    }
    eprintln!("table.md, plot.svg and results.json are in {}", options.out.display());

    if options.record {
        RecordedSpeeds::of(&results, &workloads).save()?;
    }
    Ok(!options.check || RecordedSpeeds::load()?.holds(&results, &workloads))
}

/// Compares Carrot's server with RabbitMQ. Returns whether no run failed.
fn compare_brokers(
    rabbitmq: &BenchBroker,
    peers: &[PeerClient],
    workloads: &[Workload],
    options: &BenchOptions,
) -> Result<bool, Box<dyn Error>> {
    let comparison = BrokerComparison::measure(rabbitmq, peers, workloads, options.rounds, options.limit)?;
    let table = comparison.table();
    println!("{table}");
    std::fs::create_dir_all(&options.out)?;
    std::fs::write(options.out.join("server.md"), &table)?;
    eprintln!("server.md is in {}", options.out.display());
    Ok(!table.contains("FAILED"))
}

/// Compares Carrot and its host for ZeroMQ with libzmq. Returns whether no run failed.
fn compare_zeromq(options: &BenchOptions) -> Result<bool, Box<dyn Error>> {
    let results = zeromq::measure(&options.workloads, options.rounds, options.limit)?;
    let table = zeromq::table(&results, &options.workloads);
    println!("{table}");
    std::fs::create_dir_all(&options.out)?;
    std::fs::write(options.out.join("zeromq.md"), &table)?;
    eprintln!("zeromq.md is in {}", options.out.display());
    Ok(results.failures.is_empty())
}

/// Compares Carrot with ActiveMQ's own client. Returns whether no run failed.
fn compare_on_activemq(options: &BenchOptions) -> Result<bool, Box<dyn Error>> {
    let results = activemq::measure(&options.workloads, options.rounds, options.limit)?;
    let table = activemq::table(&results, &options.workloads);
    println!("{table}");
    std::fs::create_dir_all(&options.out)?;
    std::fs::write(options.out.join("activemq.md"), &table)?;
    eprintln!("activemq.md is in {}", options.out.display());
    Ok(results.failures.is_empty())
}

/// Runs every workload once with every peer.
fn run_round(
    broker: &BenchBroker,
    results: &mut Results,
    peers: &[PeerClient],
    workloads: &[Workload],
    round: usize,
) -> Result<(), Box<dyn Error>> {
    for workload in workloads {
        for turn in 0..peers.len() {
            let peer = &peers[(turn + round) % peers.len()];
            eprintln!("round {}: {} {}", round + 1, workload.name, peer.name);
            match broker.run(peer, workload, peer.share(workload))? {
                PeerOutcome::Unsupported => {}
                PeerOutcome::Failed(reason) => results.fail(round, workload, peer, &reason),
                PeerOutcome::Done(measurement) => results.add(round, workload, peer, measurement),
            }
        }
    }
    Ok(())
}

/// Sets the number of messages that Carrot handles in `seconds`. All peers run the same number.
fn warm_up(broker: &BenchBroker, carrot: &PeerClient, workload: &mut Workload, seconds: f64) -> Result<(), Box<dyn Error>> {
    let few = (workload.messages / 20).max(workload.threads * 5).max(10);
    if let PeerOutcome::Done(measurement) = broker.run(carrot, workload, few)? {
        let fitting = (measurement.messages as f64 / measurement.seconds * seconds) as usize;
        workload.messages = fitting.clamp(few, workload.messages).next_multiple_of(workload.threads);
    }
    Ok(())
}
