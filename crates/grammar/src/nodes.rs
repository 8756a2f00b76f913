//! The structs of a tree: those of pg_query's messages, but that a [`Node`] is as small as a list.
//!
//! pg_query keeps most nodes in the node itself, so that each name in a list of names takes the room of the largest statement. Here all
//! but the smallest stand behind a pointer. `build.rs` writes them from pg_query's own; enumerations are those of pg_query.

#![allow(
    missing_docs,
    unused_variables,
    clippy::all,
    clippy::pedantic,
    reason = "most is written by `build.rs` from structs of pg_query, whose fields are said by PostgreSQL"
)]

// What is written below comes before what is of the same name there.
pub use pg_query::protobuf::*;

include!(concat!(env!("OUT_DIR"), "/nodes.rs"));

/// Something that nodes may be in.
pub trait Below {
    /// Is one of the nodes in it such a node?
    fn any(&self, is: &dyn Fn(&node::Node) -> bool) -> bool;
}

impl<T: Below> Below for Option<T> {
    fn any(&self, is: &dyn Fn(&node::Node) -> bool) -> bool {
        self.as_ref().is_some_and(|inner| inner.any(is))
    }
}

impl<T: Below> Below for Vec<T> {
    fn any(&self, is: &dyn Fn(&node::Node) -> bool) -> bool {
        self.iter().any(|inner| inner.any(is))
    }
}

impl<T: Below> Below for Box<T> {
    fn any(&self, is: &dyn Fn(&node::Node) -> bool) -> bool {
        self.as_ref().any(is)
    }
}

/// What no node is in.
macro_rules! nothing_below {
    ($($plain:ty),*) => {
        $(impl Below for $plain {
            fn any(&self, _: &dyn Fn(&node::Node) -> bool) -> bool {
                false
            }
        })*
    };
}

nothing_below!(i32, i64, u32, u64, f64, bool, std::string::String);
