//! Object access: an object was made, or a function is about to be called (`src/include/catalog/objectaccess.h`).

use pgrx::{pg_guard, pg_sys};

use super::function;
use crate::durable;
use crate::error::{Error, raise};
use crate::identity::{self, clean, confine};
use crate::names;
use crate::pg::{catalog, compat, inval, role_setting};
use crate::{replication, version};

static mut PREVIOUS: pg_sys::object_access_hook_type = None;

pub fn install() {
    // SAFETY: in the postmaster, before there are other threads or backends.
    unsafe {
        PREVIOUS = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(object_access);
    }
}

/// No guard, and no value with a destructor in this frame: an ERROR from below jumps straight over it.
unsafe extern "C-unwind" fn object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub: core::ffi::c_int,
    arg: *mut core::ffi::c_void,
) {
    // SAFETY: the arguments are the server's own; PREVIOUS is written once, while preloading.
    unsafe {
        // Every function of every statement passes here: the cases are told apart before anything is guarded.
        match access {
            pg_sys::ObjectAccessType::OAT_POST_CREATE => {
                created();
                touched(class, object, sub, true);
            }
            pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE
                if class == pg_sys::ProcedureRelationId && object == compat::PG_PREPARED_STATEMENT =>
            {
                prepared_statements();
            }
            pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE
                if class == pg_sys::ProcedureRelationId
                    && compat::SESSION_LOCKS.contains(&object.to_u32()) =>
            {
                session_lock();
            }
            pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE
                if compat::OF_LARGE_OBJECTS.contains(&object.to_u32()) =>
            {
                descriptor();
            }
            pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE if object == compat::PG_CURSOR => cursors(),
            pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE if object == compat::SETSEED => clean::seeds(),
            pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE => function::prepares(object),
            // ALTER ROLE … SET and ALTER DATABASE … SET, by whatever route.
            pg_sys::ObjectAccessType::OAT_POST_ALTER if class == role_setting::RELATION => settings_changed(),
            pg_sys::ObjectAccessType::OAT_POST_ALTER => touched(class, object, sub, false),
            pg_sys::ObjectAccessType::OAT_DROP if class == pg_sys::ExtensionRelationId => dropped(object),
            pg_sys::ObjectAccessType::OAT_DROP if class == pg_sys::TriggerRelationId => lost(object),
            _ => {}
        }
        if let Some(next) = PREVIOUS {
            next(access, class, object, sub, arg);
        }
    }
}

#[pg_guard]
extern "C-unwind" fn settings_changed() {
    inval::changed(role_setting::RELATION);
}

#[pg_guard]
extern "C-unwind" fn touched(class: pg_sys::Oid, object: pg_sys::Oid, sub: core::ffi::c_int, created: bool) {
    if class == pg_sys::ExtensionRelationId {
        version::changed();
    }
    replication::touched(class, object, sub, created);
    if class == pg_sys::ProcedureRelationId {
        names::rule::touched(object);
    }
}

#[pg_guard]
extern "C-unwind" fn lost(trigger: pg_sys::Oid) {
    replication::lost(trigger);
}

#[pg_guard]
extern "C-unwind" fn dropped(extension: pg_sys::Oid) {
    if extension == catalog::extension() {
        version::changed();
        durable::dropped();
        replication::dropped();
    }
}

#[pg_guard]
extern "C-unwind" fn created() {
    refuse_unless(confine::created);
}

#[pg_guard]
extern "C-unwind" fn prepared_statements() {
    refuse_unless(confine::prepared_statements);
}

#[pg_guard]
extern "C-unwind" fn session_lock() {
    refuse_unless(confine::session_lock);
}

#[pg_guard]
extern "C-unwind" fn cursors() {
    refuse_unless(confine::cursors);
}

#[pg_guard]
extern "C-unwind" fn descriptor() {
    refuse_unless(confine::descriptor);
}

fn refuse_unless(judge: fn() -> Result<(), Error>) {
    if identity::is_entered()
        && let Err(error) = judge()
    {
        raise(error);
    }
}
