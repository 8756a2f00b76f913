//! A policy's expression, taken apart: what is to run as the owner of the table becomes calls of functions.
//!
//! Three things are taken out: sub-selects, because they read tables; and calls of functions that are neither the server's nor ours.
//! Each becomes the body of a function, whose parameters are the columns of the row that it uses and, where it asks for the
//! current user, who that is outside (`postern.caller`). What does not use the row is called once per statement, in a sub-select
//! of its own; and `x IN (SELECT …)` becomes `x = ANY (array)`, so that an index on x is used.
//!
//! `EXISTS (SELECT FROM t WHERE t.a = x AND …)` uses the row, but only for one comparison. It is turned round to
//! `x = ANY (ARRAY(SELECT t.a FROM t WHERE …))`, where it stands in the ANDs and ORs of a policy: there null is as good as false.

use core::ffi::{CStr, c_int, c_void};
use std::fmt::Write as _;

use pgrx::{pg_guard, pg_sys};

use super::{compat, spi};

/// A function that is to run as the owner.
#[derive(Debug, serde::Serialize)]
pub struct Part {
    /// Its number, which ends its name.
    pub number: usize,
    /// The types of its parameters.
    pub parameters: Vec<String>,
    /// The type of its result.
    pub returns: String,
    /// Its body, an expression.
    pub body: String,
    /// Whether it may give another result within one statement.
    pub volatile: bool,
    /// `s`, `r` or `u`, as in `pg_proc.proparallel`.
    pub parallel: char,
}

/// An expression that calls functions, and the functions.
#[derive(Debug, serde::Serialize)]
pub struct Split {
    /// The expression, as SQL.
    pub expression: String,
    /// The functions.
    pub parts: Vec<Part>,
}

/// Whether `text` is one expression, and nothing but that: no end of it, no second clause, no second statement. Raises a syntax
/// error for what cannot be read at all.
pub fn is_expression(text: &str) -> bool {
    // As it will stand in CREATE POLICY: a comment ends with its line.
    let Some(statement) = spi::c_string(&format!("CREATE POLICY p ON t USING (\n{text}\n)")) else {
        return false;
    };
    // SAFETY: the parser gives a list of RawStmt, each with a node that its tag describes.
    unsafe {
        let list = pg_sys::raw_parser(statement.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        if list.is_null() || (*list).length != 1 {
            return false;
        }
        let statement = (*(*(*list).elements).ptr_value.cast::<pg_sys::RawStmt>()).stmt;
        (*statement).type_ == pg_sys::NodeTag::T_CreatePolicyStmt && {
            let policy = statement.cast::<pg_sys::CreatePolicyStmt>();
            !(*policy).qual.is_null() && (*policy).with_check.is_null()
        }
    }
}

/// What the walk through an expression needs and finds.
struct Walk {
    context: *mut pg_sys::List,
    ours: pg_sys::Oid,
    caller_role: pg_sys::Oid,
    prefix: String,
    parts: Vec<Part>,
    calls: Vec<String>,
}

/// What the walk through one part needs and finds.
struct Inside {
    depth: u32,
    caller_role: pg_sys::Oid,
    parameters: Vec<*mut pg_sys::Node>,
    /// The number of the parameter that is the current user.
    caller: Option<usize>,
}

/// Takes a policy's expression apart.
///
/// `prefix` is what the names of the functions begin with, schema included and quoted as SQL; `caller_role` is
/// `postern.caller_role(postern.caller)`. Names are written as the search path of now needs it.
///
/// `tree` must be an expression of a policy of `relation`, from the catalog: it is believed.
pub fn of_policy(tree: &CStr, relation: pg_sys::Oid, prefix: &str, caller_role: pg_sys::Oid) -> Split {
    // SAFETY: the caller's word; the tree is ours to change.
    unsafe {
        let name = pg_sys::get_rel_name(relation);
        let mut walk = Walk {
            context: pg_sys::deparse_context_for(name, relation),
            ours: pg_sys::get_func_namespace(caller_role),
            caller_role,
            prefix: prefix.to_owned(),
            parts: Vec::new(),
            calls: Vec::new(),
        };
        let root = pg_sys::stringToNode(tree.as_ptr()).cast::<pg_sys::Node>();
        let root = condition(root, &mut walk);
        let expression = filled(&deparsed(root, walk.context), &walk.calls);
        Split { expression, parts: walk.parts }
    }
}

/// # Safety
/// `node` is an expression over the relation of the context.
unsafe fn deparsed(node: *mut pg_sys::Node, context: *mut pg_sys::List) -> String {
    // SAFETY: the caller's word; the text is copied.
    unsafe {
        CStr::from_ptr(pg_sys::deparse_expression(node, context, false, false)).to_string_lossy().into_owned()
    }
}

/// SQL with `$n` replaced by the n-th call; not in literals and quoted names.
fn filled(sql: &str, calls: &[String]) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut quote = None;
    let mut rest = sql.char_indices().peekable();
    while let Some((_, c)) = rest.next() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        let mut number = String::new();
        if c == '$' && quote.is_none() {
            while let Some((_, digit)) = rest.next_if(|(_, next)| next.is_ascii_digit()) {
                number.push(digit);
            }
        }
        let call = number.parse::<usize>().ok().and_then(|n| calls.get(n.checked_sub(1)?));
        match call {
            Some(call) => out.push_str(call),
            None => {
                let _ = write!(out, "{c}{number}");
            }
        }
    }
    out
}

/// An expression of which only "true" counts: a whole policy, or an arm of its ANDs and ORs.
///
/// # Safety
/// `node` is an expression that may be changed.
unsafe fn condition(node: *mut pg_sys::Node, walk: &mut Walk) -> *mut pg_sys::Node {
    // SAFETY: each cast follows from the tag.
    unsafe {
        if (*node).type_ == pg_sys::NodeTag::T_BoolExpr {
            let expression = node.cast::<pg_sys::BoolExpr>();
            if (*expression).boolop != pg_sys::BoolExprType::NOT_EXPR {
                for cell in cells((*expression).args) {
                    cell.ptr_value = condition(cell.ptr_value.cast(), walk).cast();
                }
                return node;
            }
        }
        if (*node).type_ == pg_sys::NodeTag::T_SubLink
            && let Some(turned) = turned_round(node.cast(), walk)
        {
            return turned;
        }
        guarded(|| outside(node, core::ptr::from_mut(walk).cast()))
    }
}

/// The cells of a list.
///
/// # Safety
/// `list` is null or a list that nobody else uses.
unsafe fn cells<'a>(list: *mut pg_sys::List) -> &'a mut [pg_sys::ListCell] {
    if list.is_null() {
        return &mut [];
    }
    // SAFETY: the array and its length.
    unsafe { core::slice::from_raw_parts_mut((*list).elements, usize::try_from((*list).length).unwrap_or(0)) }
}

/// A walk of the server's: an ERROR below becomes a panic here, so that what Rust holds is dropped.
fn guarded<R: Copy>(walk: impl FnOnce() -> R) -> R {
    // SAFETY: the closure calls the server's functions, in the main thread.
    #[allow(ffi_unwind_calls, reason = "guarded")]
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(walk)
    }
}

/// Replaces what is to run as the owner.
///
/// # Safety
/// `context` is a [`Walk`].
#[pg_guard]
#[allow(ffi_unwind_calls, reason = "guarded")]
unsafe extern "C-unwind" fn outside(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    if node.is_null() {
        return node;
    }
    // SAFETY: each cast follows from the tag; the walk is the one that was passed in.
    unsafe {
        let walk = &mut *context.cast::<Walk>();
        match (*node).type_ {
            pg_sys::NodeTag::T_SubLink if makes_array(node.cast()) => taken_out(node, walk, Call::Array),
            pg_sys::NodeTag::T_SubLink => {
                array_membership(node.cast(), walk).unwrap_or_else(|| taken_out(node, walk, Call::Plain))
            }
            pg_sys::NodeTag::T_FuncExpr
                if is_foreign((*node.cast::<pg_sys::FuncExpr>()).funcid, walk.ours) =>
            {
                taken_out(node, walk, Call::Plain)
            }
            _ => compat::expression_tree_mutator(node, outside, context),
        }
    }
}

/// Whether a function is neither the server's nor the extension's.
fn is_foreign(function: pg_sys::Oid, ours: pg_sys::Oid) -> bool {
    // SAFETY: reads the system cache.
    function.to_u32() >= pg_sys::FirstNormalObjectId
        && unsafe { pg_sys::get_func_namespace(function) } != ours
}

/// Whether it is `ARRAY(SELECT …)` with an array of one dimension; never null, then.
///
/// # Safety
/// `link` is a sub-select.
unsafe fn makes_array(link: *const pg_sys::SubLink) -> bool {
    // SAFETY: the sub-select of an ARRAY has one column.
    unsafe {
        let query = (*link).subselect.cast::<pg_sys::Query>();
        (*link).subLinkType == pg_sys::SubLinkType::ARRAY_SUBLINK
            && cells((*query).targetList).first().is_some_and(|column| {
                let column = column.ptr_value.cast::<pg_sys::TargetEntry>();
                pg_sys::get_array_type(pg_sys::exprType((*column).expr.cast())) != pg_sys::InvalidOid
            })
    }
}

/// `x op ANY (SELECT …)`, where the sub-select does not use the row: `x op ANY (array)`.
///
/// # Safety
/// `link` is a sub-select that may be changed.
unsafe fn array_membership(link: *mut pg_sys::SubLink, walk: &mut Walk) -> Option<*mut pg_sys::Node> {
    use pg_sys::SubLinkType as K;
    // SAFETY: each cast follows from the tag.
    unsafe {
        let kind = (*link).subLinkType;
        if (kind != K::ANY_SUBLINK && kind != K::ALL_SUBLINK)
            || pg_sys::contain_vars_of_level((*link).subselect, 1)
            || (*link).testexpr.is_null()
            || (*(*link).testexpr).type_ != pg_sys::NodeTag::T_OpExpr
        {
            return None;
        }
        let comparison = (*link).testexpr.cast::<pg_sys::OpExpr>();
        let [left, right] = cells((*comparison).args) else { return None };
        let (left, mut right) =
            (left.ptr_value.cast::<pg_sys::Node>(), right.ptr_value.cast::<pg_sys::Node>());
        if (*right).type_ == pg_sys::NodeTag::T_RelabelType {
            right = (*right.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        if (*right).type_ != pg_sys::NodeTag::T_Param {
            return None;
        }
        let array = as_array((*link).subselect.cast(), (*right.cast::<pg_sys::Param>()).paramtype, walk)?;
        let left = guarded(|| outside(left, core::ptr::from_mut(walk).cast()));
        Some(any((*comparison).opno, (*comparison).inputcollid, left, array, kind == K::ANY_SUBLINK))
    }
}

/// `EXISTS (SELECT FROM t WHERE t.a = x AND …)`: `x = ANY (array of a)`.
///
/// # Safety
/// `link` is a sub-select that may be changed.
#[allow(ffi_unwind_calls, reason = "guarded")]
unsafe fn turned_round(link: *mut pg_sys::SubLink, walk: &mut Walk) -> Option<*mut pg_sys::Node> {
    // SAFETY: each cast follows from the tag; the sub-select is changed only once all is known to fit.
    unsafe {
        if (*link).subLinkType != pg_sys::SubLinkType::EXISTS_SUBLINK {
            return None;
        }
        let query = (*link).subselect.cast::<pg_sys::Query>();
        let plain = (*query).commandType == pg_sys::CmdType::CMD_SELECT
            && !(*query).hasAggs
            && !(*query).hasWindowFuncs
            && !(*query).hasTargetSRFs
            && (*query).cteList.is_null()
            && (*query).groupClause.is_null()
            && (*query).groupingSets.is_null()
            && (*query).havingQual.is_null()
            && (*query).setOperations.is_null()
            && (*query).limitCount.is_null()
            && (*query).limitOffset.is_null()
            && (*query).rowMarks.is_null();
        if !plain || (*(*query).jointree).quals.is_null() {
            return None;
        }
        let quals = (*(*query).jointree).quals;
        let arms: Vec<*mut pg_sys::Node> = if (*quals).type_ == pg_sys::NodeTag::T_BoolExpr
            && (*quals.cast::<pg_sys::BoolExpr>()).boolop == pg_sys::BoolExprType::AND_EXPR
        {
            cells((*quals.cast::<pg_sys::BoolExpr>()).args).iter().map(|cell| cell.ptr_value.cast()).collect()
        } else {
            vec![quals]
        };
        let uses_row = |node: *mut pg_sys::Node| pg_sys::contain_vars_of_level(node, 1);
        let mut using = arms.iter().copied().filter(|arm| uses_row(*arm));
        let (Some(arm), None) = (using.next(), using.next()) else { return None };
        if (*arm).type_ != pg_sys::NodeTag::T_OpExpr || pg_sys::contain_volatile_functions(arm) {
            return None;
        }
        let comparison = arm.cast::<pg_sys::OpExpr>();
        let [left, right] = cells((*comparison).args) else { return None };
        let (left, right) = (left.ptr_value.cast::<pg_sys::Node>(), right.ptr_value.cast::<pg_sys::Node>());
        let of_row = |node| {
            uses_row(node)
                && !pg_sys::contain_vars_of_level(node, 0)
                && !guarded(|| compat::checkExprHasSubLink(node))
        };
        let (row_side, other, operator) = if of_row(left) && !uses_row(right) {
            (left, right, (*comparison).opno)
        } else if of_row(right) && !uses_row(left) {
            (right, left, pg_sys::get_commutator((*comparison).opno))
        } else {
            return None;
        };
        if operator == pg_sys::InvalidOid || (*comparison).opretset {
            return None;
        }
        // The rest of the sub-select must not use the row either: in FROM, in joins.
        let rest: Vec<_> = arms.iter().copied().filter(|one| *one != arm).collect();
        (*(*query).jointree).quals = all_of(&rest);
        if uses_row(query.cast()) {
            (*(*query).jointree).quals = quals;
            return None;
        }
        let mut column = core::ptr::null_mut();
        column = pg_sys::lappend(
            column,
            pg_sys::makeTargetEntry(other.cast(), 1, c"value".as_ptr().cast_mut(), false).cast(),
        );
        let before = ((*query).targetList, (*query).sortClause, (*query).distinctClause);
        (*query).targetList = column;
        (*query).sortClause = core::ptr::null_mut();
        (*query).distinctClause = core::ptr::null_mut();
        (*query).hasDistinctOn = false;
        let Some(array) = as_array(query, pg_sys::exprType(other), walk) else {
            ((*query).targetList, (*query).sortClause, (*query).distinctClause) = before;
            (*(*query).jointree).quals = quals;
            return None;
        };
        guarded(|| compat::IncrementVarSublevelsUp(row_side, -1, 1));
        let row_side = guarded(|| outside(row_side, core::ptr::from_mut(walk).cast()));
        Some(any(operator, (*comparison).inputcollid, row_side, array, true))
    }
}

/// The AND of conditions; null for none.
///
/// # Safety
/// Each is an expression.
unsafe fn all_of(arms: &[*mut pg_sys::Node]) -> *mut pg_sys::Node {
    // SAFETY: the caller's word.
    unsafe {
        let list = arms.iter().fold(core::ptr::null_mut(), |list, arm| pg_sys::lappend(list, arm.cast()));
        if list.is_null() { core::ptr::null_mut() } else { pg_sys::make_ands_explicit(list).cast() }
    }
}

/// `ARRAY(SELECT …)`, taken out; `None` if there are no arrays of the type.
///
/// # Safety
/// `query` is a sub-select with one column.
unsafe fn as_array(
    query: *mut pg_sys::Query,
    element: pg_sys::Oid,
    walk: &mut Walk,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: the caller's word.
    unsafe {
        if pg_sys::get_array_type(element) == pg_sys::InvalidOid {
            return None;
        }
        let link = make::<pg_sys::SubLink>(pg_sys::NodeTag::T_SubLink);
        (*link).subLinkType = pg_sys::SubLinkType::ARRAY_SUBLINK;
        (*link).subselect = query.cast();
        (*link).location = -1;
        Some(taken_out(link.cast(), walk, Call::Array))
    }
}

/// `left op ANY (array)`, or ALL.
///
/// # Safety
/// The operator is one for the two.
unsafe fn any(
    operator: pg_sys::Oid,
    collation: pg_sys::Oid,
    left: *mut pg_sys::Node,
    array: *mut pg_sys::Node,
    any: bool,
) -> *mut pg_sys::Node {
    // SAFETY: the node is new.
    unsafe {
        let expression = make::<pg_sys::ScalarArrayOpExpr>(pg_sys::NodeTag::T_ScalarArrayOpExpr);
        (*expression).opno = operator;
        (*expression).useOr = any;
        (*expression).inputcollid = collation;
        (*expression).args =
            pg_sys::lappend(pg_sys::lappend(core::ptr::null_mut(), left.cast()), array.cast());
        (*expression).location = -1;
        expression.cast()
    }
}

/// A new node, all zero but for its tag.
///
/// # Safety
/// The tag is that of the type.
unsafe fn make<T>(tag: pg_sys::NodeTag) -> *mut T {
    // SAFETY: every node begins with its tag.
    unsafe {
        let node = pg_sys::palloc0(size_of::<T>()).cast::<T>();
        (*node.cast::<pg_sys::Node>()).type_ = tag;
        node
    }
}

/// How what does not use the row is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// In a sub-select.
    Plain,
    /// In a sub-select that makes the array anew. What a sub-select gives goes through a row, where a short array is stored in a
    /// packed form; compared with that, it would be unpacked for each row of the table, which takes longer than the comparison.
    Array,
}

/// Makes a function of an expression; what stands in its place is a parameter with the number of the call.
///
/// # Safety
/// `node` is an expression over the row, and may be changed.
unsafe fn taken_out(node: *mut pg_sys::Node, walk: &mut Walk, how: Call) -> *mut pg_sys::Node {
    // SAFETY: the caller's word.
    unsafe {
        let result = pg_sys::exprType(node);
        let collation = pg_sys::exprCollation(node);
        let once = (*node).type_ == pg_sys::NodeTag::T_SubLink || !pg_sys::contain_volatile_functions(node);
        let volatile = pg_sys::contain_volatile_functions(node);
        let mut found =
            Inside { depth: 0, caller_role: walk.caller_role, parameters: Vec::new(), caller: None };
        let body = guarded(|| inside(node, (&raw mut found).cast()));
        let row = found.parameters.iter().any(|parameter| !parameter.is_null());

        let number = walk.parts.len() + 1;
        let mut arguments = Vec::new();
        let mut parameters = Vec::new();
        for parameter in &found.parameters {
            if parameter.is_null() {
                arguments.push("postern.caller()".to_owned());
                parameters.push("postern.caller".to_owned());
            } else {
                arguments.push(deparsed(*parameter, walk.context));
                parameters.push(type_name(pg_sys::exprType(*parameter)));
            }
        }
        let returns = type_name(result);
        // A quoted name of which the number is part.
        let function = format!("{}{number}\"", walk.prefix.trim_end_matches('"'));
        let call = format!("{function}({})", arguments.join(", "));
        let call = match how {
            _ if row || !once => call,
            Call::Plain => format!("((SELECT {call})::{returns})"),
            // The call in a sub-select of its own: for an estimate the planner would call it once more.
            Call::Array => format!("ARRAY(SELECT pg_catalog.unnest((SELECT {call})))"),
        };
        walk.calls.push(call);
        walk.parts.push(Part {
            number,
            parameters,
            returns,
            body: deparsed(body, core::ptr::null_mut()),
            volatile,
            parallel: hazard(body),
        });
        parameter(walk.calls.len(), result, collation)
    }
}

/// A parameter.
fn parameter(number: usize, of_type: pg_sys::Oid, collation: pg_sys::Oid) -> *mut pg_sys::Node {
    // SAFETY: the node is new.
    unsafe {
        let param = make::<pg_sys::Param>(pg_sys::NodeTag::T_Param);
        (*param).paramkind = pg_sys::ParamKind::PARAM_EXTERN;
        (*param).paramid = c_int::try_from(number).unwrap_or(c_int::MAX);
        (*param).paramtype = of_type;
        (*param).paramtypmod = -1;
        (*param).paramcollid = collation;
        (*param).location = -1;
        param.cast()
    }
}

/// The name of a type, qualified.
fn type_name(oid: pg_sys::Oid) -> String {
    // SAFETY: the text is copied.
    unsafe { CStr::from_ptr(pg_sys::format_type_be_qualified(oid)).to_string_lossy().into_owned() }
}

/// What forbids parallel workers in an expression: `s` nothing, `r` it must be in the leader, `u` there must be none.
///
/// # Safety
/// `node` is an expression.
unsafe fn hazard(node: *mut pg_sys::Node) -> char {
    let mut worst = 0_u8;
    guarded(|| {
        // SAFETY: the caller's word; the walker only reads, and writes to what outlives the walk.
        unsafe { look_for_hazard(node, (&raw mut worst).cast()) }
    });
    ['s', 'r', 'u'][usize::from(worst.min(2))]
}

/// No guard, and no value with a destructor in this frame.
///
/// # Safety
/// `worst` is a `u8`.
#[allow(ffi_unwind_calls, reason = "an error of the server passes through frames that have nothing to drop")]
unsafe extern "C-unwind" fn look_for_hazard(node: *mut pg_sys::Node, worst: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: each cast follows from the tag; the context is passed on as it came.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                if !(*node.cast::<pg_sys::Query>()).rowMarks.is_null() {
                    *worst.cast::<u8>() = 2;
                }
                return compat::query_tree_walker(node.cast(), look_for_hazard, worst, 0);
            }
            pg_sys::NodeTag::T_NextValueExpr => *worst.cast::<u8>() = 2,
            pg_sys::NodeTag::T_WindowFunc => *worst.cast::<u8>() = (*worst.cast::<u8>()).max(1),
            _ => {}
        }
        compat::check_functions_in_node(node, note_hazard, worst);
        compat::expression_tree_walker(node, look_for_hazard, worst)
    }
}

/// As [`look_for_hazard`].
///
/// # Safety
/// `worst` is a `u8`.
#[allow(ffi_unwind_calls, reason = "as there")]
unsafe extern "C-unwind" fn note_hazard(function: pg_sys::Oid, worst: *mut c_void) -> bool {
    // SAFETY: reads the system cache; the context is the one that was passed in.
    unsafe {
        let level = match compat::func_parallel(function).cast_unsigned() {
            b's' => 0,
            b'r' => 1,
            _ => 2,
        };
        *worst.cast::<u8>() = (*worst.cast::<u8>()).max(level);
    }
    false
}

/// Puts parameters where a part uses the row, or asks for the current user.
///
/// # Safety
/// `context` is an [`Inside`].
#[pg_guard]
#[allow(ffi_unwind_calls, reason = "guarded")]
unsafe extern "C-unwind" fn inside(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    if node.is_null() {
        return node;
    }
    // SAFETY: each cast follows from the tag; the context is the one that was passed in.
    unsafe {
        let found = &mut *context.cast::<Inside>();
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                found.depth += 1;
                let query = compat::query_tree_mutator(node.cast(), inside, context, 0);
                (*context.cast::<Inside>()).depth -= 1;
                query.cast()
            }
            pg_sys::NodeTag::T_Var if (*node.cast::<pg_sys::Var>()).varlevelsup == found.depth => {
                let outer = pg_sys::copyObjectImpl(node.cast()).cast::<pg_sys::Var>();
                (*outer).varlevelsup = 0;
                (*outer).location = -1;
                let number = found
                    .parameters
                    .iter()
                    .position(|known| !known.is_null() && pg_sys::equal(known.cast(), outer.cast()))
                    .unwrap_or_else(|| {
                        found.parameters.push(outer.cast());
                        found.parameters.len() - 1
                    });
                let (of_type, collation) = ((*outer).vartype, (*outer).varcollid);
                let param = parameter(number + 1, of_type, collation);
                if collation == pg_sys::get_typcollation(of_type) {
                    param
                } else {
                    // A parameter has its type's collation, not the column's.
                    let collate = make::<pg_sys::CollateExpr>(pg_sys::NodeTag::T_CollateExpr);
                    (*collate).arg = param.cast();
                    (*collate).collOid = collation;
                    (*collate).location = -1;
                    collate.cast()
                }
            }
            _ if asks_for_user(node) => {
                let number = found.caller.unwrap_or_else(|| {
                    found.parameters.push(core::ptr::null_mut());
                    found.parameters.len() - 1
                });
                found.caller = Some(number);
                let param = parameter(number + 1, argument_type(found.caller_role), pg_sys::InvalidOid);
                let role = call(found.caller_role, pg_sys::OIDOID, param);
                call(pg_sys::Oid::from(pg_sys::F_PG_GET_USERBYID), pg_sys::NAMEOID, role)
            }
            _ => compat::expression_tree_mutator(node, inside, context),
        }
    }
}

/// A call of a function with one argument.
///
/// # Safety
/// The argument is of the function's type.
unsafe fn call(function: pg_sys::Oid, result: pg_sys::Oid, argument: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller's word.
    unsafe {
        pg_sys::makeFuncExpr(
            function,
            result,
            pg_sys::lappend(core::ptr::null_mut(), argument.cast()),
            pg_sys::get_typcollation(result),
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        )
        .cast()
    }
}

/// `current_user` and its other spellings.
///
/// # Safety
/// `node` is an expression.
unsafe fn asks_for_user(node: *mut pg_sys::Node) -> bool {
    use pg_sys::SQLValueFunctionOp as O;
    // SAFETY: each cast follows from the tag.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_SQLValueFunction => matches!(
                (*node.cast::<pg_sys::SQLValueFunction>()).op,
                O::SVFOP_CURRENT_ROLE | O::SVFOP_CURRENT_USER | O::SVFOP_USER
            ),
            pg_sys::NodeTag::T_FuncExpr => [pg_sys::F_CURRENT_USER, pg_sys::F_GETPGUSERNAME]
                .contains(&(*node.cast::<pg_sys::FuncExpr>()).funcid.to_u32()),
            _ => false,
        }
    }
}

/// The type of the one parameter of a function.
fn argument_type(function: pg_sys::Oid) -> pg_sys::Oid {
    let mut count = 0;
    let mut types = core::ptr::null_mut();
    // SAFETY: reads the system cache; an array of `count` OIDs.
    unsafe {
        pg_sys::get_func_signature(function, &raw mut types, &raw mut count);
        if count == 1 { *types } else { pg_sys::InvalidOid }
    }
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn calls_stand_where_parameters_stood_and_nowhere_else() {
        let calls = ["a()".to_owned(), "b()".to_owned()];
        assert_eq!(filled("($1 AND x = $2)", &calls), "(a() AND x = b())");
        assert_eq!(filled("x = '$1' OR \"$2\" = $1", &calls), "x = '$1' OR \"$2\" = a()");
        assert_eq!(filled("x = 'it''s $1' OR $10", &calls), "x = 'it''s $1' OR $10");
        assert_eq!(filled("E'\\\\$1' = $1 || '$'", &calls), "E'\\\\$1' = a() || '$'");
        assert_eq!(filled("$0 $", &calls), "$0 $");
    }
}
