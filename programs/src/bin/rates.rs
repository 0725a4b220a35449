//! Serves exchange rates, or asks for them: `rates serve NAME [QUEUE]`, `rates ask NUMBER [QUEUE]`.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

use carrot::{Connection, Workers};
use carrot_programs::rates::{self, Pair};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The number of threads that ask.
const CALLERS: usize = 8;

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    // Plumbing: connects.
    let connection = carrot::connect_from_env()?;

    match arguments[..] {
        ["serve", name] => serve(rates::serve(&connection, "rates", name)?),
        ["serve", name, queue] => serve(rates::serve(&connection, queue, name)?),
        ["ask", number] => ask(&connection, "rates", number.parse()?),
        ["ask", number, queue] => ask(&connection, queue, number.parse()?),
        _ => Err("usage: rates serve NAME [QUEUE] | rates ask NUMBER [QUEUE]".into()),
    }
}

// Plumbing: serves until Ctrl-C or SIGTERM. Requests that were not answered go to other servers.
fn serve(server: Workers) -> Outcome {
    let stop = server.stop_handle();
    ctrlc::set_handler(move || drop(stop.stop()))?;
    println!("serving");
    println!("{} requests answered", server.join()?.acknowledged);
    Ok(())
}

fn ask(connection: &Connection, queue: &str, number: usize) -> Outcome {
    let pair = Pair { from: "EUR".into(), to: "USD".into() };
    let caller = connection.caller(queue).build()?;
    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    for answer in rates::ask_all(&caller, CALLERS, &vec![pair; number]) {
        *answers.entry(answer?.server).or_default() += 1;
    }
    for (server, answers) in answers {
        println!("{answers} answers of {server}");
    }
    Ok(())
}
