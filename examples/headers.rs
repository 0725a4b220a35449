//! A headers exchange: the headers of a message choose its queues, instead of its routing key.

use std::error::Error;

use carrot::topology::DeleteIf;
use carrot::{Exchange, Queue, message::Value};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let documents = Exchange::headers("documents");

    let definition = connection.consumer(Queue::server_named()).exchange(&documents);
    let large_pdfs = definition
        .clone()
        .binding_arguments([("x-match", "all"), ("format", "pdf"), ("size", "large")])
        .build()?;
    let pdf_or_urgent = definition
        .binding_arguments([
            ("x-match", Value::from("any")),
            ("format", Value::from("pdf")),
            ("urgent", Value::Void),
        ])
        .build()?;

    let publisher = connection.publisher().exchange(&documents).build()?;
    publisher.message().header("format", "pdf").header("size", "large").send("a large report")?;
    publisher.message().header("format", "pdf").header("size", "small").send("a small report")?;
    publisher.message().header("format", "text").header("urgent", true).send("an urgent note")?;

    for (name, consumer) in [("large PDFs", &large_pdfs), ("PDF or urgent", &pdf_or_urgent)] {
        for message in consumer.fetch_all() {
            let message = message?;
            println!("{name:14} {:?}", message.decode::<String>()?);
            message.ack()?;
        }
    }
    connection.delete_exchange("documents", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
