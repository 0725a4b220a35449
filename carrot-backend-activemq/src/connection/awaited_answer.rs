use std::sync::{Arc, Weak};

use carrot_core::Error;
use carrot_core::backend::Printable;
use carrot_link::LinkCall;

use crate::connection::linked_channel::{BrokerAnswer, LinkedChannel};
use crate::wire::command::CommandBody;
use crate::wire::setup_commands::TransactionInfo;

/// The longest text of an exception in the log, in bytes.
const SHOWN: usize = 255;

/// An answer that the broker owes to a command.
#[derive(Debug)]
pub(crate) struct AwaitedAnswer {
    pub(crate) receiver: AnswerReceiver,
    /// The command that ends a transaction whose commit is refused. The broker keeps such a
    /// transaction otherwise, until the end of the connection.
    pub(crate) rollback: Option<CommandBody>,
}

/// The receiver of an answer.
#[derive(Debug)]
pub(crate) enum AnswerReceiver {
    Call(Arc<LinkCall<BrokerAnswer>>),
    Publication { channel: Weak<dyn LinkedChannel>, tag: u64 },
    Nobody,
}

impl AwaitedAnswer {
    pub(crate) fn new(receiver: AnswerReceiver, command: &CommandBody) -> AwaitedAnswer {
        let rollback = match command {
            CommandBody::Transaction(step) if step.step == TransactionInfo::COMMIT => {
                let rollback = TransactionInfo { step: TransactionInfo::ROLLBACK, ..step.clone() };
                Some(CommandBody::Transaction(rollback))
            }
            _ => None,
        };
        AwaitedAnswer { receiver, rollback }
    }
}

impl From<AnswerReceiver> for AwaitedAnswer {
    fn from(receiver: AnswerReceiver) -> AwaitedAnswer {
        AwaitedAnswer { receiver, rollback: None }
    }
}

impl AnswerReceiver {
    /// Passes the answer on.
    pub(crate) fn pass(self, answer: BrokerAnswer) {
        match self {
            AnswerReceiver::Call(call) => call.answer(Ok(answer)),
            AnswerReceiver::Publication { channel, tag } => {
                if let Some(channel) = channel.upgrade() {
                    channel.confirmed(tag, answer);
                }
            }
            AnswerReceiver::Nobody => {
                if let Err(exception) = answer {
                    let text = Printable::new(SHOWN, exception);
                    log::warn!("the broker refused a message without a confirm: {text}");
                }
            }
        }
    }

    /// Notes that the connection has ended. Channels learn of that by themselves.
    pub(crate) fn lose(self, error: &Error) {
        if let AnswerReceiver::Call(call) = self {
            call.answer(Err(error.clone()));
        }
    }
}
