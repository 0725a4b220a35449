//! Every example runs on its own, on the in-process broker and on RabbitMQ, and says what it says it says.

use std::process::Command;
use std::sync::Once;

/// Runs an example; gives what it printed.
fn run(name: &str, url: Option<&str>) -> String {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        // `cargo test` builds them too, but not when it is told to run one test binary alone.
        let status = Command::new(env!("CARGO")).args(["build", "--quiet", "--examples"]).status().unwrap();
        assert!(status.success(), "cargo build --examples: {status}");
    });
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    let mut command = Command::new(&path);
    match url {
        Some(url) => command.env("CARROT_URL", url),
        None => command.env_remove("CARROT_URL"),
    };
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {}\n{printed}{}", output.status, String::from_utf8_lossy(&output.stderr));
    printed
}

macro_rules! examples {
    ($($name:ident: $expected:expr;)*) => {
        mod memory {
            $(#[test]
            fn $name() {
                let printed = super::run(stringify!($name), None);
                assert!(printed.contains($expected), "{printed}");
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                let printed = super::run(stringify!($name), Some(&crate::support::rabbitmq_url()));
                assert!(printed.contains($expected), "{printed}");
            })*
        }
    };
}

examples! {
    quickstart: "5 messages imported, 0 failed";
    feed: "  1 acknowledged, 1 rejected";
    work_queue: "20 jobs done, 0 given back";
    fanout: "got \"all hear this\"";
    topics: "*.stock.#  matches eur.stock.db\n#";
    headers: "PDF or urgent  \"an urgent note\"";
    codecs: "refused: content type \"application/x-bincode\"";
    unit_test: "1 order acknowledged, 1 rejected";
    custom_backend: "all cases passed";
}
