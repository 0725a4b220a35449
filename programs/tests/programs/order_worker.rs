use std::path::PathBuf;

use carrot::consume::Report;
use carrot::memory::{Broker, ManualClock};
use carrot::{Connection, ConnectionOptions, Queue, Workers};
use carrot_faults::Proxy;
use carrot_programs::chores;
use carrot_programs::order_worker::{self, Order, Shop};
use std::time::Duration;
use tempfile::TempDir;

use crate::support::{Program, Queues, SOON, eventually, ready, unique};

const PATH: &str = env!("CARGO_BIN_EXE_order_worker");

fn order(id: u32, item: &str) -> Order {
    Order { id, item: item.into() }
}

/// A worker on the memory broker, with a clock that stands still, and its database.
struct World {
    clock: ManualClock,
    broker: Broker,
    connection: Connection,
    workers: Workers,
    shop: Shop,
    _folder: TempDir,
}

impl World {
    fn new() -> World {
        let clock = ManualClock::new();
        let broker = Broker::with_clock(&clock);
        let connection = Connection::new(broker.connector());
        let (folder, path) = database();
        let (shop, opened) = (Shop::open(&path).unwrap(), Shop::open(&path).unwrap());
        let queue = order_worker::queue("orders");
        let workers = order_worker::start(&connection, &queue, opened).unwrap();
        World { clock, broker, connection, workers, shop, _folder: folder }
    }

    fn place(&self, orders: impl IntoIterator<Item = Order>) {
        order_worker::place(&self.connection, &order_worker::queue("orders"), orders).unwrap();
    }

    /// Advances the clock until the condition holds.
    #[track_caller]
    fn later(&self, what: &str, condition: impl Fn(Report) -> bool) {
        eventually(what, || {
            self.clock.advance(Duration::from_secs(1));
            condition(self.workers.report())
        });
    }

    fn parked(&self) -> usize {
        self.broker.queue("orders.failed").map_or(0, |queue| queue.ready.len())
    }
}

fn database() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.sqlite");
    (folder, path)
}

#[test]
fn order_of_sold_out_item_ships_once_after_restock() {
    let world = World::new();
    world.shop.restock("kettle", 0).unwrap();
    world.place([order(1, "kettle")]);
    world.later("the second failure", |report| report.retried >= 2);
    assert_eq!(world.shop.shipments().unwrap(), 0);
    world.shop.restock("kettle", 1).unwrap();
    world.later("the shipment", |report| report.acknowledged == 1);
    assert_eq!((world.shop.shipments().unwrap(), world.parked()), (1, 0));
}

#[test]
fn order_placed_twice_ships_once() {
    let world = World::new();
    // A third piece could not be taken from the stock.
    world.shop.restock("kettle", 2).unwrap();
    world.place([order(1, "kettle"), order(2, "kettle"), order(1, "kettle")]);
    world.broker.wait_until_handled(&world.workers, SOON).unwrap();
    assert_eq!(world.shop.shipments().unwrap(), 2);
    let report = world.workers.stop(SOON).unwrap();
    assert_eq!((report.acknowledged, report.failed), (3, 0));
}

#[test]
fn order_of_unknown_item_is_parked_at_once() {
    let world = World::new();
    world.place([order(1, "unicorn")]);
    eventually("it is parked", || world.parked() == 1);
    let parked = chores::peek(&world.connection, "orders.failed", 10).unwrap();
    let line = chores::describe(&parked[0]);
    assert!(line.contains(r#"orders  "unknown item \"unicorn\"""#), "{line}");
    assert_eq!(world.workers.report().failed, 1);
    assert_eq!(world.shop.shipments().unwrap(), 0);
}

#[test]
fn poison_message_is_parked_and_others_ship() {
    let world = World::new();
    world.shop.restock("kettle", 10).unwrap();
    let publisher = world.connection.publisher().routing_key("orders").build().unwrap();
    publisher.message().send_bytes("{ no order").unwrap();
    world.place([order(1, "kettle")]);
    eventually("the other order ships", || world.shop.shipments().unwrap() == 1);
    world.later("it is parked", |report| report.parked == 1);
    assert_eq!(world.workers.report().undecodable, 8);
}

/// The deliveries of a message to processes that end. `lose` ends the connection of one.
fn end_processes(
    queue: &Queue,
    failed: &str,
    onlooker: &Connection,
    options: &ConnectionOptions,
    lose: impl Fn(),
) -> u32 {
    let mut ends = 0;
    eventually("the order is dead-lettered", || {
        let process = carrot::connect(options).unwrap();
        let taken = process.consumer(queue).build().unwrap().fetch().unwrap();
        ends += u32::from(taken.is_some());
        lose();
        chores::count(onlooker, failed).unwrap() == 1
    });
    ends
}

/// An order that ends each process is dead-lettered, and can return once the program is repaired.
fn order_that_ends_processes(options: &ConnectionOptions, onlooker: &Connection, lose: impl Fn()) {
    let name = unique("orders");
    let failed = format!("{name}.failed");
    let names = vec![name.clone(), failed.clone()];
    let _queues = Queues { connection: onlooker.clone(), names };
    let queue = order_worker::queue(&name);
    let (_folder, path) = database();
    let shop = || Shop::open(&path).unwrap();
    shop().restock("kettle", 1).unwrap();
    // The start of a worker declares the parking queue.
    order_worker::start(onlooker, &queue, shop()).unwrap().stop(SOON).unwrap();

    order_worker::place(onlooker, &queue, [order(1, "kettle")]).unwrap();
    assert_eq!(end_processes(&queue, &failed, onlooker, options, lose), 21);
    let line = chores::describe(&chores::peek(onlooker, &failed, 1).unwrap()[0]);
    assert!(line.contains(&format!("{name}  delivery_limit")), "{line}");

    eventually("it is moved back", || chores::move_back(onlooker, &failed, 1).unwrap() == 1);
    let workers = order_worker::start(onlooker, &queue, shop()).unwrap();
    eventually("the order ships", || workers.report().acknowledged == 1);
    assert_eq!(shop().shipments().unwrap(), 1);
    workers.stop(SOON).unwrap();
    assert_eq!((ready(onlooker, &name), ready(onlooker, &failed)), (0, 0));
}

#[test]
fn order_that_ends_processes_is_dead_lettered_and_can_return() {
    let name = unique("broker");
    let broker = Broker::named(&name);
    let options = ConnectionOptions::memory_named(&*name).name("process");
    let onlooker = Connection::new(broker.connector());
    order_that_ends_processes(&options, &onlooker, || {
        let _ = broker.faults().drop_connections_named("process");
    });
}

#[test]
fn worker_terminated_ends_gracefully() {
    let (_folder, path) = database();
    let url = format!("memory://{}", unique("broker"));
    let arguments = [path.to_str().unwrap(), "orders", "300"];
    let program = Program::start(PATH, &url, &arguments, "shipping");
    let shop = Shop::open(&path).unwrap();
    eventually("an order ships", || shop.shipments().unwrap() > 0);
    let printed = program.terminate();
    let shipments = shop.shipments().unwrap();
    let last = printed.lines().last().unwrap();
    assert_eq!(last, format!("{shipments} orders handled, 0 attempts failed"));
}

on_brokers_with_quorum_queues! {
    fn order_that_ends_processes_is_dead_lettered_and_can_return_over_a_socket(url: &str) {
        let direct: ConnectionOptions = url.parse().unwrap();
        let (proxy, options) = Proxy::in_front_of(&direct).unwrap();
        let onlooker = carrot::connect(&direct).unwrap();
        order_that_ends_processes(&options, &onlooker, || proxy.reset());
    }

    fn workers_killed_and_terminated_ship_each_order_once(url: &str) {
        const ORDERS: u32 = 300;
        const KILLS: u32 = 4;
        let connection = carrot::connect(url).unwrap();
        let name = unique("orders");
        let failed = format!("{name}.failed");
        let names = vec![name.clone(), failed.clone()];
        let _queues = Queues { connection: connection.clone(), names };
        let (_folder, path) = database();
        let shop = Shop::open(&path).unwrap();
        shop.restock("kettle", ORDERS).unwrap();
        let queue = order_worker::queue(&name);
        // Each order twice: a second shipment would find no kettle.
        let orders = || (0..ORDERS).map(|id| order(id, "kettle"));
        order_worker::place(&connection, &queue, orders().chain(orders())).unwrap();

        let start = || {
            let arguments = [path.to_str().unwrap(), &name];
            Program::start(PATH, url, &arguments, "shipping")
        };
        let mut programs = vec![start(), start()];
        for kill in 1..=KILLS {
            let shipped = ORDERS * kill / (KILLS + 1);
            eventually("orders ship", || shop.shipments().unwrap() >= shipped);
            programs.remove(0).kill();
            programs.push(start());
        }
        programs.remove(0).terminate();
        eventually("all orders ship", || shop.shipments().unwrap() == ORDERS);
        eventually("all orders are acknowledged", || ready(&connection, &name) == 0);
        let printed = programs.remove(0).terminate();
        assert!(printed.contains(" 0 attempts failed"), "{printed}");
        assert_eq!(shop.shipments().unwrap(), ORDERS);
        assert_eq!((ready(&connection, &name), ready(&connection, &failed)), (0, 0));
    }
}
