//! From PostgreSQL's nodes to structs.
//!
//! **Invariant**: a pointer of a tree is followed only while its [`Context`] lives, and nothing that is given away points into it.

#![allow(unsafe_code, reason = "trees of C")]

use std::ffi::{CStr, c_char};

use pg_query::ParserOptions;

use crate::nodes::{self as protobuf, a_const::Val};
use crate::{As, Statement};

#[allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    missing_docs,
    dead_code,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks,
    reason = "written by bindgen"
)]
mod c {
    include!(concat!(env!("OUT_DIR"), "/c.rs"));
}

/// Nodes below each other; each level takes two frames. More than `DEEPEST` of the analyser can ask for, and far less than its stack has.
const DEEPEST: usize = 10_000;

/// PostgreSQL's memory for one call.
struct Context(c::MemoryContext);

impl Context {
    fn enter() -> Self {
        // SAFETY: it may be called by any thread that is not in such a context; only `parse` enters one, and leaves it before it ends.
        Self(unsafe { c::pg_query_enter_memory_context() })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was entered by this thread, and what is read of it has been copied.
        unsafe { c::pg_query_exit_memory_context(self.0) }
    }
}

pub fn parse(text: &CStr, parse_as: As) -> Result<Vec<Statement>, String> {
    let mode = match parse_as {
        As::Statements => ParserOptions::DEFAULT,
        As::Type => ParserOptions::TYPE_NAME,
        As::Expression => ParserOptions::PLPGSQL_EXPR,
    };
    let context = Context::enter();
    // SAFETY: the text ends with a zero byte. Errors of PostgreSQL are caught inside, and given as a value.
    let raw = unsafe { c::pg_query_raw_parse(text.as_ptr(), mode.bits()) };
    let read = if raw.error.is_null() {
        let mut reader = Reader { depth: 0, failed: None };
        // SAFETY: without an error it is the list of `RawStmt`s that the grammar has made in this context, or null if there are none.
        let statements = unsafe { reader.statements(raw.tree) };
        reader.failed.map_or(Ok(statements), |failed| Err(failed.to_owned()))
    } else {
        // SAFETY: an error has a message that ends with a zero byte.
        let message = unsafe { CStr::from_ptr((*raw.error).message) };
        Err(format!("Invalid statement: {}", message.to_string_lossy()))
    };
    drop(context);
    let rest = c::PgQueryProtobufParseResult {
        parse_tree: c::PgQueryProtobuf { len: 0, data: std::ptr::null_mut() },
        stderr_buffer: raw.stderr_buffer,
        error: raw.error,
    };
    // SAFETY: both were allocated for the caller, who is to free them so, once.
    unsafe { c::pg_query_free_protobuf_parse_result(rest) };
    read
}

/// Reads a tree. After a failure what is read is of no use.
struct Reader {
    depth: usize,
    failed: Option<&'static str>,
}

/// The functions below are for trees that the grammar has made: each pointer is null or to a live node of the kind that its field has.
impl Reader {
    unsafe fn statements(&mut self, list: *const c::List) -> Vec<Statement> {
        // SAFETY: the caller's promise.
        unsafe { cells(list) }
            .iter()
            .filter_map(|cell| {
                // SAFETY: the items of this list are `RawStmt`s.
                let raw = unsafe { &*cell.ptr_value.cast::<c::RawStmt>() };
                let at = usize::try_from(raw.stmt_location).ok()?;
                // SAFETY: the caller's promise.
                let node = unsafe { self.boxed(raw.stmt) }?;
                Some(Statement { at, node: *node })
            })
            .collect()
    }

    /// What is below this.
    unsafe fn below<N, T>(&mut self, node: *const N, read: unsafe fn(&mut Self, *const N) -> T) -> Option<T> {
        if node.is_null() {
            return None;
        }
        if self.depth >= DEEPEST {
            self.failed = Some("it is nested too deeply");
            return None;
        }
        self.depth += 1;
        // SAFETY: the caller's promise.
        let value = unsafe { read(self, node) };
        self.depth -= 1;
        Some(value)
    }

    unsafe fn node(&mut self, node: *const c::Node) -> protobuf::Node {
        // SAFETY: the caller's promise.
        protobuf::Node { node: unsafe { self.below(node, read::read_any) }.flatten() }
    }

    unsafe fn boxed(&mut self, node: *const c::Node) -> Option<Box<protobuf::Node>> {
        // SAFETY: the caller's promise.
        if node.is_null() { None } else { Some(Box::new(unsafe { self.node(node) })) }
    }

    unsafe fn list(&mut self, list: *const c::List) -> Vec<protobuf::Node> {
        // SAFETY: the caller's promise; the items of such a list are nodes.
        unsafe { cells(list).iter().map(|cell| self.node(cell.ptr_value.cast())).collect() }
    }

    unsafe fn text(&mut self, text: *const c_char) -> String {
        if text.is_null() {
            return String::new();
        }
        // SAFETY: the caller's promise; strings of PostgreSQL end with a zero byte.
        let text = unsafe { CStr::from_ptr(text) }.to_str();
        text.map_or_else(
            |_| {
                self.failed = Some("a name or constant in it is not UTF-8");
                String::new()
            },
            str::to_owned,
        )
    }

    fn letter(&mut self, letter: c_char) -> String {
        match u8::try_from(letter) {
            Ok(0) => String::new(),
            Ok(letter) if letter.is_ascii() => char::from(letter).to_string(),
            _ => {
                self.failed = Some("a letter in it is not ASCII");
                String::new()
            }
        }
    }

    unsafe fn bits(&mut self, set: *const c::Bitmapset) -> Vec<u64> {
        // The grammar makes none: they belong to what comes after it.
        if !set.is_null() {
            self.failed = Some("there is a set in it, which the grammar does not make");
        }
        Vec::new()
    }
}

/// The items of a list.
unsafe fn cells<'l>(list: *const c::List) -> &'l [c::ListCell] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise: it is a list, which lives as long as the tree, and has so many items.
    unsafe {
        let list = &*list;
        std::slice::from_raw_parts(list.elements, usize::try_from(list.length).unwrap_or_default())
    }
}

unsafe fn read_integer(_: &mut Reader, node: *const c::Integer) -> protobuf::Integer {
    // SAFETY: the caller's promise.
    protobuf::Integer { ival: unsafe { (*node).ival } }
}

unsafe fn read_boolean(_: &mut Reader, node: *const c::Boolean) -> protobuf::Boolean {
    // SAFETY: the caller's promise.
    protobuf::Boolean { boolval: unsafe { (*node).boolval } }
}

unsafe fn read_float(reader: &mut Reader, node: *const c::Float) -> protobuf::Float {
    // SAFETY: the caller's promise.
    protobuf::Float { fval: unsafe { reader.text((*node).fval) } }
}

unsafe fn read_string(reader: &mut Reader, node: *const c::String) -> protobuf::String {
    // SAFETY: the caller's promise.
    protobuf::String { sval: unsafe { reader.text((*node).sval) } }
}

unsafe fn read_bitstring(reader: &mut Reader, node: *const c::BitString) -> protobuf::BitString {
    // SAFETY: the caller's promise.
    protobuf::BitString { bsval: unsafe { reader.text((*node).bsval) } }
}

unsafe fn read_aconst(reader: &mut Reader, node: *const c::A_Const) -> protobuf::AConst {
    // SAFETY: the caller's promise; if it is not NULL, the tag at the beginning of the union says which of its nodes is there.
    unsafe {
        let node = &*node;
        let val = if node.isnull {
            None
        } else {
            match node.val.node.type_ {
                c::T_Integer => Some(Val::Ival(read_integer(reader, &raw const node.val.ival))),
                c::T_Float => Some(Val::Fval(read_float(reader, &raw const node.val.fval))),
                c::T_Boolean => Some(Val::Boolval(read_boolean(reader, &raw const node.val.boolval))),
                c::T_String => Some(Val::Sval(read_string(reader, &raw const node.val.sval))),
                c::T_BitString => Some(Val::Bsval(read_bitstring(reader, &raw const node.val.bsval))),
                _ => None,
            }
        };
        protobuf::AConst { isnull: node.isnull, location: node.location, val }
    }
}

unsafe fn read_list(reader: &mut Reader, list: *const c::List) -> protobuf::List {
    // SAFETY: the caller's promise.
    protobuf::List { items: unsafe { reader.list(list) } }
}

/// The grammar makes no lists of numbers.
unsafe fn read_intlist(reader: &mut Reader, _: *const c::List) -> protobuf::IntList {
    reader.failed = Some("there is a list of numbers in it, which the grammar does not make");
    protobuf::IntList::default()
}

unsafe fn read_oidlist(reader: &mut Reader, _: *const c::List) -> protobuf::OidList {
    reader.failed = Some("there is a list of numbers in it, which the grammar does not make");
    protobuf::OidList::default()
}

#[allow(
    unused_unsafe,
    unused_variables,
    clippy::all,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks,
    reason = "written by `build.rs`"
)]
mod read {
    use super::*;

    include!(concat!(env!("OUT_DIR"), "/read.rs"));
}
