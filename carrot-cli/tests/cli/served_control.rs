//! `carrot serve --control`, and the file of its token.

use std::os::unix::fs::PermissionsExt;

use crate::controlled_broker::ControlledBroker;
use crate::support::{command, finish, interrupt, next_line, run, start};

#[test]
fn token_is_in_a_private_file_until_the_end() {
    let mut broker = ControlledBroker::hosted("amqp");
    let file = broker.token_file();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    assert_eq!(broker.token().len(), 64);
    let process = format!("/proc/{}/cmdline", broker.host.id());
    if let Ok(arguments) = std::fs::read_to_string(process) {
        assert!(!arguments.contains(&broker.token()) && arguments.contains(&file), "{arguments}");
    }
    interrupt(&broker.host);
    let status = broker.host.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(!std::path::Path::new(&file).exists());
    assert_eq!(
        std::fs::read_dir(std::path::Path::new(&file).parent().unwrap()).unwrap().count(),
        0
    );
}

#[test]
fn token_of_an_earlier_run_is_replaced_and_other_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let serve = |file: &str| {
        command(&[
            "serve",
            "--zeromq",
            "127.0.0.1:0",
            "--control",
            "127.0.0.1:0",
            "--control-token-file",
            file,
        ])
    };
    std::fs::write(path("old"), format!("{}\n", "0".repeat(64))).unwrap();
    std::fs::set_permissions(path("old"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (child, mut output) = start(serve(&path("old")));
    let (_, control) = (next_line(&mut output), next_line(&mut output));
    assert!(control.starts_with("http://"), "{control}");
    assert_ne!(std::fs::read_to_string(path("old")).unwrap().trim_end(), "0".repeat(64));
    assert_eq!(std::fs::metadata(path("old")).unwrap().permissions().mode() & 0o777, 0o600);
    // Another process has written its token.
    std::fs::write(path("old"), "f".repeat(64)).unwrap();
    interrupt(&child);
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.errors.contains("the token of the control interface is in"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(path("old")).unwrap(), "f".repeat(64));

    std::fs::write(path("own"), "a letter\n").unwrap();
    std::os::unix::fs::symlink(path("own"), path("link")).unwrap();
    for (file, reason) in [
        (path("own"), "no token of an earlier run"),
        (path("link"), "no token of an earlier run"),
        (folder.path().to_str().unwrap().to_string(), "no token of an earlier run"),
        ("/nonexistent/token".into(), "No such file"),
    ] {
        let ran = run(serve(&file), "");
        assert_eq!(ran.code, 2, "{file}: {ran:?}");
        assert!(ran.errors.contains(reason), "{file}: {ran:?}");
    }
    assert_eq!(std::fs::read_to_string(path("own")).unwrap(), "a letter\n");
}

#[test]
fn control_on_an_address_of_other_machines_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let file = file.to_str().unwrap();
    let serve =
        |more: &[&str]| run(command(&[&["serve", "--amqp", "127.0.0.1:0"][..], more].concat()), "");
    let ran = serve(&["--control", "0.0.0.0:0", "--control-token-file", file]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("loopback") && !std::path::Path::new(file).exists(), "{ran:?}");
    assert_eq!(serve(&["--control", "127.0.0.1:0"]).code, 2);
    assert_eq!(serve(&["--control-token-file", file]).code, 2);
}
