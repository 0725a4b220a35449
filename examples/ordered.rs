//! Changes of many accounts: those of one account in order, different accounts in parallel.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use carrot::Message;
use carrot::consume::Retry;
use carrot::message::Value;
use carrot::topology::DeleteIf;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Change {
    account: u32,
    number: u32,
}

const ACCOUNTS: u32 = 10;
const CHANGES: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let queue = "example-account-changes";

    let changes = connection.publisher().queue(queue).build()?;
    for number in 1..=CHANGES {
        for account in 1..=ACCOUNTS {
            let message = changes.message().header("account", account.to_string());
            message.send(&Change { account, number })?;
        }
    }

    let consumer = connection
        .consumer(queue)
        .prefetch(100)
        .retry(Retry::fixed(Duration::from_secs(1)))
        .build()?;
    let (sender, applied) = mpsc::channel();
    let workers = consumer
        .workers(4)
        .ordered_by(|message| message.header("account").and_then(Value::as_str).map(str::to_owned))
        .spawn(move |change: Change, message: &Message| {
            // Account 3 stands still for a second. The other accounts go on.
            if change.account == 3 && change.number == 5 && message.attempt() == 1 {
                return Err("the account is locked");
            }
            sender.send(change).map_err(|_| "nobody collects the changes")
        })?;

    let mut last_numbers = BTreeMap::new();
    for _ in 0..ACCOUNTS * CHANGES {
        let change = applied.recv_timeout(Duration::from_secs(30))?;
        let last = last_numbers.insert(change.account, change.number);
        if last.unwrap_or(0) + 1 != change.number {
            return Err(format!("{change:?} was applied after number {last:?}").into());
        }
    }
    let report = workers.stop(Duration::from_secs(30))?;
    println!("{} changes of {ACCOUNTS} accounts applied in order", report.acknowledged);
    println!("{} change failed and was tried again", report.retried);
    for queue in [queue, "example-account-changes.failed"] {
        connection.delete_queue(queue, DeleteIf::ALWAYS)?;
    }
    connection.close()?;
    Ok(())
}
