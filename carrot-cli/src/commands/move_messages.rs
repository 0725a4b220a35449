//! `carrot move`.

use carrot::ConnectionOptions;
use carrot::config::Credentials;

use crate::attended::attend;
use crate::broker_arguments::BrokerArguments;
use crate::commands::move_arguments::MoveArguments;
use crate::commands::move_result::MoveResult;
use crate::commands::moving::Moving;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::progress;

impl MoveArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        if self.to.as_ref() == Some(&self.from) {
            return Err(CommandFailure::input("--to is the queue that has the messages"));
        }
        let interrupt = Interrupt::install()?;
        let options = broker.options()?;
        let user = user_of(&options);
        let connection = interrupt.connecting(|| Ok(carrot::connect(options)?))?;
        let moved = MoveResult::default();
        let progress = progress::bar(0);
        let work = Moving {
            arguments: self.clone(),
            connection,
            user,
            timeout: broker.timeout,
            interrupt: interrupt.clone(),
            progress: progress.clone(),
            moved: moved.clone(),
        };
        let ended = attend("carrot-move", &interrupt, || moved.progress(), move || work.run())?;
        progress.finish_and_clear();
        let numbers = moved.numbers();
        let only_shows = self.only_shows();
        numbers.report(broker.json, only_shows, matches!(ended, Some(Ok(()))))?;
        let Some(done) = ended else {
            return Err(CommandFailure::interrupted(match only_shows {
                true => "interrupted: the broker does not answer: the messages are requeued",
                false => {
                    "interrupted: the broker does not answer: the rest stays in its queue, and the \
                     last messages may be in both"
                }
            }));
        };
        done?;
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted("interrupted: the rest stays in its queue"));
        }
        if only_shows && !self.dry_run {
            return Err(CommandFailure::input(
                "nothing was moved: the queues are those that headers name, which every publisher \
                 can write; --trust-headers moves the messages there, --to to a queue of your choice",
            ));
        }
        if only_shows { Ok(()) } else { numbers.check() }
    }
}

/// Returns the user who sends the copies, if known.
fn user_of(options: &ConnectionOptions) -> Option<String> {
    match &options.credentials {
        Credentials::Plain { user, .. } => Some(user.clone()),
        _ => None,
    }
}
