//! The servers, with and without the extension, and the same tables in each.

use std::fmt::Write as _;

use postern_bench::error::{Error, Result};
use postern_cluster::Cluster;

/// Rows of one tenant.
pub const OF_TENANT: u64 = 1000;

/// The roles that read: filtered, with direct access, and past everything as on a table without policies.
pub const ROLES: [&str; 2] = ["filtered", "direct"];

/// Which server a case is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    With,
    Without,
    /// As the second: what differs between these two is what the measurement cannot tell apart.
    Another,
}

/// Servers that are filled.
pub struct Fixture {
    with: Cluster,
    without: Cluster,
    another: Cluster,
}

impl Fixture {
    /// Starts the servers and fills them with `rows` rows a table, all at the same time.
    pub fn start(rows: u64) -> Result<Self> {
        std::thread::scope(|scope| {
            let bare = || start(false, &TABLES[..2], rows);
            let (without, another) = (scope.spawn(bare), scope.spawn(bare));
            let with = start(true, &TABLES, rows)?;
            with.psql("bench", OURS)?;
            settle(&with)?;
            let joined = |result: std::thread::Result<Result<Cluster>>| {
                result.unwrap_or_else(|_| Err(Error::wrong("a server", "could not be filled")))
            };
            Ok(Self { with, without: joined(without.join())?, another: joined(another.join())? })
        })
    }

    /// The server of a case.
    pub fn of(&self, server: Server) -> &Cluster {
        match server {
            Server::With => &self.with,
            Server::Without => &self.without,
            Server::Another => &self.another,
        }
    }
}

fn start(extension: bool, tables: &[(&str, bool)], rows: u64) -> Result<Cluster> {
    let cluster = Cluster::builder()
        .extension(extension)
        .setting("shared_buffers", "1GB")
        .setting("max_parallel_workers_per_gather", "0")
        .setting("jit", "off")
        .setting("autovacuum", "off")
        // Nothing is written while it is measured.
        .setting("checkpoint_timeout", "1h")
        .setting("max_wal_size", "8GB")
        .start()?;
    cluster.create_database("bench", extension)?;
    cluster.psql("bench", &common(tables, rows))?;
    settle(&cluster)?;
    for role in ROLES {
        cluster.set_password(role)?;
    }
    Ok(cluster)
}

/// No reader has to do what the writer left, and nothing is written any more.
fn settle(cluster: &Cluster) -> Result<()> {
    for statement in ["vacuum (analyze)", "checkpoint"] {
        cluster.psql("bench", statement)?;
    }
    Ok(())
}

/// The tables, and whether the tenant has an index. The first two are all that a server without the extension needs.
const TABLES: [(&str, bool); 8] = [
    ("plain", true),
    ("constant", true),
    ("plain_noindex", false),
    ("constant_noindex", false),
    ("by_hand", true),
    ("by_hand_noindex", false),
    ("ours", true),
    ("ours_noindex", false),
];

/// What each server has.
fn common(tables: &[(&str, bool)], rows: u64) -> String {
    let mut sql = String::from(
        "create role filtered login; create role direct login; create role owner nologin; grant create on schema public to owner; set role owner;
         create table member (who name, tenant int); insert into member values ('filtered', 5);
         create function set_of() returns setof int language sql stable security definer set search_path = pg_catalog, pg_temp
             begin atomic select m.tenant from public.member m where m.who = 'filtered'; end;",
    );
    let tenants = (rows / OF_TENANT).max(1);
    for (table, indexed) in tables.iter().copied() {
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
    sql += "reset role";
    sql
}

/// What only the server with the extension has.
const OURS: &str = "set role owner;
    alter table ours enable row level security; alter table ours_noindex enable row level security;
    select postern.create_policy(t, 'p', run_as => 'owner', using_qual => 'tenant in (select m.tenant from public.member m where m.who = current_user)')
      from unnest('{ours,ours_noindex}'::regclass[]) t;
    select count(*) from unnest('{ours,ours_noindex}'::regclass[]) t, postern.grant_direct('{select}', t, '{direct}');
    reset role";
