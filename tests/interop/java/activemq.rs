//! Messages between Carrot and ActiveMQ's own client, on ActiveMQ.

use std::time::Duration;

use carrot::message::{DeliveryMode, Headers, Value};
use carrot::topology::DeleteIf;
use carrot::{Connection, ConnectionOptions, Consumer, Message, Publisher, Queue};

use crate::program::Program;
use crate::support::{SOON, receive, unique};

/// A queue of the broker. Deleted when dropped.
struct JmsQueue {
    options: ConnectionOptions,
    connection: Connection,
    consumer: Consumer,
    name: String,
}

impl JmsQueue {
    fn new(name: &str) -> JmsQueue {
        let url = std::env::var("CARROT_TEST_ACTIVEMQ_URL")
            .expect("CARROT_TEST_ACTIVEMQ_URL has to name a broker; ./scripts/test starts one");
        let options: ConnectionOptions = url.parse().unwrap();
        let connection = carrot::connect(options.clone()).unwrap();
        let name = unique(name);
        let consumer = connection.consumer(&*name).build().unwrap();
        JmsQueue { options, connection, consumer, name }
    }

    /// Starts the JMS client with this queue.
    fn jms(&self, work: &str) -> Program {
        Program::java(&self.options, &[work, &self.name])
    }

    fn publisher(&self) -> Publisher {
        self.connection.publisher().routing_key(&*self.name).build().unwrap()
    }

    /// Receives the six messages of a JMS client that sends, in its order.
    #[track_caller]
    fn sent_by_jms(&self) -> [Message; 6] {
        let jms = self.jms("send");
        let mut messages = receive(&self.consumer, 6);
        jms.expect("sent");
        jms.expect_end();
        // The broker keeps the order of persistent messages. The transient one may overtake.
        let is_transient = |message: &Message| {
            message.properties().delivery_mode() == Some(DeliveryMode::Transient)
        };
        let octets = messages.iter().position(is_transient).expect("a transient message");
        let octets = messages.remove(octets);
        messages.insert(1, octets);
        messages.try_into().unwrap()
    }
}

impl Drop for JmsQueue {
    fn drop(&mut self) {
        let _ = self.consumer.stop();
        let _ = self.connection.delete_queue(&self.name, DeleteIf::ALWAYS);
    }
}

/// Checks what a JMS client prints of a message, up to its end.
#[track_caller]
fn expect_lines(jms: &Program, lines: &[&str]) {
    let printed: Vec<String> = std::iter::from_fn(|| Some(jms.line()))
        .take_while(|line| line != "end")
        .filter(|line| !line.starts_with("property: carrot:"))
        .collect();
    assert_eq!(printed, lines);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn text_of_jms_keeps_its_characters_and_properties() {
    let queue = JmsQueue::new("jms-text");
    let [text, ..] = queue.sent_by_jms();

    assert_eq!(text.text(), Some("text: café, 日本, \0, 😀"));
    let expected = Headers::from([
        ("boolean", Value::Bool(true)),
        ("byte", Value::I8(-7)),
        ("short", Value::I16(-700)),
        ("int", Value::I32(-70_000)),
        ("long", Value::I64(i64::MIN)),
        ("float", Value::F32(1.5)),
        ("double", Value::F64(-0.1)),
        ("string", "Zoë, \0, 😀".into()),
    ]);
    let headers = text.headers().unwrap();
    assert_eq!(headers.len(), expected.len());
    for (name, value) in expected.iter() {
        assert_eq!(headers.get(name.as_str()), Some(value), "{name:?}");
    }
    let properties = text.properties();
    assert_eq!(properties.kind(), Some("greeting"));
    assert_eq!(properties.correlation_id(), Some("correlation-7"));
    assert_eq!(properties.reply_to(), Some("answers.here"));
    assert_eq!(properties.priority(), Some(7));
    assert_eq!(properties.delivery_mode(), Some(DeliveryMode::Persistent));
    assert!(text.id().unwrap().starts_with("ID:"), "{:?}", text.id());
    assert!(properties.timestamp().is_some());
    assert_eq!((text.exchange(), text.routing_key()), ("", &*queue.name));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn octets_and_empty_bodies_of_jms_arrive() {
    let queue = JmsQueue::new("jms-bodies");
    let [_, octets, empty, null, none, _] = queue.sent_by_jms();

    assert_eq!(octets.body(), [0, 0xff, 1, 0x80]);
    assert_eq!(octets.properties().delivery_mode(), Some(DeliveryMode::Transient));
    assert_eq!(octets.properties().priority(), Some(4));
    for (name, message) in [("empty text", empty), ("null text", null), ("no body", none)] {
        assert_eq!(message.unreadable(), None, "{name}");
        assert_eq!(message.body(), b"", "{name}");
        message.ack().unwrap();
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn map_of_jms_is_unreadable_and_kept() {
    let queue = JmsQueue::new("jms-map");
    let mut messages = Vec::from(queue.sent_by_jms());
    let map = messages.remove(5);
    messages.into_iter().for_each(|message| message.ack().unwrap());
    assert_eq!(map.unreadable(), Some("the body of a JMS message of the type Map is not octets"));
    assert_eq!(map.body(), b"");
    map.requeue().unwrap();

    let again = receive(&queue.consumer, 1).remove(0);
    assert!(again.unreadable().is_some() && again.is_redelivered());
    queue.publisher().message().send_bytes("after the map").unwrap();
    let after = receive(&queue.consumer, 1).remove(0);
    assert_eq!(after.text(), Some("after the map"));
    after.ack().unwrap();

    again.requeue().unwrap();
    queue.consumer.stop().unwrap();
    let jms = queue.jms("receive");
    jms.expect("ready");
    jms.expect("body: ActiveMQMapMessage");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn rejected_map_of_jms_moves_whole_to_the_dead_letters_of_the_broker() {
    const DEAD_LETTERS: &str = "ActiveMQ.DLQ";
    let queue = JmsQueue::new("jms-rejected");
    let mut messages = Vec::from(queue.sent_by_jms());
    messages.pop().unwrap().reject().unwrap();
    messages.into_iter().for_each(|message| message.ack().unwrap());

    let dead_letters = queue.connection.consumer(Queue::existing(DEAD_LETTERS)).build().unwrap();
    let map = dead_letters
        .messages()
        .unwrap()
        .timeout(SOON)
        .map(|message| message.unwrap())
        .find(|message| message.unreadable().is_some_and(|reason| reason.contains("Map")))
        .expect("the map is a dead letter");
    map.requeue().unwrap();
    dead_letters.stop().unwrap();
    let jms = Program::java(&queue.options, &["receive", DEAD_LETTERS]);
    jms.expect("ready");
    // The queue has dead letters of other tests, too.
    while jms.line() != "body: ActiveMQMapMessage" {}
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn jms_reads_messages_of_carrot() {
    let queue = JmsQueue::new("jms-reads");
    queue.consumer.stop().unwrap();
    let jms = queue.jms("receive");
    jms.expect("ready");
    let publisher = queue.publisher();
    let headers = Headers::from([
        ("boolean", Value::Bool(false)),
        ("byte", Value::I8(i8::MIN)),
        ("short", Value::I16(i16::MIN)),
        ("int", Value::I32(i32::MIN)),
        ("long", Value::I64(i64::MAX)),
        ("float", Value::F32(1.5)),
        ("double", Value::F64(-0.1)),
        ("string", "Zoë, 日本".into()),
        ("empty", "".into()),
        ("u8", Value::U8(u8::MAX)),
        ("u16", Value::U16(u16::MAX)),
        ("u32", Value::U32(u32::MAX)),
        ("no-identifier", Value::Bool(true)),
        ("octets", Value::Bytes(vec![1])),
    ]);
    let message = publisher.message().headers(headers).kind("greeting").priority(7);
    let message = message.correlation_id("😀-7").reply_to("answers.here");
    message.expiration(Duration::from_secs(3600)).send_bytes("café 😀 \0").unwrap();
    expect_lines(
        &jms,
        &[
            "body: bytes 636166c3a920f09f98802000",
            "mode: 2",
            "priority: 4",
            "type: greeting",
            "correlation: 😀-7",
            "reply to: queue://answers.here",
            "expires: true",
            "redelivered: false",
            "property: boolean: Boolean false",
            "property: byte: Byte -128",
            "property: double: Double -0.1",
            "property: empty: String ",
            "property: float: Float 1.5",
            "property: int: Integer -2147483648",
            "property: long: Long 9223372036854775807",
            "property: short: Short -32768",
            "property: string: String Zoë, 日本",
            "property: u16: Integer 65535",
            "property: u32: Long 4294967295",
            "property: u8: Short 255",
        ],
    );

    publisher.message().transient().send_bytes("").unwrap();
    expect_lines(
        &jms,
        &[
            "body: bytes ",
            "mode: 1",
            "priority: 4",
            "type: null",
            "correlation: null",
            "reply to: null",
            "expires: false",
            "redelivered: false",
        ],
    );
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn message_that_carrot_requeues_is_redelivered_to_jms() {
    let queue = JmsQueue::new("jms-requeued");
    queue.publisher().message().send_bytes("again").unwrap();
    receive(&queue.consumer, 1).remove(0).requeue().unwrap();
    queue.consumer.stop().unwrap();

    let jms = queue.jms("receive");
    jms.expect("ready");
    jms.expect("body: bytes 616761696e");
    let redelivered = std::iter::from_fn(|| Some(jms.line()))
        .take_while(|line| line != "end")
        .any(|line| line == "redelivered: true");
    assert!(redelivered);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn carrot_calls_a_server_in_java() {
    let queue = JmsQueue::new("jms-server");
    let jms = queue.jms("answer");
    jms.expect("ready");
    let caller = queue.connection.caller(&*queue.name).build().unwrap();
    let answer: String = caller.call("word", SOON).unwrap();
    assert_eq!(answer, "WORD");
    let answer: String = caller.call("café 😀", SOON).unwrap();
    assert_eq!(answer, "CAFÉ 😀");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn client_in_java_calls_carrot() {
    let queue = JmsQueue::new("jms-client");
    let server = queue.consumer.serve(1, |word: String| Ok::<_, String>(word.len())).unwrap();
    let jms = queue.jms("ask");
    jms.expect("request-1: 4");
    jms.expect_end();
    let report = server.stop(SOON).unwrap();
    assert_eq!((report.acknowledged, report.failed), (1, 0));
}
