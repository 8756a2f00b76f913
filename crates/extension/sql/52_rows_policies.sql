-- Rows: policies whose sub-selects run as the owner of the table, and policies in an order. See src/rows/policy.rs.

-- Who asks, as a value that SQL cannot make: a function that runs as its owner is told by it for whom.
CREATE TYPE postern.caller;
CREATE FUNCTION postern.caller_in(pg_catalog.cstring) RETURNS postern.caller
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'caller_in_wrapper';
REVOKE ALL ON FUNCTION postern.caller_in(pg_catalog.cstring) FROM PUBLIC;
COMMENT ON FUNCTION postern.caller_in(pg_catalog.cstring) IS 'Refuses: only postern.caller() gives values of the type';
CREATE FUNCTION postern.caller_out(postern.caller) RETURNS pg_catalog.cstring
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'caller_out_wrapper';
GRANT EXECUTE ON FUNCTION postern.caller_out(postern.caller) TO PUBLIC;
COMMENT ON FUNCTION postern.caller_out(postern.caller) IS 'The name of the role';
CREATE TYPE postern.caller (
    INPUT = postern.caller_in, OUTPUT = postern.caller_out,
    INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4, STORAGE = plain
);
COMMENT ON TYPE postern.caller IS 'Who asks: made by postern.caller() alone, no text and no number can be cast to it';

CREATE FUNCTION postern.caller() RETURNS postern.caller
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'caller_wrapper';
GRANT EXECUTE ON FUNCTION postern.caller() TO PUBLIC;
COMMENT ON FUNCTION postern.caller() IS 'The current user, for functions that run as their owner';

-- Not STRICT: who asks for nobody is refused, not answered.
CREATE FUNCTION postern.caller_role(caller postern.caller) RETURNS pg_catalog.oid
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'caller_role_wrapper';
GRANT EXECUTE ON FUNCTION postern.caller_role(postern.caller) TO PUBLIC;
COMMENT ON FUNCTION postern.caller_role(postern.caller) IS 'The role that asks';

CREATE FUNCTION postern.is_expression(expression pg_catalog.text) RETURNS pg_catalog.bool
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'is_expression_wrapper';
GRANT EXECUTE ON FUNCTION postern.is_expression(pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.is_expression(pg_catalog.text) IS
    'Whether a text is one expression and nothing else; raises a syntax error for what cannot be read at all';

CREATE FUNCTION postern.policy_parts(
    relation pg_catalog.oid, policy pg_catalog.name, checks pg_catalog.bool, prefix pg_catalog.text
) RETURNS pg_catalog.text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'policy_parts_wrapper';
-- It says what pg_policy says, in other words.
GRANT EXECUTE ON FUNCTION postern.policy_parts(pg_catalog.oid, pg_catalog.name, pg_catalog.bool, pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.policy_parts(pg_catalog.oid, pg_catalog.name, pg_catalog.bool, pg_catalog.text) IS
    'An expression of a policy with calls of functions for what is to run as the owner, and those functions, as JSON; NULL if there is no such expression';

CREATE FUNCTION postern.create_policy(
    relation pg_catalog.regclass, name pg_catalog.text, command pg_catalog.text DEFAULT 'ALL', roles pg_catalog.name[] DEFAULT '{public}',
    using_qual pg_catalog.text DEFAULT NULL, check_qual pg_catalog.text DEFAULT NULL,
    run_as pg_catalog.text DEFAULT 'caller', "position" pg_catalog.int4 DEFAULT NULL, combine pg_catalog.text DEFAULT 'or',
    search_path pg_catalog.text DEFAULT pg_catalog.current_setting('search_path')
) RETURNS pg_catalog.name
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
    target CONSTANT pg_catalog.pg_class := postern.row_table(relation);
    me CONSTANT pg_catalog.oid := (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER);
    table_name CONSTANT pg_catalog.text := relation::pg_catalog.text;
    schema_name CONSTANT pg_catalog.name := (SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) target.relnamespace);
    -- Restrictive policies are evaluated in the order of their names, permissive ones in the opposite order.
    policy CONSTANT pg_catalog.text := CASE
        WHEN "position" IS NULL THEN name
        WHEN combine OPERATOR(pg_catalog.=) 'and' THEN pg_catalog.lpad("position"::pg_catalog.text, 4, '0') OPERATOR(pg_catalog.||) '_' OPERATOR(pg_catalog.||) name
        ELSE pg_catalog.lpad((10000 OPERATOR(pg_catalog.-) "position")::pg_catalog.text, 4, '0') OPERATOR(pg_catalog.||) '_' OPERATOR(pg_catalog.||) name END;
    grantees pg_catalog.text;
    role pg_catalog.name;
    qual pg_catalog.text;
    clause pg_catalog.text;
    base pg_catalog.text;
    parts pg_catalog.jsonb;
    part pg_catalog.jsonb;
    made pg_catalog.text;
    stranger pg_catalog.text;
    unread pg_catalog.regclass;
    hint pg_catalog.text;
    tries pg_catalog.int4 := 1;
BEGIN
    IF name IS NULL OR name OPERATOR(pg_catalog.=) '' OR command IS NULL OR roles IS NULL OR search_path IS NULL THEN
        RAISE EXCEPTION 'name, command, roles and search_path must not be null or empty'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave out what you do not want to say.';
    ELSIF pg_catalog.octet_length(policy) OPERATOR(pg_catalog.>) 63 THEN
        RAISE EXCEPTION 'policy name "%" is too long', policy
            USING ERRCODE = 'name_too_long', HINT = 'Names have at most 63 bytes; a position takes five of them.';
    ELSIF coalesce(pg_catalog.upper(command) OPERATOR(pg_catalog.<>) ALL ('{ALL,SELECT,INSERT,UPDATE,DELETE}'::pg_catalog.text[]), true) THEN
        RAISE EXCEPTION 'row security does not govern "%"', command
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give SELECT, INSERT, UPDATE, DELETE, or ALL.';
    ELSIF coalesce(run_as OPERATOR(pg_catalog.<>) ALL ('{owner,caller}'::pg_catalog.text[]), true) THEN
        RAISE EXCEPTION 'a policy does not run as "%"', coalesce(run_as, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give ''owner'' or ''caller''.';
    ELSIF coalesce(combine OPERATOR(pg_catalog.<>) ALL ('{or,and}'::pg_catalog.text[]), true) THEN
        RAISE EXCEPTION 'policies are not combined by "%"', coalesce(combine, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give ''or'' (permissive) or ''and'' (restrictive).';
    ELSIF "position" OPERATOR(pg_catalog.<) 1 OR "position" OPERATOR(pg_catalog.>) 9999 THEN
        RAISE EXCEPTION 'position % is out of range', "position" USING ERRCODE = 'numeric_value_out_of_range', HINT = 'Give 1 to 9999.';
    ELSIF NOT pg_catalog.pg_has_role(me, target.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', target.relname
            USING ERRCODE = 'insufficient_privilege', HINT = pg_catalog.format('Ask a member of "%s".', pg_catalog.pg_get_userbyid(target.relowner));
    END IF;
    FOREACH role IN ARRAY roles LOOP
        PERFORM CASE WHEN role IS DISTINCT FROM 'public' THEN postern.row_role(role) END;
        grantees := pg_catalog.concat_ws(', ', grantees, CASE role WHEN 'public' THEN 'PUBLIC' ELSE pg_catalog.quote_ident(role) END);
    END LOOP;
    IF grantees IS NULL THEN
        RAISE EXCEPTION 'no role given' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give names of roles, or public.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid OPERATOR(pg_catalog.=) target.oid AND p.polname OPERATOR(pg_catalog.=) policy::pg_catalog.name) THEN
        RAISE EXCEPTION 'policy "%" for table "%" already exists', policy, target.relname
            USING ERRCODE = 'duplicate_object', HINT = 'Give another name, or call postern.drop_policy() first.';
    ELSIF pg_catalog.upper(command) OPERATOR(pg_catalog.=) 'INSERT' AND using_qual IS NOT NULL THEN
        RAISE EXCEPTION 'only WITH CHECK expression allowed for INSERT'
            USING ERRCODE = 'syntax_error', HINT = 'Give it as check_qual: there is no old row to look at.';
    ELSIF pg_catalog.upper(command) OPERATOR(pg_catalog.=) ANY ('{SELECT,DELETE}'::pg_catalog.text[]) AND check_qual IS NOT NULL THEN
        RAISE EXCEPTION 'WITH CHECK cannot be applied to SELECT or DELETE'
            USING ERRCODE = 'syntax_error', HINT = 'Give it as using_qual: there is no new row to look at.';
    END IF;
    FOREACH qual IN ARRAY ARRAY[using_qual, check_qual] LOOP
        BEGIN
            IF NOT postern.is_expression(qual) THEN
                RAISE EXCEPTION 'not one expression: %', qual USING ERRCODE = 'syntax_error';
            END IF;
        EXCEPTION WHEN syntax_error THEN
            RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'syntax_error', HINT = 'Give what stands between the parentheses of USING or WITH CHECK.';
        END;
    END LOOP;

    -- The caller's names mean what they mean to the caller; nothing but this statement runs with the caller's path.
    PERFORM pg_catalog.set_config('search_path', search_path, true);
    BEGIN
        EXECUTE pg_catalog.format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', policy, table_name,
            CASE combine WHEN 'and' THEN 'RESTRICTIVE' ELSE 'PERMISSIVE' END, pg_catalog.upper(command), grantees)
            OPERATOR(pg_catalog.||) coalesce(E' USING (\n' OPERATOR(pg_catalog.||) using_qual OPERATOR(pg_catalog.||) E'\n)', '')
            OPERATOR(pg_catalog.||) coalesce(E' WITH CHECK (\n' OPERATOR(pg_catalog.||) check_qual OPERATOR(pg_catalog.||) E'\n)', '');
    EXCEPTION
        WHEN undefined_column OR undefined_function OR undefined_table OR undefined_object OR invalid_schema_name THEN
            GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
            RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE,
                HINT = coalesce(nullif(hint, ''), pg_catalog.format('Names are looked up by the path "%s": write their schemas, or give search_path.', search_path));
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
            IF hint OPERATOR(pg_catalog.<>) '' THEN
                RAISE;
            END IF;
            RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE, HINT = 'The server refuses this as a policy of the table: see CREATE POLICY.';
    END;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF NOT target.relrowsecurity THEN
        RAISE NOTICE 'row security is off for table "%", so its policies do nothing yet', target.relname
            USING HINT = pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY.', table_name);
    END IF;
    IF run_as OPERATOR(pg_catalog.=) 'caller' THEN
        RETURN policy;
    END IF;

    -- A name that nothing has, as long as names may be with what comes behind it.
    base := pg_catalog.concat(target.relname, '_', name);
    WHILE pg_catalog.octet_length(base) OPERATOR(pg_catalog.>) 44 LOOP
        base := pg_catalog.left(base, -1);
    END LOOP;
    WHILE EXISTS (SELECT FROM pg_catalog.pg_proc p
                   WHERE p.pronamespace OPERATOR(pg_catalog.=) target.relnamespace
                     AND pg_catalog.starts_with(p.proname::pg_catalog.text, pg_catalog.concat(base, CASE WHEN tries OPERATOR(pg_catalog.>) 1 THEN tries END, '_'))) LOOP
        tries := tries OPERATOR(pg_catalog.+) 1;
    END LOOP;
    base := pg_catalog.concat(base, CASE WHEN tries OPERATOR(pg_catalog.>) 1 THEN tries END);

    BEGIN
        FOREACH clause IN ARRAY '{using,check}'::pg_catalog.text[] LOOP
            parts := postern.policy_parts(relation, policy, clause OPERATOR(pg_catalog.=) 'check',
                pg_catalog.format('%I."%s_%s_', schema_name, pg_catalog.replace(base, '"', '""'), clause));
            CONTINUE WHEN parts IS NULL OR pg_catalog.jsonb_array_length(parts OPERATOR(pg_catalog.->) 'parts') OPERATOR(pg_catalog.=) 0;
            FOR part IN SELECT p.value FROM pg_catalog.jsonb_array_elements(parts OPERATOR(pg_catalog.->) 'parts') p LOOP
                made := pg_catalog.format('%I.%I(%s)', schema_name, pg_catalog.concat(base, '_', clause, '_', part OPERATOR(pg_catalog.->>) 'number'),
                    (SELECT pg_catalog.string_agg(t.value, ', ' ORDER BY t.ordinality)
                       FROM pg_catalog.jsonb_array_elements_text(part OPERATOR(pg_catalog.->) 'parameters') WITH ORDINALITY t));
                EXECUTE pg_catalog.format('CREATE FUNCTION %s RETURNS %s LANGUAGE sql %s PARALLEL %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp RETURN ',
                    made, part OPERATOR(pg_catalog.->>) 'returns',
                    CASE WHEN (part OPERATOR(pg_catalog.->>) 'volatile')::pg_catalog.bool THEN 'VOLATILE' ELSE 'STABLE' END,
                    CASE part OPERATOR(pg_catalog.->>) 'parallel' WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END)
                    OPERATOR(pg_catalog.||) (part OPERATOR(pg_catalog.->>) 'body');
                EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', made,
                    pg_catalog.format('Runs as the owner of table %s for policy "%s"', table_name, policy));
                -- Default privileges, too, are taken away.
                FOR stranger IN
                    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
                      FROM pg_catalog.pg_proc p,
                           LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                     WHERE p.oid OPERATOR(pg_catalog.=) made::pg_catalog.regprocedure::pg_catalog.oid AND a.grantee OPERATOR(pg_catalog.<>) p.proowner
                LOOP
                    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', made, stranger);
                END LOOP;
                EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %s', made, grantees);
                IF me OPERATOR(pg_catalog.<>) target.relowner THEN
                    EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO %I', made, pg_catalog.pg_get_userbyid(target.relowner));
                END IF;
                SELECT d.refobjid INTO unread FROM pg_catalog.pg_depend d
                  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.refobjid AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog."char"[])
                 WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) made::pg_catalog.regprocedure::pg_catalog.oid
                   AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                   AND NOT pg_catalog.has_table_privilege(target.relowner, c.oid, 'SELECT') AND NOT pg_catalog.has_any_column_privilege(target.relowner, c.oid, 'SELECT')
                 LIMIT 1;
                IF FOUND THEN
                    RAISE EXCEPTION 'permission denied for table %', unread
                        USING ERRCODE = 'insufficient_privilege',
                              DETAIL = pg_catalog.format('The policy would run as "%s", the owner of %s, who may not read it.', pg_catalog.pg_get_userbyid(target.relowner), table_name),
                              HINT = pg_catalog.format('GRANT SELECT ON %s TO %I.', unread, pg_catalog.pg_get_userbyid(target.relowner));
                END IF;
            END LOOP;
            EXECUTE pg_catalog.format('ALTER POLICY %I ON %s %s ', policy, table_name, CASE clause WHEN 'using' THEN 'USING' ELSE 'WITH CHECK' END)
                OPERATOR(pg_catalog.||) '(' OPERATOR(pg_catalog.||) (parts OPERATOR(pg_catalog.->>) 'expression') OPERATOR(pg_catalog.||) ')';
        END LOOP;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
        IF hint OPERATOR(pg_catalog.<>) '' THEN
            RAISE;
        END IF;
        RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE,
            HINT = CASE SQLSTATE
                WHEN '42501' THEN pg_catalog.format('With run_as => ''owner'' functions are made in schema "%s", for "%s": you and that role need CREATE there, and you must be a member of it.',
                                                    schema_name, pg_catalog.pg_get_userbyid(target.relowner))
                WHEN '42P17' THEN 'A policy may read its own table only where the owner, as whom it runs, is not filtered (no FORCE).'
                ELSE 'It can be a policy, but not a function of the owner: leave out run_as, or write it otherwise.' END;
    END;
    RETURN policy;
END
$$;
-- It does what the caller may do: CREATE POLICY, CREATE FUNCTION, ALTER FUNCTION ... OWNER.
GRANT EXECUTE ON FUNCTION postern.create_policy(pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.name[], pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.create_policy(pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.name[], pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.text) IS
    'CREATE POLICY whose sub-selects run as the owner of the table, once per statement where they do not use the row, and which has a place among the others; gives its name';

CREATE FUNCTION postern.drop_policy(relation pg_catalog.regclass, name pg_catalog.name) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target CONSTANT pg_catalog.pg_class := postern.row_table(relation);
    me CONSTANT pg_catalog.oid := (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER);
    policy CONSTANT pg_catalog.oid := (SELECT p.oid FROM pg_catalog.pg_policy p
        WHERE p.polrelid OPERATOR(pg_catalog.=) relation::pg_catalog.oid AND p.polname OPERATOR(pg_catalog.=) drop_policy.name);
    helpers CONSTANT pg_catalog.regprocedure[] := ARRAY(
        SELECT f.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc f
         WHERE f.pronamespace OPERATOR(pg_catalog.=) target.relnamespace AND f.proowner OPERATOR(pg_catalog.=) target.relowner AND f.prosecdef
           AND pg_catalog.starts_with(pg_catalog.obj_description(f.oid, 'pg_proc'), 'Runs as the owner of table ')
           -- This policy needs it, and nothing else does.
           AND (SELECT pg_catalog.bool_and(d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) policy)
                  FROM pg_catalog.pg_depend d
                 WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) f.oid));
    helper pg_catalog.regprocedure;
BEGIN
    IF policy IS NULL THEN
        RAISE EXCEPTION 'policy "%" for table "%" does not exist', name, target.relname
            USING ERRCODE = 'undefined_object', HINT = 'Give the name that postern.create_policy() gave: a position is part of it.';
    END IF;
    IF NOT pg_catalog.pg_has_role(me, target.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', target.relname
            USING ERRCODE = 'insufficient_privilege', HINT = pg_catalog.format('Ask a member of "%s".', pg_catalog.pg_get_userbyid(target.relowner));
    END IF;
    EXECUTE pg_catalog.format('DROP POLICY %I ON %s', name, relation);
    FOREACH helper IN ARRAY helpers LOOP
        EXECUTE pg_catalog.format('DROP FUNCTION %s', helper);
    END LOOP;
END
$$;
-- It does what the caller may do.
GRANT EXECUTE ON FUNCTION postern.drop_policy(pg_catalog.regclass, pg_catalog.name) TO PUBLIC;
COMMENT ON FUNCTION postern.drop_policy(pg_catalog.regclass, pg_catalog.name) IS
    'DROP POLICY, with the functions that postern.create_policy() made for it';
