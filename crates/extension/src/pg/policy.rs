//! Query trees, as far as row security is in them (`src/backend/rewrite/rowsecurity.c`).
//!
//! The rewriter puts the quals of policies before all others that a range-table entry has, and adds checks for new rows to the
//! query. Nothing in the tree says which of the quals are policies': those of a security-barrier view follow in the same list.
//! [`marker`] is a policy of ours that says it. It is the constant false, which changes nothing where permissive policies are
//! combined with OR; the last qual that has it is the last of row security.
//!
//! A marker is known by its parse location, a negative number. A parser gives none but -1 to what somebody wrote, and the server
//! reads -1 for every location in a stored rule: SQL cannot make one.

use core::ffi::{CStr, c_int, c_void};

use pgrx::pg_sys;

use super::compat;

/// Commands that row security governs, as bits of an `AclMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Commands(u32);

impl Commands {
    const ALL: u32 = pg_sys::ACL_INSERT | pg_sys::ACL_SELECT | pg_sys::ACL_UPDATE | pg_sys::ACL_DELETE;

    /// Those of a mask of privileges.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::unnecessary_cast,
        reason = "the mask has 64 bits from 16 on; the four are the lowest"
    )]
    pub(super) fn of(mask: pg_sys::AclMode) -> Self {
        Self(mask as u32 & Self::ALL)
    }

    /// The command of a letter as in `pg_policy.polcmd`; `None` for another letter.
    pub fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'r' => Some(Self(pg_sys::ACL_SELECT)),
            b'a' => Some(Self(pg_sys::ACL_INSERT)),
            b'w' => Some(Self(pg_sys::ACL_UPDATE)),
            b'd' => Some(Self(pg_sys::ACL_DELETE)),
            _ => None,
        }
    }

    /// As [`Commands::from_letter`], of one command.
    pub fn letter(self) -> Option<u8> {
        match self.0 {
            pg_sys::ACL_SELECT => Some(b'r'),
            pg_sys::ACL_INSERT => Some(b'a'),
            pg_sys::ACL_UPDATE => Some(b'w'),
            pg_sys::ACL_DELETE => Some(b'd'),
            _ => None,
        }
    }

    /// No command.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of `other` is among them.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (pg_sys::ACL_SELECT, "SELECT"),
            (pg_sys::ACL_INSERT, "INSERT"),
            (pg_sys::ACL_UPDATE, "UPDATE"),
            (pg_sys::ACL_DELETE, "DELETE"),
        ]
        .into_iter()
        .filter_map(move |(bit, name)| (self.0 & bit != 0).then_some(name))
    }

    /// Each of them alone.
    pub fn each(self) -> impl Iterator<Item = Self> {
        [pg_sys::ACL_SELECT, pg_sys::ACL_INSERT, pg_sys::ACL_UPDATE, pg_sys::ACL_DELETE]
            .into_iter()
            .filter(move |bit| self.0 & bit != 0)
            .map(Self)
    }
}

/// What a statement does with a relation, and as whom: the current user, or the owner of the view that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The relation.
    pub relation: pg_sys::Oid,
    /// Whose privileges and policies count.
    pub user: pg_sys::Oid,
    /// The commands that it needs privileges for.
    pub needs: Commands,
}

impl Access {
    fn new(relation: pg_sys::Oid, as_user: pg_sys::Oid, needs: pg_sys::AclMode) -> Self {
        let user = if as_user == pg_sys::InvalidOid { super::user::current().oid } else { as_user };
        Self { relation, user, needs: Commands::of(needs) }
    }
}

/// What no parser gives as a location; with the command beside it in the type modifier.
const LOCATION: c_int = i32::MIN + 0x50_53_54;

/// A list of one permissive policy for everybody, the marker, after those of `list`. One command's marker differs from another's:
/// the rewriter drops a qual that is equal to one that it has.
///
/// # Safety
/// `list` is a list of policies, or null; called while the rewriter asks for policies.
pub unsafe fn mark(list: *mut pg_sys::List, command: pg_sys::CmdType::Type) -> *mut pg_sys::List {
    // SAFETY: all is allocated in the memory of the query that is being rewritten; the array of roles has one element, 0, which
    // stands for everybody.
    unsafe {
        let qual = pg_sys::makeConst(
            pg_sys::BOOLOID,
            c_int::try_from(command).unwrap_or(0),
            pg_sys::InvalidOid,
            1,
            pg_sys::Datum::from(false),
            false,
            true,
        );
        (*qual).location = LOCATION;
        let mut everybody = [pg_sys::Datum::from(0_u32)];
        let roles = pg_sys::construct_array(
            everybody.as_mut_ptr(),
            1,
            pg_sys::OIDOID,
            4,
            true,
            pg_sys::TYPALIGN_INT.cast_signed(),
        );
        let policy =
            pg_sys::palloc0(size_of::<pg_sys::RowSecurityPolicy>()).cast::<pg_sys::RowSecurityPolicy>();
        (*policy).policy_name = pg_sys::pstrdup(c"postern".as_ptr());
        (*policy).polcmd = b'*'.cast_signed();
        (*policy).roles = roles;
        (*policy).permissive = true;
        (*policy).qual = qual.cast();
        (*policy).with_check_qual = qual.cast();
        pg_sys::lappend(list, policy.cast())
    }
}

/// The OID of an open relation.
///
/// # Safety
/// `relation` is open.
pub unsafe fn relation_oid(relation: pg_sys::Relation) -> pg_sys::Oid {
    // SAFETY: the caller's word.
    unsafe { (*relation).rd_id }
}

/// Whether the qual is a marker, or an OR of which a marker is an arm.
///
/// # Safety
/// `qual` is an expression.
unsafe fn is_marked(qual: *const pg_sys::Node) -> bool {
    // SAFETY: each cast follows from the tag.
    unsafe {
        match (*qual).type_ {
            pg_sys::NodeTag::T_Const => (*qual.cast::<pg_sys::Const>()).location == LOCATION,
            pg_sys::NodeTag::T_BoolExpr => {
                let expression = &*qual.cast::<pg_sys::BoolExpr>();
                expression.boolop == pg_sys::BoolExprType::OR_EXPR
                    && elements::<pg_sys::Node>(expression.args).iter().any(|arm| {
                        (**arm).type_ == pg_sys::NodeTag::T_Const
                            && (*arm.cast::<pg_sys::Const>()).location == LOCATION
                    })
            }
            _ => false,
        }
    }
}

/// The pointers of a list; empty for none.
///
/// # Safety
/// `list` is null or a list of pointers to `T`, which outlives the result.
unsafe fn elements<'a, T>(list: *const pg_sys::List) -> &'a [*mut T] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: the cells of a list of pointers are an array of unions of the size of a pointer.
    unsafe {
        let length = usize::try_from((*list).length).unwrap_or(0);
        core::slice::from_raw_parts((*list).elements.cast::<*mut T>(), length)
    }
}

/// Takes row security off every relation of the tree for which `lifts` says so, sub-queries, CTEs and the queries of views
/// included.
///
/// # Safety
/// `query` is a rewritten query that may be changed, as the planner gets it.
pub unsafe fn lift(query: *mut pg_sys::Query, lifts: impl Fn(Access) -> bool) {
    // SAFETY: the queries are those of the tree; what is cut out is not freed.
    unsafe {
        for &query in Queries::of(query).as_slice() {
            let target = usize::try_from((*query).resultRelation).unwrap_or(0);
            for (n, entry) in elements::<pg_sys::RangeTblEntry>((*query).rtable).iter().enumerate() {
                if (**entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
                    continue;
                }
                let quals = elements::<pg_sys::Node>((**entry).securityQuals);
                let last = quals.iter().rposition(|qual| is_marked(*qual));
                let checked = n + 1 == target && !(*query).withCheckOptions.is_null();
                let Some((as_user, needs)) = compat::permissions(query, *entry) else { continue };
                let access = Access::new((**entry).relid, as_user, needs);
                if (last.is_none() && !checked) || access.needs.is_empty() {
                    continue;
                }
                if !lifts(access) {
                    if last.is_some() {
                        (**entry).securityQuals = without_unasked((**entry).securityQuals);
                    }
                    if checked {
                        (*query).withCheckOptions = without_unasked_checks((*query).withCheckOptions);
                    }
                    continue;
                }
                if let Some(last) = last {
                    let policies = c_int::try_from(last + 1).unwrap_or(c_int::MAX);
                    (**entry).securityQuals = pg_sys::list_copy_tail((**entry).securityQuals, policies);
                }
                if checked {
                    (*query).withCheckOptions = views_checks((*query).withCheckOptions);
                }
            }
        }
    }
}

/// The quals without those that the server would not have added but for the marker: where a command has no permissive policy, it asks
/// no restrictive one either, whose tables would be checked for privileges. The marker itself stays, so that nothing passes.
///
/// # Safety
/// `quals` is a list of expressions.
unsafe fn without_unasked(quals: *mut pg_sys::List) -> *mut pg_sys::List {
    // SAFETY: the caller's word; the list is made anew.
    unsafe {
        let quals = elements::<pg_sys::Node>(quals);
        let mut kept: Vec<*mut pg_sys::Node> = Vec::with_capacity(quals.len());
        let mut begins = 0;
        for &qual in quals {
            if is_marked(qual) {
                if (*qual).type_ == pg_sys::NodeTag::T_Const {
                    kept.truncate(begins);
                }
                kept.push(qual);
                begins = kept.len();
            } else {
                kept.push(qual);
            }
        }
        kept.into_iter().fold(core::ptr::null_mut(), |list, qual| pg_sys::lappend(list, qual.cast()))
    }
}

/// As [`without_unasked`], of the checks for new rows: a restrictive policy has a name there, and follows the permissive ones, which have
/// none.
///
/// # Safety
/// `checks` is a list of `WithCheckOption`.
unsafe fn without_unasked_checks(checks: *mut pg_sys::List) -> *mut pg_sys::List {
    let (mut kept, mut unasked) = (core::ptr::null_mut(), false);
    // SAFETY: the caller's word.
    unsafe {
        for check in elements::<pg_sys::WithCheckOption>(checks) {
            if (**check).polname.is_null() {
                let qual = (**check).qual;
                unasked = !qual.is_null() && (*qual).type_ == pg_sys::NodeTag::T_Const && is_marked(qual);
            } else if unasked {
                continue;
            }
            kept = pg_sys::lappend(kept, (*check).cast());
        }
    }
    kept
}

/// A copy of the query, if it reads from functions: the planner may put the query of one in its place.
///
/// # Safety
/// `query` is a query tree.
pub unsafe fn copy_with_functions(query: *mut pg_sys::Query) -> *mut pg_sys::Query {
    // SAFETY: the caller's word; the copy is in the current memory context.
    unsafe {
        let reads_function = |query: &*mut pg_sys::Query| {
            elements::<pg_sys::RangeTblEntry>((**query).rtable)
                .iter()
                .any(|entry| (**entry).rtekind == pg_sys::RTEKind::RTE_FUNCTION)
        };
        if Queries::of(query).as_slice().iter().any(reads_function) {
            pg_sys::copyObjectImpl(query.cast()).cast()
        } else {
            core::ptr::null_mut()
        }
    }
}

/// The checks of views' CHECK OPTION among those for new rows.
///
/// # Safety
/// `checks` is a list of `WithCheckOption`.
unsafe fn views_checks(checks: *mut pg_sys::List) -> *mut pg_sys::List {
    let mut kept = core::ptr::null_mut();
    // SAFETY: the caller's word.
    unsafe {
        for check in elements::<pg_sys::WithCheckOption>(checks) {
            if (**check).kind == pg_sys::WCOKind::WCO_VIEW_CHECK {
                kept = pg_sys::lappend(kept, (*check).cast());
            }
        }
    }
    kept
}

/// A query and every query in it. Most have none, and nothing is allocated.
enum Queries {
    One([*mut pg_sys::Query; 1]),
    All(Vec<*mut pg_sys::Query>),
}

impl Queries {
    /// # Safety
    /// `query` is a query tree.
    unsafe fn of(query: *mut pg_sys::Query) -> Self {
        // SAFETY: the caller's word.
        if unsafe { is_alone(query) } {
            return Self::One([query]);
        }
        let mut found = Vec::new();
        // SAFETY: the walker only reads, and pushes to the vector that outlives the walk. An ERROR (a tree too deep for the stack)
        // becomes a panic at this boundary, so that the vector is dropped.
        #[allow(ffi_unwind_calls, reason = "guarded")]
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| visit(query.cast(), (&raw mut found).cast()));
        }
        Self::All(found)
    }

    fn as_slice(&self) -> &[*mut pg_sys::Query] {
        match self {
            Self::One(query) => query,
            Self::All(queries) => queries,
        }
    }
}

/// Whether no query is inside this one: nothing to walk through, in most statements. The planner itself relies on `hasSubLinks`.
///
/// # Safety
/// `query` is a query tree.
unsafe fn is_alone(query: *const pg_sys::Query) -> bool {
    use pg_sys::RTEKind as K;
    // SAFETY: the caller's word.
    unsafe {
        !(*query).hasSubLinks
            && (*query).cteList.is_null()
            && elements::<pg_sys::RangeTblEntry>((*query).rtable)
                .iter()
                .all(|entry| !matches!((**entry).rtekind, K::RTE_SUBQUERY | K::RTE_CTE))
    }
}

/// No guard, and no value with a destructor in this frame.
///
/// # Safety
/// `found` is a vector of pointers to queries.
#[allow(ffi_unwind_calls, reason = "an error of the server passes through frames that have nothing to drop")]
unsafe extern "C-unwind" fn visit(node: *mut pg_sys::Node, found: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag tells the type; the context is passed on as it came.
    unsafe {
        if (*node).type_ == pg_sys::NodeTag::T_Query {
            (*found.cast::<Vec<*mut pg_sys::Query>>()).push(node.cast());
            compat::query_tree_walker(node.cast(), visit, found, 0)
        } else {
            compat::expression_tree_walker(node, visit, found)
        }
    }
}

/// What a plan does with relations: what the executor will check privileges for.
///
/// # Safety
/// `plan` is a finished plan.
pub unsafe fn accesses(plan: *const pg_sys::PlannedStmt) -> Vec<Access> {
    // SAFETY: the caller's word.
    unsafe {
        compat::planned_permissions(plan)
            .into_iter()
            .map(|(relation, as_user, needs)| Access::new(relation, as_user, needs))
            .filter(|access| !access.needs.is_empty())
            .collect()
    }
}

/// Whether row security filters the access; whatever `row_security` says. May raise as any catalog read may.
pub fn is_filtered(access: Access) -> bool {
    // SAFETY: reads the system caches.
    unsafe {
        pg_sys::check_enable_rls(access.relation, access.user, true)
            == c_int::try_from(pg_sys::CheckEnableRlsResult::RLS_ENABLED).unwrap_or(2)
    }
}

/// Whether the user has no privilege for one of the commands, on no column either: the executor will refuse the access. May raise
/// as any catalog read may.
pub fn is_denied(access: Access) -> bool {
    access.needs.each().any(|command| {
        let mode = pg_sys::AclMode::from(command.0);
        let any = pg_sys::AclMaskHow::ACLMASK_ANY;
        // SAFETY: reads the system caches.
        unsafe {
            pg_sys::pg_class_aclcheck(access.relation, access.user, mode) != pg_sys::AclResult::ACLCHECK_OK
                && pg_sys::pg_attribute_aclcheck_all(access.relation, access.user, mode, any)
                    != pg_sys::AclResult::ACLCHECK_OK
        }
    })
}

/// The names of the policies of the relation that are for this role and one of the commands, in order; for messages.
pub fn names(relation: pg_sys::Oid, role: pg_sys::Oid, commands: Commands) -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the plan that is being made holds a lock on the relation; the descriptor is read while it is open.
    unsafe {
        let open = pg_sys::table_open(relation, pg_sys::NoLock.cast_signed());
        if !(*open).rd_rsdesc.is_null() {
            for policy in elements::<pg_sys::RowSecurityPolicy>((*(*open).rd_rsdesc).policies) {
                let policy = &**policy;
                let array = policy.roles.cast::<u8>();
                let count =
                    usize::try_from(*array.add(size_of::<pg_sys::ArrayType>()).cast::<i32>()).unwrap_or(0);
                // One dimension without NULLs: header, its length, its lower bound, rounded up to 8 bytes.
                let first = (size_of::<pg_sys::ArrayType>() + 8).next_multiple_of(8);
                let roles = core::slice::from_raw_parts(array.add(first).cast::<pg_sys::Oid>(), count);
                let for_role = |policy_role: &pg_sys::Oid| {
                    *policy_role == pg_sys::InvalidOid || super::role::has_privileges_of(role, *policy_role)
                };
                let command = Commands::from_letter(policy.polcmd.cast_unsigned());
                let for_command = command.is_none_or(|command| commands.has(command));
                if for_command && roles.iter().any(for_role) {
                    names.push(CStr::from_ptr(policy.policy_name).to_string_lossy().into_owned());
                }
            }
        }
        pg_sys::table_close(open, pg_sys::NoLock.cast_signed());
    }
    names.sort();
    names
}
