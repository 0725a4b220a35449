//! The permissions, nodes and queues that a management API knows.

use std::time::Instant;

use carrot::ConnectionOptions;
use carrot::config::Credentials;
use serde_json::Value;

use super::controlling;
use super::listed_queues::{MISSING_QUEUE, MISSING_WITHOUT_VHOST, check_queues};
use super::managed::{named, problem_of_node, tags_of};
use super::report::{Check, CheckReport};
use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::http::HttpAnswer;
use crate::inspection::{VhostScope, text_of};
use crate::management::{ManagementClient, in_path};
use crate::printing::counted;
use crate::queue_listing::named_queues;

/// The checks, in their order.
const CHECKS: [Check; 4] = [Check::Management, Check::Patterns, Check::Nodes, Check::Queues];

pub(super) fn check(
    broker: &BrokerArguments,
    options: &ConnectionOptions,
    queues: &[String],
    report: &mut CheckReport,
) -> Result<()> {
    match broker.management() {
        Ok(Some(client)) => {
            let scope = VhostScope::One(options.vhost.clone());
            ManagementChecks { client, options, queues, scope }.run(report)
        }
        Ok(None) => check_without(broker, options, queues, report),
        Err(failure) => {
            let advice = "correct --management or CARROT_MANAGEMENT: http://USER@HOST:15672";
            report.failed(Check::Management, None, failure, advice)?;
            report.skip_the_rest("the management API cannot be used")
        }
    }
}

/// Asks a control interface, or the broker itself for the named queues.
fn check_without(
    broker: &BrokerArguments,
    options: &ConnectionOptions,
    queues: &[String],
    report: &mut CheckReport,
) -> Result<()> {
    match broker.inspection() {
        Ok(Some(control)) => controlling::check(&*control, &options.vhost, queues, report),
        Ok(None) if queues.is_empty() || report.has_failure() => skip(report, NO_MANAGEMENT),
        Ok(None) => {
            let others = CHECKS.iter().filter(|check| **check != Check::Queues);
            others.copied().try_for_each(|check| report.skipped(check, NO_MANAGEMENT))?;
            check_named(options, queues, report)
        }
        Err(failure) => controlling::report_unusable(failure, report),
    }
}

/// Skips all checks.
pub(super) fn skip(report: &mut CheckReport, reason: &str) -> Result<()> {
    CHECKS.iter().try_for_each(|check| report.skipped(*check, reason))
}

/// Checks that the named queues exist, by the protocol of the URL.
fn check_named(
    options: &ConnectionOptions,
    queues: &[String],
    report: &mut CheckReport,
) -> Result<()> {
    let started = Instant::now();
    let found = carrot::connect(options.clone())
        .map_err(CommandFailure::from)
        .and_then(|connection| named_queues(&connection, queues));
    let took = Some(started.elapsed());
    match found {
        Ok(found) => {
            let number = |number: Option<u64>| number.unwrap_or(0);
            let texts = found.iter().map(|queue| {
                let (ready, consumers) = (number(queue.ready), number(queue.consumers));
                format!("{}: {ready} ready, {}", queue.name, counted(consumers, "consumer"))
            });
            report.ok(Check::Queues, took, &texts.collect::<Vec<_>>().join("; "))
        }
        Err(failure) => {
            let advice = match options.scheme.has_vhosts() {
                true => MISSING_QUEUE,
                false => MISSING_WITHOUT_VHOST,
            };
            report.failed(Check::Queues, took, failure, advice)
        }
    }
}

struct ManagementChecks<'o> {
    client: ManagementClient,
    options: &'o ConnectionOptions,
    /// The names of queues that have to exist.
    queues: &'o [String],
    scope: VhostScope,
}

impl ManagementChecks<'_> {
    fn run(&self, report: &mut CheckReport) -> Result<()> {
        if !self.reach(report)? {
            return report.skip_the_rest("the management API was not reached");
        }
        self.check_patterns(report)?;
        self.check_nodes(report)?;
        check_queues(&self.client, &self.scope, self.queues, LISTING, report)
    }

    /// Checks that the API accepts the user. Returns whether it does.
    fn reach(&self, report: &mut CheckReport) -> Result<bool> {
        let started = Instant::now();
        let reached = self.client.ask("whoami").and_then(|answer| {
            let user = self.client.json_of(&VhostScope::All, &answer)?;
            let overview = self.client.look(&VhostScope::All, OVERVIEW)?;
            Ok((user, overview))
        });
        let took = Some(started.elapsed());
        match reached {
            Ok((user, overview)) => {
                let detail = format!(
                    "RabbitMQ {}, user {:?}: {}",
                    text_of(&overview, "rabbitmq_version"),
                    text_of(&user, "name"),
                    tags_of(&user)
                );
                report.ok(Check::Management, took, &detail)?;
                Ok(true)
            }
            Err(failure) => {
                let advice = "check the URL, its user and its password; the node needs \
                              rabbitmq-plugins enable rabbitmq_management, and the user \
                              rabbitmqctl set_user_tags USER monitoring";
                report.failed(Check::Management, took, failure, advice)?;
                Ok(false)
            }
        }
    }

    /// Reports the permissions of the user who connects by AMQP.
    fn check_patterns(&self, report: &mut CheckReport) -> Result<()> {
        let Credentials::Plain { user, .. } = &self.options.credentials else {
            return report.skipped(Check::Patterns, "the user is that of a certificate or token");
        };
        let vhost = &self.options.vhost;
        let path = format!("permissions/{}/{}", in_path(vhost), in_path(user));
        let Some(answer) = self.allowed(report, Check::Patterns, &path, "administrator")? else {
            return Ok(());
        };
        let of_user = format!("user {user:?} on vhost {vhost:?}");
        if answer.status == 404 {
            let reason = format!("{of_user}: no permissions");
            let advice = "let the user in: rabbitmqctl set_permissions -p VHOST USER CONFIGURE \
                          WRITE READ";
            return report.failed(Check::Patterns, None, CommandFailure::refused(reason), advice);
        }
        self.judge(report, Check::Patterns, &answer, |permissions| {
            let pattern = |name| format!("{name} {:?}", text_of(permissions, name));
            let patterns = ["configure", "write", "read"].map(pattern).join(", ");
            Ok(format!("{of_user}: {patterns}"))
        })
    }

    /// Checks that every node runs, without an alarm, a partition or a lack of descriptors.
    fn check_nodes(&self, report: &mut CheckReport) -> Result<()> {
        let Some(answer) = self.allowed(report, Check::Nodes, NODES, "monitoring")? else {
            return Ok(());
        };
        self.judge(report, Check::Nodes, &answer, |nodes| {
            let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
            let problems: Vec<_> = nodes.iter().filter_map(problem_of_node).collect();
            match problems.first() {
                None => Ok(format!("{} without an alarm", counted(nodes.len() as u64, "node"))),
                Some((_, advice)) => Err((named(problems.iter().map(|(text, _)| text)), *advice)),
            }
        })
    }

    /// Asks for a path, or skips the check because the user lacks a tag.
    fn allowed(
        &self,
        report: &mut CheckReport,
        check: Check,
        path: &str,
        tag: &str,
    ) -> Result<Option<HttpAnswer>> {
        match self.client.ask(path) {
            Ok(answer) if matches!(answer.status, 401 | 403) => {
                let reason = format!("the user of the management API needs the tag {tag}");
                report.skipped(check, &reason)?;
                Ok(None)
            }
            Ok(answer) => Ok(Some(answer)),
            Err(failure) => {
                report.failed(check, None, failure, UNEXPECTED)?;
                Ok(None)
            }
        }
    }

    /// Reports what an answer says, or that it says nothing.
    fn judge(
        &self,
        report: &mut CheckReport,
        check: Check,
        answer: &HttpAnswer,
        finding: impl FnOnce(&Value) -> std::result::Result<String, (String, &'static str)>,
    ) -> Result<()> {
        match self.client.json_of(&self.scope, answer) {
            Err(failure) => report.failed(check, None, failure, UNEXPECTED),
            Ok(value) => match finding(&value) {
                Ok(detail) => report.ok(check, None, &detail),
                Err((problem, advice)) => {
                    report.failed(check, None, CommandFailure::other(problem), advice)
                }
            },
        }
    }
}

const NO_MANAGEMENT: &str = "--management names no management API";
const LISTING: &str =
    "the user of the management API needs permissions on the vhost, or the tag monitoring";
const UNEXPECTED: &str = "the management API does not answer as one of RabbitMQ: see its log";
const OVERVIEW: &str = "overview?columns=rabbitmq_version";
const NODES: &str = "nodes?columns=name,running,mem_alarm,mem_used,mem_limit,disk_free_alarm,\
                     disk_free,disk_free_limit,fd_used,fd_total,partitions";
