//! Problems in the answers of a management API, and what to do about them.

use serde_json::Value;

use crate::inspection::text_of;
use crate::printing::counted;

/// The share of file descriptors in use above which a node is reported.
const MOST_DESCRIPTORS: f64 = 0.9;
/// The most problems that are named.
const MOST_NAMED: usize = 5;

/// The tags of a user, which old releases join with commas.
pub(super) fn tags_of(user: &Value) -> String {
    match user.get("tags") {
        Some(Value::Array(tags)) => {
            tags.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Some(Value::String(tags)) => tags.clone(),
        _ => "no tags".into(),
    }
}

/// Returns what is wrong with a node, and what to do.
pub(super) fn problem_of_node(node: &Value) -> Option<(String, &'static str)> {
    let is = |name: &str, truth| node.get(name).and_then(Value::as_bool) == Some(truth);
    let number = |name: &str| node.get(name).and_then(Value::as_u64);
    let megabytes = |name: &str| {
        number(name).map_or_else(|| "an unknown amount".into(), |b| format!("{} MB", b / 1_000_000))
    };
    let name = text_of(node, "name");
    if is("running", false) {
        return Some((format!("{name} does not run"), "start the node: see its log"));
    }
    if is("mem_alarm", true) {
        let (used, limit) = (megabytes("mem_used"), megabytes("mem_limit"));
        return Some((
            format!("{name} has a memory alarm, which blocks publishers: {used} of {limit}"),
            "have messages consumed, or raise vm_memory_high_watermark; rabbitmqctl status \
             shows what takes the memory",
        ));
    }
    if is("disk_free_alarm", true) {
        let (free, limit) = (megabytes("disk_free"), megabytes("disk_free_limit"));
        return Some((
            format!("{name} has a disk alarm, which blocks publishers: {free} free of {limit}"),
            "free disk space on the machine of the node, or lower disk_free_limit",
        ));
    }
    if node.get("partitions").and_then(Value::as_array).is_some_and(|nodes| !nodes.is_empty()) {
        return Some((
            format!("{name} is partitioned from other nodes"),
            "restart the nodes of the smaller part; rabbitmqctl cluster_status",
        ));
    }
    let (used, total) = (number("fd_used")?, number("fd_total").filter(|total| *total > 0)?);
    (used as f64 > MOST_DESCRIPTORS * total as f64).then(|| {
        (
            format!("{name} has {used} of {total} file descriptors in use"),
            "raise the limit of open files of the node, or close connections",
        )
    })
}

/// Returns what is wrong with a queue.
pub(super) fn problem_of_queue(queue: &Value) -> Option<String> {
    let state = text_of(queue, "state");
    let is_down = matches!(state, "down" | "crashed" | "stopped" | "minority" | "terminated");
    is_down.then(|| format!("queue {:?} is {state}", text_of(queue, "name")))
}

pub(super) fn summary_of_queues(queues: &[Value]) -> String {
    let number = |queue: &Value, name: &str| queue.get(name).and_then(Value::as_u64).unwrap_or(0);
    let sum =
        |name: &str| queues.iter().map(|queue| number(queue, name)).fold(0, u64::saturating_add);
    let waiting = queues
        .iter()
        .filter(|queue| number(queue, "messages_ready") > 0 && number(queue, "consumers") == 0)
        .count();
    let summary = format!(
        "{} of the vhost: {} ready, {} unacknowledged",
        counted(queues.len() as u64, "queue"),
        sum("messages_ready"),
        sum("messages_unacknowledged")
    );
    match waiting {
        0 => summary,
        waiting => format!("{summary}; {waiting} with ready messages and no consumer"),
    }
}

/// Joins the first problems.
pub(super) fn named<T: AsRef<str>>(problems: impl ExactSizeIterator<Item = T>) -> String {
    let more = problems.len().saturating_sub(MOST_NAMED);
    let text: Vec<_> = problems.take(MOST_NAMED).map(|text| text.as_ref().to_string()).collect();
    match more {
        0 => text.join("; "),
        more => format!("{}; {more} more", text.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problem_of_a_node_is_named() {
        let fine = json!({"name": "a@b", "running": true, "mem_alarm": false,
            "disk_free_alarm": false, "fd_used": 90, "fd_total": 100, "partitions": []});
        assert_eq!(problem_of_node(&fine), None);
        for (field, value, text) in [
            ("running", json!(false), "a@b does not run"),
            ("mem_alarm", json!(true), "a@b has a memory alarm"),
            ("disk_free_alarm", json!(true), "a@b has a disk alarm"),
            ("partitions", json!(["c@d"]), "a@b is partitioned"),
            ("fd_used", json!(91), "a@b has 91 of 100"),
        ] {
            let mut node = fine.clone();
            node[field] = value;
            let problem = problem_of_node(&node);
            assert!(problem.is_some_and(|(problem, _)| problem.starts_with(text)), "{text}");
        }
        // Releases without the number of descriptors, and a node that says nothing.
        assert_eq!(problem_of_node(&json!({"fd_used": 9, "fd_total": 0})), None);
        assert_eq!(problem_of_node(&json!(7)), None);
    }

    #[test]
    fn queues_are_summed_up() {
        let queue = |ready: u64, consumers: u64, state: &str| {
            json!({"name": "jobs", "messages_ready": ready, "messages_unacknowledged": 1,
                "consumers": consumers, "state": state})
        };
        let queues = [queue(u64::MAX, 0, "running"), queue(1, 1, "idle"), queue(0, 0, "flow")];
        assert!(queues.iter().all(|queue| problem_of_queue(queue).is_none()));
        assert_eq!(
            summary_of_queues(&queues),
            format!(
                "3 queues of the vhost: {} ready, 3 unacknowledged; 1 with ready messages and no \
                 consumer",
                u64::MAX
            )
        );
        let problem = problem_of_queue(&queue(0, 0, "down"));
        assert_eq!(problem.as_deref(), Some("queue \"jobs\" is down"));
        assert_eq!(named(["x"; 7].iter()), "x; x; x; x; x; 2 more");
    }
}
