//! amqprs on tokio with two worker threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments, Channel, ConfirmSelectArguments, ConsumerMessage,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use carrot_bench::job::{MESSAGE_ID, PeerJob};
use carrot_bench::meter::Meter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Result<T> = std::result::Result<T, Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let job = Arc::new(PeerJob::from_arguments());
    if job.is_tls() {
        job.unsupported();
    }
    match job.work() {
        "publish" => publish(&job).await,
        "window" | "send" => window(&job).await,
        "each" if job.threads() == 1 => each(&job).await,
        "consume" | "receive" => consume(&job).await,
        "ping-pong" => ping_pong(&job).await,
        _ => job.unsupported(),
    }
}

async fn connect(job: &PeerJob) -> Result<Connection> {
    Connection::open(&OpenConnectionArguments::new("localhost", job.port(), "guest", "guest")).await
}

async fn send(channel: &Channel, job: &PeerJob, body: &[u8], mode: u8) -> Result<()> {
    let properties = BasicProperties::default().with_delivery_mode(mode).with_message_id(MESSAGE_ID).finish();
    channel.basic_publish(properties, body.to_vec(), BasicPublishArguments::new("", job.queue())).await
}

struct ConfirmCallback(UnboundedSender<u64>);

#[async_trait::async_trait]
impl ChannelCallback for ConfirmCallback {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<()> {
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<()> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        let _ = self.0.send(ack.delivery_tag());
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        let _ = self.0.send(nack.delivery_tag());
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}

async fn publish(job: &PeerJob) -> Result<()> {
    let connection = connect(job).await?;
    let channel = connection.open_channel(None).await?;
    let body = job.body();
    let meter = Meter::start();
    for _ in 0..job.messages() {
        send(&channel, job, &body, 1).await?;
    }
    channel.close().await?;
    meter.finish(job.messages(), Vec::new())
}

async fn confirming(connection: &Connection) -> Result<(Channel, UnboundedReceiver<u64>)> {
    let channel = connection.open_channel(None).await?;
    let (tell, confirms) = unbounded_channel();
    channel.register_callback(ConfirmCallback(tell)).await?;
    channel.confirm_select(ConfirmSelectArguments::default()).await?;
    Ok((channel, confirms))
}

async fn window(job: &PeerJob) -> Result<()> {
    let connection = connect(job).await?;
    let (channel, mut confirms) = confirming(&connection).await?;
    let payload = job.payload();
    let meter = Meter::start();
    let mut confirmed = 0;
    for sent in 1..=job.messages() as u64 {
        send(&channel, job, &payload.body(), 2).await?;
        while sent - confirmed >= job.window() as u64 {
            confirmed = confirmed.max(confirms.recv().await.expect("the broker confirms"));
        }
    }
    while confirmed < job.messages() as u64 {
        confirmed = confirmed.max(confirms.recv().await.expect("the broker confirms"));
    }
    meter.finish(job.messages(), Vec::new())
}

async fn each(job: &PeerJob) -> Result<()> {
    let connection = connect(job).await?;
    let (channel, mut confirms) = confirming(&connection).await?;
    let body = job.body();
    send(&channel, job, &body, 2).await?;
    confirms.recv().await;
    let mut latencies = Vec::new();
    let meter = Meter::start();
    for _ in 0..job.messages() {
        let started = Instant::now();
        send(&channel, job, &body, 2).await?;
        confirms.recv().await.expect("the broker confirms");
        latencies.push(started.elapsed());
    }
    meter.finish(job.messages(), latencies)
}

async fn start(channel: &Channel, job: &PeerJob, no_ack: bool) -> Result<UnboundedReceiver<ConsumerMessage>> {
    let arguments = BasicConsumeArguments::new(job.queue(), "").manual_ack(!no_ack).finish();
    channel.basic_consume_rx(arguments).await.map(|(_, messages)| messages)
}

async fn consume(job: &Arc<PeerJob>) -> Result<()> {
    let connection = connect(job).await?;
    let prefetch = job.prefetch() / job.threads() as u16;
    if prefetch == 0 {
        job.unsupported();
    }
    let mut channels = Vec::new();
    for _ in 0..job.threads() {
        let channel = connection.open_channel(None).await?;
        channel.basic_qos(BasicQosArguments::new(0, prefetch, false)).await?;
        channels.push(channel);
    }
    let (left, payload) = (Arc::new(AtomicUsize::new(job.messages())), Arc::new(job.payload()));
    let (done, mut all_done) = unbounded_channel();
    let meter = Meter::start();
    for channel in channels {
        let (left, payload, done) = (Arc::clone(&left), Arc::clone(&payload), done.clone());
        let mut messages = start(&channel, job, false).await?;
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                payload.decode(message.content.as_deref().unwrap_or_default());
                let tag = message.deliver.expect("a delivery").delivery_tag();
                channel.basic_ack(BasicAckArguments::new(tag, false)).await?;
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    let _ = done.send(());
                }
            }
            Result::Ok(())
        });
    }
    all_done.recv().await;
    connection.close().await?;
    meter.finish(job.messages(), Vec::new())
}

async fn ping_pong(job: &PeerJob) -> Result<()> {
    let (to, from) = (connect(job).await?, connect(job).await?);
    let (publishing, consuming) = (to.open_channel(None).await?, from.open_channel(None).await?);
    let mut messages = start(&consuming, job, true).await?;
    let body = job.body();
    let mut latencies = Vec::new();
    let mut meter = Meter::start();
    for round in 0..job.messages() + 100 {
        if round == 100 {
            latencies.clear();
            meter = Meter::start();
        }
        let started = Instant::now();
        send(&publishing, job, &body, 1).await?;
        messages.recv().await.expect("the message is delivered");
        latencies.push(started.elapsed());
    }
    meter.finish(job.messages(), latencies)
}
