//! The features that programs use, and their results. A generator that never uses a feature does
//! not test it.

use std::collections::BTreeMap;
use std::fmt;

use crate::program::{DeliveryChoice, Program, ProgramAction, ProgramOperation};
use crate::runner::StepLog;
use crate::specs::{
    BindingTargetSpec, ExchangeName, Key, PublishSpec, QueueName, Table, TableValue,
};

/// The number of occurrences of each feature and result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<(&'static str, String), u64>,
}

impl Coverage {
    /// Counts the operations of a program and the results in its steps.
    pub fn add_program(&mut self, program: &Program, steps: &[StepLog]) {
        for (operation, step) in program.operations.iter().zip(steps) {
            let name = self.operation(operation);
            self.result(name, step);
        }
        for line in steps.iter().flatten() {
            self.line(line);
        }
    }

    /// Adds the counts of another coverage.
    pub fn merge(&mut self, other: Coverage) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }

    /// Returns the number of occurrences of an item of a group.
    pub fn count(&self, group: &'static str, item: &str) -> u64 {
        self.counts.get(&(group, item.to_string())).copied().unwrap_or_default()
    }

    /// Returns the number of different items that occurred.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Returns whether no item occurred.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, group: &'static str, item: impl Into<String>) {
        *self.counts.entry((group, item.into())).or_default() += 1;
    }

    fn operation(&mut self, operation: &ProgramOperation) -> &'static str {
        match &operation.action {
            ProgramAction::DeclareExchange(spec) => {
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
            ProgramAction::DeclareQueue(spec) => {
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
            ProgramAction::Bind(spec) | ProgramAction::Unbind(spec) => {
                let unbind = matches!(operation.action, ProgramAction::Unbind(_));
                self.table("binding", &spec.arguments);
                self.exchange_name(&spec.from);
                match (&spec.to, unbind) {
                    (BindingTargetSpec::Queue(_), false) => "bind queue",
                    (BindingTargetSpec::Exchange(_), false) => "bind exchange",
                    (BindingTargetSpec::Queue(_), true) => "unbind queue",
                    (BindingTargetSpec::Exchange(_), true) => "unbind exchange",
                }
            }
            ProgramAction::DeleteExchange { if_unused: false, .. } => "delete exchange",
            ProgramAction::DeleteExchange { if_unused: true, .. } => "delete exchange if unused",
            ProgramAction::DeleteQueue { if_unused, if_empty, .. } => match (if_unused, if_empty) {
                (false, false) => "delete queue",
                (true, false) => "delete queue if unused",
                (false, true) => "delete queue if empty",
                (true, true) => "delete queue if unused and empty",
            },
            ProgramAction::Purge(_) => "purge",
            ProgramAction::Publish(spec) => {
                self.publication(spec);
                "publish"
            }
            ProgramAction::Confirm => "confirm later",
            ProgramAction::Get { automatic: false, queue } => {
                self.queue_name(queue);
                "get"
            }
            ProgramAction::Get { automatic: true, .. } => "get automatic",
            ProgramAction::Consume(spec) => {
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
            ProgramAction::Take { .. } => "take",
            ProgramAction::Cancel { .. } => "cancel",
            ProgramAction::DropSubscription { .. } => "drop subscription",
            ProgramAction::Ack { delivery, multiple } => {
                self.pick(*delivery);
                if *multiple { "ack multiple" } else { "ack" }
            }
            ProgramAction::Reject { delivery, requeue, failed, multiple } => {
                self.pick(*delivery);
                match (requeue, multiple) {
                    (true, false) if *failed => "requeue as failed",
                    (true, true) if *failed => "requeue as failed multiple",
                    (false, false) => "reject",
                    (true, false) => "requeue",
                    (false, true) => "reject multiple",
                    (true, true) => "requeue multiple",
                }
            }
            ProgramAction::CloseChannel => "close channel",
            ProgramAction::DropChannel => "drop channel",
            ProgramAction::CloseConnection => "close connection",
            ProgramAction::Wait => "wait",
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
        if spec.key == Key::ReplyAddress {
            self.add("publish", "direct reply");
        }
        let properties = &spec.properties;
        self.flags("publish", &[("requests a direct reply", properties.reply_here)]);
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
                TableValue::Void
                | TableValue::Bool(_)
                | TableValue::I32(_)
                | TableValue::I64(_)
                | TableValue::U8(_)
                | TableValue::String(_) => format!("{value:?}"),
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

    fn pick(&mut self, pick: DeliveryChoice) {
        match pick {
            DeliveryChoice::Unsettled(_) => {}
            DeliveryChoice::Settled(_) => self.add("settle", "settled delivery"),
            DeliveryChoice::Zero => self.add("settle", "tag zero"),
            DeliveryChoice::Unknown => self.add("settle", "unknown tag"),
        }
    }

    fn result(&mut self, name: &'static str, step: &StepLog) {
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
            kind if kind.ends_with(':') => "the queue was deleted",
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
            ("redelivered", "redelivered=true"),
            ("dead letter: rejected", "reason: \"rejected\""),
            ("dead letter: expired", "reason: \"expired\""),
            ("dead letter: maxlen", "reason: \"maxlen\""),
            ("dead letter twice", "count: I64(2)"),
            ("original expiration kept", "original-expiration"),
            ("dead letter with routing keys", "routing-keys: [\"q0\", \"q"),
            ("consumer cancelled", "ends: Cancelled"),
            ("consumer ended with its channel", "ends: PreconditionFailed"),
            ("consumer ended with its connection", "ends: Disconnected"),
            ("queue deleted", ": NotFound"),
            ("message left at the end", " holds "),
        ] {
            if line.contains(sign) {
                self.add("event", event);
            }
        }
        if line.starts_with("consumer ") && line.contains(" takes ") {
            self.add("event", "consumer receives");
        }
    }
}

fn type_of(value: &TableValue) -> &'static str {
    match value {
        TableValue::Void => "void",
        TableValue::Bool(_) => "bool",
        TableValue::I8(_) => "i8",
        TableValue::U8(_) => "u8",
        TableValue::I16(_) => "i16",
        TableValue::U16(_) => "u16",
        TableValue::I32(_) => "i32",
        TableValue::U32(_) => "u32",
        TableValue::I64(_) => "i64",
        TableValue::F32(_) => "f32",
        TableValue::F64(_) => "f64",
        TableValue::Decimal(..) => "decimal",
        TableValue::String(_) => "string",
        TableValue::Bytes(_) => "bytes",
        TableValue::Timestamp(_) => "timestamp",
        TableValue::Array(_) => "array",
        TableValue::Table(_) => "table",
        TableValue::QueueName(_) => "queue name",
        TableValue::ExchangeName(_) => "exchange name",
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        let mut width = 0;
        for ((group, item), count) in &self.counts {
            let cell = format!("{item}: {count}");
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
