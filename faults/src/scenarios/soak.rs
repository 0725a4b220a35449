use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Context;
use super::run::Run;
use crate::{Direction, Flow, LoadOptions, Node, Outcome, Proxy, Result, Usage};

const HEARTBEAT: Duration = Duration::from_secs(2);
const RESUMED_WITHIN: Duration = Duration::from_secs(60);
/// How long a message has: two slow faults can follow each other with little between them, and a node that was killed takes its time to come
/// back on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// How much more memory the last third of the time may need than the first.
const GROWTH: u64 = 16 * 1024 * 1024;

#[derive(Debug, Clone, Copy)]
enum Fault {
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

const QUICK: [Fault; 5] =
    [Fault::Cut, Fault::Reset, Fault::CutAtByte, Fault::Delay, Fault::Throttle];
const SLOW: [Fault; 7] = [
    Fault::HalfClose,
    Fault::BlackHole,
    Fault::Stall,
    Fault::Refuse,
    Fault::Freeze,
    Fault::Alarm,
    Fault::Kill,
];

/// Lets faults happen at random while messages flow, for half an hour.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let lasts = context.pick(Duration::from_secs(30 * 60), Duration::from_secs(15));
    context.with_node(|context, node| {
        let proxy = Proxy::new("127.0.0.1", node.port())?;
        let mut run = Run::new(context);
        run.declare_for_good(node)?;
        let mut random = context.random();
        let through = node.options().port(proxy.address().port()).heartbeat(HEARTBEAT);
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
            // At small size there is time for no more than one slow one.
            let slow = context.pick(random.u8(..4) == 0, faults == 3);
            let fault =
                if slow { random.choice(SLOW) } else { random.choice(QUICK) }.unwrap_or(Fault::Cut);
            let so_far = run.ledger.audit();
            run.say(&format!(
                "fault {faults}: {fault:?} (slowest confirm so far {:.1?}, unknown {})",
                so_far.slowest_confirm, so_far.unknown
            ));
            happen(fault, node, &proxy, &mut random)?;
            proxy.heal()?;
        }
        run.expect_progress(&load, 50, RESUMED_WITHIN, "after the last fault");
        run.outcome.notes.push(format!("{faults} faults, seed {}", context.seed));
        let samples = run.watch.samples();
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        if context.pick(true, false) {
            expect_flat(&mut outcome, &samples);
        }
        Ok(outcome)
    })
}

fn happen(fault: Fault, node: &Node, proxy: &Proxy, random: &mut fastrand::Rng) -> Result<()> {
    let direction = random.choice(Direction::ALL).unwrap_or(Direction::ToServer);
    match fault {
        Fault::Cut => proxy.cut(),
        Fault::Reset => proxy.reset(),
        Fault::CutAtByte => {
            proxy.cut_after(direction, random.u64(0..50_000));
            proxy.wait_for_cut(HEARTBEAT * 2);
        }
        Fault::HalfClose => {
            proxy.half_close(direction);
            sleep(HEARTBEAT * 3);
        }
        Fault::Delay => {
            proxy.delay(Duration::from_millis(random.u64(50..300)));
            sleep(HEARTBEAT);
        }
        Fault::Throttle => {
            proxy.throttle(Some(random.u64(10_000..50_000)));
            sleep(HEARTBEAT);
        }
        Fault::BlackHole => {
            proxy.black_hole();
            sleep(HEARTBEAT * 3);
        }
        Fault::Stall => {
            proxy.flow(direction, Flow::Stall);
            sleep(HEARTBEAT * 3);
        }
        Fault::Refuse => {
            proxy.refuse(true)?;
            proxy.cut();
            sleep(HEARTBEAT * 2);
        }
        Fault::Freeze => {
            node.freeze()?;
            sleep(HEARTBEAT * 3);
            node.thaw()?;
        }
        Fault::Alarm => {
            node.alarm(true)?;
            sleep(HEARTBEAT);
            node.alarm(false)?;
        }
        Fault::Kill => {
            node.kill()?;
            node.restart()?;
        }
    }
    Ok(())
}

/// That the last third of the time needed no more than the first, the very beginning left out.
fn expect_flat(outcome: &mut Outcome, samples: &[Usage]) {
    let third = samples.len() / 3;
    let (early, late) = (&samples[third / 2..third], &samples[samples.len() - third..]);
    if early.is_empty() {
        return outcome.failures.push("too short to see whether memory is flat".into());
    }
    let mean = |samples: &[Usage], field: fn(&Usage) -> u64| {
        samples.iter().map(field).sum::<u64>() / samples.len() as u64
    };
    let memory = |samples| mean(samples, |usage| usage.memory);
    let threads = |samples| mean(samples, |usage| usage.threads);
    let files = |samples| mean(samples, |usage| usage.files);
    outcome.notes.push(format!(
        "on average, early and late: {} and {} KiB, {} and {} threads, {} and {} open files",
        memory(early) / 1024,
        memory(late) / 1024,
        threads(early),
        threads(late),
        files(early),
        files(late)
    ));
    let course: Vec<_> = samples
        .chunks(samples.len().div_ceil(10))
        .map(|tenth| (memory(tenth) / 1024).to_string())
        .collect();
    outcome.notes.push(format!("memory in each tenth of the time: {} KiB", course.join(", ")));
    outcome.expect(memory(late) <= memory(early) + GROWTH, || "memory grows".into());
    outcome.expect(threads(late) <= threads(early) + 5, || "threads pile up".into());
    outcome.expect(files(late) <= files(early) + 10, || "open files pile up".into());
}
