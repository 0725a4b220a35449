//! Helpers shared by the integration tests.
#![allow(dead_code, reason = "each test binary uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

pub(crate) mod channels;
pub(crate) mod fake;
#[cfg(target_os = "linux")]
pub(crate) mod leaks;
pub(crate) mod refusing;
pub(crate) mod release;

use std::sync::atomic::{AtomicU32, Ordering};

use carrot_core::ConnectionOptions;

/// Returns the options for the broker named by `CARROT_TEST_AMQP_URL`.
pub(crate) fn broker_options() -> ConnectionOptions {
    let url = std::env::var("CARROT_TEST_AMQP_URL")
        .expect("CARROT_TEST_AMQP_URL must name the broker to test with");
    url.parse().unwrap()
}

/// Returns a name that no other test and no other run uses.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!(
        "carrot-test-{what}-{}-{now:x}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}
