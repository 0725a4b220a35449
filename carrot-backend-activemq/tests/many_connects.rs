//! Connections that open and close many times leave nothing behind. Alone in its process, because
//! it counts threads and files.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::time::Duration;

use carrot::ConnectionOptions;
use carrot::topology::DeleteIf;
use carrot_faults::{ResourceUsage, eventually, unique};

const SOON: Duration = Duration::from_secs(60);

fn use_once(options: &ConnectionOptions, queue: &str) {
    let connection = carrot::connect(options).unwrap();
    connection.publisher().queue(queue).build().unwrap().send("x").unwrap();
    let consumer = connection.consumer(queue).build().unwrap();
    consumer.fetch().unwrap().unwrap().ack().unwrap();
}

/// `scripts/test` leaves out this module if the machine cannot have ActiveMQ.
mod activemq {
    use super::*;

    #[test]
    #[ignore = "needs ActiveMQ: run ./scripts/test"]
    fn many_connections_leave_no_thread_file_or_memory() {
        let connects = if env::var_os("CARROT_TEST_FULL").is_some() { 200 } else { 50 };
        let url = env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap();
        let (options, queue) = (url.parse().unwrap(), unique("connects"));
        // The first ones take what stays.
        (0..20).for_each(|_| use_once(&options, &queue));
        let settled = ResourceUsage::now();
        (0..connects).for_each(|_| use_once(&options, &queue));
        let is_back =
            |now: ResourceUsage| now.threads <= settled.threads && now.files <= settled.files;
        let is_met = eventually(SOON, || is_back(ResourceUsage::now()));
        let now = ResourceUsage::now();
        println!("{settled:?}, then {now:?}");
        assert!(is_met, "{settled:?}, then {now:?}");
        let grown = now.memory.saturating_sub(settled.memory);
        assert!(grown < connects * (20 << 10), "{grown} bytes");
        carrot::connect(&options).unwrap().delete_queue(&queue, DeleteIf::ALWAYS).unwrap();
    }
}
