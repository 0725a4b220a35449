//! Opens the connections of a connector.

use std::fmt::Display;
use std::sync::Arc;

use carrot_core::backend::{EventObservers, Role};
use carrot_core::{ConnectionOptions, Result};
use carrot_link::CallDeadline;

use crate::connection::connecting::connect;
use crate::connection::link_handle::LinkHandle;
use crate::connection::random_number::random_number;

/// Opens a connection. `purpose` is a part of its name at the broker.
///
/// # Errors
/// The errors of connecting.
pub(crate) fn open_link(
    options: &ConnectionOptions,
    role: Role,
    purpose: impl Display,
    observers: &Arc<EventObservers>,
    deadline: CallDeadline,
) -> Result<Arc<LinkHandle>> {
    let name = connection_name(&options.name, purpose);
    let greeted = connect(options, &name, deadline.left())?;
    LinkHandle::start(role, name, greeted, observers, deadline).map(Arc::new)
}

/// Returns a name that no other connection to the broker has.
fn connection_name(name: &str, purpose: impl Display) -> String {
    let name = if name.is_empty() { "carrot" } else { name };
    let plain = |character: char| match character {
        character if character.is_ascii_alphanumeric() => character,
        _ => '-',
    };
    let name: String = name.chars().take(40).map(plain).collect();
    format!("{name}-{purpose}-{:016x}{:016x}", random_number(), random_number())
}
