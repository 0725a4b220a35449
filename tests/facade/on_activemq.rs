//! Tests on the ActiveMQ broker that `CARROT_TEST_ACTIVEMQ_URL` names, which all tests share.

pub mod differences;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{Connection, ConnectionOptions};

use crate::support::SOON;

/// The longest deletion of a queue with 100,000 messages, on a busy machine.
const LONGEST_DELETION: Duration = Duration::from_secs(300);

thread_local! {
    /// The names that the test of this thread has made, if it runs on ActiveMQ.
    static NAMES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

pub fn activemq_url() -> String {
    std::env::var("CARROT_TEST_ACTIVEMQ_URL")
        .expect("CARROT_TEST_ACTIVEMQ_URL has to name a broker; ./scripts/test starts one")
}

pub fn activemq() -> Connection {
    carrot::connect(activemq_url()).unwrap()
}

/// Returns whether the test of this thread runs on ActiveMQ.
pub fn is_on_activemq() -> bool {
    NAMES.with_borrow(Option::is_some)
}

/// Keeps a name whose queues and exchanges are deleted at the end, because no queue of ActiveMQ
/// expires.
pub fn note_name(name: &str) {
    NAMES.with_borrow_mut(|names| names.iter_mut().for_each(|names| names.push(name.to_string())));
}

/// The result of a test on ActiveMQ.
pub enum Expected {
    Passes,
    /// The broker refuses it over an argument.
    IsRefused(&'static str),
    /// The broker behaves otherwise, as this function shows.
    Differs(fn()),
}

/// Returns what the attributes of a test say.
macro_rules! expected {
    () => {
        $crate::on_activemq::Expected::Passes
    };
    ($argument:literal) => {
        $crate::on_activemq::Expected::IsRefused($argument)
    };
    ($difference:ident) => {
        $crate::on_activemq::Expected::Differs($crate::on_activemq::differences::$difference)
    };
}

/// Runs a test, and deletes its queues and exchanges. A test that is refused has to fail with an
/// error that names the argument.
pub fn on_activemq(expected: Expected, test: impl FnOnce()) {
    NAMES.set(Some(Vec::new()));
    let ended = catch_unwind(AssertUnwindSafe(|| match expected {
        Expected::Passes | Expected::IsRefused(_) => test(),
        Expected::Differs(show) => show(),
    }));
    let names = NAMES.take().unwrap_or_default();
    let deleted = catch_unwind(|| delete_all(&names));
    match (expected, ended) {
        (Expected::IsRefused(argument), Ok(())) => {
            panic!("the test passes: remove #[without_activemq({argument:?})]")
        }
        (Expected::IsRefused(argument), Err(panic)) => {
            let text = text_of(&*panic);
            let is_named = text.contains(&format!("Invalid {{ field: \"{argument}\""))
                || text.contains(&format!("invalid {argument}: "));
            assert!(is_named, "no refusal of {argument}: {text}");
        }
        (_, Err(panic)) => resume_unwind(panic),
        (_, Ok(())) => deleted.unwrap_or_else(|panic| resume_unwind(panic)),
    }
}

fn delete_all(names: &[String]) {
    let options: ConnectionOptions = activemq_url().parse().unwrap();
    let connection = carrot::connect(options.call_timeout(LONGEST_DELETION)).unwrap();
    for name in names {
        for queue in [name, &format!("{name}.failed")] {
            // The broker may not have noticed yet that the connections of the test are closed.
            let mut deleted = Ok(0);
            let is_deleted = carrot_faults::eventually(SOON, || {
                deleted = connection.delete_queue(queue, DeleteIf::ALWAYS);
                deleted.is_ok()
            });
            assert!(is_deleted, "{deleted:?}");
        }
        connection.delete_exchange(name, DeleteIf::ALWAYS).unwrap();
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without a text")
}
