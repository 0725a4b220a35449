//! What the slots of a program are called at a broker, and back.

use carrot_core::{Headers, Value};

use crate::program::{Data, ExchangeName, Key, QueueName, Table};

/// The pseudo-queue of direct answers.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const DIRECT_ANSWER: &str = "amq.rabbitmq.reply-to.";

/// The names of one run of a program.
#[derive(Debug)]
pub struct Names {
    prefix: String,
    server: Vec<String>,
    queues: Vec<String>,
    exchanges: Vec<String>,
    answers: Vec<String>,
}

impl Names {
    /// Names that begin with a prefix nobody else has.
    pub fn new(prefix: impl Into<String>) -> Names {
        Names {
            prefix: prefix.into(),
            server: Vec::new(),
            queues: Vec::new(),
            exchanges: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Takes note of a queue that the broker named.
    pub fn learn(&mut self, name: &str) {
        if !self.server.iter().any(|known| known == name) {
            self.server.push(name.to_string());
        }
    }

    /// Takes note of where a message wants its answer, if that is a direct way.
    pub fn learn_answer(&mut self, reply_to: Option<&str>) {
        if let Some(name) = reply_to.filter(|name| name.starts_with(DIRECT_ANSWER))
            && !self.answers.iter().any(|known| known == name)
        {
            self.answers.push(name.to_string());
        }
    }

    /// Takes note of the queues that there are.
    pub fn know_queues(&mut self, names: impl Iterator<Item = String>) {
        self.queues = names.collect();
    }

    /// Takes note of an exchange that was declared.
    pub fn know_exchange(&mut self, name: &str) {
        if !self.exchanges.iter().any(|known| known == name) {
            self.exchanges.push(name.to_string());
        }
    }

    /// What a queue is called.
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

    /// What an exchange is called.
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

    /// The routing key that is meant.
    pub fn key(&self, key: &Key) -> String {
        match key {
            Key::Words(words) => words.clone(),
            Key::Queue(queue) => self.queue(queue),
            Key::Answer => {
                self.answers.last().cloned().unwrap_or_else(|| format!("{DIRECT_ANSWER}nobody"))
            }
            Key::TooLong => "k".repeat(256),
        }
    }

    /// The table that is meant.
    pub fn table(&self, table: &Table) -> Headers {
        table.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
    }

    fn value(&self, value: &Data) -> Value {
        match value {
            Data::Void => Value::Void,
            Data::Bool(value) => Value::Bool(*value),
            Data::I8(value) => Value::I8(*value),
            Data::U8(value) => Value::U8(*value),
            Data::I16(value) => Value::I16(*value),
            Data::U16(value) => Value::U16(*value),
            Data::I32(value) => Value::I32(*value),
            Data::U32(value) => Value::U32(*value),
            Data::I64(value) => Value::I64(*value),
            Data::F32(value) => Value::F32(*value),
            Data::F64(value) => Value::F64(*value),
            Data::Decimal(scale, value) => Value::Decimal { scale: *scale, value: *value },
            Data::String(value) => Value::String(value.clone()),
            Data::Bytes(value) => Value::Bytes(value.clone()),
            Data::Timestamp(value) => Value::Timestamp(*value),
            Data::Array(values) => {
                Value::Array(values.iter().map(|value| self.value(value)).collect())
            }
            Data::Table(table) => Value::Table(self.table(table)),
            Data::QueueName(name) => Value::String(self.queue(name)),
            Data::ExchangeName(name) => Value::String(self.exchange(name)),
        }
    }

    /// Puts slots in the place of names in a text.
    pub fn symbolic(&self, text: &str) -> String {
        let mut text = text.replace(&self.prefix, "");
        for (index, name) in self.server.iter().enumerate() {
            text = text.replace(name.as_str(), &format!("server{index}"));
        }
        for (index, name) in self.answers.iter().enumerate() {
            text = text.replace(name.as_str(), &format!("answer{index}"));
        }
        text
    }
}
