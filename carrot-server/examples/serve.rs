//! Hosts a broker for a program in another language, such as a test in Python.
//!
//! ```text
//! cargo run -p carrot-server --example serve -- --control --manual-clock
//! ```
//!
//! Prints one line of JSON: `amqp_url`, and `control_url` and `token` of the control interface,
//! which are null without `--control`. Ends when its standard input ends, or on Ctrl-C. A program
//! that starts it with a pipe as the input therefore never leaves it behind.

use std::error::Error;
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use carrot::config::RabbitMqRelease;
use carrot::memory::{Broker, ManualClock};
use carrot::server::{ControlInterface, Server};
use serde_json::json;

const USAGE: &str = "usage: serve [OPTION]...
  --address HOST:PORT   where clients of AMQP connect to; 127.0.0.1:0, a free port, by default
  --control             opens the control interface, at a free port
  --manual-clock        uses a manual clock: only advance_clock lets time pass
  --release 3.10|4.3    the release of RabbitMQ to imitate; 4.3 by default
  --vhost NAME          serves a second broker as this virtual host; can be repeated";

struct Options {
    address: String,
    has_control: bool,
    has_manual_clock: bool,
    release: RabbitMqRelease,
    vhosts: Vec<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        address: "127.0.0.1:0".into(),
        has_control: false,
        has_manual_clock: false,
        release: RabbitMqRelease::default(),
        vhosts: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{option} needs a value\n{USAGE}"));
        match &*option {
            "--address" => options.address = value()?,
            "--control" => options.has_control = true,
            "--manual-clock" => options.has_manual_clock = true,
            "--release" => {
                let release = value()?.parse();
                options.release = release.map_err(|error| format!("{error}\n{USAGE}"))?;
            }
            "--vhost" => options.vhosts.push(value()?),
            _ => return Err(format!("{option:?} is no option\n{USAGE}")),
        }
    }
    Ok(options)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = match options() {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}");
            std::process::exit(2);
        }
    };
    // All virtual hosts have one clock.
    let clock = ManualClock::new();
    let broker = || {
        let builder = Broker::builder().imitate(options.release);
        if options.has_manual_clock { builder.clock(&clock).build() } else { builder.build() }
    };
    let mut server = Server::builder(&broker());
    for vhost in &options.vhosts {
        server = server.vhost(vhost, &broker());
    }
    if options.has_control {
        server = server.control("127.0.0.1:0");
    }
    let server = server.bind(&*options.address)?;

    // Handlers first: the program that reads the line can end this one at once.
    let (end, ended) = mpsc::channel();
    let interrupted = end.clone();
    ctrlc::set_handler(move || {
        // Fails only if the program ends already.
        let _ = interrupted.send(());
    })?;
    let control = server.control();
    let line = json!({
        "amqp_url": server.url(),
        "control_url": control.map(ControlInterface::url),
        "token": control.map(ControlInterface::token),
    });
    writeln!(io::stdout(), "{line}")?;
    thread::spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = end.send(());
    });
    ended.recv()?;
    server.stop(Duration::from_secs(5))?;
    Ok(())
}
