-- Everything that the extension has in a database, a line or more for each object: definitions, owners, privileges, comments,
-- and what goes with a dump. Nothing of it depends on OIDs or on the order in which objects were made.
with ours(schema) as (select n.oid from pg_namespace n where n.nspname in ('postern', 'df', '_duroxide'))
select string_agg(line, chr(10) order by line collate "C") from (
    select format('function %s owner %s privileges %s comment %s',
                  pg_get_functiondef(p.oid), p.proowner::regrole, (select array_agg(a order by a::text) from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a), obj_description(p.oid, 'pg_proc'))
      from pg_proc p where p.pronamespace in (select schema from ours)
    union all
    select format('relation %s kind %s owner %s privileges %s comment %s row security %s %s options %s',
                  c.oid::regclass, c.relkind, c.relowner::regrole, (select array_agg(a order by a::text) from unnest(c.relacl) a), obj_description(c.oid, 'pg_class'),
                  c.relrowsecurity, c.relforcerowsecurity, c.reloptions)
      from pg_class c where c.relnamespace in (select schema from ours)
    union all
    select format('column %s.%s place %s type %s not null %s default %s generated %s identity %s privileges %s comment %s', c.oid::regclass, a.attname,
                  -- The library reads these by the places of their columns.
                  case when c.relname in ('admitted', 'direct_access', 'row_security_modes') then a.attnum end,
                  format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity, (select array_agg(a order by a::text) from unnest(a.attacl) a),
                  col_description(c.oid, a.attnum))
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
     where c.relnamespace in (select schema from ours) and c.relkind <> 'i'
    union all
    select format('index %s', pg_get_indexdef(c.oid))
      from pg_class c where c.relnamespace in (select schema from ours) and c.relkind = 'i'
    union all
    select format('constraint %s on %s %s', o.conname, o.conrelid::regclass, pg_get_constraintdef(o.oid))
      from pg_constraint o where o.connamespace in (select schema from ours)
    union all
    select format('trigger %s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relnamespace in (select schema from ours) and not t.tgisinternal
    union all
    select format('policy %s on %s for %s to %s using %s check %s', p.policyname, p.tablename, p.cmd, p.roles, p.qual, p.with_check)
      from pg_policies p where p.schemaname in ('postern', 'df', '_duroxide')
    union all
    select format('type %s owner %s privileges %s comment %s', t.typname, t.typowner::regrole, (select array_agg(a order by a::text) from unnest(t.typacl) a),
                  obj_description(t.oid, 'pg_type'))
      from pg_type t where t.typnamespace in (select schema from ours)
    union all
    -- They are in pg_catalog.
    select format('operator %s runs %s commutator %s negator %s restrict %s join %s merges %s hashes %s owner %s comment %s', o.oid::regoperator, o.oprcode, o.oprcom::regoperator,
                  o.oprnegate::regoperator, o.oprrest, o.oprjoin, o.oprcanmerge, o.oprcanhash, o.oprowner::regrole, obj_description(o.oid, 'pg_operator'))
      from pg_operator o join pg_depend d on d.classid = 'pg_operator'::regclass and d.objid = o.oid and d.deptype = 'e'
           join pg_extension e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
     where e.extname = 'postern'
    union all
    select format('view %s is %s', c.oid::regclass, pg_get_viewdef(c.oid))
      from pg_class c where c.relnamespace in (select schema from ours) and c.relkind = 'v'
    union all
    select format('sequence %s type %s start %s increment %s minimum %s maximum %s cache %s cycles %s owned %s', s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement,
                  s.seqmin, s.seqmax, s.seqcache, s.seqcycle, (select string_agg(pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), ',') from pg_depend d
                    where d.classid = 'pg_class'::regclass and d.objid = s.seqrelid and d.deptype in ('a', 'i')))
      from pg_sequence s join pg_class c on c.oid = s.seqrelid where c.relnamespace in (select schema from ours)
    union all
    select format('rewrite rule %s on %s', r.rulename, r.ev_class::regclass)
      from pg_rewrite r join pg_class c on c.oid = r.ev_class where c.relnamespace in (select schema from ours)
    union all
    select format('schema %s owner %s privileges %s comment %s', n.nspname, n.nspowner::regrole, (select array_agg(a order by a::text) from unnest(n.nspacl) a),
                  obj_description(n.oid, 'pg_namespace'))
      from pg_namespace n where n.oid in (select schema from ours)
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
