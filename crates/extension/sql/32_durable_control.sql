-- Durable functions: starting, signals, cancelling, waiting, variables, privileges. Who has USAGE on the schema df may call them.

CREATE FUNCTION df.start(
    fut pg_catalog.text,
    label pg_catalog.text DEFAULT NULL,
    database pg_catalog.text DEFAULT NULL,
    transaction_mode pg_catalog.text DEFAULT 'caller'
) RETURNS pg_catalog.text
-- Neither SECURITY DEFINER nor SET: it captures who calls it. The signature is pg_durable's, which scripts ask for.
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_start_plain_wrapper';
COMMENT ON FUNCTION df.start(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'Starts a durable function as the current user, with the caller''s commit; gives the id of the instance';

-- The first argument is a varchar so that a call that means either is none of this: text is preferred to it.
CREATE FUNCTION df.start(
    fut pg_catalog.varchar,
    label pg_catalog.text DEFAULT NULL,
    database pg_catalog.text DEFAULT NULL,
    transaction_mode pg_catalog.text DEFAULT 'caller',
    key pg_catalog.text DEFAULT NULL,
    priority pg_catalog.int4 DEFAULT 0
) RETURNS pg_catalog.text
-- Neither SECURITY DEFINER nor SET: it captures who calls it.
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_start_wrapper';
COMMENT ON FUNCTION df.start(pg_catalog.varchar, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4) IS
    'The same with an idempotency key, and a priority';

CREATE FUNCTION df.signal(instance_id pg_catalog.text, signal_name pg_catalog.text, signal_data pg_catalog.text DEFAULT '{}')
RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_signal_wrapper';
COMMENT ON FUNCTION df.signal(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'Sends a signal with the caller''s commit; it is kept until it is waited for';

CREATE FUNCTION df.cancel(instance_id pg_catalog.text, reason pg_catalog.text DEFAULT 'Cancelled by user')
RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_cancel_wrapper';
COMMENT ON FUNCTION df.cancel(pg_catalog.text, pg_catalog.text) IS 'Cancels an instance with the caller''s commit, and stops what it runs';

CREATE FUNCTION df.pause(instance_id pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_pause_wrapper';
COMMENT ON FUNCTION df.pause(pg_catalog.text) IS
    'Has an instance take no further step, from the caller''s commit on; a step that runs is let end, and clocks go on';

CREATE FUNCTION df.resume(instance_id pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_resume_wrapper';
COMMENT ON FUNCTION df.resume(pg_catalog.text) IS 'Has a paused instance go on with the caller''s commit; what became due meanwhile is done at once';

CREATE FUNCTION df.rerun(instance_id pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_rerun_wrapper';
COMMENT ON FUNCTION df.rerun(pg_catalog.text) IS
    'Has an instance that failed go on from the step that failed, with the caller''s commit, as the role and with the facts of its start';

CREATE FUNCTION df.status(instance_id pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_status_wrapper';
COMMENT ON FUNCTION df.status(pg_catalog.text) IS 'pending, running, paused, completed, failed or cancelled; NULL if it is unknown or not yours';

CREATE FUNCTION df.await_instance(instance_id pg_catalog.text, timeout_seconds pg_catalog.int4 DEFAULT 30)
RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_await_wrapper';
COMMENT ON FUNCTION df.await_instance(pg_catalog.text, pg_catalog.int4) IS 'Waits until an instance has ended; gives its status';

CREATE PROCEDURE df.await(
    instance_id pg_catalog.text, timeout_seconds pg_catalog.int4 DEFAULT 30, INOUT status pg_catalog.text DEFAULT NULL
)
-- Without SET: what has one cannot commit.
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_await_between_wrapper';
COMMENT ON PROCEDURE df.await(pg_catalog.text, pg_catalog.int4, pg_catalog.text) IS
    'Waits until an instance has ended, in no transaction, so that vacuum is not held back meanwhile; gives its status';

CREATE FUNCTION df.wait_for_completion(instance_id pg_catalog.text, timeout_seconds pg_catalog.int4 DEFAULT 30)
RETURNS pg_catalog.text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE WARNING 'df.wait_for_completion() is deprecated; use df.await_instance() instead';
    RETURN df.await_instance(instance_id, timeout_seconds);
END
$$;
COMMENT ON FUNCTION df.wait_for_completion(pg_catalog.text, pg_catalog.int4) IS 'Deprecated: df.await_instance()';

CREATE FUNCTION postern.durable_afar(instance_id pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_afar_wrapper';
REVOKE ALL ON FUNCTION postern.durable_afar(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_afar(pg_catalog.text) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_afar(pg_catalog.text) IS 'The result of a completed instance that the caller started in another database';

CREATE FUNCTION df.result(instance_id pg_catalog.text) RETURNS pg_catalog.text
-- VOLATILE: it sees what became of an instance that was waited for in the same statement.
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.output::pg_catalog.jsonb::pg_catalog.text
      FROM (SELECT i.output FROM postern.instance i
             WHERE i.id OPERATOR(pg_catalog.=) result.instance_id AND i.status OPERATOR(pg_catalog.=) 'completed'
            UNION ALL
            SELECT postern.durable_afar(result.instance_id)
             WHERE NOT EXISTS (SELECT FROM postern.instance i WHERE i.id OPERATOR(pg_catalog.=) result.instance_id)) r;
END;
COMMENT ON FUNCTION df.result(pg_catalog.text) IS 'The result of a completed instance; NULL for any other';

CREATE FUNCTION df.run(instance_id pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce('Triggered run for instance: ' OPERATOR(pg_catalog.||) instance_id, 'Triggered run for all pending instances');
END;
COMMENT ON FUNCTION df.run(pg_catalog.text) IS 'Does nothing: whatever is due is run';

-- Variables --------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION df.setvar(name pg_catalog.text, value pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_setvar_wrapper';
COMMENT ON FUNCTION df.setvar(pg_catalog.text, pg_catalog.text) IS 'Sets a variable, written {name} in steps, for functions started from now on';

CREATE FUNCTION df.getvar(name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT v.value FROM df.vars v
     WHERE v.owner OPERATOR(pg_catalog.=) pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole
       AND v.name OPERATOR(pg_catalog.=) getvar.name;
END;
COMMENT ON FUNCTION df.getvar(pg_catalog.text) IS 'A variable of the current user; NULL if there is none';

CREATE FUNCTION df.unsetvar(name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_unsetvar_wrapper';
COMMENT ON FUNCTION df.unsetvar(pg_catalog.text) IS 'Takes a variable away';

CREATE FUNCTION df.clearvars() RETURNS pg_catalog.text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_clearvars_wrapper';
COMMENT ON FUNCTION df.clearvars() IS 'Takes all variables of the current user away';

-- Privileges -------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION df.grant_usage(p_role pg_catalog.text, include_http pg_catalog.bool DEFAULT false, with_grant pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- From 16 on, whether a member has the rights is the membership's; before, the member's own.
    by_membership CONSTANT pg_catalog.bool := pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 160000;
    options pg_catalog.text := '';
BEGIN
    IF p_role IS NULL THEN
        RAISE EXCEPTION 'argument p_role must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the role as pg_roles shows it.';
    END IF;
    IF by_membership THEN
        options := CASE WHEN with_grant THEN ' WITH ADMIN TRUE, INHERIT TRUE' ELSE ' WITH INHERIT TRUE' END;
    ELSIF with_grant THEN
        options := ' WITH ADMIN OPTION';
    END IF;
    EXECUTE pg_catalog.format('GRANT postern_application TO %I', p_role) OPERATOR(pg_catalog.||) options;
    IF include_http THEN
        EXECUTE pg_catalog.format(
            'GRANT EXECUTE ON FUNCTION df.http(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4), '
            'df.http_multipart(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.int4) TO %I', p_role)
            OPERATOR(pg_catalog.||) CASE WHEN with_grant THEN ' WITH GRANT OPTION' ELSE '' END;
    END IF;
    IF with_grant AND pg_catalog.has_function_privilege('df.metrics()', 'EXECUTE WITH GRANT OPTION') THEN
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION df.metrics() TO %I WITH GRANT OPTION', p_role);
    END IF;
    IF NOT pg_catalog.pg_has_role(p_role, 'postern_application', 'USAGE') THEN
        RAISE WARNING 'role "%" does not inherit the privileges of postern_application', p_role
            USING HINT = pg_catalog.format('ALTER ROLE %I INHERIT.', p_role);
    END IF;
    RAISE NOTICE 'pg_durable: granted df usage privileges to "%"', p_role;
END
$$;
REVOKE ALL ON FUNCTION df.grant_usage(pg_catalog.text, pg_catalog.bool, pg_catalog.bool) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION df.grant_usage(pg_catalog.text, pg_catalog.bool, pg_catalog.bool) TO postern_application, postern_admin;
COMMENT ON FUNCTION df.grant_usage(pg_catalog.text, pg_catalog.bool, pg_catalog.bool) IS
    'Lets a role use durable functions, by membership of postern_application; the caller needs the right to grant it';

CREATE FUNCTION df.revoke_usage(p_role pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sensitive pg_catalog.regprocedure;
BEGIN
    IF p_role IS NULL THEN
        RAISE EXCEPTION 'argument p_role must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the role as pg_roles shows it.';
    END IF;
    -- What the caller could not have granted, it does not take back.
    FOREACH sensitive IN ARRAY ARRAY[
        'df.http(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4)',
        'df.http_multipart(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.int4)', 'df.metrics()'
    ]::pg_catalog.regprocedure[] LOOP
        IF pg_catalog.has_function_privilege(sensitive, 'EXECUTE WITH GRANT OPTION') THEN
            EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM %I CASCADE', sensitive, p_role);
        END IF;
    END LOOP;
    -- Last: it may be the caller's own.
    EXECUTE pg_catalog.format('REVOKE postern_application FROM %I CASCADE', p_role);
    RAISE NOTICE 'pg_durable: revoked df usage privileges granted by "%" from "%"', CURRENT_USER, p_role;
END
$$;
REVOKE ALL ON FUNCTION df.revoke_usage(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION df.revoke_usage(pg_catalog.text) TO postern_application, postern_admin;
COMMENT ON FUNCTION df.revoke_usage(pg_catalog.text) IS 'Takes df.grant_usage() back';

CREATE FUNCTION postern.durable_installed() RETURNS pg_catalog.void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_installed_wrapper';
REVOKE ALL ON FUNCTION postern.durable_installed() FROM PUBLIC;
COMMENT ON FUNCTION postern.durable_installed() IS 'Has executors started in this database';
SELECT postern.durable_installed();
