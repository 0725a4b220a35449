//! The messages of celery: tasks (protocol 2) and their results, with bodies in JSON.

use carrot::Message;
use carrot::message::{Headers, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The body of a task: positional arguments, keyword arguments, and the tasks that follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TaskBody(pub(crate) Json, pub(crate) Json, pub(crate) Json);

impl TaskBody {
    /// Creates the body of a task without following tasks. `positional` is an array, and `keywords`
    /// an object.
    pub(crate) fn new(positional: Json, keywords: Json) -> TaskBody {
        TaskBody(positional, keywords, Json::Object(Default::default()))
    }
}

/// Creates the headers of a task. `id` must differ from the id of any other task.
pub(crate) fn headers(task: &str, id: &str) -> Headers {
    Headers::from([("task", task), ("id", id), ("root_id", id), ("lang", "rust")])
}

/// Returns a header of a task, such as `task`, `id`, `eta` or `parent_id`, if it is a text.
pub(crate) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.header(name).and_then(Value::as_str)
}

/// The result of a task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TaskResult {
    pub(crate) task_id: String,
    #[serde(flatten)]
    pub(crate) state: TaskState,
    #[serde(default)]
    pub(crate) traceback: Option<String>,
}

/// The state of a task. A task that retries has several results, of which the last one is final.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", content = "result", rename_all = "UPPERCASE")]
pub(crate) enum TaskState {
    Started(Json),
    Retry(Json),
    Success(Json),
    Failure(PythonException),
    Revoked(PythonException),
}

/// An exception of Python.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PythonException {
    pub(crate) exc_type: String,
    /// The arguments of the exception, usually one text.
    pub(crate) exc_message: Json,
    pub(crate) exc_module: String,
}

impl PythonException {
    /// Creates an exception of a type that Python has built in, such as `ValueError`.
    pub(crate) fn new(exc_type: &str, text: impl ToString) -> PythonException {
        PythonException {
            exc_type: exc_type.into(),
            exc_message: Json::from([text.to_string()]),
            exc_module: "builtins".into(),
        }
    }
}
