//! The consumers of a queue, and the order in which they are served.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::queue::sink::{ConsumerKey, DeliverySink};

/// One consumer of a queue.
#[derive(Debug)]
pub(crate) struct QueueConsumer {
    pub(crate) sink: Arc<dyn DeliverySink>,
    pub(crate) priority: i64,
    /// The number of further deliveries that the consumer may hold; `None` for no limit.
    pub(crate) credit: Option<u32>,
    pub(crate) manual: bool,
    pub(crate) exclusive: bool,
}

impl QueueConsumer {
    /// Returns how many deliveries the consumer can take now.
    pub(crate) fn room(&self) -> u32 {
        self.credit.filter(|_| self.manual).unwrap_or(u32::MAX)
    }
}

#[derive(Debug)]
struct ConsumerSlot {
    serial: u32,
    consumer: QueueConsumer,
}

/// The consumers of one queue.
///
/// Consumers of the highest priority that have room are served in turn. A consumer without room
/// leaves the rotation. Once it has room again, it joins the rotation at the end.
#[derive(Debug)]
pub(crate) struct QueueConsumers {
    slots: Vec<Option<ConsumerSlot>>,
    serial: u32,
    count: usize,
    rotation: Vec<(i64, VecDeque<u32>)>,
    blocked: Vec<u32>,
    exclusive: bool,
    single_active: bool,
    active: Option<u32>,
    /// Whether the active consumer receives nothing more, because one of higher priority waits for
    /// its last settlement.
    is_fading: bool,
}

impl QueueConsumers {
    pub(crate) fn new(single_active: bool) -> QueueConsumers {
        QueueConsumers {
            slots: Vec::new(),
            serial: 0,
            count: 0,
            rotation: Vec::new(),
            blocked: Vec::new(),
            exclusive: false,
            single_active,
            active: None,
            is_fading: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether another consumer may be added.
    pub(crate) fn admits(&self, exclusive: bool) -> bool {
        if exclusive { self.is_empty() && !self.single_active } else { !self.exclusive }
    }

    pub(crate) fn add(&mut self, consumer: QueueConsumer) -> ConsumerKey {
        self.serial = self.serial.wrapping_add(1);
        self.count += 1;
        self.exclusive |= consumer.exclusive;
        let priority = consumer.priority;
        let serial = self.serial;
        let vacant = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[vacant] = Some(ConsumerSlot { serial, consumer });
        let slot = u32::try_from(vacant).unwrap_or(u32::MAX);
        self.add_to_rotation(priority, slot);
        if self.single_active && self.active.is_none() {
            self.active = Some(slot);
        }
        ConsumerKey { slot, serial }
    }

    pub(crate) fn remove(&mut self, key: ConsumerKey) -> Option<QueueConsumer> {
        self.get(key)?;
        let removed = self.slots.get_mut(key.slot as usize)?.take()?;
        self.count -= 1;
        self.exclusive = false;
        self.blocked.retain(|slot| *slot != key.slot);
        self.rotation
            .iter_mut()
            .for_each(|(_, rotation)| rotation.retain(|slot| *slot != key.slot));
        self.rotation.retain(|(_, rotation)| !rotation.is_empty());
        if self.active == Some(key.slot) {
            self.active = self.rotation.iter().find_map(|(_, rotation)| rotation.front().copied());
        }
        Some(removed.consumer)
    }

    pub(crate) fn clear(&mut self) -> Vec<QueueConsumer> {
        let removed = self.slots.drain(..).flatten().map(|slot| slot.consumer).collect();
        *self = QueueConsumers { serial: self.serial, ..QueueConsumers::new(self.single_active) };
        removed
    }

    /// Returns the consumers, each with whether it may be served.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&QueueConsumer, bool)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let active =
                !self.single_active || self.active.is_some_and(|active| active as usize == index);
            slot.as_ref().map(|slot| (&slot.consumer, active))
        })
    }

    pub(crate) fn get(&self, key: ConsumerKey) -> Option<&QueueConsumer> {
        self.slots
            .get(key.slot as usize)?
            .as_ref()
            .filter(|slot| slot.serial == key.serial)
            .map(|slot| &slot.consumer)
    }

    /// Returns the consumer to serve next, if one has room.
    pub(crate) fn next(&mut self) -> Option<ConsumerKey> {
        if self.single_active {
            let slot = self.active.filter(|slot| !self.is_fading && self.has_room(*slot))?;
            return self.key(slot);
        }
        for index in 0..self.rotation.len() {
            while let Some(&slot) = self.rotation[index].1.front() {
                if self.has_room(slot) {
                    return self.key(slot);
                }
                self.rotation[index].1.pop_front();
                self.blocked.push(slot);
            }
        }
        None
    }

    /// Activates the consumer of the highest priority, as soon as the active one holds no delivery.
    pub(crate) fn prefer_priority(&mut self, holds: impl Fn(ConsumerKey) -> bool) {
        let Some(active) = self.active else { return };
        let priority = |slot: u32| {
            let found = self.slots.get(slot as usize)?.as_ref()?;
            Some(found.consumer.priority)
        };
        let best = self.rotation.iter().find_map(|(_, rotation)| rotation.front().copied());
        let Some(best) = best.filter(|best| priority(*best) > priority(active)) else {
            self.is_fading = false;
            return;
        };
        self.is_fading = self.key(active).is_some_and(holds);
        if !self.is_fading {
            self.active = Some(best);
        }
    }

    /// Takes `key`, which was served, out of the rotation if it has no more room.
    pub(crate) fn leave_if_full(&mut self, key: ConsumerKey) {
        if !self.single_active && !self.has_room(key.slot) {
            self.skip(key);
        }
    }

    /// Notes a delivery to `key`, which was next.
    pub(crate) fn served(&mut self, key: ConsumerKey) {
        if let Some(Some(slot)) = self.slots.get_mut(key.slot as usize)
            && slot.consumer.manual
            && let Some(credit) = &mut slot.consumer.credit
        {
            *credit -= 1;
        }
        if !self.single_active
            && let Some((_, rotation)) =
                self.rotation.iter_mut().find(|(_, rotation)| rotation.front() == Some(&key.slot))
            && rotation.len() > 1
        {
            rotation.rotate_left(1);
        }
    }

    /// Takes `key`, which was next, out of the rotation because its channel is closed. Returns
    /// whether another consumer may be next.
    pub(crate) fn skip(&mut self, key: ConsumerKey) -> bool {
        if self.single_active {
            return false;
        }
        self.rotation
            .iter_mut()
            .for_each(|(_, rotation)| rotation.retain(|slot| *slot != key.slot));
        self.blocked.push(key.slot);
        true
    }

    /// Adds room for further deliveries to a consumer.
    pub(crate) fn restore(&mut self, key: ConsumerKey, deliveries: u32) {
        if let Some(Some(slot)) = self.slots.get_mut(key.slot as usize)
            && slot.serial == key.serial
            && let Some(credit) = &mut slot.consumer.credit
        {
            *credit += deliveries;
        }
    }

    /// Adds the consumers that have room again to the rotation.
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
                    self.add_to_rotation(priority, slot);
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

    fn add_to_rotation(&mut self, priority: i64, slot: u32) {
        let position = self.rotation.partition_point(|(other, _)| *other > priority);
        match self.rotation.get_mut(position) {
            Some((other, rotation)) if *other == priority => rotation.push_back(slot),
            _ => self.rotation.insert(position, (priority, VecDeque::from([slot]))),
        }
    }
}
