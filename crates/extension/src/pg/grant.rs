//! GRANT and REVOKE: the objects that they are about.

use core::ffi::CStr;

use pgrx::pg_sys;

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

/// The tables, functions and schemas of a GRANT or REVOKE, as it will find them; nothing for other statements, and for objects that are
/// not there. ALL … IN SCHEMA is about the schema.
///
/// # Safety
/// `statement` is a planned utility statement that the server passes to its ProcessUtility hook.
pub unsafe fn targets(statement: *const pg_sys::PlannedStmt) -> Vec<Target> {
    use pg_sys::ObjectType as O;
    // SAFETY: the caller's word; the casts follow from the tag, and from the type of the objects. Looking up takes no lock.
    unsafe {
        let node = (*statement).utilityStmt;
        if (*node).type_ != pg_sys::NodeTag::T_GrantStmt {
            return Vec::new();
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
            _ => Target { class: pg_sys::InvalidOid, object: pg_sys::InvalidOid },
        });
        found.filter(|target| target.object != pg_sys::InvalidOid).collect()
    }
}

/// # Safety
/// `name` is a String node.
unsafe fn schema(name: *mut pg_sys::String) -> Target {
    // SAFETY: the caller's word; the string ends with NUL.
    let object = unsafe { pg_sys::get_namespace_oid((*name).sval, true) };
    Target { class: pg_sys::NamespaceRelationId, object }
}
