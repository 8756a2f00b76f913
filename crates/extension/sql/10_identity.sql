-- The primitive. See src/identity/mod.rs for its invariants.

CREATE FUNCTION postern.written_by_us() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_catalog.pg_has_role(CURRENT_USER, (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for table %', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'It is changed by functions of Postern alone, whatever tables a role may write.',
                  HINT = pg_catalog.obj_description(TG_RELID, 'pg_class');
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION postern.written_by_us() FROM PUBLIC;
COMMENT ON FUNCTION postern.written_by_us() IS
    'Refuses who may write all tables (pg_write_all_data): what is in this one is a right, which no row security keeps';

CREATE TABLE postern.admitted (
    role pg_catalog.regrole NOT NULL,
    role_name pg_catalog.name NOT NULL,
    admitted_by pg_catalog.name NOT NULL DEFAULT SESSION_USER,
    admitted_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT admitted_pkey PRIMARY KEY (role)
);
REVOKE ALL ON TABLE postern.admitted FROM PUBLIC;
GRANT SELECT ON TABLE postern.admitted TO postern_admin, postern_monitor, postern_gate;
COMMENT ON TABLE postern.admitted IS 'The roles that may be entered; changed by postern.admit() and postern.dismiss()';
COMMENT ON COLUMN postern.admitted.role IS 'The role, by OID';
COMMENT ON COLUMN postern.admitted.role_name IS 'Its name when it was admitted: a rename ends the admission';
SELECT pg_catalog.pg_extension_config_dump('postern.admitted', '');
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.admitted
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.admitted ENABLE ALWAYS TRIGGER written_by_us;

CREATE FUNCTION postern.admitted_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'admitted_changed_wrapper';
REVOKE ALL ON FUNCTION postern.admitted_changed() FROM PUBLIC;
COMMENT ON FUNCTION postern.admitted_changed() IS 'Has every session look at postern.admitted again';
CREATE TRIGGER admitted_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.admitted
    FOR EACH STATEMENT EXECUTE FUNCTION postern.admitted_changed();
-- Sessions remember who is admitted until this trigger tells: it fires whatever the session_replication_role.
ALTER TABLE postern.admitted ENABLE ALWAYS TRIGGER admitted_changed;

CREATE FUNCTION postern.enter(role pg_catalog.text, facts pg_catalog.text, seal pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.void
-- Neither SECURITY DEFINER nor SET: both would end the identity with the function. postern.enter refuses to work so.
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'enter_wrapper';
REVOKE ALL ON FUNCTION postern.enter(pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.enter(pg_catalog.text, pg_catalog.text, pg_catalog.text) TO postern_gate;
COMMENT ON FUNCTION postern.enter(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'Makes the rest of the transaction run as the role, with the facts; the first statement of an implicit transaction';

CREATE FUNCTION postern.seal(key pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'seal_wrapper';
REVOKE ALL ON FUNCTION postern.seal(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.seal(pg_catalog.text) TO postern_gate;
COMMENT ON FUNCTION postern.seal(pg_catalog.text) IS 'Has entering ask for this key from now on, in this session';

CREATE FUNCTION postern.fact(path pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fact_wrapper';
GRANT EXECUTE ON FUNCTION postern.fact(pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.fact(pg_catalog.text) IS
    'The fact at a path such as claims.sub, or at a JSON pointer such as /claims/sub; NULL if there is none';

CREATE FUNCTION postern.facts() RETURNS pg_catalog.jsonb
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'facts_wrapper';
GRANT EXECUTE ON FUNCTION postern.facts() TO PUBLIC;
COMMENT ON FUNCTION postern.facts() IS 'All facts of the entered identity; NULL if there are none';

CREATE FUNCTION postern.entered_role() RETURNS pg_catalog.oid
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'entered_role_wrapper';
GRANT EXECUTE ON FUNCTION postern.entered_role() TO PUBLIC;
COMMENT ON FUNCTION postern.entered_role() IS 'The role that the transaction has entered; NULL if it has not';

CREATE FUNCTION postern.identity(
    OUT role pg_catalog.name,
    OUT session_role pg_catalog.name,
    OUT entered pg_catalog.bool,
    OUT facts_present pg_catalog.bool
)
LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CURRENT_USER,
           coalesce(pg_catalog.pg_get_userbyid(postern.entered_role()), SESSION_USER),
           postern.entered_role() IS NOT NULL,
           postern.facts() IS NOT NULL;
END;
GRANT EXECUTE ON FUNCTION postern.identity() TO PUBLIC;
COMMENT ON FUNCTION postern.identity() IS
    'The role that privileges are checked for, the identity of the session (the entered role, else session_user), and whether there are facts';

CREATE FUNCTION postern.refuse_powerful(role pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'refuse_powerful_wrapper';
REVOKE ALL ON FUNCTION postern.refuse_powerful(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.refuse_powerful(pg_catalog.text) IS 'Raises for a role that may not be entered, whoever admits it';

CREATE FUNCTION postern.admit(role pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM postern.refuse_powerful(admit.role);
    INSERT INTO postern.admitted AS a (role, role_name)
    SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) admit.role
    ON CONFLICT ON CONSTRAINT admitted_pkey
    DO UPDATE SET role_name = excluded.role_name, admitted_by = SESSION_USER, admitted_at = pg_catalog.now()
       WHERE a.role_name OPERATOR(pg_catalog.<>) excluded.role_name;
END
$$;
REVOKE ALL ON FUNCTION postern.admit(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.admit(pg_catalog.text) TO postern_admin;
COMMENT ON FUNCTION postern.admit(pg_catalog.text) IS 'Lets the gate enter the role';

CREATE FUNCTION postern.dismiss(role pg_catalog.text) RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Not cut: what is left of a longer name may be another role's.
    IF pg_catalog.octet_length(dismiss.role) OPERATOR(pg_catalog.>) 63 THEN
        RAISE EXCEPTION 'role name is too long'
            USING ERRCODE = 'name_too_long', DETAIL = pg_catalog.format('It has %s bytes; names have at most 63.', pg_catalog.octet_length(dismiss.role)),
                  HINT = 'Give the name as pg_roles shows it.';
    END IF;
    -- By either: a renamed role goes by its old name and by its new one, a dropped role by its name.
    DELETE FROM postern.admitted a
     WHERE a.role_name OPERATOR(pg_catalog.=) dismiss.role
        OR a.role OPERATOR(pg_catalog.=) (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) dismiss.role);
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION postern.dismiss(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.dismiss(pg_catalog.text) TO postern_admin;
COMMENT ON FUNCTION postern.dismiss(pg_catalog.text) IS
    'The gate may not enter the role any more, from its next request on; false if it was not admitted';

CREATE FUNCTION postern.run_as(role pg_catalog.text, facts pg_catalog.jsonb, query pg_catalog.text)
RETURNS SETOF pg_catalog.jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'run_as_wrapper';
REVOKE ALL ON FUNCTION postern.run_as(pg_catalog.text, pg_catalog.jsonb, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.run_as(pg_catalog.text, pg_catalog.jsonb, pg_catalog.text) TO postern_admin;
COMMENT ON FUNCTION postern.run_as(pg_catalog.text, pg_catalog.jsonb, pg_catalog.text) IS
    'What the query gives for the identity, a JSON object a row; what it changed is rolled back';
