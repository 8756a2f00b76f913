-- Rows: direct access past row security, and an error instead of fewer rows. See src/rows/mod.rs for the invariants.

CREATE TABLE postern.direct_access (
    relation pg_catalog.regclass NOT NULL,
    grantee pg_catalog.regrole NOT NULL,
    command pg_catalog."char" NOT NULL CHECK (command OPERATOR(pg_catalog.=) ANY ('{r,a,w,d}'::pg_catalog."char"[])),
    grantor pg_catalog.regrole NOT NULL,
    with_grant pg_catalog.bool NOT NULL,
    granted_by pg_catalog.name NOT NULL DEFAULT SESSION_USER,
    granted_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT direct_access_pkey PRIMARY KEY (relation, grantee, command)
);
REVOKE ALL ON TABLE postern.direct_access FROM PUBLIC;
-- As readable as the ACLs in pg_class.
GRANT SELECT ON TABLE postern.direct_access TO PUBLIC;
COMMENT ON TABLE postern.direct_access IS
    'Who reads or writes which table past its policies; changed by postern.grant_direct() and postern.revoke_direct()';
COMMENT ON COLUMN postern.direct_access.command IS 'r SELECT, a INSERT, w UPDATE, d DELETE, as in pg_policy';
COMMENT ON COLUMN postern.direct_access.grantor IS 'The role whose grant option it rests on; 0: the owner of the table, whoever that is';
SELECT pg_catalog.pg_extension_config_dump('postern.direct_access',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) relation)
       AND EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) grantee)');

CREATE TABLE postern.row_security_modes (
    relation pg_catalog.regclass NOT NULL,
    role pg_catalog.regrole NOT NULL,
    command pg_catalog."char" NOT NULL CHECK (command OPERATOR(pg_catalog.=) ANY ('{r,a,w,d}'::pg_catalog."char"[])),
    mode pg_catalog."char" NOT NULL CHECK (mode OPERATOR(pg_catalog.=) ANY ('{o,e}'::pg_catalog."char"[])),
    set_by pg_catalog.name NOT NULL DEFAULT SESSION_USER,
    set_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT row_security_modes_pkey PRIMARY KEY (relation, role, command)
);
REVOKE ALL ON TABLE postern.row_security_modes FROM PUBLIC;
GRANT SELECT ON TABLE postern.row_security_modes TO PUBLIC;
COMMENT ON TABLE postern.row_security_modes IS
    'Where a role that would be filtered gets an error; changed by postern.set_row_security()';
COMMENT ON COLUMN postern.row_security_modes.relation IS '0: every table of the database';
COMMENT ON COLUMN postern.row_security_modes.role IS '0: every role';
COMMENT ON COLUMN postern.row_security_modes.mode IS 'o on, e error';
SELECT pg_catalog.pg_extension_config_dump('postern.row_security_modes',
    'WHERE (relation OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) relation))
       AND (role OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) role))');

CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.direct_access
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.direct_access ENABLE ALWAYS TRIGGER written_by_us;
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.row_security_modes
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.row_security_modes ENABLE ALWAYS TRIGGER written_by_us;

CREATE FUNCTION postern.rows_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rows_changed_wrapper';
REVOKE ALL ON FUNCTION postern.rows_changed() FROM PUBLIC;
COMMENT ON FUNCTION postern.rows_changed() IS 'Has every session plan again what uses the table of a changed row';
CREATE TRIGGER rows_changed AFTER INSERT OR UPDATE OR DELETE ON postern.direct_access
    FOR EACH ROW EXECUTE FUNCTION postern.rows_changed();
CREATE TRIGGER rows_changed AFTER INSERT OR UPDATE OR DELETE ON postern.row_security_modes
    FOR EACH ROW EXECUTE FUNCTION postern.rows_changed();
-- Plans rest on these tables: the triggers fire whatever the session_replication_role.
ALTER TABLE postern.direct_access ENABLE ALWAYS TRIGGER rows_changed;
ALTER TABLE postern.row_security_modes ENABLE ALWAYS TRIGGER rows_changed;

-- What callers write ------------------------------------------------------------------------------------------------

CREATE FUNCTION postern.row_commands(commands pg_catalog.text[]) RETURNS pg_catalog.text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command pg_catalog.text;
    every CONSTANT pg_catalog.text[] := '{SELECT,INSERT,UPDATE,DELETE}';
    chosen pg_catalog.text[] := '{}';
BEGIN
    IF commands IS NULL OR pg_catalog.cardinality(commands) OPERATOR(pg_catalog.=) 0 THEN
        RAISE EXCEPTION 'no command given'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give some of SELECT, INSERT, UPDATE, DELETE, or ALL.';
    END IF;
    FOREACH command IN ARRAY commands LOOP
        IF pg_catalog.upper(command) OPERATOR(pg_catalog.=) 'ALL' THEN
            RETURN every;
        ELSIF command IS NULL OR pg_catalog.upper(command) OPERATOR(pg_catalog.<>) ALL (every) THEN
            RAISE EXCEPTION 'row security does not govern "%"', coalesce(command, 'NULL')
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Give some of SELECT, INSERT, UPDATE, DELETE, or ALL.';
        END IF;
        chosen := pg_catalog.array_append(chosen, pg_catalog.upper(command));
    END LOOP;
    -- In one order, and each once.
    RETURN ARRAY(SELECT e.c FROM pg_catalog.unnest(every) WITH ORDINALITY e (c, n)
                  WHERE e.c OPERATOR(pg_catalog.=) ANY (chosen) ORDER BY e.n);
END
$$;
GRANT EXECUTE ON FUNCTION postern.row_commands(pg_catalog.text[]) TO PUBLIC;
COMMENT ON FUNCTION postern.row_commands(pg_catalog.text[]) IS 'The commands of a list, each once; raises for anything else';

CREATE FUNCTION postern.row_command(command pg_catalog.text) RETURNS pg_catalog."char"
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE command WHEN 'SELECT' THEN 'r' WHEN 'INSERT' THEN 'a' WHEN 'UPDATE' THEN 'w' WHEN 'DELETE' THEN 'd' END::pg_catalog."char";
END;
GRANT EXECUTE ON FUNCTION postern.row_command(pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.row_command(pg_catalog.text) IS 'The letter of a command in pg_policy';

CREATE FUNCTION postern.row_role(role pg_catalog.name) RETURNS pg_catalog.oid
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    chosen pg_catalog.oid := (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) row_role.role);
BEGIN
    IF chosen IS NULL THEN
        RAISE EXCEPTION 'role "%" does not exist', coalesce(role, 'NULL')
            USING ERRCODE = 'undefined_object', HINT = 'Names are taken as they are stored: no quotes, and no folding of case.';
    END IF;
    RETURN chosen;
END
$$;
GRANT EXECUTE ON FUNCTION postern.row_role(pg_catalog.name) TO PUBLIC;
COMMENT ON FUNCTION postern.row_role(pg_catalog.name) IS 'The OID of a role; raises if there is none';

CREATE FUNCTION postern.row_table(relation pg_catalog.oid) RETURNS pg_catalog.pg_class
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    chosen pg_catalog.pg_class;
BEGIN
    SELECT c.* INTO chosen FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) row_table.relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'relation with OID % does not exist', coalesce(relation, 0)
            USING ERRCODE = 'undefined_table', HINT = 'Give the table by its name, with its schema.';
    ELSIF chosen.relkind OPERATOR(pg_catalog.<>) ALL ('{r,p}'::pg_catalog."char"[]) THEN
        RAISE EXCEPTION '"%" is not a table', chosen.relname
            USING ERRCODE = 'wrong_object_type', HINT = 'Row security is on tables and partitioned tables only.';
    ELSIF chosen.relnamespace OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema,postern}'::pg_catalog.regnamespace[])
       OR chosen.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid THEN
        RAISE EXCEPTION '"%" is a system table', chosen.relname
            USING ERRCODE = 'insufficient_privilege', HINT = 'Row security is for tables of your own.';
    ELSIF chosen.relpersistence OPERATOR(pg_catalog.=) 't' THEN
        RAISE EXCEPTION '"%" is a temporary table', chosen.relname
            USING ERRCODE = 'wrong_object_type', HINT = 'Nobody but this session can reach it.';
    END IF;
    RETURN chosen;
END
$$;
GRANT EXECUTE ON FUNCTION postern.row_table(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.row_table(pg_catalog.oid) IS 'The table that row security may be on; raises for anything else';

-- Direct access -----------------------------------------------------------------------------------------------------

CREATE FUNCTION postern.direct_grantor(caller pg_catalog.oid, relation pg_catalog.oid, command pg_catalog."char")
RETURNS pg_catalog.oid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target pg_catalog.pg_class := postern.row_table(relation);
    holder pg_catalog.oid;
BEGIN
    IF pg_catalog.pg_has_role(caller, target.relowner, 'USAGE') THEN
        RETURN 0;
    END IF;
    SELECT d.grantee INTO holder FROM postern.direct_access d
     WHERE d.relation OPERATOR(pg_catalog.=) direct_grantor.relation AND d.command OPERATOR(pg_catalog.=) direct_grantor.command
       AND d.with_grant AND pg_catalog.pg_has_role(caller, d.grantee, 'USAGE')
     ORDER BY d.grantee OPERATOR(pg_catalog.=) caller DESC, d.grantee
     LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'permission denied to grant or revoke direct access to table "%"', target.relname
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'It is for the owner of the table, and for who has direct access with grant option.',
                  HINT = pg_catalog.format('Ask a member of "%s".', pg_catalog.pg_get_userbyid(target.relowner));
    END IF;
    RETURN holder;
END
$$;
GRANT EXECUTE ON FUNCTION postern.direct_grantor(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.direct_grantor(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'The role that the caller grants direct access as (0: the owner); raises if there is none';

CREATE FUNCTION postern.plain_entries(relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char")
RETURNS pg_catalog.int4
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'plain_entries_wrapper';
GRANT EXECUTE ON FUNCTION postern.plain_entries(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.plain_entries(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'How many grantors gave the role itself the plain privilege on the whole table';

-- As it is now, also in a transaction that sees the rest as it was.
CREATE FUNCTION postern.direct_state(relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char")
RETURNS pg_catalog.text
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'direct_state_wrapper';
GRANT EXECUTE ON FUNCTION postern.direct_state(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.direct_state(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'None, Set or Set & Direct: what was granted to the role itself';

CREATE FUNCTION postern.direct_check(relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char")
RETURNS pg_catalog.void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target CONSTANT pg_catalog.pg_class := postern.row_table(relation);
BEGIN
    IF command OPERATOR(pg_catalog.<>) ALL ('{r,a,w,d}'::pg_catalog."char"[]) THEN
        RAISE EXCEPTION 'unknown command' USING ERRCODE = 'invalid_parameter_value', HINT = 'Call postern.grant_direct().';
    ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) grantee) THEN
        RAISE EXCEPTION 'role with OID % does not exist', grantee USING ERRCODE = 'undefined_object', HINT = 'Call postern.grant_direct().';
    ELSIF NOT target.relrowsecurity THEN
        RAISE EXCEPTION 'table "%" has no row security', target.relname
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'There is nothing to go past.',
                  HINT = 'Use GRANT, or ALTER TABLE ... ENABLE ROW LEVEL SECURITY first.';
    ELSIF postern.plain_entries(relation, grantee, command) OPERATOR(pg_catalog.=) 0 THEN
        RAISE EXCEPTION 'no privilege on table "%" was granted to role "%"', target.relname, pg_catalog.pg_get_userbyid(grantee)
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'Direct access needs the plain privilege.',
                  HINT = 'Ask the owner of the table for the privilege with grant option.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION postern.direct_check(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") FROM PUBLIC;
COMMENT ON FUNCTION postern.direct_check(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'Raises if direct access for the command would be nothing, or would have no plain privilege beside it';

CREATE FUNCTION postern.change_direct(
    relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char", direct pg_catalog.bool, with_grant pg_catalog.bool
) RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'change_direct_wrapper';
-- It asks postern.direct_grantor() and postern.direct_check() in the caller's name, which decide.
GRANT EXECUTE ON FUNCTION postern.change_direct(pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog.bool, pg_catalog.bool) TO PUBLIC;
COMMENT ON FUNCTION postern.change_direct(pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog.bool, pg_catalog.bool) IS
    'One step of postern.grant_direct() and postern.revoke_direct()';

CREATE FUNCTION postern.lock_direct(relation pg_catalog.oid, command pg_catalog."char") RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'lock_direct_wrapper';
-- It asks postern.direct_grantor() in the caller's name first.
GRANT EXECUTE ON FUNCTION postern.lock_direct(pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.lock_direct(pg_catalog.oid, pg_catalog."char") IS
    'Waits for whoever else is changing direct access to the table; raises for who may not change it';

CREATE FUNCTION postern.change_plain(
    gives pg_catalog.bool, command pg_catalog.text, relation pg_catalog.regclass, grantee pg_catalog.name, with_option pg_catalog.bool DEFAULT false
) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    verb CONSTANT pg_catalog.text := (postern.row_commands(ARRAY[command]))[1];
BEGIN
    EXECUTE CASE WHEN gives THEN pg_catalog.format('GRANT %s ON TABLE %s TO %I%s', verb, relation, grantee, CASE WHEN with_option THEN ' WITH GRANT OPTION' END)
                 ELSE pg_catalog.format('REVOKE %s ON TABLE %s FROM %I', verb, relation, grantee) END;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE,
            HINT = (SELECT pg_catalog.format('Ask a member of "%s", or who granted it.', pg_catalog.pg_get_userbyid(c.relowner))
                      FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) relation);
    WHEN invalid_grant_operation THEN
        RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE, HINT = 'Grant it without grant option, or to somebody else.';
    WHEN dependent_objects_still_exist THEN
        RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE,
            HINT = 'The role has passed it on: revoke it from those first, or use REVOKE ... CASCADE, which ends their direct access too.';
    WHEN internal_error THEN
        -- Two grants or revokes of one table at one time.
        IF SQLERRM OPERATOR(pg_catalog.<>) 'tuple concurrently updated' THEN
            RAISE;
        END IF;
        RAISE EXCEPTION 'privileges on table % were changed at the same time', relation
            USING ERRCODE = 'serialization_failure', HINT = 'Run the transaction again.';
END
$$;
-- It does what the caller may do: GRANT, REVOKE.
GRANT EXECUTE ON FUNCTION postern.change_plain(pg_catalog.bool, pg_catalog.text, pg_catalog.regclass, pg_catalog.name, pg_catalog.bool) TO PUBLIC;
COMMENT ON FUNCTION postern.change_plain(pg_catalog.bool, pg_catalog.text, pg_catalog.regclass, pg_catalog.name, pg_catalog.bool) IS
    'GRANT or REVOKE of one plain privilege, with a hint where the server refuses';

CREATE FUNCTION postern.grant_direct(
    commands pg_catalog.text[], relation pg_catalog.regclass, roles pg_catalog.name[], with_grant pg_catalog.bool DEFAULT false
) RETURNS TABLE (role pg_catalog.name, command pg_catalog.text, before pg_catalog.text, after pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted CONSTANT pg_catalog.text[] := postern.row_commands(commands);
    holder pg_catalog.oid;
    letter pg_catalog."char";
BEGIN
    IF roles IS NULL OR with_grant IS NULL THEN
        RAISE EXCEPTION 'roles and with_grant must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Give an array of names of roles.';
    END IF;
    PERFORM postern.row_table(relation);
    FOREACH role IN ARRAY roles LOOP
        IF role OPERATOR(pg_catalog.=) 'public' THEN
            RAISE EXCEPTION 'direct access cannot be granted to PUBLIC'
                USING ERRCODE = 'invalid_grant_operation', DETAIL = 'It would be as if the table had no row security.',
                      HINT = 'Write a policy USING (true), or grant it to a group role.';
        END IF;
        holder := postern.row_role(role);
        FOREACH command IN ARRAY wanted LOOP
            letter := postern.row_command(command);
            PERFORM postern.lock_direct(relation, letter);
            before := postern.direct_state(relation, holder, letter);
            -- Also to who has the privilege: it is written, so that whoever revokes it at the same time waits, or is waited for.
            -- And beside somebody else's: what the owner grants is not gone when that is revoked.
            IF before OPERATOR(pg_catalog.<>) 'Set & Direct' OR with_grant
               OR EXISTS (SELECT FROM postern.direct_access d WHERE d.relation OPERATOR(pg_catalog.=) grant_direct.relation AND d.grantee OPERATOR(pg_catalog.=) holder
                             AND d.command OPERATOR(pg_catalog.=) letter AND d.grantor OPERATOR(pg_catalog.<>) 0::pg_catalog.oid) THEN
                PERFORM postern.change_plain(true, command, relation, role, with_grant);
            END IF;
            PERFORM postern.change_direct(relation, holder, letter, true, with_grant);
            after := postern.direct_state(relation, holder, letter);
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION postern.grant_direct(pg_catalog.text[], pg_catalog.regclass, pg_catalog.name[], pg_catalog.bool) TO PUBLIC;
COMMENT ON FUNCTION postern.grant_direct(pg_catalog.text[], pg_catalog.regclass, pg_catalog.name[], pg_catalog.bool) IS
    'Lets roles use a table past its policies, for some commands; grants the plain privileges too';

CREATE FUNCTION postern.revoke_direct(
    commands pg_catalog.text[], relation pg_catalog.regclass, roles pg_catalog.name[], keep_privilege pg_catalog.bool DEFAULT false
) RETURNS TABLE (role pg_catalog.name, command pg_catalog.text, before pg_catalog.text, after pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted CONSTANT pg_catalog.text[] := postern.row_commands(commands);
    grantee pg_catalog.oid;
    letter pg_catalog."char";
BEGIN
    IF roles IS NULL OR keep_privilege IS NULL THEN
        RAISE EXCEPTION 'roles and keep_privilege must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Give an array of names of roles.';
    END IF;
    PERFORM postern.row_table(relation);
    FOREACH role IN ARRAY roles LOOP
        grantee := postern.row_role(role);
        FOREACH command IN ARRAY wanted LOOP
            letter := postern.row_command(command);
            PERFORM postern.lock_direct(relation, letter);
            before := postern.direct_state(relation, grantee, letter);
            IF before OPERATOR(pg_catalog.=) 'Set & Direct' THEN
                PERFORM postern.change_direct(relation, grantee, letter, false, false);
                -- What somebody else granted is not the caller's to take away.
                IF postern.direct_state(relation, grantee, letter) OPERATOR(pg_catalog.=) 'Set & Direct' THEN
                    RAISE NOTICE 'role "%" still has direct % on %, from another grantor', role, command, relation;
                ELSIF NOT keep_privilege THEN
                    PERFORM postern.change_plain(false, command, relation, role);
                    IF postern.direct_state(relation, grantee, letter) OPERATOR(pg_catalog.=) 'None' THEN
                        RAISE NOTICE 'role "%" loses % on %, the plain privilege, too', role, command, relation
                            USING HINT = 'To keep it: keep_privilege => true.';
                    ELSE
                        RAISE NOTICE 'role "%" still has % on %, from another grantor', role, command, relation;
                    END IF;
                END IF;
            END IF;
            after := postern.direct_state(relation, grantee, letter);
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION postern.revoke_direct(pg_catalog.text[], pg_catalog.regclass, pg_catalog.name[], pg_catalog.bool) TO PUBLIC;
COMMENT ON FUNCTION postern.revoke_direct(pg_catalog.text[], pg_catalog.regclass, pg_catalog.name[], pg_catalog.bool) IS
    'Ends direct access, and the plain privilege with it unless that is to be kept; leaves roles without direct access as they are';

CREATE FUNCTION postern.revoke(commands pg_catalog.text[], relation pg_catalog.regclass, roles pg_catalog.name[])
RETURNS TABLE (role pg_catalog.name, command pg_catalog.text, before pg_catalog.text, after pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted CONSTANT pg_catalog.text[] := postern.row_commands(commands);
    target CONSTANT pg_catalog.pg_class := postern.row_table(relation);
    grantee pg_catalog.oid;
    letter pg_catalog."char";
BEGIN
    IF roles IS NULL THEN
        RAISE EXCEPTION 'roles must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Give an array of names of roles.';
    END IF;
    FOREACH role IN ARRAY roles LOOP
        grantee := postern.row_role(role);
        FOREACH command IN ARRAY wanted LOOP
            letter := postern.row_command(command);
            before := postern.direct_state(relation, grantee, letter);
            IF before OPERATOR(pg_catalog.<>) 'None' THEN
                PERFORM postern.change_plain(false, command, relation, role);
            END IF;
            after := postern.direct_state(relation, grantee, letter);
            IF after OPERATOR(pg_catalog.<>) 'None' THEN
                RAISE NOTICE 'role "%" still has % on %, from another grantor', role, command, relation;
            END IF;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION postern.revoke(pg_catalog.text[], pg_catalog.regclass, pg_catalog.name[]) TO PUBLIC;
COMMENT ON FUNCTION postern.revoke(pg_catalog.text[], pg_catalog.regclass, pg_catalog.name[]) IS
    'REVOKE on a table: the plain privileges, and direct access with them';

CREATE VIEW postern.direct_grants AS
    SELECT d.relation, pg_catalog.pg_get_userbyid(d.grantee) AS role,
           CASE d.command WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END AS command,
           pg_catalog.pg_get_userbyid(CASE WHEN d.grantor OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN c.relowner ELSE d.grantor END) AS grantor,
           d.with_grant, d.granted_by, d.granted_at
      FROM postern.direct_access d
      JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.relation
      JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) d.grantee;
REVOKE ALL ON TABLE postern.direct_grants FROM PUBLIC;
GRANT SELECT ON TABLE postern.direct_grants TO PUBLIC;
COMMENT ON VIEW postern.direct_grants IS 'Who has direct access to which table, for which command, and from whom';

-- The error mode ----------------------------------------------------------------------------------------------------

CREATE FUNCTION postern.row_security_check(
    caller pg_catalog.oid, relation pg_catalog.oid, role pg_catalog.oid, command pg_catalog."char", mode pg_catalog."char"
) RETURNS pg_catalog.void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target pg_catalog.pg_class;
BEGIN
    IF command OPERATOR(pg_catalog.<>) ALL ('{r,a,w,d}'::pg_catalog."char"[]) OR mode OPERATOR(pg_catalog.<>) ALL ('{o,e,d}'::pg_catalog."char"[]) THEN
        RAISE EXCEPTION 'unknown command or mode' USING ERRCODE = 'invalid_parameter_value', HINT = 'Call postern.set_row_security().';
    ELSIF role OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) role) THEN
        RAISE EXCEPTION 'role with OID % does not exist', role USING ERRCODE = 'undefined_object', HINT = 'Call postern.set_row_security().';
    END IF;
    IF relation OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN
        target := postern.row_table(relation);
        IF NOT pg_catalog.pg_has_role(caller, target.relowner, 'USAGE') THEN
            RAISE EXCEPTION 'must be owner of table %', target.relname
                USING ERRCODE = 'insufficient_privilege', HINT = pg_catalog.format('Ask a member of "%s".', pg_catalog.pg_get_userbyid(target.relowner));
        END IF;
    ELSIF NOT pg_catalog.pg_has_role(caller, 'postern_admin', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to set row security for every table'
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'It is for members of postern_admin.', HINT = 'Name a table that you own.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION postern.row_security_check(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog."char") FROM PUBLIC;
COMMENT ON FUNCTION postern.row_security_check(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog."char") IS
    'Raises for a caller who may not set the mode of the table, or (0) of all';

CREATE FUNCTION postern.change_row_security(
    relation pg_catalog.oid, role pg_catalog.oid, command pg_catalog."char", mode pg_catalog."char"
) RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'change_row_security_wrapper';
-- It asks postern.row_security_check() in the caller's name, which decides.
GRANT EXECUTE ON FUNCTION postern.change_row_security(pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.change_row_security(pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog."char") IS
    'One step of postern.set_row_security()';

CREATE FUNCTION postern.set_row_security(
    mode pg_catalog.text, relation pg_catalog.regclass DEFAULT NULL, role pg_catalog.name DEFAULT NULL, commands pg_catalog.text[] DEFAULT NULL
) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    letter CONSTANT pg_catalog."char" := CASE mode WHEN 'on' THEN 'o' WHEN 'error' THEN 'e' WHEN 'default' THEN 'd' END;
    command pg_catalog.text;
BEGIN
    IF letter IS NULL THEN
        RAISE EXCEPTION 'invalid mode of row security: "%"', coalesce(mode, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give ''on'' (rows are filtered), ''error'' (filtering is an error), or ''default'' (what is set more widely counts).';
    END IF;
    FOREACH command IN ARRAY postern.row_commands(coalesce(commands, '{ALL}')) LOOP
        PERFORM postern.change_row_security(coalesce(relation, 0::pg_catalog.oid), coalesce(CASE WHEN role IS NOT NULL THEN postern.row_role(role) END, 0::pg_catalog.oid),
                                            postern.row_command(command), letter);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION postern.set_row_security(pg_catalog.text, pg_catalog.regclass, pg_catalog.name, pg_catalog.text[]) TO PUBLIC;
COMMENT ON FUNCTION postern.set_row_security(pg_catalog.text, pg_catalog.regclass, pg_catalog.name, pg_catalog.text[]) IS
    'What a role gets that row security would filter: fewer rows (on), or an error; for a table, a role, both, or the database';
