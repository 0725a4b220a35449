//! The programs of the readme of Python's carrot: a publisher, a consumer with a callback, polling
//! with `fetch`, and a publisher and consumer as types of their own.

use std::error::Error;

use carrot::topology::DeleteIf;
use carrot::{
    Connection, Handler, Message, Publisher, Settlement,
    consume::{ConsumerDefinition, HandlerError},
    publish::PublisherDefinition,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct ImportFeed {
    import_feed: Option<String>,
}

fn import(url: &str) {
    println!("  importing {url}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;

    println!("Receiving with a callback");
    let mut consumer =
        connection.consumer("feed").exchange("feed").routing_key("importer").build()?;
    let publisher = connection.publisher().exchange("feed").routing_key("importer").build()?;
    publisher.send(&ImportFeed { import_feed: Some("http://cnn.com/rss/edition.rss".into()) })?;
    publisher.send(&ImportFeed { import_feed: None })?;
    consumer.register_callback(|data: ImportFeed, _message: &Message| match data.import_feed {
        Some(url) => {
            import(&url);
            Settlement::Ack
        }
        None => Settlement::Reject,
    });
    let report = consumer.handle_next(2)?; // `wait()` continues until it is stopped
    println!("  {} acknowledged, {} rejected", report.acknowledged, report.rejected);

    println!("Receiving without a callback");
    publisher.send(&ImportFeed { import_feed: Some("http://bbc.co.uk/rss".into()) })?;
    publisher.close()?;
    match consumer.fetch()? {
        Some(message) => {
            let data: ImportFeed = message.decode()?;
            data.import_feed.as_deref().into_iter().for_each(import);
            message.ack()?;
        }
        None => println!("  the queue is empty"),
    }
    consumer.close()?;

    println!("With types of our own");
    let publisher = FeedPublisher::open(&connection)?;
    publisher.import_feed("http://reuters.com/rss")?;
    publisher.inner.close()?;
    let mut consumer = FeedConsumer::definition().open(&connection)?;
    consumer.register_handler(FeedConsumer);
    consumer.handle_next(1)?;
    consumer.close()?;

    connection.delete_queue("feed", DeleteIf::ALWAYS)?;
    connection.delete_queue("feed.failed", DeleteIf::ALWAYS)?;
    connection.delete_exchange("feed", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Action {
    ImportFeed { feed_url: String },
}

struct FeedPublisher {
    inner: Publisher,
}

impl FeedPublisher {
    fn open(connection: &Connection) -> carrot::Result<FeedPublisher> {
        let definition = PublisherDefinition::new().exchange("feed").routing_key("importer");
        Ok(FeedPublisher { inner: definition.open(connection)? })
    }

    fn import_feed(&self, feed_url: &str) -> carrot::Result<()> {
        self.inner.send(&Action::ImportFeed { feed_url: feed_url.into() })
    }
}

struct FeedConsumer;

impl FeedConsumer {
    fn definition() -> ConsumerDefinition {
        ConsumerDefinition::new("feed").exchange("feed").routing_key("importer")
    }
}

impl Handler for FeedConsumer {
    type Payload = Action;

    // A message with another action cannot be decoded. It has failed, and does not reach this code.
    fn receive(&self, action: Action, _message: &Message) -> Result<Settlement, HandlerError> {
        match action {
            Action::ImportFeed { feed_url } => import(&feed_url),
        }
        Ok(Settlement::Ack)
    }
}
