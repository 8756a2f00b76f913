//! Random functions: what they are, how they are made, and smaller ones.
//!
//! Each step that has an effect has a number of its own. Names of results say what kind of result they have: `q…` one row with the
//! column `v`, `r…` several, `s…` a signal, `t…` a signal that may not have come, `j…` an array, `i…` a row of a map.

use postern_e2e::Random;

/// Something that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    Column(String),
    Optional(String),
    Sum(String),
    Data(String),
    Late(String),
    Length(String),
    Item(u32),
    Variable,
}

/// A number: a constant and what is added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    pub constant: i64,
    pub uses: Vec<Use>,
}

/// A function, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Writes its number into the log; with the message of the failure that a handler sees.
    Mark {
        id: u32,
        expr: Expr,
        error: bool,
    },
    /// Writes into the log, and fails.
    Spoil {
        id: u32,
    },
    Pick {
        expr: Expr,
    },
    Odd {
        expr: Expr,
    },
    /// Whether the mark of that number is in the log less often.
    Below {
        of: u32,
        count: i64,
    },
    Boom {
        id: u32,
    },
    /// Fails while the mark of that number is not in the log more often.
    Until {
        of: u32,
        count: i64,
    },
    Rows {
        count: u32,
        add: i64,
    },
    Sleep {
        millis: u32,
    },
    Wait {
        signal: String,
    },
    /// A signal that does not come within its second.
    Brief,
    /// A signal that never comes.
    Forever,
    Break {
        value: Option<i64>,
    },
    Seq(Box<Shape>, Box<Shape>),
    As(Box<Shape>, String),
    If(Box<Shape>, Box<Shape>, Box<Shape>),
    IfRows(String, Box<Shape>, Box<Shape>),
    Join(Vec<Shape>),
    Race(Vec<Shape>),
    First(Vec<Shape>),
    Loop(Box<Shape>, Option<Box<Shape>>),
    Map {
        rows: u32,
        add: i64,
        concurrency: u32,
        item: u32,
        body: Box<Shape>,
    },
    Retry {
        step: Box<Shape>,
        attempts: u32,
        only: Option<String>,
    },
    Catch(Box<Shape>, Box<Shape>),
    Timeout {
        step: Box<Shape>,
        millis: u32,
    },
    Compensate(Box<Shape>, Box<Shape>),
    Call(Box<Shape>),
}

use Shape as S;

/// What kind of result a step has: the first letter of a name for it.
fn letter(shape: &Shape) -> Option<char> {
    match shape {
        S::Mark { .. } | S::Pick { .. } | S::Until { .. } => Some('q'),
        S::Rows { .. } => Some('r'),
        S::Wait { .. } => Some('s'),
        S::Brief => Some('t'),
        S::Join(_) | S::Map { .. } => Some('j'),
        S::Seq(_, last) => letter(last),
        S::If(_, a, b) | S::IfRows(_, a, b) | S::Catch(a, b) => {
            letter(a).filter(|kind| letter(b) == Some(*kind))
        }
        S::Retry { step, .. } | S::Timeout { step, .. } | S::Compensate(step, _) | S::Call(step) => {
            letter(step)
        }
        S::Loop(body, Some(_)) if !breaks(body) => letter(body),
        _ => None,
    }
}

/// Whether a break may leave it.
fn breaks(shape: &Shape) -> bool {
    match shape {
        S::Break { .. } => true,
        S::Loop(..) | S::Call(_) => false,
        other => children(other).into_iter().any(breaks),
    }
}

pub fn children(shape: &Shape) -> Vec<&Shape> {
    match shape {
        S::Seq(a, b) | S::IfRows(_, a, b) | S::Catch(a, b) | S::Compensate(a, b) => vec![a, b],
        S::As(step, _)
        | S::Map { body: step, .. }
        | S::Retry { step, .. }
        | S::Timeout { step, .. }
        | S::Call(step) => vec![step],
        S::If(c, a, b) => vec![c, a, b],
        S::Join(all) | S::Race(all) | S::First(all) => all.iter().collect(),
        S::Loop(body, condition) => std::iter::once(body).chain(condition).map(|shape| &**shape).collect(),
        _ => Vec::new(),
    }
}

fn children_mut(shape: &mut Shape) -> Vec<&mut Shape> {
    match shape {
        S::Seq(a, b) | S::IfRows(_, a, b) | S::Catch(a, b) | S::Compensate(a, b) => vec![a, b],
        S::As(step, _)
        | S::Map { body: step, .. }
        | S::Retry { step, .. }
        | S::Timeout { step, .. }
        | S::Call(step) => vec![step],
        S::If(c, a, b) => vec![c, a, b],
        S::Join(all) | S::Race(all) | S::First(all) => all.iter_mut().collect(),
        S::Loop(body, condition) => {
            std::iter::once(body).chain(condition.as_mut()).map(|shape| &mut **shape).collect()
        }
        _ => Vec::new(),
    }
}

pub fn size(shape: &Shape) -> usize {
    1 + children(shape).into_iter().map(size).sum::<usize>()
}

/// Functions with one node less, or more, in the order in which they are worth a try.
pub fn smaller(shape: &Shape) -> Vec<Shape> {
    let mut all: Vec<Shape> = children(shape).into_iter().cloned().collect();
    if let S::Join(branches) | S::Race(branches) | S::First(branches) = shape
        && branches.len() > 1
    {
        for place in 0..branches.len() {
            let mut less = shape.clone();
            if let S::Join(all) | S::Race(all) | S::First(all) = &mut less {
                all.remove(place);
            }
            all.push(less);
        }
    }
    if let S::Map { rows: 2.., .. } = shape {
        let mut less = shape.clone();
        if let S::Map { rows, .. } = &mut less {
            *rows -= 1;
        }
        all.push(less);
    }
    if let S::Mark { expr, .. } | S::Pick { expr } | S::Odd { expr } = shape
        && !expr.uses.is_empty()
    {
        let mut less = shape.clone();
        if let S::Mark { expr, .. } | S::Pick { expr } | S::Odd { expr } = &mut less {
            expr.uses.pop();
        }
        all.push(less);
    }
    for (place, child) in children(shape).into_iter().enumerate() {
        for less in smaller(child) {
            let mut changed = shape.clone();
            *children_mut(&mut changed).remove(place) = less;
            all.push(changed);
        }
    }
    all
}

/// Where a step stands.
#[derive(Debug, Clone, Default)]
struct Lane {
    /// Names that are probably bound here.
    names: Vec<String>,
    /// Signals that only this line of execution waits for.
    signals: Vec<String>,
    /// A break ends a loop here.
    looped: bool,
    /// Signals can be waited for: nothing runs beside it that waits for the same.
    waits: bool,
    /// A failure is at hand.
    handles: bool,
    /// How many maps are around it.
    items: u32,
}

impl Lane {
    fn beside(&self) -> Self {
        Self { signals: Vec::new(), ..self.clone() }
    }
}

/// Makes functions.
pub struct Maker<'a> {
    rng: &'a mut Random,
    ids: u32,
    signals: u32,
}

/// A random function of about that many nodes.
pub fn random(rng: &mut Random, size: u32) -> Shape {
    let mut maker = Maker { rng, ids: 0, signals: 0 };
    let mut lane = Lane { waits: true, ..Lane::default() };
    maker.step(size, &mut lane)
}

fn seq(a: Shape, b: Shape) -> Shape {
    S::Seq(Box::new(a), Box::new(b))
}

impl Maker<'_> {
    fn id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }

    fn expr(&mut self, lane: &Lane) -> Expr {
        let mut uses = Vec::new();
        for _ in 0..self.rng.below(3) {
            uses.extend(self.used(lane));
        }
        Expr { constant: self.rng.below(90), uses }
    }

    fn used(&mut self, lane: &Lane) -> Option<Use> {
        if lane.items > 0 && self.rng.percent(30) {
            return Some(Use::Item(1 + self.rng.below(lane.items)));
        }
        if self.rng.percent(10) {
            return Some(Use::Variable);
        }
        // Now and then one that is not bound.
        let name = if self.rng.percent(3) {
            "q2".to_owned()
        } else {
            (!lane.names.is_empty()).then(|| self.rng.pick(&lane.names).clone())?
        };
        Some(match name.as_bytes().first() {
            Some(b'r') if self.rng.percent(40) => Use::Optional(name),
            Some(b'q') if self.rng.percent(20) => Use::Optional(name),
            Some(b'q') if self.rng.percent(80) => Use::Column(name),
            Some(b'q' | b'r') => Use::Sum(name),
            Some(b's') => Use::Data(name),
            Some(b't') => Use::Late(name),
            _ => Use::Length(name),
        })
    }

    fn mark(&mut self, lane: &Lane) -> Shape {
        S::Mark { id: self.id(), expr: self.expr(lane), error: lane.handles && self.rng.percent(60) }
    }

    fn leaf(&mut self, lane: &mut Lane) -> Shape {
        match self.rng.below(100) {
            0..15 if lane.waits => {
                if lane.signals.is_empty() || self.rng.percent(40) {
                    self.signals += 1;
                    lane.signals.push(format!("g{}", self.signals));
                }
                let signal = if lane.signals.is_empty() {
                    String::new()
                } else {
                    self.rng.pick(&lane.signals).clone()
                };
                S::Wait { signal }
            }
            15..25 => S::Pick { expr: self.expr(lane) },
            25..30 => S::Sleep { millis: self.rng.below(15) },
            30..33 => S::Boom { id: self.id() },
            33..35 => S::Spoil { id: self.id() },
            35..39 => S::Rows { count: self.rng.below(4), add: self.rng.below(9) },
            39..44 if lane.looped => self.leave(),
            44 => S::Break { value: None },
            45 if self.rng.percent(20) => S::Brief,
            _ => self.mark(lane),
        }
    }

    fn leave(&mut self) -> Shape {
        S::Break { value: if self.rng.percent(50) { None } else { Some(self.rng.below(50)) } }
    }

    fn condition(&mut self, lane: &mut Lane) -> Shape {
        if self.rng.percent(85) { S::Odd { expr: self.expr(lane) } } else { self.step(2, lane) }
    }

    /// A step, perhaps with a name.
    fn step(&mut self, size: u32, lane: &mut Lane) -> Shape {
        let shape = self.nameless(size, lane);
        let Some(letter) = letter(&shape).filter(|_| self.rng.percent(60)) else { return shape };
        let name = format!("{letter}{}", self.rng.below(2));
        lane.names.push(name.clone());
        S::As(Box::new(shape), name)
    }

    fn nameless(&mut self, size: u32, lane: &mut Lane) -> Shape {
        if size < 3 {
            return self.leaf(lane);
        }
        let rest = size - 1;
        match self.rng.below(100) {
            0..40 => {
                let first = 1 + self.rng.below(rest - 1);
                let a = self.step(first, lane);
                seq(a, self.step(rest - first, lane))
            }
            40..47 => {
                let condition = self.condition(lane);
                let (mut then, mut otherwise) = (lane.clone(), lane.clone());
                let a = self.step(rest / 2, &mut then);
                let b = self.step(rest / 2, &mut otherwise);
                lane.names.extend(then.names.split_off(lane.names.len()));
                S::If(Box::new(condition), Box::new(a), Box::new(b))
            }
            47..49 => match lane.names.iter().find(|name| name.starts_with(['q', 'r'])).cloned() {
                Some(name) => {
                    let a = self.step(rest / 2, &mut lane.clone());
                    let b = self.step(rest / 2, &mut lane.clone());
                    S::IfRows(name, Box::new(a), Box::new(b))
                }
                None => self.mark(lane),
            },
            49..60 => S::Join(self.branches(rest, lane)),
            60..65 => {
                let mut all = self.nevers(rest / 2, lane);
                let won = self.step(rest / 2, lane);
                all.insert(self.rng.below(all.len() + 1), won);
                if self.rng.percent(60) { S::Race(all) } else { S::First(all) }
            }
            65..67 => {
                let mut all = self.branches(rest, lane);
                let last = self.rng.below(all.len());
                for (place, branch) in all.iter_mut().enumerate() {
                    if place != last || self.rng.percent(20) {
                        let id = self.id();
                        *branch = seq(branch.clone(), S::Boom { id });
                    }
                }
                S::First(all)
            }
            67..74 => self.repeat(rest, lane),
            74..80 => {
                lane.items += 1;
                let item = lane.items;
                let mut inside = Lane { waits: false, ..lane.beside() };
                let body = self.step(rest, &mut inside);
                lane.items -= 1;
                S::Map {
                    rows: self.rng.below(5),
                    add: self.rng.below(9),
                    concurrency: 1 + self.rng.below(5),
                    item,
                    body: Box::new(body),
                }
            }
            80..85 => self.retry(rest, lane),
            85..90 => {
                let id = self.id();
                let mut step = self.step(rest / 2, &mut lane.clone());
                if self.rng.percent(70) {
                    step = seq(step, S::Boom { id });
                }
                let mut handling = Lane { handles: true, ..lane.clone() };
                let handler = self.step(rest / 2, &mut handling);
                S::Catch(Box::new(step), Box::new(handler))
            }
            90..93 => {
                let (step, millis) = if self.rng.percent(50) {
                    (self.step(rest, lane), 900_000)
                } else {
                    (self.never(rest, lane), 5 + self.rng.below(30))
                };
                S::Timeout { step: Box::new(step), millis }
            }
            93..98 => {
                let step = self.step(1 + rest / 2, lane);
                let mut undoing = Lane { waits: false, looped: false, ..lane.clone() };
                let undo = self.step(1 + rest / 4, &mut undoing);
                S::Compensate(Box::new(step), Box::new(undo))
            }
            _ => {
                let mut inside = Lane { waits: false, looped: false, ..lane.beside() };
                S::Call(Box::new(self.step(rest, &mut inside)))
            }
        }
    }

    fn branches(&mut self, size: u32, lane: &mut Lane) -> Vec<Shape> {
        let count = 2 + self.rng.below(2);
        let mut names = Vec::new();
        let mut all = Vec::new();
        for place in 0..count {
            let mut inside = if place == 0 { lane.clone() } else { lane.beside() };
            all.push(self.step((size / count).max(1), &mut inside));
            names.extend(inside.names.split_off(lane.names.len()));
            // What it waits for nobody beside it does; afterwards everybody may.
            if place > 0 {
                lane.signals.extend(inside.signals);
            } else {
                lane.signals = inside.signals;
            }
        }
        lane.names.extend(names);
        all
    }

    fn repeat(&mut self, size: u32, lane: &mut Lane) -> Shape {
        let count = 1 + self.rng.below(3);
        let of = self.id();
        let looped = std::mem::replace(&mut lane.looped, true);
        let first = S::Mark { id: of, expr: self.expr(lane), error: false };
        let inner = self.step(size.saturating_sub(2).max(1), lane);
        let last = self.leave();
        lane.looped = looped;
        if self.rng.percent(60) {
            let body = if self.rng.percent(50) { seq(first, inner) } else { seq(inner, first) };
            return S::Loop(Box::new(body), Some(Box::new(S::Below { of, count })));
        }
        let on = self.mark(lane);
        let end = S::If(Box::new(S::Below { of, count }), Box::new(on), Box::new(last));
        S::Loop(Box::new(seq(first, seq(inner, end))), None)
    }

    fn retry(&mut self, size: u32, lane: &mut Lane) -> Shape {
        let of = self.id();
        let first = S::Mark { id: of, expr: self.expr(lane), error: false };
        let inner = self.step(size.saturating_sub(2).max(1), lane);
        let until = S::Until { of, count: self.rng.below(3) };
        let body =
            if self.rng.percent(50) { seq(first, seq(inner, until)) } else { seq(seq(first, until), inner) };
        let only = if self.rng.percent(20) { Some("P0001".to_owned()) } else { None };
        S::Retry { step: Box::new(body), attempts: 1 + self.rng.below(4), only }
    }

    /// Branches that never end.
    fn nevers(&mut self, size: u32, lane: &Lane) -> Vec<Shape> {
        let count = 1 + self.rng.below(2);
        (0..count).map(|_| self.never(size / count, lane)).collect()
    }

    fn never(&mut self, size: u32, lane: &Lane) -> Shape {
        let mut lane = Lane { waits: false, looped: false, ..lane.beside() };
        let end = match self.rng.below(8) {
            0 if size > 2 => S::Join(vec![self.never(size / 2, &lane), self.step(size / 2, &mut lane)]),
            1 if size > 2 => S::Race(vec![self.never(size / 2, &lane), self.never(size / 2, &lane)]),
            2 => S::Timeout { step: Box::new(self.never(size / 2, &lane)), millis: 900_000 },
            3 => S::Call(Box::new(self.never(size / 2, &lane))),
            4 => S::Sleep { millis: 900_000 },
            5 => S::Loop(Box::new(self.never(size / 2, &lane)), None),
            _ => S::Forever,
        };
        if size < 2 {
            return end;
        }
        let first = match self.rng.below(3) {
            0 => self.step(size / 2, &mut lane),
            1 => self.mark(&lane),
            _ => S::Compensate(Box::new(self.mark(&lane)), Box::new(self.mark(&lane))),
        };
        let all = seq(first, end);
        if self.rng.percent(20) { seq(all, self.mark(&lane)) } else { all }
    }
}
