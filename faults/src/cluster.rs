use std::time::Duration;

use carrot::ConnectionOptions;

use crate::error::Result;
use crate::node::BrokerNode;
use crate::wait::eventually;

/// The time in which a node has to be back in the quorum.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Three private RabbitMQ nodes that form a cluster.
#[derive(Debug)]
pub struct Cluster {
    // The last node runs the name service of all three, so it is dropped last.
    nodes: Vec<BrokerNode>,
}

impl Cluster {
    /// Starts three nodes, and blocks until all of them accept connections.
    ///
    /// # Errors
    /// The errors of [`BrokerNode::start`].
    pub fn start() -> Result<Cluster> {
        let first = BrokerNode::start()?;
        let second = BrokerNode::join(&first)?;
        let third = BrokerNode::join(&first)?;
        Ok(Cluster { nodes: vec![third, second, first] })
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &[BrokerNode] {
        &self.nodes
    }

    /// Returns the options to connect to any of the nodes.
    pub fn options(&self) -> ConnectionOptions {
        let (first, others) = (&self.nodes[0], &self.nodes[1..]);
        others
            .iter()
            .fold(first.options(), |options, node| options.add_host(("127.0.0.1", node.port())))
    }

    /// Returns a URL with all of the nodes.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("amqp://guest:guest@{}/%2f", hosts.join(","))
    }

    /// Returns the node with the leader of a quorum queue.
    ///
    /// # Errors
    /// If no node responds, or the queue has no leader.
    pub fn leader(&self, queue: &str) -> Result<&BrokerNode> {
        let asked = self.nodes.iter().find(|node| node.is_running()).ok_or("no node is running")?;
        let listed = asked.control(["list_queues", "name", "leader", "--formatter", "json"])?;
        let listed: serde_json::Value = serde_json::from_str(&listed)?;
        let found = listed.as_array().into_iter().flatten().find(|found| found["name"] == queue);
        let name = found
            .and_then(|found| found["leader"].as_str())
            .ok_or_else(|| format!("queue \"{queue}\" has no leader: {listed}"))?;
        for node in &self.nodes {
            if node.is_running() && node.name()? == name {
                return Ok(node);
            }
        }
        Err(format!("the leader of queue \"{queue}\" is not running: {name}").into())
    }

    /// Returns the node of a classic queue.
    ///
    /// # Errors
    /// If no node responds, or the queue does not exist.
    pub fn home(&self, queue: &str) -> Result<&BrokerNode> {
        let asked = self.nodes.iter().find(|node| node.is_running()).ok_or("no node is running")?;
        // `list_queues` of RabbitMQ 3.10 does not print the node in a form that can be parsed.
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
        Err(format!("queue \"{queue}\" is on an unknown node: {name}").into())
    }

    /// Blocks until every running node has an online member of the quorum queue.
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
            Err(format!("members of queue \"{queue}\" are offline: {seen}").into())
        }
    }
}
