//! Takes the rows of a statement as they come, as JSON (`src/include/tcop/dest.h`).
//!
//! A client may have a statement return more than fits into memory, and whoever runs out of it takes the server down. So rows are not
//! gathered first: the statement ends with an ERROR at the row that is too much.

use pgrx::{pg_guard, pg_sys};

use super::statement::{Converter, converters};
use crate::error::{Error, raise};

/// What takes the rows. Whatever the server is given of it is the address of `head`, which comes first.
#[repr(C)]
pub(super) struct Receiver {
    head: pg_sys::DestReceiver,
    /// Of one row, while it is converted.
    context: pg_sys::MemoryContext,
    bound: Bound,
    /// How each column becomes JSON; none if the statement returns no rows.
    pub(super) converters: Vec<Converter>,
    /// The rows.
    pub(super) rows: Vec<Vec<String>>,
}

/// How many bytes the rows of a statement may have, with the names of their columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    limit: usize,
    bytes: usize,
}

impl Bound {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0 }
    }

    /// Counts a row; raises if it is too much.
    pub(super) fn count(&mut self, converters: &[Converter], row: &[String]) {
        // As they are written: {"name":value,…},
        let columns = converters
            .iter()
            .zip(row)
            .map(|(converter, value)| converter.column.name.len() + value.len() + 4);
        self.bytes = columns.fold(self.bytes.saturating_add(3), usize::saturating_add);
        if self.bytes > self.limit {
            raise(Error::ResultTooLarge { limit: self.limit });
        }
    }
}

impl Receiver {
    /// Takes so many bytes. In a transaction, in whose current memory context it stays.
    pub(super) fn new(limit: usize) -> Self {
        // SAFETY: the context ends with the one that is current.
        let context = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"postern row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Self {
            head: pg_sys::DestReceiver {
                receiveSlot: Some(receive),
                rStartup: Some(start),
                rShutdown: Some(nothing),
                rDestroy: Some(nothing),
                mydest: pg_sys::CommandDest::DestTuplestore,
            },
            context,
            bound: Bound::new(limit),
            converters: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// What the server is given; it must not be moved as long as that is in use.
    pub(super) fn head(&mut self) -> *mut pg_sys::DestReceiver {
        (&raw mut *self).cast()
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start(
    head: *mut pg_sys::DestReceiver,
    _operation: core::ffi::c_int,
    descriptor: pg_sys::TupleDesc,
) {
    // SAFETY: the server passes on what it was given: see `Receiver`; the descriptor is that of the rows to come.
    unsafe { (*head.cast::<Receiver>()).converters = converters(descriptor) };
}

#[pg_guard]
unsafe extern "C-unwind" fn receive(
    slot: *mut pg_sys::TupleTableSlot,
    head: *mut pg_sys::DestReceiver,
) -> bool {
    // SAFETY: as in `start`; nobody else has the receiver while the statement runs. What is allocated for the row goes with it.
    unsafe {
        let receiver = &mut *head.cast::<Receiver>();
        let before = pg_sys::MemoryContextSwitchTo(receiver.context);
        let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, core::ptr::null_mut());
        let descriptor = (*slot).tts_tupleDescriptor;
        let values = (1..).zip(&receiver.converters);
        let row: Vec<String> =
            values.map(|(column, converter)| converter.json(tuple, descriptor, column)).collect();
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::MemoryContextReset(receiver.context);
        receiver.bound.count(&receiver.converters, &row);
        receiver.rows.push(row);
    }
    true
}

#[pg_guard]
unsafe extern "C-unwind" fn nothing(_head: *mut pg_sys::DestReceiver) {}
