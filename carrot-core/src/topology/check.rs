//! Compares a topology with the broker.

use std::fmt;

use crate::backend::Declare;
use crate::error::{Error, Result};
use crate::model::{Exchange, Queue};
use crate::recovery::handle::ConnectionHandle;
use crate::topology::{Topology, name_of};

/// The result of comparing a [`Topology`] with the broker. Returned by
/// [`Connection::check`](crate::Connection::check).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TopologyCheck {
    /// The differences, in the order of the topology: exchanges, queues, bindings.
    pub differences: Vec<Difference>,
    /// The names of the entities that the backend cannot compare: bindings, on AMQP.
    pub unchecked: Vec<String>,
}

impl TopologyCheck {
    /// Returns whether no difference was found. Entities that cannot be compared do not count.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// One line for each difference.
impl fmt::Display for TopologyCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_equal() {
            write!(formatter, "no differences")?;
        }
        for (index, difference) in self.differences.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{difference}")?;
        }
        match self.unchecked.len() {
            0 => Ok(()),
            number => write!(formatter, "\n{number} not compared"),
        }
    }
}

/// One entity that differs from the broker's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The kind and the name of the entity, such as `queue "jobs"`.
    pub entity: String,
    /// How the entity differs.
    pub kind: DifferenceKind,
    /// The reply text of the broker. Names the first argument that differs.
    pub reason: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.entity, self.kind, self.reason)
    }
}

/// How an entity differs from the broker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// The broker has no such entity.
    Missing,
    /// The broker has an entity of that name with other properties.
    Different,
    /// The broker refuses to compare: a permission is missing, or the entity is exclusive to
    /// another connection.
    Refused,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DifferenceKind::Missing => "is missing",
            DifferenceKind::Different => "is different",
            DifferenceKind::Refused => "cannot be compared",
        })
    }
}

impl Topology {
    /// Compares all entities with the broker.
    pub(crate) fn check(&self, connection: &ConnectionHandle) -> Result<TopologyCheck> {
        self.validate()?;
        let mut check = TopologyCheck::default();
        for entity in self.entities() {
            let compared = match entity {
                Declare::Exchange(exchange) => {
                    let existing = Exchange::existing(&exchange.name);
                    compare(connection, Declare::Exchange(&existing), entity)
                }
                Declare::Queue(queue) => {
                    let existing = Queue::existing(&queue.name);
                    compare(connection, Declare::Queue(&existing), entity)
                }
                Declare::Binding(binding) => match connection.has_binding(binding)? {
                    None => {
                        check.unchecked.push(name_of(&entity));
                        continue;
                    }
                    Some(true) => Ok(()),
                    Some(false) => {
                        Err(Error::NotFound { reason: "there is no such binding".into() })
                    }
                },
            };
            if let Err(error) = compared {
                check.differences.push(difference(&entity, error)?);
            }
        }
        Ok(check)
    }
}

/// Checks that an entity exists, and only then declares it, which changes nothing.
fn compare(
    connection: &ConnectionHandle,
    existing: Declare<'_>,
    wanted: Declare<'_>,
) -> Result<()> {
    connection.declare(existing)?;
    connection.declare(wanted).map(drop)
}

/// Returns the difference that a refusal shows.
///
/// # Errors
/// Any other error.
fn difference(entity: &Declare<'_>, error: Error) -> Result<Difference> {
    let kind = match &error {
        Error::NotFound { .. } => DifferenceKind::Missing,
        Error::PreconditionFailed { .. } => DifferenceKind::Different,
        // RabbitMQ closes the connection over an exchange type that it does not know.
        Error::HardError { .. } => DifferenceKind::Different,
        Error::AccessRefused { .. } | Error::ResourceLocked { .. } | Error::Unavailable { .. } => {
            DifferenceKind::Refused
        }
        _ => return Err(error),
    };
    let reason = match error {
        Error::NotFound { reason }
        | Error::PreconditionFailed { reason }
        | Error::AccessRefused { reason }
        | Error::ResourceLocked { reason }
        | Error::Unavailable { reason }
        | Error::HardError { reason, .. } => reason,
        error => error.to_string(),
    };
    Ok(Difference { entity: name_of(entity), kind, reason })
}
