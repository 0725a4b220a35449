//! Tasks of celery: Carrot sends tasks to workers of celery, and executes tasks of Python programs.
//!
//! The program plays both sides, so that it needs no Python. `CARROT_URL` or the first argument
//! names the broker. `docs/interop.md` shows the other sides in Python.

mod protocol;

use std::error::Error;
use std::time::Duration;

use carrot::call::RemoteError;
use carrot::{Connection, Message, Queue};
use serde_json::{Value, json};

use protocol::{PythonException, TaskBody, TaskResult, TaskState, header, headers};

const QUEUE: &str = "example-celery";

/// The most that a task may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The task `shop.add` of a worker: `add(x, y, discount=0)`.
fn add(positional: &Value, keywords: &Value) -> Result<i64, PythonException> {
    let (x, y): (i64, i64) = serde_json::from_value(positional.clone())
        .map_err(|error| PythonException::new("TypeError", error))?;
    let sum = x + y - keywords["discount"].as_i64().unwrap_or_default();
    if sum < 0 { Err(PythonException::new("ValueError", format!("{sum} < 0"))) } else { Ok(sum) }
}

/// Executes a task, as a worker of celery does.
fn execute(task: TaskBody, message: &Message) -> Result<TaskResult, RemoteError> {
    let TaskBody(positional, keywords, _) = task;
    let name = header(message, "task").unwrap_or_default();
    let result = match name {
        "shop.add" => add(&positional, &keywords),
        _ => Err(PythonException::new("NotImplementedError", name)),
    };
    Ok(TaskResult {
        task_id: header(message, "id").unwrap_or_default().into(),
        state: result.map_or_else(TaskState::Failure, |sum| TaskState::Success(sum.into())),
        traceback: None,
    })
}

/// Sends tasks to workers, and waits for their results.
fn send(connection: &Connection) -> Result<(), Box<dyn Error>> {
    let celery = connection.caller(QUEUE).build()?;
    for (id, task, arguments) in [
        ("1", "shop.add", TaskBody::new(json!([40, 3]), json!({"discount": 1}))),
        ("2", "shop.add", TaskBody::new(json!([1, 2]), json!({"discount": 4}))),
        ("3", "shop.add", TaskBody::new(json!([1]), json!({}))),
        ("4", "shop.ship", TaskBody::new(json!([]), json!({}))),
    ] {
        let request = celery.request().headers(headers(task, id));
        let result: TaskResult = request.call(&arguments, TIMEOUT)?;
        match result.state {
            TaskState::Success(sum) => println!("task {}: {sum}", result.task_id),
            TaskState::Failure(exception) => {
                let PythonException { exc_type, exc_message, .. } = exception;
                println!("task {}: {exc_type}{exc_message}", result.task_id);
            }
            other => println!("task {}: {other:?}", result.task_id),
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().nth(1).or_else(|| std::env::var("CARROT_URL").ok());
    let connection = carrot::connect(given.unwrap_or_else(|| "memory://".into()))?;

    let queue = Queue::new(QUEUE).auto_delete();
    let workers = connection.consumer(&queue).prefetch(2).build()?.serve_messages(2, execute)?;
    send(&connection)?;
    let report = workers.stop(TIMEOUT)?;
    println!("{} tasks executed", report.acknowledged);
    connection.close()?;
    Ok(())
}
