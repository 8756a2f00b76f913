//! Procedures that end their transaction, and begin another (`src/backend/executor/spi.c`, `src/backend/commands/functioncmds.c`).

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, Returns, ReturnsError, SqlMapping, SqlTranslatable,
};
use pgrx::prelude::*;

/// A procedure that may end its transaction.
#[derive(Debug)]
pub struct Procedure {
    fcinfo: pg_sys::FunctionCallInfo,
}

/// The only column of what a procedure gives back.
#[derive(Debug)]
pub struct Given(pg_sys::Datum);

impl Procedure {
    /// The procedure that is called, to be [ended](Self::end); `None` where it may not: inside a transaction block or a function.
    pub fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Option<Self> {
        // SAFETY: what the server called us with. CALL gives a CallContext, which a function has not.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null()
                || (*context).type_ != pg_sys::NodeTag::T_CallContext
                || (*context.cast::<pg_sys::CallContext>()).atomic
            {
                return None;
            }
            pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC.cast_signed());
        }
        Some(Self { fcinfo })
    }

    /// Commits; the transaction that follows has no snapshot until something is read in it. Raises if the commit does.
    #[expect(clippy::unused_self, reason = "who has one may")]
    pub fn commit(&self) {
        // SAFETY: connected as a procedure that may, and no connection inside it.
        unsafe { pg_sys::SPI_commit() };
    }

    /// It does so no more; gives a text back.
    pub fn end(self, text: &str) -> Given {
        // SAFETY: connected in `begin`. The memory that is current after this is that of whoever called us, and the row is made in it, of
        // the type that the procedure is declared with; it has one column, a text.
        unsafe {
            pg_sys::SPI_finish();
            let mut row = core::ptr::null_mut();
            pg_sys::get_call_result_type(self.fcinfo, core::ptr::null_mut(), &raw mut row);
            let row = pg_sys::BlessTupleDesc(row);
            let mut value = text.into_datum().unwrap_or(pg_sys::Datum::from(0));
            let mut null = false;
            let tuple = pg_sys::heap_form_tuple(row, &raw mut value, &raw mut null);
            Given(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data))
        }
    }
}

// SAFETY: the row is in the memory context of the caller.
unsafe impl BoxRet for Given {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: the SQL procedure is declared with one text to give back.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

// SAFETY: the SQL is written by hand.
unsafe impl SqlTranslatable for Given {
    fn argument_sql() -> Result<SqlMapping, ArgumentError> {
        Ok(SqlMapping::literal("record"))
    }

    fn return_sql() -> Result<Returns, ReturnsError> {
        Ok(Returns::One(SqlMapping::literal("record")))
    }
}
