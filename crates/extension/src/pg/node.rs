//! Utility statements, reduced to what our rules ask about them.

use core::ffi::CStr;
use std::ffi::CString;

use pgrx::pg_sys;

/// A utility statement, by what it could leave behind or get round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utility {
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT, PREPARE TRANSACTION, …
    TransactionControl,
    /// PREPARE.
    Prepare,
    /// EXECUTE, also inside EXPLAIN and CREATE TABLE AS.
    Execute,
    /// DEALLOCATE.
    Deallocate,
    /// DISCARD.
    Discard,
    /// LISTEN.
    Listen,
    /// UNLISTEN.
    Unlisten,
    /// LOAD.
    Load,
    /// ALTER ROLE in all its forms.
    AlterRole,
    /// DECLARE … WITH HOLD.
    HoldCursor,
    /// COPY FROM STDIN.
    CopyFromClient,
    /// COPY TO STDOUT.
    CopyToClient,
    /// Setting or resetting one of the settings that show facts.
    ClaimSetting,
    /// SET ROLE, RESET ROLE, SET SESSION AUTHORIZATION and RESET SESSION AUTHORIZATION.
    ChangeRole,
    /// Anything else.
    Other,
}

/// What a statement may take away that privileges on tables rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Privileges on tables, and perhaps tables.
    Privileges,
    /// Tables from their owner; with them goes what that owner had granted to itself.
    Ownership,
    /// Tables or roles.
    Objects,
}

/// What the statement may take away.
///
/// # Safety
/// `statement` is a planned utility statement that the server passes to its ProcessUtility hook.
pub unsafe fn takes(statement: *const pg_sys::PlannedStmt) -> Takes {
    use pg_sys::NodeTag as T;
    // SAFETY: the caller's word; the casts follow from the tags.
    unsafe {
        let node = (*statement).utilityStmt;
        match (*node).type_ {
            T::T_GrantStmt => {
                let grant = &*node.cast::<pg_sys::GrantStmt>();
                let of_tables = grant.objtype == pg_sys::ObjectType::OBJECT_TABLE;
                if of_tables && !grant.is_grant { Takes::Privileges } else { Takes::Nothing }
            }
            T::T_DropOwnedStmt => Takes::Privileges,
            T::T_ReassignOwnedStmt => Takes::Ownership,
            T::T_AlterTableStmt => {
                let commands = (*node.cast::<pg_sys::AlterTableStmt>()).cmds;
                let count =
                    if commands.is_null() { 0 } else { usize::try_from((*commands).length).unwrap_or(0) };
                let is_owner = |n| {
                    let command = (*(*commands).elements.add(n)).ptr_value.cast::<pg_sys::AlterTableCmd>();
                    (*command).subtype == pg_sys::AlterTableType::AT_ChangeOwner
                };
                if (0..count).any(is_owner) { Takes::Ownership } else { Takes::Nothing }
            }
            T::T_DropStmt | T::T_DropRoleStmt => Takes::Objects,
            _ => Takes::Nothing,
        }
    }
}

/// Whether the statement runs the script of an extension, perhaps as another user.
///
/// # Safety
/// As [`takes`].
pub unsafe fn runs_extension_script(statement: *const pg_sys::PlannedStmt) -> bool {
    use pg_sys::NodeTag as T;
    // SAFETY: the caller's word.
    unsafe { matches!((*(*statement).utilityStmt).type_, T::T_CreateExtensionStmt | T::T_AlterExtensionStmt) }
}

/// What a statement does to this extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub enum OfExtension {
    /// Nothing of these.
    Nothing,
    /// CREATE EXTENSION.
    Create,
    /// ALTER EXTENSION … UPDATE.
    Update,
}

/// What the statement does to the extension of this name.
///
/// # Safety
/// As [`takes`].
pub unsafe fn of_extension(statement: *const pg_sys::PlannedStmt, name: &CStr) -> OfExtension {
    use pg_sys::NodeTag as T;
    // SAFETY: the caller's word; each cast follows from the tag. Names end with NUL.
    unsafe {
        let node = (*statement).utilityStmt;
        let (found, what) = match (*node).type_ {
            T::T_CreateExtensionStmt => {
                ((*node.cast::<pg_sys::CreateExtensionStmt>()).extname, OfExtension::Create)
            }
            T::T_AlterExtensionStmt => {
                ((*node.cast::<pg_sys::AlterExtensionStmt>()).extname, OfExtension::Update)
            }
            _ => return OfExtension::Nothing,
        };
        if !found.is_null() && CStr::from_ptr(found) == name { what } else { OfExtension::Nothing }
    }
}

/// The schema of our tables.
const OURS: &CStr = c"postern";

/// Whether the statement copies into a table of ours, named with its schema, as a dump names it.
///
/// # Safety
/// As [`utility`].
pub unsafe fn copies_into_ours(statement: *const pg_sys::PlannedStmt) -> bool {
    // SAFETY: the caller's word; the cast follows from the tag, names end with NUL.
    unsafe {
        let node = (*statement).utilityStmt;
        if (*node).type_ != pg_sys::NodeTag::T_CopyStmt {
            return false;
        }
        let copy = &*node.cast::<pg_sys::CopyStmt>();
        copy.is_from
            && !copy.relation.is_null()
            && !(*copy.relation).schemaname.is_null()
            && CStr::from_ptr((*copy.relation).schemaname) == OURS
    }
}

/// Whether a plan inserts, for a superuser.
///
/// # Safety
/// `query` is what the server passes to its ExecutorRun hook.
pub unsafe fn inserts_as_superuser(query: *const pg_sys::QueryDesc) -> bool {
    // SAFETY: the caller's word.
    unsafe { (*query).operation == pg_sys::CmdType::CMD_INSERT && pg_sys::superuser() }
}

/// Whether a plan that inserts does so into a table of ours.
///
/// # Safety
/// As [`inserts_as_superuser`].
pub unsafe fn inserts_into_ours(query: *const pg_sys::QueryDesc) -> bool {
    // SAFETY: the caller's word; result relations are numbers of entries of the range table, from 1.
    unsafe {
        let plan = &*(*query).plannedstmt;
        if plan.resultRelations.is_null() || (*plan.resultRelations).length < 1 {
            return false;
        }
        let number = (*(*plan.resultRelations).elements).int_value;
        let Ok(place) = usize::try_from(number - 1) else { return false };
        let entry = (*(*plan.rtable).elements.add(place)).ptr_value.cast::<pg_sys::RangeTblEntry>();
        let schema = pg_sys::get_namespace_oid(OURS.as_ptr(), true);
        schema != pg_sys::InvalidOid && pg_sys::get_rel_namespace((*entry).relid) == schema
    }
}

/// What kind of statement `statement` is. `is_claim_setting` tells whether a setting shows facts.
///
/// # Safety
/// `statement` is a planned utility statement that the server passes to its ProcessUtility hook.
pub unsafe fn utility(statement: *const pg_sys::PlannedStmt, is_claim_setting: fn(&CStr) -> bool) -> Utility {
    // SAFETY: the caller's word; a node's tag tells its type.
    unsafe { classify((*statement).utilityStmt, is_claim_setting) }
}

/// The database that the statement wants for itself alone: DROP, ALTER … RENAME, ALTER … SET TABLESPACE, and CREATE with another
/// one as a template. The server refuses each while anybody else is connected to it.
///
/// # Safety
/// As [`utility`].
pub unsafe fn database_for_itself(statement: *const pg_sys::PlannedStmt) -> Option<CString> {
    use pg_sys::NodeTag as T;
    // SAFETY: the caller's word; each cast follows from the tag. Names end with NUL.
    unsafe {
        let node = (*statement).utilityStmt;
        let name = match (*node).type_ {
            T::T_DropdbStmt => (*node.cast::<pg_sys::DropdbStmt>()).dbname,
            T::T_RenameStmt => {
                let rename = &*node.cast::<pg_sys::RenameStmt>();
                if rename.renameType != pg_sys::ObjectType::OBJECT_DATABASE {
                    return None;
                }
                rename.subname
            }
            T::T_AlterDatabaseStmt => {
                let alter = &*node.cast::<pg_sys::AlterDatabaseStmt>();
                option(alter.options, c"tablespace")?;
                alter.dbname
            }
            T::T_CreatedbStmt => {
                let template = option((*node.cast::<pg_sys::CreatedbStmt>()).options, c"template")?;
                pg_sys::defGetString(template)
            }
            _ => return None,
        };
        (!name.is_null()).then(|| CStr::from_ptr(name).to_owned())
    }
}

/// The option of this name.
///
/// # Safety
/// `options` is null or a list of DefElem.
pub unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*mut pg_sys::DefElem> {
    if options.is_null() {
        return None;
    }
    // SAFETY: the caller's word; names end with NUL.
    unsafe {
        let count = usize::try_from((*options).length).unwrap_or(0);
        (0..count)
            .map(|n| (*(*options).elements.add(n)).ptr_value.cast::<pg_sys::DefElem>())
            .find(|element| CStr::from_ptr((**element).defname) == name && !(**element).arg.is_null())
    }
}

/// # Safety
/// `node` is null or a raw or analysed utility statement.
unsafe fn classify(node: *const pg_sys::Node, is_claim_setting: fn(&CStr) -> bool) -> Utility {
    use pg_sys::NodeTag as T;
    if node.is_null() {
        return Utility::Other;
    }
    // SAFETY: each cast follows from the tag.
    unsafe {
        match (*node).type_ {
            T::T_TransactionStmt => Utility::TransactionControl,
            T::T_PrepareStmt => Utility::Prepare,
            T::T_ExecuteStmt => Utility::Execute,
            T::T_DeallocateStmt => Utility::Deallocate,
            T::T_DiscardStmt => Utility::Discard,
            T::T_ListenStmt => Utility::Listen,
            T::T_UnlistenStmt => Utility::Unlisten,
            T::T_LoadStmt => Utility::Load,
            T::T_AlterRoleStmt | T::T_AlterRoleSetStmt => Utility::AlterRole,
            T::T_DeclareCursorStmt => {
                let options = (*node.cast::<pg_sys::DeclareCursorStmt>()).options.cast_unsigned();
                if options & pg_sys::CURSOR_OPT_HOLD != 0 { Utility::HoldCursor } else { Utility::Other }
            }
            T::T_CopyStmt => {
                let copy = &*node.cast::<pg_sys::CopyStmt>();
                match (copy.filename.is_null() && !copy.is_program, copy.is_from) {
                    (true, true) => Utility::CopyFromClient,
                    (true, false) => Utility::CopyToClient,
                    (false, _) => Utility::Other,
                }
            }
            // EXPLAIN and CREATE TABLE AS run an EXECUTE inside them without asking this hook again
            // (src/backend/commands/explain.c, createas.c), also one inside the other.
            T::T_ExplainStmt => executes((*node.cast::<pg_sys::ExplainStmt>()).query, is_claim_setting),
            T::T_CreateTableAsStmt => {
                executes((*node.cast::<pg_sys::CreateTableAsStmt>()).query, is_claim_setting)
            }
            T::T_VariableSetStmt => {
                let name = (*node.cast::<pg_sys::VariableSetStmt>()).name;
                if name.is_null() {
                    return Utility::Other;
                }
                let name = CStr::from_ptr(name);
                let is = |other: &[u8]| name.to_bytes().eq_ignore_ascii_case(other);
                if is(b"role") || is(b"session_authorization") {
                    Utility::ChangeRole
                } else if is_claim_setting(name) {
                    Utility::ClaimSetting
                } else {
                    Utility::Other
                }
            }
            _ => Utility::Other,
        }
    }
}

/// # Safety
/// `query` is null or the statement inside an EXPLAIN or CREATE TABLE AS.
unsafe fn executes(query: *const pg_sys::Node, is_claim_setting: fn(&CStr) -> bool) -> Utility {
    if query.is_null() {
        return Utility::Other;
    }
    // SAFETY: as in `classify`.
    unsafe {
        let inner = if (*query).type_ == pg_sys::NodeTag::T_Query {
            (*query.cast::<pg_sys::Query>()).utilityStmt.cast_const()
        } else {
            query
        };
        match classify(inner, is_claim_setting) {
            Utility::Execute => Utility::Execute,
            _ => Utility::Other,
        }
    }
}
