//! A web service that answers every request in time, with and without a broker: eight threads, and
//! two seconds for each request.
//!
//! ```text
//! cargo run --example web_service
//! ```
//!
//! The program sends requests to its own service. On the in-process broker, it also makes the
//! broker unreachable and reachable again. The program ends by itself.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use carrot::memory::Broker;
use carrot::{Connection, Publisher};

/// The longest time that a request may take.
const BOUND: Duration = Duration::from_secs(2);

/// One thread of the service.
fn serve(listener: &TcpListener, connection: &Connection, publisher: &Publisher) {
    for stream in listener.incoming().flatten() {
        if let Err(error) = answer(stream, connection, publisher) {
            eprintln!("a client closed its connection: {error}");
        }
    }
}

fn answer(mut stream: TcpStream, connection: &Connection, publisher: &Publisher) -> io::Result<()> {
    let mut first_line = String::new();
    BufReader::new(&stream).read_line(&mut first_line)?;
    let status = match first_line.split_whitespace().nth(1) {
        // The readiness probe: true within two seconds of the broker's return.
        Some("/ready") if connection.is_connected() => "200 OK".into(),
        Some("/ready") => "503 Service Unavailable".into(),
        // Without a connection, the order fails at once: the threads stay free for other requests.
        Some("/order") if !connection.is_connected() => "503 Service Unavailable".into(),
        // An order must not be lost: it is accepted once the broker has confirmed it, or refused
        // after two seconds.
        Some("/order") => match publisher.message().timeout(BOUND).send("an order") {
            Ok(()) => "202 Accepted".into(),
            Err(error) => format!("503 Service Unavailable\r\nX-Reason: {error}"),
        },
        // A page view may be lost, and must not block the request.
        Some("/view") => match publisher.try_publish("a page view") {
            Ok(_confirmation) => "200 OK".into(),
            Err(_) => "200 OK\r\nX-Counted: no".into(),
        },
        _ => "404 Not Found".into(),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Requests a path. Returns the status and the time that the answer took.
fn ask(address: SocketAddr, path: &str) -> io::Result<(String, Duration)> {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.lines().next().unwrap_or_default().to_string();
    println!("  {path}: {status}, after {:.1} s", started.elapsed().as_secs_f64());
    Ok((status, started.elapsed()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://web_service".into());
    // The service may start before the broker does.
    let connection = carrot::connect_lazily(&url)?;
    let publisher = connection.publisher().queue("web_service").build()?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..8 {
        let (listener, connection, publisher) =
            (listener.try_clone()?, connection.clone(), publisher.clone());
        thread::spawn(move || serve(&listener, &connection, &publisher));
    }

    let until_ready = |connection: &Connection| {
        while !connection.is_connected() {
            thread::sleep(Duration::from_millis(10));
        }
    };
    until_ready(&connection);
    println!("the broker is reachable");
    ask(address, "/ready")?;
    ask(address, "/order")?;
    ask(address, "/view")?;

    if url.starts_with("memory") {
        let broker = Broker::named("web_service");
        broker.faults().refuse_connects(u32::MAX).drop_connections();
        println!("the broker is unreachable");
        let asking: Vec<_> =
            (0..24).map(|_| thread::spawn(move || ask(address, "/order"))).collect();
        ask(address, "/view")?;
        let mut slowest = Duration::ZERO;
        for answer in asking {
            slowest = slowest.max(answer.join().expect("no code panics in this thread")?.1);
        }
        let in_time =
            if slowest < BOUND + Duration::from_millis(500) { "in time" } else { "too late" };
        println!(
            "24 orders, eight at a time: all answered {in_time}, the slowest after {:.1} s",
            slowest.as_secs_f64()
        );
        ask(address, "/ready")?;

        broker.faults().clear();
        until_ready(&connection);
        println!("the broker is reachable again");
        ask(address, "/order")?;
    }
    connection.delete_queue("web_service", carrot::topology::DeleteIf::ALWAYS)?;
    Ok(())
}
