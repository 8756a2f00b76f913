-- Everything that the extension has in a database, a line or more for each object: definitions, owners, privileges, comments,
-- and what goes with a dump. Nothing of it depends on OIDs or on the order in which objects were made.
select string_agg(line, chr(10) order by line collate "C") from (
    select format('function %s owner %s privileges %s comment %s',
                  pg_get_functiondef(p.oid), p.proowner::regrole, (select array_agg(a order by a::text) from unnest(p.proacl) a), obj_description(p.oid, 'pg_proc'))
      from pg_proc p where p.pronamespace = 'postern'::regnamespace
    union all
    select format('relation %s kind %s owner %s privileges %s comment %s row security %s %s options %s',
                  c.relname, c.relkind, c.relowner::regrole, (select array_agg(a order by a::text) from unnest(c.relacl) a), obj_description(c.oid, 'pg_class'),
                  c.relrowsecurity, c.relforcerowsecurity, c.reloptions)
      from pg_class c where c.relnamespace = 'postern'::regnamespace
    union all
    select format('column %s.%s type %s not null %s default %s privileges %s comment %s', c.relname, a.attname,
                  format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), (select array_agg(a order by a::text) from unnest(a.attacl) a),
                  col_description(c.oid, a.attnum))
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
     where c.relnamespace = 'postern'::regnamespace and c.relkind <> 'i'
    union all
    select format('index %s', pg_get_indexdef(c.oid))
      from pg_class c where c.relnamespace = 'postern'::regnamespace and c.relkind = 'i'
    union all
    select format('constraint %s on %s %s', o.conname, o.conrelid::regclass, pg_get_constraintdef(o.oid))
      from pg_constraint o where o.connamespace = 'postern'::regnamespace
    union all
    select format('trigger %s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = 'postern'::regnamespace and not t.tgisinternal
    union all
    select format('policy %s on %s for %s to %s using %s check %s', p.policyname, p.tablename, p.cmd, p.roles, p.qual, p.with_check)
      from pg_policies p where p.schemaname = 'postern'
    union all
    select format('type %s owner %s privileges %s comment %s', t.typname, t.typowner::regrole, (select array_agg(a order by a::text) from unnest(t.typacl) a),
                  obj_description(t.oid, 'pg_type'))
      from pg_type t where t.typnamespace = 'postern'::regnamespace
    union all
    select format('operator %s comment %s', o.oid::regoperator, obj_description(o.oid, 'pg_operator'))
      from pg_operator o where o.oprnamespace = 'postern'::regnamespace
    union all
    select format('schema %s owner %s privileges %s', n.nspname, n.nspowner::regrole, (select array_agg(a order by a::text) from unnest(n.nspacl) a))
      from pg_namespace n where n.nspname = 'postern'
    union all
    select format('member %s', pg_describe_object(d.classid, d.objid, d.objsubid))
      from pg_depend d join pg_extension e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
     where e.extname = 'postern' and d.deptype = 'e'
    union all
    select format('extension %s version %s schema %s dumps %s where %s', e.extname, e.extversion, e.extnamespace::regnamespace,
                  r::regclass, condition)
      from pg_extension e left join lateral unnest(e.extconfig, e.extcondition) as x (r, condition) on true
     where e.extname = 'postern'
    union all
    select format('role %s comment %s', r.rolname, shobj_description(r.oid, 'pg_authid'))
      from pg_roles r where r.rolname like 'postern\_%'
) o(line)
