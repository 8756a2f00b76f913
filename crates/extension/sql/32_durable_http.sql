-- Durable functions: HTTP steps. A step writes what is to be sent; the outbound worker, a program outside the server, takes it,
-- sends it and writes what came back. So no process of the server ever talks to the network, and no step waits inside one.
--
-- A request may be sent more than once: a worker can end between sending and writing. Each has a key of its own for the other
-- side (the header Idempotency-Key), and `sends` counts how often it was taken.

DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) 'postern_outbound') THEN
        -- Without a password nobody logs in by one until an administrator gives one.
        CREATE ROLE postern_outbound LOGIN NOINHERIT;
    END IF;
END
$roles$;
COMMENT ON ROLE postern_outbound IS 'Postern: the login of the outbound worker; it owns nothing, is a member of nothing, and may do nothing but take HTTP requests and write what came back';

-- Who may reach what -----------------------------------------------------------------------------------------------------------

CREATE TABLE postern.http_allow (
    id pg_catalog.int4 GENERATED ALWAYS AS IDENTITY,
    role pg_catalog.regrole,
    scheme pg_catalog.text NOT NULL,
    host pg_catalog.text NOT NULL,
    ports pg_catalog.int4[] NOT NULL,
    methods pg_catalog.text[],
    created_by pg_catalog.name NOT NULL DEFAULT SESSION_USER,
    created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT http_allow_pkey PRIMARY KEY (id)
);
CREATE INDEX http_allow_host ON postern.http_allow (host);
REVOKE ALL ON TABLE postern.http_allow FROM PUBLIC;
GRANT SELECT ON TABLE postern.http_allow TO postern_admin, postern_monitor;
COMMENT ON TABLE postern.http_allow IS 'What HTTP steps may reach; changed by postern.allow_http() and postern.forbid_http()';
COMMENT ON COLUMN postern.http_allow.role IS 'For this role and its members; NULL: for every role';
COMMENT ON COLUMN postern.http_allow.host IS 'A name, or *.name for every name below it';
COMMENT ON COLUMN postern.http_allow.methods IS 'NULL: all';
SELECT pg_catalog.pg_extension_config_dump('postern.http_allow', '');
SELECT pg_catalog.pg_extension_config_dump('postern.http_allow_id_seq', '');
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.http_allow
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.http_allow ENABLE ALWAYS TRIGGER written_by_us;

CREATE FUNCTION postern.allow_http(
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
REVOKE ALL ON FUNCTION postern.allow_http(pg_catalog.text, pg_catalog.regrole, pg_catalog.text[], pg_catalog.int4[], pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.allow_http(pg_catalog.text, pg_catalog.regrole, pg_catalog.text[], pg_catalog.int4[], pg_catalog.text) TO postern_admin;
COMMENT ON FUNCTION postern.allow_http(pg_catalog.text, pg_catalog.regrole, pg_catalog.text[], pg_catalog.int4[], pg_catalog.text) IS
    'Lets HTTP steps of a role, or of all roles, reach a host; gives the number of the entry';

CREATE FUNCTION postern.forbid_http(host pg_catalog.text, role pg_catalog.regrole DEFAULT NULL) RETURNS pg_catalog.int4
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone pg_catalog.int4;
BEGIN
    DELETE FROM postern.http_allow a
     WHERE a.host OPERATOR(pg_catalog.=) pg_catalog.lower($1) AND a.role IS NOT DISTINCT FROM $2;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
REVOKE ALL ON FUNCTION postern.forbid_http(pg_catalog.text, pg_catalog.regrole) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.forbid_http(pg_catalog.text, pg_catalog.regrole) TO postern_admin;
COMMENT ON FUNCTION postern.forbid_http(pg_catalog.text, pg_catalog.regrole) IS
    'Takes back what postern.allow_http() gave for this host to this role, or to all roles; gives how many entries';

CREATE FUNCTION postern.http_is_private(host pg_catalog.text, port pg_catalog.int4) RETURNS pg_catalog.bool
LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT (host OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) port::pg_catalog.text) OPERATOR(pg_catalog.=) ANY (
        pg_catalog.string_to_array(pg_catalog.replace(coalesce(
            pg_catalog.current_setting('postern.http_private_hosts', true), ''), ' ', ''), ','));
END;
REVOKE ALL ON FUNCTION postern.http_is_private(pg_catalog.text, pg_catalog.int4) FROM PUBLIC;
COMMENT ON FUNCTION postern.http_is_private(pg_catalog.text, pg_catalog.int4) IS
    'Whether postern.http_private_hosts names it, so that it may have an address of a private network';

CREATE FUNCTION postern.http_refusal(
    owner pg_catalog.oid, multipart pg_catalog.bool, scheme pg_catalog.text, host pg_catalog.text, port pg_catalog.int4, method pg_catalog.text
) RETURNS pg_catalog.text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    called pg_catalog.text := CASE WHEN $2 THEN 'df.http_multipart' ELSE 'df.http' END;
    signature pg_catalog.text := CASE WHEN $2 THEN 'df.http_multipart(text,text,jsonb,jsonb,integer)' ELSE 'df.http(text,text,text,jsonb,integer)' END;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) $1)
       OR NOT pg_catalog.has_function_privilege($1, signature, 'EXECUTE') THEN
        RETURN pg_catalog.format(
            'Blocked: role ''%s'' does not have EXECUTE privilege on %s(). Grant EXECUTE ON FUNCTION %s TO %s to allow HTTP requests.',
            pg_catalog.pg_get_userbyid($1), called, signature, $1::pg_catalog.regrole);
    END IF;
    -- Hosts as the URL's parser writes them: what ends in a number is an IPv4 address, in its usual form.
    IF $4 OPERATOR(pg_catalog.~) '^[0-9.]+$|^\[' AND NOT postern.http_is_private($4, $5) THEN
        RETURN 'Blocked: requests to bare IP addresses are not permitted. Use an allowed host name instead.';
    END IF;
    IF NOT EXISTS (
        SELECT FROM postern.http_allow a
         WHERE (a.role IS NULL OR pg_catalog.pg_has_role($1, a.role::pg_catalog.oid, 'USAGE'))
           AND a.scheme OPERATOR(pg_catalog.=) $3
           AND (a.host OPERATOR(pg_catalog.=) $4
                OR (pg_catalog.starts_with(a.host, '*.') AND pg_catalog.right($4, pg_catalog.length(a.host) OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.=) pg_catalog.substr(a.host, 2)
                    AND pg_catalog.length($4) OPERATOR(pg_catalog.>=) pg_catalog.length(a.host)))
           AND $5 OPERATOR(pg_catalog.=) ANY (a.ports)
           AND (a.methods IS NULL OR $6 OPERATOR(pg_catalog.=) ANY (a.methods))
    ) THEN
        RETURN pg_catalog.format('Blocked: ''%s'' is not in the allowed endpoint list. An administrator allows %s %s://%s:%s with postern.allow_http().', $4, $6, $3, $4, $5);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION postern.http_refusal(pg_catalog.oid, pg_catalog.bool, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.http_refusal(pg_catalog.oid, pg_catalog.bool, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) IS
    'Why a role may not send such a request; NULL if it may';

-- What is to be sent -----------------------------------------------------------------------------------------------------------

CREATE TABLE postern.outbound (
    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY,
    instance pg_catalog.varchar(8) NOT NULL,
    strand pg_catalog.int4 NOT NULL,
    node pg_catalog.int4 NOT NULL,
    owner pg_catalog.regrole NOT NULL,
    key pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    multipart pg_catalog.bool NOT NULL,
    method pg_catalog.text NOT NULL,
    scheme pg_catalog.text NOT NULL,
    host pg_catalog.text NOT NULL,
    port pg_catalog.int4 NOT NULL,
    request pg_catalog.json NOT NULL,
    secrets pg_catalog.text[] NOT NULL,
    created_at pg_catalog.timestamptz NOT NULL,
    due pg_catalog.timestamptz NOT NULL,
    worker pg_catalog.uuid,
    sends pg_catalog.int4 NOT NULL DEFAULT 0,
    sent_at pg_catalog.timestamptz,
    result pg_catalog.json,
    error pg_catalog.json,
    CONSTRAINT outbound_pkey PRIMARY KEY (instance, strand),
    CONSTRAINT outbound_id_key UNIQUE (id)
) WITH (fillfactor = 70);
CREATE INDEX outbound_due ON postern.outbound (due);
ALTER TABLE postern.outbound ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.outbound FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.outbound FROM PUBLIC;
GRANT SELECT ON TABLE postern.outbound TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.outbound IS 'HTTP requests of steps that wait for what comes back: one for each strand; deleted with the step''s record';
COMMENT ON COLUMN postern.outbound.key IS 'Sent as Idempotency-Key; the same each time the request is sent';
COMMENT ON COLUMN postern.outbound.request IS 'What is to be sent, with references to secrets in place of them';
COMMENT ON COLUMN postern.outbound.secrets IS 'The names of the secrets that it refers to';
COMMENT ON COLUMN postern.outbound.due IS 'When a worker may take it; once taken, when another one may; infinity when it is done';
COMMENT ON COLUMN postern.outbound.worker IS 'Who has taken it';
COMMENT ON COLUMN postern.outbound.sends IS 'How often it was taken, and so at most how often it was sent';
COMMENT ON COLUMN postern.outbound.sent_at IS 'When it was taken last';
SELECT pg_catalog.pg_extension_config_dump('postern.outbound', '');
SELECT pg_catalog.pg_extension_config_dump('postern.outbound_id_seq', '');

-- What the worker may do -------------------------------------------------------------------------------------------------------

CREATE FUNCTION postern.durable_wake() RETURNS pg_catalog.void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_wake_wrapper';
REVOKE ALL ON FUNCTION postern.durable_wake() FROM PUBLIC;
COMMENT ON FUNCTION postern.durable_wake() IS 'Has an executor look for work when the transaction is committed';

CREATE FUNCTION postern.durable_here() RETURNS pg_catalog.text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_here_wrapper';
REVOKE ALL ON FUNCTION postern.durable_here() FROM PUBLIC;
COMMENT ON FUNCTION postern.durable_here() IS 'What the homes of functions of this database begin with: system identifier and database';

CREATE FUNCTION postern.outbound_claim(
    worker pg_catalog.uuid, lease pg_catalog.float8, most pg_catalog.int4, busy pg_catalog.text[],
    OUT id pg_catalog.int8, OUT key pg_catalog.text, OUT scheme pg_catalog.text, OUT host pg_catalog.text, OUT port pg_catalog.int4,
    OUT request pg_catalog.text, OUT refusal pg_catalog.text, OUT private pg_catalog.bool, OUT sends pg_catalog.int4,
    OUT secrets pg_catalog.text
) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT o.instance, o.strand,
               EXISTS (SELECT FROM postern.strand s
                        WHERE s.instance OPERATOR(pg_catalog.=) o.instance AND s.strand OPERATOR(pg_catalog.=) o.strand
                          AND s.node OPERATOR(pg_catalog.=) o.node AND s.state OPERATOR(pg_catalog.=) 'w') AS wanted,
               -- In a copy of its database a request is not sent again.
               EXISTS (SELECT FROM postern.instance i WHERE i.id OPERATOR(pg_catalog.=) o.instance
                          AND NOT pg_catalog.starts_with(i.home, postern.durable_here())) AS away
          FROM postern.outbound o
         WHERE o.due OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp() AND o.host OPERATOR(pg_catalog.<>) ALL ($4)
         ORDER BY o.due LIMIT $3 FOR UPDATE OF o SKIP LOCKED
    ), gone AS (
        DELETE FROM postern.outbound o USING due d
         WHERE NOT d.wanted AND o.instance OPERATOR(pg_catalog.=) d.instance AND o.strand OPERATOR(pg_catalog.=) d.strand
    ), left_alone AS (
        UPDATE postern.outbound o SET due = 'infinity' FROM due d
         WHERE d.wanted AND d.away AND o.instance OPERATOR(pg_catalog.=) d.instance AND o.strand OPERATOR(pg_catalog.=) d.strand
        RETURNING o.instance
    ), paused AS (
        UPDATE postern.instance i SET paused_at = coalesce(i.paused_at, pg_catalog.now()), away = i.paused_at IS NULL
         WHERE i.id IN (SELECT l.instance FROM left_alone l) AND NOT i.away
    ), taken AS (
        UPDATE postern.outbound o
           SET worker = $1, sends = o.sends OPERATOR(pg_catalog.+) 1, sent_at = pg_catalog.clock_timestamp(),
               due = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $2)
          FROM due d
         WHERE d.wanted AND NOT d.away AND o.instance OPERATOR(pg_catalog.=) d.instance AND o.strand OPERATOR(pg_catalog.=) d.strand
        RETURNING o.*
    )
    SELECT t.id, t.key::pg_catalog.text, t.scheme, t.host, t.port, t.request::pg_catalog.text,
           postern.http_refusal(t.owner::pg_catalog.oid, t.multipart, t.scheme, t.host, t.port, t.method),
           postern.http_is_private(t.host, t.port), t.sends,
           -- As they are now, sealed.
           (SELECT pg_catalog.jsonb_object_agg(s.name, pg_catalog.encode(s.sealed, 'hex'))::pg_catalog.text
              FROM postern.secret s
             WHERE s.owner OPERATOR(pg_catalog.=) t.owner AND s.name OPERATOR(pg_catalog.=) ANY (t.secrets))
      FROM taken t;
END
$$;
REVOKE ALL ON FUNCTION postern.outbound_claim(pg_catalog.uuid, pg_catalog.float8, pg_catalog.int4, pg_catalog.text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.outbound_claim(pg_catalog.uuid, pg_catalog.float8, pg_catalog.int4, pg_catalog.text[]) TO postern_outbound;
COMMENT ON FUNCTION postern.outbound_claim(pg_catalog.uuid, pg_catalog.float8, pg_catalog.int4, pg_catalog.text[]) IS
    'Takes requests that are due, for so many seconds, but none to these hosts';

CREATE FUNCTION postern.outbound_redirect(
    worker pg_catalog.uuid, id pg_catalog.int8, scheme pg_catalog.text, host pg_catalog.text, port pg_catalog.int4, method pg_catalog.text,
    OUT refusal pg_catalog.text, OUT private pg_catalog.bool
)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT postern.http_refusal(o.owner::pg_catalog.oid, o.multipart, $3, $4, $5, $6), postern.http_is_private($4, $5)
      INTO refusal, private
      FROM postern.outbound o WHERE o.id OPERATOR(pg_catalog.=) $2 AND o.worker OPERATOR(pg_catalog.=) $1;
    IF NOT FOUND THEN
        refusal := 'Blocked: nobody waits for the request any more.';
        private := false;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION postern.outbound_redirect(pg_catalog.uuid, pg_catalog.int8, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.outbound_redirect(pg_catalog.uuid, pg_catalog.int8, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) TO postern_outbound;
COMMENT ON FUNCTION postern.outbound_redirect(pg_catalog.uuid, pg_catalog.int8, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) IS
    'Whether a request that was taken may go where its answer points, by the same rules as where it went; why not, if not';

CREATE FUNCTION postern.outbound_next() RETURNS pg_catalog.float8
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.date_part('epoch', o.due OPERATOR(pg_catalog.-) pg_catalog.clock_timestamp())
      FROM postern.outbound o WHERE o.due OPERATOR(pg_catalog.<) 'infinity' ORDER BY o.due LIMIT 1;
END;
REVOKE ALL ON FUNCTION postern.outbound_next() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.outbound_next() TO postern_outbound;
COMMENT ON FUNCTION postern.outbound_next() IS 'In how many seconds the next request is due; NULL if there is none';

CREATE FUNCTION postern.outbound_renew(worker pg_catalog.uuid, lease pg_catalog.float8, ids pg_catalog.int8[]) RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    UPDATE postern.outbound o
       SET due = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $2)
     WHERE o.id OPERATOR(pg_catalog.=) ANY ($3) AND o.worker OPERATOR(pg_catalog.=) $1 AND o.due OPERATOR(pg_catalog.<) 'infinity'
       AND EXISTS (SELECT FROM postern.strand s
                    WHERE s.instance OPERATOR(pg_catalog.=) o.instance AND s.strand OPERATOR(pg_catalog.=) o.strand
                      AND s.node OPERATOR(pg_catalog.=) o.node AND s.state OPERATOR(pg_catalog.=) 'w')
    RETURNING o.id;
END
$$;
REVOKE ALL ON FUNCTION postern.outbound_renew(pg_catalog.uuid, pg_catalog.float8, pg_catalog.int8[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.outbound_renew(pg_catalog.uuid, pg_catalog.float8, pg_catalog.int8[]) TO postern_outbound;
COMMENT ON FUNCTION postern.outbound_renew(pg_catalog.uuid, pg_catalog.float8, pg_catalog.int8[]) IS
    'Keeps requests for so many seconds more; gives those that are still wanted, and still this worker''s';

CREATE FUNCTION postern.outbound_release(worker pg_catalog.uuid, ids pg_catalog.int8[]) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE postern.outbound o SET due = pg_catalog.clock_timestamp(), worker = NULL
     WHERE o.id OPERATOR(pg_catalog.=) ANY ($2) AND o.worker OPERATOR(pg_catalog.=) $1 AND o.due OPERATOR(pg_catalog.<) 'infinity';
    PERFORM pg_catalog.pg_notify('postern_outbound', '');
END
$$;
REVOKE ALL ON FUNCTION postern.outbound_release(pg_catalog.uuid, pg_catalog.int8[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.outbound_release(pg_catalog.uuid, pg_catalog.int8[]) TO postern_outbound;
COMMENT ON FUNCTION postern.outbound_release(pg_catalog.uuid, pg_catalog.int8[]) IS 'Gives requests back, for another worker to take';

CREATE FUNCTION postern.outbound_done(worker pg_catalog.uuid, id pg_catalog.int8, result pg_catalog.json, error pg_catalog.json)
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
REVOKE ALL ON FUNCTION postern.outbound_done(pg_catalog.uuid, pg_catalog.int8, pg_catalog.json, pg_catalog.json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.outbound_done(pg_catalog.uuid, pg_catalog.int8, pg_catalog.json, pg_catalog.json) TO postern_outbound;
COMMENT ON FUNCTION postern.outbound_done(pg_catalog.uuid, pg_catalog.int8, pg_catalog.json, pg_catalog.json) IS
    'Writes what came of a request, and has its step go on; false if nobody wants it any more';
