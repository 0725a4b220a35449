//! `carrot consume`.

mod consume_arguments;
mod consumed;
mod consuming;
mod program;

use std::sync::Arc;

use carrot::Queue;

pub(crate) use self::consume_arguments::ConsumeArguments;
use self::consumed::Consumed;
use self::consuming::Consuming;
use crate::attended::attend;
use crate::broker_arguments::BrokerArguments;
use crate::commands::losses::Losses;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::printing::counted;

impl ConsumeArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let interrupt = Interrupt::install()?;
        let (connection, consumer) = interrupt.connecting(|| {
            let connection = broker.connect()?;
            let consumer = connection.consumer(Queue::existing(&self.queue));
            let consumer = consumer.prefetch(self.prefetch()).build()?;
            Ok((connection, consumer))
        })?;
        let losses = Losses::watch(&connection, self.follow);
        interrupt.stops(consumer.stop_handle());
        let messages = consumer.messages()?;
        let consumed = Arc::new(Consumed::default());
        let work = Consuming {
            arguments: self.clone(),
            json: broker.json,
            interrupt: interrupt.clone(),
            consumed: Arc::clone(&consumed),
            held: Vec::new(),
        };
        let progress = || consumed.progress();
        let ended = attend("carrot-consume", &interrupt, progress, move || {
            work.run(messages, &losses)?;
            consumer.close()?;
            Ok(connection.close()?)
        })?;
        let Some(done) = ended else {
            let done = self.done_until_interrupt(&consumed);
            return Err(CommandFailure::interrupted(format!(
                "{done}: the broker does not answer: the last messages may come again"
            )));
        };
        if let Err(failure) = done {
            note!("carrot: handled {}", counted(consumed.handled(), "message"));
            return Err(failure);
        }
        self.result(&consumed, &interrupt)
    }

    fn result(&self, consumed: &Consumed, interrupt: &Interrupt) -> Result<()> {
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted(self.done_until_interrupt(consumed)));
        }
        let (handled, failed) = (consumed.handled(), consumed.failed());
        if failed > 0 {
            let text = format!("{} {failed} of {}", self.failure(), counted(handled, "message"));
            return Err(CommandFailure::not_all(text));
        }
        if let Some(count) = self.count.filter(|count| handled < *count) {
            let text = format!("{handled} of {} came", counted(count, "message"));
            return Err(CommandFailure::late(text));
        }
        Ok(())
    }

    /// Describes what was done when the signal came.
    fn done_until_interrupt(&self, consumed: &Consumed) -> String {
        let failures = match consumed.failed() {
            0 => String::new(),
            failed => format!(", {} {failed}", self.failure()),
        };
        format!("interrupted after {}{failures}", counted(consumed.handled(), "message"))
    }
}
