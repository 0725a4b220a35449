//! `carrot top`.

mod plot;
mod sample;
mod screen;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use crate::broker_arguments::{BrokerArguments, seconds};
use crate::commands::top::sample::{QueueSource, Sample};
use crate::commands::top::screen::{Screen, picture};
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::printing::{print_entries, print_line};

/// Shows the messages, consumers and rates of queues, again and again, until q or Ctrl-C.
///
/// The rates come from RabbitMQ's management API, which counts every 5 seconds. Without
/// --management, the command shows the named queues only, and how fast their ready messages change.
/// Prints one table after the other if the output is no terminal.
#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// Patterns of names: * stands for any text, ? for one character. Without --management: names
    /// of queues
    queues: Vec<String>,
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
        let source = QueueSource::open(broker, &self.queues)?;
        let mut last = Sample::take(&source, None)?;
        let is_live = std::io::stdout().is_terminal() && !broker.json;
        let mut screen = if is_live { Some(Screen::open(&interrupt)?) } else { None };
        // The terminal is as it was, before a failure is printed.
        let shown = self.show(&source, &mut last, &interrupt, screen.as_mut(), broker.json);
        drop(screen);
        shown
    }

    fn show(
        &self,
        source: &QueueSource,
        last: &mut Sample,
        interrupt: &Interrupt,
        mut screen: Option<&mut Screen>,
        json: bool,
    ) -> Result<()> {
        let mut totals = vec![last.total()];
        let mut problem = None;
        for look in 1.. {
            match &mut screen {
                Some(screen) => {
                    let (width, height) = Screen::size();
                    screen.draw(&picture(last, &totals, problem.as_deref(), width, height))?;
                }
                None => {
                    if look > 1 && !json {
                        print_line("")?;
                    }
                    print_entries(json, &last.names(json), &last.entries(json))?;
                }
            }
            if self.count == Some(look) || !interrupt.wait(self.interval) {
                break;
            }
            match Sample::take(source, Some(last)) {
                Ok(sample) => {
                    *last = sample;
                    totals.push(last.total());
                    // As many as the widest terminal can show.
                    totals.drain(..totals.len().saturating_sub(1000));
                    problem = None;
                }
                // A terminal shows the last numbers until the broker is back.
                Err(failure) if screen.is_some() => problem = Some(failure.to_string()),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}
