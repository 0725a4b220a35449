//! The permissions of a user on a broker that was reached.

use std::time::{Instant, SystemTime};

use carrot::config::{Credentials, Scheme};
use carrot::topology::DeleteIf;
use carrot::{Connection, ConnectionOptions, Error, Queue};

use super::reaching::Reached;
use super::report::{Check, CheckReport};
use crate::broker_arguments::is_activemq;
use crate::exit::{CommandFailure, Result};

pub(super) fn check(
    options: &ConnectionOptions,
    reached: &Reached,
    report: &mut CheckReport,
) -> Result<()> {
    let Some(connection) = log_in(options, report)? else { return Ok(()) };
    match (&reached.release, options.scheme) {
        (Some(release), _) => report.ok(Check::Release, None, release)?,
        (None, Scheme::Amqp | Scheme::Amqps) => {
            report.skipped(Check::Release, "the broker names no product")?;
        }
        (None, _) => {
            report.skipped(Check::Release, "a broker names none by this protocol")?;
        }
    }
    let blocked = try_permissions(options, &connection, report)?;
    let _ = connection.close();
    let Some(blocked) = blocked else {
        return report.skip_the_rest("a broker reports alarms to those who publish");
    };
    match blocked {
        None => report.ok(Check::Alarms, None, "publishing is not blocked"),
        Some(reason) => {
            let failure = CommandFailure::other(format!("publishing is blocked: {reason}"));
            let advice = "free memory or disk space on the broker, or have the messages consumed; \
                          RabbitMQ shows more with rabbitmqctl status";
            report.failed(Check::Alarms, None, failure, advice)
        }
    }
}

/// Checks credentials and virtual host.
fn log_in(options: &ConnectionOptions, report: &mut CheckReport) -> Result<Option<Connection>> {
    let user = match (&options.credentials, options.scheme) {
        (_, Scheme::Memory) => "the memory broker has no users".to_string(),
        (Credentials::Plain { user, .. }, _) => format!("user {user:?}"),
        _ => "the client certificate".to_string(),
    };
    let started = Instant::now();
    let connected = carrot::connect(options.clone());
    let took = Some(started.elapsed());
    let error = match connected {
        Ok(connection) => {
            report.ok(Check::Credentials, took, &user)?;
            if options.scheme.has_vhosts() {
                report.ok(Check::Vhost, None, &format!("{:?}", options.vhost))?;
            } else {
                report.skipped(Check::Vhost, "the broker has no virtual hosts")?;
            }
            return Ok(Some(connection));
        }
        Err(error) => error,
    };
    match &error {
        Error::Authentication { reason, .. } if reason.starts_with("vhost ") => {
            report.ok(Check::Credentials, took, &user)?;
            let advice = if reason.contains("access to vhost") {
                "let the user in: rabbitmqctl set_permissions -p VHOST USER CONFIGURE WRITE READ"
            } else {
                "check the path of the URL: none or /%2F is the vhost /; rabbitmqctl list_vhosts"
            };
            report.failed(Check::Vhost, None, error.into(), advice)?;
        }
        Error::Authentication { .. } => {
            let advice = match is_activemq(options) {
                true => "check user and password; see the users in conf/activemq.xml",
                false => {
                    "check user and password; guest may only connect from the machine of the \
                     broker; rabbitmqctl authenticate_user"
                }
            };
            report.failed(Check::Credentials, took, error.into(), advice)?;
        }
        _ => {
            let advice = "the broker ended or did not finish the connection: see its log";
            report.failed(Check::Credentials, took, error.into(), advice)?;
        }
    }
    report.skip_the_rest("there is no connection")?;
    Ok(None)
}

/// Uses an exclusive queue. Returns whether publishing is blocked and why, if that became known.
fn try_permissions(
    options: &ConnectionOptions,
    connection: &Connection,
    report: &mut CheckReport,
) -> Result<Option<Option<String>>> {
    let started = Instant::now();
    let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let name = format!("carrot-doctor-{}-{time}", std::process::id());
    let tried = use_queue(options, connection, &name);
    let took = Some(started.elapsed());
    match tried {
        Ok(()) => {
            report.ok(
                Check::Permissions,
                took,
                "declared a queue, published to it, got from it",
            )?;
            Ok(Some(None))
        }
        Err((_, Error::Blocked { reason })) => {
            report.skipped(Check::Permissions, "publishing is blocked")?;
            Ok(Some(Some(reason)))
        }
        Err((_, error)) if connection.is_blocked() => {
            report.skipped(Check::Permissions, "publishing is blocked")?;
            Ok(Some(Some(error.to_string())))
        }
        Err((step, error)) => {
            let failure = CommandFailure::from(error);
            let text = format!("{}: {failure}", step.text);
            let advice = match is_activemq(options) {
                true => "the user needs the rights read, write and admin for queues: see the \
                         authorization plug-in in conf/activemq.xml"
                    .to_string(),
                false => format!(
                    "the user needs {}: rabbitmqctl set_permissions -p VHOST USER CONFIGURE WRITE \
                     READ",
                    step.needs
                ),
            };
            report.failed(Check::Permissions, took, failure.with_text(text), &advice)?;
            Ok(None)
        }
    }
}

/// A part of the use of a queue, and what the user needs for it.
#[derive(Debug, Clone, Copy)]
struct UseStep {
    text: &'static str,
    needs: &'static str,
}

const DECLARING: UseStep =
    UseStep { text: "declaring a queue", needs: "the permission configure for carrot-doctor-.*" };
const PUBLISHING: UseStep =
    UseStep { text: "publishing", needs: "the permission write for amq.default" };
const GETTING: UseStep =
    UseStep { text: "getting a message", needs: "the permission read for carrot-doctor-.*" };

/// Declares a queue, publishes to it and gets from it. Names the step that failed.
fn use_queue(
    options: &ConnectionOptions,
    connection: &Connection,
    name: &str,
) -> std::result::Result<(), (UseStep, Error)> {
    let during = |step: UseStep| move |error| (step, error);
    // ActiveMQ has no exclusive queues with a name.
    let queue = if is_activemq(options) { Queue::new(name) } else { Queue::new(name).exclusive() };
    let consumer = connection.consumer(queue).build().map_err(during(DECLARING))?;
    let publisher = connection
        .publisher()
        .routing_key(name)
        .mandatory()
        .send_timeout(options.call_timeout)
        .build()
        .map_err(during(PUBLISHING))?;
    let message = publisher.message();
    message.send_bytes(b"carrot doctor".as_slice()).map_err(during(PUBLISHING))?;
    if let Some(message) = consumer.fetch().map_err(during(GETTING))? {
        message.ack().map_err(during(GETTING))?;
    }
    consumer.close().map_err(during(GETTING))?;
    if is_activemq(options) {
        connection.delete_queue(name, DeleteIf::ALWAYS).map_err(during(DECLARING))?;
    }
    Ok(())
}
