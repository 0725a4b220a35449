//! Runs random programs on RabbitMQ and on the memory broker, and prints the differences. See
//! `scripts/differential`.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_conformance::Release;
use carrot_core::{ConnectionOptions, RabbitMqRelease};
use carrot_differential::broker::{DefaultQueueType, imitated, release_of};
use carrot_differential::hosted::HostedSeries;
use carrot_differential::program::Program;
use carrot_differential::series::Series;
use carrot_differential::wire::compare::{SETTLE, SETTLE_HANDSHAKE, WireComparator};
use carrot_differential::wire::generate::{self, MALFORMED, malformed_program};
use carrot_differential::wire::program::WireProgram;
use carrot_differential::wire::regression::WireRegression;
use carrot_differential::wire::series::WireSeries;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == "zeromq").is_some() {
        return on_hosts(arguments);
    }
    let is_wire = arguments.next_if(|argument| argument == "wire").is_some();
    if is_wire && arguments.next_if(|argument| argument == "keep").is_some() {
        return match (arguments.next(), arguments.next()) {
            (Some(name), Some(text)) => keep_on_wire(Some((&name, &text))),
            _ => keep_on_wire(None),
        };
    }
    if is_wire && arguments.next_if(|argument| argument == "seeds").is_some() {
        return match arguments.next().map(|folder| write_seeds(folder.as_ref())) {
            Some(Ok(())) => ExitCode::SUCCESS,
            written => {
                eprintln!("the seeds cannot be written: {written:?}");
                ExitCode::FAILURE
            }
        };
    }
    if is_wire && let Some(text) = arguments.next_if(|argument| argument.starts_with('{')) {
        return replay_on_wire(&text);
    }
    let default_type = match arguments.next_if(|argument| argument == "--quorum-by-default") {
        Some(_) => DefaultQueueType::Quorum,
        None => DefaultQueueType::Classic,
    };
    let kept = arguments.next_if(|argument| argument == "keep").and_then(|_| arguments.next());
    let replayed = match arguments
        .peek()
        .map(|argument| (argument.starts_with('['), serde_json::from_str::<Program>(argument)))
    {
        Some((true, Ok(program))) => {
            arguments.next();
            Some(program)
        }
        Some((true, Err(error))) => {
            eprintln!("invalid program: {error}");
            return ExitCode::from(2);
        }
        _ => None,
    };
    let mut number =
        |default: u64| arguments.next().map_or(Ok(default), |argument| argument.parse());
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (Ok(programs), Ok(seed), Ok(first)) = (number(300), number(fresh), number(0)) else {
        eprintln!(
            "usage: differential [--quorum-by-default] [programs] [seed] [first program] | PROGRAM | keep NAME PROGRAM\n       differential wire [programs] [seed] [first program] | wire PROGRAM | wire keep [NAME PROGRAM] | wire seeds FOLDER"
        );
        return ExitCode::from(2);
    };
    let Some((options, release)) = broker() else { return ExitCode::from(2) };
    let threads = env::var("CARROT_DIFFERENTIAL_THREADS")
        .ok()
        .and_then(|threads| threads.parse().ok())
        .unwrap_or(8);
    let max_divergences =
        env::var("CARROT_DIFFERENTIAL_MOST").ok().and_then(|most| most.parse().ok()).unwrap_or(10);
    let rabbitmqctl = env::var("CARROT_TEST_RABBITMQCTL").ok();
    if is_wire {
        let time = Duration::MAX;
        let series = WireSeries {
            options,
            release,
            rabbitmqctl,
            programs,
            seed,
            first,
            with_consumers: true,
            threads,
            max_divergences,
            time,
        };
        println!("{programs} programs on the wire, seed {seed}, RabbitMQ {release}");
        let report = series.run(|line| println!("{line}"));
        println!("{report}");
        return if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let series = Series {
        options,
        release,
        default_type,
        rabbitmqctl,
        programs,
        seed,
        first,
        threads,
        max_divergences,
    };
    if let (Some(name), Some(program)) = (&kept, &replayed) {
        return match (Series { threads: 1, ..series }).keep(name, program) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("cannot write the regression: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(program) = replayed {
        println!("{}", Series { threads: 1, ..series }.replay(&program));
        return ExitCode::SUCCESS;
    }
    println!("{programs} programs, seed {seed}, RabbitMQ {release}");
    let report = series.run(|line| println!("{line}"));
    println!("{report}");
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs programs on hosts, for each release and each default type of queues: as many as the first
/// argument says, of the seed of the second. Or runs one program.
fn on_hosts(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let given = arguments.next().unwrap_or_else(|| "300".into());
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = arguments.next().map_or(Ok(fresh), |seed| seed.parse());
    let first = arguments.next().map_or(Ok(0), |first| first.parse());
    let program = serde_json::from_str::<Program>(&given);
    let (Ok(seed), Ok(first)) = (seed, first) else {
        eprintln!("usage: differential zeromq [programs] [seed] [first program] | zeromq PROGRAM");
        return ExitCode::from(2);
    };
    let mut is_clean = true;
    for (release, default_type) in [
        (RabbitMqRelease::V3_10, DefaultQueueType::Classic),
        (RabbitMqRelease::V4_3, DefaultQueueType::Classic),
        (RabbitMqRelease::V4_3, DefaultQueueType::Quorum),
    ] {
        let programs = given.parse().unwrap_or_default();
        let (threads, max_divergences) = (4, 10);
        let series =
            HostedSeries { release, default_type, programs, seed, first, threads, max_divergences };
        if let Ok(program) = &program {
            println!("{}", series.replay(program));
            continue;
        }
        let report = series.run(|line| println!("{line}"));
        println!("as {release:?}, queues {default_type:?}, seed {seed}: {report}");
        is_clean &= report.is_clean() && report.programs > 0;
    }
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the broker of the environment and its release, or says what is missing.
fn broker() -> Option<(ConnectionOptions, Release)> {
    let Some(options) =
        env::var("CARROT_TEST_AMQP_URL").ok().and_then(|url| url.parse::<ConnectionOptions>().ok())
    else {
        eprintln!(
            "CARROT_TEST_AMQP_URL is not set to the URL of a broker: run ./scripts/differential"
        );
        return None;
    };
    match release_of(&options) {
        Ok(release) => Some((options, release)),
        Err(error) => {
            eprintln!("the release of the broker is not known: {error}");
            None
        }
    }
}

/// Runs one program of raw frames on both brokers.
fn replay_on_wire(text: &str) -> ExitCode {
    let program: WireProgram = match serde_json::from_str(text) {
        Ok(program) => program,
        Err(error) => {
            eprintln!("invalid program: {error}");
            return ExitCode::from(2);
        }
    };
    let Some((options, release)) = broker() else { return ExitCode::from(2) };
    let comparator = WireComparator::new(&options, imitated(release));
    match comparator.and_then(|comparator| comparator.compare(&program, SETTLE_HANDSHAKE)) {
        Ok(result) => {
            println!("{program}{result:#?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the program cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Adds the frames of RabbitMQ to the regressions: of one program, or of each kind of malformed
/// frames.
fn keep_on_wire(program: Option<(&str, &str)>) -> ExitCode {
    let Some((options, release)) = broker() else { return ExitCode::from(2) };
    let release = imitated(release);
    let programs = match program {
        Some((name, text)) => match serde_json::from_str(text) {
            Ok(program) => vec![(name, program)],
            Err(error) => {
                eprintln!("invalid program: {error}");
                return ExitCode::from(2);
            }
        },
        None => {
            MALFORMED.iter().map(|(name, octets)| (*name, malformed_program(*octets))).collect()
        }
    };
    let kept = WireComparator::new(&options, release).and_then(|comparator| {
        let mut regressions = Vec::new();
        for (name, program) in programs {
            let frames = comparator.record(&program, SETTLE)?.frames;
            regressions.push(WireRegression {
                name: name.to_string(),
                release,
                program,
                rabbitmq: frames.into_iter().collect(),
            });
        }
        WireRegression::keep(regressions)
    });
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the regressions cannot be kept: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the octets of random programs as seeds of the fuzz target `session`.
fn write_seeds(folder: &Path) -> io::Result<()> {
    const SEEDS: usize = 60;
    const LONGEST: usize = 4096;
    fs::create_dir_all(folder)?;
    let programs = (0..).map(|number| generate::program(1, number));
    let seeds = programs.filter_map(|program| {
        let sent = program.steps.iter().filter(|step| step.connection == 0);
        // The first octet says whether a greeting precedes the octets.
        let mut octets = vec![0xFE | u8::from(program.from_start)];
        sent.for_each(|step| octets.extend_from_slice(&step.octets));
        (octets.len() <= LONGEST).then_some(octets)
    });
    for (number, octets) in seeds.take(SEEDS).enumerate() {
        fs::write(folder.join(format!("program-{number:02}")), octets)?;
    }
    for (name, octets) in MALFORMED {
        let octets = [&[0xFE][..], &octets(1)].concat();
        fs::write(folder.join(name.replace([' ', '.'], "-")), octets)?;
    }
    Ok(())
}
