-- Replication: who may attach code to a table, and what may be copied. See src/replication/mod.rs for the invariants. The rules
-- look at what the catalogs say, which everyone may read.

CREATE FUNCTION postern.subscription_owner_runs(subscription pg_catalog.oid) RETURNS pg_catalog.bool
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- postern: allow definer-for-public: it tells one flag of a catalog of which nobody may read the connection strings
    -- Before 16 there is no such column, and everything runs as the owner of the subscription.
    SELECT coalesce((pg_catalog.to_jsonb(s) ->> 'subrunasowner')::pg_catalog.bool, true)
      FROM pg_catalog.pg_subscription s WHERE s.oid = subscription_owner_runs.subscription
$$;
GRANT EXECUTE ON FUNCTION postern.subscription_owner_runs(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.subscription_owner_runs(pg_catalog.oid) IS
    'Whether code that runs on apply runs as the owner of the subscription, not as the owner of the table';

CREATE FUNCTION postern.is_trusted_code(function pg_catalog.oid) RETURNS pg_catalog.bool
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Functions that the server came with have an OID below the first that is given to users' objects.
    -- Of an extension only what its script made as a superuser: its owner may add functions of their own to it.
    RETURN is_trusted_code.function < 16384::pg_catalog.oid OR EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
          JOIN pg_catalog.pg_proc p ON p.oid = d.objid JOIN pg_catalog.pg_roles r ON r.oid = p.proowner AND r.rolsuper
         WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = is_trusted_code.function AND d.deptype = 'e'
           AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND e.extname::pg_catalog.text = ANY (pg_catalog.regexp_split_to_array(
                   pg_catalog.btrim(coalesce(pg_catalog.current_setting('postern.trusted_extensions', true), '')), '\s*,\s*')));
END
$$;
GRANT EXECUTE ON FUNCTION postern.is_trusted_code(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.is_trusted_code(pg_catalog.oid) IS
    'Whether everyone may attach the function: it came with the server, or is a superuser''s and of an extension in postern.trusted_extensions';

CREATE VIEW postern.replication_members AS
WITH RECURSIVE member (relation, class, source, publication, subscription) AS (
    SELECT c.oid, 'pg_catalog.pg_publication'::pg_catalog.regclass::pg_catalog.oid, p.oid, p.oid, NULL::pg_catalog.oid
      FROM pg_catalog.pg_publication p
      JOIN pg_catalog.pg_class c ON c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384::pg_catalog.oid
     WHERE p.puballtables
    UNION
    SELECT r.prrelid, 'pg_catalog.pg_publication_rel'::pg_catalog.regclass, r.oid, r.prpubid, NULL FROM pg_catalog.pg_publication_rel r
    UNION
    SELECT c.oid, 'pg_catalog.pg_publication_namespace'::pg_catalog.regclass, n.oid, n.pnpubid, NULL
      FROM pg_catalog.pg_publication_namespace n
      JOIN pg_catalog.pg_class c ON c.relnamespace = n.pnnspid AND c.relkind IN ('r', 'p')
    UNION
    SELECT s.srrelid, 'pg_catalog.pg_subscription'::pg_catalog.regclass, s.srsubid, NULL, s.srsubid FROM pg_catalog.pg_subscription_rel s
), with_partitions AS (
    SELECT m.* FROM member m
    UNION
    SELECT i.inhrelid, m.class, m.source, m.publication, m.subscription
      FROM with_partitions m
      JOIN pg_catalog.pg_class c ON c.oid = m.relation AND c.relkind = 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent = m.relation
)
SELECT w.relation, w.class, w.source, w.publication, w.subscription FROM with_partitions w;
REVOKE ALL ON TABLE postern.replication_members FROM PUBLIC;
GRANT SELECT ON TABLE postern.replication_members TO PUBLIC;
COMMENT ON VIEW postern.replication_members IS
    'The replicated tables, partitions included, and the catalog row that makes each of them one';

CREATE FUNCTION postern.types_within(ids pg_catalog.oid[], types pg_catalog.oid[])
RETURNS TABLE (id pg_catalog.oid, type pg_catalog.oid)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE used (id, type) AS (
        SELECT s.id, s.type FROM ROWS FROM (pg_catalog.unnest(ids), pg_catalog.unnest(types)) s (id, type)
         WHERE s.type >= 16384::pg_catalog.oid
        UNION
        SELECT u.id, x.type
          FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type,
               LATERAL (SELECT t.typbasetype
                        UNION ALL SELECT t.typelem
                        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
                        UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid
                        -- What the checks and the default of a domain cast to.
                        UNION ALL SELECT d.refobjid
                                    FROM pg_catalog.pg_constraint c
                                    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
                                   WHERE c.contypid = t.oid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
                        UNION ALL SELECT d.refobjid FROM pg_catalog.pg_depend d
                                   WHERE t.typtype = 'd' AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
                                     AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass) x (type)
         WHERE x.type >= 16384::pg_catalog.oid
    )
    SELECT u.id, u.type FROM used u;
END
$$;
GRANT EXECUTE ON FUNCTION postern.types_within(pg_catalog.oid[], pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.types_within(pg_catalog.oid[], pg_catalog.oid[]) IS
    'Users'' types that a value of each type has something of, itself included';

CREATE FUNCTION postern.table_code(relations pg_catalog.oid[])
RETURNS TABLE (
    relation pg_catalog.oid, kind pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text, enabled pg_catalog."char",
    function pg_catalog.oid, type pg_catalog.oid
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH site (relation, kind, object_id, object, enabled, class, tree) AS MATERIALIZED (
        SELECT t.tgrelid, 'when', t.oid, t.tgname::pg_catalog.text, t.tgenabled, 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.tgqual::pg_catalog.text
          FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal AND t.tgqual IS NOT NULL
        UNION ALL
        SELECT c.conrelid, 'check', c.oid, c.conname, NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.conbin::pg_catalog.text
          FROM pg_catalog.pg_constraint c WHERE c.conrelid = ANY (relations) AND c.contype = 'c'
        UNION ALL
        SELECT d.adrelid, CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated' END, d.oid, a.attname, NULL,
               'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.adbin::pg_catalog.text
          FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE d.adrelid = ANY (relations)
        UNION ALL
        SELECT i.indrelid, 'index', c.oid, c.relname, NULL, 'pg_catalog.pg_class'::pg_catalog.regclass,
               pg_catalog.concat(i.indexprs::pg_catalog.text, i.indpred::pg_catalog.text)
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = ANY (relations) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        UNION ALL
        -- Of a partition, too, those of the tables above it: whether a row belongs into it is asked by their keys.
        SELECT r.oid, 'partition key', p.partrelid, CASE WHEN p.partrelid <> r.oid THEN p.partrelid::pg_catalog.regclass::pg_catalog.text END,
               NULL, 'pg_catalog.pg_class'::pg_catalog.regclass, p.partexprs::pg_catalog.text
          FROM pg_catalog.unnest(relations) r (oid)
          JOIN pg_catalog.pg_class c ON c.oid = r.oid AND (c.relispartition OR c.relkind = 'p'),
               LATERAL pg_catalog.pg_partition_ancestors(r.oid) a (relid)
          JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid AND p.partexprs IS NOT NULL
    ), used AS MATERIALIZED (
        SELECT w.id AS relation, t.oid AS type, t.typtype, pg_catalog.format_type(t.oid, NULL) AS name, t.typdefaultbin::pg_catalog.text AS tree
          FROM (SELECT pg_catalog.array_agg(s.relation) AS relations, pg_catalog.array_agg(s.type) AS types
                  FROM (SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = ANY (relations) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384::pg_catalog.oid
                        UNION
                        -- An expression may cast to a domain, or to what has one in it.
                        SELECT s.relation, d.refobjid
                          FROM site s JOIN pg_catalog.pg_depend d ON d.classid = s.class AND d.objid = s.object_id AND d.objsubid = 0
                         WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass) s (relation, type)) s,
               LATERAL postern.types_within(s.relations, s.types) w
          JOIN pg_catalog.pg_type t ON t.oid = w.type
    ), part AS (
        SELECT s.*, NULL::pg_catalog.oid AS type FROM site s
        UNION ALL
        SELECT u.relation, 'domain', c.oid, pg_catalog.format('%s (%s)', u.name, c.conname), NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.conbin::pg_catalog.text, u.type
          FROM used u JOIN pg_catalog.pg_constraint c ON c.contypid = u.type
        UNION ALL
        SELECT u.relation, 'domain', u.type, u.name, NULL, 'pg_catalog.pg_type'::pg_catalog.regclass, u.tree, u.type FROM used u WHERE u.typtype = 'd'
    )
    SELECT t.tgrelid, 'trigger', t.oid, t.tgname::pg_catalog.text, t.tgenabled, t.tgfoid, NULL::pg_catalog.oid
      FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal
    UNION
    SELECT p.relation, p.kind, p.object_id, p.object, p.enabled, f.oid, p.type
      FROM part p
      JOIN pg_catalog.pg_depend d ON d.classid = p.class AND d.objid = p.object_id
      LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
      -- NOT (a = b) is evaluated as the negator of the operator.
      LEFT JOIN pg_catalog.pg_operator n ON n.oid = o.oprnegate,
           LATERAL (SELECT d.refobjid WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                    UNION ALL SELECT o.oprcode::pg_catalog.oid WHERE o.oprcode::pg_catalog.oid <> 0::pg_catalog.oid
                    UNION ALL SELECT n.oprcode::pg_catalog.oid WHERE n.oprcode::pg_catalog.oid <> 0::pg_catalog.oid) f (oid)
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE p.kind = 'when' AND t.oid = p.object_id AND t.tgfoid = d.refobjid)
    UNION
    -- Functions of the server depend on nothing and nothing on them, so they are looked for in the expressions; those only that do what
    -- their arguments say, with the rights of whoever runs them, or that read what these may.
    SELECT p.relation, p.kind, p.object_id, p.object, p.enabled, f.oid, p.type
      FROM part p,
           LATERAL pg_catalog.regexp_matches(p.tree, ':(?:op)?funcid (\d+)', 'g') m (found)
      JOIN pg_catalog.pg_proc f ON f.oid = m.found[1]::pg_catalog.oid AND f.oid < 16384::pg_catalog.oid
     WHERE f.provolatile = 'v'
           AND f.proname <> ALL (ARRAY['nextval', 'currval', 'lastval', 'random', 'random_normal', 'setseed', 'gen_random_uuid', 'uuidv4', 'uuidv7', 'clock_timestamp',
                                       'timeofday', 'txid_current', 'pg_current_xact_id', 'pg_is_in_recovery', 'pg_current_wal_lsn', 'pg_current_wal_insert_lsn']::pg_catalog.name[])
        OR f.proname ~ '_to_xml(schema)?(_and_xmlschema)?$'
    UNION
    -- What makes a range canonical runs for every value, what subtracts its ends in GiST indexes.
    SELECT u.relation, 'range', u.type, u.name, NULL, f.oid, u.type
      FROM used u JOIN pg_catalog.pg_range g ON g.rngtypid = u.type,
           LATERAL (VALUES (g.rngcanonical::pg_catalog.oid), (g.rngsubdiff::pg_catalog.oid)) f (oid)
     WHERE f.oid <> 0::pg_catalog.oid
    UNION
    -- A domain without a check today may have one tomorrow: whose it is counts.
    SELECT u.relation, CASE WHEN u.typtype = 'd' THEN 'domain type' ELSE 'type' END, u.type, u.name, NULL, NULL, u.type FROM used u;
END
$$;
GRANT EXECUTE ON FUNCTION postern.table_code(pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.table_code(pg_catalog.oid[]) IS
    'The functions that run when a row of the tables is written, and what makes each of them run';

CREATE FUNCTION postern.table_findings(relations pg_catalog.oid[])
RETURNS TABLE (
    relation pg_catalog.oid, reason pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text,
    function pg_catalog.oid, function_owner pg_catalog.oid, subscription pg_catalog.oid, severe pg_catalog.bool,
    sentence pg_catalog.text, mend pg_catalog.text, type pg_catalog.oid
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH tab AS MATERIALIZED (
        SELECT c.oid, c.relowner, n.nspname, c.relpersistence, c.relkind, c.oid::pg_catalog.regclass::pg_catalog.text AS name,
               o.rolname AS owner_name, o.rolsuper AS owner_super
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
         WHERE c.oid = ANY (relations)
    ), called AS MATERIALIZED (
        SELECT k.* FROM postern.table_code(relations) k
    ), code AS MATERIALIZED (
        SELECT k.*, t.relowner, t.name, t.owner_name, t.owner_super, p.proowner, p.prosecdef, r.rolname AS runner, r.rolsuper AS runner_super,
               p.proconfig, p.oid::pg_catalog.regprocedure::pg_catalog.text AS function_name,
               postern.is_trusted_code(p.oid) AS trusted,
               pg_catalog.concat(pg_catalog.upper(pg_catalog.left(k.kind, 1)), pg_catalog.substr(k.kind, 2), ' "' || k.object || '"') AS label
          FROM called k
          JOIN tab t ON t.oid = k.relation
          JOIN pg_catalog.pg_proc p ON p.oid = k.function
          JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    ), major AS (
        SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS n
    )
    SELECT t.oid, 'system', t.oid, t.name, NULL::pg_catalog.oid, NULL::pg_catalog.oid, NULL::pg_catalog.oid, true,
           pg_catalog.format('%s is a table of the system.', t.name),
           'Leave it out of the publication.', NULL::pg_catalog.oid
      FROM tab t WHERE t.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')
    UNION ALL
    SELECT t.oid, 'extension', t.oid, e.extname, NULL, NULL, NULL, true,
           pg_catalog.format('%s belongs to the extension "%s".', t.name, e.extname),
           'Publish tables by name, or schemas without it: postern.publication_statement() gives the statement.', NULL
      FROM tab t
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
      JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.oid = d.refobjid
    UNION ALL
    SELECT k.relation, 'foreign', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s of %s runs %s, which belongs to "%s" and not to the table''s owner "%s", and is not SECURITY DEFINER.',
                             k.label, k.name, k.function_name, k.runner, k.owner_name),
           pg_catalog.format('ALTER FUNCTION %s OWNER TO %I; or: ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp;%s',
                             k.function_name, k.owner_name, k.function_name,
                             CASE WHEN k.kind IN ('trigger', 'when') THEN pg_catalog.format(' or: DROP TRIGGER %I ON %s;', k.object, k.name) END),
           k.type
      FROM code k
     WHERE k.proowner <> k.relowner AND NOT k.prosecdef AND NOT k.trusted AND (k.kind = 'trigger' OR NOT k.runner_super)
    UNION ALL
    -- Who holds TRIGGER writes the condition; what it does, it does as whoever writes the row.
    SELECT k.relation, 'told', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('The condition of trigger "%s" of %s calls %s, which does what it is told with the rights of whoever writes a row.', k.object, k.name, k.function_name),
           pg_catalog.format('DROP TRIGGER %I ON %s;', k.object, k.name), k.type
      FROM code k WHERE k.kind = 'when' AND k.function < 16384::pg_catalog.oid
    UNION ALL
    SELECT k.relation, 'setting', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s of %s runs %s, which sets %s.', k.label, k.name, k.function_name, c.name),
           pg_catalog.format('ALTER FUNCTION %s RESET %I;', k.function_name, c.name), k.type
      FROM code k, LATERAL (SELECT pg_catalog.split_part(x, '=', 1) FROM pg_catalog.unnest(k.proconfig) x) c (name)
     WHERE pg_catalog.lower(c.name) IN ('role', 'session_authorization', 'session_replication_role')
    UNION ALL
    SELECT t.oid, 'domain', k.object_id, k.object, NULL, y.typowner, NULL, true,
           pg_catalog.format('Domain %s in %s belongs to "%s", who may add checks to it, and not to the table''s owner "%s".', k.object, t.name, r.rolname, t.owner_name),
           pg_catalog.format('ALTER DOMAIN %s OWNER TO %I;', k.object, t.owner_name), k.type
      FROM called k
      JOIN tab t ON t.oid = k.relation
      JOIN pg_catalog.pg_type y ON y.oid = k.object_id
      JOIN pg_catalog.pg_roles r ON r.oid = y.typowner
     WHERE k.kind = 'domain type' AND y.typowner <> t.relowner AND NOT r.rolsuper
    UNION ALL
    -- On 15 it runs as the owner of the subscription; later versions stop the apply, whatever the function is.
    SELECT t.oid, 'deferred', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s is deferred and fires on apply, outside the identity that apply gives it.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname), NULL
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tginitdeferred AND g.tgenabled IN ('A', 'R') AND NOT (m.n = 15 AND p.prosecdef)
    UNION ALL
    SELECT t.oid, 'truncate', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s fires after TRUNCATE on apply, as the owner of the subscription.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname), NULL
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tgtype & 34 = 32 AND g.tgenabled IN ('A', 'R') AND m.n < 18 AND NOT p.prosecdef
    UNION ALL
    SELECT k.relation, 'subscription', k.object_id, k.object, k.function, k.proowner, s.oid, w.rolsuper AND s.subenabled,
           pg_catalog.format('%s of %s runs %s, which belongs to "%s", as "%s", the owner of subscription "%s"%s.',
                             k.label, k.name, k.function_name, k.runner, w.rolname, s.subname,
                             CASE WHEN w.rolsuper THEN ' and a superuser' ELSE '' END),
           pg_catalog.format('SELECT * FROM postern.subscription_recipe(%L);', s.subname), k.type
      FROM code k
      JOIN (SELECT DISTINCT m.relation, m.subscription FROM postern.replication_members m WHERE m.subscription IS NOT NULL) m
           ON m.relation = k.relation
      JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
      JOIN pg_catalog.pg_roles w ON w.oid = s.subowner
     WHERE (k.enabled IS NULL OR k.enabled IN ('A', 'R'))
       AND NOT k.prosecdef AND NOT k.trusted AND NOT k.runner_super AND k.proowner <> s.subowner
       AND postern.subscription_owner_runs(s.oid)
    UNION ALL
    -- An expression is its table's owner's, whosever functions it calls: it runs with rights that the owner does not have, also to execute.
    SELECT k.relation, 'subscription', k.object_id, k.object, k.function, k.proowner, s.oid, w.rolsuper AND s.subenabled,
           pg_catalog.format('%s of %s, which "%s" has written, calls %s as "%s", the owner of subscription "%s"%s.',
                             k.label, k.name, k.owner_name, k.function_name, w.rolname, s.subname, CASE WHEN w.rolsuper THEN ' and a superuser' ELSE '' END),
           pg_catalog.format('SELECT * FROM postern.subscription_recipe(%L);', s.subname), k.type
      FROM code k
      JOIN (SELECT DISTINCT m.relation, m.subscription FROM postern.replication_members m WHERE m.subscription IS NOT NULL) m
           ON m.relation = k.relation
      JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
      JOIN pg_catalog.pg_roles w ON w.oid = s.subowner
     WHERE k.kind <> 'trigger' AND (k.enabled IS NULL OR k.enabled IN ('A', 'R')) AND NOT k.owner_super AND k.relowner <> s.subowner
       AND (k.function < 16384::pg_catalog.oid OR NOT pg_catalog.has_function_privilege(k.relowner, k.function, 'EXECUTE'))
       AND postern.subscription_owner_runs(s.oid);
END
$$;
GRANT EXECUTE ON FUNCTION postern.table_findings(pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.table_findings(pg_catalog.oid[]) IS
    'Why the tables may not be replicated, and what mends it';

CREATE VIEW postern.replication_findings AS
SELECT c.oid::pg_catalog.regclass AS relation,
       EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = c.oid) AS replicated,
       f.reason, f.object, f.function::pg_catalog.regprocedure AS function, pg_catalog.pg_get_userbyid(f.function_owner) AS function_owner,
       f.sentence, f.mend
  FROM postern.table_findings(ARRAY(
           SELECT c.oid FROM pg_catalog.pg_class c
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
              AND (c.oid >= 16384::pg_catalog.oid OR c.oid IN (SELECT r.prrelid FROM pg_catalog.pg_publication_rel r)))) f
  JOIN pg_catalog.pg_class c ON c.oid = f.relation
 -- An extension's tables are never replicated: nothing is to be said of one that is not.
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
    OR EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = c.oid);
REVOKE ALL ON TABLE postern.replication_findings FROM PUBLIC;
GRANT SELECT ON TABLE postern.replication_findings TO PUBLIC;
COMMENT ON VIEW postern.replication_findings IS
    'Every table that may not be replicated as it is: why, and the commands that mend it';

CREATE FUNCTION postern.publication_statement(publication pg_catalog.name, schemas pg_catalog.name[] DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_catalog.format('CREATE PUBLICATION %I FOR TABLE %s;', publication_statement.publication,
                             pg_catalog.string_agg(c.oid::pg_catalog.regclass::pg_catalog.text, ', ' ORDER BY c.oid::pg_catalog.regclass::pg_catalog.text))
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' AND c.oid >= 16384::pg_catalog.oid
       AND (schemas IS NULL OR n.nspname = ANY (schemas))
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
       AND c.oid NOT IN (SELECT d.objid FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e')
       AND c.oid NOT IN (SELECT pg_catalog.unnest(pg_catalog.array_append(ARRAY(SELECT a.relid FROM pg_catalog.pg_partition_ancestors(f.relation) a (relid)), f.relation))
                           FROM postern.replication_findings f)
$$;
GRANT EXECUTE ON FUNCTION postern.publication_statement(pg_catalog.name, pg_catalog.name[]) TO PUBLIC;
COMMENT ON FUNCTION postern.publication_statement(pg_catalog.name, pg_catalog.name[]) IS
    'The statement that publishes every table that may be, in place of FOR ALL TABLES or FOR TABLES IN SCHEMA';

CREATE FUNCTION postern.trigger_facts(trigger pg_catalog.oid, actor pg_catalog.oid)
RETURNS TABLE (
    trigger_name pg_catalog.text, table_name pg_catalog.text, table_owner pg_catalog.oid, table_owner_name pg_catalog.text,
    function_name pg_catalog.text, function_owner pg_catalog.oid, function_owner_name pg_catalog.text,
    definer pg_catalog.text, trusted pg_catalog.text, foreign_when pg_catalog.text, member pg_catalog.text, findings pg_catalog.text
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    relation pg_catalog.oid;
    called pg_catalog.oid;
    conditional pg_catalog.bool;
    is_member pg_catalog.bool;
BEGIN
    SELECT t.tgname, p.oid, c.oid, c.oid::pg_catalog.regclass, c.relowner, pg_catalog.pg_get_userbyid(c.relowner),
           p.oid::pg_catalog.regprocedure, p.proowner, pg_catalog.pg_get_userbyid(p.proowner), pg_catalog.left(p.prosecdef::pg_catalog.text, 1),
           pg_catalog.left(postern.is_trusted_code(p.oid)::pg_catalog.text, 1), t.tgqual IS NOT NULL
      INTO trigger_name, called, relation, table_name, table_owner, table_owner_name,
           function_name, function_owner, function_owner_name, definer, trusted, conditional
      FROM pg_catalog.pg_trigger t
      JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
      JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
     WHERE t.oid = $1 AND NOT t.tgisinternal;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    is_member := EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = (SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.oid = $1));
    member := pg_catalog.left(is_member::pg_catalog.text, 1);
    foreign_when := '';
    findings := '';
    IF conditional OR is_member THEN
        SELECT coalesce(pg_catalog.string_agg(DISTINCT coalesce(f.function::pg_catalog.regprocedure::pg_catalog.text, f.object), ', ')
                            FILTER (WHERE conditional AND f.reason IN ('foreign', 'domain', 'told') AND f.function IS DISTINCT FROM called), ''),
               coalesce(pg_catalog.string_agg(DISTINCT f.sentence, ' ') FILTER (WHERE is_member AND f.severe), '')
          INTO foreign_when, findings
          FROM postern.table_findings(ARRAY[relation]) f
         WHERE f.object_id = $1
            -- What the condition casts to.
            OR f.type IN (SELECT w.type FROM pg_catalog.pg_depend d, LATERAL postern.types_within(ARRAY[d.objid], ARRAY[d.refobjid]) w
                           WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND d.objid = $1
                             AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass);
    END IF;
    IF conditional THEN
        -- What its author may not execute, whoever writes a row would for it.
        SELECT pg_catalog.concat_ws(', ', nullif(foreign_when, ''), pg_catalog.string_agg(DISTINCT k.function::pg_catalog.regprocedure::pg_catalog.text, ', '))
          INTO foreign_when
          FROM postern.table_code(ARRAY[relation]) k
         WHERE k.object_id = $1 AND k.kind = 'when' AND k.function >= 16384::pg_catalog.oid AND NOT pg_catalog.has_function_privilege($2, k.function, 'EXECUTE');
    END IF;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION postern.trigger_facts(pg_catalog.oid, pg_catalog.oid) FROM PUBLIC;
COMMENT ON FUNCTION postern.trigger_facts(pg_catalog.oid, pg_catalog.oid) IS 'What the rules ask about a trigger that was made';

CREATE FUNCTION postern.code_users(classes pg_catalog.oid[], objects pg_catalog.oid[]) RETURNS SETOF pg_catalog.oid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE node (class, object, sub) AS (
        SELECT s.class, s.object, 0 FROM ROWS FROM (pg_catalog.unnest(classes), pg_catalog.unnest(objects)) s (class, object)
        UNION
        SELECT x.class, x.object, x.sub
          FROM node n,
               LATERAL (
                   SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d
                    WHERE n.class = ANY (ARRAY['pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass]::pg_catalog.oid[])
                      AND d.refclassid = n.class AND d.refobjid = n.object
                      AND d.classid = ANY (ARRAY['pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
                                                 'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_trigger'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass]::pg_catalog.oid[])
                   UNION ALL
                   SELECT n.class, o.oid, 0 FROM pg_catalog.pg_operator o
                    WHERE n.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oprnegate = n.object
                   UNION ALL
                   SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.contypid, 0 FROM pg_catalog.pg_constraint c
                    WHERE n.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.oid = n.object AND c.contypid <> 0::pg_catalog.oid
                   UNION ALL
                   -- A column of a composite type, or of a table that is the type of another's column.
                   SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.reltype, 0 FROM pg_catalog.pg_class c
                    WHERE n.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND n.sub <> 0 AND c.oid = n.object AND c.reltype <> 0::pg_catalog.oid
               ) x (class, object, sub)
    ), relation AS (
        SELECT t.tgrelid AS oid FROM node n JOIN pg_catalog.pg_trigger t ON n.class = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = n.object
        UNION
        SELECT c.conrelid FROM node n JOIN pg_catalog.pg_constraint c ON n.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.oid = n.object AND c.conrelid <> 0::pg_catalog.oid
        UNION
        SELECT d.adrelid FROM node n JOIN pg_catalog.pg_attrdef d ON n.class = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.oid = n.object
        UNION
        SELECT coalesce(i.indrelid, n.object)
          FROM node n LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = n.object
         WHERE n.class = 'pg_catalog.pg_class'::pg_catalog.regclass
    )
    SELECT r.oid FROM relation r
    UNION
    -- The key of a partitioned table is its partitions', too.
    SELECT p.relid::pg_catalog.oid FROM relation r JOIN pg_catalog.pg_class c ON c.oid = r.oid AND c.relkind = 'p', LATERAL pg_catalog.pg_partition_tree(r.oid) p;
END
$$;
REVOKE ALL ON FUNCTION postern.code_users(pg_catalog.oid[], pg_catalog.oid[]) FROM PUBLIC;
COMMENT ON FUNCTION postern.code_users(pg_catalog.oid[], pg_catalog.oid[]) IS
    'The tables that have the functions, operators or types in code that runs when a row is written';

CREATE FUNCTION postern.replication_judgement(
    classes pg_catalog.text, objects pg_catalog.text, subs pg_catalog.text, owners_before pg_catalog.text, schemas_before pg_catalog.text
) RETURNS TABLE (at pg_catalog.int4, what pg_catalog.text, subject pg_catalog.text, owner pg_catalog.text, sentence pg_catalog.text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    touched_classes CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(classes, ',')::pg_catalog.oid[];
    touched_objects CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(objects, ',')::pg_catalog.oid[];
    touched_subs CONSTANT pg_catalog.int4[] := pg_catalog.string_to_array(subs, ',')::pg_catalog.int4[];
    roots pg_catalog.oid[] := '{}';
    root_classes pg_catalog.oid[] := '{}';
    concerned pg_catalog.oid[] := '{}';
    every pg_catalog.bool := false;
    relevant pg_catalog.oid[];
BEGIN
    -- Only tables are looked at that can have something of what was touched; of a role or an extension, all that are replicated.
    FOR n IN 1 .. pg_catalog.cardinality(touched_objects) LOOP
        CASE touched_classes[n]
        WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
            concerned := pg_catalog.array_append(concerned, touched_objects[n]);
            -- A column of it may be within another table's.
            IF touched_subs[n] <> 0 OR (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = touched_objects[n]) = 'c' THEN
                root_classes := pg_catalog.array_append(root_classes, 'pg_catalog.pg_type'::pg_catalog.regclass);
                roots := pg_catalog.array_append(roots, (SELECT c.reltype FROM pg_catalog.pg_class c WHERE c.oid = touched_objects[n]));
            END IF;
        WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_inherits'::pg_catalog.regclass THEN
            concerned := pg_catalog.array_append(concerned, touched_objects[n]);
        WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN
            concerned := pg_catalog.array_append(concerned, (SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.oid = touched_objects[n]));
        WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass THEN
            root_classes := pg_catalog.array_append(root_classes, touched_classes[n]);
            roots := pg_catalog.array_append(roots, touched_objects[n]);
        WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN
            root_classes := pg_catalog.array_append(root_classes, touched_classes[n]);
            roots := pg_catalog.array_append(roots, touched_objects[n]);
            -- What uses a function of the server is written nowhere.
            every := every OR touched_objects[n] < 16384::pg_catalog.oid;
        WHEN 'pg_catalog.pg_authid'::pg_catalog.regclass, 'pg_catalog.pg_extension'::pg_catalog.regclass THEN
            every := true;
        ELSE
            concerned := concerned || ARRAY(
                SELECT m.relation FROM postern.replication_members m WHERE touched_objects[n] IN (m.source, m.publication, m.subscription));
        END CASE;
    END LOOP;
    IF NOT every THEN
        IF pg_catalog.cardinality(roots) > 0 THEN
            concerned := concerned || ARRAY(SELECT u.oid FROM postern.code_users(root_classes, roots) u (oid));
        END IF;
        concerned := concerned || ARRAY(SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = ANY (concerned))
            || ARRAY(SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_class c, LATERAL pg_catalog.pg_partition_tree(c.oid) p
                      WHERE c.oid = ANY (concerned) AND c.relkind = 'p');
        IF pg_catalog.cardinality(concerned) = 0 THEN
            RETURN;
        END IF;
    END IF;
    relevant := ARRAY(SELECT DISTINCT m.relation FROM postern.replication_members m WHERE every OR m.relation = ANY (concerned));
    IF pg_catalog.cardinality(relevant) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH touched AS MATERIALIZED (
        SELECT (t.n - 1)::pg_catalog.int4 AS at, t.class, t.object, t.sub, t.owner_before, t.schema_before
          FROM ROWS FROM (
                   pg_catalog.unnest(touched_classes), pg_catalog.unnest(touched_objects), pg_catalog.unnest(touched_subs),
                   pg_catalog.unnest(pg_catalog.string_to_array(owners_before, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(schemas_before, ',')::pg_catalog.oid[])
               ) WITH ORDINALITY t (class, object, sub, owner_before, schema_before, n)
    ), seed AS (
        -- The types that each of them names.
        SELECT pg_catalog.array_agg(t.at::pg_catalog.oid) AS ids, pg_catalog.array_agg(d.refobjid) AS types
          FROM touched t
          -- Of a default the server names the table and the column.
          LEFT JOIN pg_catalog.pg_attrdef a ON t.class = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.adrelid = t.object AND a.adnum = t.sub
          JOIN pg_catalog.pg_depend d ON d.classid = t.class AND d.objid = coalesce(a.oid, t.object)
           AND d.objsubid = CASE t.class WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN t.sub ELSE 0 END
         WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    ), within AS MATERIALIZED (
        SELECT w.id::pg_catalog.int8 AS at, w.type FROM seed s, LATERAL postern.types_within(s.ids, s.types) w
    ), member AS MATERIALIZED (
        SELECT m.* FROM postern.replication_members m
    ), finding AS MATERIALIZED (
        SELECT f.* FROM postern.table_findings(relevant) f
    )
    SELECT DISTINCT t.at, 'table', f.relation::pg_catalog.regclass::pg_catalog.text, '', f.sentence
      FROM touched t JOIN finding f ON f.severe AND (f.type IS NOT NULL AND t.class <> 'pg_catalog.pg_trigger'::pg_catalog.regclass
               AND EXISTS (SELECT FROM within w WHERE w.at = t.at AND w.type = f.type) OR CASE t.class
           WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN
               -- It fires otherwise than before, and fires at all.
               EXISTS (SELECT FROM pg_catalog.pg_trigger g
                        WHERE g.oid = t.object AND g.tgenabled <> 'D' AND g.tgenabled <> pg_catalog.chr(t.sub)::pg_catalog."char"
                          AND (f.object_id = t.object OR f.relation = g.tgrelid AND EXISTS (SELECT FROM within w WHERE w.at = t.at AND w.type = f.type)))
           WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN f.function = t.object
           WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN
               f.function = (SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_operator o WHERE o.oid = t.object)
           WHEN 'pg_catalog.pg_authid'::pg_catalog.regclass THEN
               f.function_owner = t.object
               OR f.subscription IN (SELECT s.oid FROM pg_catalog.pg_subscription s WHERE s.subowner = t.object)
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
               f.object_id = t.object
               OR f.relation = t.object AND (
                   -- New, or new in its schema: all of it. Of a new owner: what was the old one's.
                   t.owner_before = 0::pg_catalog.oid AND t.sub = 0
                   OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.object
                               AND (c.relnamespace <> t.schema_before OR c.relowner <> t.owner_before AND f.function_owner = t.owner_before)))
           WHEN 'pg_catalog.pg_inherits'::pg_catalog.regclass THEN
               f.relation = t.object OR f.relation IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(t.object) p)
           WHEN 'pg_catalog.pg_extension'::pg_catalog.regclass THEN
               EXISTS (SELECT FROM pg_catalog.pg_extension e
                        WHERE e.oid = t.object
                          AND (f.reason = 'extension' AND e.extname = f.object
                               -- A function that it has no more is not everyone's any more.
                               OR f.reason = 'foreign' AND e.extname::pg_catalog.text = ANY (pg_catalog.regexp_split_to_array(
                                      pg_catalog.btrim(coalesce(pg_catalog.current_setting('postern.trusted_extensions', true), '')), '\s*,\s*'))
                                  AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = f.function_owner)))
           WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN
               f.object_id = (SELECT d.oid FROM pg_catalog.pg_attrdef d WHERE d.adrelid = t.object AND d.adnum = t.sub)
           WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN f.object_id = t.object
           WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN f.object_id = t.object
           ELSE false END)
    UNION
    SELECT t.at, 'publication', f.relation::pg_catalog.regclass::pg_catalog.text, '', f.sentence
      FROM touched t
      JOIN member m ON m.publication IS NOT NULL
           AND (m.class = t.class AND m.source = t.object
                -- A publication that is made names its tables by itself.
                OR t.class = 'pg_catalog.pg_publication'::pg_catalog.regclass AND m.publication = t.object)
      JOIN finding f ON f.relation = m.relation AND f.reason <> 'subscription'
    UNION
    -- 'made': a subscription that was made just now, 'running': one that is enabled, 'prepared': one that is not, or whose owner may
    -- not do more than whose code it runs.
    SELECT t.at, CASE WHEN NOT s.subenabled OR f.reason = 'subscription' AND NOT f.severe THEN 'prepared' WHEN t.sub = 1 THEN 'made' ELSE 'running' END,
           s.subname::pg_catalog.text, pg_catalog.pg_get_userbyid(s.subowner)::pg_catalog.text, f.sentence
      FROM touched t
      JOIN pg_catalog.pg_subscription s ON t.class = 'pg_catalog.pg_subscription'::pg_catalog.regclass AND s.oid = t.object
      JOIN member m ON m.subscription = s.oid
      JOIN finding f ON f.relation = m.relation AND (f.reason <> 'subscription' OR f.subscription = s.oid);
END
$$;
REVOKE ALL ON FUNCTION postern.replication_judgement(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.replication_judgement(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'What is wrong with replicated tables that a statement has touched';

CREATE FUNCTION postern.subscription_hold(subscription pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- As ALTER SUBSCRIPTION ... DISABLE does it. An error instead would leave the replication slot, which is made on another server.
    UPDATE pg_catalog.pg_subscription s SET subenabled = false
     WHERE s.subname = subscription_hold.subscription
       AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
$$;
REVOKE ALL ON FUNCTION postern.subscription_hold(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.subscription_hold(pg_catalog.text) IS 'Disables a subscription that was made just now';

CREATE FUNCTION postern.subscription_recipe(subscription pg_catalog.name) RETURNS SETOF pg_catalog.text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT s.oid, s.subname, s.subowner, r.rolsuper,
               pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS major
          FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_roles r ON r.oid = s.subowner
         WHERE s.subname = subscription_recipe.subscription
           AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
    ), owners AS (
        SELECT DISTINCT pg_catalog.pg_get_userbyid(c.relowner) AS name
          FROM found f JOIN postern.replication_members m ON m.subscription = f.oid JOIN pg_catalog.pg_class c ON c.oid = m.relation
    )
    SELECT l.line
      FROM found f,
           LATERAL (
               SELECT 1, pg_catalog.format('ALTER SUBSCRIPTION %I SET (run_as_owner = false);', f.subname) WHERE f.major >= 16
               UNION ALL
               SELECT 1, pg_catalog.format('ALTER SUBSCRIPTION %I DISABLE;', f.subname) WHERE f.major < 16
               UNION ALL
               -- The server asks for a superuser at this moment, and for no longer.
               SELECT 2, pg_catalog.format('CREATE ROLE %I LOGIN SUPERUSER;', f.subname || '_apply') WHERE f.major < 16
               UNION ALL
               SELECT 3, pg_catalog.format('ALTER SUBSCRIPTION %I OWNER TO %I;', f.subname, f.subname || '_apply') WHERE f.major < 16
               UNION ALL
               SELECT 4, pg_catalog.format('ALTER ROLE %I NOSUPERUSER;', f.subname || '_apply') WHERE f.major < 16
               UNION ALL
               SELECT 5, pg_catalog.format('GRANT %I TO %I;', o.name, f.subname || '_apply') FROM owners o WHERE f.major < 16
               UNION ALL
               SELECT 6, pg_catalog.format('ALTER SUBSCRIPTION %I ENABLE;', f.subname) WHERE f.major < 16
           ) l (n, line)
     WHERE f.rolsuper
     ORDER BY l.n, l.line
$$;
GRANT EXECUTE ON FUNCTION postern.subscription_recipe(pg_catalog.name) TO PUBLIC;
COMMENT ON FUNCTION postern.subscription_recipe(pg_catalog.name) IS
    'The statements that give a subscription an owner with no more rights than it needs';
