//! Runs Carrot and its peers at the same work, interleaved, and tells how they did.

mod broker;
mod docs;
mod peers;
mod plot;
mod results;
mod table;
mod works;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use broker::Broker;
use peers::{Peer, Ran};
use results::{Record, Results};
use works::Work;

const HELP: &str = "\
Runs Carrot and its peers at the same work, interleaved, in several rounds.

  scripts/bench [--quick] [--check] [--record] [--write-docs] [--rounds N] [--minutes N] [--out DIR] [--peers A,B] [WORK ...]

  WORK       works to run, by their names or the beginnings of some; all without any
  --quick    fewer works, peers and rounds: about a minute
  --check    fails if Carrot, compared to raw amiquip, is less than half as fast as recorded in bench/recorded.json
  --record   writes bench/recorded.json
  --write-docs  puts the table and the plot into docs/performance.md and docs/performance.svg
  --rounds   how often everything is run at most; 5, or 3 with --quick
  --minutes  no other round is begun that would not be finished by then; 14, or 1 with --quick
  --out      where results.json, table.md and plot.svg go; target/bench
  --peers    which peers to run, separated by commas; all
  --list     lists the works
  --install  installs what the peers need (Debian, as root)";

/// How often a work that looks much slower is run once more: it may have been the machine.
const AGAIN: usize = 3;

struct Options {
    quick: bool,
    check: bool,
    record: bool,
    write_docs: bool,
    rounds: usize,
    limit: Duration,
    out: PathBuf,
    peers: Option<Vec<String>>,
    works: Vec<Work>,
}

fn options() -> Result<Option<Options>, Box<dyn Error>> {
    let (mut quick, mut check, mut record, mut write_docs) = (false, false, false, false);
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
            "--rounds" => rounds = Some(value()?.parse()?),
            "--minutes" => minutes = Some(value()?.parse::<f64>()?),
            "--out" => out = value()?.into(),
            "--peers" => peers = Some(value()?.split(',').map(str::to_string).collect()),
            "--list" => {
                works::all().iter().for_each(|work| println!("{:<16} {}", work.name, work.title()));
                return Ok(None);
            }
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(None);
            }
            unknown if unknown.starts_with('-') => return Err(format!("unknown option {unknown}\n\n{HELP}").into()),
            name => names.push(name.to_string()),
        }
    }
    let mut works = works::all();
    if let Some(unknown) = names.iter().find(|name| !works.iter().any(|work| work.name.starts_with(&***name))) {
        return Err(format!("no work is named {unknown}; --list lists them").into());
    }
    let whole: Vec<&str> = works.iter().map(|work| work.name).collect();
    let is_meant = |work: &Work, name: &str| work.name == name || (work.name.starts_with(name) && !whole.contains(&name));
    works.retain(|work| match names.is_empty() {
        true => work.quick || !quick,
        false => names.iter().any(|name| is_meant(work, name)),
    });
    let rounds = rounds.unwrap_or(if quick { 3 } else { 5 });
    let limit = Duration::from_secs_f64(60.0 * minutes.unwrap_or(if quick { 1.0 } else { 14.0 }));
    Ok(Some(Options { quick, check, record, write_docs, rounds, limit, out, peers, works }))
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

fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let started = Instant::now();
    let broker = Broker::from_env()?;
    let mut results = Results::begin(&broker);
    let peers: Vec<Peer> = peers::all()?
        .into_iter()
        .filter(|peer| options.peers.as_ref().is_none_or(|wanted| peer.name == "carrot" || wanted.iter().any(|name| name == peer.name)))
        .filter(|peer| peer.quick || !options.quick)
        .collect();
    let seconds = if options.quick { 0.3 } else { 1.0 };

    let mut works = options.works.clone();
    for work in &mut works {
        if work.kind != "idle" {
            warm_up(&broker, &peers[0], work, seconds)?;
        }
    }
    let mut slowest_round = Duration::ZERO;
    for round in 0..options.rounds {
        if round > 0 && started.elapsed() + slowest_round > options.limit {
            break;
        }
        let began = Instant::now();
        one_round(&broker, &mut results, &peers, &works, round)?;
        slowest_round = slowest_round.max(began.elapsed());
    }
    if options.check {
        for again in 0..AGAIN {
            let slower = Record::load()?.slower(&results, &works);
            one_round(&broker, &mut results, &peers, &slower, options.rounds + again)?;
        }
    }
    results.end(started.elapsed());

    std::fs::create_dir_all(&options.out)?;
    let table = table::write(&results, &works);
    println!("{table}");
    std::fs::write(options.out.join("table.md"), &table)?;
    let plot = plot::draw(&results, &works);
    std::fs::write(options.out.join("plot.svg"), &plot)?;
    std::fs::write(options.out.join("results.json"), serde_json::to_string_pretty(&results)? + "\n")?;
    if options.write_docs {
        docs::write(&table, &plot)?;
    }
    eprintln!("table.md, plot.svg and results.json are in {}", options.out.display());

    if options.record {
        Record::of(&results, &works).save()?;
    }
    Ok(!options.check || Record::load()?.holds(&results, &works))
}

/// Has every peer do every work once.
fn one_round(broker: &Broker, results: &mut Results, peers: &[Peer], works: &[Work], round: usize) -> Result<(), Box<dyn Error>> {
    for work in works {
        for turn in 0..peers.len() {
            let peer = &peers[(turn + round) % peers.len()];
            eprintln!("round {}: {} {}", round + 1, work.name, peer.name);
            match broker.run(peer, work, peer.share(work))? {
                Ran::Unsupported => {}
                Ran::Failed(reason) => results.fail(round, work, peer, &reason),
                Ran::Done(measured) => results.add(round, work, peer, measured),
            }
        }
    }
    Ok(())
}

/// Finds out how many messages keep Carrot busy for the wanted time; the others get as many.
fn warm_up(broker: &Broker, carrot: &Peer, work: &mut Work, seconds: f64) -> Result<(), Box<dyn Error>> {
    let few = (work.messages / 20).max(work.threads * 5).max(10);
    if let Ran::Done(measured) = broker.run(carrot, work, few)? {
        let fitting = (measured.messages as f64 / measured.seconds * seconds) as usize;
        work.messages = fitting.clamp(few, work.messages).next_multiple_of(work.threads);
    }
    Ok(())
}
