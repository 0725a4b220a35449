//! A TCP proxy whose connections can be cut.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes bytes between its clients and one server, until it is told to cut them off. Its thread ends with the process.
pub(crate) struct Proxy {
    address: SocketAddr,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// A proxy on a free local port, in front of `server`.
    pub(crate) fn new(server: (String, u16)) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a local port");
        let address = listener.local_addr().expect("the address of a bound socket");
        let streams = Arc::new(Mutex::new(Vec::new()));
        let accepted = Arc::clone(&streams);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect((server.0.as_str(), server.1)) else { continue };
                for stream in [&client, &upstream] {
                    let _ = stream.set_nodelay(true);
                }
                pass(&client, &upstream);
                pass(&upstream, &client);
                accepted.lock().unwrap_or_else(PoisonError::into_inner).extend([client, upstream]);
            }
        });
        Proxy { address, streams }
    }

    /// Where to connect to instead of the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection made so far, on both sides. New ones can be made.
    pub(crate) fn cut(&self) {
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("another handle to a socket");
    let mut to = to.try_clone().expect("another handle to a socket");
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
