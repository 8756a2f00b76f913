//! Roles, grants, and settings of roles.

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    AlterDefaultPrivilegesStmt, AlterRoleSetStmt, AlterRoleStmt, DropRoleStmt, GrantRoleStmt, GrantStmt,
    GrantTargetType, Node, ObjectType, RoleSpec, RoleSpecType, VariableSetKind, VariableSetStmt,
};

use super::replay::{State, options, path_value, string};
use crate::catalog::{Oid, Role};

/// What ALTER DEFAULT PRIVILEGES has said.
pub(super) struct DefaultRights {
    role: Oid,
    schema: Option<Oid>,
    kind: i32,
    grant: bool,
    privileges: Vec<String>,
    grantees: Vec<Oid>,
}

/// Every privilege that matters here.
const PRIVILEGES: [&str; 5] = ["USAGE", "CREATE", "TEMPORARY", "CONNECT", "EXECUTE"];

impl State<'_> {
    /// A role by its name. One that no file makes is assumed to be there.
    pub(super) fn role_named(&mut self, name: &str) -> Oid {
        if let Some(role) = self.catalog.role_by_name(name) {
            return role;
        }
        let oid = self.new_oid();
        self.catalog.put_role(Role {
            oid,
            name: name.into(),
            superuser: false,
            createrole: false,
            login: true,
            member_of: Vec::new(),
        });
        oid
    }

    /// A role that a statement names; 0 for PUBLIC.
    pub(super) fn role(&mut self, role: &RoleSpec) -> Oid {
        match RoleSpecType::try_from(role.roletype) {
            Ok(RoleSpecType::RolespecPublic) => 0,
            Ok(RoleSpecType::RolespecCurrentRole | RoleSpecType::RolespecCurrentUser) => self.session.role,
            Ok(RoleSpecType::RolespecSessionUser) => self.session.user,
            _ => self.role_named(&role.rolename),
        }
    }

    pub(super) fn roles(&mut self, nodes: &[Node]) -> Vec<Oid> {
        let specs: Vec<&RoleSpec> = nodes
            .iter()
            .filter_map(|node| match node.node.as_ref() {
                Some(NodeEnum::RoleSpec(role)) => Some(role.as_ref()),
                _ => None,
            })
            .collect();
        specs.into_iter().map(|role| self.role(role)).collect()
    }

    pub(super) fn create_role(&mut self, name: &str, kind: i32, given: &[Node]) {
        let oid = self.role_named(name);
        let login = kind == postern_grammar::nodes::RoleStmtType::RolestmtUser as i32;
        if let Some(role) = self.catalog.role_of(oid) {
            self.catalog.put_role(Role { login, ..role.clone() });
        }
        self.role_options(oid, given);
    }

    fn role_options(&mut self, oid: Oid, given: &[Node]) {
        let Some(mut role) = self.catalog.role_of(oid).cloned() else { return };
        for (name, value) in options(given) {
            let on = string(value).is_none_or(|value| value == "true" || value == "1");
            match name {
                "superuser" => role.superuser = on,
                "createrole" => role.createrole = on,
                "canlogin" => role.login = on,
                "addroleto" | "rolemembers" | "adminmembers" => {
                    let Some(NodeEnum::List(list)) = value.and_then(|value| value.node.as_ref()) else {
                        continue;
                    };
                    let others = self.roles(&list.items);
                    if name == "addroleto" {
                        role.member_of.extend(others);
                    } else {
                        for other in others {
                            self.join(other, oid, true);
                        }
                    }
                }
                _ => {}
            }
        }
        self.catalog.put_role(role);
    }

    pub(super) fn alter_role(&mut self, alter: &AlterRoleStmt) {
        if let Some(role) = &alter.role {
            let oid = self.role(role);
            self.role_options(oid, &alter.options);
        }
    }

    pub(super) fn drop_roles(&mut self, drop: &DropRoleStmt) {
        for role in self.roles(&drop.roles) {
            self.catalog.remove(role);
        }
    }

    fn join(&mut self, member: Oid, of: Oid, joins: bool) {
        let Some(mut role) = self.catalog.role_of(member).cloned() else { return };
        role.member_of.retain(|&other| other != of);
        if joins {
            role.member_of.push(of);
        }
        self.catalog.put_role(role);
    }

    pub(super) fn grant_role(&mut self, grant: &GrantRoleStmt) {
        let names: Vec<String> = grant
            .granted_roles
            .iter()
            .filter_map(|node| match node.node.as_ref()? {
                NodeEnum::AccessPriv(privilege) => Some(privilege.priv_name.clone()),
                _ => None,
            })
            .collect();
        // REVOKE ADMIN OPTION FOR leaves the membership.
        if !grant.is_grant && !grant.opt.is_empty() {
            return;
        }
        for name in names {
            let of = self.role_named(&name);
            for member in self.roles(&grant.grantee_roles) {
                self.join(member, of, grant.is_grant);
            }
        }
    }

    pub(super) fn alter_role_set(&mut self, alter: &AlterRoleSetStmt) {
        let role = alter.role.as_ref().map_or(0, |role| self.role(role));
        if let Some(set) = &alter.setstmt {
            self.setting(role, set);
        }
    }

    /// A setting of a role, or of the database.
    pub(super) fn setting(&mut self, role: Oid, set: &VariableSetStmt) {
        let all = set.kind == VariableSetKind::VarResetAll as i32;
        if set.name != "search_path" && !all {
            return;
        }
        let settings = &mut self.catalog.snapshot.settings;
        settings.retain(|(of, setting)| *of != role || !setting.starts_with("search_path="));
        if set.kind == VariableSetKind::VarSetValue as i32 {
            settings.push((role, format!("search_path={}", path_value(set))));
        }
    }

    pub(super) fn grant(&mut self, grant: &GrantStmt) {
        // REVOKE GRANT OPTION FOR leaves the privilege.
        if !grant.is_grant && grant.grant_option {
            return;
        }
        let privileges = privileges(&grant.privileges);
        let grantees = self.roles(&grant.grantees);
        let whole_schema = grant.targtype == GrantTargetType::AclTargetAllInSchema as i32;
        match ObjectType::try_from(grant.objtype) {
            Ok(ObjectType::ObjectSchema) => {
                for name in grant.objects.iter().filter_map(|node| string(Some(node))).collect::<Vec<_>>() {
                    let Some(mut schema) =
                        self.schema(&name).and_then(|oid| self.catalog.schema_of(oid)).cloned()
                    else {
                        continue;
                    };
                    change(&mut schema.grants, &grantees, &privileges, grant.is_grant);
                    self.catalog.put_schema(schema);
                }
            }
            Ok(ObjectType::ObjectDatabase) => {
                change(&mut self.catalog.snapshot.database_grants, &grantees, &privileges, grant.is_grant);
            }
            Ok(
                kind @ (ObjectType::ObjectFunction | ObjectType::ObjectProcedure | ObjectType::ObjectRoutine),
            ) => {
                if !privileges.iter().any(|privilege| privilege == "EXECUTE") {
                    return;
                }
                let routines: Vec<Oid> = if whole_schema {
                    let names: Vec<String> =
                        grant.objects.iter().filter_map(|node| string(Some(node))).collect();
                    let schemas: Vec<Oid> = names.iter().filter_map(|name| self.schema(name)).collect();
                    self.routines_in(&schemas, kind)
                } else {
                    grant.objects.iter().filter_map(|node| self.routine_meant(node)).collect()
                };
                for oid in routines {
                    let Some(mut routine) = self.catalog.routine_of(oid).cloned() else { continue };
                    routine.executors.retain(|role| !grantees.contains(role));
                    if grant.is_grant {
                        routine.executors.extend(&grantees);
                    }
                    self.catalog.put_routine(routine);
                }
            }
            _ => {}
        }
    }

    pub(super) fn alter_default_privileges(&mut self, alter: &AlterDefaultPrivilegesStmt) {
        let Some(action) = &alter.action else { return };
        let (mut roles, mut schemas) = (vec![self.session.role], Vec::new());
        for (name, value) in options(&alter.options) {
            let Some(NodeEnum::List(list)) = value.and_then(|value| value.node.as_ref()) else { continue };
            match name {
                "roles" => roles = self.roles(&list.items),
                "schemas" => {
                    let names: Vec<String> =
                        list.items.iter().filter_map(|node| string(Some(node))).collect();
                    schemas = names.iter().map(|name| self.schema(name)).collect();
                }
                _ => {}
            }
        }
        if schemas.is_empty() {
            schemas.push(None);
        }
        let grantees = self.roles(&action.grantees);
        for &role in &roles {
            for &schema in &schemas {
                self.default_rights.push(DefaultRights {
                    role,
                    schema,
                    kind: action.objtype,
                    grant: action.is_grant,
                    privileges: privileges(&action.privileges),
                    grantees: grantees.clone(),
                });
            }
        }
    }

    /// Who has what on a new routine or schema: (role or 0, privilege).
    pub(super) fn new_rights(
        &self,
        kind: ObjectType,
        schema: Option<Oid>,
        built_in: &[(Oid, &str)],
    ) -> Vec<(Oid, String)> {
        let mut rights: Vec<(Oid, String)> =
            built_in.iter().map(|(role, held)| (*role, (*held).to_owned())).collect();
        let alike = |said: i32| {
            said == kind as i32
                || (kind == ObjectType::ObjectFunction
                    && (said == ObjectType::ObjectRoutine as i32
                        || said == ObjectType::ObjectProcedure as i32))
        };
        // What is said for a schema can only add.
        for said in
            self.default_rights.iter().filter(|said| said.role == self.session.role && alike(said.kind))
        {
            if said.schema.is_none() || (said.schema == schema && said.grant) {
                change(&mut rights, &said.grantees, &said.privileges, said.grant);
            }
        }
        rights
    }
}

fn privileges(nodes: &[Node]) -> Vec<String> {
    if nodes.is_empty() {
        return PRIVILEGES.iter().map(|&name| name.to_owned()).collect();
    }
    nodes
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::AccessPriv(privilege) => {
                let name = privilege.priv_name.to_ascii_uppercase();
                Some(if name == "TEMP" { "TEMPORARY".into() } else { name })
            }
            _ => None,
        })
        .collect()
}

fn change(grants: &mut Vec<(Oid, String)>, grantees: &[Oid], privileges: &[String], grant: bool) {
    for &grantee in grantees {
        for privilege in privileges {
            let right = (grantee, privilege.clone());
            grants.retain(|held| *held != right);
            if grant {
                grants.push(right);
            }
        }
    }
}
