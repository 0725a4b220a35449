use std::thread::sleep;
use std::time::{Duration, Instant};

use super::context::Context;
use super::run::ScenarioRun;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::monitor::ResourceUsage;
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;
use crate::proxy::{Direction, Forwarding, Proxy};

const HEARTBEAT: Duration = Duration::from_secs(2);
const RESUMED_WITHIN: Duration = Duration::from_secs(60);
/// The deadline of a send. It covers two slow faults in a row, and the restart of a killed node on
/// a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// The memory that the last third of the time may use in addition to the first, in bytes.
const GROWTH: u64 = 16 * 1024 * 1024;

#[derive(Debug, Clone, Copy)]
enum InjectedFault {
    Cut,
    Reset,
    CutAtByte,
    HalfClose,
    Delay,
    Throttle,
    BlackHole,
    Stall,
    Refuse,
    Freeze,
    Alarm,
    Kill,
}

const QUICK: [InjectedFault; 5] = [
    InjectedFault::Cut,
    InjectedFault::Reset,
    InjectedFault::CutAtByte,
    InjectedFault::Delay,
    InjectedFault::Throttle,
];
const SLOW: [InjectedFault; 7] = [
    InjectedFault::HalfClose,
    InjectedFault::BlackHole,
    InjectedFault::Stall,
    InjectedFault::Refuse,
    InjectedFault::Freeze,
    InjectedFault::Alarm,
    InjectedFault::Kill,
];

/// Injects random faults under load, for half an hour.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let lasts = context.pick(Duration::from_secs(30 * 60), Duration::from_secs(15));
    context.with_node(|context, node| {
        let (proxy, through) = Proxy::in_front_of(&node.options().heartbeat(HEARTBEAT))?;
        let mut run = ScenarioRun::new(context);
        run.declare_on_disk(node)?;
        let mut random = context.random();
        let load = run.load(LoadOptions {
            rate: Some(250),
            send_timeout: DEADLINE,
            ..LoadOptions::new(through, &*run.queue)
        })?;
        let started = Instant::now();
        let mut faults = 0;
        while started.elapsed() < lasts {
            if !run.expect_progress(&load, 50, RESUMED_WITHIN, &format!("after fault {faults}")) {
                break;
            }
            faults += 1;
            // At small size the time allows only one slow fault.
            let slow = context.pick(random.u8(..4) == 0, faults == 3);
            let fault = if slow { random.choice(SLOW) } else { random.choice(QUICK) }
                .unwrap_or(InjectedFault::Cut);
            let so_far = run.accounting.audit();
            run.print_progress(&format!(
                "fault {faults}: {fault:?} (slowest confirm so far {:.1?}, unknown {})",
                so_far.slowest_confirm, so_far.unknown
            ));
            inject(fault, node, &proxy, &mut random)?;
            proxy.heal()?;
        }
        run.expect_progress(&load, 50, RESUMED_WITHIN, "after the last fault");
        run.outcome.notes.push(format!("{faults} faults, seed {}", context.seed));
        let samples = run.monitor.samples();
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        if context.pick(true, false) {
            expect_constant_resources(&mut outcome, &samples);
        }
        Ok(outcome)
    })
}

fn inject(
    fault: InjectedFault,
    node: &BrokerNode,
    proxy: &Proxy,
    random: &mut fastrand::Rng,
) -> Result<()> {
    let direction = random.choice(Direction::ALL).unwrap_or(Direction::ToServer);
    match fault {
        InjectedFault::Cut => proxy.cut(),
        InjectedFault::Reset => proxy.reset(),
        InjectedFault::CutAtByte => {
            proxy.cut_after(direction, random.u64(0..50_000));
            proxy.wait_for_cut(HEARTBEAT * 2);
        }
        InjectedFault::HalfClose => {
            proxy.half_close(direction);
            sleep(HEARTBEAT * 3);
        }
        InjectedFault::Delay => {
            proxy.delay(Duration::from_millis(random.u64(50..300)));
            sleep(HEARTBEAT);
        }
        InjectedFault::Throttle => {
            proxy.throttle(Some(random.u64(10_000..50_000)));
            sleep(HEARTBEAT);
        }
        InjectedFault::BlackHole => {
            proxy.black_hole();
            sleep(HEARTBEAT * 3);
        }
        InjectedFault::Stall => {
            proxy.set_forwarding(direction, Forwarding::Stall);
            sleep(HEARTBEAT * 3);
        }
        InjectedFault::Refuse => {
            proxy.refuse(true)?;
            proxy.cut();
            sleep(HEARTBEAT * 2);
        }
        InjectedFault::Freeze => {
            node.freeze()?;
            sleep(HEARTBEAT * 3);
            node.thaw()?;
        }
        InjectedFault::Alarm => {
            node.alarm(true)?;
            sleep(HEARTBEAT);
            node.alarm(false)?;
        }
        InjectedFault::Kill => {
            node.kill()?;
            node.restart()?;
        }
    }
    Ok(())
}

/// Checks that the last third of the time uses no more resources than the second sixth.
fn expect_constant_resources(outcome: &mut ScenarioOutcome, samples: &[ResourceUsage]) {
    let third = samples.len() / 3;
    let (early, late) = (&samples[third / 2..third], &samples[samples.len() - third..]);
    if early.is_empty() {
        return outcome
            .failures
            .push("the run is too short to compare the memory of its parts".into());
    }
    let mean = |samples: &[ResourceUsage], field: fn(&ResourceUsage) -> u64| {
        samples.iter().map(field).sum::<u64>() / samples.len() as u64
    };
    let memory = |samples| mean(samples, |usage| usage.memory);
    let threads = |samples| mean(samples, |usage| usage.threads);
    let files = |samples| mean(samples, |usage| usage.files);
    outcome.notes.push(format!(
        "mean of the second sixth and of the last third: {} and {} KiB, {} and {} threads, {} and {} open files",
        memory(early) / 1024,
        memory(late) / 1024,
        threads(early),
        threads(late),
        files(early),
        files(late)
    ));
    let tenths: Vec<_> = samples
        .chunks(samples.len().div_ceil(10))
        .map(|tenth| (memory(tenth) / 1024).to_string())
        .collect();
    outcome.notes.push(format!("memory in each tenth of the time: {} KiB", tenths.join(", ")));
    outcome.expect(memory(late) <= memory(early) + GROWTH, || "memory grows".into());
    outcome.expect(threads(late) <= threads(early) + 5, || "the number of threads grows".into());
    outcome.expect(files(late) <= files(early) + 10, || "the number of open files grows".into());
}
