//! Carrot through its facade: a publisher, a consumer and its workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use carrot::layers::{Metrics, TraceContext};
use carrot::{Codec, Connection, ConnectionOptions, Message, Publisher, Result, codec::Codecs, config::TlsOptions};
use carrot_bench::job::PeerJob;
use carrot_bench::meter::Meter;
use carrot_bench::order::SampleOrder;
use carrot_bench::recorder::CountingRecorder;

const LONG: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let job = PeerJob::from_arguments();
    match job.work() {
        "publish" => publish(&job),
        "window" | "window-observed" => window(&job),
        "window-header" => window_with_header(&job),
        "each" | "full-window" => each(&job),
        "consume" => consume(&job),
        "ping-pong" => ping_pong(&job),
        "send" => send(&job),
        "receive" => receive(&job),
        "handle" | "handle-observed" => handle(&job),
        "memory" => memory(&job),
        "memory-handle" | "memory-handle-observed" => memory_handle(&job),
        "memory-pairs" => memory_pairs(&job),
        "idle" => idle(&job),
        "connect" => connect_and_close(&job),
        _ => job.unsupported(),
    }
}

/// Connects, with the layers for metrics and trace context if the job asks for them.
fn connect(job: &PeerJob) -> Result<Connection> {
    let connection = connect_plainly(job)?;
    if !job.work().ends_with("-observed") {
        return Ok(connection);
    }
    let (metrics, trace) = (Metrics::with_recorder(CountingRecorder), TraceContext::new());
    let connection = connection.with_publish_layer(metrics.clone()).with_publish_layer(trace);
    Ok(connection.with_handle_layer(metrics).with_handle_layer(trace))
}

fn connect_plainly(job: &PeerJob) -> Result<Connection> {
    if job.work().starts_with("memory") {
        return carrot::connect("memory://");
    }
    let mut options: ConnectionOptions = job.url().parse()?;
    if job.is_tls() {
        options = options.tls(TlsOptions::new().authority(carrot::config::Pem::File(job.text("ca").into())));
    }
    carrot::connect(options)
}

fn publish(job: &PeerJob) -> Result<()> {
    let publisher = connect(job)?.publisher().routing_key(job.queue()).transient().without_confirms().build()?;
    let body = job.body();
    let meter = Meter::start();
    for _ in 0..job.messages() {
        publisher.message().send_bytes(body.as_slice())?;
    }
    publisher.close()?;
    meter.finish(job.messages(), Vec::new())
}

fn confirmed(job: &PeerJob, connection: &Connection) -> Result<Publisher> {
    connection.publisher().routing_key(job.queue()).max_in_flight(job.window()).build()
}

fn window(job: &PeerJob) -> Result<()> {
    let publisher = confirmed(job, &connect(job)?)?;
    let body = job.body();
    let meter = Meter::start();
    for _ in 0..job.messages() {
        drop(publisher.message().publish_bytes(body.as_slice())?);
    }
    publisher.flush()?;
    meter.finish(job.messages(), Vec::new())
}

/// The same with a header of the length of `traceparent`, which the program sets without layers.
fn window_with_header(job: &PeerJob) -> Result<()> {
    let publisher = confirmed(job, &connect(job)?)?;
    let body = job.body();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let meter = Meter::start();
    for _ in 0..job.messages() {
        drop(publisher.message().header("traceparent", trace).publish_bytes(body.as_slice())?);
    }
    publisher.flush()?;
    meter.finish(job.messages(), Vec::new())
}

fn each(job: &PeerJob) -> Result<()> {
    let publisher = confirmed(job, &connect(job)?)?;
    let body = job.body();
    publisher.message().send_bytes(body.as_slice())?;
    let meter = Meter::start();
    let work = || -> Result<Vec<Duration>> {
        (0..job.messages() / job.threads())
            .map(|_| {
                let started = Instant::now();
                publisher.message().send_bytes(body.as_slice())?;
                Ok(started.elapsed())
            })
            .collect()
    };
    let latencies: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads()).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let latencies = latencies?.concat();
    meter.finish(latencies.len(), latencies)
}

fn consume(job: &PeerJob) -> Result<()> {
    let consumer = connect(job)?.consumer(job.queue()).prefetch(job.prefetch()).build()?;
    let (left, (done, all_done)) = (AtomicUsize::new(job.messages()), mpsc::channel());
    let meter = Meter::start();
    let workers = consumer.workers(job.threads()).spawn_raw(move |message| {
        message.ack().expect("the connection is open");
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = done.send(());
        }
    })?;
    all_done.recv_timeout(LONG).expect("the queue contains all messages");
    workers.stop(LONG)?;
    meter.finish(job.messages(), Vec::new())
}

fn ping_pong(job: &PeerJob) -> Result<()> {
    let connection = connect(job)?;
    let publisher = connection.publisher().routing_key(job.queue()).transient().without_confirms().build()?;
    let consumer = connection.consumer(job.queue()).automatic_acknowledgement().build()?;
    let mut messages = consumer.messages()?.timeout(LONG);
    let body = job.body();
    let mut round = || -> Result<()> {
        publisher.message().send_bytes(body.as_slice())?;
        messages.next().expect("the message is delivered").map(drop)
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

fn codec(job: &PeerJob) -> Codec {
    if job.text("codec") == "bincode" { Codec::bincode() } else { Codec::json() }
}

fn send(job: &PeerJob) -> Result<()> {
    let connection = connect(job)?;
    let publisher = connection.publisher().routing_key(job.queue()).codec(codec(job)).max_in_flight(job.window()).build()?;
    let order = SampleOrder::typical(1);
    let meter = Meter::start();
    publisher.send_all((0..job.messages()).map(|_| &order))?;
    meter.finish(job.messages(), Vec::new())
}

fn receive(job: &PeerJob) -> Result<()> {
    let codecs = Codecs::only(codec(job));
    let consumer = connect(job)?.consumer(job.queue()).prefetch(job.prefetch()).codecs(codecs).build()?;
    let (left, (done, all_done)) = (AtomicUsize::new(job.messages()), mpsc::channel());
    let meter = Meter::start();
    let workers = consumer.workers(job.threads()).spawn(move |order: SampleOrder, _message: &Message| {
        assert_eq!(order.lines.len(), 4);
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = done.send(());
        }
    })?;
    all_done.recv_timeout(LONG).expect("the queue contains all messages");
    workers.stop(LONG)?;
    meter.finish(job.messages(), Vec::new())
}

/// Handles orders that the same program has sent before the measurement.
fn handle(job: &PeerJob) -> Result<()> {
    let connection = connect(job)?;
    let publisher = connection.publisher().routing_key(job.queue()).max_in_flight(job.window()).build()?;
    let order = SampleOrder::typical(1);
    publisher.send_all((0..job.messages()).map(|_| &order))?;
    let consumer = connection.consumer(job.queue()).prefetch(job.prefetch()).build()?;
    let (left, (done, all_done)) = (AtomicUsize::new(job.messages()), mpsc::channel());
    let meter = Meter::start();
    let workers = consumer.workers(job.threads()).spawn(move |order: SampleOrder, _message: &Message| {
        assert_eq!(order.lines.len(), 4);
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = done.send(());
        }
    })?;
    all_done.recv_timeout(LONG).expect("the queue contains all messages");
    workers.stop(LONG)?;
    meter.finish(job.messages(), Vec::new())
}

/// Sends orders to the memory broker and handles them, on one thread.
fn memory_handle(job: &PeerJob) -> Result<()> {
    const BATCH: usize = 10;
    let connection = connect(job)?;
    let publisher = connection.publisher().routing_key(job.queue()).build()?;
    let mut consumer = connection.consumer(job.queue()).prefetch(job.prefetch()).build()?;
    let (order, queue) = (SampleOrder::typical(1), publisher.clone());
    let left = AtomicUsize::new(job.messages() / BATCH);
    let batch = (0..BATCH).map(|_| &order);
    publisher.send_all(batch.clone())?;
    let mut handled = 0;
    let next = order.clone();
    consumer.register_callback(move |order: SampleOrder, _message: &Message| {
        assert_eq!(order.lines.len(), 4);
        handled += 1;
        if handled % BATCH == 0 && left.fetch_sub(1, Ordering::Relaxed) > 1 {
            queue.send_all((0..BATCH).map(|_| &next)).expect("the broker is running");
        }
    });
    let meter = Meter::start();
    let messages = job.messages() / BATCH * BATCH;
    consumer.handle_next(messages as u64)?;
    meter.finish(messages, Vec::new())
}

fn idle(job: &PeerJob) -> Result<()> {
    let consumer = connect(job)?.consumer(job.queue()).build()?;
    let _workers = consumer.workers(1).spawn_raw(drop)?;
    Meter::idle(job.messages())
}

/// Connects, declares the queue and closes the connection, once for each message of the job.
fn connect_and_close(job: &PeerJob) -> Result<()> {
    let meter = Meter::start();
    for _ in 0..job.messages() {
        let connection = connect(job)?;
        connection.declare_queue(job.queue())?;
        connection.close()?;
    }
    meter.finish(job.messages(), Vec::new())
}

/// Runs senders and as many workers on one queue. The workers acknowledge each message.
fn memory_pairs(job: &PeerJob) -> Result<()> {
    let connection = connect(job)?;
    let consumer = connection.consumer(job.queue()).prefetch(1000).build()?;
    let publisher = connection.publisher().routing_key(job.queue()).transient().without_confirms().build()?;
    let body = job.body();
    let (left, (done, all_done)) = (AtomicUsize::new(job.messages()), mpsc::channel());
    let meter = Meter::start();
    let _workers = consumer.workers(job.threads()).spawn_raw(move |message| {
        message.ack().expect("the broker is running");
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = done.send(());
        }
    })?;
    let send = || (0..job.messages() / job.threads()).try_for_each(|_| publisher.message().send_bytes(body.as_slice()));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads()).map(|_| scope.spawn(send)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    all_done.recv_timeout(LONG).expect("all messages are delivered");
    meter.finish(job.messages(), Vec::new())
}

/// Runs threads that each send to one queue, receive from it and acknowledge.
fn memory(job: &PeerJob) -> Result<()> {
    let connection = connect(job)?;
    let consumer = connection.consumer(job.queue()).prefetch(100).build()?;
    let publisher = connection.publisher().routing_key(job.queue()).transient().without_confirms().build()?;
    let body = job.body();
    let meter = Meter::start();
    let work = || -> Result<()> {
        let mut messages = consumer.messages()?.timeout(LONG);
        for _ in 0..job.messages() / job.threads() {
            publisher.message().send_bytes(body.as_slice())?;
            messages.next().expect("a message is ready")?.ack()?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads()).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    meter.finish(job.messages(), Vec::new())
}
