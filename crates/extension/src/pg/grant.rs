//! GRANT and REVOKE: the objects that they are about.

use core::ffi::CStr;

use pgrx::pg_sys;

use super::node;

/// An object that privileges are given on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The catalog that it is in.
    pub class: pg_sys::Oid,
    /// Itself.
    pub object: pg_sys::Oid,
}

/// Our schemas. The first is not a member of the extension, but what it is installed into.
const SCHEMAS: [&CStr; 3] = [c"postern", c"df", c"_duroxide"];

impl Target {
    /// Whether the object is of the extension. May raise as any catalog read may.
    pub fn is_of(self, extension: pg_sys::Oid) -> bool {
        // SAFETY: reads the catalogs; the names end with NUL.
        unsafe {
            if self.class == pg_sys::NamespaceRelationId {
                return SCHEMAS
                    .iter()
                    .any(|name| pg_sys::get_namespace_oid(name.as_ptr(), true) == self.object);
            }
            pg_sys::getExtensionOfObject(self.class, self.object) == extension
        }
    }
}

/// The tables, functions, types and schemas of a GRANT or REVOKE, as it will find them; nothing for other statements, and for objects
/// that are not there. ALL … IN SCHEMA is about the schema, and so are default privileges in it.
///
/// # Safety
/// `statement` is a planned utility statement that the server passes to its ProcessUtility hook.
pub unsafe fn targets(statement: *const pg_sys::PlannedStmt) -> Vec<Target> {
    use pg_sys::ObjectType as O;
    // SAFETY: the caller's word; the casts follow from the tag, and from the type of the objects. Looking up takes no lock.
    unsafe {
        let node = (*statement).utilityStmt;
        match (*node).type_ {
            pg_sys::NodeTag::T_GrantStmt => {}
            pg_sys::NodeTag::T_AlterDefaultPrivilegesStmt => return default_schemas(node.cast()),
            _ => return Vec::new(),
        }
        let grant = &*node.cast::<pg_sys::GrantStmt>();
        let in_schema = grant.targtype == pg_sys::GrantTargetType::ACL_TARGET_ALL_IN_SCHEMA;
        let count =
            if grant.objects.is_null() { 0 } else { usize::try_from((*grant.objects).length).unwrap_or(0) };
        let objects = (0..count).map(|n| (*(*grant.objects).elements.add(n)).ptr_value);
        let found = objects.map(|object| match grant.objtype {
            _ if in_schema => schema(object.cast()),
            O::OBJECT_SCHEMA => schema(object.cast()),
            O::OBJECT_TABLE | O::OBJECT_SEQUENCE => Target {
                class: pg_sys::RelationRelationId,
                object: pg_sys::RangeVarGetRelidExtended(
                    object.cast(),
                    pg_sys::NoLock.cast_signed(),
                    pg_sys::RVROption::RVR_MISSING_OK,
                    None,
                    core::ptr::null_mut(),
                ),
            },
            O::OBJECT_FUNCTION | O::OBJECT_PROCEDURE | O::OBJECT_ROUTINE => Target {
                class: pg_sys::ProcedureRelationId,
                object: pg_sys::LookupFuncWithArgs(grant.objtype, object.cast(), true),
            },
            O::OBJECT_TYPE | O::OBJECT_DOMAIN => Target {
                class: pg_sys::TypeRelationId,
                object: pg_sys::LookupTypeNameOid(
                    core::ptr::null_mut(),
                    pg_sys::makeTypeNameFromNameList(object.cast()),
                    true,
                ),
            },
            _ => Target { class: pg_sys::InvalidOid, object: pg_sys::InvalidOid },
        });
        found.filter(|target| target.object != pg_sys::InvalidOid).collect()
    }
}

/// Whether it is a GRANT or REVOKE on functions that are there.
///
/// # Safety
/// As [`targets`].
pub unsafe fn is_on_functions(statement: *const pg_sys::PlannedStmt) -> bool {
    use pg_sys::ObjectType as O;
    // SAFETY: the caller's word; the cast follows from the tag.
    unsafe {
        let node = (*statement).utilityStmt;
        (*node).type_ == pg_sys::NodeTag::T_GrantStmt
            && matches!(
                (*node.cast::<pg_sys::GrantStmt>()).objtype,
                O::OBJECT_FUNCTION | O::OBJECT_PROCEDURE | O::OBJECT_ROUTINE
            )
    }
}

/// The schemas that default privileges are for.
///
/// # Safety
/// `statement` is an ALTER DEFAULT PRIVILEGES.
unsafe fn default_schemas(statement: *const pg_sys::AlterDefaultPrivilegesStmt) -> Vec<Target> {
    // SAFETY: the caller's word; options are a list of DefElem, and that of schemas is a list of names.
    unsafe {
        let Some(option) = node::option((*statement).options, c"schemas") else { return Vec::new() };
        let names = (*option).arg.cast::<pg_sys::List>();
        let count = usize::try_from((*names).length).unwrap_or(0);
        let found = (0..count).map(|n| schema((*(*names).elements.add(n)).ptr_value.cast()));
        found.filter(|target| target.object != pg_sys::InvalidOid).collect()
    }
}

/// The roles of a DROP OWNED, which takes their privileges away; nothing for other statements.
///
/// # Safety
/// As [`targets`].
pub unsafe fn disowned(statement: *const pg_sys::PlannedStmt) -> Vec<pg_sys::Oid> {
    // SAFETY: the caller's word; the cast follows from the tag, and the list is of RoleSpec.
    unsafe {
        let node = (*statement).utilityStmt;
        if (*node).type_ != pg_sys::NodeTag::T_DropOwnedStmt {
            return Vec::new();
        }
        let roles = (*node.cast::<pg_sys::DropOwnedStmt>()).roles;
        let count = if roles.is_null() { 0 } else { usize::try_from((*roles).length).unwrap_or(0) };
        let specified = (0..count).map(|n| (*(*roles).elements.add(n)).ptr_value.cast());
        specified.map(|role| pg_sys::get_rolespec_oid(role, true)).collect()
    }
}

/// # Safety
/// `name` is a String node.
unsafe fn schema(name: *mut pg_sys::String) -> Target {
    // SAFETY: the caller's word; the string ends with NUL.
    let object = unsafe { pg_sys::get_namespace_oid((*name).sval, true) };
    Target { class: pg_sys::NamespaceRelationId, object }
}
