-- Durable functions: how much of the executors one role gets. Whatever is set here, no role gets all of them, and roles take turns.

CREATE TABLE postern.quota (
    role pg_catalog.regrole NOT NULL,
    concurrency pg_catalog.int4,
    per_second pg_catalog.float8,
    gap pg_catalog.int8 GENERATED ALWAYS AS ((1000000 OPERATOR(pg_catalog./) per_second)::pg_catalog.int8) STORED,
    set_by pg_catalog.name NOT NULL DEFAULT SESSION_USER,
    set_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT quota_pkey PRIMARY KEY (role)
);
REVOKE ALL ON TABLE postern.quota FROM PUBLIC;
GRANT SELECT ON TABLE postern.quota TO postern_admin, postern_monitor;
COMMENT ON TABLE postern.quota IS 'How much of the executors of durable functions a role gets; changed by postern.set_quota() and postern.drop_quota()';
COMMENT ON COLUMN postern.quota.concurrency IS 'Steps of the role at one time; NULL: as many as postern.executors';
COMMENT ON COLUMN postern.quota.per_second IS 'Turns of the role in a second, in this database; NULL: as many as there is time for';
COMMENT ON COLUMN postern.quota.gap IS 'Microseconds from one turn to the next';
SELECT pg_catalog.pg_extension_config_dump('postern.quota', '');
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.quota
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.quota ENABLE ALWAYS TRIGGER written_by_us;

CREATE FUNCTION postern.durable_changed() RETURNS pg_catalog.void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_changed_wrapper';
REVOKE ALL ON FUNCTION postern.durable_changed() FROM PUBLIC;
COMMENT ON FUNCTION postern.durable_changed() IS 'Has executors read quotas and schedules again when the transaction is committed';

CREATE FUNCTION postern.set_quota(
    role pg_catalog.regrole, concurrency pg_catalog.int4 DEFAULT NULL, per_second pg_catalog.float8 DEFAULT NULL
) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF $1 IS NULL OR NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid) THEN
        RAISE EXCEPTION 'role % does not exist', coalesce($1::pg_catalog.text, 'NULL')
            USING ERRCODE = 'undefined_object', HINT = 'Name a role that pg_roles shows.';
    END IF;
    IF $2 IS NULL AND $3 IS NULL THEN
        RAISE EXCEPTION 'a quota has a concurrency, or a rate per second, or both'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'postern.drop_quota() takes a quota away.';
    END IF;
    IF $2 OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'concurrency must be at least 1'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'NULL bounds nothing.';
    END IF;
    IF NOT coalesce($3 OPERATOR(pg_catalog.>=) 0.001 AND $3 OPERATOR(pg_catalog.<=) 100000, true) THEN
        RAISE EXCEPTION 'per_second must be between 0.001 and 100000'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'NULL bounds nothing.';
    END IF;
    INSERT INTO postern.quota (role, concurrency, per_second) VALUES ($1, $2, $3)
    ON CONFLICT ON CONSTRAINT quota_pkey DO UPDATE
       SET concurrency = excluded.concurrency, per_second = excluded.per_second, set_by = excluded.set_by, set_at = excluded.set_at;
    PERFORM postern.durable_changed();
END
$$;
REVOKE ALL ON FUNCTION postern.set_quota(pg_catalog.regrole, pg_catalog.int4, pg_catalog.float8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.set_quota(pg_catalog.regrole, pg_catalog.int4, pg_catalog.float8) TO postern_admin;
COMMENT ON FUNCTION postern.set_quota(pg_catalog.regrole, pg_catalog.int4, pg_catalog.float8) IS
    'Bounds how many steps of a role''s durable functions run at one time, and how many in a second';

CREATE FUNCTION postern.drop_quota(role pg_catalog.regrole) RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM postern.quota q WHERE q.role OPERATOR(pg_catalog.=) $1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM postern.durable_changed();
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION postern.drop_quota(pg_catalog.regrole) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.drop_quota(pg_catalog.regrole) TO postern_admin;
COMMENT ON FUNCTION postern.drop_quota(pg_catalog.regrole) IS 'Takes a quota away; false if there was none';
