//! The example with pytest: tests in Python that control a broker by HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::interpreter;

/// Returns the program that hosts the broker, and builds it unless it is built.
fn serve() -> PathBuf {
    if std::env::var_os("CARROT_TEST_EXAMPLES").is_none_or(|value| value != "built") {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "carrot-server", "--example", "serve"])
            .status()
            .unwrap();
        assert!(status.success(), "cargo build --example serve: {status}");
    }
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", "serve"]);
    path
}

#[test]
#[ignore = "needs Python: run ./scripts/test"]
fn example_with_pytest_passes() {
    let output = Command::new(interpreter("CARROT_TEST_PYTHON"))
        .args(["-B", "-m", "pytest", "-p", "no:cacheprovider"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/pytest"))
        .env("CARROT_SERVE", serve())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    assert!(printed.contains("6 passed"), "{printed}");
}
