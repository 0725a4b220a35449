//! A small HTTP server, which answers as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request, without the headers that no test needs.
#[derive(Debug, Clone)]
pub(crate) struct StubRequest {
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
}

/// The server, and what it was asked.
pub(crate) struct HttpStub {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<StubRequest>>>,
}

impl HttpStub {
    /// Passes each request to `answer`, which writes to the connection. Each connection has one
    /// request.
    pub(crate) fn new(
        answer: impl Fn(&StubRequest, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> HttpStub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = requests.clone();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (noted, answer) = (noted.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if let Some(request) = read(&stream) {
                        noted.lock().unwrap().push(request.clone());
                        // The client may have gone.
                        let _ = answer(&request, &mut stream);
                    }
                });
            }
        });
        HttpStub { address, requests }
    }

    /// Answers each path, without its query, with a status and a body.
    pub(crate) fn answering(
        answer: impl Fn(&StubRequest) -> (u16, String) + Send + Sync + 'static,
    ) -> HttpStub {
        HttpStub::new(move |request, stream| {
            let (status, body) = answer(request);
            write!(
                stream,
                "HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
        })
    }

    pub(crate) fn requests(&self) -> Vec<StubRequest> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn read(stream: &TcpStream) -> Option<StubRequest> {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_string())
    };
    let path = next()?.split(' ').nth(1)?.to_string();
    let (mut authorization, mut size) = (String::new(), 0);
    loop {
        let line = next()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match &*name.to_ascii_lowercase() {
            "authorization" => authorization = value.trim().into(),
            "content-length" => size = value.trim().parse().ok()?,
            _ => {}
        }
    }
    // An answer before the end of the request could be lost.
    let mut body = vec![0; size];
    reader.read_exact(&mut body).ok()?;
    Some(StubRequest { path, authorization, body: String::from_utf8(body).ok()? })
}
