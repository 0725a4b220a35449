//! Tasks of celery: executed by its worker for Carrot, and by Carrot for its client.

#[path = "../../../examples/celery/protocol.rs"]
mod protocol;

use std::sync::mpsc::channel;

use carrot::message::{Headers, Value};
use carrot::topology::DeleteIf;
use carrot::{Message, Queue};
use serde_json::json;

use crate::support::{Broker, SOON, receive, unique};
use protocol::{PythonException, TaskBody, TaskResult, TaskState, header, headers};

on_both_brokers! {
    celery_executes_tasks_of_carrot,
    task_that_retries_sends_each_result_to_the_queue_of_its_sender,
    carrot_executes_tasks_of_celery,
}

fn celery_executes_tasks_of_carrot(broker: &Broker) {
    let queue = unique("celery-worker");
    let worker = broker.python("celery_worker", &[&queue]);
    worker.expect("ready");
    let connection = broker.connect();
    let celery = connection.caller(&*queue).build().unwrap();
    let execute = |task, id, body| -> TaskResult {
        celery.request().headers(headers(task, id)).call(&body, SOON).unwrap()
    };

    let result = execute("shop.add", "one", TaskBody::new(json!([40, 3]), json!({"discount": 1})));
    assert_eq!((&*result.task_id, result.traceback), ("one", None));
    assert_eq!(result.state, TaskState::Success(json!({"sum": 42})));

    let result = execute("shop.fail", "two", TaskBody::new(json!(["refused"]), json!({})));
    let TaskState::Failure(exception) = result.state else { panic!("{result:?}") };
    assert_eq!(exception.exc_type, "ValueError");
    assert_eq!(exception.exc_message, json!(["refused", 7]));
    assert!(result.traceback.unwrap().contains("in fail"));

    let result = execute("shop.add", "three", TaskBody::new(json!([1]), json!({})));
    let TaskState::Failure(exception) = result.state else { panic!("{result:?}") };
    assert_eq!(exception.exc_type, "TypeError");
    drop(worker);
    connection.delete_queue(&queue, DeleteIf::ALWAYS).unwrap();
}

fn task_that_retries_sends_each_result_to_the_queue_of_its_sender(broker: &Broker) {
    let queue = unique("celery-retry");
    let worker = broker.python("celery_worker", &[&queue]);
    worker.expect("ready");
    let connection = broker.connect();
    let results = connection.consumer(Queue::server_named().exclusive()).build().unwrap();
    let publisher = connection.publisher().routing_key(&*queue).build().unwrap();
    publisher
        .message()
        .headers(headers("shop.retry", "again"))
        .reply_to(results.queue().unwrap())
        .correlation_id("request")
        .send(&TaskBody::new(json!([]), json!({})))
        .unwrap();

    let results: Vec<(Message, TaskResult)> = receive(&results, 2)
        .into_iter()
        .map(|message| {
            let result = message.decode().unwrap();
            (message, result)
        })
        .collect();
    let [(first_message, first), (last_message, last)] = &results[..] else { unreachable!() };
    assert_eq!(first_message.properties().correlation_id(), Some("request"));
    assert!(matches!(first.state, TaskState::Retry(_)), "{first:?}");
    assert_eq!(last_message.properties().correlation_id(), Some("again"));
    assert_eq!(last.state, TaskState::Success(json!(1)));
    assert_eq!((&*first.task_id, &*last.task_id), ("again", "again"));
    drop(worker);
    connection.delete_queue(&queue, DeleteIf::ALWAYS).unwrap();
}

fn add(task: TaskBody, message: &Message) -> Result<TaskResult, serde_json::Error> {
    let TaskBody(positional, keywords, _) = task;
    let (x, y): (i64, i64) = serde_json::from_value(positional)?;
    let state = match x + y - keywords["discount"].as_i64().unwrap_or_default() {
        sum @ 0.. => TaskState::Success(json!(sum)),
        sum => TaskState::Failure(PythonException::new("ValueError", format!("{sum} < 0"))),
    };
    let task_id = header(message, "id").unwrap_or_default().into();
    Ok(TaskResult { task_id, state, traceback: None })
}

fn carrot_executes_tasks_of_celery(broker: &Broker) {
    let queue = unique("celery-client");
    let connection = broker.connect();
    let consumer = connection.consumer(&*queue).prefetch(1).build().unwrap();
    let client = broker.python("celery_client", &[&queue]);

    let late = receive(&consumer, 1).remove(0);
    let TaskBody(positional, keywords, following) = late.decode().unwrap();
    assert_eq!((positional, keywords), (json!([1, 2]), json!({})));
    let none = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
    assert_eq!(following, none);
    assert_eq!(header(&late, "task"), Some("shop.add"));
    assert_eq!(header(&late, "id"), Some("late"));
    assert_eq!(header(&late, "lang"), Some("py"));
    assert_eq!(header(&late, "root_id"), Some("late"));
    assert_eq!(late.header("parent_id"), Some(&Value::Void));
    assert_eq!(header(&late, "argsrepr"), Some("(1, 2)"));
    assert_eq!(header(&late, "kwargsrepr"), Some("{}"));
    assert_eq!(late.header("retries"), Some(&Value::I32(2)));
    assert!(header(&late, "eta").unwrap() < header(&late, "expires").unwrap());
    assert_eq!(late.header("timelimit"), Some(&Value::Array(vec![Value::Void, Value::Void])));
    assert_eq!(late.header("stamps"), Some(&Value::Table(Headers::new())));
    assert_eq!(late.properties().correlation_id(), Some("late"));
    late.requeue().unwrap();

    let (seen, ids) = channel();
    let workers = consumer
        .serve_messages(1, move |task: TaskBody, message| {
            seen.send(header(message, "id").map(String::from)).unwrap();
            add(task, message)
        })
        .unwrap();
    client.expect("42");
    client.expect("21");
    client.expect("ValueError: -1 < 0");
    client.expect("ContentDisallowed");
    client.expect("3");
    assert_eq!(ids.recv_timeout(SOON).unwrap().as_deref(), Some("late"));
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.acknowledged, report.failed), (5, 1));
    connection.delete_exchange(&queue, DeleteIf::ALWAYS).unwrap();
    connection.delete_queue(&queue, DeleteIf::ALWAYS).unwrap();
}
