//! The extension's own SQL: prepared once in each process, run past the caller's settings and privileges by [`as_owner`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;

use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::guc::Level;
use super::user::{self, User};
use crate::error::{Error, raise};
use crate::version::{self, Installed};

/// A value for a statement.
#[derive(Debug, Clone, Copy)]
pub enum Arg<'a> {
    /// `text`.
    Text(&'a str),
    /// `text` that may be NULL.
    Maybe(Option<&'a str>),
    /// `int2`.
    Int2(i16),
    /// `int4`.
    Int4(i32),
    /// `int4` that may be NULL.
    MaybeInt4(Option<i32>),
    /// `int8`.
    Int8(i64),
    /// `bool`.
    Bool(bool),
    /// `oid`.
    Oid(pg_sys::Oid),
    /// `"char"`.
    Char(u8),
    /// `timestamptz`: microseconds since 2000-01-01 00:00 UTC.
    Time(i64),
    /// `timestamptz` that may be NULL.
    MaybeTime(Option<i64>),
    /// `text[]`.
    Texts(&'a [String]),
    /// `int4[]`.
    Int4s(&'a [i32]),
}

impl Arg<'_> {
    fn type_oid(self) -> pg_sys::Oid {
        match self {
            Self::Text(_) | Self::Maybe(_) => pg_sys::TEXTOID,
            Self::Int2(_) => pg_sys::INT2OID,
            Self::Int4(_) | Self::MaybeInt4(_) => pg_sys::INT4OID,
            Self::Int8(_) => pg_sys::INT8OID,
            Self::Bool(_) => pg_sys::BOOLOID,
            Self::Oid(_) => pg_sys::OIDOID,
            Self::Char(_) => pg_sys::CHAROID,
            Self::Time(_) | Self::MaybeTime(_) => pg_sys::TIMESTAMPTZOID,
            Self::Texts(_) => pg_sys::TEXTARRAYOID,
            Self::Int4s(_) => pg_sys::INT4ARRAYOID,
        }
    }

    fn datum(self) -> Option<pg_sys::Datum> {
        match self {
            Self::Text(text) => text.into_datum(),
            Self::Maybe(text) => text.and_then(IntoDatum::into_datum),
            Self::Int2(n) => n.into_datum(),
            Self::Int4(n) => n.into_datum(),
            Self::MaybeInt4(n) => n.and_then(IntoDatum::into_datum),
            Self::Int8(n) | Self::Time(n) => n.into_datum(),
            Self::MaybeTime(time) => time.and_then(IntoDatum::into_datum),
            Self::Bool(b) => b.into_datum(),
            // `into_datum` takes the invalid one for NULL.
            Self::Oid(oid) => Some(pg_sys::Datum::from(oid)),
            Self::Char(c) => Some(pg_sys::Datum::from(c)),
            Self::Texts(texts) => texts.to_vec().into_datum(),
            Self::Int4s(numbers) => numbers.to_vec().into_datum(),
        }
    }
}

/// A value of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// `text`, `varchar`, `name`, and what is neither of the others: as its type writes it.
    Text(String),
    /// Whole numbers.
    Int(i64),
    /// `oid` and the types that look like one.
    Oid(pg_sys::Oid),
    /// `timestamptz`: microseconds since 2000-01-01 00:00 UTC.
    Time(i64),
    /// `"char"`.
    Char(u8),
}

/// A row of a result, by the number of its column, from 0. A column of another type gives the empty value: the statements are
/// our own.
#[derive(Debug, Clone)]
pub struct Row(Vec<Value>);

impl Row {
    /// A text; `None` for NULL.
    pub fn text(&self, column: usize) -> Option<&str> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text that is not NULL.
    pub fn string(&self, column: usize) -> String {
        self.text(column).unwrap_or_default().to_owned()
    }

    /// A whole number; `None` for NULL.
    pub fn int(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    /// An `int4` that is not NULL.
    pub fn int4(&self, column: usize) -> i32 {
        self.int(column).and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
    }

    /// An OID; NULL is the invalid one.
    pub fn oid(&self, column: usize) -> pg_sys::Oid {
        match self.0.get(column) {
            Some(Value::Oid(oid)) => *oid,
            _ => pg_sys::InvalidOid,
        }
    }

    /// A time; `None` for NULL.
    pub fn time(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }

    /// A `"char"`; NULL is 0.
    pub fn char(&self, column: usize) -> u8 {
        match self.0.get(column) {
            Some(Value::Char(c)) => *c,
            _ => 0,
        }
    }
}

thread_local! {
    /// Plans of our statements, by the address of their text, which is a constant.
    static PLANS: RefCell<HashMap<usize, pg_sys::SPIPlanPtr>> = RefCell::default();
}

/// Runs one statement of ours and gives its rows. Errors are raised.
pub fn run(sql: &'static CStr, args: &[Arg]) -> Vec<Row> {
    execute(sql, args, Snapshot::Transaction)
}

/// As [`run`], but seeing what is committed now, whatever the isolation level of the transaction is: for what must not rest on how things
/// were when it began.
pub fn run_latest(sql: &'static CStr, args: &[Arg]) -> Vec<Row> {
    execute(sql, args, Snapshot::Latest)
}

/// As [`run`], of a statement that only looks: it sees the database as the active snapshot does.
pub fn look(sql: &'static CStr, args: &[Arg]) -> Vec<Row> {
    execute(sql, args, Snapshot::Active)
}

/// What a statement sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Snapshot {
    /// What the transaction does: as its isolation level says.
    Transaction,
    /// What the statement around it does; it may not write.
    Active,
    /// What is committed now.
    Latest,
}

fn execute(sql: &'static CStr, args: &[Arg], sees: Snapshot) -> Vec<Row> {
    let types: Vec<pg_sys::Oid> = args.iter().map(|arg| arg.type_oid()).collect();
    let count = i32::try_from(args.len()).unwrap_or(0);
    // SAFETY: connected and finished here; an ERROR in between is cleaned up by the end of the (sub)transaction. The plan is
    // saved, so it outlives the connection. Values and nulls have as many elements as the plan has parameters, and live in the
    // memory context that SPI made for this connection.
    unsafe {
        pg_sys::SPI_connect();
        let known = PLANS.with_borrow(|plans| plans.get(&(sql.as_ptr() as usize)).copied());
        let plan = known.unwrap_or_else(|| {
            let plan = prepare(sql, || pg_sys::SPI_prepare(sql.as_ptr(), count, types.as_ptr().cast_mut()));
            pg_sys::SPI_keepplan(plan);
            PLANS.with_borrow_mut(|plans| plans.insert(sql.as_ptr() as usize, plan));
            plan
        });
        let data: Vec<Option<pg_sys::Datum>> = args.iter().map(|arg| arg.datum()).collect();
        let mut values: Vec<pg_sys::Datum> =
            data.iter().map(|datum| datum.unwrap_or(pg_sys::Datum::from(0))).collect();
        let nulls: Vec<core::ffi::c_char> =
            data.iter().map(|datum| if datum.is_some() { b' ' } else { b'n' }.cast_signed()).collect();
        let (values, nulls) = (values.as_mut_ptr(), nulls.as_ptr());
        let status = if sees == Snapshot::Latest {
            let latest = pg_sys::GetLatestSnapshot();
            let none = core::ptr::null_mut();
            pg_sys::SPI_execute_snapshot(plan, values, nulls, latest, none, false, true, 0)
        } else {
            pg_sys::SPI_execute_plan(plan, values, nulls, sees == Snapshot::Active, 0)
        };
        assert!(status >= 0, "a statement of the extension cannot be run: {status}");
        let rows = rows();
        pg_sys::SPI_finish();
        rows
    }
}

/// Prepares a statement of ours. What objects of another version than the library's do not have is said to be for that; the statement
/// that asked is refused.
fn prepare(sql: &CStr, f: impl FnOnce() -> pg_sys::SPIPlanPtr) -> pg_sys::SPIPlanPtr {
    let plan = match version::installed() {
        Installed::Other(installed) => super::caught::catch(f).unwrap_or_else(|caught| {
            let problem = Some(caught.message);
            raise(Error::OtherVersion { installed, problem })
        }),
        _ => f(),
    };
    assert!(!plan.is_null(), "a statement of the extension cannot be prepared: {}", sql.to_string_lossy());
    plan
}

/// # Safety
/// Between `SPI_execute_plan` and `SPI_finish`.
unsafe fn rows() -> Vec<Row> {
    // SAFETY: the tuple table and its descriptor live until SPI_finish.
    unsafe {
        if pg_sys::SPI_tuptable.is_null() {
            return Vec::new();
        }
        let table = &*pg_sys::SPI_tuptable;
        let count = usize::try_from(table.numvals).unwrap_or(0);
        let columns = (*table.tupdesc).natts;
        (0..count)
            .map(|n| {
                let tuple = *table.vals.add(n);
                Row((1..=columns).map(|column| value(tuple, table.tupdesc, column)).collect())
            })
            .collect()
    }
}

/// # Safety
/// `tuple` is a row of `descriptor`, which has a column of that number.
unsafe fn value(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc, column: i32) -> Value {
    // SAFETY: the caller's word; each datum is read as what the descriptor says it is, and copied.
    unsafe {
        let mut null = false;
        let datum = pg_sys::SPI_getbinval(tuple, descriptor, column, &raw mut null);
        if null {
            return Value::Null;
        }
        match pg_sys::SPI_gettypeid(descriptor, column) {
            pg_sys::INT2OID => Value::Int(i16::from_datum(datum, false).unwrap_or(0).into()),
            pg_sys::INT4OID => Value::Int(i32::from_datum(datum, false).unwrap_or(0).into()),
            pg_sys::INT8OID => Value::Int(i64::from_datum(datum, false).unwrap_or(0)),
            pg_sys::TIMESTAMPTZOID => Value::Time(i64::from_datum(datum, false).unwrap_or(0)),
            pg_sys::OIDOID | pg_sys::REGROLEOID => {
                Value::Oid(pg_sys::Oid::from_datum(datum, false).unwrap_or(pg_sys::InvalidOid))
            }
            pg_sys::CHAROID => Value::Char(u8::try_from(datum.value() & 0xff).unwrap_or(0)),
            pg_sys::TEXTOID | pg_sys::VARCHAROID => {
                Value::Text(String::from_datum(datum, false).unwrap_or_default())
            }
            _ => {
                let text = pg_sys::SPI_getvalue(tuple, descriptor, column);
                if text.is_null() {
                    Value::Null
                } else {
                    Value::Text(CStr::from_ptr(text).to_string_lossy().into_owned())
                }
            }
        }
    }
}

/// Does `f`, which runs our own SQL and nobody else's, as the bootstrap superuser with our own search path, whoever the caller
/// is and whatever it has set. The user cannot be changed meanwhile, and is put back; an ERROR puts it back with the
/// (sub)transaction that it ends.
pub fn as_owner<R>(f: impl FnOnce() -> R) -> R {
    let level = Level::open();
    super::guc::set(c"search_path", c"pg_catalog, pg_temp");
    super::guc::set(c"row_security", c"off");
    let result = as_owner_in_executor(f);
    level.undo();
    result
}

/// As [`as_owner`], in a process of ours whose settings are its own.
pub fn as_owner_in_executor<R>(f: impl FnOnce() -> R) -> R {
    let before = user::current();
    user::set(User::confined(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID)));
    let result = f();
    user::set(before);
    result
}
