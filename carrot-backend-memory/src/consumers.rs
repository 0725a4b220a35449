//! Which consumer of a queue is served next.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::channel::Channel;

/// Names one consumer of one queue, also after another took its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumerKey {
    serial: u32,
    slot: u32,
}

impl ConsumerKey {
    /// Nobody: a message taken by `get`.
    pub(crate) const NONE: ConsumerKey = ConsumerKey { slot: u32::MAX, serial: 0 };
}

/// One consumer, as its queue sees it.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) channel: Arc<Channel>,
    /// Its number among the subscriptions of its channel.
    pub(crate) stream: u64,
    pub(crate) priority: i64,
    /// How many more deliveries it may hold; `None` for no limit.
    pub(crate) credit: Option<u32>,
    pub(crate) manual: bool,
    pub(crate) exclusive: bool,
}

impl Consumer {
    /// How many deliveries it can take now.
    pub(crate) fn room(&self) -> u32 {
        self.credit.filter(|_| self.manual).unwrap_or(u32::MAX)
    }
}

#[derive(Debug)]
struct Slot {
    serial: u32,
    consumer: Consumer,
}

/// The consumers of one queue. Those of the highest priority that have room are served in turn; one without room steps out of the line,
/// and when it has room again, joins at its end.
#[derive(Debug)]
pub(crate) struct Consumers {
    slots: Vec<Option<Slot>>,
    serial: u32,
    count: usize,
    line: Vec<(i64, VecDeque<u32>)>,
    blocked: Vec<u32>,
    exclusive: bool,
    single_active: bool,
    active: Option<u32>,
}

impl Consumers {
    pub(crate) fn new(single_active: bool) -> Consumers {
        Consumers {
            slots: Vec::new(),
            serial: 0,
            count: 0,
            line: Vec::new(),
            blocked: Vec::new(),
            exclusive: false,
            single_active,
            active: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether one more, `exclusive` or not, may join.
    pub(crate) fn admits(&self, exclusive: bool) -> bool {
        if exclusive { self.is_empty() && !self.single_active } else { !self.exclusive }
    }

    pub(crate) fn add(&mut self, consumer: Consumer) -> ConsumerKey {
        self.serial = self.serial.wrapping_add(1);
        self.count += 1;
        self.exclusive |= consumer.exclusive;
        let priority = consumer.priority;
        let serial = self.serial;
        let vacant = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[vacant] = Some(Slot { serial, consumer });
        let slot = u32::try_from(vacant).unwrap_or(u32::MAX);
        self.join(priority, slot);
        if self.single_active && self.active.is_none() {
            self.active = Some(slot);
        }
        ConsumerKey { slot, serial }
    }

    pub(crate) fn remove(&mut self, key: ConsumerKey) -> Option<Consumer> {
        self.get(key)?;
        let removed = self.slots.get_mut(key.slot as usize)?.take()?;
        self.count -= 1;
        self.exclusive = false;
        self.blocked.retain(|slot| *slot != key.slot);
        self.line.iter_mut().for_each(|(_, line)| line.retain(|slot| *slot != key.slot));
        self.line.retain(|(_, line)| !line.is_empty());
        if self.active == Some(key.slot) {
            self.active = self.line.iter().find_map(|(_, line)| line.front().copied());
        }
        Some(removed.consumer)
    }

    pub(crate) fn clear(&mut self) -> Vec<Consumer> {
        let removed = self.slots.drain(..).flatten().map(|slot| slot.consumer).collect();
        *self = Consumers { serial: self.serial, ..Consumers::new(self.single_active) };
        removed
    }

    /// All of them, each with whether it is being served.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Consumer, bool)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let active =
                !self.single_active || self.active.is_some_and(|active| active as usize == index);
            slot.as_ref().map(|slot| (&slot.consumer, active))
        })
    }

    pub(crate) fn get(&self, key: ConsumerKey) -> Option<&Consumer> {
        self.slots
            .get(key.slot as usize)?
            .as_ref()
            .filter(|slot| slot.serial == key.serial)
            .map(|slot| &slot.consumer)
    }

    /// The only one there is, if there is one alone.
    pub(crate) fn alone(&self) -> Option<(ConsumerKey, &Consumer)> {
        if self.count != 1 {
            return None;
        }
        let slot = self.line.iter().find_map(|(_, line)| line.front()).or(self.blocked.first())?;
        let key = self.key(*slot)?;
        self.get(key).map(|consumer| (key, consumer))
    }

    /// Who is served next, if anybody has room.
    pub(crate) fn next(&mut self) -> Option<ConsumerKey> {
        if self.single_active {
            let slot = self.active.filter(|slot| self.has_room(*slot))?;
            return self.key(slot);
        }
        for index in 0..self.line.len() {
            while let Some(&slot) = self.line[index].1.front() {
                if self.has_room(slot) {
                    return self.key(slot);
                }
                self.line[index].1.pop_front();
                self.blocked.push(slot);
            }
        }
        None
    }

    /// Takes note that `key`, which was next, got a delivery.
    pub(crate) fn served(&mut self, key: ConsumerKey) {
        if let Some(Some(slot)) = self.slots.get_mut(key.slot as usize)
            && slot.consumer.manual
            && let Some(credit) = &mut slot.consumer.credit
        {
            *credit -= 1;
        }
        if !self.single_active
            && let Some((_, line)) =
                self.line.iter_mut().find(|(_, line)| line.front() == Some(&key.slot))
            && line.len() > 1
        {
            line.rotate_left(1);
        }
    }

    /// Takes note that `key` got so many deliveries, and gave room for others back.
    pub(crate) fn served_alone(&mut self, key: ConsumerKey, deliveries: u32) {
        if let Some(Some(slot)) = self.slots.get_mut(key.slot as usize)
            && slot.consumer.manual
            && let Some(credit) = &mut slot.consumer.credit
        {
            *credit -= deliveries;
        }
    }

    /// Takes `key`, which was next, out of the line, since its channel is gone; whether another may be next.
    pub(crate) fn skip(&mut self, key: ConsumerKey) -> bool {
        if self.single_active {
            return false;
        }
        self.line.iter_mut().for_each(|(_, line)| line.retain(|slot| *slot != key.slot));
        self.blocked.push(key.slot);
        true
    }

    /// Gives room for so many more deliveries back to a consumer.
    pub(crate) fn restore(&mut self, key: ConsumerKey, deliveries: u32) {
        if let Some(Some(slot)) = self.slots.get_mut(key.slot as usize)
            && slot.serial == key.serial
            && let Some(credit) = &mut slot.consumer.credit
        {
            *credit += deliveries;
        }
    }

    /// Lets those who have room again join the line.
    pub(crate) fn unblock(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        let mut index = 0;
        while let Some(&slot) = self.blocked.get(index) {
            match self.slots.get(slot as usize) {
                Some(Some(found)) if self.has_room(slot) => {
                    let priority = found.consumer.priority;
                    self.blocked.remove(index);
                    self.join(priority, slot);
                }
                _ => index += 1,
            }
        }
    }

    fn key(&self, slot: u32) -> Option<ConsumerKey> {
        self.slots
            .get(slot as usize)?
            .as_ref()
            .map(|found| ConsumerKey { slot, serial: found.serial })
    }

    fn has_room(&self, slot: u32) -> bool {
        let Some(Some(found)) = self.slots.get(slot as usize) else { return false };
        found.consumer.room() > 0
    }

    fn join(&mut self, priority: i64, slot: u32) {
        let position = self.line.partition_point(|(other, _)| *other > priority);
        match self.line.get_mut(position) {
            Some((other, line)) if *other == priority => line.push_back(slot),
            _ => self.line.insert(position, (priority, VecDeque::from([slot]))),
        }
    }
}
