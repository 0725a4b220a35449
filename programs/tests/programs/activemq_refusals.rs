//! The programs that ActiveMQ refuses, and the page that lists all of them.

use crate::activemq_page::listed;

/// The results of the programs on ActiveMQ.
const ON_ACTIVEMQ: [(&str, &str); 5] = [
    ("chores", "run"),
    ("order_worker", "refused over `x-queue-type`"),
    ("price_converter", "refused over `x-queue-type`"),
    ("rates", "run"),
    ("web_hooks", "run"),
];

#[test]
fn page_lists_what_the_programs_do_on_activemq() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/");
    let is_program = |name: &str| std::path::Path::new(&format!("{folder}{name}.rs")).exists();
    let tested = ON_ACTIVEMQ.map(|(name, state)| (name.to_string(), state.to_string()));
    assert_eq!(listed(is_program), tested.into());
}

mod activemq {
    use std::process::Command;

    use crate::support::activemq_url;

    #[test]
    #[ignore = "needs ActiveMQ: run ./scripts/test"]
    fn programs_with_quorum_queues_are_refused() {
        for path in [env!("CARGO_BIN_EXE_order_worker"), env!("CARGO_BIN_EXE_price_converter")] {
            let output = Command::new(path).env("CARROT_URL", activemq_url()).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && errors.contains("x-queue-type"), "{errors}");
        }
    }
}
