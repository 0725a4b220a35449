//! Valid calls of a client, chosen by any octets.

use carrot_amqp_wire::PropertiesRef;
use carrot_core::backend::{
    Acknowledgement, ConsumeOptions, DeleteIf, Rejection, Role, ShortString,
};
use carrot_core::{Binding, Exchange, Overflow, Properties, Queue, Value};

use crate::calls::put_request;
use crate::calls::request::{SettleKind, TagRange, kind};
use crate::zmtp::command::{self, DEALER};
use crate::zmtp::frame::{framed, message, start_message};
use crate::zmtp::greeting::{self as zmtp_greeting, Mechanism};

/// The octets of a client, and the calls in them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "for fuzz targets")]
pub struct CallProgram {
    /// The octets, from the greeting on.
    pub octets: Vec<u8>,
    /// The numbers of the calls that have an answer, in their order.
    pub calls: Vec<u32>,
}

/// Returns the greeting, the handshake and the hello of a client.
pub fn greeting() -> Vec<u8> {
    let mut octets = zmtp_greeting::greeting(Mechanism::Null, false).to_vec();
    command::with_socket(&mut octets, "READY", DEALER);
    message(&mut octets, |out| put_request::put_hello(out, 1, &[7; 16], "fuzz"));
    octets
}

/// Returns a client that carries out what these octets choose: one call for some of them.
pub fn call_program(choices: &[u8]) -> CallProgram {
    let program = CallProgram { octets: greeting(), calls: vec![1] };
    let mut writer = CallProgramWriter { choices, program, last: 1 };
    while !writer.choices.is_empty() {
        writer.call();
    }
    writer.program
}

struct CallProgramWriter<'c> {
    choices: &'c [u8],
    program: CallProgram,
    /// The number of the last call.
    last: u32,
}

/// Returns one of several names.
fn name(prefix: &str, choice: u8) -> String {
    format!("{prefix}{}", choice % 4)
}

impl CallProgramWriter<'_> {
    /// Takes the next choice; 0 at the end.
    fn next(&mut self) -> u8 {
        let Some((choice, rest)) = self.choices.split_first() else { return 0 };
        self.choices = rest;
        *choice
    }

    /// Adds a call with an answer.
    fn asked(&mut self, write: impl FnOnce(&mut Vec<u8>, u32)) {
        self.last += 1;
        let call = self.last;
        message(&mut self.program.octets, |out| write(out, call));
        self.program.calls.push(call);
    }

    /// Adds a message without an answer.
    fn told(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        message(&mut self.program.octets, write);
    }

    fn call(&mut self) {
        let (action, place) = (self.next(), self.next());
        let channel = 1 + u32::from(place & 1);
        let (queue, exchange) = (name("q", place >> 1), name("e", place >> 1));
        let (many, few) = (place & 0x80 != 0, place & 0x40 != 0);
        match action % 24 {
            0 => {
                let limit = u64::from(self.next());
                let role = if many { Role::Consume } else { Role::Publish };
                self.asked(|out, call| {
                    put_request::put_open(out, channel, call, role, !few, limit);
                });
            }
            1 => self.asked(|out, call| put_request::put_bare(out, kind::CLOSE, channel, call)),
            2 => {
                let queue = self.queue(&queue);
                self.asked(|out, call| put_request::put_declare_queue(out, channel, call, &queue));
            }
            3 => {
                let mut declared = match self.next() % 4 {
                    0 => Exchange::direct(exchange),
                    1 => Exchange::topic(exchange),
                    2 => Exchange::headers(exchange),
                    _ => Exchange::fanout(exchange),
                };
                declared.auto_delete = many;
                declared.passive = few;
                self.asked(|out, call| {
                    put_request::put_declare_exchange(out, channel, call, &declared);
                });
            }
            4..=6 => {
                let kind = [kind::BIND, kind::UNBIND, kind::HAS_BINDING];
                let kind = kind.get(usize::from(action % 24 - 4)).copied().unwrap_or_default();
                let choice = self.next();
                let (target, key) = (name("q", choice), name("q", choice >> 2));
                let binding = match choice >> 7 {
                    0 => Binding::queue(exchange, target, key),
                    _ => Binding::exchange(exchange, name("e", choice), key),
                };
                self.asked(|out, call| {
                    put_request::put_of_binding(out, kind, channel, call, &binding);
                });
            }
            7 | 8 => {
                let condition = match (many, few) {
                    (false, false) => DeleteIf::ALWAYS,
                    (true, false) => DeleteIf::UNUSED,
                    (false, true) => DeleteIf::EMPTY,
                    (true, true) => DeleteIf::UNUSED_AND_EMPTY,
                };
                let (kind, name) = match action % 24 {
                    7 => (kind::DELETE_QUEUE, queue),
                    _ => (kind::DELETE_EXCHANGE, exchange),
                };
                self.asked(|out, call| {
                    put_request::put_delete(out, kind, channel, call, &name, condition);
                });
            }
            9 => self.asked(|out, call| put_request::put_purge(out, channel, call, &queue)),
            10..=13 => self.publish(channel, if many { &exchange } else { "" }, &queue, few),
            14 => {
                let acknowledgement = acknowledgement(many);
                self.asked(|out, call| {
                    put_request::put_get(out, channel, call, &queue, acknowledgement);
                });
            }
            15 => {
                let choice = self.next();
                let mut options = ConsumeOptions::with_prefetch(u16::from(choice % 4));
                options.acknowledgement = acknowledgement(many);
                options.exclusive = choice & 0x80 != 0;
                if few {
                    options = options.argument("x-priority", i32::from(choice >> 4));
                }
                let consumer = 1 + u32::from(choice >> 2 & 3);
                self.asked(|out, call| {
                    put_request::put_consume(out, channel, call, consumer, &queue, &options);
                });
            }
            16 => {
                let consumer = 1 + u32::from(place >> 1 & 3);
                self.asked(|out, call| put_request::put_cancel(out, channel, call, consumer));
            }
            17 => {
                let consumer = 1 + u32::from(place >> 1 & 3);
                let ranges = self.ranges();
                self.told(|out| put_request::put_drop_consumer(out, channel, consumer, &ranges));
            }
            18..=20 => {
                let settlement = match self.next() % 4 {
                    0 => SettleKind::Ack,
                    1 => SettleKind::Reject(Rejection::Requeue),
                    2 => SettleKind::Reject(Rejection::RequeueFailed),
                    _ => SettleKind::Reject(Rejection::Discard),
                };
                let ranges = self.ranges();
                self.told(|out| put_request::put_settle(out, channel, settlement, &ranges));
            }
            21 => {
                let bytes = u64::from(self.next());
                self.told(|out| put_request::put_taken(out, channel, bytes));
            }
            22 => command::ping(&mut self.program.octets, 7),
            _ => self.asked(|out, call| put_request::put_update_secret(out, call, "", "")),
        }
    }

    fn ranges(&mut self) -> Vec<TagRange> {
        let (first, length) = (u64::from(self.next() % 32), self.next());
        let range = |first: u64, length: u8| TagRange { first, last: first + u64::from(length) };
        match length >> 6 {
            0 | 1 => vec![range(first, length % 4)],
            2 => Vec::new(),
            _ => vec![range(first, 0), range(first + 2, length % 4)],
        }
    }

    fn queue(&mut self, name: &str) -> Queue {
        let (choice, more) = (self.next(), self.next());
        let mut queue = Queue::new(name);
        queue.durable = choice & 1 == 0;
        queue.auto_delete = choice & 2 != 0;
        queue.exclusive = choice & 4 != 0;
        queue.passive = choice & 0x38 == 0x38;
        if choice & 0x40 != 0 {
            let target = ["q0", "q1", "q2", "q3"].get(usize::from(more & 3)).copied();
            queue =
                queue.dead_letter_exchange("").dead_letter_routing_key(target.unwrap_or_default());
        }
        if choice & 0x80 != 0 {
            queue = match more >> 2 & 7 {
                0 => queue.max_length(u32::from(more >> 5)),
                1 => queue.max_length(1).overflow(Overflow::RejectPublish),
                2 => queue.argument("x-message-ttl", 0),
                3 => queue.argument("x-max-priority", 3),
                4 => queue.argument("x-single-active-consumer", true),
                5 => queue.argument("x-queue-type", "quorum"),
                6 => queue.argument("x-max-length-bytes", 9),
                _ => queue.argument("x-unknown", Value::Void),
            };
        }
        queue
    }

    fn publish(&mut self, channel: u32, exchange: &str, key: &str, mandatory: bool) {
        let (choice, length) = (self.next(), self.next());
        let mut properties = Properties::new();
        if choice & 1 != 0 {
            properties = properties.with_priority(choice >> 4);
        }
        if choice & 2 != 0 {
            properties = properties.with_expiration("0");
        }
        if choice & 4 != 0 {
            let copies = vec![Value::from("q1"), Value::from("q2")];
            properties = properties.with_header("CC", copies);
        }
        if choice & 8 != 0 {
            properties = properties.with_reply_to("amq.rabbitmq.reply-to");
        }
        let octets = &mut self.program.octets;
        let (exchange, key) = (ShortString::from(exchange), ShortString::from(key));
        framed(octets, true, |out| {
            put_request::put_publish(out, channel, mandatory, &exchange, &key);
            // The strings are short.
            let _ = PropertiesRef::from(&properties).write(out);
        });
        start_message(octets, usize::from(length), false);
        octets.extend(std::iter::repeat_n(length, usize::from(length)));
    }
}

fn acknowledgement(is_automatic: bool) -> Acknowledgement {
    match is_automatic {
        true => Acknowledgement::Automatic,
        false => Acknowledgement::Manual,
    }
}
