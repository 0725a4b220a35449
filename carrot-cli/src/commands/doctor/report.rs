//! The results of checks, printed as they come.

use std::time::Duration;

use serde_json::json;

use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::printing::{print_json, print_line};

/// The checks, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Url,
    Dns,
    Tcp,
    Tls,
    Greeting,
    Credentials,
    Vhost,
    Release,
    Permissions,
    Alarms,
    // The management API knows the following.
    Management,
    Patterns,
    Nodes,
    Queues,
}

impl Check {
    const ALL: [Check; 14] = [
        Check::Url,
        Check::Dns,
        Check::Tcp,
        Check::Tls,
        Check::Greeting,
        Check::Credentials,
        Check::Vhost,
        Check::Release,
        Check::Permissions,
        Check::Alarms,
        Check::Management,
        Check::Patterns,
        Check::Nodes,
        Check::Queues,
    ];

    fn name(self) -> &'static str {
        match self {
            Check::Url => "url",
            Check::Dns => "dns",
            Check::Tcp => "tcp",
            Check::Tls => "tls",
            Check::Greeting => "greeting",
            Check::Credentials => "credentials",
            Check::Vhost => "vhost",
            Check::Release => "release",
            Check::Permissions => "permissions",
            Check::Alarms => "alarms",
            Check::Management => "management",
            Check::Patterns => "patterns",
            Check::Nodes => "nodes",
            Check::Queues => "queues",
        }
    }

    /// Whether the check asks the management API, and not the broker itself.
    fn is_of_management(self) -> bool {
        matches!(self, Check::Management | Check::Patterns | Check::Nodes | Check::Queues)
    }
}

/// Prints the results, and keeps the first failure.
#[derive(Debug)]
pub(super) struct CheckReport {
    json: bool,
    last: Option<Check>,
    first_failure: Option<CommandFailure>,
}

impl CheckReport {
    pub(super) fn new(json: bool) -> CheckReport {
        CheckReport { json, last: None, first_failure: None }
    }

    /// Reports a check that found nothing wrong. `took` is its time, if it had one of its own.
    pub(super) fn ok(&mut self, check: Check, took: Option<Duration>, detail: &str) -> Result<()> {
        self.print(check, "ok", took, detail, None)
    }

    /// Reports a failure, and what to do about it.
    pub(super) fn failed(
        &mut self,
        check: Check,
        took: Option<Duration>,
        failure: CommandFailure,
        advice: &str,
    ) -> Result<()> {
        self.print(check, "FAILED", took, &failure.to_string(), Some(advice))?;
        let text = format!("the check {} failed", check.name());
        self.first_failure.get_or_insert(failure.with_text(text));
        Ok(())
    }

    pub(super) fn skipped(&mut self, check: Check, reason: &str) -> Result<()> {
        self.print(check, "skipped", None, reason, None)
    }

    /// Skips the checks that follow the last one and ask the same interface.
    pub(super) fn skip_the_rest(&mut self, reason: &str) -> Result<()> {
        let last = self.last.and_then(|last| Check::ALL.iter().position(|check| *check == last));
        let is_of_management = self.last.is_some_and(Check::is_of_management);
        Check::ALL
            .into_iter()
            .skip(last.map_or(0, |last| last + 1))
            .take_while(|check| check.is_of_management() == is_of_management)
            .try_for_each(|check| self.skipped(check, reason))
    }

    pub(super) fn has_failure(&self) -> bool {
        self.first_failure.is_some()
    }

    pub(super) fn end(self) -> Result<()> {
        match self.first_failure {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn print(
        &mut self,
        check: Check,
        result: &str,
        took: Option<Duration>,
        detail: &str,
        advice: Option<&str>,
    ) -> Result<()> {
        self.last = Some(check);
        let milliseconds = took.map(|took| (took.as_secs_f64() * 10_000.0).round() / 10.0);
        if self.json {
            let entry = json!({
                "check": check.name(), "result": result.to_lowercase(),
                "milliseconds": milliseconds, "detail": detail, "advice": advice,
            });
            return print_json(&entry);
        }
        let took = milliseconds.map_or_else(String::new, |number| format!("{number:.1} ms"));
        let detail = escaping::text(detail);
        print_line(&format!("{result:<8} {:<12} {took:>11}  {detail}", check.name()))?;
        match advice {
            Some(advice) => print_line(&format!("{:35}{}", "", escaping::text(advice))),
            None => Ok(()),
        }
    }
}
