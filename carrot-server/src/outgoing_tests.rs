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

/// Fills the queue of a peer that does not read, as far as others may fill it.
fn filled_by_others() -> Outgoing {
    let outgoing = Outgoing::new(4096);
    outgoing.send(Item::Frames(vec![0; ROOM]));
    outgoing.send(Item::Frames(vec![0; MOST_UNREAD]));
    outgoing
}

#[test]
fn peer_that_leaves_too_much_unread_is_closed() {
    let outgoing = filled_by_others();
    assert!(!outgoing.is_sealed() && !outgoing.has_overflowed());
    let WriterTask::Write(batch) = outgoing.next_task(None) else { panic!("nothing to write") };
    outgoing.send(Item::Frames(vec![0; 1]));
    assert!(outgoing.is_sealed() && outgoing.has_overflowed());
    assert!(!outgoing.is_ending(), "the peer has time to read the close");
    assert!(lock(&outgoing.state).bytes < ROOM + 1024, "the rest is dropped");
    // A reader that waits for room continues, to receive the answer to the close.
    assert!(outgoing.wait_for_room());
    outgoing.note_written(&batch);
    let WriterTask::Write(batch) = outgoing.next_task(None) else { panic!("nothing to write") };
    let [Item::Frames(octets)] = &batch.items[..] else { panic!("{batch:?}") };
    let text = String::from_utf8_lossy(octets);
    assert!(text.contains("RESOURCE_ERROR - the client does not read"), "{text}");
    outgoing.note_written(&batch);
    assert_eq!(lock(&outgoing.state).bytes, 0);
    lock(&outgoing.state).overdue_at = Some(Instant::now());
    assert!(outgoing.is_ending());
    assert!(matches!(outgoing.next_task(None), WriterTask::End));
}

#[test]
fn unread_items_that_are_written_do_not_count() {
    let outgoing = filled_by_others();
    for _ in 0..2 {
        let WriterTask::Write(batch) = outgoing.next_task(None) else { panic!("nothing to write") };
        outgoing.note_written(&batch);
    }
    outgoing.send(Item::Frames(vec![0; ROOM]));
    outgoing.send(Item::Frames(vec![0; MOST_UNREAD - ROOM]));
    outgoing.send(Item::Frames(vec![0; 1]));
    assert!(!outgoing.is_sealed());
}

#[test]
fn answers_to_the_peer_itself_never_close_it() {
    let outgoing = Outgoing::new(4096);
    for _ in 0..3 {
        outgoing.add(Item::Frames(vec![0; MOST_UNREAD]));
    }
    assert!(outgoing.is_full());
    outgoing.send(Item::Frames(vec![0; 1]));
    assert!(!outgoing.is_sealed());
}

#[test]
fn properties_count_as_much_as_the_body() {
    let outgoing = Outgoing::new(4096);
    let properties = carrot_core::Properties::new().with_wire_octets(vec![0; MOST]);
    let content = Arc::new(Content::new("", "q", "").with_properties(properties));
    outgoing.add(Item::Returned { channel: 1, content });
    assert!(outgoing.is_full());
}
