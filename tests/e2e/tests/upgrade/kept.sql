-- What an update, a dump and pg_upgrade keep.
select r.rolname, m.rolname, a.admin_option from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
 where r.rolname like 'postern%' order by 1, 2;
select 'schema', n.nspname, a.grantee::regrole, a.privilege_type, a.is_grantable
  from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a where n.nspname in ('postern', 'df', '_duroxide', 'app') order by 2, 3, 4;
select 'function', p.oid::regprocedure, a.grantee::regrole, a.is_grantable
  from pg_proc p, aclexplode(p.proacl) a
 where p.oid in ('df.http(text,text,text,jsonb,integer)'::regprocedure, 'postern.enter(text,text,text)'::regprocedure, 'postern.admit(text)'::regprocedure,
                 'df.metrics()'::regprocedure, 'postern.create_policy'::regproc) order by 2, 3;
select 'relation', c.oid::regclass, a.grantee::regrole, a.privilege_type, a.is_grantable
  from pg_class c, aclexplode(c.relacl) a
 where c.oid in ('postern.instance'::regclass, 'postern.strand'::regclass, 'postern.admitted'::regclass, 'postern.apply_conflicts'::regclass, 'df.vars'::regclass,
                 'df.instances'::regclass, 'postern.schedule'::regclass, 'app.doc'::regclass) order by 2, 3, 4;
select 'column', attrelid::regclass, attname, a.grantee::regrole from pg_attribute, aclexplode(attacl) a
 where attrelid in ('postern.api_key'::regclass, 'postern.secret'::regclass) order by 2, 3, 4;
select 'admitted', role, role_name from postern.admitted order by 2;
select 'key', id, sha256, role, subject, claims, label, revoked_at from postern.api_key order by 2;
select 'http', role, host, methods, ports, scheme from postern.http_allow order by 2, 3;
select 'quota', role, concurrency, per_second, gap from postern.quota order by 2;
select 'direct', relation, grantee, command from postern.direct_access order by 2, 3, 4;
select 'mode', relation, role, command, mode from postern.row_security_modes order by 2, 3, 4;
select 'secret', owner, name, sealed from postern.secret order by 2, 3;
select 'variable', owner, name, value from df.vars order by 2, 3;
select 'schedule', owner, name, cron, overlap, graph, paused_at from postern.schedule order by 2, 3;
select 'conflict', subscription, kind, errors, message from postern.apply_conflicts order by 2, 3;
select 'instance', id, label, submitted_by, session_role, priority, key, graph, vars, facts from postern.instance where schedule is null order by 2;
