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

-- 0.1.0 was installed in databases of any encoding, where two facts could come to be one.
DO $encoding$
BEGIN
    IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8' THEN
        RAISE EXCEPTION 'postern needs a database with encoding UTF8'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = pg_catalog.format('The encoding of database "%s" is %s.', pg_catalog.current_database(), pg_catalog.getdatabaseencoding()),
                  HINT = 'Make one by CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0, and move the data there with pg_dump.';
    END IF;
END
$encoding$;

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
    EXECUTE pg_catalog.format('REVOKE postern_application FROM %I CASCADE', p_role);
    -- What the caller could not have granted, it does not take back.
    FOREACH sensitive IN ARRAY ARRAY[
        'df.http(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4)',
        'df.http_multipart(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.int4)'
    ]::pg_catalog.regprocedure[] LOOP
        IF pg_catalog.has_function_privilege(sensitive, 'EXECUTE WITH GRANT OPTION') THEN
            EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM %I CASCADE', sensitive, p_role);
        END IF;
    END LOOP;
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

CREATE OR REPLACE FUNCTION postern.direct_write(
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
