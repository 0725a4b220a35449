use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carrot_core::{Binding, Destination, Exchange, Headers, Value};

use crate::{
    BindingTarget, ExchangeBehaviour, NamedQueue, NumberMatch, RoutedQueue, RoutingError,
    RoutingTable, standard_exchanges,
};

fn table(
    exchanges: impl IntoIterator<Item = Exchange>,
    bindings: impl IntoIterator<Item = Binding>,
) -> RoutingTable<NamedQueue> {
    RoutingTable::from_definitions(NumberMatch::ByValue, exchanges, bindings).expect("a table")
}

/// Returns the sorted names of the queues that a message reaches, separated by blanks.
fn reached(
    table: &RoutingTable<NamedQueue>,
    exchange: &str,
    key: &str,
    headers: Option<&Headers>,
) -> String {
    let routes = table.routes(exchange, key, headers).expect("the exchange exists");
    let mut names: Vec<&str> = routes.iter().map(|queue| &**queue.name()).collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn message_reaches_the_queues_that_the_type_of_its_exchange_selects() {
    let bindings = ["amq.direct", "amq.fanout", "amq.topic", "amq.match"].map(|exchange| {
        [
            Binding::queue(exchange, "one", "a.b"),
            Binding::queue(exchange, "two", "a.*").argument("kind", "bill"),
            Binding::queue(exchange, "three", "c"),
        ]
    });
    let table = table(standard_exchanges(), bindings.into_iter().flatten());
    assert_eq!(reached(&table, "amq.direct", "a.b", None), "one");
    assert_eq!(reached(&table, "amq.fanout", "a.b", None), "one three two");
    assert_eq!(reached(&table, "amq.topic", "a.b", None), "one two");
    assert_eq!(reached(&table, "amq.match", "a.b", None), "one three");
    let headers = Headers::from([("kind", "bill")]);
    assert_eq!(reached(&table, "amq.match", "a.b", Some(&headers)), "one three two");
    assert_eq!(reached(&table, "", "two", None), "two");
    assert_eq!(reached(&table, "", "missing", None), "");
    assert!(table.routes("missing", "a.b", None).is_none());
}

#[test]
fn message_bound_several_times_reaches_each_queue_once() {
    let bindings = ["q1", "q2", "q3"].map(|queue| {
        ["#", "a.#", "*.b"].map(|pattern| Binding::queue("amq.topic", queue, pattern))
    });
    let table = table(standard_exchanges(), bindings.into_iter().flatten());
    assert_eq!(reached(&table, "amq.topic", "a.b", None), "q1 q2 q3");
    let routes = table.routes("amq.topic", "a.b", None).expect("routes");
    let (others, last) = routes.split_last().expect("queues");
    let mut all: Vec<u64> = others.chain([last]).map(|queue| queue.id()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3);
}

#[test]
fn message_in_a_cycle_of_exchanges_visits_each_once() {
    let table = table(
        ["a", "b", "c"].map(Exchange::fanout),
        [
            Binding::exchange("a", "b", ""),
            Binding::exchange("b", "c", ""),
            Binding::exchange("c", "a", ""),
            Binding::exchange("b", "b", ""),
            Binding::queue("c", "q", ""),
            Binding::queue("a", "r", ""),
        ],
    );
    for exchange in ["a", "b", "c"] {
        assert_eq!(reached(&table, exchange, "", None), "q r", "{exchange}");
    }
}

#[test]
fn message_without_a_match_goes_to_the_alternate_exchange() {
    let table = table(
        [
            Exchange::direct("first").alternate_exchange("second"),
            Exchange::direct("second").alternate_exchange("first"),
            Exchange::direct("third").alternate_exchange("missing"),
        ],
        [
            Binding::queue("first", "one", "a"),
            Binding::queue("second", "two", "b"),
            Binding::queue("first", "one", "both"),
            Binding::queue("second", "two", "both"),
        ],
    );
    assert_eq!(reached(&table, "first", "a", None), "one");
    assert_eq!(reached(&table, "first", "both", None), "one");
    assert_eq!(reached(&table, "first", "b", None), "two");
    assert_eq!(reached(&table, "second", "a", None), "one");
    assert_eq!(reached(&table, "first", "c", None), "");
    assert_eq!(reached(&table, "third", "a", None), "");
}

#[test]
fn message_with_copies_is_routed_by_all_keys() {
    let bindings = ["a", "b", "c"].map(|key| Binding::queue("x", key, key));
    let table = table([Exchange::direct("x")], bindings);
    let headers = Headers::from([
        ("CC", Value::from(vec![Value::from("b"), Value::I32(7)])),
        ("BCC", Value::from(vec![Value::from("c")])),
    ]);
    assert_eq!(reached(&table, "x", "a", Some(&headers)), "a b c");
    assert_eq!(reached(&table, "", "a", Some(&headers)), "a b c");
    let no_list = Headers::from([("CC", "b")]);
    assert_eq!(reached(&table, "x", "a", Some(&no_list)), "a");
}

#[test]
fn binding_removed_routes_no_more() {
    for (exchange, key) in
        [("amq.direct", "k"), ("amq.fanout", ""), ("amq.topic", "*"), ("amq.match", "")]
    {
        let plain = Binding::queue(exchange, "q", key);
        let other = plain.clone().argument("x-other", 1);
        let mut table = table(standard_exchanges(), [plain.clone(), other.clone(), plain.clone()]);
        assert!(table.has_binding(&plain) && table.has_binding(&other), "{exchange}");
        assert_eq!(table.exchange(exchange).expect("exists").bindings().count(), 2, "{exchange}");

        assert!(table.unbind(&plain), "{exchange}");
        assert!(!table.unbind(&plain) && !table.has_binding(&plain), "{exchange}");
        assert_eq!(reached(&table, exchange, "k", None), "q", "{exchange}");
        assert!(table.unbind(&other), "{exchange}");
        assert_eq!(reached(&table, exchange, "k", None), "", "{exchange}");
        assert!(!table.exchange(exchange).expect("exists").has_bindings(), "{exchange}");
    }
}

#[test]
fn exchange_deletes_itself_with_its_last_binding() {
    let bindings = || [Binding::exchange("a", "b", ""), Binding::queue("b", "q", "")];
    let exchanges = || ["a", "b"].map(|name| Exchange::fanout(name).auto_delete());
    let names = |table: &RoutingTable<NamedQueue>| table.exchanges().count();

    let mut unbound = table(exchanges(), bindings());
    assert!(unbound.unbind(&bindings()[1]));
    assert_eq!(names(&unbound), 0, "unbound");

    let mut without_queue = table(exchanges(), bindings());
    let queue = Arc::clone(without_queue.queue("q").expect("exists"));
    without_queue.remove_queue(&queue);
    assert_eq!(names(&without_queue), 0, "the queue is removed");

    let mut without_source = table(exchanges(), bindings());
    without_source.remove_exchange("a");
    assert_eq!(names(&without_source), 1, "the source is removed");
    assert_eq!(reached(&without_source, "b", "", None), "q");
}

#[test]
fn exchange_added_again_outlives_the_queues_of_the_one_before() {
    let exchange = || Exchange::fanout("x").auto_delete();
    let bindings = || ["q", "r"].map(|queue| Binding::queue("x", queue, ""));
    let mut removed = table([exchange()], bindings());
    removed.remove_exchange("x");
    let mut unbound = table([exchange()], bindings());
    assert!(bindings().iter().all(|binding| unbound.unbind(binding)));

    for mut table in [removed, unbound] {
        assert!(table.exchange("x").is_none());
        table.add_exchange(exchange(), ExchangeBehaviour::Fanout);
        for queue in ["q", "r"] {
            let queue = Arc::clone(table.queue(queue).expect("exists"));
            table.remove_queue(&queue);
        }
        assert!(table.exchange("x").is_some());
    }
}

#[test]
fn exchange_added_again_has_no_bindings_and_queue_stays() {
    let mut table = table(
        ["a", "b"].map(Exchange::fanout),
        [Binding::exchange("a", "b", ""), Binding::queue("b", "q", "")],
    );
    table.add_exchange(Exchange::fanout("b"), ExchangeBehaviour::Fanout);
    assert_eq!(table.exchanges().map(|exchange| exchange.bindings().count()).sum::<usize>(), 0);
    table.bind(&Binding::queue("b", "q", "")).expect("bound");
    let first = table.queue("q").expect("exists").id();
    table.add_named_queue("q");
    assert_eq!(table.queue("q").expect("exists").id(), first);
    assert_eq!(reached(&table, "b", "", None), "q");
}

#[test]
fn definition_without_its_exchange_queue_or_type_is_refused() {
    let build = |exchange: Exchange, binding: Binding| {
        RoutingTable::from_definitions(NumberMatch::ByValue, [exchange], [binding])
            .expect_err("refused")
    };
    let missing = RoutingError::NoExchange("missing".into());
    assert_eq!(build(Exchange::direct("x"), Binding::queue("missing", "q", "")), missing);
    assert_eq!(build(Exchange::direct("x"), Binding::exchange("x", "missing", "")), missing);
    let kind = RoutingError::UnknownType { exchange: "x".into(), kind: "x-random".into() };
    assert_eq!(build(Exchange::random("x"), Binding::queue("x", "q", "")), kind);
    let invalid = Binding::queue("x", "q", "").argument("x-match", "some");
    assert!(matches!(build(Exchange::headers("x"), invalid), RoutingError::InvalidMatch(_)));

    let mut table = table([Exchange::direct("x")], []);
    let no_queue = Err(RoutingError::NoQueue("q".into()));
    assert_eq!(table.bind(&Binding::queue("x", "q", "")), no_queue);
    assert_eq!(table.check_binding(&Binding::queue("x", "q", "")).map(drop), no_queue);
}

#[test]
fn refused_binding_changes_nothing() {
    let mut table = table([Exchange::headers("x")], [Binding::queue("x", "q", "")]);
    let invalid = Binding::queue("x", "q", "k").argument("x-match", 1);
    assert!(table.check_binding(&invalid).is_err());
    assert!(table.bind(&invalid).is_err());
    assert!(!table.has_binding(&invalid));
    assert_eq!(table.exchange("x").expect("exists").bindings().count(), 1);
}

/// A queue of a backend of its own.
#[derive(Debug)]
struct CountedQueue {
    id: u64,
    name: Arc<str>,
    is_deleted: AtomicBool,
}

impl CountedQueue {
    fn new(table: &mut RoutingTable<CountedQueue>, name: &str) -> CountedQueue {
        CountedQueue { id: table.next_id(), name: name.into(), is_deleted: AtomicBool::new(false) }
    }
}

impl RoutedQueue for CountedQueue {
    fn id(&self) -> u64 {
        self.id
    }

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Relaxed)
    }
}

#[test]
fn queue_deleted_and_not_removed_receives_nothing() {
    let mut table = RoutingTable::new(NumberMatch::ByValue);
    table.add_exchange(Exchange::fanout("x"), ExchangeBehaviour::Fanout);
    let deleted = Arc::new(CountedQueue::new(&mut table, "q"));
    table.add_queue(Arc::clone(&deleted));
    table.bind(&Binding::queue("x", "q", "")).expect("bound");
    deleted.is_deleted.store(true, Ordering::Relaxed);
    for exchange in ["x", ""] {
        assert!(table.routes(exchange, "q", None).is_some_and(|routes| routes.is_empty()));
    }
    assert!(table.queue("q").is_none());
    assert_eq!(table.queues().count(), 1);

    let next = Arc::new(CountedQueue::new(&mut table, "q"));
    table.add_queue(Arc::clone(&next));
    assert!(!table.exchange("x").expect("exists").has_bindings(), "bindings of the deleted queue");
    table.remove_queue(&deleted);
    let target = table.target(&Destination::Queue("q".into())).expect("the next queue");
    assert!(matches!(target, BindingTarget::Queue(queue) if Arc::ptr_eq(&queue, &next)));
}
