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

CREATE VIEW postern.apply_row_security AS
SELECT m.relation::pg_catalog.oid AS relation, r.rolname AS applier,
       CASE WHEN v.owners THEN pg_catalog.format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;', m.relation::pg_catalog.regclass)
            ELSE pg_catalog.format('ALTER ROLE %I BYPASSRLS;', r.rolname) END AS fix
  FROM (SELECT DISTINCT x.relation, x.subscription FROM postern.replication_members x
         WHERE x.subscription IS NOT NULL) m
  JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
  JOIN pg_catalog.pg_class c ON c.oid = m.relation AND c.relrowsecurity
  JOIN pg_catalog.pg_roles r ON r.oid = CASE WHEN postern.subscription_owner_runs(s.oid) THEN s.subowner ELSE c.relowner END
   AND NOT r.rolsuper AND NOT r.rolbypassrls,
       LATERAL (SELECT pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')) v (owners)
 WHERE c.relforcerowsecurity OR NOT v.owners;
REVOKE ALL ON TABLE postern.apply_row_security FROM PUBLIC;
GRANT SELECT ON TABLE postern.apply_row_security TO PUBLIC;
COMMENT ON VIEW postern.apply_row_security IS
    'Tables of subscriptions with row security that holds for the role that rows are applied as: apply stops at them';

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
    -- Only what the empty path did not find, and what one schema alone has.
    IF sqlstate IS NULL OR sqlstate NOT IN ('42P01', '42883', '42704') OR missing IS NULL OR caller IS NULL THEN
        RETURN NULL;
    END IF;
    -- The language remembers the name as it was written when the function was first called: with its schema, or without.
    SELECT pg_catalog.array_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text) INTO callers
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE p.oid >= 16384::pg_catalog.oid AND p.oid::pg_catalog.regprocedure::pg_catalog.text IN (caller, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', caller));
    IF pg_catalog.cardinality(callers) IS DISTINCT FROM 1 THEN
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
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT pg_catalog.pg_class := (SELECT c FROM pg_catalog.pg_class c WHERE c.oid = rehearse_apply.relation);
    runner pg_catalog.oid := target.relowner;
    columns pg_catalog.text;
    given pg_catalog.text;
    needed pg_catalog.text;
    needed_given pg_catalog.text;
    assignments pg_catalog.text;
    -- A row that apply is at work on is left to it.
    pick CONSTANT pg_catalog.text := pg_catalog.format('ctid = (SELECT ctid FROM ONLY %s LIMIT 1 FOR UPDATE SKIP LOCKED)', rehearse_apply.relation);
    deletion CONSTANT pg_catalog.text := pg_catalog.format('DELETE FROM ONLY %s WHERE %s', rehearse_apply.relation, pick);
    taken CONSTANT pg_catalog.text := pg_catalog.format('WITH old AS (DELETE FROM ONLY %1$s WHERE %2$s RETURNING *) INSERT INTO %1$s (%%1$s) OVERRIDING SYSTEM VALUE SELECT %%1$s FROM old',
                                                         rehearse_apply.relation, pick);
    made CONSTANT pg_catalog.text := pg_catalog.format('INSERT INTO %s (%%s) OVERRIDING SYSTEM VALUE VALUES (%%s)', rehearse_apply.relation);
    by_default CONSTANT pg_catalog.text := pg_catalog.format('INSERT INTO %s DEFAULT VALUES', rehearse_apply.relation);
    insertion pg_catalog.text;
    there pg_catalog.bool;
    existing pg_catalog.bool;
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
    -- Statements go on under policies, and apply does not: it stops.
    FOR runs_as, step, outcome, sqlstate, message, fix IN
        SELECT DISTINCT a.applier, 'row security', 'fails', '0A000',
               pg_catalog.format('user "%s" cannot replicate into relation with row-level security enabled: "%s"', a.applier, target.relname), a.fix
          FROM postern.apply_row_security a WHERE a.relation = target.oid
    LOOP
        RETURN NEXT;
    END LOOP;
    runs_as := pg_catalog.pg_get_userbyid(runner);

    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),
           pg_catalog.string_agg(v.literal, ', ' ORDER BY a.attnum),
           pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE v.needed),
           pg_catalog.string_agg(v.literal, ', ' ORDER BY a.attnum) FILTER (WHERE v.needed),
           -- All of them: a trigger that is for some columns fires on apply whichever have changed.
           pg_catalog.string_agg(pg_catalog.format('%1$I = %1$I', a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attidentity <> 'a')
      INTO columns, given, needed, needed_given, assignments
      FROM pg_catalog.pg_attribute a,
           LATERAL (SELECT pg_catalog.format('%L::%s', CASE WHEN sample ? a.attname::pg_catalog.text THEN sample ->> a.attname::pg_catalog.text
                                                            ELSE postern.sample_value(a.atttypid) END,
                                             pg_catalog.format_type(a.atttypid, a.atttypmod)),
                           sample ? a.attname::pg_catalog.text OR a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
                           -- Keys are always sent.
                           OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = target.oid AND i.indisunique AND a.attnum = ANY (i.indkey))) v (literal, needed)
     WHERE a.attrelid = target.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    -- A row that is there is a better sample than one that is made up, if it can be taken out for the time.
    there := sample IS NULL AND columns IS NOT NULL
        AND postern.rehearse_statement(runner, pg_catalog.format('SELECT 1 / pg_catalog.count(*) FROM (SELECT FROM ONLY %s LIMIT 1) s', relation)) IS NULL;
    existing := there AND postern.rehearse_statement(runner, deletion) IS NULL;
    insertion := CASE WHEN columns IS NULL THEN by_default WHEN existing THEN pg_catalog.format(taken, columns) ELSE pg_catalog.format(made, columns, given) END;
    FOR todo IN
        SELECT l.* FROM (VALUES
            ('insert', true, '3', insertion),
            ('insert with defaults', true, '3',
             CASE WHEN needed IS NULL THEN CASE WHEN existing THEN pg_catalog.concat(deletion, '; ') ELSE '' END || by_default
                  WHEN existing THEN pg_catalog.format(taken, needed)
                  ELSE pg_catalog.format(made, needed, needed_given) END),
            ('update', true, '2',
             CASE WHEN assignments IS NOT NULL THEN
                 CASE WHEN there THEN '' ELSE insertion || '; ' END || pg_catalog.format('UPDATE ONLY %s SET %s WHERE %s', relation, assignments, pick) END),
            ('delete', true, '4', CASE WHEN there THEN '' ELSE insertion || '; ' END || deletion),
            ('truncate', EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = target.oid AND t.tgenabled IN ('A', 'R') AND t.tgtype & 32 = 32),
             '', pg_catalog.format('TRUNCATE ONLY %s', relation))
        ) l (step, asked, event, statement) WHERE l.asked
    LOOP
        step := todo.step; sqlstate := NULL; message := NULL; context := NULL; fix := NULL;
        IF todo.statement IS NULL OR failed AND NOT there AND todo.step IN ('update', 'delete') THEN
            outcome := 'not run';
        ELSIF EXISTS (SELECT FROM pg_catalog.pg_rewrite w
                       WHERE w.ev_class = target.oid AND w.ev_enabled IN ('A', 'R')
                         AND w.ev_type::pg_catalog.text = todo.event) THEN
            outcome := 'not run';
            message := 'a rule fires for the statement, and not on apply';
            failed := failed OR todo.step = 'insert';
        ELSE
            error := postern.rehearse_statement(runner, todo.statement);
            sqlstate := error[1]; message := error[2];
            -- Without what this function has to do with it.
            context := nullif(pg_catalog.regexp_replace(error[3], '(^|\n)SQL statement "((?!\nSQL statement ").)*$', ''), '');
            fix := postern.apply_fix(sqlstate, message, context);
            outcome := CASE
                WHEN error IS NULL THEN 'ok'
                WHEN sqlstate = '55P03' THEN 'not run'
                -- What the table itself does not take of a made-up row says nothing about the rows of the publisher.
                WHEN sample IS NULL AND (NOT existing OR sqlstate = '23505') AND todo.step LIKE 'insert%' AND pg_catalog.left(sqlstate, 2) IN ('22', '23') AND context IS NULL THEN 'not known'
                ELSE 'fails' END;
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
