//! The two servers, with and without the extension, and the same tables in both.

use std::fmt::Write as _;

use postern_bench::error::Result;
use postern_cluster::Cluster;

/// Rows of one tenant.
pub const OF_TENANT: u64 = 1000;

/// The roles that read: filtered, with direct access, and past everything as on a table without policies.
pub const ROLES: [&str; 2] = ["filtered", "direct"];

/// A server that is filled.
pub struct Fixture {
    pub with: Cluster,
    pub without: Cluster,
}

impl Fixture {
    /// Starts both servers and fills them with `rows` rows a table.
    pub fn start(rows: u64) -> Result<Self> {
        let start = |extension: bool| -> Result<Cluster> {
            let cluster = Cluster::builder()
                .extension(extension)
                .setting("shared_buffers", "1GB")
                .setting("max_parallel_workers_per_gather", "0")
                .setting("autovacuum", "off")
                .start()?;
            cluster.create_database("bench", extension)?;
            cluster.psql("bench", &common(rows))?;
            for role in ROLES {
                cluster.set_password(role)?;
            }
            Ok(cluster)
        };
        let with = start(true)?;
        with.psql("bench", OURS)?;
        Ok(Self { with, without: start(false)? })
    }
}

/// What both servers have.
fn common(rows: u64) -> String {
    let mut sql = String::from(
        "create role filtered login; create role direct login; create role owner nologin; grant create on schema public to owner; set role owner;
         create table member (who name, tenant int); insert into member values ('filtered', 5);
         create function set_of() returns setof int language sql stable security definer set search_path = pg_catalog, pg_temp
             begin atomic select m.tenant from public.member m where m.who = 'filtered'; end;",
    );
    let tenants = (rows / OF_TENANT).max(1);
    for (table, indexed) in [
        ("plain", true),
        ("plain_noindex", false),
        ("constant", true),
        ("constant_noindex", false),
        ("by_hand", true),
        ("by_hand_noindex", false),
        ("ours", true),
        ("ours_noindex", false),
    ] {
        let _ = write!(
            sql,
            "create table {table} (id int primary key, tenant int, amount int); \
             insert into {table} select n, n % {tenants}, n from generate_series(1, {rows}) n; \
             grant select on {table} to filtered, direct;"
        );
        if indexed {
            let _ = write!(sql, "create index on {table} (tenant);");
        }
        if table.starts_with("constant") {
            let _ = write!(
                sql,
                "alter table {table} enable row level security; create policy p on {table} using (tenant = 5);"
            );
        }
        if table.starts_with("by_hand") {
            let _ = write!(
                sql,
                "alter table {table} enable row level security; create policy p on {table} using (tenant in (select set_of()));"
            );
        }
    }
    sql += "reset role; analyze";
    sql
}

/// What only the server with the extension has.
const OURS: &str = "set role owner;
    alter table ours enable row level security; alter table ours_noindex enable row level security;
    select postern.create_policy(t, 'p', run_as => 'owner', using_qual => 'tenant in (select m.tenant from public.member m where m.who = current_user)')
      from unnest('{ours,ours_noindex}'::regclass[]) t;
    select count(*) from unnest('{ours,ours_noindex}'::regclass[]) t, postern.grant_direct('{select}', t, '{direct}');
    reset role; analyze";
