#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};

use mio::{Events, Poll, PollOpt, Token};

use super::*;
use crate::connection::handshake::HandshakeStep;
use crate::sync::wait_while;

const LONG: Duration = Duration::from_secs(20);
/// No stand-by takes the reader by itself within a test.
const NEVER: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Copy)]
enum Sent {
    Answer(usize),
    /// Something that no thread waits for.
    Other,
    Panic,
}

/// A connection whose reader is a stub.
struct Stub {
    leadership: Leadership,
    arrivals: SetReadiness,
    state: Mutex<StubState>,
    changed: Condvar,
}

#[derive(Default)]
struct StubState {
    sent: VecDeque<Sent>,
    is_shut_down: bool,
    answers: [bool; 3],
    /// The threads that have read, in order.
    read_by: Vec<ThreadId>,
    finished_by: Option<ThreadId>,
}

struct StubReader {
    stub: Arc<Stub>,
    poll: Poll,
    _arrivals: Registration,
}

impl Stub {
    /// Starts a stand-by. Returns it after it has begun to read.
    fn start(pause: Duration) -> (Arc<Stub>, JoinHandle<HandshakeEnd>) {
        let leadership = Leadership::with_pause(pause);
        let (registration, arrivals) = Registration::new2();
        let stub = Stub { leadership, arrivals, state: Mutex::default(), changed: Condvar::new() };
        let stub = Arc::new(stub);
        let poll = Poll::new().unwrap();
        poll.register(&registration, Token(0), Ready::readable(), PollOpt::level()).unwrap();
        let interrupts = stub.leadership.interrupts();
        poll.register(interrupts, Token(1), Ready::readable(), PollOpt::level()).unwrap();
        let _arrivals = registration;
        let reader = Box::new(StubReader { stub: Arc::clone(&stub), poll, _arrivals });
        let standing_by = Arc::clone(&stub);
        let stand_by = thread::spawn(move || standing_by.leadership.stand_by(reader));
        stub.send(Sent::Other);
        stub.wait_until(|state| state.read_by.len() == 1);
        (stub, stand_by)
    }

    /// Waits for answers of the stand-by, until it leaves the reader.
    fn let_lead(&self) {
        while lock(&self.leadership.state).reader.is_none() {
            self.have_answered();
        }
    }

    fn have_answered(&self) {
        let asked = lock(&self.leadership.state).waits;
        thread::scope(|scope| {
            scope.spawn(|| {
                self.wait_until_leadership(|state| state.waits > asked);
                self.send(Sent::Answer(0));
            });
            self.wait_for(0, MayLead::Yes);
        });
    }

    /// Waits for an answer that comes once the stand-by sleeps. Returns false if the stand-by took
    /// the reader before the wait began: a busy machine starts a thread later than the pause ends.
    fn led_until_the_stand_by_slept(&self) -> bool {
        self.let_lead();
        let begun = lock(&self.leadership.state).waits;
        thread::scope(|scope| {
            scope.spawn(|| self.wait_for(1, MayLead::Yes));
            self.wait_until_leadership(|state| state.waits > begun);
            let leads = lock(&self.leadership.state).is_led;
            if leads {
                self.wait_until_leadership(|state| state.is_asleep);
            }
            self.send(Sent::Answer(1));
            leads
        })
    }

    fn lock(&self) -> MutexGuard<'_, StubState> {
        lock(&self.state)
    }

    fn send(&self, sent: Sent) {
        let mut state = self.lock();
        state.sent.push_back(sent);
        self.arrivals.set_readiness(Ready::readable()).unwrap();
    }

    fn shut_down(&self) {
        let mut state = self.lock();
        state.is_shut_down = true;
        self.arrivals.set_readiness(Ready::readable()).unwrap();
    }

    /// Waits for an answer as a call does.
    fn wait_for(&self, number: usize, may_lead: MayLead) {
        let started = Instant::now();
        let deadline = started + LONG;
        let is_answered = || self.lock().answers[number];
        let _waiting = self.leadership.wait(deadline, may_lead, is_answered);
        self.wait_until(|state| state.answers[number]);
        self.lock().answers[number] = false;
        assert!(started.elapsed() < LONG);
    }

    fn wait_until(&self, is_met: impl Fn(&StubState) -> bool) {
        let deadline = Instant::now() + LONG;
        assert!(wait_while(&self.changed, self.lock(), deadline, |state| !is_met(state)).is_some());
    }

    fn wait_until_leadership(&self, is_met: impl Fn(&LeadershipState) -> bool) {
        let deadline = Instant::now() + LONG;
        while !is_met(&lock(&self.leadership.state)) {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }

    fn last_reader(&self) -> ThreadId {
        *self.lock().read_by.last().unwrap()
    }
}

impl Reading for StubReader {
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ReadEnd> {
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let mut events = Events::with_capacity(2);
        self.poll.poll(&mut events, timeout).map_err(ReadEnd::Io)?;
        if events.iter().any(|event| event.token() == Token(1)) {
            self.stub.leadership.interrupted();
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), ReadEnd> {
        let mut state = self.stub.lock();
        let sent = state.sent.pop_front();
        if state.sent.is_empty() && !state.is_shut_down {
            self.stub.arrivals.set_readiness(Ready::empty()).unwrap();
        }
        if sent.is_some() {
            state.read_by.push(thread::current().id());
        }
        match sent {
            Some(Sent::Answer(number)) => {
                state.answers[number] = true;
                self.stub.leadership.answered();
            }
            Some(Sent::Other) => {}
            Some(Sent::Panic) => panic!("reading panics; this is part of the test"),
            None if state.is_shut_down => return Err(ReadEnd::Eof),
            None => {}
        }
        drop(state);
        self.stub.changed.notify_all();
        Ok(())
    }

    fn finish(self: Box<Self>, end: ReadEnd) -> HandshakeEnd {
        let mut state = self.stub.lock();
        state.finished_by = Some(thread::current().id());
        state.answers = [true; 3];
        drop(state);
        self.stub.changed.notify_all();
        (end, HandshakeStep::Done)
    }
}

#[test]
fn the_only_thread_that_waits_leads_once_the_stand_by_has_answered_it() {
    let (stub, _stand_by) = Stub::start(NEVER);
    stub.let_lead();
    for _ in 0..3 {
        stub.send(Sent::Other);
        stub.send(Sent::Answer(0));
        stub.wait_for(0, MayLead::Yes);
        assert_eq!(stub.last_reader(), thread::current().id());
    }
}

#[test]
fn the_stand_by_takes_over_if_nobody_leads() {
    let (stub, stand_by) = Stub::start(Duration::from_millis(1));
    stub.let_lead();
    stub.send(Sent::Answer(0));
    stub.wait_for(0, MayLead::Yes);
    stub.send(Sent::Other);
    stub.wait_until(|state| state.sent.is_empty());
    assert_eq!(stub.last_reader(), stand_by.thread().id());
}

#[test]
fn the_stand_by_sleeps_while_one_lead_lasts_and_takes_over_after_it() {
    let (stub, stand_by) = Stub::start(Duration::from_millis(1));
    while !stub.led_until_the_stand_by_slept() {}
    stub.wait_until_leadership(|state| !state.is_led && state.reader.is_none());
    stub.send(Sent::Other);
    stub.wait_until(|state| state.sent.is_empty());
    assert_eq!(stub.last_reader(), stand_by.thread().id());
}

#[test]
fn a_thread_that_may_not_lead_calls_the_stand_by() {
    let (stub, stand_by) = Stub::start(NEVER);
    stub.let_lead();
    stub.send(Sent::Answer(1));
    stub.wait_for(1, MayLead::No);
    assert_eq!(stub.last_reader(), stand_by.thread().id());
}

#[test]
fn a_leader_leaves_the_reader_to_the_stand_by_if_others_wait() {
    let (stub, stand_by) = Stub::start(NEVER);
    stub.let_lead();
    thread::scope(|scope| {
        let leader = scope.spawn(|| stub.wait_for(0, MayLead::Yes));
        stub.wait_until_leadership(|state| state.is_led);
        let second = scope.spawn(|| stub.wait_for(1, MayLead::Yes));
        let third = scope.spawn(|| stub.wait_for(2, MayLead::Yes));
        stub.wait_until_leadership(|state| state.waiting == 3);
        stub.send(Sent::Answer(1));
        second.join().unwrap();
        assert_eq!(stub.last_reader(), leader.thread().id());
        stub.send(Sent::Answer(0));
        leader.join().unwrap();
        assert_eq!(stub.last_reader(), stand_by.thread().id());
        stub.send(Sent::Answer(2));
        third.join().unwrap();
        assert_eq!(stub.last_reader(), stand_by.thread().id());
    });
    assert!(lock(&stub.leadership.state).reader.is_none(), "threads that wait in turn do not lead");
}

#[test]
fn a_leader_that_is_answered_by_another_thread_is_interrupted() {
    let (stub, _stand_by) = Stub::start(NEVER);
    stub.let_lead();
    for round in 0..100 {
        thread::scope(|scope| {
            let leader = scope.spawn(|| stub.wait_for(1, MayLead::Yes));
            if round % 2 == 0 {
                stub.wait_until_leadership(|state| state.is_led);
            }
            stub.lock().answers[1] = true;
            stub.changed.notify_all();
            stub.leadership.interrupt();
            leader.join().unwrap();
        });
    }
}

#[test]
fn the_stand_by_keeps_the_reader_until_the_thread_that_waits_is_answered() {
    let (stub, _stand_by) = Stub::start(NEVER);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| stub.wait_for(0, MayLead::Yes));
        stub.wait_until_leadership(|state| state.waiting == 1);
        for _ in 0..LONE_ANSWERS * 2 {
            stub.send(Sent::Other);
            stub.wait_until(|state| state.sent.is_empty());
        }
        stub.send(Sent::Answer(0));
        waiting.join().unwrap();
    });
}

#[test]
fn the_stand_by_keeps_the_reader_from_a_thread_that_may_not_lead() {
    let (stub, _stand_by) = Stub::start(NEVER);
    for _ in 0..LONE_ANSWERS * 2 {
        thread::scope(|scope| {
            let waiting = scope.spawn(|| stub.wait_for(0, MayLead::No));
            stub.wait_until_leadership(|state| state.waiting == 1);
            stub.send(Sent::Answer(0));
            waiting.join().unwrap();
        });
        assert!(lock(&stub.leadership.state).reader.is_none());
    }
}

#[test]
fn the_stand_by_finishes_after_a_leader_has_met_the_end() {
    let (stub, stand_by) = Stub::start(NEVER);
    stub.let_lead();
    stub.shut_down();
    stub.wait_for(1, MayLead::Yes);
    assert_eq!(stub.lock().finished_by, Some(stand_by.thread().id()));
    assert!(matches!(stand_by.join().unwrap(), (ReadEnd::Eof, _)));
}

#[test]
fn a_leader_that_panics_leaves_the_reader_and_the_connection_ends() {
    let (stub, stand_by) = Stub::start(NEVER);
    stub.let_lead();
    stub.send(Sent::Panic);
    thread::scope(|scope| {
        let leader = scope.spawn(|| stub.wait_for(1, MayLead::Yes));
        assert!(leader.join().is_err());
    });
    stub.wait_until(|state| state.finished_by.is_some());
    assert!(matches!(stand_by.join().unwrap(), (ReadEnd::Io(_), _)));
    assert_eq!(lock(&stub.leadership.state).waiting, 0);
}

#[test]
fn every_wait_is_answered_whoever_reads() {
    for pause in [NEVER, Duration::from_micros(50)] {
        let (stub, _stand_by) = Stub::start(pause);
        thread::scope(|scope| {
            for number in 0..3 {
                let stub = &stub;
                scope.spawn(move || answer_and_wait(stub, number));
            }
        });
        assert_eq!(lock(&stub.leadership.state).waiting, 0);
    }
}

fn answer_and_wait(stub: &Stub, number: usize) {
    for round in 0..2000 {
        stub.send(Sent::Answer(number));
        if round % 7 == number {
            thread::sleep(Duration::from_micros(60));
        }
        stub.wait_for(number, if round % 5 == 0 { MayLead::No } else { MayLead::Yes });
    }
}
