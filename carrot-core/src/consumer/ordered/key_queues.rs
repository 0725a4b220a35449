use std::collections::{HashMap, VecDeque};

/// The key of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum OrderKey {
    /// The hash of the program's key. Two keys with one hash wait for each other.
    Hash(u64),
    /// The number of a message that waits for no other.
    Alone(u64),
}

/// Items in order of their arrival, by key. Only keys with items are remembered.
#[derive(Debug)]
pub(super) struct KeyQueues<T> {
    queues: HashMap<OrderKey, KeyQueue<T>>,
    /// The keys that are [`Ready`](Activity::Ready).
    ready: VecDeque<OrderKey>,
    waiting: usize,
    paused: usize,
    pauses: u64,
}

#[derive(Debug)]
struct KeyQueue<T> {
    items: VecDeque<T>,
    activity: Activity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// The first item can be taken.
    Ready,
    /// An item was taken, and the key is not finished.
    Handled,
    /// The first item waits for the end of the pause of this number.
    Paused(u64),
}

impl<T> Default for KeyQueues<T> {
    fn default() -> KeyQueues<T> {
        KeyQueues {
            queues: HashMap::new(),
            ready: VecDeque::new(),
            waiting: 0,
            paused: 0,
            pauses: 0,
        }
    }
}

impl<T> KeyQueues<T> {
    /// Returns the number of items that were not taken.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the number of keys of which an item can be taken.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Returns the number of keys that pause.
    pub(super) fn paused(&self) -> usize {
        self.paused
    }

    /// Adds the last item of a key.
    pub(super) fn push(&mut self, key: OrderKey, item: T) {
        self.waiting += 1;
        let ready = &mut self.ready;
        let queue = self.queues.entry(key).or_insert_with(|| {
            ready.push_back(key);
            KeyQueue { items: VecDeque::new(), activity: Activity::Ready }
        });
        queue.items.push_back(item);
    }

    /// Takes the first item of the key that has been ready for the longest time. No other item of
    /// the key is taken before [`finish`](KeyQueues::finish), [`try_again`](KeyQueues::try_again)
    /// or [`pause`](KeyQueues::pause).
    pub(super) fn take(&mut self) -> Option<(OrderKey, T)> {
        let key = self.ready.pop_front()?;
        let queue = self.queues.get_mut(&key)?;
        let item = queue.items.pop_front()?;
        queue.activity = Activity::Handled;
        self.waiting -= 1;
        Some((key, item))
    }

    /// Ends the handling of the item that was taken. Does nothing if it ended in another way.
    pub(super) fn finish(&mut self, key: OrderKey) {
        let Some(queue) = self.queues.get_mut(&key) else { return };
        if queue.activity != Activity::Handled {
            return;
        }
        if queue.items.is_empty() {
            self.queues.remove(&key);
            return;
        }
        queue.activity = Activity::Ready;
        self.ready.push_back(key);
    }

    /// Puts an item that was taken before the others of its key, which can be taken again.
    pub(super) fn try_again(&mut self, key: OrderKey, item: T) {
        self.put_back(key, item, Activity::Ready);
        self.ready.push_back(key);
    }

    /// Puts an item that was taken before the others of its key, of which none can be taken.
    /// Returns the number with which to [`resume`](KeyQueues::resume).
    pub(super) fn pause(&mut self, key: OrderKey, item: T) -> u64 {
        self.pauses += 1;
        self.paused += 1;
        self.put_back(key, item, Activity::Paused(self.pauses));
        self.pauses
    }

    fn put_back(&mut self, key: OrderKey, item: T, activity: Activity) {
        self.waiting += 1;
        let queue =
            self.queues.entry(key).or_insert_with(|| KeyQueue { items: VecDeque::new(), activity });
        queue.items.push_front(item);
        queue.activity = activity;
    }

    /// Ends the pause of this number, if the key still has it.
    pub(super) fn resume(&mut self, key: OrderKey, pause: u64) {
        if let Some(queue) = self.queues.get_mut(&key)
            && queue.activity == Activity::Paused(pause)
        {
            queue.activity = Activity::Ready;
            self.paused -= 1;
            self.ready.push_back(key);
        }
    }

    /// Removes and returns the items that were not taken, and that `unwanted` is true for. The
    /// pause of a key whose first item is removed ends.
    pub(super) fn remove(&mut self, unwanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        let (ready, paused) = (&mut self.ready, &mut self.paused);
        self.queues.retain(|key, queue| {
            let first = queue.items.front().is_some_and(&unwanted);
            let items = std::mem::take(&mut queue.items);
            let (gone, kept) = items.into_iter().partition::<VecDeque<_>, _>(&unwanted);
            removed.extend(gone);
            queue.items = kept;
            if first && matches!(queue.activity, Activity::Paused(_)) {
                queue.activity = Activity::Ready;
                *paused -= 1;
                ready.push_back(*key);
            }
            !queue.items.is_empty() || queue.activity == Activity::Handled
        });
        let queues = &self.queues;
        self.ready.retain(|key| queues.contains_key(key));
        self.waiting -= removed.len();
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> OrderKey {
        OrderKey::Hash(number)
    }

    fn queues(items: impl IntoIterator<Item = (u64, u32)>) -> KeyQueues<u32> {
        let mut queues = KeyQueues::default();
        items.into_iter().for_each(|(number, item)| queues.push(key(number), item));
        queues
    }

    fn taken(queues: &mut KeyQueues<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queues.take()).map(|(_, item)| item).collect()
    }

    #[test]
    fn taken_key_has_no_second_item_until_it_is_finished() {
        let mut queues = queues([(1, 10), (1, 11), (2, 20), (1, 12)]);
        assert_eq!(taken(&mut queues), [10, 20]);
        queues.push(key(1), 13);
        assert_eq!((taken(&mut queues), queues.waiting()), (vec![], 3));
        queues.finish(key(1));
        queues.finish(key(2));
        queues.finish(key(2));
        assert_eq!(taken(&mut queues), [11]);
        assert_eq!((queues.queues.len(), queues.waiting()), (1, 2));
    }

    #[test]
    fn finished_key_waits_behind_keys_that_are_ready() {
        let mut queues = queues([(1, 10), (1, 11), (2, 20)]);
        assert_eq!(queues.take(), Some((key(1), 10)));
        queues.finish(key(1));
        assert_eq!(taken(&mut queues), [20, 11]);
    }

    #[test]
    fn paused_key_stands_still_until_its_own_pause_ends() {
        let mut queues = queues([(1, 10), (1, 11), (2, 20)]);
        assert_eq!(queues.take(), Some((key(1), 10)));
        let pause = queues.pause(key(1), 10);
        queues.finish(key(1));
        assert_eq!((taken(&mut queues), queues.paused()), (vec![20], 1));
        queues.resume(key(1), pause + 1);
        queues.resume(key(2), pause);
        assert_eq!(queues.take(), None);
        queues.resume(key(1), pause);
        queues.resume(key(1), pause);
        assert_eq!((taken(&mut queues), queues.paused()), (vec![10], 0));
        queues.finish(key(1));
        assert_eq!(taken(&mut queues), [11]);
    }

    #[test]
    fn item_that_is_tried_again_is_before_the_others_of_its_key() {
        let mut queues = queues([(1, 10), (1, 11), (2, 20)]);
        assert_eq!(queues.take(), Some((key(1), 10)));
        queues.try_again(key(1), 10);
        queues.finish(key(1));
        assert_eq!(taken(&mut queues), [20, 10]);
        queues.finish(key(1));
        assert_eq!(taken(&mut queues), [11]);
    }

    #[test]
    fn removed_items_end_their_pause_and_empty_keys_are_forgotten() {
        let mut queues = queues([(1, 10), (1, 11), (2, 20), (3, 30), (4, 40), (4, 41)]);
        for _ in 0..2 {
            let (key, item) = queues.take().unwrap_or((key(0), 0));
            queues.pause(key, item);
        }
        assert_eq!(queues.take(), Some((key(3), 30)));
        let mut removed = queues.remove(|item| [10, 20, 40, 41].contains(item));
        removed.sort_unstable();
        assert_eq!(removed, [10, 20, 40, 41]);
        assert_eq!((queues.waiting(), queues.paused(), queues.queues.len()), (1, 0, 2));
        assert_eq!(taken(&mut queues), [11]);
        [1, 3].into_iter().for_each(|number| queues.finish(key(number)));
        assert!(queues.queues.is_empty() && queues.ready.is_empty());
    }
}
