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
           AND (m.relation OPERATOR(pg_catalog.=) is_error.relation
                OR m.relation OPERATOR(pg_catalog.=) 0::pg_catalog.oid
                   -- Everybody has some of what is in ours, and asks for that.
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                                    WHERE c.oid OPERATOR(pg_catalog.=) is_error.relation AND n.nspname OPERATOR(pg_catalog.=) ANY ('{postern,df}'::pg_catalog.name[])))
           AND (m.role OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR pg_catalog.pg_has_role(is_error.role, m.role, 'USAGE'))
         ORDER BY (m.relation OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)::pg_catalog.int4 OPERATOR(pg_catalog.+) (m.role OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)::pg_catalog.int4 DESC,
                  m.mode OPERATOR(pg_catalog.=) 'e' DESC
         LIMIT 1), false);
END;
GRANT EXECUTE ON FUNCTION postern.is_error(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.is_error(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'Whether the role gets an error where row security would filter the command';

CREATE FUNCTION postern.is_invoker(reloptions pg_catalog.text[]) RETURNS pg_catalog.bool
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- The server takes whatever is a boolean: yes, 1, a beginning of it.
    SELECT coalesce((SELECT pg_catalog.substr(o.option, 18)::pg_catalog.bool FROM pg_catalog.unnest(reloptions) o (option)
                      WHERE pg_catalog.starts_with(o.option, 'security_invoker=')), false);
END;
GRANT EXECUTE ON FUNCTION postern.is_invoker(pg_catalog.text[]) TO PUBLIC;
COMMENT ON FUNCTION postern.is_invoker(pg_catalog.text[]) IS 'Whether a view with these options reads as whoever asks';

CREATE FUNCTION postern.row_access_of(roles pg_catalog.oid[], relations pg_catalog.oid[])
RETURNS TABLE (
    relation pg_catalog.regclass, role pg_catalog.name, command pg_catalog.text, access pg_catalog.text, reason pg_catalog.text,
    permissive pg_catalog.text[], restrictive pg_catalog.text[], through pg_catalog.text[]
)
-- Whatever can be asked once for many cells is: owners, schemas, policies and views by role, not by cell.
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
BEGIN ATOMIC
    WITH RECURSIVE command (command, letter, n, bit) AS (
        VALUES ('SELECT', 'r'::pg_catalog."char", 1, 0), ('INSERT', 'a', 2, 8), ('UPDATE', 'w', 3, 4), ('DELETE', 'd', 4, 16)
    ),
    role AS MATERIALIZED (
        SELECT r.oid AS roleid, r.rolname, r.rolsuper, r.rolbypassrls FROM pg_catalog.pg_roles r
         WHERE r.rolname OPERATOR(pg_catalog.!~) '^pg_' AND (row_access_of.roles IS NULL OR r.oid OPERATOR(pg_catalog.=) ANY (row_access_of.roles))
    ),
    relation AS MATERIALIZED (
        SELECT c.oid AS relid, c.relname, c.relkind, c.relowner, c.relnamespace, s.nspname, c.relacl, c.relrowsecurity, c.relforcerowsecurity,
               postern.is_invoker(c.reloptions) AS invoker
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v}'::pg_catalog."char"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
           AND s.nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema$)' AND s.nspname OPERATOR(pg_catalog.<>) ALL ('{postern,df}'::pg_catalog.name[])
    ),
    tab AS MATERIALIZED (
        SELECT t.*, k.relid IS NOT NULL AS on_columns FROM relation t
          LEFT JOIN (SELECT DISTINCT a.attrelid FROM pg_catalog.pg_attribute a WHERE a.attacl IS NOT NULL) k (relid) ON k.relid OPERATOR(pg_catalog.=) t.relid
         WHERE t.relkind OPERATOR(pg_catalog.<>) 'v' AND (row_access_of.relations IS NULL OR t.relid OPERATOR(pg_catalog.=) ANY (row_access_of.relations))
    ),
    owner AS MATERIALIZED (
        SELECT r.roleid, o.relowner FROM role r, (SELECT DISTINCT t.relowner FROM tab t) o WHERE pg_catalog.pg_has_role(r.roleid, o.relowner, 'USAGE')
    ),
    schema AS MATERIALIZED (
        SELECT r.roleid, o.relnamespace FROM role r, (SELECT DISTINCT t.relnamespace FROM relation t) o WHERE pg_catalog.has_schema_privilege(r.roleid, o.relnamespace, 'USAGE')
    ),
    policy AS MATERIALIZED (
        SELECT p.polrelid, r.roleid, k.letter,
               pg_catalog.array_agg(p.polname::pg_catalog.text ORDER BY p.polname) FILTER (WHERE p.polpermissive) AS permissive,
               pg_catalog.array_agg(p.polname::pg_catalog.text ORDER BY p.polname) FILTER (WHERE NOT p.polpermissive) AS restrictive
          FROM pg_catalog.pg_policy p JOIN tab t ON t.relid OPERATOR(pg_catalog.=) p.polrelid AND t.relrowsecurity
          JOIN command k ON (p.polcmd OPERATOR(pg_catalog.=) '*' OR p.polcmd OPERATOR(pg_catalog.=) k.letter)
            -- A policy without an expression for the command counts as absent.
            AND CASE WHEN k.letter OPERATOR(pg_catalog.=) 'a' THEN p.polwithcheck IS NOT NULL OR p.polqual IS NOT NULL
                     WHEN k.letter OPERATOR(pg_catalog.=) 'w' AND NOT p.polpermissive THEN true
                     ELSE p.polqual IS NOT NULL END
          JOIN role r ON 0::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (p.polroles)
            OR EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) x (member) WHERE pg_catalog.pg_has_role(r.roleid, x.member, 'USAGE'))
         GROUP BY p.polrelid, r.roleid, k.letter
    ),
    direct AS MATERIALIZED (
        SELECT d.relation::pg_catalog.oid AS relid, d.command AS letter, r.roleid,
               pg_catalog.string_agg(pg_catalog.pg_get_userbyid(d.grantee), ', ' ORDER BY d.grantee) AS grantees
          FROM postern.direct_access d JOIN role r ON pg_catalog.pg_has_role(r.roleid, d.grantee, 'USAGE')
         GROUP BY d.relation, d.command, r.roleid
    ),
    -- Through what: the grant of another role, a view that reads as somebody else, a function that does.
    granted AS MATERIALIZED (
        SELECT t.relid, r.roleid, k.letter, CASE a.grantee WHEN 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.concat('role ', pg_catalog.pg_get_userbyid(a.grantee)) END AS way
          FROM tab t, LATERAL pg_catalog.aclexplode(t.relacl) a, command k, role r
         WHERE a.privilege_type OPERATOR(pg_catalog.=) k.command AND a.grantee OPERATOR(pg_catalog.<>) r.roleid AND a.grantee OPERATOR(pg_catalog.<>) t.relowner AND NOT r.rolsuper
           AND (a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR pg_catalog.pg_has_role(r.roleid, a.grantee, 'USAGE'))
    ),
    inside AS MATERIALIZED (
        SELECT DISTINCT v.relid AS viewid, d.refobjid AS relid
          FROM relation v JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) v.relid
          JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) w.oid
           AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.<>) v.relid
         WHERE v.relkind OPERATOR(pg_catalog.=) 'v'
    ),
    -- 0: as whoever asks. A view with security_invoker asks so wherever it stands.
    reached (viewid, relid, as_user) AS (
        SELECT i.viewid, i.relid, CASE WHEN v.invoker THEN 0::pg_catalog.oid ELSE v.relowner END
          FROM inside i JOIN relation v ON v.relid OPERATOR(pg_catalog.=) i.viewid
        UNION
        SELECT h.viewid, i.relid, CASE WHEN v.invoker THEN 0::pg_catalog.oid ELSE v.relowner END
          FROM reached h JOIN inside i ON i.viewid OPERATOR(pg_catalog.=) h.relid JOIN relation v ON v.relid OPERATOR(pg_catalog.=) i.viewid
    ),
    viewed AS MATERIALIZED (
        SELECT DISTINCT t.relid, r.roleid, k.letter,
               pg_catalog.concat('view ', pg_catalog.quote_ident(v.nspname), '.', pg_catalog.quote_ident(v.relname), ' as ', pg_catalog.pg_get_userbyid(h.as_user)) AS way
          FROM reached h JOIN tab t ON t.relid OPERATOR(pg_catalog.=) h.relid JOIN relation v ON v.relid OPERATOR(pg_catalog.=) h.viewid, command k, role r
         WHERE h.as_user OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND h.as_user OPERATOR(pg_catalog.<>) r.roleid AND NOT r.rolsuper
           AND pg_catalog.has_table_privilege(r.roleid, v.relid, k.command)
           AND EXISTS (SELECT FROM schema s WHERE s.roleid OPERATOR(pg_catalog.=) r.roleid AND s.relnamespace OPERATOR(pg_catalog.=) v.relnamespace)
           AND (k.bit OPERATOR(pg_catalog.=) 0 OR (pg_catalog.pg_relation_is_updatable(v.relid, false) OPERATOR(pg_catalog.&) k.bit) OPERATOR(pg_catalog.<>) 0)
    ),
    called AS MATERIALIZED (
        SELECT DISTINCT t.relid, r.roleid,
               pg_catalog.concat('function ', p.oid::pg_catalog.regprocedure, ' as ', pg_catalog.pg_get_userbyid(p.proowner)) AS way
          FROM pg_catalog.pg_proc p
          JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) p.pronamespace
           AND s.nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema$)' AND s.nspname OPERATOR(pg_catalog.<>) ALL ('{postern,df,_duroxide}'::pg_catalog.name[])
          JOIN tab t ON EXISTS (SELECT FROM pg_catalog.pg_depend d
                                 WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
                                   AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) t.relid)
            OR (p.prosqlbody IS NULL AND pg_catalog.strpos(p.prosrc, t.relname::pg_catalog.text) OPERATOR(pg_catalog.>) 0
                AND p.prosrc OPERATOR(pg_catalog.~) pg_catalog.concat('\m', pg_catalog.regexp_replace(t.relname::pg_catalog.text, '(\W)', '\\\1', 'g'), '\M'))
          JOIN role r ON r.roleid OPERATOR(pg_catalog.<>) p.proowner AND NOT r.rolsuper AND pg_catalog.has_function_privilege(r.roleid, p.oid, 'EXECUTE')
           AND pg_catalog.has_schema_privilege(r.roleid, p.pronamespace, 'USAGE')
         WHERE p.prosecdef
    ),
    way AS MATERIALIZED (
        SELECT w.relid, w.roleid, w.letter, pg_catalog.array_agg(w.way ORDER BY w.way) AS ways
          FROM (SELECT g.relid, g.roleid, g.letter, g.way FROM granted g UNION SELECT v.relid, v.roleid, v.letter, v.way FROM viewed v
                UNION SELECT c.relid, c.roleid, k.letter, c.way FROM called c CROSS JOIN command k) w
         GROUP BY w.relid, w.roleid, w.letter
    ),
    cell AS MATERIALIZED (
        SELECT t.relid, t.relowner, t.relrowsecurity, r.roleid, r.rolname, r.rolsuper, r.rolbypassrls, k.command, k.letter,
               s.roleid IS NOT NULL AS in_schema,
               o.roleid IS NOT NULL AND NOT t.relforcerowsecurity AS owns,
               pg_catalog.has_table_privilege(r.roleid, t.relid, k.command)
               OR (t.on_columns AND k.letter OPERATOR(pg_catalog.<>) 'd' AND pg_catalog.has_any_column_privilege(r.roleid, t.relid, k.command)) AS privileged
          FROM tab t CROSS JOIN role r CROSS JOIN command k
          LEFT JOIN schema s ON s.roleid OPERATOR(pg_catalog.=) r.roleid AND s.relnamespace OPERATOR(pg_catalog.=) t.relnamespace
          LEFT JOIN owner o ON o.roleid OPERATOR(pg_catalog.=) r.roleid AND o.relowner OPERATOR(pg_catalog.=) t.relowner
    ),
    subject AS (
        SELECT c.*, c.relrowsecurity AND c.in_schema AND c.privileged AND NOT c.rolsuper AND NOT c.rolbypassrls AND NOT c.owns AS is_subject FROM cell c
    ),
    judged AS (
        SELECT c.*, CASE WHEN c.is_subject THEN d.grantees END AS direct,
               c.is_subject AND e.any_mode AND postern.is_error(c.relid, c.roleid, c.letter) AS error,
               CASE WHEN c.is_subject THEN p.permissive END AS permissive, CASE WHEN c.is_subject THEN p.restrictive END AS restrictive, w.ways
          FROM subject c
         CROSS JOIN (SELECT EXISTS (SELECT FROM postern.row_security_modes)) e (any_mode)
          LEFT JOIN policy p ON p.polrelid OPERATOR(pg_catalog.=) c.relid AND p.roleid OPERATOR(pg_catalog.=) c.roleid AND p.letter OPERATOR(pg_catalog.=) c.letter
          LEFT JOIN direct d ON d.relid OPERATOR(pg_catalog.=) c.relid AND d.roleid OPERATOR(pg_catalog.=) c.roleid AND d.letter OPERATOR(pg_catalog.=) c.letter
          LEFT JOIN way w ON w.relid OPERATOR(pg_catalog.=) c.relid AND w.roleid OPERATOR(pg_catalog.=) c.roleid AND w.letter OPERATOR(pg_catalog.=) c.letter
    )
    SELECT c.relid::pg_catalog.regclass, c.rolname, c.command,
           CASE WHEN NOT c.in_schema OR NOT c.privileged THEN 'none'
                WHEN NOT c.relrowsecurity THEN 'open'
                WHEN c.rolsuper OR c.rolbypassrls THEN 'bypass'
                WHEN c.owns THEN 'owner'
                WHEN c.direct IS NOT NULL THEN 'direct'
                WHEN c.error THEN 'error'
                WHEN c.permissive IS NULL THEN 'none'
                ELSE 'filtered' END,
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
                ELSE 'policies' END,
           c.permissive, c.restrictive, c.ways
      FROM judged c;
END;
GRANT EXECUTE ON FUNCTION postern.row_access_of(pg_catalog.oid[], pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.row_access_of(pg_catalog.oid[], pg_catalog.oid[]) IS
    'postern.row_access of some roles and tables; NULL is all of them';

CREATE VIEW postern.row_access AS SELECT a.* FROM postern.row_access_of(NULL, NULL) a;
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
    relation pg_catalog.regclass, role pg_catalog.oid, command pg_catalog.text, checks pg_catalog.bool, row_text pg_catalog.text, facts pg_catalog.jsonb,
    accessed_as pg_catalog.oid DEFAULT NULL
) RETURNS TABLE (policy pg_catalog.name, permissive pg_catalog.bool, vote pg_catalog.text, expression pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
-- What a policy reads is filtered as ever, whatever the caller needs of the table itself.
SET row_security = on AS $$
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
                        WHERE x.member OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR pg_catalog.pg_has_role(coalesce(accessed_as, policy_votes.role), x.member, 'USAGE'))
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
GRANT EXECUTE ON FUNCTION postern.policy_votes(pg_catalog.regclass, pg_catalog.oid, pg_catalog.text, pg_catalog.bool, pg_catalog.text, pg_catalog.jsonb, pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.policy_votes(pg_catalog.regclass, pg_catalog.oid, pg_catalog.text, pg_catalog.bool, pg_catalog.text, pg_catalog.jsonb, pg_catalog.oid) IS
    'What each policy for the role (or for the owner of the view that it goes through) and the command says of a row: true, false, null, or an error';

CREATE FUNCTION postern.view_columns(view pg_catalog.oid) RETURNS pg_catalog.text
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'view_columns_wrapper';
-- It says what pg_get_viewdef() says.
GRANT EXECUTE ON FUNCTION postern.view_columns(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.view_columns(pg_catalog.oid) IS
    'The columns of a view that are columns of a relation below it, as JSON: name, relation, base';

CREATE FUNCTION postern.explain_view(
    view pg_catalog.regclass, key pg_catalog.jsonb, command pg_catalog.text, role pg_catalog.oid, facts pg_catalog.jsonb, new_row pg_catalog.jsonb
) RETURNS TABLE (step pg_catalog.text, name pg_catalog.text, says pg_catalog.text, expression pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
    current pg_catalog.pg_class;
    as_user pg_catalog.oid := role;
    base_key pg_catalog.jsonb := key;
    columns pg_catalog.jsonb;
    below pg_catalog.oid;
    base_row pg_catalog.text;
    access pg_catalog.record;
    vote pg_catalog.record;
    condition pg_catalog.text;
    statement pg_catalog.text;
    names pg_catalog.text;
    given pg_catalog.jsonb;
    missing pg_catalog.bool := false;
BEGIN
    -- Down from view to view, as long as the columns of the key lead to one relation.
    SELECT c.* INTO current FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) view;
    WHILE current.relkind OPERATOR(pg_catalog.=) 'v' LOOP
        step := 'privilege'; name := pg_catalog.concat(command, ' on ', current.oid::pg_catalog.regclass); expression := NULL;
        says := CASE WHEN NOT pg_catalog.has_schema_privilege(role, current.relnamespace, 'USAGE') AND current.oid OPERATOR(pg_catalog.=) view THEN 'no USAGE on the schema'
                     WHEN pg_catalog.has_table_privilege(as_user, current.oid, command) THEN 'granted'
                     WHEN command OPERATOR(pg_catalog.<>) 'DELETE' AND pg_catalog.has_any_column_privilege(as_user, current.oid, command) THEN 'granted on some columns'
                     ELSE 'not granted' END;
        RETURN NEXT;
        -- A view with security_invoker is read as whoever asks, wherever it stands.
        as_user := CASE WHEN postern.is_invoker(current.reloptions)
                        THEN role ELSE current.relowner END;
        columns := postern.view_columns(current.oid);
        SELECT pg_catalog.min(c.relation::pg_catalog.int8)::pg_catalog.oid, pg_catalog.jsonb_object_agg(c.base, k.value) INTO below, base_key
          FROM pg_catalog.jsonb_each(base_key) k
          JOIN pg_catalog.jsonb_to_recordset(columns) c (name pg_catalog.text, relation pg_catalog.oid, base pg_catalog.text) ON c.name OPERATOR(pg_catalog.=) k.key
        HAVING pg_catalog.count(DISTINCT c.relation) OPERATOR(pg_catalog.=) 1
           AND pg_catalog.count(*) OPERATOR(pg_catalog.=) (SELECT pg_catalog.count(*) FROM pg_catalog.jsonb_object_keys(base_key));
        EXIT WHEN below IS NULL;
        SELECT c.* INTO current FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) below;
    END LOOP;
    -- Each table below, as whom it is accessed, and what that meets.
    FOR access IN
        WITH RECURSIVE reached (relid, as_user) AS (
            SELECT explain_view.view::pg_catalog.oid, explain_view.role
            UNION
            SELECT d.refobjid, CASE WHEN postern.is_invoker(c.reloptions) THEN explain_view.role ELSE c.relowner END
              FROM reached r JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.relid AND c.relkind OPERATOR(pg_catalog.=) 'v'
              JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) c.oid
              JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) w.oid
               AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.<>) c.oid)
        SELECT DISTINCT a.relation, r.as_user, a.access, a.reason FROM reached r,
               LATERAL postern.row_access_of(ARRAY[r.as_user], ARRAY[r.relid]) a
         WHERE a.command OPERATOR(pg_catalog.=) explain_view.command ORDER BY 1, 2
    LOOP
        step := 'through'; name := access.relation::pg_catalog.text;
        says := pg_catalog.concat('as ', pg_catalog.pg_get_userbyid(access.as_user), ': ', access.access, ', ', access.reason);
        RETURN NEXT;
    END LOOP;
    -- The policies' votes on the row below.
    IF below IS NOT NULL AND current.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[]) THEN
        SELECT pg_catalog.string_agg(pg_catalog.format('t.%I OPERATOR(pg_catalog.=) k.%I', k.column_name, k.column_name), ' AND ')
          INTO condition FROM pg_catalog.jsonb_object_keys(base_key) k (column_name);
        BEGIN
            EXECUTE pg_catalog.format('SELECT (t.*)::pg_catalog.text FROM %s t, pg_catalog.jsonb_populate_record(NULL::%s, $1) k WHERE %s', below::pg_catalog.regclass, below::pg_catalog.regclass, condition)
               INTO STRICT base_row USING base_key;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'insufficient_privilege',
                    HINT = 'Whoever asks must see the whole table below: ask its owner, or a role with BYPASSRLS.';
            WHEN no_data_found THEN missing := true;
            -- It is made of several.
            WHEN too_many_rows THEN base_row := NULL;
        END;
        FOR access IN SELECT a.* FROM postern.row_access_of(ARRAY[as_user], ARRAY[below]) a
                       WHERE base_row IS NOT NULL AND a.command OPERATOR(pg_catalog.=) ANY (ARRAY[explain_view.command, 'SELECT'])
                         AND explain_view.command OPERATOR(pg_catalog.<>) 'INSERT' AND a.access OPERATOR(pg_catalog.=) 'filtered' LOOP
            FOR vote IN SELECT v.* FROM postern.policy_votes(below, role, access.command, false, base_row, facts, as_user) v LOOP
                step := pg_catalog.concat('USING ', access.command, CASE WHEN vote.permissive THEN ' permissive' ELSE ' restrictive' END);
                name := vote.policy; says := vote.vote; expression := vote.expression;
                RETURN NEXT;
            END LOOP;
        END LOOP;
    END IF;
    -- The verdict is what really happens: the statement is run, and rolled back.
    SELECT pg_catalog.string_agg(pg_catalog.format('t.%I OPERATOR(pg_catalog.=) k.%I', k.column_name, k.column_name), ' AND ')
      INTO condition FROM pg_catalog.jsonb_object_keys(coalesce(key, '{}')) k (column_name);
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(k.column_name), ', ') INTO names FROM pg_catalog.jsonb_object_keys(coalesce(new_row, '{}')) k (column_name);
    statement := CASE command
        WHEN 'SELECT' THEN pg_catalog.format('SELECT FROM %s t, pg_catalog.jsonb_populate_record(NULL::%s, %L) k WHERE %s', view, view, key, condition)
        WHEN 'DELETE' THEN pg_catalog.format('DELETE FROM %s t USING pg_catalog.jsonb_populate_record(NULL::%s, %L) k WHERE %s', view, view, key, condition)
        WHEN 'INSERT' THEN pg_catalog.format('INSERT INTO %s (%s) SELECT %s FROM pg_catalog.jsonb_populate_record(NULL::%s, %L)', view, names, names, view, new_row)
        ELSE pg_catalog.format('UPDATE %s t SET (%s) = (SELECT %s FROM pg_catalog.jsonb_populate_record(NULL::%s, %L)) FROM pg_catalog.jsonb_populate_record(NULL::%s, %L) k WHERE %s',
                               view, names, names, view, new_row, view, key, condition) END;
    step := 'verdict'; name := NULL; expression := NULL;
    -- Filtered as it would be; until here the caller had to see all.
    PERFORM pg_catalog.set_config('row_security', 'on', true);
    BEGIN
        given := postern.attempt_as(role, facts, statement);
        says := CASE WHEN (given OPERATOR(pg_catalog.->>) 'count')::pg_catalog.int8 OPERATOR(pg_catalog.>) 0 THEN CASE command WHEN 'SELECT' THEN 'visible' ELSE 'allowed' END
                     WHEN missing THEN 'no such row'
                     ELSE 'hidden' END;
    EXCEPTION
        WHEN insufficient_privilege THEN
            says := CASE WHEN SQLERRM OPERATOR(pg_catalog.~~) 'new row violates%' THEN 'refused'
                         WHEN SQLERRM OPERATOR(pg_catalog.~~) 'row security would filter%' THEN 'error mode'
                         ELSE 'permission denied' END;
            expression := SQLERRM;
        WHEN with_check_option_violation THEN
            says := 'refused'; expression := SQLERRM;
        WHEN OTHERS THEN
            says := 'may raise'; expression := SQLERRM;
    END;
    RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION postern.explain_view(pg_catalog.regclass, pg_catalog.jsonb, pg_catalog.text, pg_catalog.oid, pg_catalog.jsonb, pg_catalog.jsonb) TO PUBLIC;
COMMENT ON FUNCTION postern.explain_view(pg_catalog.regclass, pg_catalog.jsonb, pg_catalog.text, pg_catalog.oid, pg_catalog.jsonb, pg_catalog.jsonb) IS
    'postern.explain_row() for a row of a view: the views and tables on the way and as whom each is accessed, the policies, and what really happens';

CREATE FUNCTION postern.explain_row(
    relation pg_catalog.regclass, key pg_catalog.jsonb, command pg_catalog.text DEFAULT 'SELECT', as_role pg_catalog.name DEFAULT CURRENT_USER,
    facts pg_catalog.jsonb DEFAULT NULL, new_row pg_catalog.jsonb DEFAULT NULL, reads pg_catalog.bool DEFAULT true
) RETURNS TABLE (step pg_catalog.text, name pg_catalog.text, says pg_catalog.text, expression pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
-- A caller who is filtered itself gets an error, never "no such row".
SET row_security = off AS $$
DECLARE
    verb CONSTANT pg_catalog.text := (postern.row_commands(ARRAY[command]))[1];
    is_view CONSTANT pg_catalog.bool := EXISTS (SELECT FROM pg_catalog.pg_class c
        WHERE c.oid OPERATOR(pg_catalog.=) relation::pg_catalog.oid AND c.relkind OPERATOR(pg_catalog.=) 'v' AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid);
    target CONSTANT pg_catalog.pg_class := CASE WHEN NOT is_view THEN postern.row_table(relation) END;
    role CONSTANT pg_catalog.oid := postern.row_role(as_role);
    needs pg_catalog.text[] := ARRAY[verb];
    need pg_catalog.text;
    unknown pg_catalog.text;
    old_text pg_catalog.text;
    new_text pg_catalog.text;
    condition pg_catalog.text;
    part pg_catalog.record;
    vote pg_catalog.record;
    opened pg_catalog.bool;
    closed pg_catalog.bool;
    asked pg_catalog.bool;
    failed pg_catalog.bool;
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
    SELECT k.column_name INTO unknown
      FROM (SELECT pg_catalog.jsonb_object_keys(CASE WHEN verb OPERATOR(pg_catalog.<>) 'INSERT' THEN key END)
            UNION ALL SELECT pg_catalog.jsonb_object_keys(CASE WHEN verb OPERATOR(pg_catalog.=) ANY ('{INSERT,UPDATE}'::pg_catalog.text[]) THEN new_row END)) k (column_name)
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid OPERATOR(pg_catalog.=) relation::pg_catalog.oid AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) k.column_name
                          AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped);
    IF FOUND THEN
        RAISE EXCEPTION 'column "%" of relation % does not exist', unknown, relation
            USING ERRCODE = 'undefined_column', HINT = 'Names are taken as they are stored: no quotes, and no folding of case. System columns cannot be given.';
    END IF;
    -- Refuses a caller who may not be the role, before anything of the row is told.
    PERFORM postern.evaluate_as(role, facts, 'SELECT ''''');
    IF is_view THEN
        RETURN QUERY SELECT e.step, e.name, e.says, e.expression FROM postern.explain_view(relation, key, verb, role, facts, new_row) e;
        RETURN;
    END IF;
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
            -- With its partitions and children: named by this table, they meet its policies. (t.*): a column may be called t.
            EXECUTE pg_catalog.format('SELECT (t.*)::pg_catalog.text FROM %s t, pg_catalog.jsonb_populate_record(NULL::%s, $1) k WHERE %s', relation, relation, condition)
               INTO STRICT old_text USING key;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'insufficient_privilege',
                    HINT = 'Whoever asks must see the whole table: ask its owner, or a role with BYPASSRLS.';
            WHEN no_data_found THEN
                step := 'verdict'; name := NULL; says := 'no such row'; RETURN NEXT;
                RETURN;
            WHEN too_many_rows THEN
                RAISE EXCEPTION 'the key tells more than one row' USING ERRCODE = 'cardinality_violation', HINT = 'Give the columns of the primary key.';
        END;
    END IF;
    IF new_row IS NOT NULL THEN
        EXECUTE pg_catalog.format('SELECT pg_catalog.jsonb_populate_record($1::%s, $2)::pg_catalog.text', relation) INTO new_text USING old_text, new_row;
        -- What the statement does not set: defaults of an INSERT, and generated columns after them. A sequence is not advanced.
        FOR part IN
            SELECT a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
              FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef d ON d.adrelid OPERATOR(pg_catalog.=) a.attrelid AND d.adnum OPERATOR(pg_catalog.=) a.attnum
             WHERE a.attrelid OPERATOR(pg_catalog.=) relation::pg_catalog.oid AND NOT a.attisdropped
               AND (a.attgenerated OPERATOR(pg_catalog.<>) '' OR (verb OPERATOR(pg_catalog.=) 'INSERT' AND NOT new_row OPERATOR(pg_catalog.?) a.attname::pg_catalog.text
                    AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) OPERATOR(pg_catalog.!~) '\mnextval\('))
             ORDER BY a.attgenerated, a.attnum
        LOOP
            BEGIN
                EXECUTE pg_catalog.format('SELECT pg_catalog.jsonb_populate_record($1::%s, $2)::pg_catalog.text', relation) INTO new_text
                  USING new_text, pg_catalog.jsonb_build_object(part.attname, postern.evaluate_as(role, facts, pg_catalog.format(
                        'SELECT pg_catalog.to_jsonb(%s)::pg_catalog.text FROM pg_catalog.unnest(ARRAY[%L::%s]) AS %I', part.expression, new_text, relation, target.relname))::pg_catalog.jsonb);
            EXCEPTION WHEN OTHERS THEN
                raised := true;
                step := 'default'; name := part.attname; says := pg_catalog.concat('error: ', SQLERRM); expression := part.expression;
                RETURN NEXT;
                expression := NULL;
            END;
        END LOOP;
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
        opened := false; closed := false; asked := false; failed := false;
        FOR vote IN SELECT v.* FROM postern.policy_votes(relation, role, part.command, part.checks, part.row_text, facts) v LOOP
            step := pg_catalog.concat(part.kind, ' ', part.command, CASE WHEN vote.permissive THEN ' permissive' ELSE ' restrictive' END);
            name := vote.policy; says := vote.vote; expression := vote.expression;
            RETURN NEXT;
            failed := failed OR says OPERATOR(pg_catalog.~~) 'error%';
            asked := asked OR vote.permissive;
            IF vote.permissive THEN opened := opened OR says OPERATOR(pg_catalog.=) 'true';
            ELSE closed := closed OR says OPERATOR(pg_catalog.<>) 'true'; END IF;
        END LOOP;
        -- Without a permissive policy the server asks no restrictive one.
        raised := raised OR (failed AND asked);
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
