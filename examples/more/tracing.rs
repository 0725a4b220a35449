//! One trace across a publisher, a retry and a consumer, with OpenTelemetry.
//!
//! ```text
//! cargo run -p carrot-more-examples --example tracing
//! ```
//!
//! A program exports its spans to a collector. This one prints them.

use std::collections::HashMap;
use std::error::Error;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carrot::Message;
use carrot::consume::Retry;
use carrot::layers::OpenTelemetry;
use carrot::topology::DeleteIf;
use opentelemetry::global;
use opentelemetry::trace::{SpanId, Status, Tracer};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

/// Keeps the spans that have ended.
#[derive(Debug, Clone, Default)]
struct EndedSpans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for EndedSpans {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
        ready(Ok(()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // First the provider, then the layer.
    let spans = EndedSpans::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    global::set_tracer_provider(provider.clone());
    let layer = OpenTelemetry::new();

    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(&*url)?.with_layer(layer);

    let to_invoices = connection.publisher().queue("traced_invoices").build()?;
    let retry = Retry::fixed(Duration::from_secs(1)).without_jitter();
    let mut consumer = connection.consumer("traced_orders").retry(retry).build()?;
    consumer.register_callback(move |order: String, message: &Message| {
        if message.attempt() == 1 {
            return Err("the stock is unknown".to_string());
        }
        // Belongs to the trace, because the handler sends on its own thread.
        to_invoices.send(&format!("invoice of {order}")).map_err(|error| error.to_string())
    });

    let to_orders = connection.publisher().queue("traced_orders").build()?;
    global::tracer("shop").in_span("checkout", |_| to_orders.send("order 17"))?;
    consumer.handle_next(2)?; // two attempts
    drop(consumer);
    for queue in ["traced_orders", "traced_orders.failed", "traced_invoices"] {
        connection.delete_queue(queue, DeleteIf::ALWAYS)?;
    }

    provider.shutdown()?;
    print(&spans.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

/// Prints the spans of each trace, indented below their parents.
fn print(spans: &[SpanData]) {
    let parents: HashMap<SpanId, SpanId> =
        spans.iter().map(|span| (span.span_context.span_id(), span.parent_span_id)).collect();
    let depth = |span: &SpanData| {
        std::iter::successors(Some(span.parent_span_id), |id| parents.get(id).copied())
            .take_while(|id| parents.contains_key(id))
            .count()
    };
    let mut spans: Vec<&SpanData> = spans.iter().collect();
    spans.sort_by_key(|span| (span.span_context.trace_id().to_bytes(), span.start_time));
    for of_trace in
        spans.chunk_by(|one, other| one.span_context.trace_id() == other.span_context.trace_id())
    {
        println!("trace {}", of_trace[0].span_context.trace_id());
        for span in of_trace {
            let failure = match &span.status {
                Status::Error { description } => format!("  failed: {description}"),
                _ => String::new(),
            };
            println!("{:indent$}{}{failure}", "", span.name, indent = 2 + 2 * depth(span));
        }
    }
}
