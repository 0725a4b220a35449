use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use carrot::{Connection, Consumer, Exchange, ExchangeKind, Message, Queue};

use crate::on_activemq::{is_on_activemq, note_name};

/// Long enough for any expected event.
pub const SOON: Duration = Duration::from_secs(10);
/// Long enough to notice most unexpected events.
pub const A_MOMENT: Duration = Duration::from_millis(100);

pub fn memory() -> Connection {
    carrot::connect("memory://").unwrap()
}

pub fn rabbitmq() -> Connection {
    carrot::connect(rabbitmq_url()).unwrap()
}

pub fn rabbitmq_url() -> String {
    std::env::var("CARROT_TEST_AMQP_URL")
        .expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one")
}

/// The release of the RabbitMQ node: its first two numbers.
pub fn release() -> (u32, u32) {
    let version = std::env::var("CARROT_TEST_RABBITMQ_VERSION")
        .expect("CARROT_TEST_RABBITMQ_VERSION has to name the broker's release");
    first_two_numbers(&version)
}

pub fn first_two_numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Runs a command of the broker's own tool. Returns its output.
pub fn rabbitmqctl(arguments: &[&str]) -> String {
    let command = std::env::var("CARROT_TEST_RABBITMQCTL")
        .expect("CARROT_TEST_RABBITMQCTL has to name a command");
    let output = std::process::Command::new(command).arg("-q").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Turns each function into a test on the in-process broker, one of the ZeroMQ driver on a host,
/// two of the AMQP driver, on Carrot's server and on RabbitMQ, and one on ActiveMQ.
///
/// `#[without_activemq("argument")]` marks a test that ActiveMQ refuses over an argument. It runs
/// there too, and has to fail with an error that names the argument. In place of a test that is
/// marked `#[differs_on_activemq(name)]`, the function of this name in
/// [`differences`](crate::on_activemq::differences) shows what the broker does.
macro_rules! on_both_backends {
    ($(
        $(#[without_activemq($lack:literal)])?
        $(#[differs_on_activemq($difference:ident)])?
        fn $name:ident($connection:ident: &Connection) $body:block
    )*) => {
        $(fn $name($connection: &carrot::Connection) $body)*

        mod memory {
            $(#[test]
            fn $name() {
                super::$name(&crate::support::memory());
            })*
        }

        mod server {
            $(#[test]
            fn $name() {
                let broker = crate::remote_broker::RemoteBroker::on_server();
                super::$name(&broker.connect());
            })*
        }

        mod zeromq {
            $(#[test]
            fn $name() {
                let broker = crate::remote_broker::RemoteBroker::on_host();
                super::$name(&broker.connect());
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::$name(&crate::support::rabbitmq());
            })*
        }

        mod activemq {
            $(#[test]
            #[ignore = "needs ActiveMQ: run ./scripts/test"]
            fn $name() {
                crate::on_activemq::on_activemq(expected!($($lack)? $($difference)?), || {
                    super::$name(&crate::on_activemq::activemq());
                });
            })*
        }
    };
}

/// A name that no other test and no other run uses.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let nanoseconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    let name = format!(
        "carrot-test-{name}-{}-{}-{nanoseconds}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    note_name(&name);
    name
}

/// A queue that does not outlive the test by much.
pub fn queue() -> Queue {
    passing(unique("queue"))
}

/// A queue with a unique name that expires if the test does not delete it, or that ends with the
/// test.
pub fn passing(name: impl Into<String>) -> Queue {
    let queue = Queue::new(name);
    if is_on_activemq() { queue } else { queue.expires(Duration::from_secs(300)) }
}

/// An exchange that is deleted with its last binding.
pub fn exchange(kind: ExchangeKind) -> Exchange {
    Exchange::new(unique("exchange"), kind).auto_delete()
}

/// The next message, which must arrive within `SOON`.
pub fn next(consumer: &Consumer) -> Message {
    consumer.messages().unwrap().timeout(SOON).next().expect("a message soon").unwrap()
}

/// Waits until `condition` holds, at most for `SOON`.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in {SOON:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The number of ready messages of a queue. A message that a consumer returns is ready soon after.
pub fn ready(connection: &Connection, queue: &str) -> u32 {
    connection.declare_queue(Queue::existing(queue)).unwrap().message_count
}
