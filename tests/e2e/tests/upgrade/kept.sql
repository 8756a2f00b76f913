-- What an update, a dump and pg_upgrade keep.
select r.rolname, m.rolname, a.admin_option from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
 where r.rolname like 'postern%' order by 1, 2;
select 'schema', n.nspname, a.grantee::regrole::text, a.privilege_type, a.is_grantable
  from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a where n.nspname in ('postern', 'df', '_duroxide', 'app') order by 2, 3, 4;
select 'function', p.oid::regprocedure::text, a.grantee::regrole::text, a.is_grantable
  from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 where p.oid in ('df.http(text,text,text,jsonb,integer)'::regprocedure, 'postern.enter(text,text,text)'::regprocedure, 'postern.admit(text)'::regprocedure,
                 'df.metrics()'::regprocedure, 'postern.create_policy'::regproc) order by 2, 3;
select 'relation', c.oid::regclass::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
  from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
 where c.oid in ('postern.instance'::regclass, 'postern.strand'::regclass, 'postern.admitted'::regclass, 'postern.apply_conflicts'::regclass, 'df.vars'::regclass,
                 'df.instances'::regclass, 'postern.schedule'::regclass, 'app.doc'::regclass)
   -- Which 17 has, for owners.
   and a.privilege_type <> 'MAINTAIN' order by 2, 3, 4;
select 'column', attrelid::regclass::text, attname, a.grantee::regrole::text from pg_attribute, aclexplode(attacl) a
 where attrelid in ('postern.api_key'::regclass, 'postern.secret'::regclass) order by 2, 3, 4;
select 'admitted', role::text, role_name from postern.admitted order by 2;
select 'key', id, sha256, role, subject, claims, label, revoked_at from postern.api_key order by 2;
select 'http', role::text, host, methods, ports, scheme from postern.http_allow order by 2, 3;
select 'quota', role::text, concurrency, per_second, gap from postern.quota order by 2;
select 'direct', relation::text, grantee::text, command from postern.direct_access order by 2, 3, 4;
select 'mode', relation::text, role::text, command, mode from postern.row_security_modes order by 2, 3, 4;
select 'secret', owner::text, name, sealed from postern.secret order by 2, 3;
select 'variable', owner::text, name, value from df.vars order by 2, 3;
select 'schedule', owner::text, name, cron, overlap, graph, paused_at from postern.schedule order by 2, 3;
select 'conflict', subscription, kind, errors, message from postern.apply_conflicts order by 2, 3;
select 'instance', id, label, submitted_by, session_role, priority, key, graph, vars, facts from postern.instance where schedule is null order by 2;
