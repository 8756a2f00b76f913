//! Who may do what, and who is trusted towards whom.
//!
//! A role is *trusted* towards the role whose rights are at stake (the victim) if it is a superuser, the victim itself, or
//! able to become it. Everyone else is not, and what they can write is where a name can be captured.

use std::collections::HashSet;

use super::memory::Right;
use super::{Catalog, Oid, PG_CATALOG, Schema};

impl Catalog {
    /// Every role that this one is a member of, itself included, at any distance. A membership without INHERIT counts: the
    /// role can be set.
    pub fn memberships(&self, role: Oid) -> HashSet<Oid> {
        let mut found = HashSet::from([role]);
        let mut open = vec![role];
        while let Some(next) = open.pop() {
            let Some(role) = self.role_of(next) else { continue };
            for &above in &role.member_of {
                if found.insert(above) {
                    open.push(above);
                }
            }
            // The owner of the database is a member of pg_database_owner without a row saying so.
            if next == self.snapshot.database_owner
                && let Some(owners) = self.role("pg_database_owner")
                && found.insert(owners.oid)
            {
                open.push(owners.oid);
            }
        }
        found
    }

    /// Is a role trusted towards the victim?
    pub fn trusted(&self, role: Oid, victim: Oid) -> bool {
        let Some(found) = self.role_of(role) else { return false };
        let victim_is_superuser = self.role_of(victim).is_some_and(|role| role.superuser);
        found.superuser
            || role == victim
            || self.memberships(role).contains(&victim)
            // Before 16 CREATEROLE confers any membership but a superuser's.
            || (self.snapshot.version < 160_000 && found.createrole && !victim_is_superuser)
    }

    /// Does a role hold CREATE on a schema, or can it become a role that does?
    pub fn may_create_in(&self, role: Oid, schema: &Schema) -> bool {
        self.holds(role, schema.owner, &schema.grants, "CREATE")
    }

    /// Is USAGE on a schema held?
    pub fn may_use(&self, role: Oid, schema: &Schema) -> bool {
        schema.oid == PG_CATALOG || self.holds(role, schema.owner, &schema.grants, "USAGE")
    }

    /// Does a role hold CREATE or TEMPORARY on the database?
    pub fn may_on_database(&self, role: Oid, privilege: &str) -> bool {
        self.holds(role, self.snapshot.database_owner, &self.snapshot.database_grants, privilege)
    }

    fn holds(&self, role: Oid, owner: Oid, grants: &[(Oid, String)], privilege: &str) -> bool {
        if self.role_of(role).is_some_and(|role| role.superuser) {
            return true;
        }
        let roles = self.memberships(role);
        roles.contains(&owner)
            || grants
                .iter()
                .any(|(grantee, held)| held == privilege && (*grantee == 0 || roles.contains(grantee)))
    }

    /// The roles that could act against the victim: not trusted, and not one of the server's own that nobody has.
    pub fn untrusted(&self, victim: Oid) -> impl Iterator<Item = &super::Role> {
        let roles = &self.snapshot.roles;
        let with_members: HashSet<Oid> =
            roles.iter().flat_map(|role| role.member_of.iter().copied()).collect();
        roles.iter().filter(move |role| {
            let predefined = role.name.starts_with("pg_") && !with_members.contains(&role.oid);
            !predefined && !self.trusted(role.oid, victim)
        })
    }

    /// A role that is not trusted towards the victim and may create in the schema. One that can log in is preferred: it is
    /// the better proof.
    pub fn intruder(&self, schema: &Schema, victim: Oid) -> Option<Oid> {
        if schema.oid == PG_CATALOG {
            return None;
        }
        let right = Right::Schema(schema.oid);
        self.memory.intruder(right, victim, || self.first(victim, |role| self.may_create_in(role, schema)))
    }

    /// A role that is not trusted towards the victim and holds a privilege on the database.
    pub fn intruder_on_database(&self, privilege: &str, victim: Oid) -> Option<Oid> {
        let answer = || self.first(victim, |role| self.may_on_database(role, privilege));
        match privilege {
            "CREATE" => self.memory.intruder(Right::Create, victim, answer),
            "TEMPORARY" => self.memory.intruder(Right::Temporary, victim, answer),
            _ => answer(),
        }
    }

    fn first(&self, victim: Oid, may: impl Fn(Oid) -> bool) -> Option<Oid> {
        let able: Vec<_> = self.untrusted(victim).filter(|role| may(role.oid)).collect();
        able.iter().find(|role| role.login).or(able.first()).map(|role| role.oid)
    }

    /// Is an object trusted: in `pg_catalog`, or owned by somebody who is?
    pub fn trusted_object(&self, schema: Oid, owner: Oid, victim: Oid) -> bool {
        schema == PG_CATALOG || self.trusted(owner, victim)
    }
}
