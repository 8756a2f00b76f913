-- Rows: who sees which rows, and why.

CREATE FUNCTION postern.is_direct(relation pg_catalog.oid, role pg_catalog.oid, command pg_catalog."char") RETURNS pg_catalog.bool
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM postern.direct_access d
                    WHERE d.relation OPERATOR(pg_catalog.=) is_direct.relation AND d.command OPERATOR(pg_catalog.=) is_direct.command
                      AND pg_catalog.pg_has_role(is_direct.role, d.grantee, 'USAGE'));
END;
GRANT EXECUTE ON FUNCTION postern.is_direct(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.is_direct(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'Whether the role has direct access for the command, itself or by a role that it inherits';

CREATE FUNCTION postern.is_error(relation pg_catalog.oid, role pg_catalog.oid, command pg_catalog."char") RETURNS pg_catalog.bool
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- As src/rows/mode.rs: the most specific counts, and of two on one level the error.
    SELECT coalesce((
        SELECT m.mode OPERATOR(pg_catalog.=) 'e' FROM postern.row_security_modes m
         WHERE m.command OPERATOR(pg_catalog.=) is_error.command
           AND (m.relation OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR m.relation OPERATOR(pg_catalog.=) is_error.relation)
           AND (m.role OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR pg_catalog.pg_has_role(is_error.role, m.role, 'USAGE'))
         ORDER BY (m.relation OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)::pg_catalog.int4 OPERATOR(pg_catalog.+) (m.role OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)::pg_catalog.int4 DESC,
                  m.mode OPERATOR(pg_catalog.=) 'e' DESC
         LIMIT 1), false);
END;
GRANT EXECUTE ON FUNCTION postern.is_error(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.is_error(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'Whether the role gets an error where row security would filter the command';

CREATE VIEW postern.row_access AS
    WITH command (command, letter, n) AS (
        VALUES ('SELECT', 'r'::pg_catalog."char", 1), ('INSERT', 'a', 2), ('UPDATE', 'w', 3), ('DELETE', 'd', 4)
    ),
    pair AS MATERIALIZED (
        SELECT c.oid AS relid, c.relrowsecurity, r.oid AS roleid, r.rolname, r.rolsuper, r.rolbypassrls, c.relowner,
               pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'USAGE') AS in_schema,
               NOT c.relforcerowsecurity AND pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE') AS owns
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace
         CROSS JOIN pg_catalog.pg_roles r
         WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
           AND s.nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema$)'
           AND s.nspname OPERATOR(pg_catalog.<>) ALL ('{postern,df}'::pg_catalog.name[])
           AND r.rolname OPERATOR(pg_catalog.!~) '^pg_'
    ),
    cell AS (
        SELECT p.*, k.command, k.letter, k.n,
               pg_catalog.has_table_privilege(p.roleid, p.relid, k.command)
               OR (k.letter OPERATOR(pg_catalog.<>) 'd' AND pg_catalog.has_any_column_privilege(p.roleid, p.relid, k.command)) AS privileged
          FROM pair p CROSS JOIN command k
    ),
    subject AS MATERIALIZED (
        SELECT c.*, c.relrowsecurity AND c.in_schema AND c.privileged AND NOT c.rolsuper AND NOT c.rolbypassrls AND NOT c.owns AS is_subject,
               -- Most tables have no grant: those are told apart by one hash.
               (c.relid, c.letter) OPERATOR(pg_catalog.=) ANY (SELECT g.relation::pg_catalog.oid, g.command FROM postern.direct_access g) AS any_direct
          FROM cell c
    ),
    judged AS (
        SELECT c.*,
               CASE WHEN c.is_subject AND c.any_direct
                    THEN (SELECT pg_catalog.string_agg(pg_catalog.pg_get_userbyid(d.grantee), ', ' ORDER BY d.grantee)
                            FROM postern.direct_access d
                           WHERE d.relation OPERATOR(pg_catalog.=) c.relid AND d.command OPERATOR(pg_catalog.=) c.letter
                             AND pg_catalog.pg_has_role(c.roleid, d.grantee, 'USAGE')) END AS direct,
               coalesce(c.is_subject AND e.any_mode AND postern.is_error(c.relid, c.roleid, c.letter), false) AS error,
               p.permissive, p.restrictive
          FROM subject c
         CROSS JOIN (SELECT EXISTS (SELECT FROM postern.row_security_modes)) e (any_mode)
          LEFT JOIN LATERAL (
               SELECT pg_catalog.array_agg(p.polname::pg_catalog.text ORDER BY p.polname) FILTER (WHERE p.polpermissive) AS permissive,
                      pg_catalog.array_agg(p.polname::pg_catalog.text ORDER BY p.polname) FILTER (WHERE NOT p.polpermissive) AS restrictive
                 FROM pg_catalog.pg_policy p
                WHERE p.polrelid OPERATOR(pg_catalog.=) c.relid
                  AND (p.polcmd OPERATOR(pg_catalog.=) '*' OR p.polcmd OPERATOR(pg_catalog.=) c.letter)
                  -- A policy without an expression for the command counts as absent.
                  AND CASE WHEN c.letter OPERATOR(pg_catalog.=) 'a' THEN coalesce(p.polwithcheck, p.polqual) IS NOT NULL
                           WHEN c.letter OPERATOR(pg_catalog.=) 'w' AND NOT p.polpermissive THEN true
                           ELSE p.polqual IS NOT NULL END
                  AND EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) x (role)
                               WHERE x.role OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR pg_catalog.pg_has_role(c.roleid, x.role, 'USAGE'))
               ) p ON c.is_subject
    )
    SELECT c.relid::pg_catalog.regclass AS relation, c.rolname AS role, c.command,
           CASE WHEN NOT c.in_schema OR NOT c.privileged THEN 'none'
                WHEN NOT c.relrowsecurity THEN 'open'
                WHEN c.rolsuper OR c.rolbypassrls THEN 'bypass'
                WHEN c.owns THEN 'owner'
                WHEN c.direct IS NOT NULL THEN 'direct'
                WHEN c.error THEN 'error'
                WHEN c.permissive IS NULL THEN 'none'
                ELSE 'filtered' END AS access,
           CASE WHEN NOT c.in_schema THEN 'no USAGE on the schema'
                WHEN NOT c.privileged THEN 'no privilege on the table'
                WHEN NOT c.relrowsecurity THEN 'the table has no row security'
                WHEN c.rolsuper THEN 'superuser'
                WHEN c.rolbypassrls THEN 'BYPASSRLS'
                WHEN c.owns THEN CASE WHEN c.roleid OPERATOR(pg_catalog.=) c.relowner THEN 'owner of the table'
                                      ELSE pg_catalog.concat('inherits the owner, ', pg_catalog.pg_get_userbyid(c.relowner)) END
                WHEN c.direct IS NOT NULL THEN pg_catalog.concat('granted to ', c.direct)
                WHEN c.error THEN 'the error mode is set'
                WHEN c.permissive IS NULL THEN 'no permissive policy'
                ELSE 'policies' END AS reason,
           c.permissive, c.restrictive
      FROM judged c;
REVOKE ALL ON TABLE postern.row_access FROM PUBLIC;
-- It says what the catalogs say, which everyone may read.
GRANT SELECT ON TABLE postern.row_access TO PUBLIC;
COMMENT ON VIEW postern.row_access IS 'What each role gets of each table by each command alone: none, open, bypass, owner, direct, error or filtered, and why';

CREATE FUNCTION postern.evaluate_as(role pg_catalog.oid, facts pg_catalog.jsonb, query pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'evaluate_as_wrapper';
-- It refuses whoever may not be the role; facts are for superusers and postern_admin.
GRANT EXECUTE ON FUNCTION postern.evaluate_as(pg_catalog.oid, pg_catalog.jsonb, pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.evaluate_as(pg_catalog.oid, pg_catalog.jsonb, pg_catalog.text) IS
    'The first value of a query, as the role, with the facts; what it changed is rolled back';

CREATE FUNCTION postern.attempt_as(role pg_catalog.oid, facts pg_catalog.jsonb, query pg_catalog.text) RETURNS pg_catalog.jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'attempt_as_wrapper';
-- As postern.evaluate_as().
GRANT EXECUTE ON FUNCTION postern.attempt_as(pg_catalog.oid, pg_catalog.jsonb, pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.attempt_as(pg_catalog.oid, pg_catalog.jsonb, pg_catalog.text) IS
    'What a query gives as the role, with the facts: count, and rows; what it changed is rolled back';

CREATE FUNCTION postern.policy_votes(
    relation pg_catalog.regclass, role pg_catalog.oid, command pg_catalog.text, checks pg_catalog.bool, row_text pg_catalog.text, facts pg_catalog.jsonb
) RETURNS TABLE (policy pg_catalog.name, permissive pg_catalog.bool, vote pg_catalog.text, expression pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    table_name CONSTANT pg_catalog.name := (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) relation);
BEGIN
    FOR policy, permissive, expression IN
        SELECT p.polname, p.polpermissive, pg_catalog.pg_get_expr(e.node, p.polrelid)
          FROM pg_catalog.pg_policy p,
               LATERAL (SELECT CASE WHEN checks THEN coalesce(p.polwithcheck, p.polqual) ELSE p.polqual END) e (node)
         WHERE p.polrelid OPERATOR(pg_catalog.=) relation AND e.node IS NOT NULL
           AND (p.polcmd OPERATOR(pg_catalog.=) '*' OR p.polcmd OPERATOR(pg_catalog.=) postern.row_command(command))
           AND EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) x (member)
                        WHERE x.member OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR pg_catalog.pg_has_role(policy_votes.role, x.member, 'USAGE'))
         ORDER BY p.polpermissive, p.polname
    LOOP
        BEGIN
            -- The row under the name of the table: columns, correlated sub-queries and references to the whole row resolve.
            vote := coalesce(postern.evaluate_as(role, facts, pg_catalog.format(
                'SELECT (%s)::pg_catalog.text FROM pg_catalog.unnest(ARRAY[%L::%s]) AS %I', expression, row_text, relation, table_name)), 'null');
        EXCEPTION WHEN OTHERS THEN
            vote := pg_catalog.concat('error: ', SQLERRM);
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION postern.policy_votes(pg_catalog.regclass, pg_catalog.oid, pg_catalog.text, pg_catalog.bool, pg_catalog.text, pg_catalog.jsonb) TO PUBLIC;
COMMENT ON FUNCTION postern.policy_votes(pg_catalog.regclass, pg_catalog.oid, pg_catalog.text, pg_catalog.bool, pg_catalog.text, pg_catalog.jsonb) IS
    'What each policy for the role and the command says of a row: true, false, null, or an error';

CREATE FUNCTION postern.explain_row(
    relation pg_catalog.regclass, key pg_catalog.jsonb, command pg_catalog.text DEFAULT 'SELECT', as_role pg_catalog.name DEFAULT CURRENT_USER,
    facts pg_catalog.jsonb DEFAULT NULL, new_row pg_catalog.jsonb DEFAULT NULL, reads pg_catalog.bool DEFAULT true
) RETURNS TABLE (step pg_catalog.text, name pg_catalog.text, says pg_catalog.text, expression pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
-- A caller who is filtered itself gets an error, never "no such row".
SET row_security = off AS $$
DECLARE
    verb CONSTANT pg_catalog.text := (postern.row_commands(ARRAY[command]))[1];
    target CONSTANT pg_catalog.pg_class := postern.row_table(relation);
    role CONSTANT pg_catalog.oid := postern.row_role(as_role);
    needs pg_catalog.text[] := ARRAY[verb];
    need pg_catalog.text;
    old_text pg_catalog.text;
    new_text pg_catalog.text;
    condition pg_catalog.text;
    part pg_catalog.record;
    vote pg_catalog.record;
    opened pg_catalog.bool;
    closed pg_catalog.bool;
    raised pg_catalog.bool := false;
    hidden pg_catalog.bool := false;
    refused pg_catalog.bool := false;
BEGIN
    IF pg_catalog.upper(command) OPERATOR(pg_catalog.=) 'ALL' THEN
        RAISE EXCEPTION 'one command at a time' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give SELECT, INSERT, UPDATE or DELETE.';
    ELSIF verb OPERATOR(pg_catalog.=) ANY ('{INSERT,UPDATE}'::pg_catalog.text[]) AND (new_row IS NULL OR pg_catalog.jsonb_typeof(new_row) OPERATOR(pg_catalog.<>) 'object') THEN
        RAISE EXCEPTION 'new_row must be a JSON object for %', verb
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the columns that the statement sets: {"column": value}.';
    ELSIF verb OPERATOR(pg_catalog.<>) 'INSERT' AND (key IS NULL OR pg_catalog.jsonb_typeof(key) OPERATOR(pg_catalog.<>) 'object' OR key OPERATOR(pg_catalog.=) '{}'::pg_catalog.jsonb) THEN
        RAISE EXCEPTION 'key must be a JSON object with a column' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the columns that tell the row: {"id": 1}.';
    END IF;
    -- Refuses a caller who may not be the role, before anything of the row is told.
    PERFORM postern.evaluate_as(role, facts, 'SELECT ''''');
    IF reads AND verb OPERATOR(pg_catalog.<>) 'SELECT' THEN
        needs := pg_catalog.array_append(needs, 'SELECT');
    END IF;

    FOREACH need IN ARRAY needs LOOP
        step := 'privilege'; name := need; expression := NULL;
        says := CASE WHEN NOT pg_catalog.has_schema_privilege(role, target.relnamespace, 'USAGE') THEN 'no USAGE on the schema'
                     WHEN pg_catalog.has_table_privilege(role, relation, need) THEN 'granted'
                     WHEN need OPERATOR(pg_catalog.<>) 'DELETE' AND pg_catalog.has_any_column_privilege(role, relation, need) THEN 'granted on some columns'
                     ELSE 'not granted' END;
        refused := refused OR says OPERATOR(pg_catalog.!~~) 'granted%';
        RETURN NEXT;
    END LOOP;
    IF refused THEN
        step := 'verdict'; name := NULL; says := 'permission denied'; RETURN NEXT;
        RETURN;
    END IF;

    IF verb OPERATOR(pg_catalog.<>) 'INSERT' THEN
        SELECT pg_catalog.string_agg(pg_catalog.format('t.%I OPERATOR(pg_catalog.=) k.%I', k.column_name, k.column_name), ' AND ')
          INTO condition FROM pg_catalog.jsonb_object_keys(key) k (column_name);
        BEGIN
            EXECUTE pg_catalog.format('SELECT t::pg_catalog.text FROM ONLY %s t, pg_catalog.jsonb_populate_record(NULL::%s, $1) k WHERE %s', relation, relation, condition)
               INTO STRICT old_text USING key;
        EXCEPTION
            WHEN no_data_found THEN
                step := 'verdict'; name := NULL; says := 'no such row'; RETURN NEXT;
                RETURN;
            WHEN too_many_rows THEN
                RAISE EXCEPTION 'the key tells more than one row' USING ERRCODE = 'cardinality_violation', HINT = 'Give the columns of the primary key.';
        END;
    END IF;
    IF new_row IS NOT NULL THEN
        EXECUTE pg_catalog.format('SELECT pg_catalog.jsonb_populate_record($1::%s, $2)::pg_catalog.text', relation) INTO new_text USING old_text, new_row;
    END IF;

    step := 'exemption'; name := NULL;
    says := CASE WHEN NOT target.relrowsecurity THEN 'the table has no row security'
                 WHEN (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) role) THEN 'superuser'
                 WHEN (SELECT r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) role) THEN 'BYPASSRLS'
                 WHEN NOT target.relforcerowsecurity AND pg_catalog.pg_has_role(role, target.relowner, 'USAGE') THEN 'owner, or inherits the owner'
                 WHEN (SELECT pg_catalog.bool_and(postern.is_direct(relation, role, postern.row_command(n.need))) FROM pg_catalog.unnest(needs) n (need)) THEN 'direct access'
                 ELSE 'none' END;
    RETURN NEXT;
    IF says OPERATOR(pg_catalog.<>) 'none' THEN
        step := 'verdict'; says := CASE verb WHEN 'SELECT' THEN 'visible' ELSE 'allowed' END; RETURN NEXT;
        RETURN;
    END IF;
    FOREACH need IN ARRAY needs LOOP
        IF postern.is_error(relation, role, postern.row_command(need)) THEN
            step := 'mode'; name := need; says := 'error'; RETURN NEXT;
            step := 'verdict'; name := NULL; says := 'error mode'; RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;

    -- What the server asks: USING of the old row hides it, a check of the new row refuses it.
    FOR part IN
        SELECT p.* FROM (VALUES
            ('USING', verb, false, old_text, verb OPERATOR(pg_catalog.<>) 'INSERT'),
            ('USING', 'SELECT', false, old_text, reads AND verb OPERATOR(pg_catalog.=) ANY ('{UPDATE,DELETE}'::pg_catalog.text[])),
            ('CHECK', verb, true, new_text, verb OPERATOR(pg_catalog.=) ANY ('{INSERT,UPDATE}'::pg_catalog.text[])),
            ('CHECK', 'SELECT', false, new_text, reads AND verb OPERATOR(pg_catalog.=) ANY ('{INSERT,UPDATE}'::pg_catalog.text[]))
        ) p (kind, command, checks, row_text, asked) WHERE p.asked
    LOOP
        opened := false; closed := false;
        FOR vote IN SELECT v.* FROM postern.policy_votes(relation, role, part.command, part.checks, part.row_text, facts) v LOOP
            step := pg_catalog.concat(part.kind, ' ', part.command, CASE WHEN vote.permissive THEN ' permissive' ELSE ' restrictive' END);
            name := vote.policy; says := vote.vote; expression := vote.expression;
            RETURN NEXT;
            raised := raised OR says OPERATOR(pg_catalog.~~) 'error%';
            IF vote.permissive THEN opened := opened OR says OPERATOR(pg_catalog.=) 'true';
            ELSE closed := closed OR says OPERATOR(pg_catalog.<>) 'true'; END IF;
        END LOOP;
        IF NOT opened OR closed THEN
            hidden := hidden OR part.kind OPERATOR(pg_catalog.=) 'USING';
            refused := refused OR part.kind OPERATOR(pg_catalog.=) 'CHECK';
        END IF;
    END LOOP;
    step := 'verdict'; name := NULL; expression := NULL;
    says := CASE WHEN raised THEN 'may raise' WHEN hidden THEN 'hidden' WHEN refused THEN 'refused'
                 WHEN verb OPERATOR(pg_catalog.=) 'SELECT' THEN 'visible' ELSE 'allowed' END;
    RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION postern.explain_row(pg_catalog.regclass, pg_catalog.jsonb, pg_catalog.text, pg_catalog.name, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.bool) TO PUBLIC;
COMMENT ON FUNCTION postern.explain_row(pg_catalog.regclass, pg_catalog.jsonb, pg_catalog.text, pg_catalog.name, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.bool) IS
    'Why a role sees or changes a row, or does not: privileges, exemptions, what each policy says, and the verdict';
