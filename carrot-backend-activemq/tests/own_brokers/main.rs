//! Brokers that are killed, frozen, full or cut off, in processes of their own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

/// `scripts/test` leaves out this module if the machine cannot have ActiveMQ.
mod activemq {
    mod dead_letters;
    mod delayed;
    mod empty_table;
    mod frozen;
    mod full;
    mod killed;
    mod network;
    mod permissions;
    mod restarts;
    mod several_queues;
    mod unread;
    mod without_advisories;
    mod without_statistics;
}
#[path = "../activemq/features.rs"]
mod features;
mod process;
mod traffic;
