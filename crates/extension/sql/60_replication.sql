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
    RETURN is_trusted_code.function < 16384::pg_catalog.oid OR EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = is_trusted_code.function AND d.deptype = 'e'
           AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND e.extname::pg_catalog.text = ANY (pg_catalog.regexp_split_to_array(
                   pg_catalog.btrim(coalesce(pg_catalog.current_setting('postern.trusted_extensions', true), '')), '\s*,\s*')));
END
$$;
GRANT EXECUTE ON FUNCTION postern.is_trusted_code(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.is_trusted_code(pg_catalog.oid) IS
    'Whether everyone may attach the function: it came with the server, or is of an extension in postern.trusted_extensions';

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

CREATE FUNCTION postern.table_code(relations pg_catalog.oid[])
RETURNS TABLE (relation pg_catalog.oid, kind pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text, enabled pg_catalog."char", function pg_catalog.oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE used (relation, type) AS (
        SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = ANY (relations) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384::pg_catalog.oid
        UNION
        SELECT u.relation, x.type
          FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type,
               LATERAL (SELECT t.typbasetype
                        UNION ALL SELECT t.typelem
                        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)) x (type)
         WHERE x.type >= 16384::pg_catalog.oid
    ), part (relation, kind, object_id, object, enabled, class) AS (
        SELECT t.tgrelid, 'when', t.oid, t.tgname, t.tgenabled, 'pg_catalog.pg_trigger'::pg_catalog.regclass
          FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal AND t.tgqual IS NOT NULL
        UNION ALL
        SELECT c.conrelid, 'check', c.oid, c.conname, NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass
          FROM pg_catalog.pg_constraint c WHERE c.conrelid = ANY (relations) AND c.contype = 'c'
        UNION ALL
        SELECT u.relation, 'domain', c.oid, pg_catalog.format('%s (%s)', pg_catalog.format_type(u.type, NULL), c.conname), NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass
          FROM used u JOIN pg_catalog.pg_constraint c ON c.contypid = u.type
        UNION ALL
        SELECT u.relation, 'domain', t.oid, pg_catalog.format_type(u.type, NULL), NULL, 'pg_catalog.pg_type'::pg_catalog.regclass
          FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type AND t.typtype = 'd'
        UNION ALL
        SELECT d.adrelid, CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated' END, d.oid, a.attname, NULL,
               'pg_catalog.pg_attrdef'::pg_catalog.regclass
          FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE d.adrelid = ANY (relations)
        UNION ALL
        SELECT i.indrelid, 'index', c.oid, c.relname, NULL, 'pg_catalog.pg_class'::pg_catalog.regclass
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = ANY (relations) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        UNION ALL
        SELECT p.partrelid, 'partition key', p.partrelid, NULL, NULL, 'pg_catalog.pg_class'::pg_catalog.regclass
          FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = ANY (relations) AND p.partexprs IS NOT NULL
    )
    SELECT t.tgrelid, 'trigger', t.oid, t.tgname::pg_catalog.text, t.tgenabled, t.tgfoid
      FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal
    UNION
    SELECT p.relation, p.kind, p.object_id, p.object::pg_catalog.text, p.enabled, coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
      FROM part p
      JOIN pg_catalog.pg_depend d ON d.classid = p.class AND d.objid = p.object_id
      LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
     WHERE (o.oid IS NOT NULL OR d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE p.kind = 'when' AND t.oid = p.object_id AND t.tgfoid = d.refobjid)
    UNION
    -- A domain without a check today may have one tomorrow: whose it is counts.
    SELECT u.relation, 'domain type', t.oid, pg_catalog.format_type(u.type, NULL), NULL, NULL
      FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type AND t.typtype = 'd';
END
$$;
GRANT EXECUTE ON FUNCTION postern.table_code(pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.table_code(pg_catalog.oid[]) IS
    'The functions that run when a row of the tables is written, and what makes each of them run';

CREATE FUNCTION postern.table_findings(relations pg_catalog.oid[])
RETURNS TABLE (
    relation pg_catalog.oid, reason pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text,
    function pg_catalog.oid, function_owner pg_catalog.oid, subscription pg_catalog.oid, severe pg_catalog.bool,
    sentence pg_catalog.text, mend pg_catalog.text
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
        SELECT k.*, t.relowner, t.name, t.owner_name, p.proowner, p.prosecdef, r.rolname AS runner, r.rolsuper AS runner_super,
               p.proconfig, p.oid::pg_catalog.regprocedure::pg_catalog.text AS function_name,
               postern.is_trusted_code(p.oid) AS trusted
          FROM called k
          JOIN tab t ON t.oid = k.relation
          JOIN pg_catalog.pg_proc p ON p.oid = k.function
          JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    ), major AS (
        SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS n
    )
    SELECT t.oid, 'system', t.oid, t.name, NULL::pg_catalog.oid, NULL::pg_catalog.oid, NULL::pg_catalog.oid, true,
           pg_catalog.format('%s is a table of the system.', t.name),
           'Leave it out of the publication.'
      FROM tab t WHERE t.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')
    UNION ALL
    SELECT t.oid, 'extension', t.oid, e.extname, NULL, NULL, NULL, true,
           pg_catalog.format('%s belongs to the extension "%s".', t.name, e.extname),
           'Publish tables by name, or schemas without it: postern.publication_statement() gives the statement.'
      FROM tab t
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
      JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.oid = d.refobjid
    UNION ALL
    SELECT k.relation, 'foreign', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s%s of %s runs %s, which belongs to "%s" and not to the table''s owner "%s", and is not SECURITY DEFINER.',
                             pg_catalog.initcap(k.kind), ' "' || k.object || '"', k.name, k.function_name, k.runner, k.owner_name),
           pg_catalog.format('ALTER FUNCTION %s OWNER TO %I; or: ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp;%s',
                             k.function_name, k.owner_name, k.function_name,
                             CASE WHEN k.kind IN ('trigger', 'when') THEN pg_catalog.format(' or: DROP TRIGGER %I ON %s;', k.object, k.name) END)
      FROM code k
     WHERE k.proowner <> k.relowner AND NOT k.prosecdef AND NOT k.trusted AND (k.kind = 'trigger' OR NOT k.runner_super)
    UNION ALL
    SELECT k.relation, 'setting', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s "%s" of %s runs %s, which sets %s.', pg_catalog.initcap(k.kind), k.object, k.name, k.function_name, c.name),
           pg_catalog.format('ALTER FUNCTION %s RESET %I;', k.function_name, c.name)
      FROM code k, LATERAL (SELECT pg_catalog.split_part(x, '=', 1) FROM pg_catalog.unnest(k.proconfig) x) c (name)
     WHERE pg_catalog.lower(c.name) IN ('role', 'session_authorization', 'session_replication_role')
    UNION ALL
    SELECT t.oid, 'domain', k.object_id, k.object, NULL, y.typowner, NULL, true,
           pg_catalog.format('Domain %s in %s belongs to "%s", who may add checks to it, and not to the table''s owner "%s".', k.object, t.name, r.rolname, t.owner_name),
           pg_catalog.format('ALTER DOMAIN %s OWNER TO %I;', k.object, t.owner_name)
      FROM called k
      JOIN tab t ON t.oid = k.relation
      JOIN pg_catalog.pg_type y ON y.oid = k.object_id
      JOIN pg_catalog.pg_roles r ON r.oid = y.typowner
     WHERE k.kind = 'domain type' AND y.typowner <> t.relowner AND NOT r.rolsuper
    UNION ALL
    -- On 15 it runs as the owner of the subscription; later versions stop the apply, whatever the function is.
    SELECT t.oid, 'deferred', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s is deferred and fires on apply, outside the identity that apply gives it.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname)
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tginitdeferred AND g.tgenabled IN ('A', 'R') AND NOT (m.n = 15 AND p.prosecdef)
    UNION ALL
    SELECT t.oid, 'truncate', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s fires after TRUNCATE on apply, as the owner of the subscription.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname)
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tgtype & 34 = 32 AND g.tgenabled IN ('A', 'R') AND m.n < 18 AND NOT p.prosecdef
    UNION ALL
    SELECT k.relation, 'subscription', k.object_id, k.object, k.function, k.proowner, s.oid, w.rolsuper AND s.subenabled,
           pg_catalog.format('%s%s of %s runs %s, which belongs to "%s", as "%s", the owner of subscription "%s"%s.',
                             pg_catalog.initcap(k.kind), ' "' || k.object || '"', k.name, k.function_name, k.runner, w.rolname, s.subname,
                             CASE WHEN w.rolsuper THEN ' and a superuser' ELSE '' END),
           pg_catalog.format('SELECT * FROM postern.subscription_recipe(%L);', s.subname)
      FROM code k
      JOIN (SELECT DISTINCT m.relation, m.subscription FROM postern.replication_members m WHERE m.subscription IS NOT NULL) m
           ON m.relation = k.relation
      JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
      JOIN pg_catalog.pg_roles w ON w.oid = s.subowner
     WHERE (k.enabled IS NULL OR k.enabled IN ('A', 'R'))
       AND NOT k.prosecdef AND NOT k.trusted AND NOT k.runner_super AND k.proowner <> s.subowner
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

CREATE FUNCTION postern.trigger_facts(trigger pg_catalog.oid)
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
        SELECT coalesce(pg_catalog.string_agg(DISTINCT f.function::pg_catalog.regprocedure::pg_catalog.text, ', ')
                            FILTER (WHERE conditional AND f.reason = 'foreign' AND f.function <> called), ''),
               coalesce(pg_catalog.string_agg(DISTINCT f.sentence, ' ') FILTER (WHERE is_member AND f.severe), '')
          INTO foreign_when, findings
          FROM postern.table_findings(ARRAY[relation]) f WHERE f.object_id = $1;
    END IF;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION postern.trigger_facts(pg_catalog.oid) FROM PUBLIC;
COMMENT ON FUNCTION postern.trigger_facts(pg_catalog.oid) IS 'What the rules ask about a trigger that was made';

CREATE FUNCTION postern.replication_judgement(
    classes pg_catalog.text, objects pg_catalog.text, subs pg_catalog.text, owners_before pg_catalog.text, schemas_before pg_catalog.text
) RETURNS TABLE (at pg_catalog.int4, what pg_catalog.text, subject pg_catalog.text, owner pg_catalog.text, sentence pg_catalog.text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    touched_objects CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(objects, ',')::pg_catalog.oid[];
    relevant pg_catalog.oid[];
BEGIN
    -- Where nothing is replicated, most statements end here.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel) AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_namespace)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.puballtables) AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel) THEN
        RETURN;
    END IF;
    -- Of tables, indexes and columns only the tables themselves are looked at, with their partitions; of anything else, all that are
    -- replicated.
    SELECT pg_catalog.array_agg(DISTINCT m.relation) INTO relevant FROM postern.replication_members m;
    IF pg_catalog.string_to_array(classes, ',')::pg_catalog.oid[] OPERATOR(pg_catalog.<@) ARRAY[
           'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_inherits'::pg_catalog.regclass
       ]::pg_catalog.oid[]
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = ANY (touched_objects) AND c.relkind = 'c') THEN
        relevant := ARRAY(
            SELECT r.oid FROM pg_catalog.unnest(relevant) r (oid)
             WHERE r.oid = ANY (touched_objects)
                OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = r.oid AND i.indexrelid = ANY (touched_objects))
                OR EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(r.oid) p WHERE p.relid = ANY (touched_objects)));
    END IF;
    IF pg_catalog.cardinality(coalesce(relevant, '{}')) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH touched AS MATERIALIZED (
        SELECT (t.n - 1)::pg_catalog.int4 AS at, t.class, t.object, t.sub, t.owner_before, t.schema_before
          FROM ROWS FROM (
                   pg_catalog.unnest(pg_catalog.string_to_array(classes, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(objects, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(subs, ',')::pg_catalog.int4[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(owners_before, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(schemas_before, ',')::pg_catalog.oid[])
               ) WITH ORDINALITY t (class, object, sub, owner_before, schema_before, n)
    ), member AS MATERIALIZED (
        SELECT m.* FROM postern.replication_members m
    ), finding AS MATERIALIZED (
        SELECT f.* FROM postern.table_findings(relevant) f
    )
    SELECT DISTINCT t.at, 'table', f.relation::pg_catalog.regclass::pg_catalog.text, '', f.sentence
      FROM touched t JOIN finding f ON f.severe AND CASE t.class
           WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN
               -- It fires otherwise than before, and fires at all.
               f.object_id = t.object AND EXISTS (
                   SELECT FROM pg_catalog.pg_trigger g
                    WHERE g.oid = t.object AND g.tgenabled <> 'D' AND g.tgenabled <> pg_catalog.chr(t.sub)::pg_catalog."char")
           WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN f.function = t.object
           WHEN 'pg_catalog.pg_authid'::pg_catalog.regclass THEN f.function_owner = t.object
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
               f.object_id = t.object
               -- What a composite type has now, every table with a column of it has.
               OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.object AND c.relkind = 'c')
                  AND f.object_id IN (SELECT k.object_id FROM postern.table_code(ARRAY[t.object]) k)
               OR f.relation = t.object AND (
                   -- New, or new in its schema: all of it. Of a new owner: what was the old one's. A column: its type.
                   t.owner_before = 0::pg_catalog.oid AND t.sub = 0
                   OR t.sub <> 0 AND f.reason = 'domain'
                   OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.object
                               AND (c.relnamespace <> t.schema_before OR c.relowner <> t.owner_before AND f.function_owner = t.owner_before)))
           WHEN 'pg_catalog.pg_inherits'::pg_catalog.regclass THEN
               f.relation = t.object OR f.relation IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(t.object) p)
           WHEN 'pg_catalog.pg_extension'::pg_catalog.regclass THEN
               f.reason = 'extension' AND EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.oid = t.object AND e.extname = f.object)
           -- The server names the table and the column.
           WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN
               f.object_id = (SELECT d.oid FROM pg_catalog.pg_attrdef d WHERE d.adrelid = t.object AND d.adnum = t.sub)
           WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN f.object_id = t.object
           WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN f.object_id = t.object
           ELSE false END
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
