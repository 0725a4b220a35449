//! Delays by real time, on both backends.

use std::time::{Duration, Instant};

use carrot::topology::DeleteIf;
use carrot::{Binding, Connection, Exchange, ExchangeKind};

use crate::support::{SOON, exchange, next, queue, ready, unique};

/// The longest excess over a delay that counts as accurate on a busy machine.
const ACCURACY: Duration = Duration::from_secs(3);

fn delete_chain(connection: &Connection, stem: &str) {
    let levels = ["1s", "2s", "4s"].map(|level| format!("{stem}.v1.{level}"));
    for name in levels.iter().map(String::as_str).chain([&*format!("{stem}.v1.last")]) {
        let _ = connection.delete_exchange(name, DeleteIf::ALWAYS);
        let _ = connection.delete_queue(name, DeleteIf::ALWAYS);
    }
    for end in ["kept", "dropped"] {
        let _ = connection.delete_queue(&format!("{stem}.v1.last.{end}"), DeleteIf::ALWAYS);
    }
}

on_both_backends! {
    fn delayed_messages_arrive_on_time_and_in_the_order_of_their_ends(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.declare_delays(Duration::from_secs(6)).unwrap();
        let consumer = connection.consumer(&queue).build().unwrap();
        let sent: Vec<Instant> = [6, 1, 3]
            .into_iter()
            .map(|seconds| {
                publisher.message().delay(Duration::from_secs(seconds)).send(&seconds).unwrap();
                Instant::now()
            })
            .collect();
        for (seconds, sent) in [(1, sent[1]), (3, sent[2]), (6, sent[0])] {
            let message = next(&consumer);
            let late = sent.elapsed().as_secs_f64() - Duration::from_secs(seconds).as_secs_f64();
            println!("{seconds} s: {late:+.3} s after its end");
            assert_eq!(message.decode::<u64>().unwrap(), seconds);
            // The confirm, from which the test counts, can be later than the start of the delay.
            assert!(late > -0.5 && late < ACCURACY.as_secs_f64(), "{late}");
            assert_eq!((message.exchange(), message.routing_key()), ("", &*queue.name));
            assert_eq!((message.attempt(), message.deaths().len()), (1, 0));
            message.ack().unwrap();
        }
        delete_chain(connection, &format!("{}.delay", queue.name));
    }

    fn delayed_message_reaches_every_type_of_exchange(connection: &Connection) {
        for kind in [ExchangeKind::Direct, ExchangeKind::Topic, ExchangeKind::Fanout, ExchangeKind::Headers] {
            let (queue, exchange) = (queue(), exchange(kind.clone()));
            let binding = Binding::queue(&*exchange.name, &*queue.name, "order.new");
            let binding = match kind {
                ExchangeKind::Headers => binding.argument("region", "eu"),
                _ => binding,
            };
            let publisher = connection.publisher().exchange(exchange.clone()).build().unwrap();
            let consumer = connection.consumer(&queue).build().unwrap();
            connection.declare_queue(queue.clone()).unwrap();
            connection.bind(&binding).unwrap();
            let message = publisher.message().routing_key("order.new").header("region", "eu");
            message.mandatory().delay(Duration::from_secs(2)).send("x").unwrap();
            let message = next(&consumer);
            assert_eq!((message.exchange(), message.routing_key()), (&*exchange.name, "order.new"));
            assert_eq!(message.deaths(), []);
            message.ack().unwrap();
            delete_chain(connection, &format!("{}.exchange-delay", exchange.name));
        }
    }

    fn predeclared_exchange_takes_delayed_messages(connection: &Connection) {
        let queue = queue();
        let publisher =
            connection.publisher().exchange(Exchange::existing("amq.topic")).build().unwrap();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.declare_queue(queue.clone()).unwrap();
        let key = unique("key");
        connection.bind(&Binding::queue("amq.topic", &*queue.name, &*key)).unwrap();
        let message = publisher.message().routing_key(&*key);
        message.delay(Duration::from_secs(1)).send("x").unwrap();
        assert_eq!(next(&consumer).routing_key(), key);
    }

    fn unroutable_messages_do_not_delay_others_unless_they_are_mandatory(connection: &Connection) {
        let (queue, exchange) = (queue(), exchange(ExchangeKind::Direct));
        let publisher = connection.publisher().exchange(exchange.clone()).build().unwrap();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.declare_queue(queue.clone()).unwrap();
        connection.bind(&Binding::queue(&*exchange.name, &*queue.name, "known")).unwrap();
        for _ in 0..100 {
            let message = publisher.message().routing_key("unknown");
            drop(message.delay(Duration::from_secs(1)).publish("x").unwrap());
        }
        publisher.flush().unwrap();
        publisher.message().routing_key("known").delay(Duration::from_secs(1)).send("y").unwrap();
        assert_eq!(next(&consumer).decode::<String>().unwrap(), "y");
        delete_chain(connection, &format!("{}.exchange-delay", exchange.name));
    }

    #[differs_on_activemq(longest_delay_is_ten_years)]
    fn longest_delay_is_accepted(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.message().delay(Duration::from_secs(8_388_608)).send("x").unwrap();
        let highest = format!("{}.delay.v1.4194304s", queue.name);
        let deadline = Instant::now() + SOON;
        while ready(connection, &highest) == 0 {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(10));
        }
        for level in 0..23 {
            let name = format!("{}.delay.v1.{}s", queue.name, 1 << level);
            connection.delete_queue(&name, DeleteIf::ALWAYS).unwrap();
            connection.delete_exchange(&name, DeleteIf::ALWAYS).unwrap();
        }
        delete_chain(connection, &format!("{}.delay", queue.name));
    }
}
