//! A `jsonb` as the server holds it: no number and no text of it passes through Rust's hands.

use std::ffi::{CStr, CString};

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, Returns, ReturnsError, SqlMapping, SqlTranslatable,
};
use pgrx::{FromDatum, IntoDatum, pg_sys};

/// A `jsonb` value in memory that lives as long as the process, until it is dropped.
#[derive(Debug)]
pub struct Jsonb(*mut pg_sys::varlena);

impl Jsonb {
    /// Copies a value, detoasted, into long-lived memory.
    ///
    /// # Safety
    /// `datum` is a `jsonb` that is not null.
    pub unsafe fn copy_from(datum: pg_sys::Datum) -> Self {
        // SAFETY: the caller's word on the type; the copy is made in TopMemoryContext, which is never reset.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            let copy = pg_sys::pg_detoast_datum_copy(datum.cast_mut_ptr());
            pg_sys::MemoryContextSwitchTo(previous);
            Self(copy)
        }
    }

    /// Reads JSON text. Raises 22P02 and the like for what is not JSON.
    pub fn parse(text: &CStr) -> Self {
        // SAFETY: `jsonb_in` takes a C string and returns a jsonb that is not null.
        unsafe {
            let datum = pgrx::direct_function_call_as_datum(
                pg_sys::jsonb_in,
                &[Some(pg_sys::Datum::from(text.as_ptr()))],
            );
            Self::copy_from(datum.unwrap_or(pg_sys::Datum::from(0)))
        }
    }

    /// The value for the server: points into this, so copy what must outlive it.
    pub fn datum(&self) -> pg_sys::Datum {
        pg_sys::Datum::from(self.0)
    }

    /// Its text form.
    pub fn to_text(&self) -> CString {
        // SAFETY: `jsonb_out` takes a jsonb and returns a C string that is not null.
        unsafe {
            let datum = pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(self.datum())]);
            datum.map_or_else(CString::default, |text| CStr::from_ptr(text.cast_mut_ptr()).to_owned())
        }
    }

    /// A second value, for the server to keep.
    pub fn copy(&self) -> Self {
        // SAFETY: this is a jsonb.
        unsafe { Self::copy_from(self.datum()) }
    }

    /// The value at `path`, as text: what `#>>` gives. `None` for JSON null and for what is not there.
    pub fn text_at(&self, path: &[&str]) -> Option<String> {
        let path: Vec<String> = path.iter().map(|&step| step.to_owned()).collect();
        // SAFETY: `jsonb_extract_path_text` takes a jsonb and a text[]; its result is a text or null.
        unsafe {
            let result = pgrx::direct_function_call_as_datum(
                pg_sys::jsonb_extract_path_text,
                &[Some(self.datum()), path.into_datum()],
            );
            result.and_then(|datum| String::from_datum(datum, false))
        }
    }
}

impl Drop for Jsonb {
    fn drop(&mut self) {
        // While an ERROR unwinds, memory is left to the process: pfree is not promised to be quiet then.
        if !std::thread::panicking() {
            // SAFETY: allocated by `copy_from` in TopMemoryContext and not freed since.
            unsafe { pg_sys::pfree(self.0.cast()) };
        }
    }
}

// SAFETY: a jsonb argument arrives as a datum that may be toasted; `copy_from` copies it whole.
unsafe impl<'fcx> ArgAbi<'fcx> for Jsonb {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the declaration of the SQL function gives the type.
        unsafe { arg.unbox_arg_using_from_datum::<Self>().unwrap_or_else(|| Self::parse(c"null")) }
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum::<Self>().into() }
    }
}

impl FromDatum for Jsonb {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        // SAFETY: the caller's word that this is a jsonb.
        (!is_null).then(|| unsafe { Self::copy_from(datum) })
    }
}

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // SAFETY: copies a detoasted value into the memory context of the caller.
        Some(unsafe { pg_sys::Datum::from(pg_sys::pg_detoast_datum_copy(self.0)) })
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the datum returned is a copy in the caller's memory context.
unsafe impl BoxRet for Jsonb {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the SQL function is declared to return jsonb.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: the type is jsonb, in and out.
unsafe impl SqlTranslatable for Jsonb {
    fn argument_sql() -> Result<SqlMapping, ArgumentError> {
        Ok(SqlMapping::literal("jsonb"))
    }

    fn return_sql() -> Result<Returns, ReturnsError> {
        Ok(Returns::One(SqlMapping::literal("jsonb")))
    }
}
