use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use carrot::{Error, Queue};
use carrot_faults::{Cluster, Node, eventually, unique};

use crate::small::alone;

const SOON: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn a_node_does_what_it_is_told() {
    let _alone = alone();
    let node = Node::start().unwrap();
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
fn written_declarations_outlive_a_kill() {
    let _alone = alone();
    let node = Node::start().unwrap();
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

/// Started by the test below, as a process to be killed.
#[test]
#[ignore = "part of another test"]
fn owns_a_node_until_it_is_killed() {
    if std::env::var_os("CARROT_FAULTS_OWNER").is_some() {
        let node = Node::start().unwrap();
        println!("\nnode {} {}", node.port(), node.file("").display());
        loop {
            std::thread::park();
        }
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn a_node_ends_with_its_owner() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let _alone = alone();
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner.args([
        "--exact",
        "nodes::owns_a_node_until_it_is_killed",
        "--include-ignored",
        "--nocapture",
    ]);
    let mut owner = owner.env("CARROT_FAULTS_OWNER", "1").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("node ")).expect("the owner starts a node");
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
fn a_cluster_elects_another_leader() {
    let _alone = alone();
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
