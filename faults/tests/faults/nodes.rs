use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use carrot::{Error, Queue};
use carrot_faults::{BrokerNode, Cluster, eventually, unique};

use crate::small::exclusive;

const SOON: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn node_controls_take_effect() {
    let _exclusive = exclusive();
    let node = BrokerNode::start().unwrap();
    let queue = unique("node");
    let connection = carrot::connect(node.options()).unwrap();
    connection.publisher().routing_key(&*queue).build().unwrap();
    connection.declare_queue(&*queue).unwrap();
    connection.publisher().routing_key(&*queue).build().unwrap().send("kept").unwrap();
    assert_eq!(node.messages(&queue).unwrap(), (1, 0));

    let (port, tls_port) = (node.port(), node.tls_port());
    node.kill().unwrap();
    assert!(!node.is_running());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    node.restart().unwrap();
    assert!(node.is_running());
    assert_eq!((node.port(), node.tls_port()), (port, tls_port));
    assert_eq!(node.messages(&queue).unwrap(), (1, 0));

    node.freeze().unwrap();
    let quick = node.options().connect_timeout(Duration::from_millis(500));
    assert!(matches!(carrot::connect(&quick), Err(Error::Timeout { .. } | Error::Connect { .. })));
    assert!(node.is_running());
    node.thaw().unwrap();
    assert!(eventually(SOON, || carrot::connect(&quick).is_ok()));

    node.alarm(true).unwrap();
    let publisher = carrot::connect(node.options())
        .unwrap()
        .publisher()
        .routing_key(&*queue)
        .send_timeout(Duration::from_secs(1))
        .build();
    assert!(matches!(publisher.unwrap().send("blocked"), Err(Error::Blocked { .. })));
    node.alarm(false).unwrap();
    carrot::connect(node.options())
        .unwrap()
        .publisher()
        .routing_key(&*queue)
        .build()
        .unwrap()
        .send("free")
        .unwrap();

    node.stop().unwrap();
    assert!(!node.is_running());
    node.restart().unwrap();
    carrot::connect(node.tls_options()).unwrap();

    let folder = node.file("");
    drop(node);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!folder.exists());
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn written_declarations_after_a_kill_exist() {
    let _exclusive = exclusive();
    let node = BrokerNode::start().unwrap();
    let queues = [Queue::new(unique("classic")), Queue::new(unique("quorum")).quorum()];
    let connection = carrot::connect(node.options()).unwrap();
    queues.iter().for_each(|queue| drop(connection.declare_queue(queue).unwrap()));
    node.write_declarations().unwrap();
    for queue in &queues {
        connection
            .publisher()
            .routing_key(&*queue.name)
            .build()
            .unwrap()
            .message()
            .mandatory()
            .send("kept")
            .unwrap();
    }
    node.kill().unwrap();
    node.restart().unwrap();
    let connection = carrot::connect(node.options()).unwrap();
    for queue in &queues {
        let consumer = connection.consumer(Queue::existing(&*queue.name)).build().unwrap();
        let message = consumer.messages().unwrap().timeout(SOON).next().unwrap().unwrap();
        assert_eq!(message.decode::<String>().unwrap(), "kept");
        message.ack().unwrap();
    }
}

/// A node that is not of the machine's package runs in a root with mounts of its own.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn killed_node_leaves_no_mount() {
    let _exclusive = exclusive();
    let node = BrokerNode::start().unwrap();
    let folder = node.file("");
    let root = std::fs::read_to_string(node.file("programs")).unwrap();
    let is_in_a_root = !root.starts_with("/ ");
    assert_eq!(processes_with_mounts_of(&folder).is_empty(), !is_in_a_root);
    assert!(!mounts("self").contains("rabbitmq-"), "{}", mounts("self"));

    node.kill().unwrap();
    drop(node);
    let left = || processes_with_mounts_of(&folder);
    assert!(eventually(SOON, || left().is_empty()), "{:?} have mounts of the node", left());
}

/// Returns the processes whose mount namespace has a mount at the folder of a node.
#[cfg(target_os = "linux")]
fn processes_with_mounts_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let processes = std::fs::read_dir("/proc").unwrap();
    let names = processes.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.parse::<u32>().is_ok() && mounts(name).contains(folder)).collect()
}

/// Returns the mounts that a process sees; nothing if the process has ended.
#[cfg(target_os = "linux")]
fn mounts(process: &str) -> String {
    std::fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default()
}

/// The test below starts this test as a process, and kills it.
#[test]
#[ignore = "part of another test"]
fn node_owner_helper_runs_until_killed() {
    if std::env::var_os("CARROT_FAULTS_OWNER").is_some() {
        let node = BrokerNode::start().unwrap();
        println!("\nnode {} {}", node.port(), node.file("").display());
        loop {
            std::thread::park();
        }
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn node_of_a_killed_owner_ends() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let _exclusive = exclusive();
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner.args([
        "--exact",
        "nodes::node_owner_helper_runs_until_killed",
        "--include-ignored",
        "--nocapture",
    ]);
    let mut owner = owner.env("CARROT_FAULTS_OWNER", "1").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line =
        lines.find(|line| line.starts_with("node ")).expect("the owner did not start a node");
    let (port, folder) = line["node ".len()..].split_once(' ').unwrap();
    let port: u16 = port.parse().unwrap();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(eventually(SOON, || TcpStream::connect(("127.0.0.1", port)).is_err()
        && !std::path::Path::new(folder).exists()));
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn cluster_after_a_kill_elects_another_leader() {
    let _exclusive = exclusive();
    let cluster = Cluster::start().unwrap();
    let queue = unique("quorum");
    let connection = carrot::connect(cluster.options()).unwrap();
    connection.declare_queue(Queue::new(&*queue).quorum()).unwrap();
    cluster.wait_for_members(&queue).unwrap();
    let old = cluster.leader(&queue).unwrap();
    old.kill().unwrap();
    let another = || cluster.leader(&queue).is_ok_and(|leader| leader.port() != old.port());
    assert!(eventually(Duration::from_secs(30), another));
    old.restart().unwrap();
    cluster.wait_for_members(&queue).unwrap();
    assert_eq!(cluster.nodes().iter().filter(|node| node.is_running()).count(), 3);
    carrot::connect(cluster.url()).unwrap();
}
