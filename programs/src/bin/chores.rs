//! Chores: `chores count QUEUE..`, `chores peek QUEUE [MOST]`, `chores back QUEUE [MOST]`.

use std::env;
use std::error::Error;

use carrot_programs::chores;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    // Plumbing: connects.
    let connection = carrot::connect_from_env()?;

    let peek = |queue, most| -> carrot::Result<()> {
        let messages = chores::peek(&connection, queue, most)?;
        messages.iter().for_each(|message| println!("{}", chores::describe(message)));
        Ok(())
    };
    let back = |queue, most| -> carrot::Result<()> {
        println!("{} moved back", chores::move_back(&connection, queue, most)?);
        Ok(())
    };
    match &arguments[..] {
        ["count", queues @ ..] => {
            for queue in queues {
                println!("{queue}: {}", chores::count(&connection, queue)?);
            }
        }
        ["peek", queue] => peek(queue, 10)?,
        ["peek", queue, most] => peek(queue, most.parse()?)?,
        ["back", queue] => back(queue, usize::MAX)?,
        ["back", queue, most] => back(queue, most.parse()?)?,
        _ => {
            return Err(
                "usage: chores count QUEUE.. | peek QUEUE [MOST] | back QUEUE [MOST]".into()
            );
        }
    }

    // Plumbing: earlier acknowledgements reach the broker.
    connection.close()?;
    Ok(())
}
