//! `carrot top`.

mod columns;
mod looking;
mod picture;
mod plot;
mod sample;
mod screen;

use std::time::{Duration, Instant};

use clap::Args;

use crate::broker_arguments::{BrokerArguments, seconds};
use crate::commands::top::looking::Looking;
use crate::commands::top::picture::picture;
use crate::commands::top::sample::{QueueSource, Sample};
use crate::commands::top::screen::Screen;
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::printing::{print_entries, print_line};
use crate::terminal::can_be_drawn_on;

/// How long the command waits at most, before it looks at the keys and at the size of the terminal.
const STEP: Duration = Duration::from_millis(50);

/// Shows the messages, consumers and rates of queues, again and again, until q or Ctrl-C.
///
/// The rates come from RabbitMQ's management API, which counts every 5 seconds, or from the counts
/// of a hosted broker (--control), from the second look on. Without either, the command shows the
/// named queues only, and how fast their ready messages change. Prints one table after the other if
/// the output is no terminal, or one that TERM calls dumb.
#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// Patterns of names: * stands for any text, ? for one character. Without --management or
    /// --control: names of queues
    queues: Vec<String>,
    /// Show the queues of all virtual hosts that the user sees, each with its virtual host. Needs
    /// --management or --control
    #[arg(long)]
    all_vhosts: bool,
    /// Seconds between two looks, at least 0.1
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = interval)]
    interval: Duration,
    /// End after this number of looks
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

fn interval(text: &str) -> std::result::Result<Duration, String> {
    match seconds(text)? {
        short if short < Duration::from_millis(100) => Err("is less than 0.1 seconds".into()),
        interval => Ok(interval),
    }
}

impl TopArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let interrupt = Interrupt::install()?;
        let source =
            interrupt.connecting(|| QueueSource::open(broker, &self.queues, self.all_vhosts))?;
        let mut looking = Looking::start(source)?;
        looking.ask();
        let Some(first) = wait(&mut looking, None, &interrupt) else { return Ok(()) };
        let first = first?;
        let is_live = can_be_drawn_on(&std::io::stdout()) && !broker.json;
        // The terminal is as it was, before a failure is printed.
        let shown = match is_live {
            true => self.draw(first, &mut looking, &interrupt),
            false => self.print(first, &mut looking, &interrupt, broker.json),
        };
        looking.end();
        shown
    }

    /// Prints one look after the other.
    fn print(
        &self,
        mut sample: Sample,
        looking: &mut Looking,
        interrupt: &Interrupt,
        json: bool,
    ) -> Result<()> {
        for look in 1.. {
            if look > 1 && !json {
                print_line("")?;
            }
            print_entries(json, &sample.names(json), &sample.entries(json))?;
            if self.count == Some(look) || !interrupt.wait(self.interval) {
                break;
            }
            looking.ask();
            let Some(next) = wait(looking, Some(&sample), interrupt) else { break };
            sample = next?;
        }
        Ok(())
    }

    /// Shows the last look on a screen, and its problem until the broker is back.
    fn draw(&self, sample: Sample, looking: &mut Looking, interrupt: &Interrupt) -> Result<()> {
        let mut screen = Screen::open(interrupt)?;
        let mut shown = TopState { totals: vec![sample.total()], sample, problem: None };
        let mut looks = 1;
        let mut next = Instant::now() + self.interval;
        let mut drawn = None;
        loop {
            let late = looking.is_late().map(|late| late.as_secs());
            let state = Some((Screen::size(), looks, late));
            if drawn != state {
                screen.draw(&shown.picture(late))?;
                drawn = state;
            }
            if self.count == Some(looks) || interrupt.is_wanted() {
                return Ok(());
            }
            if !looking.is_asked() {
                if !interrupt.wait(next.saturating_duration_since(Instant::now()).min(STEP)) {
                    return Ok(());
                }
                if Instant::now() >= next {
                    looking.ask();
                }
            } else if let Some(answer) = looking.answer(STEP, Some(&shown.sample)) {
                shown.add(answer);
                looks += 1;
                next = Instant::now() + self.interval;
            }
        }
    }
}

/// Waits for an answer. Returns `None` if the user ends the command.
fn wait(
    looking: &mut Looking,
    last: Option<&Sample>,
    interrupt: &Interrupt,
) -> Option<Result<Sample>> {
    loop {
        if let Some(answer) = looking.answer(STEP, last) {
            return Some(answer);
        }
        if interrupt.is_wanted() {
            return None;
        }
    }
}

/// The last look, and the totals of those before.
struct TopState {
    sample: Sample,
    totals: Vec<u64>,
    problem: Option<String>,
}

impl TopState {
    fn add(&mut self, answer: Result<Sample>) {
        match answer {
            Ok(sample) => {
                self.sample = sample;
                self.totals.push(self.sample.total());
                // As many as the widest terminal can show.
                self.totals.drain(..self.totals.len().saturating_sub(1000));
                self.problem = None;
            }
            Err(failure) => self.problem = Some(failure.to_string()),
        }
    }

    /// Returns the lines, with the seconds for which the broker has not answered.
    fn picture(&self, late: Option<u64>) -> Vec<String> {
        let late = late.map(|late| format!("the broker has not answered for {late} s"));
        let problem = late.as_ref().or(self.problem.as_ref());
        let (width, height) = Screen::size();
        picture(&self.sample, &self.totals, problem.map(String::as_str), width, height)
    }
}
