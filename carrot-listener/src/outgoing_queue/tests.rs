#![allow(clippy::panic, reason = "a test may fail by panicking")]

use std::thread;

use super::*;

/// A range of numbers, and its size in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Numbers(u64, u64, usize);

impl OutgoingItem for Numbers {
    fn size(&self) -> usize {
        self.2
    }

    fn extend(&mut self, next: &Numbers) -> bool {
        let follows = self.1 + 1 == next.0;
        if follows {
            self.1 = next.1;
            self.2 += 1;
        }
        follows
    }

    fn end_of_unread(_: usize) -> Option<Numbers> {
        Some(Numbers(u64::MAX, u64::MAX, 1))
    }
}

fn take(queue: &OutgoingQueue<Numbers>) -> WriteBatch<Numbers> {
    let WriterTask::Write(batch) = queue.next_task(None) else { panic!("nothing to write") };
    batch
}

#[test]
fn items_that_follow_each_other_become_one() {
    let queue = OutgoingQueue::default();
    for number in [1, 2, 3, 5] {
        queue.send(Numbers(number, number, 10));
    }
    let batch = take(&queue);
    assert_eq!(batch.items, [Numbers(1, 3, 12), Numbers(5, 5, 10)]);
    // The queue has counted what the items have grown.
    queue.note_written(&batch);
    assert_eq!(lock(&queue.state).bytes, 0);
}

#[test]
fn nothing_follows_the_last_item() {
    let queue = OutgoingQueue::default();
    assert!(queue.seal(Some(Numbers(1, 1, 1))));
    assert!(!queue.seal(Some(Numbers(2, 2, 1))));
    queue.send(Numbers(3, 3, 1));
    assert_eq!(take(&queue).items, [Numbers(1, 1, 1)]);
    assert!(!queue.has_room());
}

#[test]
fn deliveries_are_refused_until_half_is_written() {
    let queue = OutgoingQueue::default();
    assert!(queue.has_room());
    queue.send(Numbers(1, 1, DELIVERY_ROOM));
    assert!(!queue.has_room());
    let batch = take(&queue);
    assert!(!queue.has_room());
    assert!(queue.note_written(&batch));
    assert!(queue.has_room());
}

#[test]
fn full_queue_stops_those_who_wait_until_the_socket_is_lost() {
    let queue = OutgoingQueue::default();
    queue.send(Numbers(1, 1, MOST_WAITING));
    assert!(!queue.wait_for_room_within(Duration::from_millis(1)));
    thread::scope(|scope| {
        let reader = scope.spawn(|| queue.wait_for_room());
        let sender = scope.spawn(|| queue.wait_for_room_within(Duration::from_secs(60)));
        queue.abandon();
        assert!(!reader.join().unwrap_or(true));
        assert!(sender.join().unwrap_or(false));
    });
    assert!(matches!(queue.next_task(None), WriterTask::End));
}

#[test]
fn idle_writer_is_told_of_heartbeats_and_ends_after_the_rest() {
    let queue = OutgoingQueue::default();
    let soon = Some(Duration::from_millis(1));
    assert!(matches!(queue.next_task(soon), WriterTask::Heartbeat));
    queue.add(Numbers(1, 1, 1));
    queue.end();
    assert!(matches!(queue.next_task(soon), WriterTask::Write(_)));
    assert!(matches!(queue.next_task(soon), WriterTask::End));
}

/// Fills the queue of a peer that does not read, as far as others may fill it.
fn filled_by_others() -> OutgoingQueue<Numbers> {
    let queue = OutgoingQueue::default();
    queue.send(Numbers(1, 1, DELIVERY_ROOM));
    queue.send(Numbers(3, 3, MOST_UNREAD));
    queue
}

#[test]
fn peer_that_leaves_too_much_unread_is_ended() {
    let queue = filled_by_others();
    assert!(!queue.is_sealed() && !queue.has_overflowed());
    let batch = take(&queue);
    queue.send(Numbers(5, 5, 1));
    assert!(queue.is_sealed() && queue.has_overflowed());
    assert!(!queue.is_ending(), "the peer has time to read the last item");
    assert!(lock(&queue.state).bytes <= DELIVERY_ROOM + 1, "the rest is dropped");
    // A reader that waits for room continues, to receive the answer to the last item.
    assert!(queue.wait_for_room());
    queue.note_written(&batch);
    let batch = take(&queue);
    assert_eq!(batch.items, [Numbers(u64::MAX, u64::MAX, 1)]);
    queue.note_written(&batch);
    assert_eq!(lock(&queue.state).bytes, 0);
    lock(&queue.state).overdue_at = Some(Instant::now());
    assert!(queue.is_ending());
    assert!(matches!(queue.next_task(None), WriterTask::End));
}

#[test]
fn unread_items_that_are_written_do_not_count() {
    let queue = filled_by_others();
    for _ in 0..2 {
        let batch = take(&queue);
        queue.note_written(&batch);
    }
    queue.send(Numbers(5, 5, DELIVERY_ROOM));
    queue.send(Numbers(7, 7, MOST_UNREAD - DELIVERY_ROOM));
    queue.send(Numbers(9, 9, 1));
    assert!(!queue.is_sealed());
}

#[test]
fn answers_to_the_peer_itself_never_end_it() {
    let queue = OutgoingQueue::default();
    for number in [1, 3, 5] {
        queue.add_and_wake(Numbers(number, number, MOST_UNREAD));
    }
    assert!(queue.is_full());
    queue.send(Numbers(7, 7, 1));
    assert!(!queue.is_sealed());
}

/// Waits until the writer waits for something to write.
fn wait_for_writer(queue: &OutgoingQueue<Numbers>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !lock(&queue.state).is_writer_waiting {
        assert!(Instant::now() < deadline, "the writer does not wait");
        thread::sleep(Duration::from_micros(100));
    }
}

/// Runs `test` while a writer waits. Returns the first task of the writer.
fn beside_writer(queue: &OutgoingQueue<Numbers>, test: impl FnOnce()) -> WriterTask<Numbers> {
    /// Ends the writer of a test that has failed.
    struct EndOfWriter<'q>(&'q OutgoingQueue<Numbers>);

    impl Drop for EndOfWriter<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.abandon();
            }
        }
    }

    thread::scope(|scope| {
        let writer = scope.spawn(|| queue.next_task(None));
        let end = EndOfWriter(queue);
        wait_for_writer(queue);
        test();
        drop(end);
        writer.join().unwrap_or(WriterTask::End)
    })
}

fn items(task: WriterTask<Numbers>) -> Vec<Numbers> {
    let WriterTask::Write(batch) = task else { panic!("nothing to write: {task:?}") };
    batch.items
}

#[test]
fn busy_writer_leaves_no_turn() {
    let queue = OutgoingQueue::default();
    assert!(queue.add_or_take_turn(Numbers(1, 1, 1)).is_none());
    assert_eq!(take(&queue).items, [Numbers(1, 1, 1)]);
}

#[test]
fn item_that_was_written_in_a_turn_is_not_written_again() {
    let queue = OutgoingQueue::default();
    let task = beside_writer(&queue, || {
        let turn = queue.add_or_take_turn(Numbers(1, 1, 10));
        assert_eq!(lock(&queue.state).bytes, 10);
        turn.into_iter().for_each(|turn| turn.write(|_| true));
        assert_eq!(lock(&queue.state).bytes, 0);
        queue.add_and_wake(Numbers(3, 3, 1));
    });
    assert_eq!(items(task), [Numbers(3, 3, 1)]);
}

#[test]
fn rest_of_a_turn_comes_before_what_others_have_added() {
    let queue = OutgoingQueue::default();
    let task = beside_writer(&queue, || {
        let turn = queue.add_or_take_turn(Numbers(1, 1, 10));
        assert!(queue.add_or_take_turn(Numbers(3, 3, 10)).is_none());
        queue.add_and_wake(Numbers(5, 5, 10));
        turn.into_iter().for_each(|turn| turn.write(|_| false));
    });
    let expected = [Numbers(1, 1, 10), Numbers(3, 3, 10), Numbers(5, 5, 10)];
    assert_eq!(items(task), expected);
    assert_eq!(lock(&queue.state).bytes, 30);
}

#[test]
fn writer_waits_for_the_end_of_a_turn() {
    let queue = OutgoingQueue::default();
    let task = beside_writer(&queue, || {
        let turn = queue.add_or_take_turn(Numbers(1, 1, 1));
        assert!(turn.is_some());
        queue.end();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !lock(&queue.state).is_turn_awaited {
            assert!(Instant::now() < deadline, "the writer has not waited");
            thread::sleep(Duration::from_micros(100));
        }
        turn.into_iter().for_each(|turn| turn.write(|_| true));
    });
    assert!(matches!(task, WriterTask::End));
}

#[test]
fn turn_over_a_lost_socket_leaves_nothing() {
    let queue = OutgoingQueue::default();
    let task = beside_writer(&queue, || {
        let turn = queue.add_or_take_turn(Numbers(1, 1, 1));
        queue.abandon();
        drop(turn);
    });
    assert!(matches!(task, WriterTask::End));
    assert!(lock(&queue.state).items.is_empty());
}

#[test]
fn full_queue_has_room_after_a_large_item_of_a_turn() {
    let queue = OutgoingQueue::default();
    let task = beside_writer(&queue, || {
        let turn = queue.add_or_take_turn(Numbers(1, 1, MOST_WAITING));
        assert!(queue.is_full() && turn.is_some());
        thread::scope(|scope| {
            let sender = scope.spawn(|| queue.wait_for_room_within(Duration::from_secs(60)));
            turn.into_iter().for_each(|turn| turn.write(|_| true));
            assert!(sender.join().unwrap_or(false));
        });
        assert!(!queue.is_full());
        queue.end();
    });
    assert!(matches!(task, WriterTask::End));
}
