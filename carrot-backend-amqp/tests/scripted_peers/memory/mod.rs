//! The memory of a client whose peer is hostile, against that of one whose peer behaves well.
//!
//! The client is a child process, which runs the test `client` of this binary.

mod program;
mod scripts;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::form::{Form, plain_and_tls};
use crate::peer::{Peer, Scripted};
use program::Program;
use scripts::Scripts;

/// The memory that a hostile peer may cost, in kB.
const ALLOWED: u64 = 64 << 10;
/// The time in which a client has to end by itself.
const WITHIN: Duration = Duration::from_secs(90);

plain_and_tls! {
    hostile_handshakes_cost_no_memory,
    hostile_frames_cost_no_memory,
    hostile_floods_cost_no_memory,
    hostile_deliveries_cost_no_memory,
    deliveries_beyond_the_prefetch_cost_no_memory,
    hostile_answers_to_publications_cost_no_memory,
    headers_that_wait_cost_their_octets,
    closes_while_channels_open_end_without_a_panic,
}

/// The report of a client at its end.
#[derive(Debug)]
struct Ended {
    /// The most memory that it has had, in kB.
    peak: u64,
    output: String,
}

/// A client that runs.
struct Client(Child);

impl Client {
    fn start(scripted: &Scripted, program: Program) -> Client {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::program::client", "--ignored", "--nocapture"])
            .env(program::PROGRAM, program.name())
            .env(program::PORT, scripted.port().to_string())
            .env(program::AUTHORITY, scripted.form().authority())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Client(child)
    }

    /// Resumes a client that waits.
    fn go_on(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Waits until the client has ended by itself, and without a panic.
    fn end(mut self, name: &str) -> Ended {
        let deadline = Instant::now() + WITHIN;
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() >= deadline {
                self.0.kill().unwrap();
                self.0.wait().unwrap();
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let (mut output, mut errors) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let status = status.unwrap_or_else(|| panic!("{name}: no end in time: {output} {errors}"));
        assert!(status.success(), "{name}: {status}: {output} {errors}");
        let peak = output.lines().find_map(|line| line.strip_prefix(program::PEAK));
        Ended { peak: peak.unwrap().trim().parse().unwrap(), output }
    }
}

/// Runs a client against a peer that plays `script`.
fn run(form: Form, program: Program, name: &str, script: impl FnOnce(&Scripted)) -> Ended {
    let scripted = Scripted::start(form);
    let client = Client::start(&scripted, program);
    script(&scripted);
    drop(scripted);
    client.end(name)
}

/// Returns the memory of a client that meets a peer which behaves well.
fn well_behaved(form: Form) -> u64 {
    static PEAKS: [OnceLock<u64>; 2] = [OnceLock::new(), OnceLock::new()];
    let peak = &PEAKS[usize::from(form != Form::Plain)];
    *peak.get_or_init(|| {
        let ended = run(form, Program::Consume, "well-behaved", |scripted| {
            let (mut peer, tag) = scripts::consuming(scripted);
            scripts::deliver_well(&mut peer, &tag);
        });
        assert!(ended.output.contains("received 500"), "{ended:?}");
        ended.peak
    })
}

/// Checks that a client pays no more for a hostile peer than for one that behaves well.
fn check(
    form: Form,
    program: Program,
    (name, expected): (&str, &str),
    script: impl FnOnce(&Scripted),
) {
    let ended = run(form, program, name, script);
    assert!(ended.output.contains(expected), "{name}: {ended:?}");
    check_peak(form, name, &ended);
}

fn check_peak(form: Form, name: &str, ended: &Ended) {
    let allowed = well_behaved(form) + ALLOWED;
    println!("{name}: {} kB of {allowed} kB", ended.peak);
    assert!(ended.peak <= allowed, "{name}: {} kB, and not {allowed} kB", ended.peak);
}

fn hostile_handshakes_cost_no_memory(form: Form) {
    for (name, expected, script) in scripts::HANDSHAKES {
        check(form, Program::Consume, (name, expected), |scripted| {
            script(&mut scripted.accept());
        });
    }
}

fn check_consuming<const N: usize>(form: Form, scripts: &Scripts<fn(&mut Peer, &str), N>) {
    for (name, expected, script) in scripts {
        check(form, Program::Consume, (name, expected), |scripted| {
            let (mut peer, tag) = scripts::consuming(scripted);
            script(&mut peer, &tag);
        });
    }
}

fn hostile_frames_cost_no_memory(form: Form) {
    check_consuming(form, &scripts::FRAMES);
}

fn hostile_floods_cost_no_memory(form: Form) {
    check_consuming(form, &scripts::FLOODS);
}

fn hostile_deliveries_cost_no_memory(form: Form) {
    check_consuming(form, &scripts::DELIVERIES);
}

/// The consumer takes nothing until all has arrived.
fn deliveries_beyond_the_prefetch_cost_no_memory(form: Form) {
    for (name, size) in [("small deliveries", 100), ("large deliveries", 60_000)] {
        let scripted = Scripted::start(form);
        let mut client = Client::start(&scripted, Program::Wait);
        let (mut peer, tag) = scripts::consuming(&scripted);
        scripts::flood_deliveries(&mut peer, &tag, size);
        client.go_on();
        let ended = client.end(name);
        assert!(ended.output.contains("prefetch of the consumer"), "{name}: {ended:?}");
        check_peak(form, name, &ended);
    }
}

fn hostile_answers_to_publications_cost_no_memory(form: Form) {
    for (name, expected, script) in scripts::ANSWERS {
        check(form, Program::Publish, (name, expected), |scripted| {
            let mut peer = scripted.accept_open();
            peer.open_channel(true);
            for _ in 0..program::PUBLICATIONS {
                peer.receive("basic.publish", |_| ());
            }
            script(&mut peer);
        });
    }
}

/// Headers of the largest size, in as many fields as fit, take as much memory as a body of their
/// size while they wait for the consumer.
fn headers_that_wait_cost_their_octets(form: Form) {
    let [bodies, headers] = [scripts::large_bodies, scripts::tiny_fields].map(|script| {
        let scripted = Scripted::start(form);
        let mut client = Client::start(&scripted, Program::Prefetch);
        let (mut peer, tag) = scripts::consuming(&scripted);
        script(&mut peer, &tag);
        client.go_on();
        scripts::see_off(&mut peer);
        let ended = client.end("headers");
        assert!(ended.output.contains("received 10, then enough"), "{ended:?}");
        ended
    });
    println!("headers: {} kB, bodies: {} kB", headers.peak, bodies.peak);
    assert!(headers.peak <= bodies.peak + ALLOWED, "{} kB, not {} kB", headers.peak, bodies.peak);
}

/// The client aborts if any of its threads panics.
fn closes_while_channels_open_end_without_a_panic(form: Form) {
    let ended = run(form, Program::Open, "closes", scripts::close_while_channels_open);
    let opened = ended.output.lines().find_map(|line| line.strip_prefix("opened "));
    assert!(opened.unwrap().parse::<u64>().unwrap() > 100, "{ended:?}");
}
