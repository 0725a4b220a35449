//! Connections that are lost: what was prefetched has not failed, and reports stay true.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use carrot::memory::Broker;
use carrot::{Connection, ConnectionOptions, Message, Retry};
use carrot_faults::Proxy;

use super::{SHORTEST, with_parking};
use crate::support::{SOON, eventually, rabbitmq_url, ready, unique};

/// A connection that can be cut, and another to look on.
struct Cuttable {
    connection: Connection,
    onlooker: Connection,
    cut: Box<dyn Fn() + Send + Sync>,
}

fn on_memory() -> Cuttable {
    let broker = Broker::new();
    let name = unique("cut");
    let connection = Connection::new(broker.connector_with(&ConnectionOptions::new().name(&*name)).unwrap());
    let onlooker = Connection::new(broker.connector());
    let cut = Box::new(move || {
        broker.faults().drop_connections_named(&name).unwrap();
    });
    Cuttable { connection, onlooker, cut }
}

fn on_rabbitmq() -> Cuttable {
    let options: ConnectionOptions = rabbitmq_url().parse().unwrap();
    let (host, port) = options.addresses().next().unwrap();
    let proxy = Proxy::new(host, port).unwrap();
    let address = proxy.address();
    let through = options.clone().host(address.ip().to_string()).port(address.port());
    let connection = carrot::connect(through).unwrap();
    Cuttable { connection, onlooker: carrot::connect(options).unwrap(), cut: Box::new(move || proxy.cut()) }
}

macro_rules! on_both {
    ($(fn $name:ident($world:ident: Cuttable) $body:block)*) => {
        $(fn $name($world: Cuttable) $body)*

        mod memory {
            $(#[test]
            fn $name() {
                super::$name(super::on_memory());
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::$name(super::on_rabbitmq());
            })*
        }
    };
}

on_both! {
    fn a_cut_connection_costs_no_attempt(world: Cuttable) {
        const MESSAGES: u32 = 30;
        let Cuttable { connection, onlooker, cut } = world;
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::fixed(SHORTEST).attempts(2)).build().unwrap();
        onlooker.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..MESSAGES).unwrap();
        // The first message is being handled when the connection is cut; after that, each message fails once.
        let handled: Arc<Mutex<BTreeMap<u32, Vec<u32>>>> = Arc::default();
        let attempts = Arc::clone(&handled);
        let workers = consumer.workers(2).spawn(move |number: u32, message: &Message| {
            let first_of_all = {
                let mut attempts = attempts.lock().unwrap();
                let first_of_all = attempts.is_empty();
                attempts.entry(number).or_default().push(message.attempt());
                first_of_all
            };
            if first_of_all {
                cut();
                eventually("the loss is known", || message.is_redelivered() || cut_is_known(message));
                return Ok(());
            }
            if message.attempt() == 1 { Err("fails once") } else { Ok(()) }
        }).unwrap();
        eventually("each message was handled at its second attempt", || {
            let handled = handled.lock().unwrap();
            handled.len() == MESSAGES as usize && handled.values().all(|attempts| attempts.last() == Some(&2))
        });
        eventually("nothing is left", || ready(&onlooker, &queue.name) == 0);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.parked, ready(&onlooker, &parking), ready(&onlooker, &queue.name)), (0, 0, 0), "{report:?}");
        // A cut between a copy and its acknowledgement doubles a message, and never loses it.
        assert!(report.acknowledged >= u64::from(MESSAGES) && report.stale >= 1, "{report:?}");
    }
}

/// Time for the client to notice: what a handler does after that is told to nobody.
fn cut_is_known(_message: &Message) -> bool {
    std::thread::sleep(std::time::Duration::from_millis(100));
    true
}
