#![allow(clippy::panic, reason = "a test may fail by panicking")]

use carrot_listener::{DELIVERY_ROOM, MOST_UNREAD, MOST_WAITING, WriterTask};

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
fn properties_count_as_much_as_the_body() {
    let outgoing = Outgoing::new(4096);
    let properties = carrot_core::Properties::new().with_wire_octets(vec![0; MOST_WAITING]);
    let content = Arc::new(Content::new("", "q", "").with_properties(properties));
    outgoing.add(Item::Returned { channel: 1, content });
    assert!(outgoing.is_full());
}

#[test]
fn peer_that_does_not_read_is_closed_with_a_reason() {
    let outgoing = Outgoing::new(131_072);
    outgoing.send(Item::Frames(vec![0; DELIVERY_ROOM]));
    outgoing.send(Item::Frames(vec![0; MOST_UNREAD]));
    outgoing.send(Item::Frames(vec![0; 1]));
    let WriterTask::Write(batch) = outgoing.next_task(None) else { panic!("nothing to write") };
    let [Item::Frames(octets)] = &batch.items[..] else { panic!("{batch:?}") };
    let text = String::from_utf8_lossy(octets);
    assert!(text.contains("RESOURCE_ERROR - the client does not read"), "{text}");
}
