#![allow(clippy::panic, reason = "a test may fail by panicking")]

use std::thread;

use super::*;

fn confirmed(channel: u16, tag: u64, is_accepted: bool, is_alone: bool) -> Item {
    Item::Confirmed(ConfirmedRange { channel, first: tag, last: tag, is_accepted, is_alone })
}

fn ranges(outgoing: &Outgoing) -> Vec<(u16, u64, u64)> {
    let WriterTask::Write(batch) = outgoing.next_task(None) else { panic!("nothing to write") };
    outgoing.note_written(&batch);
    let range = |item: &Item| match item {
        Item::Confirmed(range) => Some((range.channel, range.first, range.last)),
        _ => None,
    };
    batch.items.iter().filter_map(range).collect()
}

#[test]
fn confirms_that_follow_each_other_become_one() {
    let outgoing = Outgoing::new(4096);
    for tag in 1..=3 {
        outgoing.send(confirmed(1, tag, true, false));
    }
    outgoing.send(confirmed(1, 4, false, false));
    outgoing.send(confirmed(1, 5, true, false));
    outgoing.send(confirmed(2, 6, true, false));
    assert_eq!(ranges(&outgoing), [(1, 1, 3), (1, 4, 4), (1, 5, 5), (2, 6, 6)]);
}

#[test]
fn confirms_that_stand_alone_are_not_combined() {
    let outgoing = Outgoing::new(4096);
    outgoing.send(confirmed(1, 1, true, false));
    outgoing.send(confirmed(1, 3, true, true));
    outgoing.send(confirmed(1, 4, true, true));
    assert_eq!(ranges(&outgoing), [(1, 1, 1), (1, 3, 3), (1, 4, 4)]);
}

#[test]
fn nothing_follows_a_close() {
    let outgoing = Outgoing::new(4096);
    assert!(outgoing.close(&Close::not_allowed("no")));
    assert!(!outgoing.close(&Close::not_allowed("no")));
    outgoing.send(confirmed(1, 1, true, false));
    assert_eq!(ranges(&outgoing), []);
    assert!(!outgoing.has_room());
}

#[test]
fn deliveries_are_refused_until_half_is_written() {
    let outgoing = Outgoing::new(4096);
    assert!(outgoing.has_room());
    outgoing.send(Item::Frames(vec![0; ROOM]));
    assert!(!outgoing.has_room());
    let WriterTask::Write(batch) = outgoing.next_task(None) else { panic!("nothing to write") };
    assert!(!outgoing.has_room());
    assert!(outgoing.note_written(&batch));
    assert!(outgoing.has_room());
}

#[test]
fn full_queue_stops_the_reader_until_the_socket_is_lost() {
    let outgoing = Outgoing::new(4096);
    outgoing.send(Item::Frames(vec![0; MOST]));
    thread::scope(|scope| {
        let reader = scope.spawn(|| outgoing.wait_for_room());
        outgoing.abandon();
        assert!(!reader.join().unwrap_or(true));
    });
    assert!(matches!(outgoing.next_task(None), WriterTask::End));
}

#[test]
fn idle_writer_sends_heartbeats_and_ends_after_the_rest() {
    let outgoing = Outgoing::new(4096);
    let soon = Some(Duration::from_millis(1));
    assert!(matches!(outgoing.next_task(soon), WriterTask::Heartbeat));
    outgoing.octets(b"last");
    outgoing.end();
    assert!(matches!(outgoing.next_task(soon), WriterTask::Write(_)));
    assert!(matches!(outgoing.next_task(soon), WriterTask::End));
}
