//! Values in the server's memory, which need no destructor: for frames that an ERROR jumps over.

use pgrx::pg_sys;

/// Values that live as long as the memory context that was current when they were kept.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Kept<T> {
    first: *const T,
    count: usize,
}

impl<T: Copy> Kept<T> {
    /// None.
    pub fn none() -> Self {
        Self { first: core::ptr::null(), count: 0 }
    }

    /// Copies them.
    pub fn copy(values: &[T]) -> Self {
        if values.is_empty() {
            return Self::none();
        }
        // SAFETY: the new memory has room for all, and is aligned for whatever the server puts there.
        unsafe {
            let first = pg_sys::palloc_extended(size_of_val(values), pg_sys::MCXT_ALLOC_HUGE.cast_signed())
                .cast::<T>();
            core::ptr::copy_nonoverlapping(values.as_ptr(), first, values.len());
            Self { first, count: values.len() }
        }
    }

    /// The values. Their memory context must still stand.
    pub fn values(&self) -> &[T] {
        if self.count == 0 {
            return &[];
        }
        // SAFETY: what `copy` made.
        unsafe { core::slice::from_raw_parts(self.first, self.count) }
    }
}
