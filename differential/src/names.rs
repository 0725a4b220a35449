//! Translates the slots of a program to names at a broker, and back.

use carrot_core::{Headers, Value};

use crate::specs::{ExchangeName, Key, QueueName, Table, TableValue};

/// The pseudo-queue of direct reply-to.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const REPLY_ADDRESS_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// The names of one run of a program.
#[derive(Debug)]
pub struct Names {
    prefix: String,
    server: Vec<String>,
    queues: Vec<String>,
    exchanges: Vec<String>,
    reply_addresses: Vec<String>,
}

impl Names {
    /// Creates names with a prefix that no other run uses.
    pub fn new(prefix: impl Into<String>) -> Names {
        Names {
            prefix: prefix.into(),
            server: Vec::new(),
            queues: Vec::new(),
            exchanges: Vec::new(),
            reply_addresses: Vec::new(),
        }
    }

    /// Records the name of a queue that the broker has named.
    pub fn learn_server_named(&mut self, name: &str) {
        if !self.server.iter().any(|known| known == name) {
            self.server.push(name.to_string());
        }
    }

    /// Records the reply address of a message, if it is an address of direct reply-to.
    pub fn learn_reply_address(&mut self, reply_to: Option<&str>) {
        if let Some(name) = reply_to.filter(|name| name.starts_with(REPLY_ADDRESS_PREFIX))
            && !self.reply_addresses.iter().any(|known| known == name)
        {
            self.reply_addresses.push(name.to_string());
        }
    }

    /// Records the queues that exist.
    pub fn know_queues(&mut self, names: impl Iterator<Item = String>) {
        self.queues = names.collect();
    }

    /// Records an exchange that was declared.
    pub fn know_exchange(&mut self, name: &str) {
        if !self.exchanges.iter().any(|known| known == name) {
            self.exchanges.push(name.to_string());
        }
    }

    /// Returns the name of a queue.
    pub fn queue(&self, name: &QueueName) -> String {
        match name {
            QueueName::Slot(slot) => format!("{}q{slot}", self.prefix),
            QueueName::Known(number) if !self.queues.is_empty() => {
                self.queues[usize::from(*number) % self.queues.len()].clone()
            }
            QueueName::Known(number) => format!("{}q{number}", self.prefix),
            QueueName::Server(back) => self
                .server
                .iter()
                .rev()
                .nth(usize::from(*back))
                .cloned()
                .unwrap_or_else(|| format!("{}unnamed", self.prefix)),
            QueueName::Empty => String::new(),
            QueueName::Reserved => format!("amq.{}reserved", self.prefix),
            QueueName::ReplyTo => REPLY_TO.into(),
            QueueName::TooLong => "q".repeat(256),
        }
    }

    /// Returns the name of an exchange.
    pub fn exchange(&self, name: &ExchangeName) -> String {
        match name {
            ExchangeName::Slot(slot) => format!("{}x{slot}", self.prefix),
            ExchangeName::Known(number) if !self.exchanges.is_empty() => {
                self.exchanges[usize::from(*number) % self.exchanges.len()].clone()
            }
            ExchangeName::Known(number) => format!("{}x{number}", self.prefix),
            ExchangeName::Default => String::new(),
            ExchangeName::Amq(kind) => format!("amq.{kind}"),
            ExchangeName::TooLong => "x".repeat(256),
        }
    }

    /// Returns a routing key.
    pub fn key(&self, key: &Key) -> String {
        match key {
            Key::Words(words) => words.clone(),
            Key::Queue(queue) => self.queue(queue),
            Key::ReplyAddress => self
                .reply_addresses
                .last()
                .cloned()
                .unwrap_or_else(|| format!("{REPLY_ADDRESS_PREFIX}nobody")),
            Key::TooLong => "k".repeat(256),
        }
    }

    /// Returns a table.
    pub fn table(&self, table: &Table) -> Headers {
        table.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
    }

    fn value(&self, value: &TableValue) -> Value {
        match value {
            TableValue::Void => Value::Void,
            TableValue::Bool(value) => Value::Bool(*value),
            TableValue::I8(value) => Value::I8(*value),
            TableValue::U8(value) => Value::U8(*value),
            TableValue::I16(value) => Value::I16(*value),
            TableValue::U16(value) => Value::U16(*value),
            TableValue::I32(value) => Value::I32(*value),
            TableValue::U32(value) => Value::U32(*value),
            TableValue::I64(value) => Value::I64(*value),
            TableValue::F32(value) => Value::F32(*value),
            TableValue::F64(value) => Value::F64(*value),
            TableValue::Decimal(scale, value) => Value::Decimal { scale: *scale, value: *value },
            TableValue::String(value) => Value::String(value.clone()),
            TableValue::Bytes(value) => Value::Bytes(value.clone()),
            TableValue::Timestamp(value) => Value::Timestamp(*value),
            TableValue::Array(values) => {
                Value::Array(values.iter().map(|value| self.value(value)).collect())
            }
            TableValue::Table(table) => Value::Table(self.table(table)),
            TableValue::QueueName(name) => Value::String(self.queue(name)),
            TableValue::ExchangeName(name) => Value::String(self.exchange(name)),
        }
    }

    /// Replaces the names in a text with their slots.
    pub fn symbolic(&self, text: &str) -> String {
        let mut text = text.replace(&self.prefix, "");
        for (index, name) in self.server.iter().enumerate() {
            text = text.replace(name.as_str(), &format!("server{index}"));
        }
        for (index, name) in self.reply_addresses.iter().enumerate() {
            text = text.replace(name.as_str(), &format!("answer{index}"));
        }
        text
    }
}
