use std::time::Duration;

use carrot::ConnectionOptions;

use crate::{Node, Result, eventually};

/// How long a node may take to be back in the quorum.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Three private RabbitMQ nodes that form a cluster.
#[derive(Debug)]
pub struct Cluster {
    // The first runs the name service of all, so it goes last.
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts three nodes, and waits until all take connections.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start() -> Result<Cluster> {
        let first = Node::start()?;
        let second = Node::join(&first)?;
        let third = Node::join(&first)?;
        Ok(Cluster { nodes: vec![third, second, first] })
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How to connect to any of them.
    pub fn options(&self) -> ConnectionOptions {
        let (first, others) = (&self.nodes[0], &self.nodes[1..]);
        others
            .iter()
            .fold(first.options(), |options, node| options.add_host(("127.0.0.1", node.port())))
    }

    /// A URL with all of them.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("amqp://guest:guest@{}/%2f", hosts.join(","))
    }

    /// The node that leads a quorum queue.
    ///
    /// # Errors
    /// If no node answers, or none leads it.
    pub fn leader(&self, queue: &str) -> Result<&Node> {
        let asked = self.nodes.iter().find(|node| node.is_running()).ok_or("no node is running")?;
        let listed = asked.control(["list_queues", "name", "leader", "--formatter", "json"])?;
        let listed: serde_json::Value = serde_json::from_str(&listed)?;
        let found = listed.as_array().into_iter().flatten().find(|found| found["name"] == queue);
        let name = found
            .and_then(|found| found["leader"].as_str())
            .ok_or_else(|| format!("nobody leads {queue}: {listed}"))?;
        for node in &self.nodes {
            if node.is_running() && node.name()? == name {
                return Ok(node);
            }
        }
        Err(format!("{name}, which leads {queue}, is not running").into())
    }

    /// The node that a classic queue is on.
    ///
    /// # Errors
    /// If no node answers, or there is no such queue.
    pub fn home(&self, queue: &str) -> Result<&Node> {
        let asked = self.nodes.iter().find(|node| node.is_running()).ok_or("no node is running")?;
        // No list of queues that can be parsed has it in RabbitMQ 3.10.
        let found = asked.control([
            "eval",
            &format!("{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), amqqueue:qnode(Queue)."),
        ])?;
        let name = found.trim().trim_matches('\'');
        for node in &self.nodes {
            if node.name()? == name {
                return Ok(node);
            }
        }
        Err(format!("{name}, which has {queue}, is none of the nodes").into())
    }

    /// Waits until every running node has a member of the quorum queue that answers.
    ///
    /// # Errors
    /// If that takes more than a minute.
    pub fn wait_for_members(&self, queue: &str) -> Result<()> {
        let running = self.nodes.iter().filter(|node| node.is_running()).count();
        let asked = self.nodes.iter().find(|node| node.is_running()).ok_or("no node is running")?;
        let mut seen = String::new();
        let complete = eventually(BACK_WITHIN, || {
            match asked.control(["list_queues", "name", "online", "--formatter", "json"]) {
                Ok(listed) => {
                    seen = listed;
                    serde_json::from_str::<serde_json::Value>(&seen).is_ok_and(|listed| {
                        let found = listed
                            .as_array()
                            .into_iter()
                            .flatten()
                            .find(|found| found["name"] == queue);
                        found.is_some_and(|found| {
                            found["online"].as_array().is_some_and(|online| online.len() >= running)
                        })
                    })
                }
                Err(error) => {
                    seen = error.to_string();
                    false
                }
            }
        });
        if complete {
            Ok(())
        } else {
            Err(format!("not all members of {queue} are back: {seen}").into())
        }
    }
}
