//! Receives web hooks over HTTP: `web_hooks [ADDRESS] [QUEUE]`.

use std::env;
use std::error::Error;
use std::sync::Arc;

use carrot::ConnectionOptions;
use carrot_programs::web_hooks;
use tiny_http::Server;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let queue = arguments.next().unwrap_or_else(|| "hooks".into());

    // Plumbing: connects in the background, because the receiver also starts without a broker.
    let connection = carrot::connect_lazily(ConnectionOptions::from_env()?)?;
    let server = Server::http(&*address);
    let server = Arc::new(server.map_err(|error| format!("no server at {address}: {error}"))?);

    // Plumbing: Ctrl-C and SIGTERM end `serve`.
    let stopping = Arc::clone(&server);
    ctrlc::set_handler(move || stopping.unblock())?;

    let hooks = connection.publisher().queue(queue).build()?;
    println!("web hooks at http://{}", server.server_addr());
    web_hooks::serve(&server, &connection, &hooks);

    // Plumbing: closes in order.
    connection.close()?;
    println!("each accepted web hook is stored");
    Ok(())
}
