//! Rows of a `df.map`, read once and handed out a few at a time.
//!
//! A map starts bodies as others end, so it comes back to its rows as often as there are rows. [`RowSets`] remembers where each row
//! stands in the text: the text is fetched and read again only by who has not seen it, or has had to forget it.
//!
//! **Invariant.** What is remembered under a key is never another text: a key names a record that is written once, and committed.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use crate::value::{self, Shape};

/// Bytes of row sets that are remembered. One that is longer is remembered alone.
const ROOM: usize = 32 * 1024 * 1024;

/// A row set, and where its rows are.
#[derive(Debug)]
struct RowSet {
    text: String,
    places: Vec<Range<usize>>,
}

impl RowSet {
    /// Without rows if it is no row set.
    fn read(text: String) -> Self {
        let base = text.as_ptr() as usize;
        let places = match value::shape(&text) {
            Shape::Rows(_, rows) => rows
                .iter()
                .map(|row| row.get())
                .map(|row| row.as_ptr() as usize - base..row.as_ptr() as usize - base + row.len())
                .collect(),
            _ => Vec::new(),
        };
        Self { text, places }
    }

    fn some(&self, from: usize, most: usize) -> Vec<String> {
        let places = self.places.iter().skip(from).take(most);
        places.filter_map(|place| self.text.get(place.clone())).map(value::row_alone).collect()
    }

    fn size(&self) -> usize {
        self.text.len() + self.places.len() * size_of::<Range<usize>>()
    }
}

/// Row sets of maps that have rows left.
#[derive(Debug)]
pub struct RowSets<K> {
    known: HashMap<K, RowSet>,
    room: usize,
    read: u64,
}

impl<K> Default for RowSets<K> {
    fn default() -> Self {
        Self { known: HashMap::new(), room: ROOM, read: 0 }
    }
}

impl<K: Hash + Eq> RowSets<K> {
    /// At most so many rows of a row set, from that one on, each as a result of its own; `fetch` gives its text. With the last row
    /// it is forgotten.
    pub fn some(
        &mut self,
        key: K,
        from: usize,
        most: usize,
        fetch: impl FnOnce(&K) -> String,
    ) -> Vec<String> {
        let set = if let Some(set) = self.known.remove(&key) {
            set
        } else {
            self.read += 1;
            RowSet::read(fetch(&key))
        };
        let rows = set.some(from, most);
        if from + rows.len() < set.places.len() {
            if self.known.values().map(RowSet::size).sum::<usize>() + set.size() > self.room {
                self.known.clear();
            }
            self.known.insert(key, set);
        }
        rows
    }

    /// How often a text was fetched and read.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.known = HashMap::new();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "that is how a test fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(rows: &[String]) -> String {
        format!("{{\"rows\":[{}],\"row_count\":{}}}", rows.join(", "), rows.len())
    }

    #[test]
    fn a_map_reads_its_rows_once_however_many_groups_it_has() {
        let rows: Vec<String> = (0..1_000).map(|n| format!("{{\"n\":{n}}}")).collect();
        let mut sets = RowSets::default();
        let mut fetched = 0;
        for from in 0..=rows.len() {
            let got = sets.some("map", from, 1, |_| {
                fetched += 1;
                text(&rows)
            });
            assert_eq!(got.len(), usize::from(from < rows.len()));
        }
        // Once for the rows, and once by who asks when there are none left.
        assert_eq!((fetched, sets.read()), (2, 2));
        assert!(sets.known.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let long = format!("{{\"t\":\"{}\"}}", "x".repeat(1_000));
        let mut sets = RowSets { room: 5_000, ..RowSets::default() };
        for key in 0..20 {
            sets.some(key, 0, 1, |_| text(&[long.clone(), long.clone()]));
            assert!(sets.known.values().map(RowSet::size).sum::<usize>() <= sets.room);
        }
        sets.some(99, 0, 1, |_| text(&vec![long.clone(); 8]));
        assert_eq!(sets.known.len(), 1);
    }

    #[test]
    fn what_is_no_row_set_has_no_rows() {
        assert_eq!(RowSets::default().some(1, 0, 9, |_| "[1]".into()), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn groups_are_what_the_whole_is(
            rows in prop::collection::vec("\\{\"[a-zé]{0,3}\": *(1|\"x\\\\\"y\"|\\[1, 2\\])\\}", 0..12),
            groups in prop::collection::vec(0_usize..4, 0..12),
        ) {
            let whole = value::rows(&text(&rows)).unwrap();
            let mut sets = RowSets::default();
            let mut from = 0;
            for most in groups {
                let got = sets.some((), from, most, |()| text(&rows));
                prop_assert_eq!(&got[..], &whole[from..(from + most).min(whole.len())]);
                from += got.len();
            }
        }
    }
}
