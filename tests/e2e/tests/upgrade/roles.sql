-- The roles of the database in 0.1.0.sql: a dump of a database has none. Those of the extension are there already, or are made here as
-- `pg_dumpall --roles-only` would write them.
do $$
declare wanted name;
begin
    foreach wanted in array array['postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I nologin noinherit', wanted);
        end if;
    end loop;
end $$;
create role alice login;
create role bob login;
create role boss login;
create role watcher nologin;
create role counter nologin;
create role judge nologin;
create role web nologin;
grant postern_application to alice;
grant postern_application to bob with admin option;
grant postern_admin to boss;
grant postern_monitor to watcher;
grant postern_read_all_stats to counter;
grant postern_read_all_conflicts to judge;
