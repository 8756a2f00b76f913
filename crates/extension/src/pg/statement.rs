//! One statement of someone else's, with its result as JSON (`src/backend/executor/spi.c`, `src/backend/utils/adt/json.c`).

use std::ffi::{CStr, CString};

use pgrx::{FromDatum, pg_sys};

use super::receiver::Receiver;

/// A parameter: its type, and the value as the type reads it; `None` is NULL.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The type.
    pub type_oid: pg_sys::Oid,
    /// The value.
    pub text: Option<CString>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, with its schema: `pg_catalog.int4`.
    pub type_name: String,
}

/// What a statement gave.
#[derive(Debug, Clone)]
pub struct Output {
    /// The columns, in order; none if it returns no rows.
    pub columns: Vec<Column>,
    /// Each row, each column as JSON text.
    pub rows: Vec<Vec<String>>,
}

/// Why nothing was run. What the server raises is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Several statements.
    Several,
    /// SPI does not run it: COPY to the client and the like.
    Spi(String),
}

/// Runs one statement as the current user, output functions included. Raises if its rows have more than `limit` bytes as JSON.
pub fn run(sql: &CStr, parameters: &[Parameter], limit: usize) -> Result<Output, Refusal> {
    // SAFETY: connected and finished here; an ERROR in between is cleaned up by the end of the subtransaction.
    unsafe {
        pg_sys::SPI_connect();
        let result = match look(sql) {
            Ok(false) => Ok(Output { columns: Vec::new(), rows: Vec::new() }),
            Ok(true) => execute(sql, parameters, limit),
            Err(refusal) => Err(refusal),
        };
        pg_sys::SPI_finish();
        result
    }
}

/// Whether there is a statement.
///
/// # Safety
/// Between `SPI_connect` and `SPI_finish`.
unsafe fn look(sql: &CStr) -> Result<bool, Refusal> {
    // SAFETY: the parser gives a list of RawStmt, each with a node that its tag describes.
    unsafe {
        let list = pg_sys::raw_parser(sql.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        if list.is_null() {
            return Ok(false);
        }
        if (*list).length > 1 {
            return Err(Refusal::Several);
        }
        Ok(true)
    }
}

/// Whether one statement is of a kind that the server may refuse in a transaction and take at top level. Queries are not: what is
/// refused in one is refused inside a function. In a transaction; the text was parsed before.
pub fn may_be_at_top_level(sql: &CStr) -> bool {
    use pg_sys::NodeTag as T;
    // SAFETY: the parser gives a list of RawStmt, each with a node.
    unsafe {
        let list = pg_sys::raw_parser(sql.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        if list.is_null() || (*list).length != 1 {
            return false;
        }
        let raw = (*(*list).elements).ptr_value.cast::<pg_sys::RawStmt>();
        !matches!(
            (*(*raw).stmt).type_,
            T::T_SelectStmt
                | T::T_InsertStmt
                | T::T_UpdateStmt
                | T::T_DeleteStmt
                | T::T_MergeStmt
                | T::T_ExplainStmt
                | T::T_CreateTableAsStmt
                | T::T_CopyStmt
                | T::T_TransactionStmt
        )
    }
}

/// # Safety
/// Between `SPI_connect` and `SPI_finish`.
unsafe fn execute(sql: &CStr, parameters: &[Parameter], limit: usize) -> Result<Output, Refusal> {
    // SAFETY: parameters live until SPI_finish, and the receiver until its rows are taken.
    unsafe {
        let types: Vec<pg_sys::Oid> = parameters.iter().map(|parameter| parameter.type_oid).collect();
        let count = i32::try_from(parameters.len()).unwrap_or(0);
        let plan = pg_sys::SPI_prepare(sql.as_ptr(), count, types.as_ptr().cast_mut());
        if plan.is_null() {
            return Err(refused(pg_sys::SPI_result));
        }
        let mut receiver = Receiver::new(limit);
        let options = pg_sys::SPIExecuteOptions {
            params: values(parameters),
            dest: receiver.head(),
            ..pg_sys::SPIExecuteOptions::default()
        };
        let status = pg_sys::SPI_execute_plan_extended(plan, &raw const options);
        if status < 0 {
            return Err(refused(status));
        }
        let Receiver { converters, rows, .. } = receiver;
        Ok(Output { columns: converters.into_iter().map(|converter| converter.column).collect(), rows })
    }
}

/// # Safety
/// `status` is one of SPI's.
unsafe fn refused(status: i32) -> Refusal {
    // SAFETY: gives a constant string.
    unsafe {
        Refusal::Spi(CStr::from_ptr(pg_sys::SPI_result_code_string(status)).to_string_lossy().into_owned())
    }
}

/// # Safety
/// In a transaction, with a snapshot.
pub(super) unsafe fn values(parameters: &[Parameter]) -> pg_sys::ParamListInfo {
    if parameters.is_empty() {
        return core::ptr::null_mut();
    }
    // SAFETY: the list has room for as many as it was made for.
    unsafe {
        let list = pg_sys::makeParamList(i32::try_from(parameters.len()).unwrap_or(0));
        let slots = (*list).params.as_mut_ptr();
        for (n, parameter) in parameters.iter().enumerate() {
            *slots.add(n) = pg_sys::ParamExternData {
                value: input(parameter),
                isnull: parameter.text.is_none(),
                pflags: u16::try_from(pg_sys::PARAM_FLAG_CONST).unwrap_or(1),
                ptype: parameter.type_oid,
            };
        }
        list
    }
}

/// # Safety
/// In a transaction.
unsafe fn input(parameter: &Parameter) -> pg_sys::Datum {
    // SAFETY: the type's own input function reads a C string; what it does not like it raises.
    unsafe {
        let Some(text) = &parameter.text else { return pg_sys::Datum::from(0) };
        let (mut function, mut element) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        pg_sys::getTypeInputInfo(parameter.type_oid, &raw mut function, &raw mut element);
        pg_sys::OidInputFunctionCall(function, text.as_ptr().cast_mut(), element, -1)
    }
}

/// How a column becomes JSON.
#[derive(Debug)]
pub(super) struct Converter {
    pub(super) column: Column,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The type's text is JSON already.
    Plain,
    /// A float: finite ones as they are, others as text.
    Float,
    /// A boolean.
    Bool,
    /// `void`.
    Nothing,
    /// The type's text as a string: numbers of any precision among them.
    Text,
    /// RFC 3339, in UTC.
    Instant,
    /// The server's own conversion, through a record of one column.
    Server,
}

/// # Safety
/// A descriptor of the server's.
pub(super) unsafe fn converters(descriptor: pg_sys::TupleDesc) -> Vec<Converter> {
    // SAFETY: the descriptor has as many columns as it says.
    unsafe {
        (1..=(*descriptor).natts)
            .map(|column| {
                let type_oid = pg_sys::SPI_gettypeid(descriptor, column);
                let name =
                    CStr::from_ptr(pg_sys::SPI_fname(descriptor, column)).to_string_lossy().into_owned();
                // Given none, and said so: else `character` and `bit` are written, which are read as those of length one.
                let flags = pg_sys::FORMAT_TYPE_FORCE_QUALIFY | pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN;
                let qualified = pg_sys::format_type_extended(type_oid, -1, u16::try_from(flags).unwrap_or(0));
                // A record without a type of its own cannot be read again; what is kept of it is an object.
                let type_name = match type_oid {
                    pg_sys::RECORDOID | pg_sys::RECORDARRAYOID => "pg_catalog.jsonb".into(),
                    _ => CStr::from_ptr(qualified).to_string_lossy().into_owned(),
                };
                let how = match pg_sys::getBaseType(type_oid) {
                    pg_sys::INT2OID
                    | pg_sys::INT4OID
                    | pg_sys::INT8OID
                    | pg_sys::JSONOID
                    | pg_sys::JSONBOID => How::Plain,
                    pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => How::Float,
                    pg_sys::BOOLOID => How::Bool,
                    pg_sys::VOIDOID => How::Nothing,
                    pg_sys::NUMERICOID
                    | pg_sys::TEXTOID
                    | pg_sys::VARCHAROID
                    | pg_sys::NAMEOID
                    | pg_sys::UUIDOID
                    | pg_sys::UNKNOWNOID => How::Text,
                    pg_sys::TIMESTAMPTZOID => How::Instant,
                    _ => How::Server,
                };
                Converter { column: Column { name, type_name }, how }
            })
            .collect()
    }
}

impl Converter {
    /// # Safety
    /// `tuple` is a row of `descriptor`, which has a column of that number.
    pub(super) unsafe fn json(
        &self,
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
        column: i32,
    ) -> String {
        // SAFETY: the caller's word.
        unsafe {
            let mut null = false;
            let datum = pg_sys::SPI_getbinval(tuple, descriptor, column, &raw mut null);
            if null {
                return "null".into();
            }
            let text = || {
                let text = pg_sys::SPI_getvalue(tuple, descriptor, column);
                if text.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                }
            };
            match self.how {
                How::Plain => text(),
                How::Float => {
                    let text = text();
                    if text.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)) {
                        text
                    } else {
                        quoted(&text)
                    }
                }
                How::Bool => {
                    if bool::from_datum(datum, false) == Some(true) { "true" } else { "false" }.into()
                }
                How::Nothing => "null".into(),
                How::Text => quoted(&text()),
                How::Instant => instant(datum),
                How::Server => by_server(datum, pg_sys::SPI_gettypeid(descriptor, column)),
            }
        }
    }
}

/// # Safety
/// `datum` is a `timestamptz`.
unsafe fn instant(datum: pg_sys::Datum) -> String {
    // SAFETY: `timezone(text, timestamptz)` gives a timestamp; a C string is read as text first.
    unsafe {
        let zone = pg_sys::cstring_to_text(c"UTC".as_ptr());
        let local = pgrx::direct_function_call_as_datum(
            pg_sys::timestamptz_zone,
            &[Some(pg_sys::Datum::from(zone)), Some(datum)],
        );
        let text = by_server(local.unwrap_or(pg_sys::Datum::from(0)), pg_sys::TIMESTAMPOID);
        match text.strip_suffix('"') {
            Some(finite) if !finite.ends_with("infinity") => format!("{finite}+00:00\""),
            _ => text,
        }
    }
}

/// What `row_to_json` makes of a value: arrays, composites, ranges and everything else as the server writes them.
///
/// # Safety
/// `datum` is a value of the type.
unsafe fn by_server(datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> String {
    // SAFETY: a descriptor with one column of that type, and a record with it; `row_to_json` takes a record and gives json,
    // `{"v":…}`, without spaces.
    unsafe {
        let descriptor = pg_sys::CreateTemplateTupleDesc(1);
        pg_sys::TupleDescInitEntry(descriptor, 1, c"v".as_ptr(), type_oid, -1, 0);
        let descriptor = pg_sys::BlessTupleDesc(descriptor);
        let (mut value, mut null) = (datum, false);
        let tuple = pg_sys::heap_form_tuple(descriptor, &raw mut value, &raw mut null);
        let record = pg_sys::heap_copy_tuple_as_datum(tuple, descriptor);
        let json = pgrx::direct_function_call_as_datum(pg_sys::row_to_json, &[Some(record)]);
        let text = json.and_then(|json| String::from_datum(json, false)).unwrap_or_default();
        text.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}')).unwrap_or("null").to_owned()
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    super::json::quote(&mut json, text);
    json
}

/// Makes what is deferred happen now, and from now on, as `SET CONSTRAINTS ALL IMMEDIATE` does.
pub fn constraints_immediate() {
    // SAFETY: the statement is read only; in a transaction.
    unsafe {
        let mut statement = pg_sys::ConstraintsSetStmt {
            type_: pg_sys::NodeTag::T_ConstraintsSetStmt,
            constraints: core::ptr::null_mut(),
            deferred: false,
        };
        pg_sys::AfterTriggerSetState(&raw mut statement);
    }
}

/// Closes every cursor of the process, as `CLOSE ALL` does.
pub fn close_cursors() {
    // SAFETY: no portal is being executed: SPI's own are gone with their connection.
    unsafe { pg_sys::PortalHashTableDeleteAll() };
}
