//! The figures of a connection.

mod consuming;
mod health;
mod publishing;

use std::time::Duration;

use carrot::Connection;
use carrot::statistics::{ConsumingStatistics, PublishingStatistics};

fn publishing(connection: &Connection) -> PublishingStatistics {
    let publishing = connection.statistics().publishing;
    let PublishingStatistics { confirmed, returned, refused, failed, .. } = publishing;
    let known = confirmed + returned + refused + failed + publishing.without_confirm;
    assert_eq!(publishing.published, known + publishing.in_flight, "{publishing:?}");
    publishing
}

fn consuming(connection: &Connection) -> ConsumingStatistics {
    connection.statistics().consuming
}

/// The pause of the first retry.
const PAUSE: Duration = Duration::from_secs(64);
