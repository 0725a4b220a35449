//! The program of the child process.

use std::io::BufRead;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    ChannelOptions, Connector, ConsumeOptions, Content, Extent, Publication,
};
use carrot_core::{ConnectionOptions, Error};

use crate::form::{Form, HOST};

pub(super) const PROGRAM: &str = "CARROT_TEST_CHILD_PROGRAM";
pub(super) const PORT: &str = "CARROT_TEST_CHILD_PORT";
pub(super) const AUTHORITY: &str = "CARROT_TEST_CHILD_AUTHORITY";
/// The text before the memory in the output, in kB.
pub(super) const PEAK: &str = "VmHWM: ";
/// The number of messages that a client publishes.
pub(super) const PUBLICATIONS: u64 = 100;
/// The prefetch of the consumers.
pub(super) const PREFETCH: u16 = 1_000;
/// The prefetch of the consumers whose broker ignores it.
pub(super) const SMALL_PREFETCH: u16 = 100;
/// The body after which a consumer ends.
pub(super) const LAST: &[u8] = b"last";

const WITHIN: Duration = Duration::from_secs(15);
/// Long enough for all octets of a flood, beside other tests.
const AFTER_A_FLOOD: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(1);
/// The number of threads that open channels.
const OPENERS: usize = 4;

/// The task of a client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Program {
    /// Consumes until there is nothing more.
    Consume,
    /// Consumes ten messages, after a line on standard input.
    Prefetch,
    /// Consumes until there is nothing more, after a line, and with a small prefetch.
    Wait,
    /// Publishes, and waits for the confirms.
    Publish,
    /// Opens publishers and consumers in several threads, while the broker closes connections.
    Open,
}

impl Program {
    pub(super) fn name(self) -> &'static str {
        match self {
            Program::Consume => "consume",
            Program::Prefetch => "prefetch",
            Program::Wait => "wait",
            Program::Publish => "publish",
            Program::Open => "open",
        }
    }
}

#[test]
#[ignore = "the other tests run this in a child process"]
fn client() {
    let Ok(program) = std::env::var(PROGRAM) else { return };
    // As a program with `panic = "abort"` would.
    panic::set_hook(Box::new(|info| {
        eprintln!("{info}");
        std::process::abort();
    }));
    let connector = AmqpConnector::new(&options()).unwrap();
    connector.observe(Arc::new(|_| thread::sleep(Duration::from_millis(1))));
    match &*program {
        "publish" => publish(&connector),
        "open" => open(&connector),
        "prefetch" => consume(&connector, PREFETCH, true, 10),
        "wait" => consume(&connector, SMALL_PREFETCH, true, u64::MAX),
        _ => consume(&connector, PREFETCH, false, u64::MAX),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("\n{PEAK}{}", peak.trim().trim_end_matches(" kB"));
}

fn options() -> ConnectionOptions {
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let authority = std::env::var(AUTHORITY).unwrap();
    let options = ConnectionOptions::new()
        .host(HOST)
        .port(port)
        .connect_timeout(WITHIN)
        .call_timeout(SHORT)
        .heartbeat(Duration::ZERO);
    #[cfg(feature = "tls")]
    if !authority.is_empty() {
        return Form::Tls.secure_with(options, &authority);
    }
    Form::Plain.secure_with(options, &authority)
}

/// Consumes all messages, or `at_most` messages. If `waits` is set, waits for a line on standard
/// input before.
fn consume(connector: &AmqpConnector, prefetch: u16, waits: bool, at_most: u64) {
    let started = connector.open(&ChannelOptions::consume(), WITHIN).and_then(|channel| {
        let options = ConsumeOptions::with_prefetch(prefetch);
        channel.consume("q", &options, SHORT).map(|subscription| (channel, subscription))
    });
    let (channel, subscription) = match started {
        Ok(started) => started,
        Err(error) => return println!("\nnot started: {error:?}"),
    };
    if waits {
        std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    }
    let mut received = 0;
    let end = loop {
        match subscription.next(AFTER_A_FLOOD) {
            Ok(None) => break "nothing more".to_string(),
            Ok(Some(delivery)) => {
                received += 1;
                let _ = channel.ack(delivery.tag, Extent::One);
                if delivery.content.body == LAST {
                    break "the last".to_string();
                }
                if received == at_most {
                    break "enough".to_string();
                }
            }
            Err(error) => break format!("{error:?}"),
        }
    };
    println!("\nreceived {received}, then {end}");
    drop(subscription);
    let _ = connector.close(SHORT);
}

fn publish(connector: &AmqpConnector) {
    let channel = match connector.open(&ChannelOptions::publish(), WITHIN) {
        Ok(channel) => channel,
        Err(error) => return println!("\nnot started: {error:?}"),
    };
    let published = (0..PUBLICATIONS).map(|_| {
        let content = Arc::new(Content::new("", "q", vec![0; 100]));
        channel.publish(&Publication::new(&content).with_mandatory(true), WITHIN)
    });
    let published: Vec<_> = published.collect();
    let outcomes = published.into_iter().map(|tag| channel.confirm(tag?, AFTER_A_FLOOD));
    let (accepted, others): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
    println!("\naccepted {}, then {:?}", accepted.len(), others.first());
    let _ = connector.close(SHORT);
}

fn open(connector: &AmqpConnector) {
    let opened = AtomicU64::new(0);
    let options = [ChannelOptions::publish(), ChannelOptions::consume()];
    thread::scope(|scope| {
        for opener in 0..OPENERS {
            let (opened, options) = (&opened, &options[opener % options.len()]);
            scope.spawn(move || {
                // The broker that has closed its last connection accepts no other.
                let mut refused = 0;
                while refused < 10 {
                    match connector.open(options, WITHIN) {
                        Ok(channel) => {
                            refused = 0;
                            opened.fetch_add(1, Ordering::SeqCst);
                            let _ = channel.consume("q", &ConsumeOptions::default(), WITHIN);
                        }
                        Err(Error::Connect { .. }) => refused += 1,
                        Err(_) => {}
                    }
                }
            });
        }
    });
    println!("\nopened {}", opened.into_inner());
}
