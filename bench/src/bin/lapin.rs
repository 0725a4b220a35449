//! lapin on tokio with two worker threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use carrot_bench::job::{MESSAGE_ID, PeerJob};
use carrot_bench::meter::Meter;
use futures_lite::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions};

use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm, Result};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let job = Arc::new(PeerJob::from_arguments());
    match job.work() {
        "publish" => publish(&job).await,
        "window" | "send" => window(&job).await,
        "each" => each(&job).await,
        "consume" | "receive" => consume(&job).await,
        "ping-pong" => ping_pong(&job).await,
        "idle" => idle(&job).await,
        _ => job.unsupported(),
    }
}

async fn connect(job: &PeerJob) -> Result<Connection> {
    let tls = match job.is_tls() {
        true => OwnedTLSConfig { cert_chain: std::fs::read_to_string(job.text("ca")).ok(), ..OwnedTLSConfig::default() },
        false => OwnedTLSConfig::default(),
    };
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connect_with_config(&job.url(), ConnectionProperties::default(), tls, runtime).await
}

async fn send(channel: &Channel, job: &PeerJob, body: &[u8], mode: u8) -> Result<PublisherConfirm> {
    let properties = BasicProperties::default().with_delivery_mode(mode).with_message_id(MESSAGE_ID.into());
    channel.basic_publish("".into(), job.queue().into(), BasicPublishOptions::default(), body, properties).await
}

async fn publish(job: &PeerJob) -> Result<()> {
    let connection = connect(job).await?;
    let channel = connection.create_channel().await?;
    let body = job.body();
    let meter = Meter::start();
    for _ in 0..job.messages() {
        drop(send(&channel, job, &body, 1).await?);
    }
    channel.close(200, "".into()).await?;
    meter.finish(job.messages(), Vec::new())
}

async fn window(job: &PeerJob) -> Result<()> {
    let connection = connect(job).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let payload = job.payload();
    let meter = Meter::start();
    let mut waiting = std::collections::VecDeque::with_capacity(job.window());
    for _ in 0..job.messages() {
        if waiting.len() >= job.window()
            && let Some(oldest) = waiting.pop_front()
        {
            let oldest: PublisherConfirm = oldest;
            oldest.await?;
        }
        waiting.push_back(send(&channel, job, &payload.body(), 2).await?);
    }
    for confirm in waiting {
        confirm.await?;
    }
    meter.finish(job.messages(), Vec::new())
}

async fn each(job: &Arc<PeerJob>) -> Result<()> {
    let connection = connect(job).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let body = Arc::new(job.body());
    send(&channel, job, &body, 2).await?.await?;
    let meter = Meter::start();
    let tasks: Vec<_> = (0..job.threads())
        .map(|_| {
            let (channel, job, body) = (channel.clone(), Arc::clone(job), Arc::clone(&body));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                for _ in 0..job.messages() / job.threads() {
                    let started = Instant::now();
                    send(&channel, &job, &body, 2).await?.await?;
                    latencies.push(started.elapsed());
                }
                Result::Ok(latencies)
            })
        })
        .collect();
    let mut latencies: Vec<Duration> = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("no task panics")?);
    }
    meter.finish(latencies.len(), latencies)
}

async fn consume(job: &Arc<PeerJob>) -> Result<()> {
    let connection = connect(job).await?;
    let prefetch = job.prefetch() / job.threads() as u16;
    if prefetch == 0 {
        job.unsupported();
    }
    let mut channels = Vec::new();
    for _ in 0..job.threads() {
        let channel = connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        channels.push(channel);
    }
    let (left, payload) = (Arc::new(AtomicUsize::new(job.messages())), Arc::new(job.payload()));
    let (done, mut all_done) = tokio::sync::mpsc::unbounded_channel();
    let meter = Meter::start();
    for channel in channels {
        let (left, payload, done) = (Arc::clone(&left), Arc::clone(&payload), done.clone());
        let options = BasicConsumeOptions::default();
        let mut consumer = channel.basic_consume(job.queue().into(), "".into(), options, FieldTable::default()).await?;
        tokio::spawn(async move {
            while let Some(delivery) = consumer.next().await {
                let delivery = delivery?;
                payload.decode(&delivery.data);
                delivery.ack(BasicAckOptions::default()).await?;
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    let _ = done.send(());
                }
            }
            Result::Ok(())
        });
    }
    all_done.recv().await;
    connection.close(200, "".into()).await?;
    meter.finish(job.messages(), Vec::new())
}

async fn ping_pong(job: &PeerJob) -> Result<()> {
    let (to, from) = (connect(job).await?, connect(job).await?);
    let (publishing, consuming) = (to.create_channel().await?, from.create_channel().await?);
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut consumer = consuming.basic_consume(job.queue().into(), "".into(), options, FieldTable::default()).await?;
    let body = job.body();
    let mut latencies = Vec::new();
    let mut meter = Meter::start();
    for round in 0..job.messages() + 100 {
        if round == 100 {
            latencies.clear();
            meter = Meter::start();
        }
        let started = Instant::now();
        drop(send(&publishing, job, &body, 1).await?);
        consumer.next().await.expect("the message is delivered")?;
        latencies.push(started.elapsed());
    }
    meter.finish(job.messages(), latencies)
}

async fn idle(job: &Arc<PeerJob>) -> Result<()> {
    let connection = connect(job).await?;
    let channel = connection.create_channel().await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(job.queue().into(), "".into(), options, FieldTable::default()).await?;
    tokio::spawn(async move { consumer.next().await.is_some() });
    let seconds = job.messages();
    tokio::task::spawn_blocking(move || Meter::idle(seconds)).await.expect("no task panics")
}
