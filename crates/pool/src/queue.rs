//! Who may use a connection next.
//!
//! Every request has a key: whom it counts for. Keys that wait take turns; within a key, requests come in their order. Whatever
//! one key asks for, it holds only its share of the places, so that another key finds one. The last free place goes only to a key
//! that holds none, so that two keys together cannot hold all places, and a third one finds one.
//!
//! **Invariants.**
//! - No more places are held than there are, by one key no more than its [`share`], and the last one by a key that had none.
//! - While a place is free, no key waits that may have it.
//! - A place is given back however its request ends, also if the request went away at the moment when it got the place.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout_at;

/// Places, and those who wait for them.
#[derive(Debug)]
pub(crate) struct Queue {
    places: usize,
    /// Who may wait, at most.
    limit: usize,
    state: Mutex<State>,
    /// Nobody holds a place or waits for one.
    quiet: Notify,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<u64, usize>,
    in_use: usize,
    /// For each key that waits, its requests by number.
    lines: HashMap<u64, BTreeMap<u64, oneshot::Sender<()>>>,
    waiting: usize,
    next_number: u64,
    /// Keys that wait and hold less than their share, each once.
    turns: VecDeque<u64>,
    closed: bool,
}

/// The right to use a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    queue: Arc<Queue>,
    key: u64,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full, or the time is over.
    Busy,
    Closed,
}

/// Of so many places, how many one key may hold: a quarter, at least one, is kept for others.
pub(crate) fn share(places: usize) -> usize {
    if places <= 1 { places } else { places - (places / 4).max(1) }
}

impl Queue {
    pub fn new(places: usize, limit: usize) -> Self {
        Self { places, limit, state: Mutex::default(), quiet: Notify::new() }
    }

    /// A place, at once or when it is the key's turn.
    pub async fn enter(self: &Arc<Self>, key: u64, until: Instant) -> Result<Permit, Refused> {
        let mut waiter = {
            let mut state = self.state();
            if state.closed {
                return Err(Refused::Closed);
            }
            if state.may_take(key, self.places) {
                state.hold(key);
                return Ok(Permit { queue: Arc::clone(self), key });
            }
            if state.waiting >= self.limit {
                return Err(Refused::Busy);
            }
            let (sender, granted) = oneshot::channel();
            let number = state.wait(key, sender, share(self.places));
            Waiter { queue: self, key, number, granted, gone: false }
        };
        // Its end says nothing of a place that came at the last moment: dropping the waiter does.
        let _ = timeout_at(until.into(), &mut waiter.granted).await;
        waiter.leave().ok_or(Refused::Busy)
    }

    /// How many places are held.
    pub fn in_use(&self) -> usize {
        self.state().in_use
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Whether nobody is let in any more.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Lets nobody in any more, and waits for those who are.
    pub async fn close(&self) {
        self.state().closed = true;
        loop {
            let mut quiet = pin!(self.quiet.notified());
            quiet.as_mut().enable();
            if self.state().is_quiet() {
                return;
            }
            quiet.await;
        }
    }

    /// Gives free places to those whose turn it is.
    fn grant(&self, state: &mut State) {
        let share = share(self.places);
        while let Some(turn) = state.turns.iter().position(|key| state.may_take(*key, self.places)) {
            let Some(key) = state.turns.remove(turn) else { break };
            let Some(line) = state.lines.get_mut(&key) else { continue };
            let first = line.pop_first();
            if line.is_empty() {
                state.lines.remove(&key);
            }
            let Some((_, waiter)) = first else { continue };
            state.waiting -= 1;
            state.hold(key);
            if state.lines.contains_key(&key) && state.may_hold_more(key, share) {
                state.turns.push_back(key);
            }
            // The other end is dropped only after its waiter has left, which needs the lock.
            let _ = waiter.send(());
        }
        if state.is_quiet() {
            self.quiet.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a key may take one of the free places.
    fn may_take(&self, key: u64, places: usize) -> bool {
        match places - self.in_use {
            0 => false,
            1 => !self.held.contains_key(&key),
            _ => self.may_hold_more(key, share(places)),
        }
    }

    fn may_hold_more(&self, key: u64, share: usize) -> bool {
        self.held.get(&key).is_none_or(|held| *held < share)
    }

    fn hold(&mut self, key: u64) {
        self.in_use += 1;
        *self.held.entry(key).or_insert(0) += 1;
    }

    fn wait(&mut self, key: u64, sender: oneshot::Sender<()>, share: usize) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting += 1;
        if !self.lines.contains_key(&key) && self.may_hold_more(key, share) {
            self.turns.push_back(key);
        }
        self.lines.entry(key).or_default().insert(number, sender);
        number
    }

    /// Takes a request out of its line; `false` if it is not there, because it got a place.
    fn stop_waiting(&mut self, key: u64, number: u64) -> bool {
        let Some(line) = self.lines.get_mut(&key) else { return false };
        if line.remove(&number).is_none() {
            return false;
        }
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&key);
            self.turns.retain(|turn| *turn != key);
        }
        true
    }

    fn is_quiet(&self) -> bool {
        self.in_use == 0 && self.waiting == 0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        let had_its_share = !state.may_hold_more(self.key, share(self.queue.places));
        state.in_use -= 1;
        if let Some(held) = state.held.get_mut(&self.key) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(&self.key);
            }
        }
        if had_its_share && state.lines.contains_key(&self.key) {
            state.turns.push_back(self.key);
        }
        self.queue.grant(&mut state);
    }
}

/// A request in the queue.
struct Waiter<'a> {
    queue: &'a Arc<Queue>,
    key: u64,
    number: u64,
    granted: oneshot::Receiver<()>,
    gone: bool,
}

impl Waiter<'_> {
    /// Ends the waiting: with a place, if there was one.
    fn leave(&mut self) -> Option<Permit> {
        self.gone = true;
        let waited = self.queue.state().stop_waiting(self.key, self.number);
        if waited {
            return None;
        }
        Some(Permit { queue: Arc::clone(self.queue), key: self.key })
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if !self.gone {
            drop(self.leave());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;

    fn queue(places: usize) -> Arc<Queue> {
        Arc::new(Queue::new(places, 1_000))
    }

    fn enter(queue: &Arc<Queue>, key: u64) -> BoxFuture<'static, Result<Permit, Refused>> {
        let queue = Arc::clone(queue);
        let until = Instant::now() + Duration::from_mins(10);
        async move { queue.enter(key, until).await }.boxed()
    }

    /// Whether a place is there, without waiting.
    fn now(waiting: &mut BoxFuture<'static, Result<Permit, Refused>>) -> Option<Permit> {
        waiting.now_or_never().map(|entered| entered.unwrap())
    }

    #[test]
    fn a_quarter_is_kept_for_others_and_at_least_one() {
        let shares = [1, 2, 3, 4, 8, 16, 17].map(share);
        assert_eq!(shares, [1, 1, 2, 3, 6, 12, 13]);
    }

    #[tokio::test]
    async fn one_key_leaves_room_for_another() {
        let queue = queue(4);
        let mut greedy: Vec<_> = (0..90).map(|_| enter(&queue, 1)).collect();
        let held: Vec<_> = greedy.iter_mut().filter_map(now).collect();
        assert_eq!((held.len(), queue.in_use(), queue.waiting()), (3, 3, 87));
        let newcomer = now(&mut enter(&queue, 2)).expect("a place at once");
        // What others leave is not for who has a share already.
        drop(newcomer);
        assert_eq!(queue.in_use(), 3);
        drop(held);
        assert_eq!((queue.in_use(), queue.waiting()), (3, 84));
    }

    #[tokio::test]
    async fn two_keys_together_leave_room_for_a_third() {
        let queue = queue(8);
        let mut waiting: Vec<_> = (0..40).map(|n| enter(&queue, n % 2)).collect();
        let mut held: Vec<_> = waiting.iter_mut().filter_map(now).collect();
        assert_eq!((queue.in_use(), queue.waiting()), (7, 33));
        let newcomer = now(&mut enter(&queue, 2)).expect("a place at once");
        // The third one does not take a second place, nor do the others get the one that is kept.
        assert!(now(&mut enter(&queue, 2)).is_none());
        drop(newcomer);
        assert_eq!((queue.in_use(), queue.waiting()), (7, 33));
        // What the two give back is theirs to take again.
        drop(held.pop());
        assert_eq!((queue.in_use(), queue.waiting()), (7, 32));
    }

    #[tokio::test]
    async fn keys_take_turns_and_each_keeps_its_order() {
        let queue = queue(1);
        let mut holder = now(&mut enter(&queue, 9));
        let order = [1, 1, 1, 2, 2, 3];
        let mut waiting: Vec<_> = order.iter().map(|key| Some(enter(&queue, *key))).collect();
        assert!(waiting.iter_mut().flatten().all(|waiting| now(waiting).is_none()));
        let mut served = Vec::new();
        while holder.take().is_some() {
            let next = waiting.iter_mut().enumerate().find_map(|(number, slot)| {
                let permit = now(slot.as_mut()?)?;
                *slot = None;
                Some((number, permit))
            });
            if let Some((number, permit)) = next {
                served.push(number);
                holder = Some(permit);
            }
        }
        assert_eq!(served, [0, 3, 5, 1, 4, 2]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_closed_one_is_left_in_order() {
        let queue = Arc::new(Queue::new(1, 1));
        let holder = now(&mut enter(&queue, 1)).unwrap();
        let mut waiting = enter(&queue, 1);
        assert!(now(&mut waiting).is_none());
        assert_eq!(enter(&queue, 2).await.unwrap_err(), Refused::Busy);
        let soon = Instant::now() + Duration::from_millis(10);
        let second = Arc::new(Queue::new(1, 1));
        let _held = now(&mut enter(&second, 1)).unwrap();
        assert_eq!(second.enter(1, soon).await.unwrap_err(), Refused::Busy);
        assert_eq!(second.waiting(), 0);

        let mut closing = Box::pin(queue.close());
        assert!(closing.as_mut().now_or_never().is_none());
        assert_eq!(enter(&queue, 2).await.unwrap_err(), Refused::Closed);
        drop(holder);
        let last = now(&mut waiting).expect("who came before is served");
        assert!(closing.as_mut().now_or_never().is_none());
        drop(last);
        closing.await;
    }

    #[tokio::test]
    async fn a_place_that_came_to_someone_who_went_away_goes_on() {
        let queue = queue(1);
        let holder = now(&mut enter(&queue, 1)).unwrap();
        let (mut first, mut second) = (enter(&queue, 2), enter(&queue, 3));
        assert!(now(&mut first).is_none() && now(&mut second).is_none());
        drop(holder);
        drop(first);
        assert!(now(&mut second).is_some());
    }

    proptest! {
        #[test]
        fn whatever_happens_no_free_place_is_withheld(
            places in 1..6_usize,
            steps in prop::collection::vec((0..3_u8, 0..4_u64, any::<prop::sample::Index>()), 1..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _inside = runtime.enter();
            let queue = queue(places);
            let mut waiting = Vec::new();
            let mut held: Vec<Permit> = Vec::new();
            for (step, key, which) in steps {
                match step {
                    0 => waiting.push((key, enter(&queue, key))),
                    1 if !waiting.is_empty() => drop(waiting.swap_remove(which.index(waiting.len()))),
                    2 if !held.is_empty() => drop(held.swap_remove(which.index(held.len()))),
                    _ => {}
                }
                waiting.retain_mut(|(_, waiting)| now(waiting).map(|permit| held.push(permit)).is_none());
                let holds = |key| held.iter().filter(|permit| permit.key == key).count();
                prop_assert_eq!(queue.in_use(), held.len());
                prop_assert_eq!(queue.waiting(), waiting.len());
                prop_assert!(held.len() <= places);
                prop_assert!((0..4).all(|key| holds(key) <= share(places)));
                let (free, share) = (places - held.len(), share(places));
                let may_wait = |held| held == share || free == 1 && held > 0;
                prop_assert!(free == 0 || waiting.iter().all(|(key, _)| may_wait(holds(*key))));
            }
            drop((waiting, held));
            prop_assert!(queue.state().is_quiet() && queue.state().held.is_empty());
        }
    }
}
