//! The errors and the promises of `docs/activemq.md` are those of a broker, at the address in
//! `CARROT_TEST_ACTIVEMQ_URL`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod activemq {
    use std::fmt::Debug;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use carrot::consume::Retry;
    use carrot::message::Value;
    use carrot::topology::DeleteIf;
    use carrot::{Connection, Error, Message, Queue, Result};

    const SOON: Duration = Duration::from_secs(30);

    fn url(variable: &str) -> String {
        std::env::var(variable).unwrap_or_else(|_| {
            panic!("{variable} has to name a broker; ./scripts/test starts one")
        })
    }

    fn connect() -> Connection {
        carrot::connect(url("CARROT_TEST_ACTIVEMQ_URL")).unwrap()
    }

    fn unique(name: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        format!("carrot-guide-{name}-{}-{now}", std::process::id())
    }

    fn page() -> String {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/activemq.md");
        std::fs::read_to_string(page).unwrap()
    }

    /// Returns the rows of the table below a heading: their first two cells.
    fn rows(heading: &str) -> Vec<(String, String)> {
        let page = page();
        let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        let cells = |line: &str| {
            let (first, second) = line.trim_matches('|').split_once(" | ").unwrap();
            (first.trim().to_owned(), second.trim().to_owned())
        };
        section.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect()
    }

    #[track_caller]
    fn error<T: Debug>(result: Result<T>) -> Error {
        result.expect_err("the page says that it fails")
    }

    #[test]
    #[ignore = "needs ActiveMQ: run ./scripts/test"]
    fn refusals_of_the_page_are_those_of_the_backend() {
        let connection = connect();
        let name = unique("refused");
        connection.declare_queue(&*name).unwrap();
        let publisher = connection.publisher().routing_key(&*name).build().unwrap();
        let declare = |queue: Queue| error(connection.declare_queue(queue));
        let queue = || Queue::new("refused");
        let delayed = publisher.message().delay(Duration::from_secs(4000 * 86_400)).send("x");
        let exclusive = connection.consumer(&*name).exclusive().build().unwrap();
        let single = Queue::new(unique("single")).single_active_consumer();
        let prioritized = connection.consumer(&single).priority(1).build().unwrap();
        let run = [
            ("`Queue::max_length(10)`", declare(queue().max_length(10))),
            ("`Queue::quorum()`", declare(queue().quorum())),
            ("`Queue::exclusive()`", declare(queue().exclusive())),
            ("`Queue::auto_delete()`", declare(queue().auto_delete())),
            ("`Queue::transient()`", declare(queue().transient())),
            ("`message().delay(4000 days)`", error(delayed)),
            ("an exclusive consumer", error(exclusive.messages().map(drop))),
            (
                "a priority of a consumer beside `x-single-active-consumer`",
                error(prioritized.messages().map(drop)),
            ),
        ];
        for queue in [&name, &single.name] {
            connection.delete_queue(queue, DeleteIf::ALWAYS).unwrap();
        }
        assert!(run.iter().all(|(_, error)| matches!(error, Error::Invalid { .. })), "{run:?}");
        let run = run.map(|(asked, error)| (asked.to_owned(), format!("`{error}`")));
        assert_eq!(rows("What is refused"), run);
    }

    /// Returns whether an error is that of a row, in which `..` stands for any text.
    fn is_of(row: &str, error: &Error) -> bool {
        let error = error.to_string();
        let mut rest = &*error;
        row.trim_matches('`').replace("`: `", ": ").split("..").all(|part| {
            let found = rest.split_once(part);
            rest = found.map_or("", |(_, after)| after);
            found.is_some()
        })
    }

    #[test]
    #[ignore = "needs ActiveMQ: run ./scripts/test"]
    fn causes_of_errors_on_the_page_have_these_errors() {
        let (plain, tls) = (url("CARROT_TEST_ACTIVEMQ_URL"), url("CARROT_TEST_ACTIVEMQS_URL"));
        let attempt = |url: String| error(carrot::connect(url).map(drop));
        let connection = connect();
        let missing = unique("missing");
        let sent = connection.publisher().routing_key(&*missing).build().unwrap().send("x");
        let password = plain.replace('@', "-wrong@");
        let run = [
            attempt("activemq://shop:s3cret@127.0.0.1:9".into()),
            attempt(password),
            attempt(tls.replace("activemq+ssl:", "activemq:")),
            attempt(plain.replace("activemq:", "activemq+ssl:")),
            attempt(tls),
            attempt(format!("{plain}/shop")),
            attempt(plain.replace("activemq:", "amqp:")),
            // A broker with room refuses nothing.
            Error::Refused,
            error(connection.declare_queue(Queue::existing(&*missing))),
            error(sent),
        ];
        let rows = rows("When something is wrong");
        assert_eq!(rows.len(), run.len());
        for ((row, _), error) in rows.iter().zip(&run) {
            assert!(is_of(row, error), "{row}: {error}");
        }
    }

    #[test]
    #[ignore = "needs ActiveMQ: run ./scripts/test"]
    fn failed_message_waits_in_the_scheduler_and_is_parked() {
        let connection = connect();
        let name = unique("failed");
        let parking = format!("{name}.failed");
        let retry = Retry::fixed(Duration::from_secs(1)).attempts(2);
        let consumer = connection.consumer(&*name).retry(retry).build().unwrap();
        let (sender, attempts) = mpsc::channel();
        let workers = consumer
            .workers(1)
            .spawn(move |_: String, message: &Message| {
                let is_copy = message.header("carrot-attempt").is_some();
                sender.send((message.attempt(), is_copy)).unwrap();
                Err::<(), _>("always")
            })
            .unwrap();
        connection.publisher().queue(&*name).build().unwrap().send("an order").unwrap();
        assert_eq!(attempts.recv_timeout(SOON), Ok((1, false)));
        assert_eq!(attempts.recv_timeout(SOON), Ok((2, true)));

        let parked = connection.consumer(Queue::existing(&*parking)).build().unwrap();
        let message = parked.messages().unwrap().timeout(SOON).next().unwrap().unwrap();
        assert_eq!(message.decode::<String>().unwrap(), "an order");
        assert_eq!(message.header("carrot-error").and_then(Value::as_str), Some("always"));
        message.ack().unwrap();
        parked.stop().unwrap();
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.retried, report.parked), (1, 1));
        for queue in [&name, &parking] {
            connection.delete_queue(queue, DeleteIf::ALWAYS).unwrap();
        }
    }
}
