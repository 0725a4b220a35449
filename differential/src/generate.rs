//! Generates random programs.
//!
//! Every operation is drawn independently from small pools of names, keys and arguments. No
//! operation depends on earlier ones, so every part of a program is a program. A state machine
//! would need a reference state that is cheap to copy, and the reference here is a broker.

mod messages;
mod pools;
mod topology;

use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::messages::{consume_replies, consume_spec, message_publication, pick, publish_spec};
use self::pools::{QUEUES, exchange_name, flag, queue_name};
use self::topology::{
    binding_spec, exchange_spec, is_inexact_for_quorum, queue_spec, setup_binding, valid_queue,
};
use crate::broker::DefaultQueueType;
use crate::program::{CHANNELS, DeliveryChoice, Program, ProgramAction, ProgramOperation};
use crate::specs::{ConsumeSpec, QueueName, QueueSpec};

/// Returns the program of a number in the series of a seed.
pub fn program(seed: u64, number: u64) -> Program {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
    );
    thread_local! {
        static PROGRAMS: BoxedStrategy<Program> = programs();
    }
    match PROGRAMS.with(|programs| programs.new_tree(&mut runner)) {
        Ok(tree) => without_limits_on_delayed_retries(tree.current()),
        Err(reason) => panic!("a strategy rejected a value: {reason}"),
    }
}

/// Removes `x-max-length` from queues that delay retries. RabbitMQ 4.3.6 works without an end as
/// soon as the delayed messages of such a queue exceed its length.
fn without_limits_on_delayed_retries(mut program: Program) -> Program {
    for operation in &mut program.operations {
        if let ProgramAction::DeclareQueue(queue) = &mut operation.action
            && queue.arguments.iter().any(|(name, _)| name == "x-delayed-retry-type")
        {
            queue.arguments.retain(|(name, _)| name != "x-max-length");
        }
    }
    program
}

/// Returns the program of a number in the series of a seed, for a broker with this default type of
/// queues.
pub fn program_for(default_type: DefaultQueueType, seed: u64, number: u64) -> Program {
    let mut program = program(seed, number);
    if default_type == DefaultQueueType::Quorum {
        program.operations.iter_mut().for_each(|operation| {
            if let ProgramAction::DeclareQueue(queue) = &mut operation.action {
                queue.arguments.retain(|argument| !is_inexact_for_quorum(argument));
            }
        });
    }
    program
}

/// Generates programs of 20 to 60 operations. Three of ten programs have timed operations. Half of
/// the programs use all features, with many invalid operations. The other half send messages
/// through few, valid queues.
pub fn programs() -> BoxedStrategy<Program> {
    let kinds = vec![
        (7, programs_of(false)),
        (3, programs_of(true)),
        (7, message_programs_of(false)),
        (3, message_programs_of(true)),
    ];
    Union::new_weighted(kinds).boxed()
}

fn programs_of(timed: bool) -> BoxedStrategy<Program> {
    let exchanges = setup(exchange_spec(false).prop_map(ProgramAction::DeclareExchange), 1..=4);
    let queues = setup(queue_spec(timed, false).prop_map(ProgramAction::DeclareQueue), 2..=6);
    let bindings = setup(setup_binding().prop_map(ProgramAction::Bind), 2..=8);
    let rest = prop::collection::vec(operations(timed), 15..=42);
    (exchanges, queues, bindings, rest)
        .prop_map(|(exchanges, queues, bindings, rest)| Program {
            operations: exchanges.into_iter().chain(queues).chain(bindings).chain(rest).collect(),
        })
        .boxed()
}

fn message_programs_of(timed: bool) -> BoxedStrategy<Program> {
    let exchanges = setup(exchange_spec(false).prop_map(ProgramAction::DeclareExchange), 0..=2);
    let queues: Vec<BoxedStrategy<ProgramOperation>> = (0..QUEUES - 1)
        .map(|slot| {
            let declare = valid_queue(timed).prop_map(move |arguments| {
                ProgramAction::DeclareQueue(QueueSpec {
                    name: QueueName::Slot(slot),
                    transient: false,
                    exclusive: false,
                    auto_delete: false,
                    passive: false,
                    arguments,
                })
            });
            (0..8u8, declare)
                .prop_map(|(channel, action)| ProgramOperation {
                    channel: channel / 7 * (CHANNELS - 1),
                    even_if_failed: false,
                    action,
                })
                .boxed()
        })
        .collect();
    let bindings = setup(setup_binding().prop_map(ProgramAction::Bind), 0..=4);
    let channel = prop_oneof![8 => Just(0), 2 => Just(1), 1 => Just(2), 2 => Just(CHANNELS - 1)];
    let operation = (channel, message_actions(timed))
        .prop_map(|(channel, action)| ProgramOperation { channel, even_if_failed: false, action });
    let rest = prop::collection::vec(operation, 18..=50);
    (exchanges, queues, bindings, rest)
        .prop_map(|(exchanges, queues, bindings, rest)| Program {
            operations: exchanges.into_iter().chain(queues).chain(bindings).chain(rest).collect(),
        })
        .boxed()
}

fn setup(
    action: impl Strategy<Value = ProgramAction> + 'static,
    count: RangeInclusive<usize>,
) -> BoxedStrategy<Vec<ProgramOperation>> {
    let channel = prop_oneof![6 => Just(0), 1 => Just(CHANNELS - 1)];
    let operation = (channel, action).prop_map(|(channel, action)| ProgramOperation {
        channel,
        even_if_failed: false,
        action,
    });
    prop::collection::vec(operation, count).boxed()
}

fn operations(timed: bool) -> BoxedStrategy<ProgramOperation> {
    let channel = prop_oneof![5 => Just(0), 3 => Just(1), 2 => Just(2), 3 => Just(CHANNELS - 1)];
    (channel, prop::bool::weighted(0.15), actions(timed))
        .prop_map(|(channel, even_if_failed, action)| ProgramOperation {
            channel,
            even_if_failed,
            action,
        })
        .boxed()
}

fn actions(timed: bool) -> BoxedStrategy<ProgramAction> {
    let mut choices = vec![
        (3, exchange_spec(true).prop_map(ProgramAction::DeclareExchange).boxed()),
        (5, queue_spec(timed, true).prop_map(ProgramAction::DeclareQueue).boxed()),
        (5, binding_spec(true).prop_map(ProgramAction::Bind).boxed()),
        (2, binding_spec(true).prop_map(ProgramAction::Unbind).boxed()),
        (
            1,
            (exchange_name(true), any::<bool>())
                .prop_map(|(name, if_unused)| ProgramAction::DeleteExchange { name, if_unused })
                .boxed(),
        ),
        (
            2,
            (queue_name(true), any::<bool>(), any::<bool>())
                .prop_map(|(name, if_unused, if_empty)| ProgramAction::DeleteQueue {
                    name,
                    if_unused,
                    if_empty,
                })
                .boxed(),
        ),
        (1, queue_name(true).prop_map(ProgramAction::Purge).boxed()),
        (34, publish_spec(timed).prop_map(ProgramAction::Publish).boxed()),
        (2, Just(ProgramAction::Confirm).boxed()),
        (
            10,
            (queue_name(true), prop::bool::weighted(0.25))
                .prop_map(|(queue, automatic)| ProgramAction::Get { queue, automatic })
                .boxed(),
        ),
        (10, consume_spec(true).prop_map(ProgramAction::Consume).boxed()),
        (1, consume_replies().prop_map(ProgramAction::Consume).boxed()),
        (
            4,
            (any::<u8>(), 1..4u8)
                .prop_map(|(subscription, most)| ProgramAction::Take { subscription, most })
                .boxed(),
        ),
        (3, any::<u8>().prop_map(|subscription| ProgramAction::Cancel { subscription }).boxed()),
        (
            2,
            any::<u8>()
                .prop_map(|subscription| ProgramAction::DropSubscription { subscription })
                .boxed(),
        ),
        (
            10,
            (pick(), prop::bool::weighted(0.25))
                .prop_map(|(delivery, multiple)| ProgramAction::Ack { delivery, multiple })
                .boxed(),
        ),
        (
            12,
            (pick(), any::<bool>(), flag(0.4), prop::bool::weighted(0.25))
                .prop_map(|(delivery, requeue, failed, multiple)| ProgramAction::Reject {
                    delivery,
                    requeue,
                    failed: requeue && failed,
                    multiple,
                })
                .boxed(),
        ),
        (2, Just(ProgramAction::CloseChannel).boxed()),
        (1, Just(ProgramAction::DropChannel).boxed()),
        (1, Just(ProgramAction::CloseConnection).boxed()),
    ];
    if timed {
        choices.push((4, Just(ProgramAction::Wait).boxed()));
    }
    Union::new_weighted(choices).boxed()
}

fn message_actions(timed: bool) -> BoxedStrategy<ProgramAction> {
    let queue = || (0..QUEUES - 1).prop_map(QueueName::Known);
    let unsettled = || prop_oneof![20 => (0..6u8).prop_map(DeliveryChoice::Unsettled), 1 => Just(DeliveryChoice::Zero)];
    let subscription = any::<u8>;
    let mut choices = vec![
        (30, message_publication(timed).prop_map(ProgramAction::Publish).boxed()),
        (1, Just(ProgramAction::Confirm).boxed()),
        (
            14,
            (queue(), flag(0.15))
                .prop_map(|(queue, automatic)| ProgramAction::Get { queue, automatic })
                .boxed(),
        ),
        (1, consume_replies().prop_map(ProgramAction::Consume).boxed()),
        (
            8,
            (queue(), consume_spec(false))
                .prop_map(|(queue, spec)| ProgramAction::Consume(ConsumeSpec { queue, ..spec }))
                .boxed(),
        ),
        (
            4,
            (subscription(), 1..4u8)
                .prop_map(|(subscription, most)| ProgramAction::Take { subscription, most })
                .boxed(),
        ),
        (2, subscription().prop_map(|subscription| ProgramAction::Cancel { subscription }).boxed()),
        (
            2,
            subscription()
                .prop_map(|subscription| ProgramAction::DropSubscription { subscription })
                .boxed(),
        ),
        (
            6,
            (unsettled(), flag(0.25))
                // Tag zero is valid only with `multiple`.
                .prop_map(|(delivery, multiple)| ProgramAction::Ack {
                    delivery,
                    multiple: multiple || delivery == DeliveryChoice::Zero,
                })
                .boxed(),
        ),
        (
            14,
            (unsettled(), flag(0.35), flag(0.4), flag(0.25))
                .prop_map(|(delivery, requeue, failed, multiple)| ProgramAction::Reject {
                    delivery,
                    requeue,
                    failed: requeue && failed,
                    multiple: multiple || delivery == DeliveryChoice::Zero,
                })
                .boxed(),
        ),
        (1, queue().prop_map(ProgramAction::Purge).boxed()),
        (1, Just(ProgramAction::CloseChannel).boxed()),
        (1, Just(ProgramAction::DropChannel).boxed()),
    ];
    if timed {
        choices.push((6, Just(ProgramAction::Wait).boxed()));
    }
    Union::new_weighted(choices).boxed()
}
