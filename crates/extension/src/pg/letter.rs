//! A request to another process, and its answer, in a piece of dynamic shared memory (`src/backend/storage/ipc/dsm.c`).

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use pgrx::{pg_guard, pg_sys};

/// What stands before the two texts.
#[repr(C)]
#[derive(Debug)]
struct Header {
    /// 0: not answered yet; else the length of the answer, plus one.
    answered: AtomicU32,
    /// The length of the request.
    request: u32,
    /// The room for the answer.
    room: u32,
    /// 1: whoever wrote it does not wait any more.
    abandoned: AtomicU32,
}

const HEADER: usize = core::mem::size_of::<Header>();

/// The piece of memory, as long as this process has it.
#[derive(Debug)]
pub struct Letter {
    segment: *mut pg_sys::dsm_segment,
    header: *mut Header,
}

/// The writer gives the memory back, in whatever way.
#[pg_guard]
unsafe extern "C-unwind" fn abandon(segment: *mut pg_sys::dsm_segment, _arg: pg_sys::Datum) {
    // SAFETY: the server calls this while the segment is still there.
    unsafe { (*pg_sys::dsm_segment_address(segment).cast::<Header>()).abandoned.store(1, Release) };
}

impl Letter {
    /// Writes a request, with room for an answer; `None` if they are longer than a letter can be. In a transaction, with whose end the memory is given back
    /// whatever happens. Raises if there is no memory.
    pub fn write(request: &[u8], room: usize) -> Option<Self> {
        let short = |length: usize| u32::try_from(length).ok().filter(|&length| length < 1 << 30);
        let (length, space) = (short(request.len())?, short(room)?);
        let size = HEADER + request.len() + room;
        // SAFETY: the segment has that size, is aligned for any type, and nobody else knows of it yet.
        unsafe {
            let segment = pg_sys::dsm_create(size, 0);
            let header = pg_sys::dsm_segment_address(segment).cast::<Header>();
            header.write(Header {
                answered: AtomicU32::new(0),
                request: length,
                room: space,
                abandoned: AtomicU32::new(0),
            });
            core::ptr::copy_nonoverlapping(request.as_ptr(), header.cast::<u8>().add(HEADER), request.len());
            pg_sys::on_dsm_detach(segment, Some(abandon), pg_sys::Datum::from(0));
            Some(Self { segment, header })
        }
    }

    /// Whether its writer does not wait any more.
    pub fn is_abandoned(&self) -> bool {
        // SAFETY: the segment is there as long as this value.
        unsafe { (*self.header).abandoned.load(Acquire) == 1 }
    }

    /// Opens the letter that another process has written; `None` if it is gone.
    pub fn open(handle: u32) -> Option<Self> {
        // SAFETY: whoever gave the handle wrote a header first.
        unsafe {
            let segment = pg_sys::dsm_attach(handle);
            if segment.is_null() {
                return None;
            }
            // Not the transaction's: it is answered after the commit.
            pg_sys::dsm_pin_mapping(segment);
            Some(Self { segment, header: pg_sys::dsm_segment_address(segment).cast() })
        }
    }

    /// How another process finds it.
    pub fn handle(&self) -> u32 {
        // SAFETY: the segment is there as long as this value.
        unsafe { pg_sys::dsm_segment_handle(self.segment) }
    }

    /// The request.
    pub fn request(&self) -> Vec<u8> {
        // SAFETY: written before the handle was given away, and never since.
        unsafe {
            let length = (*self.header).request as usize;
            core::slice::from_raw_parts(self.header.cast::<u8>().add(HEADER), length).to_vec()
        }
    }

    /// Answers, once; false, and nothing is answered, if there is no room for it.
    pub fn answer(&self, text: &[u8]) -> bool {
        // SAFETY: the room for the answer comes after the request; it is read only after `answered` says so.
        unsafe {
            if text.len() > (*self.header).room as usize {
                return false;
            }
            let place = self.header.cast::<u8>().add(HEADER + (*self.header).request as usize);
            core::ptr::copy_nonoverlapping(text.as_ptr(), place, text.len());
            (*self.header).answered.store(u32::try_from(text.len()).unwrap_or(0) + 1, Release);
            true
        }
    }

    /// The answer, once there is one.
    pub fn answered(&self) -> Option<Vec<u8>> {
        // SAFETY: as above.
        unsafe {
            let length = (*self.header).answered.load(Acquire).checked_sub(1)? as usize;
            let place = self.header.cast::<u8>().add(HEADER + (*self.header).request as usize);
            Some(core::slice::from_raw_parts(place, length).to_vec())
        }
    }

    /// Gives the memory back now, where the transaction goes on.
    pub fn close(self) {
        // SAFETY: attached by this process, and not used after this.
        unsafe { pg_sys::dsm_detach(self.segment) };
    }
}
