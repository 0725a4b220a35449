//! Tests on a real broker, at the address in `CARROT_TEST_ACTIVEMQ_URL`. `scripts/test` leaves out
//! the module `activemq` if it has no broker.

#![allow(clippy::unwrap_used, reason = "tests")]

mod activemq;
