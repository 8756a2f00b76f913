//! Whether what happened is what was to happen.

use std::collections::BTreeMap;

use crate::oracle::{ANY, Event, Expected, How, Trace};

/// A row of the log, as it is.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: u32,
    pub key: String,
    pub value: Option<i64>,
    pub note: Option<String>,
    pub who: String,
    pub seq: i64,
}

/// An instance at its end.
#[derive(Debug, Clone, Default)]
pub struct End {
    pub status: String,
    pub result: Option<String>,
    pub message: Option<String>,
    pub state: Option<String>,
}

/// Whether a text is what is expected, of which parts may be anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What is wrong with the end, if anything is.
pub fn end(expected: &Expected, end: &End) -> Result<(), String> {
    let said = end.message.as_deref().unwrap_or_default();
    match &expected.how {
        How::Done(value) => {
            let result = end.result.as_deref().map(serde_json::from_str::<serde_json::Value>);
            if end.status != "completed" || !matches!(&result, Some(Ok(result)) if result == value) {
                return Err(format!("expected to complete with {value}, is {end:?}"));
            }
        }
        How::Failed(failure) => {
            let state = failure.state.is_none() || failure.state == end.state;
            if end.status != "failed" || !is_like(said, &failure.message) || !state {
                return Err(format!("expected to fail with {failure:?}, is {end:?}"));
            }
        }
        How::Never | How::Broke(_) => {
            if end.status != "cancelled" || !said.starts_with("canceled: ") {
                return Err(format!("expected to be cancelled, is {end:?}"));
            }
        }
    }
    Ok(())
}

/// Whether everything that surely happens has happened.
pub fn has_all(expected: &Expected, rows: &[Row]) -> bool {
    let sure = |event: &&Event| !event.maybe;
    expected.events.iter().filter(sure).all(|event| {
        let wanted = expected
            .events
            .iter()
            .filter(sure)
            .filter(|other| other.id == event.id && other.key == event.key);
        rows.iter().filter(|row| row.id == event.id && row.key == event.key).count() >= wanted.count()
    })
}

/// What is wrong with the log, if anything is.
pub fn log(expected: &Expected, who: &str, rows: &[Row]) -> Result<(), String> {
    let mut wanted: BTreeMap<(u32, &str), Vec<usize>> = BTreeMap::new();
    for (number, event) in expected.events.iter().enumerate() {
        wanted.entry((event.id, &event.key)).or_default().push(number);
    }
    let mut found: BTreeMap<(u32, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if row.who != who {
            return Err(format!("{row:?} was not written by {who}"));
        }
        found.entry((row.id, &row.key)).or_default().push(row);
    }
    for ((id, key), rows) in &found {
        if !wanted.contains_key(&(*id, *key)) {
            return Err(format!("mark {id} '{key}' is there {} times, expected 0", rows.len()));
        }
    }
    let count = |mark: &(u32, &str)| found.get(mark).map_or(0, Vec::len);
    // When each of the events that are sure was written.
    let mut times: Vec<Option<i64>> = vec![None; expected.events.len()];
    for (mark, events) in &wanted {
        let sure = events.iter().filter(|event| !expected.events[**event].maybe).count();
        let there = count(mark);
        if there < sure || there > events.len() {
            return Err(format!("mark {mark:?} is there {there} times, expected {sure} to {}", events.len()));
        }
        if sure < events.len() {
            continue;
        }
        for (event, row) in events.iter().zip(&found[mark]) {
            let wanted = &expected.events[*event];
            let note = match (&wanted.note, &row.note) {
                (None, None) => true,
                (Some(pattern), Some(text)) => is_like(text, pattern),
                _ => false,
            };
            if row.value != Some(wanted.value) || !note {
                return Err(format!("{row:?} is not {wanted:?}"));
            }
            times[*event] = Some(row.seq);
        }
    }
    let name = |event: usize| (expected.events[event].id, expected.events[event].key.as_str());
    let mut links: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (step, undo) in &expected.linked {
        links.entry((name(*step), name(*undo))).or_default().push(*undo);
    }
    for ((step, undo), all) in links {
        // Each of them is undone, and nothing else is undone so.
        if all.len() == wanted[&step].len()
            && all.len() == wanted[&undo].len()
            && count(&step) != count(&undo)
        {
            return Err(format!(
                "{step:?} was done {} times, and undone by {undo:?} {}",
                count(&step),
                count(&undo)
            ));
        }
    }
    order(&expected.trace, &times).map(|_| ()).map_err(|(before, after)| {
        format!("{:?} came after {:?}", expected.events[before], expected.events[after])
    })
}

/// The first and the last event of a part, when every sequence in it is in order; else two that are not.
fn order(trace: &Trace, times: &[Option<i64>]) -> Result<Option<(usize, usize)>, (usize, usize)> {
    let time = |event: usize| times[event].unwrap_or(0);
    match trace {
        Trace::Nothing => Ok(None),
        Trace::Event(event) => Ok(times[*event].map(|_| (*event, *event))),
        Trace::Seq(parts) => {
            let mut whole: Option<(usize, usize)> = None;
            for part in parts {
                let Some((first, last)) = order(part, times)? else { continue };
                whole = match whole {
                    Some((_, before)) if time(before) >= time(first) => return Err((before, first)),
                    Some((begin, _)) => Some((begin, last)),
                    None => Some((first, last)),
                };
            }
            Ok(whole)
        }
        Trace::Beside(parts) => {
            let mut whole: Option<(usize, usize)> = None;
            for part in parts {
                let Some((first, last)) = order(part, times)? else { continue };
                whole = match whole {
                    Some((begin, end)) => Some((
                        if time(first) < time(begin) { first } else { begin },
                        if time(last) > time(end) { last } else { end },
                    )),
                    None => Some((first, last)),
                };
            }
            Ok(whole)
        }
    }
}
