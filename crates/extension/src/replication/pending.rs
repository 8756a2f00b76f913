//! What the transaction has touched and nobody has judged yet.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;

use super::recorder;
use crate::pg::trigger::{self, Before};
use crate::pg::{user, xact};

/// OIDs of the catalogs that matter (`src/include/catalog/`; those below 10000 never change).
pub(super) mod class {
    use pgrx::pg_sys::Oid;

    pub const TYPE: Oid = Oid::from_u32(1247);
    pub const FUNCTION: Oid = Oid::from_u32(1255);
    pub const RELATION: Oid = Oid::from_u32(1259);
    pub const ROLE: Oid = Oid::from_u32(1260);
    pub const DEFAULT: Oid = Oid::from_u32(2604);
    pub const CONSTRAINT: Oid = Oid::from_u32(2606);
    pub const INHERITS: Oid = Oid::from_u32(2611);
    pub const SCHEMA: Oid = Oid::from_u32(2615);
    pub const OPERATOR: Oid = Oid::from_u32(2617);
    pub const TRIGGER: Oid = Oid::from_u32(2620);
    pub const EXTENSION: Oid = Oid::from_u32(3079);
    pub const SUBSCRIPTION: Oid = Oid::from_u32(6100);
    pub const PUBLICATION: Oid = Oid::from_u32(6104);
    pub const PUBLICATION_TABLE: Oid = Oid::from_u32(6106);
    pub const PUBLICATION_SCHEMA: Oid = Oid::from_u32(6237);
}

/// A trigger that was made, or takes the place of another.
#[derive(Debug, Clone, Copy)]
pub struct Created {
    /// The trigger.
    pub oid: pg_sys::Oid,
    /// What it took the place of.
    pub before: Option<Before>,
    /// The owner of the function of that.
    pub owner_before: pg_sys::Oid,
    /// Who made it.
    pub actor: pg_sys::Oid,
    subxact: pg_sys::SubTransactionId,
}

/// Anything else that was made or changed.
#[derive(Debug, Clone, Copy)]
pub struct Touched {
    /// The catalog that it is in.
    pub class: pg_sys::Oid,
    /// Itself.
    pub object: pg_sys::Oid,
    /// The number of a column, or 0.
    pub sub: i32,
    /// For a relation that was there before: whose it was.
    pub owner_before: pg_sys::Oid,
    /// For a relation that was there before: the schema that it was in.
    pub schema_before: pg_sys::Oid,
    /// Who did it.
    pub actor: pg_sys::Oid,
    subxact: pg_sys::SubTransactionId,
}

/// A trigger that is gone, or that fires otherwise.
#[derive(Debug)]
pub struct Changed {
    /// Its name before.
    pub name: String,
    /// Its table.
    pub relation: pg_sys::Oid,
    /// The trigger, if it is still there.
    pub oid: Option<pg_sys::Oid>,
    /// When it fired: `O`, `D`, `R` or `A`.
    pub enabled: u8,
    /// Who did it.
    pub actor: pg_sys::Oid,
    subxact: pg_sys::SubTransactionId,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Pending {
    /// What is for the log.
    pub changed: Vec<Changed>,
    /// Triggers.
    pub created: Vec<Created>,
    /// The rest.
    pub touched: Vec<Touched>,
}

impl Pending {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.touched.is_empty() && self.changed.is_empty()
    }
}

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
    /// Who runs the script of an extension: the script itself may run as a superuser.
    static SCRIPT: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// A statement begins that runs the script of an extension.
pub fn script_begins() {
    if !trigger::in_extension_script() {
        SCRIPT.set(user::current().oid);
    }
}

/// Who does what is being done.
fn actor() -> pg_sys::Oid {
    if trigger::in_extension_script() { SCRIPT.get() } else { user::current().oid }
}

/// Notes a trigger that is about to be dropped, by itself or with something else. May raise as any catalog read may.
pub fn lost(oid: pg_sys::Oid) {
    if let Some(before) = trigger::before(oid) {
        change(before, None);
    }
}

fn change(before: Before, oid: Option<pg_sys::Oid>) {
    if before.internal {
        return;
    }
    let (actor, subxact) = (actor(), xact::subxact_id());
    let (name, relation, enabled) = (before.name(), before.relation, before.enabled);
    let changed = Changed { name, relation, oid, enabled, actor, subxact };
    PENDING.with_borrow_mut(|pending| pending.changed.push(changed));
}

/// Notes an object that was made or changed. May raise as any catalog read may.
pub fn touched(class: pg_sys::Oid, object: pg_sys::Oid, sub: i32, created: bool) {
    let (actor, subxact) = (actor(), xact::subxact_id());
    let mut entry = Touched {
        class,
        object,
        sub,
        owner_before: pg_sys::InvalidOid,
        schema_before: pg_sys::InvalidOid,
        actor,
        subxact,
    };
    match class {
        class::TRIGGER => {
            let before = trigger::before(object);
            if created {
                let owner_before = before.map_or(pg_sys::InvalidOid, |b| trigger::function_owner(b.function));
                let made = Created { oid: object, before, owner_before, actor, subxact };
                PENDING.with_borrow_mut(|pending| pending.created.push(made));
                return;
            }
            // What it fires on before goes into the place of the column: the judge compares.
            entry.sub = before.map_or(0, |before| before.enabled.into());
            if let Some(before) = before {
                change(before, Some(object));
            }
        }
        class::RELATION => {
            if let Some((owner, schema)) = trigger::relation_before(object) {
                (entry.owner_before, entry.schema_before) = (owner, schema);
            }
        }
        class::SUBSCRIPTION => {
            if created {
                recorder::subscribed();
            }
            entry.sub = created.into();
        }
        // A new function, type or role is used by nothing.
        class::FUNCTION if created && !trigger::function_existed(object) => return,
        class::TYPE | class::ROLE if created => return,
        // Its options: its tables have rows of their own.
        class::PUBLICATION if !created => return,
        class::TYPE
        | class::FUNCTION
        | class::ROLE
        | class::DEFAULT
        | class::CONSTRAINT
        | class::INHERITS
        | class::OPERATOR
        | class::EXTENSION
        | class::PUBLICATION
        | class::PUBLICATION_TABLE
        | class::PUBLICATION_SCHEMA => {}
        _ => return,
    }
    PENDING.with_borrow_mut(|pending| pending.touched.push(entry));
}

/// Whether there is anything to judge.
pub fn is_empty() -> bool {
    PENDING.with_borrow(Pending::is_empty)
}

/// Takes all of it.
pub fn take() -> Pending {
    PENDING.take()
}

/// Forgets all of it: the transaction has ended.
pub fn forget() {
    if !is_empty() {
        drop(take());
    }
}

/// Forgets what was noted in a subtransaction that is rolled back.
pub fn forget_subtransaction(id: pg_sys::SubTransactionId) {
    PENDING.with_borrow_mut(|pending| {
        pending.created.retain(|created| created.subxact != id);
        pending.touched.retain(|touched| touched.subxact != id);
        pending.changed.retain(|changed| changed.subxact != id);
    });
}
