//! What the server's catalogs say. They are not what is tested: the model begins from them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

pub type Oid = u64;
/// A command by its letter in `pg_policy`.
pub type Command = char;

#[derive(Debug, Clone)]
pub struct Role {
    pub oid: Oid,
    pub superuser: bool,
    pub bypass: bool,
}

/// One entry of an ACL, of one command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub grantee: Oid,
    pub command: Command,
    pub grantor: Oid,
    pub option: bool,
}

#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: Oid,
    pub owner: Oid,
    pub row_security: bool,
    pub forced: bool,
    pub invoker: bool,
    pub acl: BTreeSet<Entry>,
}

/// Relation, grantee, command: grantor (0: the owner), with grant option.
pub type Direct = BTreeMap<(Oid, Oid, Command), (Oid, bool)>;
/// Relation or 0, role or 0, command: whether it is an error.
pub type Modes = BTreeMap<(Oid, Oid, Command), bool>;

#[derive(Debug, Clone)]
pub struct World {
    pub roles: BTreeMap<String, Role>,
    /// Each role with those whose privileges it inherits, itself among them.
    inherits: BTreeSet<(Oid, Oid)>,
    pub relations: BTreeMap<String, Relation>,
    /// Table and name: for whom.
    pub policies: BTreeMap<(String, String), Vec<Oid>>,
    /// The owners of functions.
    pub functions: BTreeMap<String, Oid>,
    pub direct: Direct,
    pub modes: Modes,
}

const QUERY: &str = "select json_build_object(
    'roles', (select json_agg(json_build_array(rolname, oid::int8, rolsuper, rolbypassrls)) from pg_roles),
    'members', (select coalesce(json_agg(json_build_array(m.member::int8, m.roleid::int8)), '[]') from pg_auth_members m join pg_roles r on r.oid = m.member
                 where coalesce((to_jsonb(m) ->> 'inherit_option')::bool, r.rolinherit)),
    'relations', (select json_agg(json_build_array(c.relname, c.oid::int8, c.relowner::int8, c.relrowsecurity, c.relforcerowsecurity,
                         'security_invoker=true' = any (coalesce(c.reloptions, '{}')),
                         (select coalesce(json_agg(json_build_array(a.grantee::int8, a.privilege_type, a.grantor::int8, a.is_grantable)), '[]')
                            from aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a)))
                    from pg_class c where c.relnamespace = 'w'::regnamespace and c.relkind in ('r', 'p', 'v')),
    'policies', (select coalesce(json_agg(json_build_array(c.relname, p.polname, (select json_agg(r::int8) from unnest(p.polroles) r))), '[]')
                   from pg_policy p join pg_class c on c.oid = p.polrelid and c.relnamespace = 'w'::regnamespace),
    'functions', (select json_agg(json_build_array(p.proname, p.proowner::int8)) from pg_proc p where p.pronamespace = 'w'::regnamespace),
    'direct', (select coalesce(json_agg(json_build_array(relation::oid::int8, grantee::oid::int8, command, grantor::oid::int8, with_grant)), '[]') from postern.direct_access),
    'modes', (select coalesce(json_agg(json_build_array(relation::oid::int8, role::oid::int8, command, mode = 'e')), '[]') from postern.row_security_modes))";

fn oid(value: &Value) -> Oid {
    value.as_u64().unwrap()
}

fn yes(value: &Value) -> bool {
    value.as_bool().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn letter(value: &Value) -> Command {
    text(value).chars().next().unwrap()
}

fn command(privilege: &Value) -> Option<Command> {
    match privilege.as_str()? {
        "SELECT" => Some('r'),
        "INSERT" => Some('a'),
        "UPDATE" => Some('w'),
        "DELETE" => Some('d'),
        _ => None,
    }
}

impl World {
    pub async fn read(client: &Client) -> Self {
        let answer = client.simple_query(QUERY).await.unwrap();
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let all: Value = serde_json::from_str(row.unwrap()).unwrap();
        let roles: BTreeMap<String, Role> = list(&all["roles"])
            .iter()
            .map(|r| (text(&r[0]), Role { oid: oid(&r[1]), superuser: yes(&r[2]), bypass: yes(&r[3]) }))
            .collect();
        let mut inherits: BTreeSet<(Oid, Oid)> = roles.values().map(|role| (role.oid, role.oid)).collect();
        let edges: Vec<(Oid, Oid)> = list(&all["members"]).iter().map(|m| (oid(&m[0]), oid(&m[1]))).collect();
        loop {
            let more: Vec<(Oid, Oid)> = inherits
                .iter()
                .flat_map(|&(who, has)| {
                    edges.iter().filter(move |edge| edge.0 == has).map(move |edge| (who, edge.1))
                })
                .filter(|pair| !inherits.contains(pair))
                .collect();
            if more.is_empty() {
                break;
            }
            inherits.extend(more);
        }
        let relation = |r: &Value| Relation {
            oid: oid(&r[1]),
            owner: oid(&r[2]),
            row_security: yes(&r[3]),
            forced: yes(&r[4]),
            invoker: yes(&r[5]),
            acl: list(&r[6])
                .iter()
                .filter_map(|a| {
                    Some(Entry {
                        grantee: oid(&a[0]),
                        command: command(&a[1])?,
                        grantor: oid(&a[2]),
                        option: yes(&a[3]),
                    })
                })
                .collect(),
        };
        Self {
            inherits,
            relations: list(&all["relations"]).iter().map(|r| (text(&r[0]), relation(r))).collect(),
            policies: list(&all["policies"])
                .iter()
                .map(|p| ((text(&p[0]), text(&p[1])), list(&p[2]).iter().map(oid).collect()))
                .collect(),
            functions: list(&all["functions"]).iter().map(|f| (text(&f[0]), oid(&f[1]))).collect(),
            direct: list(&all["direct"])
                .iter()
                .map(|d| ((oid(&d[0]), oid(&d[1]), letter(&d[2])), (oid(&d[3]), yes(&d[4]))))
                .collect(),
            modes: list(&all["modes"])
                .iter()
                .map(|m| ((oid(&m[0]), oid(&m[1]), letter(&m[2])), yes(&m[3])))
                .collect(),
            roles,
        }
    }

    pub fn role(&self, oid: Oid) -> (&str, &Role) {
        self.roles.iter().find(|(_, role)| role.oid == oid).map(|(name, role)| (name.as_str(), role)).unwrap()
    }

    /// Whether `who` has the privileges of `of`; everybody has PUBLIC's.
    pub fn has(&self, who: Oid, of: Oid) -> bool {
        of == 0 || self.role(who).1.superuser || self.inherits.contains(&(who, of))
    }

    pub fn may(&self, who: Oid, relation: &Relation, command: Command) -> bool {
        self.may_all(who, relation, &command.to_string())
    }

    /// Whether a statement that needs all of these is let: `pg_write_all_data` counts, for the server, only where the table's own ACL
    /// gives none of the writing ones.
    pub fn may_all(&self, who: Oid, relation: &Relation, needs: &str) -> bool {
        let given = |command: char| {
            relation.acl.iter().any(|entry| entry.command == command && self.has(who, entry.grantee))
        };
        let writes = needs.chars().any(|command| command != 'r' && given(command));
        needs.chars().all(|command| {
            given(command)
                || (command == 'r' && self.has(who, self.roles["pg_read_all_data"].oid))
                || (command != 'r' && !writes && self.has(who, self.roles["pg_write_all_data"].oid))
        })
    }
}
