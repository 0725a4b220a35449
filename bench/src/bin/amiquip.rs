//! amiquip with the settings of Carrot: a socket with `TCP_NODELAY`, and a long queue to the I/O
//! thread.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use amiquip::{
    AmqpProperties, Auth, Channel, Confirm, Connection, ConnectionOptions, ConnectionTuning, Consumer, ConsumerMessage, ConsumerOptions,
    IoStream, Publish, Result,
};
use carrot_bench::job::{MESSAGE_ID, PeerJob};
use carrot_bench::meter::Meter;
use mio::{Evented, Poll, PollOpt, Ready, Token};

struct MioStream(mio::net::TcpStream);

impl Read for MioStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for MioStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Evented for MioStream {
    fn register(&self, poll: &Poll, token: Token, interest: Ready, options: PollOpt) -> io::Result<()> {
        self.0.register(poll, token, interest, options)
    }

    fn reregister(&self, poll: &Poll, token: Token, interest: Ready, options: PollOpt) -> io::Result<()> {
        self.0.reregister(poll, token, interest, options)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        self.0.deregister(poll)
    }
}

impl IoStream for MioStream {}

fn main() -> Result<()> {
    let job = PeerJob::from_arguments();
    if job.is_tls() {
        job.unsupported();
    }
    match job.work() {
        "publish" => publish(&job),
        "window" | "send" => window(&job),
        "each" => each(&job),
        "consume" | "receive" => consume(&job),
        "ping-pong" => ping_pong(&job),
        "idle" => idle(&job),
        _ => job.unsupported(),
    }
}

fn connect(job: &PeerJob) -> Result<Connection> {
    let socket = TcpStream::connect(("localhost", job.port())).expect("the broker accepts connections");
    socket.set_nodelay(true).expect("the socket options are valid");
    let stream = MioStream(mio::net::TcpStream::from_stream(socket).expect("the socket options are valid"));
    let tuning = ConnectionTuning::default().mem_channel_bound(1024);
    Connection::insecure_open_stream(stream, ConnectionOptions::<Auth>::default(), tuning)
}

fn properties(mode: u8) -> AmqpProperties {
    AmqpProperties::default().with_delivery_mode(mode).with_message_id(MESSAGE_ID.into())
}

fn send(channel: &Channel, job: &PeerJob, body: &[u8], mode: u8) -> Result<()> {
    channel.basic_publish("", Publish::with_properties(body, job.queue(), properties(mode)))
}

fn publish(job: &PeerJob) -> Result<()> {
    let mut connection = connect(job)?;
    let channel = connection.open_channel(None)?;
    let body = job.body();
    let meter = Meter::start();
    for _ in 0..job.messages() {
        send(&channel, job, &body, 1)?;
    }
    channel.close()?;
    meter.finish(job.messages(), Vec::new())
}

fn up_to(confirm: Confirm) -> u64 {
    let (Confirm::Ack(payload) | Confirm::Nack(payload)) = confirm;
    payload.delivery_tag
}

fn window(job: &PeerJob) -> Result<()> {
    let mut connection = connect(job)?;
    let channel = connection.open_channel(None)?;
    let confirms = channel.listen_for_publisher_confirms()?;
    channel.enable_publisher_confirms()?;
    let payload = job.payload();
    let meter = Meter::start();
    let mut confirmed = 0;
    for sent in 1..=job.messages() as u64 {
        send(&channel, job, &payload.body(), 2)?;
        while sent - confirmed >= job.window() as u64 {
            confirmed = confirmed.max(up_to(confirms.recv().expect("the broker confirms")));
        }
    }
    while confirmed < job.messages() as u64 {
        confirmed = confirmed.max(up_to(confirms.recv().expect("the broker confirms")));
    }
    meter.finish(job.messages(), Vec::new())
}

/// Opens a channel for each thread, because only one thread can use a channel at a time.
fn each(job: &PeerJob) -> Result<()> {
    let mut connection = connect(job)?;
    let channels: Result<Vec<Channel>> = (0..job.threads()).map(|_| connection.open_channel(None)).collect();
    let body = job.body();
    let channels = channels?.into_iter().map(|channel| {
        let confirms = channel.listen_for_publisher_confirms()?;
        channel.enable_publisher_confirms()?;
        send(&channel, job, &body, 2)?;
        confirms.recv().expect("the broker confirms");
        Ok((channel, confirms))
    });
    let channels: Result<Vec<_>> = channels.collect();
    let channels = channels?;
    let meter = Meter::start();
    let latencies: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let body = &body;
        let start = |(channel, confirms)| {
            scope.spawn(move || {
                let confirms: crossbeam_channel::Receiver<Confirm> = confirms;
                let latencies = (0..job.messages() / job.threads()).map(|_| {
                    let started = Instant::now();
                    send(&channel, job, body, 2)?;
                    confirms.recv().expect("the broker confirms");
                    Ok(started.elapsed())
                });
                latencies.collect()
            })
        };
        let threads: Vec<_> = channels.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let latencies = latencies?.concat();
    meter.finish(latencies.len(), latencies)
}

fn take(consumer: &Consumer<'_>) -> Option<amiquip::Delivery> {
    match consumer.receiver().recv() {
        Ok(ConsumerMessage::Delivery(delivery)) => Some(delivery),
        _ => None,
    }
}

/// Starts a consumer for each thread, because only one thread can use a consumer. Each has a
/// channel of its own and a share of the prefetch.
fn consume(job: &PeerJob) -> Result<()> {
    let mut connection = connect(job)?;
    let channels: Result<Vec<Channel>> = (0..job.threads()).map(|_| connection.open_channel(None)).collect();
    let prefetch = job.prefetch() / job.threads() as u16;
    if prefetch == 0 {
        job.unsupported();
    }
    let (left, payload) = (AtomicUsize::new(job.messages()), job.payload());
    let (done, all_done) = mpsc::channel();
    let meter = Meter::start();
    std::thread::scope(|scope| {
        for channel in channels? {
            let (left, payload, done) = (&left, &payload, done.clone());
            scope.spawn(move || -> Result<()> {
                channel.qos(0, prefetch, false)?;
                let consumer = channel.basic_consume(job.queue(), ConsumerOptions::default())?;
                while let Some(delivery) = take(&consumer) {
                    payload.decode(&delivery.body);
                    consumer.ack(delivery)?;
                    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        let _ = done.send(());
                    }
                }
                Ok(())
            });
        }
        all_done.recv().expect("the queue contains all messages");
        connection.close()?;
        meter.finish(job.messages(), Vec::new())
    })
}

fn ping_pong(job: &PeerJob) -> Result<()> {
    let (mut to, mut from) = (connect(job)?, connect(job)?);
    let (publishing, consuming) = (to.open_channel(None)?, from.open_channel(None)?);
    let consumer = consuming.basic_consume(job.queue(), ConsumerOptions { no_ack: true, ..ConsumerOptions::default() })?;
    let body = job.body();
    let round = || -> Result<()> {
        send(&publishing, job, &body, 1)?;
        take(&consumer).expect("the message is delivered");
        Ok(())
    };
    for _ in 0..100 {
        round()?;
    }
    let meter = Meter::start();
    let latencies: Result<Vec<Duration>> = (0..job.messages())
        .map(|_| {
            let started = Instant::now();
            round()?;
            Ok(started.elapsed())
        })
        .collect();
    meter.finish(job.messages(), latencies?)
}

fn idle(job: &PeerJob) -> Result<()> {
    let mut connection = connect(job)?;
    let channel = connection.open_channel(None)?;
    let consumer = channel.basic_consume(job.queue(), ConsumerOptions::default())?;
    std::thread::scope(|scope| {
        let messages = consumer.receiver();
        scope.spawn(move || messages.recv());
        Meter::idle(job.messages())
    })
}
