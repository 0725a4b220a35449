//! Runs fault scenarios and prints a table; see `scripts/faults`.

use std::process::ExitCode;

use carrot_faults::scenarios::{self, Context, Scenario, Size};
use carrot_faults::{OutcomeTable, Result, ScenarioOutcome, failing_worker, worker};

const USAGE: &str = "usage: carrot-faults [--small] [--seed NUMBER] [SCENARIO...]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["worker", url, queue] => worker::run(url, queue).map(|()| true),
        ["failing-worker", url, queue, record, seed] => {
            run_failing_worker(url, queue, record, seed).map(|()| true)
        }
        _ => CommandLine::parse(&arguments).and_then(|options| run_scenarios(&options)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run_failing_worker(url: &str, queue: &str, record: &str, seed: &str) -> Result<()> {
    failing_worker::run(url, queue, record.as_ref(), seed.parse()?)
}

struct CommandLine {
    size: Size,
    seed: u64,
    scenarios: Vec<&'static Scenario>,
}

impl CommandLine {
    fn parse(arguments: &[String]) -> Result<CommandLine> {
        let mut options = CommandLine {
            size: Size::Full,
            seed: fastrand::u64(..1_000_000),
            scenarios: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--small" => options.size = Size::Small,
                "--seed" => options.seed = arguments.next().ok_or(USAGE)?.parse()?,
                "--help" => return Err(help().into()),
                name => options.scenarios.push(
                    scenarios::named(name)
                        .ok_or_else(|| format!("unknown scenario \"{name}\"\n{}", help()))?,
                ),
            }
        }
        if options.scenarios.is_empty() {
            options.scenarios.extend(scenarios::ALL);
        }
        Ok(options)
    }
}

fn help() -> String {
    let scenarios = scenarios::ALL
        .iter()
        .map(|scenario| format!("\n  {:<18} {}", scenario.name, scenario.about));
    format!("{USAGE}\n{}", scenarios.collect::<String>())
}

fn run_scenarios(options: &CommandLine) -> Result<bool> {
    let mut context = Context::new(options.size, options.seed, std::env::current_exe()?);
    eprintln!("seed {}", options.seed);
    let mut outcomes = Vec::new();
    for scenario in &options.scenarios {
        eprintln!("{}: {}", scenario.name, scenario.about);
        let outcome = scenario.run(&mut context);
        outcome.failures.iter().for_each(|failure| eprintln!("  FAILED {failure}"));
        outcomes.push(outcome);
    }
    println!("\n{}", OutcomeTable(&outcomes));
    Ok(outcomes.iter().all(ScenarioOutcome::passed))
}
