//! `pg_upgrade` keeps what there was: memberships, privileges, triggers, publications, what was written down; also what the
//! rules forbid, which is found afterwards.

use postern_cluster::Mode;
use postern_e2e::{admit_everybody, pg_upgrade};

use crate::pair::builder;

/// What has to be the same.
const STATE: &str = "
    select r.rolname, m.rolname from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
     where r.rolname like 'postern%' or m.rolname like 'postern%' order by 1, 2;
    select tgname, tgenabled, tgrelid::regclass, tgfoid::regprocedure from pg_trigger where not tgisinternal order by 1, tgrelid::regclass::text;
    select pubname, schemaname, tablename from pg_publication_tables order by 1, 2, 3;
    select e.extname, e.extversion from pg_extension e order by 1;
    select subscription, kind, errors, message from postern.apply_conflicts;
    select c.oid::regclass::text, a.grantee::regrole, a.privilege_type, a.is_grantable
      from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
     where c.relnamespace in ('postern'::regnamespace, 'app'::regnamespace) and c.relkind in ('r', 'v') order by 1, 2, 3;
    select p.oid::regprocedure::text, p.proconfig, a.grantee::regrole, a.is_grantable
      from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
     where p.pronamespace in ('postern'::regnamespace, 'df'::regnamespace, 'app'::regnamespace) order by 1, 2, 3;
    select relation, reason, object, replicated from postern.replication_findings order by 1, 2, 3;
    select 'a' ~> 'b'";

#[test]
fn everything_is_there_after_pg_upgrade() {
    let (_folder, hba) = admit_everybody();
    let start = || builder().setting("hba_file", &hba).start().unwrap();
    let (old, new) = std::thread::scope(|scope| {
        let other = scope.spawn(start);
        (start(), other.join().unwrap())
    });
    old.create_database("app", true).unwrap();
    old.psql(
        "app",
        "create role owner nologin; create role author nologin; create role boss nologin;
         create schema app authorization owner; grant all on schema app to author;
         set role author;
         create function app.theirs() returns trigger language plpgsql as 'begin return new; end';
         create function app.definer() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return new; end';
         set role owner; create table app.doc (id int primary key); grant trigger on app.doc to author;
         set role author; create trigger definer before insert on app.doc for each row execute function app.definer();
         set role owner; alter table app.doc enable always trigger definer;
         reset role; create publication pub for table app.doc;
         grant postern_monitor to author; grant postern_admin to boss; grant postern_read_all_conflicts to owner;
         select df.grant_usage('author', include_http => true);
         insert into postern.apply_conflicts (subscription, kind, errors, message) values ('sub', 'apply', 2, 'something');
         -- An administrator has had its way.
         create trigger theirs before insert on app.doc for each row execute function app.theirs()",
    )
    .unwrap();
    let before = old.psql("app", STATE).unwrap();
    assert!(before.contains("app.doc|foreign|theirs|t") && before.contains("postern_admin|boss"), "{before}");
    // An empty server, as a new one is.
    new.psql(
        "postgres",
        "drop extension postern; do $$ declare r name; begin
           for r in select rolname from pg_roles where rolname like 'postern%' loop execute format('drop owned by %1$I; drop role %1$I', r); end loop;
         end $$",
    )
    .unwrap();
    old.stop(Mode::Fast).unwrap();
    new.stop(Mode::Fast).unwrap();
    pg_upgrade(&old, &new);
    new.start_again().unwrap();
    let after = new.psql("app", STATE).unwrap();
    let other = before.lines().zip(after.lines()).find(|(before, after)| before != after);
    assert!(before == after, "{other:?}");
    // The rules are in force again, and what was let through is found by who asks.
    let error = new
        .psql("app", "set role author; create trigger more before insert on app.doc for each row execute function app.theirs()")
        .unwrap_err()
        .to_string();
    assert!(error.contains("may not run app.theirs()"), "{error}");
    assert_eq!(
        new.psql("app", "select relation, publication from postern.recheck_replication()").unwrap(),
        "app.doc|pub"
    );
    assert_eq!(
        new.psql("app", "set role author; select count(*) from postern.apply_conflicts").unwrap(),
        "0"
    );
    assert_eq!(new.psql("app", "set role owner; select count(*) from postern.apply_conflicts").unwrap(), "1");
}
