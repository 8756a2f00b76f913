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
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.count(*)::pg_catalog.int4
      FROM pg_catalog.pg_class c,
           LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) a
     WHERE c.oid OPERATOR(pg_catalog.=) plain_entries.relation AND a.grantee OPERATOR(pg_catalog.=) plain_entries.grantee
       AND postern.row_command(a.privilege_type) OPERATOR(pg_catalog.=) plain_entries.command;
END;
GRANT EXECUTE ON FUNCTION postern.plain_entries(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.plain_entries(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'How many grantors gave the role itself the plain privilege on the whole table';

CREATE FUNCTION postern.direct_state(relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char")
RETURNS pg_catalog.text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN postern.plain_entries(direct_state.relation, direct_state.grantee, direct_state.command) OPERATOR(pg_catalog.=) 0 THEN 'None'
                WHEN EXISTS (SELECT FROM postern.direct_access d
                              WHERE d.relation OPERATOR(pg_catalog.=) direct_state.relation
                                AND d.grantee OPERATOR(pg_catalog.=) direct_state.grantee
                                AND d.command OPERATOR(pg_catalog.=) direct_state.command) THEN 'Set & Direct'
                ELSE 'Set' END;
END;
GRANT EXECUTE ON FUNCTION postern.direct_state(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.direct_state(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'None, Set or Set & Direct: what was granted to the role itself';

CREATE FUNCTION postern.direct_prune() RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM postern.direct_access d
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) d.relation)
        OR NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) d.grantee);
    DELETE FROM postern.row_security_modes m
     WHERE (m.relation OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) m.relation))
        OR (m.role OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) m.role));
    -- What rested on a grant option that is gone goes too, and what rested on that.
    LOOP
        DELETE FROM postern.direct_access d
         WHERE d.grantor OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
           AND NOT EXISTS (SELECT FROM postern.direct_access g
                            WHERE g.relation OPERATOR(pg_catalog.=) d.relation AND g.command OPERATOR(pg_catalog.=) d.command
                              AND g.grantee OPERATOR(pg_catalog.=) d.grantor AND g.with_grant);
        EXIT WHEN NOT FOUND;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION postern.direct_prune() FROM PUBLIC;
COMMENT ON FUNCTION postern.direct_prune() IS 'Removes what has lost its table, its role, or the grant option that it rested on';

CREATE FUNCTION postern.direct_entries() RETURNS pg_catalog.text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('relation', d.relation::pg_catalog.oid, 'grantee', d.grantee::pg_catalog.oid, 'command', d.command,
                        'entries', postern.plain_entries(d.relation, d.grantee, d.command))), '[]')::pg_catalog.text
      FROM postern.direct_access d;
END;
REVOKE ALL ON FUNCTION postern.direct_entries() FROM PUBLIC;
COMMENT ON FUNCTION postern.direct_entries() IS 'How many plain entries each direct access has beside it, before a statement that may revoke';

CREATE FUNCTION postern.direct_reconcile(before pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM postern.direct_access d
     USING pg_catalog.jsonb_to_recordset(before::pg_catalog.jsonb) AS b (relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char", entries pg_catalog.int4)
     WHERE d.relation OPERATOR(pg_catalog.=) b.relation AND d.grantee OPERATOR(pg_catalog.=) b.grantee
       AND d.command OPERATOR(pg_catalog.=) b.command
       AND postern.plain_entries(b.relation, b.grantee, b.command) OPERATOR(pg_catalog.<) b.entries;
    PERFORM postern.direct_prune();
END
$$;
REVOKE ALL ON FUNCTION postern.direct_reconcile(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.direct_reconcile(pg_catalog.text) IS 'Ends the direct access of who has fewer plain entries than before';

CREATE FUNCTION postern.direct_write(
    caller pg_catalog.oid, relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char",
    direct pg_catalog.bool, with_grant pg_catalog.bool
) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    acts_as pg_catalog.oid;
    target pg_catalog.pg_class := postern.row_table(relation);
BEGIN
    -- Twice: who may not, locks nothing; and who waited is judged by what is then.
    PERFORM postern.direct_grantor(caller, relation, command);
    -- Transitions of one table follow each other; who reads or writes the table does not wait.
    EXECUTE pg_catalog.format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', relation::pg_catalog.regclass);
    acts_as := postern.direct_grantor(caller, relation, command);
    IF NOT direct THEN
        DELETE FROM postern.direct_access d
         WHERE d.relation OPERATOR(pg_catalog.=) direct_write.relation AND d.grantee OPERATOR(pg_catalog.=) direct_write.grantee
           AND d.command OPERATOR(pg_catalog.=) direct_write.command
           AND (acts_as OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR d.grantor OPERATOR(pg_catalog.=) acts_as);
        PERFORM postern.direct_prune();
        RETURN;
    END IF;
    IF command OPERATOR(pg_catalog.<>) ALL ('{r,a,w,d}'::pg_catalog."char"[]) OR with_grant IS NULL THEN
        RAISE EXCEPTION 'unknown command' USING ERRCODE = 'invalid_parameter_value', HINT = 'Call postern.grant_direct().';
    ELSIF NOT target.relrowsecurity THEN
        RAISE EXCEPTION 'table "%" has no row security', target.relname
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'There is nothing to go past.',
                  HINT = 'Use GRANT, or ALTER TABLE ... ENABLE ROW LEVEL SECURITY first.';
    ELSIF postern.plain_entries(relation, grantee, command) OPERATOR(pg_catalog.=) 0 THEN
        RAISE EXCEPTION 'no privilege on table "%" was granted to role "%"', target.relname, pg_catalog.pg_get_userbyid(grantee)
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'Direct access needs the plain privilege.',
                  HINT = 'Ask the owner of the table for the privilege with grant option.';
    END IF;
    INSERT INTO postern.direct_access AS d (relation, grantee, command, grantor, with_grant)
    VALUES (relation, grantee, command, acts_as, with_grant)
    ON CONFLICT ON CONSTRAINT direct_access_pkey
    -- The owner's grant is the stronger one, and stays so. A grant option is added, never taken away by granting.
    DO UPDATE SET grantor = CASE WHEN d.grantor OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN d.grantor ELSE excluded.grantor END,
                  with_grant = d.with_grant OR excluded.with_grant,
                  granted_by = SESSION_USER, granted_at = pg_catalog.now()
       WHERE (excluded.grantor OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND d.grantor OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)
          OR (excluded.with_grant AND NOT d.with_grant);
END
$$;
REVOKE ALL ON FUNCTION postern.direct_write(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog.bool, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION postern.direct_write(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog.bool, pg_catalog.bool) IS
    'Grants or revokes direct access for a caller, if the caller may';

CREATE FUNCTION postern.change_direct(
    relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char", direct pg_catalog.bool, with_grant pg_catalog.bool
) RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'change_direct_wrapper';
-- It asks postern.direct_write() in the caller's name, which decides.
GRANT EXECUTE ON FUNCTION postern.change_direct(pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog.bool, pg_catalog.bool) TO PUBLIC;
COMMENT ON FUNCTION postern.change_direct(pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog.bool, pg_catalog.bool) IS
    'One step of postern.grant_direct() and postern.revoke_direct()';

CREATE FUNCTION postern.grant_direct(
    commands pg_catalog.text[], relation pg_catalog.regclass, roles pg_catalog.name[], with_grant pg_catalog.bool DEFAULT false
) RETURNS TABLE (role pg_catalog.name, command pg_catalog.text, before pg_catalog.text, after pg_catalog.text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted CONSTANT pg_catalog.text[] := postern.row_commands(commands);
    me CONSTANT pg_catalog.oid := (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER);
    grantee pg_catalog.oid;
    letter pg_catalog."char";
BEGIN
    IF roles IS NULL OR with_grant IS NULL THEN
        RAISE EXCEPTION 'roles and with_grant must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Give an array of names of roles.';
    END IF;
    FOREACH role IN ARRAY roles LOOP
        IF role OPERATOR(pg_catalog.=) 'public' THEN
            RAISE EXCEPTION 'direct access cannot be granted to PUBLIC'
                USING ERRCODE = 'invalid_grant_operation', DETAIL = 'It would be as if the table had no row security.',
                      HINT = 'Write a policy USING (true), or grant it to a group role.';
        END IF;
        grantee := postern.row_role(role);
        FOREACH command IN ARRAY wanted LOOP
            letter := postern.row_command(command);
            PERFORM postern.direct_grantor(me, relation, letter);
            before := postern.direct_state(relation, grantee, letter);
            IF before OPERATOR(pg_catalog.=) 'None' OR with_grant THEN
                EXECUTE pg_catalog.format('GRANT %s ON TABLE %s TO %I%s', command, relation, role,
                                          CASE WHEN with_grant THEN ' WITH GRANT OPTION' ELSE '' END);
            END IF;
            PERFORM postern.change_direct(relation, grantee, letter, true, with_grant);
            after := postern.direct_state(relation, grantee, letter);
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
    me CONSTANT pg_catalog.oid := (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER);
    grantee pg_catalog.oid;
    letter pg_catalog."char";
BEGIN
    IF roles IS NULL OR keep_privilege IS NULL THEN
        RAISE EXCEPTION 'roles and keep_privilege must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Give an array of names of roles.';
    END IF;
    FOREACH role IN ARRAY roles LOOP
        grantee := postern.row_role(role);
        FOREACH command IN ARRAY wanted LOOP
            letter := postern.row_command(command);
            PERFORM postern.direct_grantor(me, relation, letter);
            before := postern.direct_state(relation, grantee, letter);
            IF before OPERATOR(pg_catalog.=) 'Set & Direct' THEN
                PERFORM postern.change_direct(relation, grantee, letter, false, false);
                IF NOT keep_privilege THEN
                    EXECUTE pg_catalog.format('REVOKE %s ON TABLE %s FROM %I', command, relation, role);
                    RAISE NOTICE 'role "%" loses % on %, the plain privilege, too', role, command, relation
                        USING HINT = 'To keep it: keep_privilege => true.';
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
                BEGIN
                    EXECUTE pg_catalog.format('REVOKE %s ON TABLE %s FROM %I', command, relation, role);
                EXCEPTION WHEN insufficient_privilege THEN
                    RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'insufficient_privilege',
                        HINT = pg_catalog.format('Ask a member of "%s", or who granted it.', pg_catalog.pg_get_userbyid(target.relowner));
                END;
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

CREATE FUNCTION postern.row_security_write(
    caller pg_catalog.oid, relation pg_catalog.oid, role pg_catalog.oid, command pg_catalog."char", mode pg_catalog."char"
) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target pg_catalog.pg_class;
BEGIN
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
    IF mode OPERATOR(pg_catalog.=) 'd' THEN
        DELETE FROM postern.row_security_modes m
         WHERE m.relation OPERATOR(pg_catalog.=) row_security_write.relation AND m.role OPERATOR(pg_catalog.=) row_security_write.role
           AND m.command OPERATOR(pg_catalog.=) row_security_write.command;
    ELSE
        INSERT INTO postern.row_security_modes AS m (relation, role, command, mode) VALUES (relation, role, command, mode)
        ON CONFLICT ON CONSTRAINT row_security_modes_pkey
        DO UPDATE SET mode = excluded.mode, set_by = SESSION_USER, set_at = pg_catalog.now()
           WHERE m.mode OPERATOR(pg_catalog.<>) excluded.mode;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION postern.row_security_write(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog."char") FROM PUBLIC;
COMMENT ON FUNCTION postern.row_security_write(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog."char") IS
    'Sets the mode for a caller, if the caller may';

CREATE FUNCTION postern.change_row_security(
    relation pg_catalog.oid, role pg_catalog.oid, command pg_catalog."char", mode pg_catalog."char"
) RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'change_row_security_wrapper';
-- It asks postern.row_security_write() in the caller's name, which decides.
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
