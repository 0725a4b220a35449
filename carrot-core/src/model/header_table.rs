use std::{array, slice};

use indexmap::IndexMap;

use crate::model::short_string::ShortString;

/// The number of names that a table holds without a map. Most messages have fewer headers.
const FEW: usize = 4;

type Entry<V> = (ShortString, V);

/// Names and values in the order in which the names were set. A few are compared one by one, which
/// takes one allocation and no hash.
#[derive(Debug, Clone)]
pub(super) enum HeaderTable<V> {
    /// The entries, followed by `None`.
    Few([Option<Entry<V>>; FEW]),
    /// Any number of entries.
    Many(IndexMap<ShortString, V>),
}

impl<V> HeaderTable<V> {
    /// Creates a table of one name.
    #[inline]
    pub(super) fn of_one(name: ShortString, value: V) -> HeaderTable<V> {
        let mut entries: [Option<Entry<V>>; FEW] = Default::default();
        entries[0] = Some((name, value));
        HeaderTable::Few(entries)
    }

    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        match self {
            HeaderTable::Few(entries) => {
                for (known, value) in entries.iter().map_while(Option::as_ref) {
                    if known.as_bytes() == name.as_bytes() {
                        return Some(value);
                    }
                }
                None
            }
            HeaderTable::Many(map) => map.get(name),
        }
    }

    /// Sets a name, and returns its former value.
    pub(super) fn insert(&mut self, name: ShortString, value: V) -> Option<V> {
        let entries = match self {
            HeaderTable::Few(entries) => entries,
            HeaderTable::Many(map) => return map.insert(name, value),
        };
        for place in &mut *entries {
            match place {
                Some((known, former)) if *known == name => {
                    return Some(std::mem::replace(former, value));
                }
                Some(_) => {}
                None => {
                    *place = Some((name, value));
                    return None;
                }
            }
        }
        let mut map: IndexMap<_, _> = entries.iter_mut().filter_map(Option::take).collect();
        map.insert(name, value);
        *self = HeaderTable::Many(map);
        None
    }

    /// Removes a name, and returns its value. The other names keep their order.
    pub(super) fn remove(&mut self, name: &str) -> Option<V> {
        match self {
            HeaderTable::Few(entries) => {
                let is_name = |entry: &Option<Entry<V>>| {
                    entry.as_ref().is_some_and(|(known, _)| known == name)
                };
                let at = entries.iter().position(is_name)?;
                let rest = entries.get_mut(at..)?;
                rest.rotate_left(1);
                rest.last_mut()?.take().map(|(_, value)| value)
            }
            HeaderTable::Many(map) => map.shift_remove(name),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            HeaderTable::Few(entries) => entries.iter().map_while(Option::as_ref).count(),
            HeaderTable::Many(map) => map.len(),
        }
    }

    #[inline]
    pub(super) fn iter(&self) -> TableEntries<'_, V> {
        match self {
            HeaderTable::Few(entries) => TableEntries::Few(entries.iter()),
            HeaderTable::Many(map) => TableEntries::Many(map.iter()),
        }
    }
}

impl<V> Default for HeaderTable<V> {
    fn default() -> HeaderTable<V> {
        HeaderTable::Few(Default::default())
    }
}

/// Tables are equal if they hold the same names and values, in any order.
impl<V: PartialEq> PartialEq for HeaderTable<V> {
    fn eq(&self, other: &HeaderTable<V>) -> bool {
        let is_in_other = |(name, value): (&ShortString, &V)| match other {
            HeaderTable::Few(entries) => entries
                .iter()
                .map_while(Option::as_ref)
                .any(|entry| entry.0 == *name && entry.1 == *value),
            HeaderTable::Many(map) => map.get(name) == Some(value),
        };
        self.len() == other.len() && self.iter().all(is_in_other)
    }
}

impl<V> IntoIterator for HeaderTable<V> {
    type Item = Entry<V>;
    type IntoIter = OwnedEntries<V>;

    fn into_iter(self) -> OwnedEntries<V> {
        match self {
            HeaderTable::Few(entries) => OwnedEntries::Few(entries.into_iter()),
            HeaderTable::Many(map) => OwnedEntries::Many(map.into_iter()),
        }
    }
}

/// An iterator over the names and values of a table, which it owns.
#[derive(Debug)]
pub(super) enum OwnedEntries<V> {
    Few(array::IntoIter<Option<Entry<V>>, FEW>),
    Many(indexmap::map::IntoIter<ShortString, V>),
}

impl<V> Iterator for OwnedEntries<V> {
    type Item = Entry<V>;

    fn next(&mut self) -> Option<Entry<V>> {
        match self {
            OwnedEntries::Few(entries) => entries.next()?,
            OwnedEntries::Many(entries) => entries.next(),
        }
    }
}

/// An iterator over the names and values of a table.
#[derive(Debug, Clone)]
pub(super) enum TableEntries<'a, V> {
    Few(slice::Iter<'a, Option<Entry<V>>>),
    Many(indexmap::map::Iter<'a, ShortString, V>),
}

impl<'a, V> Iterator for TableEntries<'a, V> {
    type Item = (&'a ShortString, &'a V);

    #[inline]
    fn next(&mut self) -> Option<(&'a ShortString, &'a V)> {
        match self {
            TableEntries::Few(entries) => {
                entries.next()?.as_ref().map(|(name, value)| (name, value))
            }
            TableEntries::Many(entries) => entries.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            TableEntries::Few(entries) => entries.clone().map_while(Option::as_ref).count(),
            TableEntries::Many(entries) => entries.len(),
        };
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A change of a table, of a few names that often occur again.
    #[derive(Debug, Clone)]
    enum Change {
        Insert(u8, i32),
        Remove(u8),
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let insert = (0_u8..8, any::<i32>()).prop_map(|(name, value)| Change::Insert(name, value));
        let remove = (0_u8..8).prop_map(Change::Remove);
        prop::collection::vec(prop_oneof![3 => insert, 1 => remove], 0..24)
    }

    proptest! {
        #[test]
        fn table_behaves_as_a_map_that_keeps_the_order(changes in changes()) {
            let mut table = HeaderTable::default();
            let mut map: IndexMap<ShortString, i32> = IndexMap::new();
            for change in changes {
                match change {
                    Change::Insert(name, value) => {
                        let name = ShortString::from(name.to_string());
                        let former = map.insert(name.clone(), value);
                        prop_assert_eq!(table.insert(name, value), former);
                    }
                    Change::Remove(name) => {
                        let name = name.to_string();
                        prop_assert_eq!(table.remove(&name), map.shift_remove(&*name));
                    }
                }
                prop_assert_eq!(table.len(), map.len());
                prop_assert_eq!(table.iter().size_hint(), (map.len(), Some(map.len())));
                prop_assert!(table.iter().eq(map.iter()));
                prop_assert!(table.clone().into_iter().eq(map.clone()));
                for name in 0..8 {
                    let name = name.to_string();
                    prop_assert_eq!(table.get(&name), map.get(&*name));
                }
                let mut reversed = HeaderTable::default();
                if let Some((name, value)) = map.first() {
                    let mut first = HeaderTable::of_one(name.clone(), *value);
                    for (name, value) in &map {
                        first.insert(name.clone(), *value);
                    }
                    prop_assert!(first.iter().eq(map.iter()));
                }
                for (name, value) in map.iter().rev() {
                    reversed.insert(name.clone(), *value);
                }
                prop_assert_eq!(&table, &reversed);
                reversed.insert("other".into(), 0);
                prop_assert_ne!(&table, &reversed);
            }
        }
    }
}
