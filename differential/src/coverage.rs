//! What the programs reached: a generator that never reaches a feature proves nothing about it.

use std::collections::BTreeMap;
use std::fmt;

use crate::program::{
    Action, Data, ExchangeName, Key, Operation, Pick, Program, PublishSpec, QueueName, Table,
    Target,
};
use crate::run::Step;

/// How often what occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<(&'static str, String), u64>,
}

impl Coverage {
    /// Takes note of a program and what it showed.
    pub fn note(&mut self, program: &Program, steps: &[Step]) {
        for (operation, step) in program.operations.iter().zip(steps) {
            let name = self.operation(operation);
            self.result(name, step);
        }
        for line in steps.iter().flatten() {
            self.line(line);
        }
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: Coverage) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }

    /// How often something of a group occurred.
    pub fn count(&self, group: &'static str, what: &str) -> u64 {
        self.counts.get(&(group, what.to_string())).copied().unwrap_or_default()
    }

    /// How many different things occurred.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing did.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, group: &'static str, what: impl Into<String>) {
        *self.counts.entry((group, what.into())).or_default() += 1;
    }

    fn operation(&mut self, operation: &Operation) -> &'static str {
        match &operation.action {
            Action::DeclareExchange(spec) => {
                self.add("exchange", format!("kind {}", spec.kind));
                self.flags(
                    "exchange",
                    &[
                        ("transient", spec.transient),
                        ("auto-delete", spec.auto_delete),
                        ("internal", spec.internal),
                        ("passive", spec.passive),
                    ],
                );
                self.exchange_name(&spec.name);
                self.table("exchange", &spec.arguments);
                "declare exchange"
            }
            Action::DeclareQueue(spec) => {
                self.flags(
                    "queue",
                    &[
                        ("transient", spec.transient),
                        ("exclusive", spec.exclusive),
                        ("auto-delete", spec.auto_delete),
                        ("passive", spec.passive),
                    ],
                );
                self.queue_name(&spec.name);
                self.table("queue", &spec.arguments);
                "declare queue"
            }
            Action::Bind(spec) | Action::Unbind(spec) => {
                let unbind = matches!(operation.action, Action::Unbind(_));
                self.table("binding", &spec.arguments);
                self.exchange_name(&spec.from);
                match (&spec.to, unbind) {
                    (Target::Queue(_), false) => "bind queue",
                    (Target::Exchange(_), false) => "bind exchange",
                    (Target::Queue(_), true) => "unbind queue",
                    (Target::Exchange(_), true) => "unbind exchange",
                }
            }
            Action::DeleteExchange { if_unused: false, .. } => "delete exchange",
            Action::DeleteExchange { if_unused: true, .. } => "delete exchange if unused",
            Action::DeleteQueue { if_unused, if_empty, .. } => match (if_unused, if_empty) {
                (false, false) => "delete queue",
                (true, false) => "delete queue if unused",
                (false, true) => "delete queue if empty",
                (true, true) => "delete queue if unused and empty",
            },
            Action::Purge(_) => "purge",
            Action::Publish(spec) => {
                self.publication(spec);
                "publish"
            }
            Action::Confirm => "confirm later",
            Action::Get { automatic: false, queue } => {
                self.queue_name(queue);
                "get"
            }
            Action::Get { automatic: true, .. } => "get automatic",
            Action::Consume(spec) => {
                self.queue_name(&spec.queue);
                self.add("consume", format!("prefetch {}", spec.prefetch));
                self.flags(
                    "consume",
                    &[
                        ("automatic", spec.automatic),
                        ("exclusive", spec.exclusive),
                        ("lazy", spec.lazy),
                    ],
                );
                self.table("consume", &spec.arguments);
                "consume"
            }
            Action::Take { .. } => "take",
            Action::Cancel { .. } => "cancel",
            Action::DropSubscription { .. } => "drop subscription",
            Action::Ack { delivery, multiple } => {
                self.pick(*delivery);
                if *multiple { "ack multiple" } else { "ack" }
            }
            Action::Reject { delivery, requeue, multiple } => {
                self.pick(*delivery);
                match (requeue, multiple) {
                    (false, false) => "reject",
                    (true, false) => "requeue",
                    (false, true) => "reject multiple",
                    (true, true) => "requeue multiple",
                }
            }
            Action::CloseChannel => "close channel",
            Action::DropChannel => "drop channel",
            Action::CloseConnection => "close connection",
            Action::Wait => "wait",
        }
    }

    fn publication(&mut self, spec: &PublishSpec) {
        self.exchange_name(&spec.exchange);
        if spec.key == Key::TooLong {
            self.add("publish", "routing key too long");
        }
        self.flags(
            "publish",
            &[
                ("mandatory", spec.mandatory),
                ("confirm later", spec.confirm_later),
                ("descriptive properties", spec.properties.descriptive),
            ],
        );
        if spec.key == Key::Answer {
            self.add("publish", "a direct answer");
        }
        let properties = &spec.properties;
        self.flags("publish", &[("asks for a direct answer", properties.answer_here)]);
        if let Some(expiration) = &properties.expiration {
            self.add("publish", format!("expiration {expiration:?}"));
        }
        if properties.priority.is_some() {
            self.add("publish", "priority");
        }
        if let Some(mode) = properties.delivery_mode {
            self.add("publish", format!("delivery mode {mode}"));
        }
        if let Some(user) = &properties.user_id {
            self.add("publish", format!("user-id {user}"));
        }
        for (name, value) in properties.headers.iter().flatten() {
            match name.as_str() {
                "CC" | "BCC" | "x-death" => {
                    self.add("publish", format!("header {name} {}", type_of(value)))
                }
                _ => self.add("header", type_of(value)),
            }
        }
    }

    fn flags(&mut self, group: &'static str, flags: &[(&str, bool)]) {
        for (name, _) in flags.iter().filter(|(_, set)| *set) {
            self.add(group, *name);
        }
    }

    fn table(&mut self, group: &'static str, table: &Table) {
        for (name, value) in table {
            let value = match value {
                Data::Void
                | Data::Bool(_)
                | Data::I32(_)
                | Data::I64(_)
                | Data::U8(_)
                | Data::String(_) => format!("{value:?}"),
                other => type_of(other).to_string(),
            };
            self.add(group, format!("{name} = {value}"));
        }
    }

    fn queue_name(&mut self, name: &QueueName) {
        match name {
            QueueName::Slot(_) | QueueName::Known(_) => {}
            other => self.add("name", format!("queue {other:?}")),
        }
    }

    fn exchange_name(&mut self, name: &ExchangeName) {
        match name {
            ExchangeName::Slot(_) | ExchangeName::Known(_) => {}
            other => self.add("name", format!("exchange {other:?}")),
        }
    }

    fn pick(&mut self, pick: Pick) {
        match pick {
            Pick::Unsettled(_) => {}
            Pick::Settled(_) => self.add("settle", "what is settled"),
            Pick::Zero => self.add("settle", "tag zero"),
            Pick::Unknown => self.add("settle", "unknown tag"),
        }
    }

    fn result(&mut self, name: &'static str, step: &Step) {
        let relevant =
            |line: &&String| !line.starts_with("consumer ") && !line.contains(": ready=");
        let line = step
            .iter()
            .filter(relevant)
            .nth(usize::from(name == "publish"))
            .map_or("ok", String::as_str);
        let word = |text: &str| text.split([' ', '(']).next().unwrap_or_default().to_string();
        let kind = match line.strip_prefix("then ") {
            Some(late) => format!("later {}", word(late)),
            None if line.starts_with("Stale") || line.starts_with("Invalid") => line.to_string(),
            None => word(line),
        };
        let kind = match kind.as_str() {
            kind if kind.starts_with("tag=") || kind.starts_with("redelivered=") => "a message",
            "" => "ok",
            kind if kind.ends_with(':') => "the queue is gone",
            kind if kind.starts_with('m')
                && kind[1..].chars().all(|digit| digit.is_ascii_digit()) =>
            {
                "ok"
            }
            kind => kind,
        };
        self.add(name, kind.to_string());
    }

    fn line(&mut self, line: &str) {
        for (event, sign) in [
            ("delivered again", "redelivered=true"),
            ("dead letter: rejected", "reason: \"rejected\""),
            ("dead letter: expired", "reason: \"expired\""),
            ("dead letter: maxlen", "reason: \"maxlen\""),
            ("dead letter twice", "count: I64(2)"),
            ("original expiration kept", "original-expiration"),
            ("dead letter with routing keys", "routing-keys: [\"q0\", \"q"),
            ("consumer cancelled", "ends: Cancelled"),
            ("consumer ended with its channel", "ends: PreconditionFailed"),
            ("consumer ended with its connection", "ends: Disconnected"),
            ("queue gone", ": NotFound"),
            ("in the end, a queue holds a message", " holds "),
        ] {
            if line.contains(sign) {
                self.add("event", event);
            }
        }
        if line.starts_with("consumer ") && line.contains(" takes ") {
            self.add("event", "consumer takes");
        }
    }
}

fn type_of(value: &Data) -> &'static str {
    match value {
        Data::Void => "void",
        Data::Bool(_) => "bool",
        Data::I8(_) => "i8",
        Data::U8(_) => "u8",
        Data::I16(_) => "i16",
        Data::U16(_) => "u16",
        Data::I32(_) => "i32",
        Data::U32(_) => "u32",
        Data::I64(_) => "i64",
        Data::F32(_) => "f32",
        Data::F64(_) => "f64",
        Data::Decimal(..) => "decimal",
        Data::String(_) => "string",
        Data::Bytes(_) => "bytes",
        Data::Timestamp(_) => "timestamp",
        Data::Array(_) => "array",
        Data::Table(_) => "table",
        Data::QueueName(_) => "queue name",
        Data::ExchangeName(_) => "exchange name",
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        let mut width = 0;
        for ((group, what), count) in &self.counts {
            let cell = format!("{what}: {count}");
            if *group != last {
                write!(formatter, "{}{group:<34}", if last.is_empty() { "" } else { "\n" })?;
                width = 34;
            } else if width + cell.len() > 150 {
                write!(formatter, "\n{:34}", "")?;
                width = 34;
            } else {
                write!(formatter, ", ")?;
            }
            width += cell.len() + 2;
            write!(formatter, "{cell}")?;
            last = group;
        }
        writeln!(formatter)
    }
}
