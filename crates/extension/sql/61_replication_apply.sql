-- What runs when a row is applied, and as whom.

CREATE VIEW postern.apply_identity AS
SELECT s.subname AS subscription, c.oid::pg_catalog.regclass AS relation, k.kind, k.object, k.enabled,
       p.oid::pg_catalog.regprocedure AS function, pg_catalog.pg_get_userbyid(p.proowner) AS function_owner,
       CASE WHEN k.enabled IN ('O', 'D') THEN NULL
            WHEN v.deferred AND v.major >= 16 AND NOT v.as_owner AND NOT v.free THEN NULL
            WHEN v.deferred AND (v.as_owner OR v.major < 18 AND v.free) AND NOT (v.major < 16 AND p.prosecdef) THEN pg_catalog.pg_get_userbyid(s.subowner)
            WHEN p.prosecdef THEN pg_catalog.pg_get_userbyid(p.proowner)
            WHEN v.as_owner OR v.after_truncate AND v.major < 18 THEN pg_catalog.pg_get_userbyid(s.subowner)
            ELSE pg_catalog.pg_get_userbyid(c.relowner) END AS runs_as,
       CASE WHEN k.enabled IN ('O', 'D') THEN 'does not fire on apply'
            WHEN v.deferred AND v.major >= 16 AND NOT v.as_owner AND NOT v.free THEN 'stops the apply: it is deferred'
            WHEN v.deferred AND (v.as_owner OR v.major < 18 AND v.free) AND NOT (v.major < 16 AND p.prosecdef) THEN 'owner of the subscription: it is deferred'
            WHEN p.prosecdef THEN 'owner of the function: it is SECURITY DEFINER'
            WHEN v.as_owner AND v.major < 16 THEN 'owner of the subscription: PostgreSQL 15 knows no other'
            WHEN v.as_owner THEN 'owner of the subscription: run_as_owner'
            WHEN v.after_truncate AND v.major < 18 THEN 'owner of the subscription: it fires after TRUNCATE'
            WHEN v.free THEN 'owner of the table, who may become the owner of the subscription'
            ELSE 'owner of the table, restricted' END AS why
  FROM (SELECT DISTINCT m.relation, m.subscription FROM postern.replication_members m WHERE m.subscription IS NOT NULL) m
  JOIN pg_catalog.pg_class c ON c.oid = m.relation
  JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription,
       LATERAL postern.table_code(ARRAY[m.relation]) k
  JOIN pg_catalog.pg_proc p ON p.oid = k.function
  LEFT JOIN pg_catalog.pg_trigger t ON k.kind = 'trigger' AND t.oid = k.object_id,
       LATERAL (
           SELECT x.major, postern.subscription_owner_runs(s.oid) AS as_owner, coalesce(t.tginitdeferred, false) AS deferred,
                  coalesce(t.tgtype & 34 = 32, false) AS after_truncate,
                  CASE WHEN x.major >= 16 THEN pg_catalog.pg_has_role(c.relowner, s.subowner, 'SET') ELSE true END AS free
             FROM (SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS major) x
       ) v;
REVOKE ALL ON TABLE postern.apply_identity FROM PUBLIC;
GRANT SELECT ON TABLE postern.apply_identity TO PUBLIC;
COMMENT ON VIEW postern.apply_identity IS
    'What runs when a row of a subscription is applied, and as whom on this version of the server';

CREATE FUNCTION postern.rehearse_statement(role pg_catalog.oid, statement pg_catalog.text) RETURNS pg_catalog.text[]
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rehearse_statement_wrapper';
REVOKE ALL ON FUNCTION postern.rehearse_statement(pg_catalog.oid, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.rehearse_statement(pg_catalog.oid, pg_catalog.text) TO postern_admin;
COMMENT ON FUNCTION postern.rehearse_statement(pg_catalog.oid, pg_catalog.text) IS
    'Runs a statement as apply would, as the role, and rolls it back: SQLSTATE, message and context of its error';

CREATE FUNCTION postern.sample_value(type pg_catalog.oid) RETURNS pg_catalog.text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t CONSTANT pg_catalog.pg_type := (SELECT y FROM pg_catalog.pg_type y WHERE y.oid = sample_value.type);
BEGIN
    RETURN CASE
        WHEN t.typtype = 'd' THEN postern.sample_value(t.typbasetype)
        WHEN t.typtype = 'e' THEN (SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT 1)
        WHEN t.typtype = 'r' THEN 'empty'
        WHEN t.typtype = 'm' OR t.typcategory = 'A' THEN '{}'
        WHEN t.typname IN ('time', 'timetz') THEN '00:00'
        WHEN t.typname = 'uuid' THEN '00000000-0000-0000-0000-000000000000'
        WHEN t.typname IN ('json', 'jsonb') THEN '{}'
        WHEN t.typname IN ('bytea', 'tsvector') THEN ''
        ELSE CASE t.typcategory
             WHEN 'N' THEN '1' WHEN 'S' THEN 'x' WHEN 'B' THEN 'true' WHEN 'D' THEN '2000-01-01' WHEN 'T' THEN '1 day'
             WHEN 'I' THEN '127.0.0.1' WHEN 'V' THEN '1' END
        END;
END
$$;
GRANT EXECUTE ON FUNCTION postern.sample_value(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.sample_value(pg_catalog.oid) IS 'A value of the type, as text; NULL if we know none';

CREATE FUNCTION postern.apply_fix(sqlstate pg_catalog.text, message pg_catalog.text, context pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    missing CONSTANT pg_catalog.text := coalesce(pg_catalog.substring(message, '"([^"]+)" does not exist'), pg_catalog.substring(message, 'function ([^ (]+)\('));
    caller CONSTANT pg_catalog.text := pg_catalog.substring(context, 'PL/pgSQL function ([^\n]+\)) line');
    callers pg_catalog.text[];
    schemas pg_catalog.text[];
BEGIN
    -- The language remembers the name as it was written when the function was first called: with its schema, or without.
    SELECT pg_catalog.array_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text) INTO callers
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE p.oid::pg_catalog.regprocedure::pg_catalog.text IN (caller, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', caller));
    -- Only what the empty path did not find, and what one schema alone has.
    IF sqlstate NOT IN ('42P01', '42883', '42704') OR missing IS NULL OR pg_catalog.cardinality(callers) IS DISTINCT FROM 1 THEN
        RETURN NULL;
    END IF;
    SELECT pg_catalog.array_agg(DISTINCT n.nspname::pg_catalog.text) INTO schemas
      FROM pg_catalog.pg_namespace n
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND (EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = missing AND sqlstate = '42P01')
            OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = missing AND sqlstate = '42883')
            OR EXISTS (SELECT FROM pg_catalog.pg_type y WHERE y.typnamespace = n.oid AND y.typname = missing AND sqlstate = '42704'));
    IF pg_catalog.cardinality(schemas) IS DISTINCT FROM 1 THEN
        RETURN NULL;
    END IF;
    RETURN pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp;', callers[1], schemas[1]);
END
$$;
GRANT EXECUTE ON FUNCTION postern.apply_fix(pg_catalog.text, pg_catalog.text, pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.apply_fix(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'The statement after which a function finds what an error says it did not; NULL if there is no one such';

CREATE FUNCTION postern.rehearse_apply(relation pg_catalog.regclass, sample pg_catalog.jsonb DEFAULT NULL)
RETURNS TABLE (
    step pg_catalog.text, runs_as pg_catalog.name, outcome pg_catalog.text, sqlstate pg_catalog.text, message pg_catalog.text,
    context pg_catalog.text, fix pg_catalog.text
)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT pg_catalog.pg_class := (SELECT c FROM pg_catalog.pg_class c WHERE c.oid = rehearse_apply.relation);
    runner pg_catalog.oid := target.relowner;
    columns pg_catalog.text;
    given pg_catalog.text;
    needed pg_catalog.text;
    needed_given pg_catalog.text;
    first_column pg_catalog.text;
    pick CONSTANT pg_catalog.text := pg_catalog.format('ctid = (SELECT ctid FROM ONLY %s LIMIT 1)', rehearse_apply.relation);
    insertion pg_catalog.text;
    todo pg_catalog.record;
    error pg_catalog.text[];
    failed pg_catalog.bool := false;
BEGIN
    IF target.relkind IS NULL OR target.relkind <> 'r' THEN
        RAISE EXCEPTION '% is not an ordinary table', relation
            USING ERRCODE = 'wrong_object_type', HINT = 'Rehearse the partitions of a partitioned table: rows are applied to them.';
    END IF;
    -- Who apply would be: the owner of a subscription that says so and is no superuser, else the owner of the table.
    SELECT s.subowner INTO runner
      FROM postern.replication_members m JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription JOIN pg_catalog.pg_roles r ON r.oid = s.subowner
     WHERE m.relation = target.oid AND NOT r.rolsuper AND postern.subscription_owner_runs(s.oid) LIMIT 1;
    runner := coalesce(runner, target.relowner);
    runs_as := pg_catalog.pg_get_userbyid(runner);
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = runner)
       AND EXISTS (SELECT FROM postern.table_findings(ARRAY[target.oid]) f WHERE f.reason IN ('foreign', 'subscription')) THEN
        step := 'all'; outcome := 'not run';
        message := 'code of other roles would run as a superuser: see postern.replication_findings';
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),
           pg_catalog.string_agg(v.literal, ', ' ORDER BY a.attnum),
           pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE v.needed),
           pg_catalog.string_agg(v.literal, ', ' ORDER BY a.attnum) FILTER (WHERE v.needed),
           (pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attnum))[1]
      INTO columns, given, needed, needed_given, first_column
      FROM pg_catalog.pg_attribute a,
           LATERAL (SELECT pg_catalog.format('%L::%s', CASE WHEN sample ? a.attname::pg_catalog.text THEN sample ->> a.attname::pg_catalog.text
                                                            ELSE postern.sample_value(a.atttypid) END,
                                             pg_catalog.format_type(a.atttypid, a.atttypmod)),
                           sample ? a.attname::pg_catalog.text OR a.attnotnull AND NOT a.atthasdef AND a.attidentity = '') v (literal, needed)
     WHERE a.attrelid = target.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    insertion := pg_catalog.format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)', relation, columns, given);
    FOR todo IN
        SELECT l.* FROM (VALUES
            ('insert', true, insertion),
            ('insert with defaults', true, CASE WHEN needed IS NULL THEN pg_catalog.format('INSERT INTO %s DEFAULT VALUES', relation)
                                          ELSE pg_catalog.format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)', relation, needed, needed_given) END),
            ('update', true, pg_catalog.format('%s; UPDATE ONLY %s SET %s = %s WHERE %s', insertion, relation, first_column, first_column, pick)),
            ('delete', true, pg_catalog.format('%s; DELETE FROM ONLY %s WHERE %s', insertion, relation, pick)),
            ('truncate', EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = target.oid AND t.tgenabled IN ('A', 'R') AND t.tgtype & 32 = 32),
             pg_catalog.format('TRUNCATE ONLY %s', relation))
        ) l (step, asked, statement) WHERE l.asked
    LOOP
        step := todo.step; sqlstate := NULL; message := NULL; context := NULL; fix := NULL;
        IF failed AND todo.step IN ('update', 'delete') THEN
            outcome := 'not run';
        ELSE
            error := postern.rehearse_statement(runner, todo.statement);
            -- A row like the sample is there already, which says nothing about the code.
            IF error[1] = '23505' AND sample IS NULL AND todo.step <> 'truncate' THEN
                error := postern.rehearse_statement(runner, CASE todo.step
                    WHEN 'update' THEN pg_catalog.format('UPDATE ONLY %s SET %s = %s WHERE %s', relation, first_column, first_column, pick)
                    WHEN 'delete' THEN pg_catalog.format('DELETE FROM ONLY %s WHERE %s', relation, pick)
                    ELSE pg_catalog.format('DELETE FROM ONLY %s; %s', relation, todo.statement) END);
            END IF;
            outcome := CASE WHEN error IS NULL THEN 'ok' ELSE 'fails' END;
            sqlstate := error[1]; message := error[2]; context := error[3];
            fix := postern.apply_fix(error[1], error[2], error[3]);
            failed := failed OR todo.step = 'insert' AND error IS NOT NULL;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION postern.rehearse_apply(pg_catalog.regclass, pg_catalog.jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.rehearse_apply(pg_catalog.regclass, pg_catalog.jsonb) TO postern_admin;
COMMENT ON FUNCTION postern.rehearse_apply(pg_catalog.regclass, pg_catalog.jsonb) IS
    'Writes a sample row as apply would, through triggers, defaults and checks, and rolls it back: what fails, and what mends it';
