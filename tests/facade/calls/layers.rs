//! Layers around calls: around the sending of requests and answers, and around their handling.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use carrot::layers::{
    HandleLayer, Handled, Next, OutgoingMessage, PublishLayer, SentMessage, SettledMessage,
    TraceContext, TraceParent, Treatment,
};
use carrot::{Error, Message};

use crate::support::{SOON, eventually, queue};

/// Marks each message, and notes its outcome.
#[derive(Default)]
struct Marks {
    before: AtomicU32,
    confirmed: AtomicU32,
    failed: AtomicU32,
}

impl PublishLayer for Marks {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        self.before.fetch_add(1, Ordering::SeqCst);
        message.set_header("mark", "layer");
        match message.header("refuse") {
            Some(_) => Err(Error::layer("refused by the layer")),
            None => Ok(()),
        }
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        let counter = if message.is_confirmed() { &self.confirmed } else { &self.failed };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// Treats requests as their header says.
#[derive(Default)]
struct Obeys {
    treatments: Mutex<Vec<Treatment>>,
}

impl HandleLayer for Obeys {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        match message.header("order").and_then(|order| order.as_str()) {
            Some("panic before") => panic!("before the handler"),
            Some("panic after") => {
                let _ = next.run(message);
                panic!("after the handler")
            }
            Some("fail") => Handled::failed("not today"),
            _ => next.run(message),
        }
    }

    fn after_settle(&self, message: &SettledMessage<'_>) {
        self.treatments.lock().unwrap().push(message.treatment());
    }
}

/// Refuses the messages whose body has this text.
struct RefusesBody(&'static str);

impl PublishLayer for RefusesBody {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        if message.body() == self.0.as_bytes() {
            return Err(Error::layer("not this body"));
        }
        Ok(())
    }
}

/// Takes all the time of each message.
struct Waits;

impl PublishLayer for Waits {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        let deadline = message.deadline().unwrap();
        while Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

on_both_backends! {
    fn answer_that_a_layer_refuses_is_an_error_for_the_caller(connection: &Connection) {
        let layered = connection.clone().with_publish_layer(RefusesBody("2"));
        let queue = queue();
        let server = layered.consumer(&queue).build().unwrap();
        let workers = server.serve(1, |number: u32| Ok::<_, String>(number + 1)).unwrap();
        let caller = connection.caller(&*queue.name).build().unwrap();
        let error = caller.call::<_, u32>(&1, SOON).unwrap_err();
        let Error::Remote { kind, message } = &error else { panic!("{error:?}") };
        assert_eq!((kind.as_str(), message.as_str()), ("encode", "not this body"));
        assert_eq!(caller.call::<_, u32>(&2, SOON).unwrap(), 3);
        workers.stop(SOON).unwrap();
    }

    fn request_that_a_layer_delays_beyond_the_deadline_is_not_sent(connection: &Connection) {
        let outcomes = Arc::new(Marks::default());
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let caller = connection
            .caller(&*queue.name)
            .layer(Arc::clone(&outcomes))
            .layer(Waits)
            .build()
            .unwrap();
        let late = caller.call::<_, u32>(&1, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(late, Error::Timeout { .. }), "{late:?}");
        assert!(late.to_string().contains("layers"), "{late}");
        assert_eq!(outcomes.failed.load(Ordering::SeqCst), 1);
        assert_eq!(outcomes.confirmed.load(Ordering::SeqCst), 0);
    }

    fn requests_and_answers_pass_the_publish_layers(connection: &Connection) {
        let marks = Arc::new(Marks::default());
        let layered = connection.clone().with_publish_layer(Arc::clone(&marks));
        let queue = queue();
        let server = layered.consumer(&queue).build().unwrap();
        let workers = server
            .serve_messages(1, |_: u32, request: &Message| {
                let mark = request.header("mark").and_then(|mark| mark.as_str());
                mark.map(str::to_string).ok_or("a request without a mark")
            })
            .unwrap();
        let caller = layered.caller(&*queue.name).build().unwrap();

        let answer = caller.call_message(&7, SOON).unwrap();
        assert_eq!(answer.decode::<String>().unwrap(), "layer");
        assert_eq!(answer.properties().header("mark").and_then(|mark| mark.as_str()), Some("layer"));
        eventually("the answer's confirm", || marks.confirmed.load(Ordering::SeqCst) == 2);

        let refused = caller.request().header("refuse", true).call::<_, String>(&7, SOON);
        assert!(matches!(refused, Err(Error::Layer { .. })), "{refused:?}");
        let nowhere = caller.request().routing_key("nowhere").call::<_, String>(&7, SOON);
        assert!(matches!(nowhere, Err(Error::Unroutable { .. })), "{nowhere:?}");
        assert_eq!(marks.before.load(Ordering::SeqCst), 4);
        assert_eq!(marks.failed.load(Ordering::SeqCst), 1);
        workers.stop(SOON).unwrap();
    }

    fn handle_layers_that_fail_are_answered(connection: &Connection) {
        let obeys = Arc::new(Obeys::default());
        let queue = queue();
        let server = connection.consumer(&queue).layer(Arc::clone(&obeys)).build().unwrap();
        let workers = server.serve(1, |number: u32| Ok::<_, String>(number + 1)).unwrap();
        let caller = connection.caller(&*queue.name).build().unwrap();
        let call = |order: &str| caller.request().header("order", order).call::<_, u32>(&1, SOON);

        for (order, words) in [("panic before", "before the handler"), ("fail", "not today")] {
            let error = call(order).unwrap_err();
            let Error::Remote { kind, message } = &error else { panic!("{error:?}") };
            assert_eq!(kind, "handler");
            assert!(message.contains(words), "{message}");
        }
        // The answer of the handler was sent before the layer failed.
        assert_eq!(call("panic after").unwrap(), 2);
        assert_eq!(call("none").unwrap(), 2);
        eventually("all requests are acknowledged", || workers.report().acknowledged == 4);
        let report = workers.stop(SOON).unwrap();
        assert_eq!(report.failed, 3, "{report:?}");
        assert_eq!(*obeys.treatments.lock().unwrap(), [Treatment::Acknowledged; 4]);
    }

    fn trace_continues_through_a_call(connection: &Connection) {
        let traced = connection
            .clone()
            .with_publish_layer(TraceContext::new())
            .with_handle_layer(TraceContext::new());
        let queue = queue();
        let server = traced.consumer(&queue).build().unwrap();
        let workers = server
            .serve_messages(1, |_: u32, request: &Message| {
                TraceParent::of(request).map(|parent| parent.to_string()).ok_or("no trace")
            })
            .unwrap();
        let caller = traced.caller(&*queue.name).build().unwrap();
        let answer = caller.call_message(&1, SOON).unwrap();
        let of_request: String = answer.decode().unwrap();
        let of_answer = answer.properties().header("traceparent").unwrap().as_str().unwrap();
        // Version, trace and span are separated by dashes.
        let parts = |text: &str| text.split('-').map(str::to_string).collect::<Vec<_>>();
        assert_eq!(parts(&of_request)[1], parts(of_answer)[1], "one trace");
        assert_ne!(parts(&of_request)[2], parts(of_answer)[2], "two spans");
        workers.stop(SOON).unwrap();
    }
}
