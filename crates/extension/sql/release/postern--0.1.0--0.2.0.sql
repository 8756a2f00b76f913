\echo Use "ALTER EXTENSION postern UPDATE TO '0.2.0'" to load this file. \quit

-- What 0.2.0 has and 0.1.0 had not. CONTRIBUTING.md tells how a change of the SQL parts gets in here.
--
-- CREATE OR REPLACE keeps owner and privileges of what is replaced, comments and membership in the extension too. What is new gets its
-- REVOKE, GRANT and COMMENT beside it, as in the install script, and a table that belongs into dumps its pg_extension_config_dump.

-- Which objects there were: what was given on them by df.grant_usage() and its kin stays.
DO $before$
BEGIN
    PERFORM pg_catalog.set_config('upgrade.before', pg_catalog.concat_ws(',',
        (SELECT pg_catalog.string_agg('p' OPERATOR(pg_catalog.||) p.oid::pg_catalog.text, ',') FROM pg_catalog.pg_proc p
          WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])),
        (SELECT pg_catalog.string_agg('c' OPERATOR(pg_catalog.||) c.oid::pg_catalog.text, ',') FROM pg_catalog.pg_class c
          WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[]))), true);
END
$before$;

-- ---- The changes, in the order of the parts ----

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

CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.admitted
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.admitted ENABLE ALWAYS TRIGGER written_by_us;
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.api_key
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.api_key ENABLE ALWAYS TRIGGER written_by_us;
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.http_allow
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.http_allow ENABLE ALWAYS TRIGGER written_by_us;
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.quota
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.quota ENABLE ALWAYS TRIGGER written_by_us;
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.direct_access
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.direct_access ENABLE ALWAYS TRIGGER written_by_us;
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.row_security_modes
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.row_security_modes ENABLE ALWAYS TRIGGER written_by_us;
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.apply_counts
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.apply_counts ENABLE ALWAYS TRIGGER written_by_us;

CREATE OR REPLACE FUNCTION postern.dismiss(role pg_catalog.text) RETURNS pg_catalog.bool
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

CREATE OR REPLACE FUNCTION postern.create_api_key(
    role pg_catalog.text,
    subject pg_catalog.text,
    claims pg_catalog.jsonb DEFAULT '{}',
    expires_at pg_catalog.timestamptz DEFAULT NULL,
    label pg_catalog.text DEFAULT NULL
) RETURNS pg_catalog.text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    random pg_catalog.bytea := '';
    key pg_catalog.text;
BEGIN
    -- A name too long for a role is that of none: it is compared whole.
    IF NOT EXISTS (SELECT FROM postern.admitted a WHERE a.role_name OPERATOR(pg_catalog.=) create_api_key.role) THEN
        RAISE EXCEPTION 'role "%" is not admitted', create_api_key.role
            USING ERRCODE = 'insufficient_privilege', HINT = 'Admit it first: SELECT postern.admit(''role'').';
    END IF;
    IF pg_catalog.jsonb_typeof(create_api_key.claims) OPERATOR(pg_catalog.<>) 'object' THEN
        RAISE EXCEPTION 'claims must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give {"name": "value"}, or leave the argument out.';
    END IF;
    -- A UUID of version 4 has 122 random bits; three of them, hashed, fill 256.
    FOR n IN 1..3 LOOP
        random := random OPERATOR(pg_catalog.||) pg_catalog.uuid_send(pg_catalog.gen_random_uuid());
    END LOOP;
    key := 'pk_' OPERATOR(pg_catalog.||) pg_catalog.rtrim(
        pg_catalog.translate(pg_catalog.encode(pg_catalog.sha256(random), 'base64'), '+/', '-_'), '=');
    INSERT INTO postern.api_key (sha256, role, subject, claims, expires_at, label)
    VALUES (pg_catalog.sha256(pg_catalog.convert_to(key, 'UTF8')), create_api_key.role, create_api_key.subject,
            create_api_key.claims, create_api_key.expires_at, create_api_key.label);
    RETURN key;
END
$$;

COMMENT ON OPERATOR pg_catalog.?> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: if ... then';

COMMENT ON OPERATOR pg_catalog.!> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: ... else';

ALTER TABLE postern.instance ADD COLUMN parent_node pg_catalog.int4;
COMMENT ON COLUMN postern.instance.parent_node IS 'The node of that instance at which it was called';

CREATE OR REPLACE FUNCTION df.sleep(duration pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT df.sleep(duration::pg_catalog.interval);
END;

COMMENT ON FUNCTION df.sleep(pg_catalog.text) IS 'Waits, as an interval is written; a number alone is seconds';

-- What calls it by way of its dependencies (BEGIN ATOMIC, a view, a default) has to go first; the text of a function has not.
DROP FUNCTION df.start(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4);

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

CREATE OR REPLACE FUNCTION df.grant_usage(p_role pg_catalog.text, include_http pg_catalog.bool DEFAULT false, with_grant pg_catalog.bool DEFAULT false)
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

CREATE OR REPLACE FUNCTION df.revoke_usage(p_role pg_catalog.text) RETURNS pg_catalog.void
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

CREATE OR REPLACE FUNCTION postern.allow_http(
    host pg_catalog.text,
    role pg_catalog.regrole DEFAULT NULL,
    methods pg_catalog.text[] DEFAULT NULL,
    ports pg_catalog.int4[] DEFAULT NULL,
    scheme pg_catalog.text DEFAULT 'https'
) RETURNS pg_catalog.int4
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made pg_catalog.int4;
BEGIN
    IF $1 IS NULL OR pg_catalog.lower($1) OPERATOR(pg_catalog.!~) '^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$|^\[[0-9a-f:.]+\]$' THEN
        RAISE EXCEPTION 'invalid host pattern: %', coalesce($1, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write a name, such as api.example.com, or *.example.com for every name below it; other alphabets in their xn-- form.';
    END IF;
    IF $5 IS NULL OR $5 NOT IN ('http', 'https') THEN
        RAISE EXCEPTION 'scheme must be http or https'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for https.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.unnest($3) m
                WHERE m IS NULL OR m NOT IN ('GET', 'POST', 'PUT', 'DELETE', 'PATCH')) THEN
        RAISE EXCEPTION 'methods must be GET, POST, PUT, DELETE or PATCH'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write them in capitals, or leave them out to allow them all.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.unnest($4) p WHERE p IS NULL OR p NOT BETWEEN 1 AND 65535) THEN
        RAISE EXCEPTION 'ports must be between 1 and 65535'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave them out for the port of the scheme.';
    END IF;
    INSERT INTO postern.http_allow (role, scheme, host, ports, methods)
    VALUES ($2, $5, pg_catalog.lower($1),
            coalesce($4, CASE $5 WHEN 'https' THEN ARRAY[443] ELSE ARRAY[80] END), $3)
    RETURNING http_allow.id INTO made;
    RETURN made;
END
$$;

CREATE OR REPLACE FUNCTION postern.outbound_done(worker pg_catalog.uuid, id pg_catalog.int8, result pg_catalog.json, error pg_catalog.json)
RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at postern.outbound;
BEGIN
    IF ($3 IS NULL) OPERATOR(pg_catalog.=) ($4 IS NULL) THEN
        RAISE EXCEPTION 'a request has either a result or an error'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give exactly one of them.';
    END IF;
    SELECT o.* INTO at FROM postern.outbound o WHERE o.id OPERATOR(pg_catalog.=) $2;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- The strand first, as everybody does: then nobody waits for each other.
    PERFORM FROM postern.strand s
      WHERE s.instance OPERATOR(pg_catalog.=) at.instance AND s.strand OPERATOR(pg_catalog.=) at.strand
        AND s.node OPERATOR(pg_catalog.=) at.node AND s.state OPERATOR(pg_catalog.=) 'w' FOR UPDATE;
    IF NOT FOUND THEN
        DELETE FROM postern.outbound o WHERE o.id OPERATOR(pg_catalog.=) $2;
        RETURN false;
    END IF;
    UPDATE postern.outbound o SET result = $3, error = $4, due = 'infinity'
     WHERE o.id OPERATOR(pg_catalog.=) $2 AND o.worker OPERATOR(pg_catalog.=) $1 AND o.due OPERATOR(pg_catalog.<) 'infinity';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Of an instance that is paused too: an executor finds that it is, and holds the strand.
    UPDATE postern.strand s SET due = pg_catalog.clock_timestamp(), held = NULL
     WHERE s.instance OPERATOR(pg_catalog.=) at.instance AND s.strand OPERATOR(pg_catalog.=) at.strand AND s.state OPERATOR(pg_catalog.=) 'w';
    PERFORM postern.durable_wake();
    RETURN true;
END
$$;

CREATE OR REPLACE VIEW df.instances WITH (security_invoker = true) AS
SELECT i.id, i.label, '00000000'::pg_catalog.varchar(8) AS root_node,
       CASE WHEN i.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) i.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN i.paused_at IS NOT NULL THEN 'paused'
                WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END AS status,
       i.submitted_by, i.database, i.created_at, i.updated_at, i.completed_at,
       i.session_role, i.priority, i.key, i.ended_at, i.facts, i.definers, i.error, i.parent, i.paused_at, i.reruns,
       i.left_off IS NOT NULL AS can_rerun, i.schedule, i.tick, i.away,
       pg_catalog.lpad(pg_catalog.to_hex(i.parent_node), 8, '0')::pg_catalog.varchar(8) AS parent_node
  FROM postern.instance i;

COMMENT ON COLUMN df.instances.parent_node IS 'The node of its parent at which it was called';

COMMENT ON COLUMN df.instances.status IS 'pending, running, paused, completed, failed or cancelled; cancelled as soon as that is asked for: ended_at says when it is over';

CREATE FUNCTION postern.durable_at(instance pg_catalog.text, strand pg_catalog.int4) RETURNS pg_catalog.int4
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_at_wrapper';

REVOKE ALL ON FUNCTION postern.durable_at(pg_catalog.text, pg_catalog.int4) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION postern.durable_at(pg_catalog.text, pg_catalog.int4) TO postern_application, postern_admin, postern_monitor;

COMMENT ON FUNCTION postern.durable_at(pg_catalog.text, pg_catalog.int4) IS 'The node of a line of execution that an executor is at right now';

CREATE OR REPLACE VIEW df.nodes WITH (security_invoker = true) AS
SELECT n.id::pg_catalog.varchar(8) AS id, i.id AS instance_id, n.node_type, n.query, n.result_name,
       n.left_node::pg_catalog.varchar(8) AS left_node, n.right_node::pg_catalog.varchar(8) AS right_node,
       n.status, n.result, n.error, i.submitted_by, i.database, i.created_at,
       coalesce(n.updated_at, i.created_at) AS updated_at, n.status_details,
       n.inferred_status, n.inferred_status_from_ancestor_id
  FROM postern.instance i
 CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(postern.durable_nodes(
           i.graph, i.status,
           (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                       'strand', p.strand, 'n', p.n, 'node', p.node, 'attempt', p.attempt, 'turn', p.turn, 'status', p.status,
                       'result', p.result, 'error', p.error, 'sends', p.sends, 'at', p.ended_at) ORDER BY p.ended_at, p.strand, p.n)::pg_catalog.text
              FROM postern.step p WHERE p.instance OPERATOR(pg_catalog.=) i.id AND p.strand OPERATOR(pg_catalog.>=) 0),
           (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                       'strand', s.strand, 'node', s.node, 'state', s.state, 'base', s.base, 'frame', s.frame::pg_catalog.jsonb,
                       'at', postern.durable_at(s.instance, s.strand),
                       'outbound', (SELECT pg_catalog.jsonb_build_object(
                                               'host', o.host, 'sends', o.sends, 'sent_at', o.sent_at,
                                               'worker', EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                                                                  WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
                                                                    AND a.usename OPERATOR(pg_catalog.=) 'postern_outbound'))
                                      FROM postern.outbound o
                                     WHERE o.instance OPERATOR(pg_catalog.=) s.instance AND o.strand OPERATOR(pg_catalog.=) s.strand)))::pg_catalog.text
              FROM postern.strand s WHERE s.instance OPERATOR(pg_catalog.=) i.id))::pg_catalog.jsonb)
    AS n(id pg_catalog.text, node_type pg_catalog.text, query pg_catalog.text, result_name pg_catalog.text, left_node pg_catalog.text,
         right_node pg_catalog.text, status pg_catalog.text, result pg_catalog.jsonb, error pg_catalog.text,
         updated_at pg_catalog.timestamptz, status_details pg_catalog.jsonb, inferred_status pg_catalog.text,
         inferred_status_from_ancestor_id pg_catalog.text);

CREATE OR REPLACE FUNCTION df.instance_executions(
    instance_id pg_catalog.text, limit_count pg_catalog.int4 DEFAULT 5,
    OUT execution_id pg_catalog.int8, OUT status pg_catalog.text, OUT event_count pg_catalog.int8, OUT duration_ms pg_catalog.int8,
    OUT output pg_catalog.text
) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF limit_count OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'limit_count must be at least 1'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for the default.';
    END IF;
    RETURN QUERY
    SELECT 1::pg_catalog.int8,
           CASE WHEN i.ended_at IS NULL THEN 'Running' WHEN i.completed_at IS NULL THEN 'Failed' ELSE 'Completed' END,
           (SELECT pg_catalog.count(*) FROM postern.step p WHERE p.instance OPERATOR(pg_catalog.=) i.id),
           coalesce((EXTRACT(epoch FROM i.ended_at OPERATOR(pg_catalog.-) i.created_at) OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8, 0),
           coalesce(i.output, i.error OPERATOR(pg_catalog.->>) 'message')
      FROM postern.instance i WHERE i.id OPERATOR(pg_catalog.=) $1;
END
$$;

CREATE OR REPLACE FUNCTION postern.durable_instances(status pg_catalog.text, label pg_catalog.text, after_cursor pg_catalog.text, most pg_catalog.int4)
RETURNS SETOF postern.instance
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parts pg_catalog.text[];
    after_time pg_catalog.timestamptz;
BEGIN
    IF after_cursor IS NOT NULL THEN
        BEGIN
            IF pg_catalog.length(after_cursor) OPERATOR(pg_catalog.>) 512 THEN
                RAISE data_exception;
            END IF;
            parts := pg_catalog.regexp_match(
                pg_catalog.convert_from(pg_catalog.decode(after_cursor, 'hex'), 'UTF8'),
                '^v1\|(\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d(?::\d\d)?)\|([0-9a-f]{8})$');
            after_time := parts[1]::pg_catalog.timestamptz;
            IF after_time IS NULL THEN
                RAISE data_exception;
            END IF;
        EXCEPTION WHEN data_exception THEN
            RAISE EXCEPTION 'df.list_instances: invalid after_cursor'
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the next_cursor of the page before.';
        END;
    END IF;
    RETURN QUERY
    SELECT i.* FROM postern.instance i
     WHERE (durable_instances.status IS NULL
            OR pg_catalog.lower(durable_instances.status) OPERATOR(pg_catalog.=)
               CASE WHEN i.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) i.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN i.paused_at IS NOT NULL THEN 'paused'
                WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END)
       AND (durable_instances.label IS NULL OR i.label OPERATOR(pg_catalog.=) durable_instances.label)
       AND (after_time IS NULL OR i.created_at OPERATOR(pg_catalog.<) after_time
            OR i.created_at OPERATOR(pg_catalog.=) after_time AND i.id OPERATOR(pg_catalog.>) parts[2])
     ORDER BY i.created_at DESC, i.id LIMIT most;
END
$$;

CREATE OR REPLACE FUNCTION postern.durable_check_page(limit_count pg_catalog.int4) RETURNS pg_catalog.int4
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF limit_count IS NULL THEN
        RAISE EXCEPTION 'argument limit_count must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave it out for the default.';
    ELSIF limit_count OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'limit_count must be at least 1'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for the default.';
    ELSIF limit_count OPERATOR(pg_catalog.>) postern.durable_list_limit() THEN
        RAISE EXCEPTION 'df.list_instances: limit_count (%) exceeds pg_durable.list_instances_max_limit (%); request fewer rows, or use the paginated df.list_instances overload (after_cursor/next_cursor) for large result sets',
            limit_count, postern.durable_list_limit()
            USING ERRCODE = 'invalid_parameter_value', HINT = 'postern.list_instances_max_limit is the same setting.';
    END IF;
    RETURN limit_count;
END
$$;

CREATE OR REPLACE FUNCTION df.list_instances(
    status_filter pg_catalog.text DEFAULT NULL, limit_count pg_catalog.int4 DEFAULT 100,
    OUT instance_id pg_catalog.text, OUT label pg_catalog.text, OUT function_name pg_catalog.text, OUT status pg_catalog.text,
    OUT execution_count pg_catalog.int8, OUT output pg_catalog.text
) RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT i.id::pg_catalog.text, i.label, 'pg_durable::orchestration::execute-function-graph',
           CASE WHEN i.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) i.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN i.paused_at IS NOT NULL THEN 'paused'
                WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END,
           1::pg_catalog.int8, coalesce(i.output, i.error OPERATOR(pg_catalog.->>) 'message')
      FROM postern.durable_instances(status_filter, NULL, NULL, postern.durable_check_page(limit_count)) i
     ORDER BY i.created_at DESC, i.id;
END;

CREATE OR REPLACE FUNCTION df.list_instances(
    status_filter pg_catalog.text, limit_count pg_catalog.int4, label_filter pg_catalog.text, after_cursor pg_catalog.text DEFAULT NULL,
    OUT instance_id pg_catalog.text, OUT label pg_catalog.text, OUT function_name pg_catalog.text, OUT status pg_catalog.text,
    OUT execution_count pg_catalog.int8, OUT output pg_catalog.text, OUT created_at pg_catalog.timestamptz,
    OUT completed_at pg_catalog.timestamptz, OUT next_cursor pg_catalog.text
) RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH found AS MATERIALIZED (
        -- One more than the page: it tells whether there is another.
        SELECT i.*, pg_catalog.row_number() OVER (ORDER BY i.created_at DESC, i.id) AS place
          FROM postern.durable_instances(status_filter, label_filter, after_cursor,
                                         postern.durable_check_page(limit_count) OPERATOR(pg_catalog.+) 1) i
    ), next AS (
        SELECT pg_catalog.encode(pg_catalog.convert_to(
                   'v1|' OPERATOR(pg_catalog.||) pg_catalog.to_char(f.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
                   OPERATOR(pg_catalog.||) '+00|' OPERATOR(pg_catalog.||) f.id, 'UTF8'), 'hex') AS next_cursor
          FROM found f
         WHERE f.place OPERATOR(pg_catalog.=) limit_count
           AND EXISTS (SELECT FROM found g WHERE g.place OPERATOR(pg_catalog.>) limit_count)
    )
    SELECT f.id::pg_catalog.text, f.label, 'pg_durable::orchestration::execute-function-graph',
           CASE WHEN f.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) f.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN f.paused_at IS NOT NULL THEN 'paused'
                WHEN f.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(f.id) THEN 'running' ELSE f.status END,
           1::pg_catalog.int8, coalesce(f.output, f.error OPERATOR(pg_catalog.->>) 'message'), f.created_at, f.completed_at,
           (SELECT n.next_cursor FROM next n)
      FROM found f WHERE f.place OPERATOR(pg_catalog.<=) limit_count
     ORDER BY f.place;
END;

DROP FUNCTION df.explain(pg_catalog.text, pg_catalog.text);

CREATE FUNCTION df.explain(input pg_catalog.text, format pg_catalog.text) RETURNS pg_catalog.text
-- No path of its own: an expression means what it means where it is written.
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE AS $$
#variable_conflict use_column
DECLARE
    trimmed pg_catalog.text := pg_catalog.btrim($1, E' \t\r\n');
    subject CONSTANT pg_catalog.text := postern.durable_subject(trimmed);
    graph pg_catalog.text;
    instance pg_catalog.text;
BEGIN
    IF subject OPERATOR(pg_catalog.=) 'instance' THEN
        SELECT i.graph,
               pg_catalog.jsonb_build_object(
                   'id', i.id, 'label', i.label, 'status', pg_catalog.initcap(v.status),
                   'output', coalesce(i.output, i.error OPERATOR(pg_catalog.->>) 'message'),
                   'nodes', (SELECT pg_catalog.jsonb_agg(n.inferred_status ORDER BY n.id)
                               FROM df.nodes n WHERE n.instance_id OPERATOR(pg_catalog.=) i.id),
                   'repeats', (SELECT pg_catalog.jsonb_agg(coalesce(n.status_details OPERATOR(pg_catalog.->>) 'delivery' OPERATOR(pg_catalog.=) 'at-least-once', false) ORDER BY n.id)
                                 FROM df.nodes n WHERE n.instance_id OPERATOR(pg_catalog.=) i.id),
                   'calls', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('node', c.parent_node, 'id', c.id, 'status', s.status, 'of', c.calls))
                               FROM (SELECT DISTINCT ON (k.parent_node) k.parent_node, k.id, pg_catalog.count(*) OVER (PARTITION BY k.parent_node) AS calls
                                       FROM postern.instance k WHERE k.parent OPERATOR(pg_catalog.=) i.id AND k.parent_node IS NOT NULL
                                      ORDER BY k.parent_node, k.created_at DESC, k.id) c
                               JOIN df.instances s ON s.id OPERATOR(pg_catalog.=) c.id))::pg_catalog.text
          INTO graph, instance
          FROM postern.instance i JOIN df.instances v ON v.id OPERATOR(pg_catalog.=) i.id
         WHERE i.id OPERATOR(pg_catalog.=) trimmed;
        IF NOT FOUND THEN
            RETURN pg_catalog.format('Instance %L not found', trimmed);
        END IF;
    ELSIF subject OPERATOR(pg_catalog.=) 'expression' THEN
        EXECUTE 'SELECT (' OPERATOR(pg_catalog.||) trimmed OPERATOR(pg_catalog.||) ')::pg_catalog.text' INTO graph;
        IF graph IS NULL THEN
            RETURN 'Expression returned NULL';
        END IF;
    ELSIF subject OPERATOR(pg_catalog.=) 'unknown' THEN
        RETURN E'Cannot explain input: not a valid Durofut JSON, instance ID, SQL statement, or DSL expression.\n'
               'Hint: an expression is made of df.*() and the operators ~>, |=>, &, |, ?>, !>, @>.';
    ELSE
        graph := trimmed;
    END IF;
    RETURN postern.durable_explain(graph, instance, $2);
END
$$;
COMMENT ON FUNCTION df.explain(pg_catalog.text, pg_catalog.text) IS
    'Draws an instance, or a function that is not started; an expression is evaluated as the caller. Format: text, mermaid or svg';

-- A function of its own, not a default: scripts ask for its signature.
CREATE FUNCTION df.explain(input pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE AS $$
BEGIN
    RETURN df.explain($1, 'text');
END
$$;
COMMENT ON FUNCTION df.explain(pg_catalog.text) IS 'Draws an instance, or a function that is not started, as text';

CREATE OR REPLACE FUNCTION postern.set_quota(
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

CREATE OR REPLACE FUNCTION postern.plain_entries(relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char")
RETURNS pg_catalog.int4
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'plain_entries_wrapper';

CREATE OR REPLACE FUNCTION postern.direct_state(relation pg_catalog.oid, grantee pg_catalog.oid, command pg_catalog."char")
RETURNS pg_catalog.text
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'direct_state_wrapper';

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

CREATE FUNCTION postern.lock_direct(relation pg_catalog.oid, command pg_catalog."char") RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'lock_direct_wrapper';

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

GRANT EXECUTE ON FUNCTION postern.change_plain(pg_catalog.bool, pg_catalog.text, pg_catalog.regclass, pg_catalog.name, pg_catalog.bool) TO PUBLIC;

COMMENT ON FUNCTION postern.change_plain(pg_catalog.bool, pg_catalog.text, pg_catalog.regclass, pg_catalog.name, pg_catalog.bool) IS
    'GRANT or REVOKE of one plain privilege, with a hint where the server refuses';

CREATE OR REPLACE FUNCTION postern.grant_direct(
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

CREATE OR REPLACE FUNCTION postern.revoke_direct(
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

CREATE OR REPLACE FUNCTION postern.revoke(commands pg_catalog.text[], relation pg_catalog.regclass, roles pg_catalog.name[])
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

CREATE FUNCTION postern.is_invoker(reloptions pg_catalog.text[]) RETURNS pg_catalog.bool
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- The server takes whatever is a boolean: yes, 1, a beginning of it.
    SELECT coalesce((SELECT pg_catalog.substr(o.option, 18)::pg_catalog.bool FROM pg_catalog.unnest(reloptions) o (option)
                      WHERE pg_catalog.starts_with(o.option, 'security_invoker=')), false);
END;

GRANT EXECUTE ON FUNCTION postern.is_invoker(pg_catalog.text[]) TO PUBLIC;

COMMENT ON FUNCTION postern.is_invoker(pg_catalog.text[]) IS 'Whether a view with these options reads as whoever asks';

CREATE OR REPLACE FUNCTION postern.is_error(relation pg_catalog.oid, role pg_catalog.oid, command pg_catalog."char") RETURNS pg_catalog.bool
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

CREATE OR REPLACE FUNCTION postern.row_access_of(roles pg_catalog.oid[], relations pg_catalog.oid[])
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

CREATE OR REPLACE FUNCTION postern.explain_view(
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

CREATE OR REPLACE FUNCTION postern.explain_row(
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

CREATE OR REPLACE FUNCTION postern.caller_role(caller postern.caller) RETURNS pg_catalog.oid
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'caller_role_wrapper';

CREATE OR REPLACE FUNCTION postern.create_policy(
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

CREATE OR REPLACE FUNCTION postern.is_trusted_code(function pg_catalog.oid) RETURNS pg_catalog.bool
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Functions that the server came with have an OID below the first that is given to users' objects.
    -- Of an extension only what its script made as a superuser: its owner may add functions of their own to it.
    RETURN is_trusted_code.function < 16384::pg_catalog.oid OR EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
          JOIN pg_catalog.pg_proc p ON p.oid = d.objid JOIN pg_catalog.pg_roles r ON r.oid = p.proowner AND r.rolsuper
         WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = is_trusted_code.function AND d.deptype = 'e'
           AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND e.extname::pg_catalog.text = ANY (pg_catalog.regexp_split_to_array(
                   pg_catalog.btrim(coalesce(pg_catalog.current_setting('postern.trusted_extensions', true), '')), '\s*,\s*')));
END
$$;

COMMENT ON FUNCTION postern.is_trusted_code(pg_catalog.oid) IS
    'Whether everyone may attach the function: it came with the server, or is a superuser''s and of an extension in postern.trusted_extensions';

CREATE FUNCTION postern.types_within(ids pg_catalog.oid[], types pg_catalog.oid[])
RETURNS TABLE (id pg_catalog.oid, type pg_catalog.oid)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE used (id, type) AS (
        SELECT s.id, s.type FROM ROWS FROM (pg_catalog.unnest(ids), pg_catalog.unnest(types)) s (id, type)
         WHERE s.type >= 16384::pg_catalog.oid
        UNION
        SELECT u.id, x.type
          FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type,
               LATERAL (SELECT t.typbasetype
                        UNION ALL SELECT t.typelem
                        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
                        UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid
                        -- What the checks and the default of a domain cast to.
                        UNION ALL SELECT d.refobjid
                                    FROM pg_catalog.pg_constraint c
                                    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
                                   WHERE c.contypid = t.oid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
                        UNION ALL SELECT d.refobjid FROM pg_catalog.pg_depend d
                                   WHERE t.typtype = 'd' AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
                                     AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass) x (type)
         WHERE x.type >= 16384::pg_catalog.oid
    )
    SELECT u.id, u.type FROM used u;
END
$$;

GRANT EXECUTE ON FUNCTION postern.types_within(pg_catalog.oid[], pg_catalog.oid[]) TO PUBLIC;

COMMENT ON FUNCTION postern.types_within(pg_catalog.oid[], pg_catalog.oid[]) IS
    'Users'' types that a value of each type has something of, itself included';

-- It gives more than it did: what reads it is made again.
DROP VIEW postern.replication_notes;
DROP VIEW postern.apply_identity;
DROP VIEW postern.replication_findings;
DROP FUNCTION postern.table_findings(pg_catalog.oid[]);
DROP FUNCTION postern.table_code(pg_catalog.oid[]);
CREATE FUNCTION postern.table_code(relations pg_catalog.oid[])
RETURNS TABLE (
    relation pg_catalog.oid, kind pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text, enabled pg_catalog."char",
    function pg_catalog.oid, type pg_catalog.oid
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH site (relation, kind, object_id, object, enabled, class, tree) AS MATERIALIZED (
        SELECT t.tgrelid, 'when', t.oid, t.tgname::pg_catalog.text, t.tgenabled, 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.tgqual::pg_catalog.text
          FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal AND t.tgqual IS NOT NULL
        UNION ALL
        SELECT c.conrelid, 'check', c.oid, c.conname, NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.conbin::pg_catalog.text
          FROM pg_catalog.pg_constraint c WHERE c.conrelid = ANY (relations) AND c.contype = 'c'
        UNION ALL
        SELECT d.adrelid, CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated' END, d.oid, a.attname, NULL,
               'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.adbin::pg_catalog.text
          FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE d.adrelid = ANY (relations)
        UNION ALL
        SELECT i.indrelid, 'index', c.oid, c.relname, NULL, 'pg_catalog.pg_class'::pg_catalog.regclass,
               pg_catalog.concat(i.indexprs::pg_catalog.text, i.indpred::pg_catalog.text)
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = ANY (relations) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        UNION ALL
        -- Of a partition, too, those of the tables above it: whether a row belongs into it is asked by their keys.
        SELECT r.oid, 'partition key', p.partrelid, CASE WHEN p.partrelid <> r.oid THEN p.partrelid::pg_catalog.regclass::pg_catalog.text END,
               NULL, 'pg_catalog.pg_class'::pg_catalog.regclass, p.partexprs::pg_catalog.text
          FROM pg_catalog.unnest(relations) r (oid)
          JOIN pg_catalog.pg_class c ON c.oid = r.oid AND (c.relispartition OR c.relkind = 'p'),
               LATERAL pg_catalog.pg_partition_ancestors(r.oid) a (relid)
          JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid AND p.partexprs IS NOT NULL
    ), used AS MATERIALIZED (
        SELECT w.id AS relation, t.oid AS type, t.typtype, pg_catalog.format_type(t.oid, NULL) AS name, t.typdefaultbin::pg_catalog.text AS tree
          FROM (SELECT pg_catalog.array_agg(s.relation) AS relations, pg_catalog.array_agg(s.type) AS types
                  FROM (SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = ANY (relations) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384::pg_catalog.oid
                        UNION
                        -- An expression may cast to a domain, or to what has one in it.
                        SELECT s.relation, d.refobjid
                          FROM site s JOIN pg_catalog.pg_depend d ON d.classid = s.class AND d.objid = s.object_id AND d.objsubid = 0
                         WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass) s (relation, type)) s,
               LATERAL postern.types_within(s.relations, s.types) w
          JOIN pg_catalog.pg_type t ON t.oid = w.type
    ), part AS (
        SELECT s.*, NULL::pg_catalog.oid AS type FROM site s
        UNION ALL
        SELECT u.relation, 'domain', c.oid, pg_catalog.format('%s (%s)', u.name, c.conname), NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.conbin::pg_catalog.text, u.type
          FROM used u JOIN pg_catalog.pg_constraint c ON c.contypid = u.type
        UNION ALL
        SELECT u.relation, 'domain', u.type, u.name, NULL, 'pg_catalog.pg_type'::pg_catalog.regclass, u.tree, u.type FROM used u WHERE u.typtype = 'd'
    )
    SELECT t.tgrelid, 'trigger', t.oid, t.tgname::pg_catalog.text, t.tgenabled, t.tgfoid, NULL::pg_catalog.oid
      FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal
    UNION
    SELECT p.relation, p.kind, p.object_id, p.object, p.enabled, f.oid, p.type
      FROM part p
      JOIN pg_catalog.pg_depend d ON d.classid = p.class AND d.objid = p.object_id
      LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
      -- NOT (a = b) is evaluated as the negator of the operator.
      LEFT JOIN pg_catalog.pg_operator n ON n.oid = o.oprnegate,
           LATERAL (SELECT d.refobjid WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                    UNION ALL SELECT o.oprcode::pg_catalog.oid WHERE o.oprcode::pg_catalog.oid <> 0::pg_catalog.oid
                    UNION ALL SELECT n.oprcode::pg_catalog.oid WHERE n.oprcode::pg_catalog.oid <> 0::pg_catalog.oid) f (oid)
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE p.kind = 'when' AND t.oid = p.object_id AND t.tgfoid = d.refobjid)
    UNION
    -- Functions of the server depend on nothing and nothing on them, so they are looked for in the expressions; those only that do what
    -- their arguments say, with the rights of whoever runs them, or that read what these may.
    SELECT p.relation, p.kind, p.object_id, p.object, p.enabled, f.oid, p.type
      FROM part p,
           LATERAL pg_catalog.regexp_matches(p.tree, ':(?:op)?funcid (\d+)', 'g') m (found)
      JOIN pg_catalog.pg_proc f ON f.oid = m.found[1]::pg_catalog.oid AND f.oid < 16384::pg_catalog.oid
     WHERE f.provolatile = 'v'
           AND f.proname <> ALL (ARRAY['nextval', 'currval', 'lastval', 'random', 'random_normal', 'setseed', 'gen_random_uuid', 'uuidv4', 'uuidv7', 'clock_timestamp',
                                       'timeofday', 'txid_current', 'pg_current_xact_id', 'pg_is_in_recovery', 'pg_current_wal_lsn', 'pg_current_wal_insert_lsn']::pg_catalog.name[])
        OR f.proname ~ '_to_xml(schema)?(_and_xmlschema)?$'
    UNION
    -- What makes a range canonical runs for every value, what subtracts its ends in GiST indexes.
    SELECT u.relation, 'range', u.type, u.name, NULL, f.oid, u.type
      FROM used u JOIN pg_catalog.pg_range g ON g.rngtypid = u.type,
           LATERAL (VALUES (g.rngcanonical::pg_catalog.oid), (g.rngsubdiff::pg_catalog.oid)) f (oid)
     WHERE f.oid <> 0::pg_catalog.oid
    UNION
    -- A domain without a check today may have one tomorrow: whose it is counts.
    SELECT u.relation, CASE WHEN u.typtype = 'd' THEN 'domain type' ELSE 'type' END, u.type, u.name, NULL, NULL, u.type FROM used u;
END
$$;

GRANT EXECUTE ON FUNCTION postern.table_code(pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.table_code(pg_catalog.oid[]) IS
    'The functions that run when a row of the tables is written, and what makes each of them run';

CREATE FUNCTION postern.table_findings(relations pg_catalog.oid[])
RETURNS TABLE (
    relation pg_catalog.oid, reason pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text,
    function pg_catalog.oid, function_owner pg_catalog.oid, subscription pg_catalog.oid, severe pg_catalog.bool,
    sentence pg_catalog.text, mend pg_catalog.text, type pg_catalog.oid
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH tab AS MATERIALIZED (
        SELECT c.oid, c.relowner, n.nspname, c.relpersistence, c.relkind, c.oid::pg_catalog.regclass::pg_catalog.text AS name,
               o.rolname AS owner_name, o.rolsuper AS owner_super
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
         WHERE c.oid = ANY (relations)
    ), called AS MATERIALIZED (
        SELECT k.* FROM postern.table_code(relations) k
    ), code AS MATERIALIZED (
        SELECT k.*, t.relowner, t.name, t.owner_name, t.owner_super, p.proowner, p.prosecdef, r.rolname AS runner, r.rolsuper AS runner_super,
               p.proconfig, p.oid::pg_catalog.regprocedure::pg_catalog.text AS function_name,
               postern.is_trusted_code(p.oid) AS trusted,
               pg_catalog.concat(pg_catalog.upper(pg_catalog.left(k.kind, 1)), pg_catalog.substr(k.kind, 2), ' "' || k.object || '"') AS label
          FROM called k
          JOIN tab t ON t.oid = k.relation
          JOIN pg_catalog.pg_proc p ON p.oid = k.function
          JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    ), major AS (
        SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS n
    )
    SELECT t.oid, 'system', t.oid, t.name, NULL::pg_catalog.oid, NULL::pg_catalog.oid, NULL::pg_catalog.oid, true,
           pg_catalog.format('%s is a table of the system.', t.name),
           'Leave it out of the publication.', NULL::pg_catalog.oid
      FROM tab t WHERE t.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')
    UNION ALL
    SELECT t.oid, 'extension', t.oid, e.extname, NULL, NULL, NULL, true,
           pg_catalog.format('%s belongs to the extension "%s".', t.name, e.extname),
           'Publish tables by name, or schemas without it: postern.publication_statement() gives the statement.', NULL
      FROM tab t
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
      JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.oid = d.refobjid
    UNION ALL
    SELECT k.relation, 'foreign', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s of %s runs %s, which belongs to "%s" and not to the table''s owner "%s", and is not SECURITY DEFINER.',
                             k.label, k.name, k.function_name, k.runner, k.owner_name),
           pg_catalog.format('ALTER FUNCTION %s OWNER TO %I; or: ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp;%s',
                             k.function_name, k.owner_name, k.function_name,
                             CASE WHEN k.kind IN ('trigger', 'when') THEN pg_catalog.format(' or: DROP TRIGGER %I ON %s;', k.object, k.name) END),
           k.type
      FROM code k
     WHERE k.proowner <> k.relowner AND NOT k.prosecdef AND NOT k.trusted AND (k.kind = 'trigger' OR NOT k.runner_super)
    UNION ALL
    -- Who holds TRIGGER writes the condition; what it does, it does as whoever writes the row.
    SELECT k.relation, 'told', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('The condition of trigger "%s" of %s calls %s, which does what it is told with the rights of whoever writes a row.', k.object, k.name, k.function_name),
           pg_catalog.format('DROP TRIGGER %I ON %s;', k.object, k.name), k.type
      FROM code k WHERE k.kind = 'when' AND k.function < 16384::pg_catalog.oid
    UNION ALL
    SELECT k.relation, 'setting', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s of %s runs %s, which sets %s.', k.label, k.name, k.function_name, c.name),
           pg_catalog.format('ALTER FUNCTION %s RESET %I;', k.function_name, c.name), k.type
      FROM code k, LATERAL (SELECT pg_catalog.split_part(x, '=', 1) FROM pg_catalog.unnest(k.proconfig) x) c (name)
     WHERE pg_catalog.lower(c.name) IN ('role', 'session_authorization', 'session_replication_role')
    UNION ALL
    SELECT t.oid, 'domain', k.object_id, k.object, NULL, y.typowner, NULL, true,
           pg_catalog.format('Domain %s in %s belongs to "%s", who may add checks to it, and not to the table''s owner "%s".', k.object, t.name, r.rolname, t.owner_name),
           pg_catalog.format('ALTER DOMAIN %s OWNER TO %I;', k.object, t.owner_name), k.type
      FROM called k
      JOIN tab t ON t.oid = k.relation
      JOIN pg_catalog.pg_type y ON y.oid = k.object_id
      JOIN pg_catalog.pg_roles r ON r.oid = y.typowner
     WHERE k.kind = 'domain type' AND y.typowner <> t.relowner AND NOT r.rolsuper
    UNION ALL
    -- On 15 it runs as the owner of the subscription; later versions stop the apply, whatever the function is.
    SELECT t.oid, 'deferred', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s is deferred and fires on apply, outside the identity that apply gives it.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname), NULL
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tginitdeferred AND g.tgenabled IN ('A', 'R') AND NOT (m.n = 15 AND p.prosecdef)
    UNION ALL
    SELECT t.oid, 'truncate', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s fires after TRUNCATE on apply, as the owner of the subscription.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname), NULL
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tgtype & 34 = 32 AND g.tgenabled IN ('A', 'R') AND m.n < 18 AND NOT p.prosecdef
    UNION ALL
    SELECT k.relation, 'subscription', k.object_id, k.object, k.function, k.proowner, s.oid, w.rolsuper AND s.subenabled,
           pg_catalog.format('%s of %s runs %s, which belongs to "%s", as "%s", the owner of subscription "%s"%s.',
                             k.label, k.name, k.function_name, k.runner, w.rolname, s.subname,
                             CASE WHEN w.rolsuper THEN ' and a superuser' ELSE '' END),
           pg_catalog.format('SELECT * FROM postern.subscription_recipe(%L);', s.subname), k.type
      FROM code k
      JOIN (SELECT DISTINCT m.relation, m.subscription FROM postern.replication_members m WHERE m.subscription IS NOT NULL) m
           ON m.relation = k.relation
      JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
      JOIN pg_catalog.pg_roles w ON w.oid = s.subowner
     WHERE (k.enabled IS NULL OR k.enabled IN ('A', 'R'))
       AND NOT k.prosecdef AND NOT k.trusted AND NOT k.runner_super AND k.proowner <> s.subowner
       AND postern.subscription_owner_runs(s.oid)
    UNION ALL
    -- An expression is its table's owner's, whosever functions it calls: it runs with rights that the owner does not have, also to execute.
    SELECT k.relation, 'subscription', k.object_id, k.object, k.function, k.proowner, s.oid, w.rolsuper AND s.subenabled,
           pg_catalog.format('%s of %s, which "%s" has written, calls %s as "%s", the owner of subscription "%s"%s.',
                             k.label, k.name, k.owner_name, k.function_name, w.rolname, s.subname, CASE WHEN w.rolsuper THEN ' and a superuser' ELSE '' END),
           pg_catalog.format('SELECT * FROM postern.subscription_recipe(%L);', s.subname), k.type
      FROM code k
      JOIN (SELECT DISTINCT m.relation, m.subscription FROM postern.replication_members m WHERE m.subscription IS NOT NULL) m
           ON m.relation = k.relation
      JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
      JOIN pg_catalog.pg_roles w ON w.oid = s.subowner
     WHERE k.kind <> 'trigger' AND (k.enabled IS NULL OR k.enabled IN ('A', 'R')) AND NOT k.owner_super AND k.relowner <> s.subowner
       AND (k.function < 16384::pg_catalog.oid OR NOT pg_catalog.has_function_privilege(k.relowner, k.function, 'EXECUTE'))
       AND postern.subscription_owner_runs(s.oid);
END
$$;

GRANT EXECUTE ON FUNCTION postern.table_findings(pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.table_findings(pg_catalog.oid[]) IS
    'Why the tables may not be replicated, and what mends it';

CREATE VIEW postern.replication_findings AS
SELECT c.oid::pg_catalog.regclass AS relation,
       EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = c.oid) AS replicated,
       f.reason, f.object, f.function::pg_catalog.regprocedure AS function, pg_catalog.pg_get_userbyid(f.function_owner) AS function_owner,
       f.sentence, f.mend
  FROM postern.table_findings(ARRAY(
           SELECT c.oid FROM pg_catalog.pg_class c
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
              AND (c.oid >= 16384::pg_catalog.oid OR c.oid IN (SELECT r.prrelid FROM pg_catalog.pg_publication_rel r)))) f
  JOIN pg_catalog.pg_class c ON c.oid = f.relation
 -- An extension's tables are never replicated: nothing is to be said of one that is not.
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
    OR EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = c.oid);
REVOKE ALL ON TABLE postern.replication_findings FROM PUBLIC;
GRANT SELECT ON TABLE postern.replication_findings TO PUBLIC;
COMMENT ON VIEW postern.replication_findings IS
    'Every table that may not be replicated as it is: why, and the commands that mend it';

DROP FUNCTION postern.trigger_facts(pg_catalog.oid);
CREATE FUNCTION postern.trigger_facts(trigger pg_catalog.oid, actor pg_catalog.oid)
RETURNS TABLE (
    trigger_name pg_catalog.text, table_name pg_catalog.text, table_owner pg_catalog.oid, table_owner_name pg_catalog.text,
    function_name pg_catalog.text, function_owner pg_catalog.oid, function_owner_name pg_catalog.text,
    definer pg_catalog.text, trusted pg_catalog.text, foreign_when pg_catalog.text, member pg_catalog.text, findings pg_catalog.text
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    relation pg_catalog.oid;
    called pg_catalog.oid;
    conditional pg_catalog.bool;
    is_member pg_catalog.bool;
BEGIN
    SELECT t.tgname, p.oid, c.oid, c.oid::pg_catalog.regclass, c.relowner, pg_catalog.pg_get_userbyid(c.relowner),
           p.oid::pg_catalog.regprocedure, p.proowner, pg_catalog.pg_get_userbyid(p.proowner), pg_catalog.left(p.prosecdef::pg_catalog.text, 1),
           pg_catalog.left(postern.is_trusted_code(p.oid)::pg_catalog.text, 1), t.tgqual IS NOT NULL
      INTO trigger_name, called, relation, table_name, table_owner, table_owner_name,
           function_name, function_owner, function_owner_name, definer, trusted, conditional
      FROM pg_catalog.pg_trigger t
      JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
      JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
     WHERE t.oid = $1 AND NOT t.tgisinternal;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    is_member := EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = (SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.oid = $1));
    member := pg_catalog.left(is_member::pg_catalog.text, 1);
    foreign_when := '';
    findings := '';
    IF conditional OR is_member THEN
        SELECT coalesce(pg_catalog.string_agg(DISTINCT coalesce(f.function::pg_catalog.regprocedure::pg_catalog.text, f.object), ', ')
                            FILTER (WHERE conditional AND f.reason IN ('foreign', 'domain', 'told') AND f.function IS DISTINCT FROM called), ''),
               coalesce(pg_catalog.string_agg(DISTINCT f.sentence, ' ') FILTER (WHERE is_member AND f.severe), '')
          INTO foreign_when, findings
          FROM postern.table_findings(ARRAY[relation]) f
         WHERE f.object_id = $1
            -- What the condition casts to.
            OR f.type IN (SELECT w.type FROM pg_catalog.pg_depend d, LATERAL postern.types_within(ARRAY[d.objid], ARRAY[d.refobjid]) w
                           WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND d.objid = $1
                             AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass);
    END IF;
    IF conditional THEN
        -- What its author may not execute, whoever writes a row would for it.
        SELECT pg_catalog.concat_ws(', ', nullif(foreign_when, ''), pg_catalog.string_agg(DISTINCT k.function::pg_catalog.regprocedure::pg_catalog.text, ', '))
          INTO foreign_when
          FROM postern.table_code(ARRAY[relation]) k
         WHERE k.object_id = $1 AND k.kind = 'when' AND k.function >= 16384::pg_catalog.oid AND NOT pg_catalog.has_function_privilege($2, k.function, 'EXECUTE');
    END IF;
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION postern.trigger_facts(pg_catalog.oid, pg_catalog.oid) FROM PUBLIC;

COMMENT ON FUNCTION postern.trigger_facts(pg_catalog.oid, pg_catalog.oid) IS 'What the rules ask about a trigger that was made';

CREATE FUNCTION postern.code_users(classes pg_catalog.oid[], objects pg_catalog.oid[]) RETURNS SETOF pg_catalog.oid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE node (class, object, sub) AS (
        SELECT s.class, s.object, 0 FROM ROWS FROM (pg_catalog.unnest(classes), pg_catalog.unnest(objects)) s (class, object)
        UNION
        SELECT x.class, x.object, x.sub
          FROM node n,
               LATERAL (
                   SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d
                    WHERE n.class = ANY (ARRAY['pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass]::pg_catalog.oid[])
                      AND d.refclassid = n.class AND d.refobjid = n.object
                      AND d.classid = ANY (ARRAY['pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
                                                 'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_trigger'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass]::pg_catalog.oid[])
                   UNION ALL
                   SELECT n.class, o.oid, 0 FROM pg_catalog.pg_operator o
                    WHERE n.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oprnegate = n.object
                   UNION ALL
                   SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.contypid, 0 FROM pg_catalog.pg_constraint c
                    WHERE n.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.oid = n.object AND c.contypid <> 0::pg_catalog.oid
                   UNION ALL
                   -- A column of a composite type, or of a table that is the type of another's column.
                   SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.reltype, 0 FROM pg_catalog.pg_class c
                    WHERE n.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND n.sub <> 0 AND c.oid = n.object AND c.reltype <> 0::pg_catalog.oid
               ) x (class, object, sub)
    ), relation AS (
        SELECT t.tgrelid AS oid FROM node n JOIN pg_catalog.pg_trigger t ON n.class = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = n.object
        UNION
        SELECT c.conrelid FROM node n JOIN pg_catalog.pg_constraint c ON n.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.oid = n.object AND c.conrelid <> 0::pg_catalog.oid
        UNION
        SELECT d.adrelid FROM node n JOIN pg_catalog.pg_attrdef d ON n.class = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.oid = n.object
        UNION
        SELECT coalesce(i.indrelid, n.object)
          FROM node n LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = n.object
         WHERE n.class = 'pg_catalog.pg_class'::pg_catalog.regclass
    )
    SELECT r.oid FROM relation r
    UNION
    -- The key of a partitioned table is its partitions', too.
    SELECT p.relid::pg_catalog.oid FROM relation r JOIN pg_catalog.pg_class c ON c.oid = r.oid AND c.relkind = 'p', LATERAL pg_catalog.pg_partition_tree(r.oid) p;
END
$$;

REVOKE ALL ON FUNCTION postern.code_users(pg_catalog.oid[], pg_catalog.oid[]) FROM PUBLIC;

COMMENT ON FUNCTION postern.code_users(pg_catalog.oid[], pg_catalog.oid[]) IS
    'The tables that have the functions, operators or types in code that runs when a row is written';

CREATE OR REPLACE FUNCTION postern.replication_judgement(
    classes pg_catalog.text, objects pg_catalog.text, subs pg_catalog.text, owners_before pg_catalog.text, schemas_before pg_catalog.text
) RETURNS TABLE (at pg_catalog.int4, what pg_catalog.text, subject pg_catalog.text, owner pg_catalog.text, sentence pg_catalog.text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    touched_classes CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(classes, ',')::pg_catalog.oid[];
    touched_objects CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(objects, ',')::pg_catalog.oid[];
    touched_subs CONSTANT pg_catalog.int4[] := pg_catalog.string_to_array(subs, ',')::pg_catalog.int4[];
    roots pg_catalog.oid[] := '{}';
    root_classes pg_catalog.oid[] := '{}';
    concerned pg_catalog.oid[] := '{}';
    every pg_catalog.bool := false;
    relevant pg_catalog.oid[];
BEGIN
    -- Only tables are looked at that can have something of what was touched; of a role or an extension, all that are replicated.
    FOR n IN 1 .. pg_catalog.cardinality(touched_objects) LOOP
        CASE touched_classes[n]
        WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
            concerned := pg_catalog.array_append(concerned, touched_objects[n]);
            -- A column of it may be within another table's.
            IF touched_subs[n] <> 0 OR (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = touched_objects[n]) = 'c' THEN
                root_classes := pg_catalog.array_append(root_classes, 'pg_catalog.pg_type'::pg_catalog.regclass);
                roots := pg_catalog.array_append(roots, (SELECT c.reltype FROM pg_catalog.pg_class c WHERE c.oid = touched_objects[n]));
            END IF;
        WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_inherits'::pg_catalog.regclass THEN
            concerned := pg_catalog.array_append(concerned, touched_objects[n]);
        WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN
            concerned := pg_catalog.array_append(concerned, (SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.oid = touched_objects[n]));
        WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass THEN
            root_classes := pg_catalog.array_append(root_classes, touched_classes[n]);
            roots := pg_catalog.array_append(roots, touched_objects[n]);
        WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN
            root_classes := pg_catalog.array_append(root_classes, touched_classes[n]);
            roots := pg_catalog.array_append(roots, touched_objects[n]);
            -- What uses a function of the server is written nowhere.
            every := every OR touched_objects[n] < 16384::pg_catalog.oid;
        WHEN 'pg_catalog.pg_authid'::pg_catalog.regclass, 'pg_catalog.pg_extension'::pg_catalog.regclass THEN
            every := true;
        ELSE
            concerned := concerned || ARRAY(
                SELECT m.relation FROM postern.replication_members m WHERE touched_objects[n] IN (m.source, m.publication, m.subscription));
        END CASE;
    END LOOP;
    IF NOT every THEN
        IF pg_catalog.cardinality(roots) > 0 THEN
            concerned := concerned || ARRAY(SELECT u.oid FROM postern.code_users(root_classes, roots) u (oid));
        END IF;
        concerned := concerned || ARRAY(SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = ANY (concerned))
            || ARRAY(SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_class c, LATERAL pg_catalog.pg_partition_tree(c.oid) p
                      WHERE c.oid = ANY (concerned) AND c.relkind = 'p');
        IF pg_catalog.cardinality(concerned) = 0 THEN
            RETURN;
        END IF;
    END IF;
    relevant := ARRAY(SELECT DISTINCT m.relation FROM postern.replication_members m WHERE every OR m.relation = ANY (concerned));
    IF pg_catalog.cardinality(relevant) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH touched AS MATERIALIZED (
        SELECT (t.n - 1)::pg_catalog.int4 AS at, t.class, t.object, t.sub, t.owner_before, t.schema_before
          FROM ROWS FROM (
                   pg_catalog.unnest(touched_classes), pg_catalog.unnest(touched_objects), pg_catalog.unnest(touched_subs),
                   pg_catalog.unnest(pg_catalog.string_to_array(owners_before, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(schemas_before, ',')::pg_catalog.oid[])
               ) WITH ORDINALITY t (class, object, sub, owner_before, schema_before, n)
    ), seed AS (
        -- The types that each of them names.
        SELECT pg_catalog.array_agg(t.at::pg_catalog.oid) AS ids, pg_catalog.array_agg(d.refobjid) AS types
          FROM touched t
          -- Of a default the server names the table and the column.
          LEFT JOIN pg_catalog.pg_attrdef a ON t.class = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.adrelid = t.object AND a.adnum = t.sub
          JOIN pg_catalog.pg_depend d ON d.classid = t.class AND d.objid = coalesce(a.oid, t.object)
           AND d.objsubid = CASE t.class WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN t.sub ELSE 0 END
         WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    ), within AS MATERIALIZED (
        SELECT w.id::pg_catalog.int8 AS at, w.type FROM seed s, LATERAL postern.types_within(s.ids, s.types) w
    ), member AS MATERIALIZED (
        SELECT m.* FROM postern.replication_members m
    ), finding AS MATERIALIZED (
        SELECT f.* FROM postern.table_findings(relevant) f
    )
    SELECT DISTINCT t.at, 'table', f.relation::pg_catalog.regclass::pg_catalog.text, '', f.sentence
      FROM touched t JOIN finding f ON f.severe AND (f.type IS NOT NULL AND t.class <> 'pg_catalog.pg_trigger'::pg_catalog.regclass
               AND EXISTS (SELECT FROM within w WHERE w.at = t.at AND w.type = f.type) OR CASE t.class
           WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN
               -- It fires otherwise than before, and fires at all.
               EXISTS (SELECT FROM pg_catalog.pg_trigger g
                        WHERE g.oid = t.object AND g.tgenabled <> 'D' AND g.tgenabled <> pg_catalog.chr(t.sub)::pg_catalog."char"
                          AND (f.object_id = t.object OR f.relation = g.tgrelid AND EXISTS (SELECT FROM within w WHERE w.at = t.at AND w.type = f.type)))
           WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN f.function = t.object
           WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN
               f.function = (SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_operator o WHERE o.oid = t.object)
           WHEN 'pg_catalog.pg_authid'::pg_catalog.regclass THEN
               f.function_owner = t.object
               OR f.subscription IN (SELECT s.oid FROM pg_catalog.pg_subscription s WHERE s.subowner = t.object)
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
               f.object_id = t.object
               OR f.relation = t.object AND (
                   -- New, or new in its schema: all of it. Of a new owner: what was the old one's.
                   t.owner_before = 0::pg_catalog.oid AND t.sub = 0
                   OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.object
                               AND (c.relnamespace <> t.schema_before OR c.relowner <> t.owner_before AND f.function_owner = t.owner_before)))
           WHEN 'pg_catalog.pg_inherits'::pg_catalog.regclass THEN
               f.relation = t.object OR f.relation IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(t.object) p)
           WHEN 'pg_catalog.pg_extension'::pg_catalog.regclass THEN
               EXISTS (SELECT FROM pg_catalog.pg_extension e
                        WHERE e.oid = t.object
                          AND (f.reason = 'extension' AND e.extname = f.object
                               -- A function that it has no more is not everyone's any more.
                               OR f.reason = 'foreign' AND e.extname::pg_catalog.text = ANY (pg_catalog.regexp_split_to_array(
                                      pg_catalog.btrim(coalesce(pg_catalog.current_setting('postern.trusted_extensions', true), '')), '\s*,\s*'))
                                  AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = f.function_owner)))
           WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN
               f.object_id = (SELECT d.oid FROM pg_catalog.pg_attrdef d WHERE d.adrelid = t.object AND d.adnum = t.sub)
           WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN f.object_id = t.object
           WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN f.object_id = t.object
           ELSE false END)
    UNION
    SELECT t.at, 'publication', f.relation::pg_catalog.regclass::pg_catalog.text, '', f.sentence
      FROM touched t
      JOIN member m ON m.publication IS NOT NULL
           AND (m.class = t.class AND m.source = t.object
                -- A publication that is made names its tables by itself.
                OR t.class = 'pg_catalog.pg_publication'::pg_catalog.regclass AND m.publication = t.object)
      JOIN finding f ON f.relation = m.relation AND f.reason <> 'subscription'
    UNION
    -- 'made': a subscription that was made just now, 'running': one that is enabled, 'prepared': one that is not, or whose owner may
    -- not do more than whose code it runs.
    SELECT t.at, CASE WHEN NOT s.subenabled OR f.reason = 'subscription' AND NOT f.severe THEN 'prepared' WHEN t.sub = 1 THEN 'made' ELSE 'running' END,
           s.subname::pg_catalog.text, pg_catalog.pg_get_userbyid(s.subowner)::pg_catalog.text, f.sentence
      FROM touched t
      JOIN pg_catalog.pg_subscription s ON t.class = 'pg_catalog.pg_subscription'::pg_catalog.regclass AND s.oid = t.object
      JOIN member m ON m.subscription = s.oid
      JOIN finding f ON f.relation = m.relation AND (f.reason <> 'subscription' OR f.subscription = s.oid);
END
$$;

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

CREATE OR REPLACE FUNCTION postern.apply_fix(sqlstate pg_catalog.text, message pg_catalog.text, context pg_catalog.text) RETURNS pg_catalog.text
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

CREATE OR REPLACE FUNCTION postern.rehearse_apply(relation pg_catalog.regclass, sample pg_catalog.jsonb DEFAULT NULL)
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

CREATE OR REPLACE FUNCTION postern.roles_for(class pg_catalog.oid, member pg_catalog.oid)
RETURNS TABLE (object pg_catalog.text, roles pg_catalog.text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    privileges pg_catalog.aclitem[];
    schemas pg_catalog.oid[];
BEGIN
    IF class = 'pg_catalog.pg_proc'::pg_catalog.regclass
       AND (SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.oid = $2) IN ('http', 'http_multipart', 'metrics') THEN
        RETURN;
    END IF;
    SELECT c.relacl, ARRAY[c.relnamespace] INTO privileges, schemas FROM pg_catalog.pg_class c
     WHERE class = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = $2;
    IF NOT FOUND THEN
        SELECT p.proacl, ARRAY[p.pronamespace] INTO privileges, schemas FROM pg_catalog.pg_proc p
         WHERE class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = $2;
    END IF;
    IF NOT FOUND THEN
        SELECT n.nspacl, ARRAY[n.oid] INTO privileges, schemas FROM pg_catalog.pg_namespace n
         WHERE class = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND n.oid = $2;
    END IF;
    object := pg_catalog.pg_describe_object(class, $2, 0);
    -- Those of our roles that have something of it, but for the logins of our own programs.
    SELECT coalesce(pg_catalog.string_agg(DISTINCT r.rolname::pg_catalog.text, ', '), '') INTO roles
      FROM pg_catalog.aclexplode(privileges) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
     WHERE r.rolname IN ('postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts');
    RETURN NEXT;
END
$$;

CREATE OR REPLACE FUNCTION postern.note_apply_error(
    subscription pg_catalog.oid, relation pg_catalog.oid, kind pg_catalog.text, sqlstate pg_catalog.text, message pg_catalog.text,
    origin pg_catalog.text, in_code pg_catalog.bool, at pg_catalog.timestamptz
) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
    name CONSTANT pg_catalog.name := (
        SELECT s.subname FROM pg_catalog.pg_subscription s
         WHERE s.oid = $1 AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()));
    target pg_catalog.oid := nullif($2, 0::pg_catalog.oid);
BEGIN
    IF name IS NULL THEN
        RETURN;
    END IF;
    IF target IS NULL THEN
        -- The server names the table as schema.table between the quotation marks of its language, with nothing quoted inside. If it could be one
        -- of two, it is neither: who may read one of them may not have to do with the other.
        SELECT CASE WHEN pg_catalog.count(*) = 1 THEN pg_catalog.min(c.oid) END INTO target
          FROM pg_catalog.pg_subscription_rel r
          JOIN pg_catalog.pg_class c ON c.oid = r.srrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
               LATERAL (SELECT pg_catalog.concat(n.nspname, '.', c.relname)) t (text),
               LATERAL (SELECT pg_catalog.strpos($6, t.text)) p (at)
         WHERE r.srsubid = $1 AND p.at > 1 AND pg_catalog.substr($6, p.at - 1, 1) ~ '[^\w.]'
           AND pg_catalog.substr($6, p.at + pg_catalog.length(t.text), 1) ~ '[^\w.]';
    END IF;
    -- Two at once would count the same errors twice.
    LOCK TABLE postern.apply_conflicts IN SHARE ROW EXCLUSIVE MODE;
    PERFORM postern.keep_apply_conflict(
        name, target, $3, 1, pg_catalog.substring($6, '\m([0-9A-F]{1,8}/[0-9A-F]{1,8})\M[^/"]*$')::pg_catalog.pg_lsn, $4,
        -- What code raises can tell of other tables than this one. The names of what is missing, and of constraints, do not.
        CASE WHEN NOT $7 OR pg_catalog.left($4, 2) IN ('23', '42') THEN nullif($5, '') END, $8);
    IF $3 = 'conflict' THEN
        RETURN;
    END IF;
    -- Somebody may have looked at the counters between the error and now: then it has been written down without its message.
    UPDATE postern.apply_conflicts c SET errors = c.errors - 1
     WHERE c.id = (SELECT o.id FROM postern.apply_conflicts o
                    WHERE o.subscription = name AND o.kind = $3 AND o.sqlstate IS NULL AND o.last_at >= $8 ORDER BY o.id DESC LIMIT 1);
    IF FOUND THEN
        DELETE FROM postern.apply_conflicts c WHERE c.subscription = name AND c.errors = 0;
    ELSE
        INSERT INTO postern.apply_counts AS c (subscription, kind, noted, noted_at) VALUES ($1, $3, 1, $8)
        ON CONFLICT ON CONSTRAINT apply_counts_pkey DO UPDATE SET noted = c.noted + 1, noted_at = excluded.noted_at;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION postern.code_basis(relations pg_catalog.text)
RETURNS TABLE (class pg_catalog.oid, object pg_catalog.oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN k.function IS NULL THEN 'pg_catalog.pg_type'::pg_catalog.regclass ELSE 'pg_catalog.pg_proc'::pg_catalog.regclass END::pg_catalog.oid,
           coalesce(k.function, k.type)
      FROM postern.table_code(pg_catalog.string_to_array(relations, ',')::pg_catalog.oid[]) k
     WHERE k.function IS NULL OR k.function >= 16384::pg_catalog.oid
     GROUP BY 1, 2 ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION postern.code_basis(pg_catalog.text) IS 'The functions and types that tables have in code that runs when a row is written';

CREATE OR REPLACE FUNCTION postern.replication_basis(sources pg_catalog.text)
RETURNS TABLE (class pg_catalog.oid, object pg_catalog.oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    touched CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(sources, ',')::pg_catalog.oid[];
    relations CONSTANT pg_catalog.oid[] := ARRAY(
        SELECT DISTINCT m.relation FROM postern.replication_members m
         WHERE m.source = ANY (touched) OR m.publication = ANY (touched) OR m.subscription = ANY (touched)
            OR m.relation IN (SELECT p.relid FROM pg_catalog.unnest(touched) t (oid), pg_catalog.pg_partition_tree(t.oid) p));
BEGIN
    RETURN QUERY
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, r.oid FROM pg_catalog.unnest(relations) r (oid)
    UNION
    -- A table may be on its way into a schema.
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.pnnspid FROM pg_catalog.pg_publication_namespace n
     WHERE n.oid = ANY (touched) OR n.pnpubid = ANY (touched)
    UNION
    SELECT b.class, b.object FROM postern.code_basis(pg_catalog.array_to_string(relations, ',')) b
     ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION postern.replication_basis(pg_catalog.text) IS
    'The tables and schemas that a publication, subscription or partition makes replicated ones, and the code that they have';

CREATE VIEW postern.replication_notes AS
WITH member AS MATERIALIZED (
    SELECT DISTINCT m.relation AS oid FROM postern.replication_members m
), tab AS MATERIALIZED (
    SELECT c.oid, c.oid::pg_catalog.regclass AS relation, c.relowner, c.relacl, c.relreplident, c.relkind
      FROM member m JOIN pg_catalog.pg_class c ON c.oid = m.oid
), code AS MATERIALIZED (
    SELECT t.relation, t.relowner, t.relacl, k.kind, k.object_id, k.object, p.oid AS function, p.proowner, p.prosecdef, p.prosrc,
           l.lanname, l.lanpltrusted
      FROM postern.table_code(ARRAY(SELECT m.oid FROM member m)) k
      JOIN tab t ON t.oid = k.relation
      JOIN pg_catalog.pg_proc p ON p.oid = k.function
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     WHERE NOT postern.is_trusted_code(p.oid)
)
SELECT c.relation, 'arguments' AS note, c.object, c.function::pg_catalog.regprocedure AS function,
       pg_catalog.format('Trigger "%s" of %s steers by its arguments what %s executes; whoever may attach the function chooses them.',
                         c.object, c.relation, c.function::pg_catalog.regprocedure) AS sentence
  FROM code c JOIN pg_catalog.pg_trigger t ON c.kind = 'trigger' AND t.oid = c.object_id
 WHERE t.tgnargs > 0 AND c.prosrc ~* '\mtg_argv\M' AND c.prosrc ~* '\mexecute\M'
UNION ALL
SELECT c.relation, 'definer', c.object, c.function,
       pg_catalog.format('Trigger "%s" of %s runs as "%s", who sees every row that is written and may change it.',
                         c.object, c.relation, pg_catalog.pg_get_userbyid(c.proowner))
  FROM code c WHERE c.kind = 'trigger' AND c.prosecdef AND c.proowner <> c.relowner
UNION ALL
SELECT c.relation, 'execute', c.object, c.function,
       pg_catalog.format('Trigger "%s" of %s fires, though nobody who may attach triggers to the table may execute %s any more.',
                         c.object, c.relation, c.function::pg_catalog.regprocedure)
  FROM code c
 WHERE c.kind = 'trigger' AND NOT pg_catalog.has_function_privilege(c.relowner, c.function, 'EXECUTE')
   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) a
                    WHERE a.privilege_type = 'TRIGGER'
                      AND (a.grantee = 0::pg_catalog.oid AND pg_catalog.has_function_privilege('public', c.function, 'EXECUTE')
                           OR a.grantee <> 0::pg_catalog.oid AND pg_catalog.has_function_privilege(a.grantee, c.function, 'EXECUTE')))
UNION ALL
SELECT c.relation, 'language', c.object, c.function,
       pg_catalog.format('%s of %s runs %s, which is written in %s: nothing holds it in.',
                         pg_catalog.concat(pg_catalog.upper(pg_catalog.left(c.kind, 1)), pg_catalog.substr(c.kind, 2), ' "' || c.object || '"'), c.relation, c.function::pg_catalog.regprocedure, c.lanname)
  FROM code c WHERE NOT c.lanpltrusted
UNION ALL
SELECT t.relation, 'rule', r.rulename::pg_catalog.text, NULL,
       pg_catalog.format('Rule "%s" of %s does not fire on apply, and does for who writes rows by statements.', r.rulename, t.relation)
  FROM tab t JOIN pg_catalog.pg_rewrite r ON r.ev_class = t.oid
UNION ALL
SELECT t.relation, 'type', a.attname::pg_catalog.text, y.typinput,
       pg_catalog.format('Column "%s" of %s has the type %s, whose input function the server did not come with.',
                         a.attname, t.relation, pg_catalog.format_type(y.oid, NULL))
  FROM tab t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
 WHERE y.typinput >= 16384::pg_catalog.oid AND NOT postern.is_trusted_code(y.typinput)
UNION ALL
SELECT DISTINCT t.relation, 'operator class', x.indexrelid::pg_catalog.regclass::pg_catalog.text, a.amproc::pg_catalog.oid,
       pg_catalog.format('Index %s of %s uses the operator class %s, whose function %s the server did not come with.',
                         x.indexrelid::pg_catalog.regclass, t.relation, pg_catalog.quote_ident(o.opcname), a.amproc::pg_catalog.regprocedure)
  FROM tab t
  JOIN pg_catalog.pg_index x ON x.indrelid = t.oid
  JOIN pg_catalog.pg_opclass o ON o.oid = ANY (x.indclass)
  JOIN pg_catalog.pg_amproc a ON a.amprocfamily = o.opcfamily
 WHERE a.amproc::pg_catalog.oid >= 16384::pg_catalog.oid AND NOT postern.is_trusted_code(a.amproc)
UNION ALL
SELECT t.relation, 'identity', NULL, NULL,
       pg_catalog.format('%s has no replica identity, and its updates or deletes are published: they fail.', t.relation)
  FROM tab t
 WHERE EXISTS (SELECT FROM postern.replication_members m JOIN pg_catalog.pg_publication p ON p.oid = m.publication
                WHERE m.relation = t.oid AND (p.pubupdate OR p.pubdelete))
   AND (t.relkind = 'r' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = t.oid))
   AND NOT CASE t.relreplident
           WHEN 'f' THEN true
           WHEN 'd' THEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indisprimary)
           WHEN 'i' THEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indisreplident)
           ELSE false END
UNION ALL
SELECT DISTINCT a.relation::pg_catalog.regclass, 'row security', a.applier::pg_catalog.text, NULL::pg_catalog.oid,
       pg_catalog.format('%s has row security that holds for "%s", as whom its rows are applied: apply stops.', a.relation::pg_catalog.regclass, a.applier)
  FROM postern.apply_row_security a
UNION ALL
SELECT NULL, 'parameter', a.grantee::pg_catalog.regrole::pg_catalog.text, NULL,
       pg_catalog.format('%s may set session_replication_role, and so write rows without triggers.',
                         CASE a.grantee WHEN 0::pg_catalog.oid THEN 'Everybody' ELSE 'Role "' || pg_catalog.pg_get_userbyid(a.grantee) || '"' END)
  FROM pg_catalog.pg_parameter_acl q, LATERAL pg_catalog.aclexplode(q.paracl) a
 WHERE q.parname = 'session_replication_role' AND a.privilege_type = 'SET'
   AND NOT coalesce((SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = a.grantee), false)
UNION ALL
-- A setting that the library did not define, but somebody made up, is not in the view.
SELECT NULL, 'enforcement', s.setting, NULL,
       CASE WHEN s.setting IS NULL THEN 'The library is not loaded (shared_preload_libraries): nothing is refused.'
            ELSE pg_catalog.format('postern.trigger_rule is %s: nothing is refused.', s.setting) END
  FROM (SELECT (SELECT g.setting FROM pg_catalog.pg_settings g WHERE g.name = 'postern.trigger_rule')) s (setting)
 WHERE s.setting IS NULL OR s.setting IN ('off', 'warn');
REVOKE ALL ON TABLE postern.replication_notes FROM PUBLIC;
GRANT SELECT ON TABLE postern.replication_notes TO PUBLIC;
COMMENT ON VIEW postern.replication_notes IS
    'What is allowed about replicated tables and worth to know, and whether the rules are in force';

-- What the library does itself now.
DROP FUNCTION postern.direct_write(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog.bool, pg_catalog.bool);
DROP FUNCTION postern.row_security_write(pg_catalog.oid, pg_catalog.oid, pg_catalog.oid, pg_catalog."char", pg_catalog."char");
DROP FUNCTION postern.direct_reconcile(pg_catalog.text);
DROP FUNCTION postern.direct_entries();
DROP FUNCTION postern.direct_prune();

-- ---- The end of the changes ----

-- Default privileges of whoever runs this script, and its ownership, reach nothing of ours: see 90_privileges.sql.
DO $privileges$
DECLARE
    before CONSTANT pg_catalog.text[] := pg_catalog.string_to_array(pg_catalog.current_setting('upgrade.before'), ',');
    owner CONSTANT pg_catalog.oid := (SELECT e.extowner FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'postern');
    object pg_catalog.text;
    kind pg_catalog.text;
    grantee pg_catalog.name;
BEGIN
    FOR kind, object, grantee IN
        SELECT o.kind, o.object, r.rolname
          FROM (
              SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner, p.proacl
                FROM pg_catalog.pg_proc p
               WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
                 AND 'p' OPERATOR(pg_catalog.||) p.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
              UNION ALL
              SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner, c.relacl
                FROM pg_catalog.pg_class c
               WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
                 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'v', 'S']::pg_catalog."char"[])
                 AND 'c' OPERATOR(pg_catalog.||) c.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
          ) o (kind, object, owner, acl),
          LATERAL (SELECT DISTINCT a.grantee FROM pg_catalog.aclexplode(o.acl) a) g
          JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.grantee
         WHERE g.grantee OPERATOR(pg_catalog.<>) o.owner
           AND r.rolname OPERATOR(pg_catalog.<>)
               ALL (ARRAY['postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts', 'postern_gate', 'postern_outbound']::pg_catalog.name[])
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %I CASCADE', kind, object, grantee);
    END LOOP;
    FOR kind, object IN
        SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
           AND 'p' OPERATOR(pg_catalog.||) p.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
           AND p.proowner OPERATOR(pg_catalog.<>) owner
        UNION ALL
        SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text
          FROM pg_catalog.pg_class c
         WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[])
           AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'v']::pg_catalog."char"[])
           AND 'c' OPERATOR(pg_catalog.||) c.oid::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (before)
           AND c.relowner OPERATOR(pg_catalog.<>) owner
    LOOP
        EXECUTE pg_catalog.format('ALTER %s %s OWNER TO %I', kind, object, pg_catalog.pg_get_userbyid(owner));
    END LOOP;
END
$privileges$;
