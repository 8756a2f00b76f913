\echo Use "CREATE EXTENSION postern" to load this file. \quit

-- Whoever has CREATE on the database may have made a schema of this name before us, and would own everything in it.
DO $schema$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
         WHERE n.nspname OPERATOR(pg_catalog.=) 'postern' AND r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
    ) THEN
        RAISE EXCEPTION 'schema "postern" belongs to another role'
            USING ERRCODE = 'duplicate_schema', HINT = 'Drop it, and run CREATE EXTENSION postern again.';
    END IF;
END
$schema$;

-- Roles belong to the cluster, the extension to one database: a role is made only where it is missing, and DROP EXTENSION
-- leaves it. `postern doctor` tells when one of them has more than it should.
DO $roles$
DECLARE
    wanted pg_catalog.name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN NOINHERIT', wanted);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) 'postern_gate') THEN
        -- Without a password nobody logs in by one until an administrator gives one.
        CREATE ROLE postern_gate LOGIN NOINHERIT;
    END IF;
END
$roles$;

COMMENT ON ROLE postern_admin IS 'Postern: admits roles, issues API keys, looks through the eyes of an identity';
COMMENT ON ROLE postern_application IS 'Postern: what applications use';
COMMENT ON ROLE postern_monitor IS 'Postern: reads the state of Postern';
COMMENT ON ROLE postern_read_all_stats IS 'Postern: reads the state of subscriptions';
COMMENT ON ROLE postern_read_all_conflicts IS 'Postern: reads the conflicts of all tables';
COMMENT ON ROLE postern_gate IS 'Postern: the login of the gate; it owns nothing, is a member of nothing, and may do nothing but enter';

-- Policies call postern.fact() as whoever reads the table: everyone finds the schema. Nobody but its owner creates in it.
REVOKE ALL ON SCHEMA postern FROM PUBLIC;
GRANT USAGE ON SCHEMA postern TO PUBLIC;

-- The primitive. See src/identity/mod.rs for its invariants.

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
            USING ERRCODE = 'name_too_long', DETAIL = pg_catalog.format('It has %s bytes; names have at most 63.', pg_catalog.octet_length(dismiss.role));
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

-- API keys: a key is shown once, when it is made; the table holds its SHA-256 only. A key has 256 random bits, so that a
-- plain hash is enough: there is nothing to guess.

CREATE TABLE postern.api_key (
    id pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    sha256 pg_catalog.bytea NOT NULL,
    role pg_catalog.name NOT NULL,
    subject pg_catalog.text NOT NULL,
    claims pg_catalog.jsonb NOT NULL DEFAULT '{}',
    label pg_catalog.text,
    created_by pg_catalog.name NOT NULL DEFAULT SESSION_USER,
    created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at pg_catalog.timestamptz,
    revoked_at pg_catalog.timestamptz,
    CONSTRAINT api_key_pkey PRIMARY KEY (id),
    CONSTRAINT api_key_sha256_key UNIQUE (sha256),
    CONSTRAINT api_key_sha256_length CHECK (pg_catalog.length(sha256) OPERATOR(pg_catalog.=) 32),
    CONSTRAINT api_key_claims_object CHECK (pg_catalog.jsonb_typeof(claims) OPERATOR(pg_catalog.=) 'object')
);
REVOKE ALL ON TABLE postern.api_key FROM PUBLIC;
GRANT SELECT (id, role, subject, claims, label, created_by, created_at, expires_at, revoked_at)
    ON TABLE postern.api_key TO postern_admin, postern_monitor;
COMMENT ON TABLE postern.api_key IS 'API keys of the gate, hashed; made by postern.create_api_key()';
SELECT pg_catalog.pg_extension_config_dump('postern.api_key', '');

CREATE FUNCTION postern.create_api_key(
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
            USING ERRCODE = 'insufficient_privilege', HINT = 'Admit it first: SELECT postern.admit(''…'').';
    END IF;
    IF pg_catalog.jsonb_typeof(create_api_key.claims) OPERATOR(pg_catalog.<>) 'object' THEN
        RAISE EXCEPTION 'claims must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
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
REVOKE ALL ON FUNCTION postern.create_api_key(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.timestamptz, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.create_api_key(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.timestamptz, pg_catalog.text) TO postern_admin;
COMMENT ON FUNCTION postern.create_api_key(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.timestamptz, pg_catalog.text) IS
    'Makes an API key and returns it; it cannot be shown again';

CREATE FUNCTION postern.revoke_api_key(id pg_catalog.uuid) RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE postern.api_key k SET revoked_at = pg_catalog.now()
     WHERE k.id OPERATOR(pg_catalog.=) revoke_api_key.id AND k.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION postern.revoke_api_key(pg_catalog.uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.revoke_api_key(pg_catalog.uuid) TO postern_admin;
COMMENT ON FUNCTION postern.revoke_api_key(pg_catalog.uuid) IS 'Ends an API key; false if there is none, or it was revoked before';

CREATE FUNCTION postern.find_api_key(sha256 pg_catalog.bytea)
RETURNS TABLE (id pg_catalog.uuid, role pg_catalog.name, subject pg_catalog.text, claims pg_catalog.jsonb, expires_at pg_catalog.timestamptz)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT k.id, k.role, k.subject, k.claims, k.expires_at
      FROM postern.api_key k
     WHERE k.sha256 OPERATOR(pg_catalog.=) find_api_key.sha256
       AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at OPERATOR(pg_catalog.>) pg_catalog.now());
END;
REVOKE ALL ON FUNCTION postern.find_api_key(pg_catalog.bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.find_api_key(pg_catalog.bytea) TO postern_gate;
COMMENT ON FUNCTION postern.find_api_key(pg_catalog.bytea) IS 'The live API key with this hash';

-- Durable functions: where they are kept. All of it is rows: a function that runs goes on after a crash, in a copy of the
-- database, on a standby that was promoted. Rows are written by the extension's own code only; people read their own.

CREATE SCHEMA df;
COMMENT ON SCHEMA df IS 'Durable functions: SQL that survives, run as the identity that asked';
REVOKE ALL ON SCHEMA df FROM PUBLIC;
GRANT USAGE ON SCHEMA df TO postern_application, postern_admin, postern_monitor;

CREATE TABLE postern.instance (
    id pg_catalog.varchar(8) NOT NULL,
    label pg_catalog.text,
    status pg_catalog.text NOT NULL,
    submitted_by pg_catalog.regrole NOT NULL,
    session_role pg_catalog.regrole NOT NULL,
    database pg_catalog.text,
    priority pg_catalog.int2 NOT NULL,
    key pg_catalog.text,
    created_at pg_catalog.timestamptz NOT NULL,
    updated_at pg_catalog.timestamptz NOT NULL,
    completed_at pg_catalog.timestamptz,
    ended_at pg_catalog.timestamptz,
    graph pg_catalog.text NOT NULL,
    vars pg_catalog.jsonb,
    facts pg_catalog.jsonb,
    definers pg_catalog.text[],
    output pg_catalog.text,
    error pg_catalog.jsonb,
    format pg_catalog.int2 NOT NULL,
    paused_at pg_catalog.timestamptz,
    reruns pg_catalog.int4 NOT NULL DEFAULT 0,
    left_off pg_catalog.text,
    schedule pg_catalog.text,
    tick pg_catalog.timestamptz,
    home pg_catalog.text NOT NULL,
    away pg_catalog.bool NOT NULL DEFAULT false,
    parent pg_catalog.varchar(8),
    parent_strand pg_catalog.int4,
    CONSTRAINT instance_pkey PRIMARY KEY (id)
) WITH (fillfactor = 80);
CREATE INDEX instance_created_at ON postern.instance (created_at DESC, id);
CREATE INDEX instance_label ON postern.instance (label, created_at DESC, id) WHERE label IS NOT NULL;
CREATE INDEX instance_parent ON postern.instance (parent) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX instance_key ON postern.instance (submitted_by, key) WHERE key IS NOT NULL;
ALTER TABLE postern.instance ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.instance FOR SELECT
    USING (submitted_by OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.instance FROM PUBLIC;
GRANT SELECT ON TABLE postern.instance TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.instance IS 'Durable functions that were started; a row is written at start, when the first step has run, and at the end';
COMMENT ON COLUMN postern.instance.submitted_by IS 'The role that steps run as';
COMMENT ON COLUMN postern.instance.session_role IS 'The identity of the session that started it: the entered role, else session_user';
COMMENT ON COLUMN postern.instance.priority IS 'Among those of one role, lower runs first';
COMMENT ON COLUMN postern.instance.key IS 'Idempotency key: one instance for each key of a role';
COMMENT ON COLUMN postern.instance.completed_at IS 'When it completed; NULL for failed and cancelled ones';
COMMENT ON COLUMN postern.instance.ended_at IS 'When it ended, however';
COMMENT ON COLUMN postern.instance.graph IS 'The function, as df.start() took it';
COMMENT ON COLUMN postern.instance.vars IS 'The variables of df.setvar() as they were at the start';
COMMENT ON COLUMN postern.instance.facts IS 'The facts that steps are entered with';
COMMENT ON COLUMN postern.instance.definers IS 'The SECURITY DEFINER functions that the start came through, outermost first';
COMMENT ON COLUMN postern.instance.output IS 'The result, its columns in the order of the query';
COMMENT ON COLUMN postern.instance.error IS 'What it failed with, or was cancelled for';
COMMENT ON COLUMN postern.instance.paused_at IS 'Since when it is paused; NULL while it is not';
COMMENT ON COLUMN postern.instance.reruns IS 'How often df.rerun() has had it go on after a failure';
COMMENT ON COLUMN postern.instance.left_off IS 'Of one that has failed: its lines of execution as they were before the step that failed; NULL if there is no way back';
COMMENT ON COLUMN postern.instance.schedule IS 'The schedule of its role that started it';
COMMENT ON COLUMN postern.instance.tick IS 'The time for which that schedule started it';
COMMENT ON COLUMN postern.instance.home IS 'Where it runs: system identifier, database, and the name of its role. In a copy of the database it is paused when its turn comes';
COMMENT ON COLUMN postern.instance.away IS 'It was paused for that';
COMMENT ON COLUMN postern.instance.format IS 'Version of graph and frames; new code reads old ones';
COMMENT ON COLUMN postern.instance.parent IS 'The instance that called it by df.call(), and waits for it';
COMMENT ON COLUMN postern.instance.parent_strand IS 'The line of execution of that instance';
SELECT pg_catalog.pg_extension_config_dump('postern.instance', '');

CREATE TABLE postern.strand (
    instance pg_catalog.varchar(8) NOT NULL,
    strand pg_catalog.int4 NOT NULL,
    parent pg_catalog.int4,
    branch pg_catalog.int4 NOT NULL,
    base pg_catalog.int4 NOT NULL,
    node pg_catalog.int4 NOT NULL,
    state pg_catalog."char" NOT NULL,
    due pg_catalog.timestamptz NOT NULL,
    owner pg_catalog.regrole NOT NULL,
    priority pg_catalog.int2 NOT NULL,
    signal pg_catalog.text,
    frame pg_catalog.text NOT NULL,
    held pg_catalog.timestamptz,
    CONSTRAINT strand_pkey PRIMARY KEY (instance, strand)
) WITH (fillfactor = 70);
CREATE INDEX strand_queue ON postern.strand (owner, priority, due);
ALTER TABLE postern.strand ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.strand FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.strand FROM PUBLIC;
GRANT SELECT ON TABLE postern.strand TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.strand IS 'Where running functions are: one row for each line of execution; deleted at its end';
COMMENT ON COLUMN postern.strand.strand IS '0 is the function itself; a branch has one of its own';
COMMENT ON COLUMN postern.strand.parent IS 'The strand that waits for this one';
COMMENT ON COLUMN postern.strand.branch IS 'Which branch of the parent''s node this is, from 0';
COMMENT ON COLUMN postern.strand.base IS 'The node at which the strand began';
COMMENT ON COLUMN postern.strand.node IS 'The node that is next';
COMMENT ON COLUMN postern.strand.state IS 'r: its node is to begin; w: its node waits, until due at the latest; f: waits for its branches; d: a branch that is done; x: its statement runs at top level, in a process of its own';
COMMENT ON COLUMN postern.strand.due IS 'When an executor takes it; infinity if none does';
COMMENT ON COLUMN postern.strand.signal IS 'The signal that it waits for';
COMMENT ON COLUMN postern.strand.held IS 'When it would be due, were the instance not paused';
COMMENT ON COLUMN postern.strand.frame IS 'Named results, counters of loops, the value that was last';
SELECT pg_catalog.pg_extension_config_dump('postern.strand', '');

CREATE TABLE postern.step (
    instance pg_catalog.varchar(8) NOT NULL,
    strand pg_catalog.int4 NOT NULL,
    n pg_catalog.int4 NOT NULL,
    node pg_catalog.int4 NOT NULL,
    attempt pg_catalog.int4 NOT NULL,
    turn pg_catalog.text,
    status pg_catalog.text NOT NULL,
    started_at pg_catalog.timestamptz NOT NULL,
    ended_at pg_catalog.timestamptz NOT NULL,
    owner pg_catalog.regrole NOT NULL,
    query pg_catalog.text,
    result pg_catalog.text,
    columns pg_catalog.text,
    error pg_catalog.jsonb,
    sends pg_catalog.int4,
    CONSTRAINT step_pkey PRIMARY KEY (instance, strand, n)
);
ALTER TABLE postern.step ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.step FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.step FROM PUBLIC;
GRANT SELECT ON TABLE postern.step TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.step IS 'What ran: one row for each node, iteration and attempt, written in the transaction of its effect';
COMMENT ON COLUMN postern.step.strand IS 'The line of execution; -1 holds named results that a called function was given';
COMMENT ON COLUMN postern.step.n IS 'Counts the rows of a strand';
COMMENT ON COLUMN postern.step.turn IS 'The iterations of the loops around it, outermost first; NULL outside loops';
COMMENT ON COLUMN postern.step.query IS 'The text that ran, where substitution changed it';
COMMENT ON COLUMN postern.step.result IS 'The result, its columns in the order of the query';
COMMENT ON COLUMN postern.step.columns IS 'Names and types of the result''s columns';
COMMENT ON COLUMN postern.step.error IS 'SQLSTATE, message, detail, hint and context of a failure';
COMMENT ON COLUMN postern.step.sends IS 'At most how often an HTTP request was sent, or a statement at top level begun, which may be more than once; NULL for what takes effect exactly once';
SELECT pg_catalog.pg_extension_config_dump('postern.step', '');

CREATE TABLE postern.message (
    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY,
    instance pg_catalog.varchar(8) NOT NULL,
    kind pg_catalog."char" NOT NULL,
    name pg_catalog.text,
    payload pg_catalog.text,
    sender pg_catalog.regrole NOT NULL,
    owner pg_catalog.regrole NOT NULL,
    sent_at pg_catalog.timestamptz NOT NULL,
    fresh pg_catalog.bool NOT NULL,
    CONSTRAINT message_pkey PRIMARY KEY (id)
);
CREATE INDEX message_box ON postern.message (instance, name);
CREATE INDEX message_fresh ON postern.message (id) WHERE fresh;
ALTER TABLE postern.message ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.message FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.message FROM PUBLIC;
GRANT SELECT ON TABLE postern.message TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.message IS 'What was sent to running functions: signals, kept until they are waited for, and requests to cancel, to pause and to resume';
COMMENT ON COLUMN postern.message.kind IS 's: a signal; c: cancel; p: pause; u: resume; e: a function that was called has ended; d: strands that nobody wants are to be taken away';
COMMENT ON COLUMN postern.message.fresh IS 'Nobody has looked at it yet';
SELECT pg_catalog.pg_extension_config_dump('postern.message', '');
SELECT pg_catalog.pg_extension_config_dump('postern.message_id_seq', '');

CREATE TABLE postern.elsewhere (
    id pg_catalog.varchar(8) NOT NULL,
    owner pg_catalog.regrole NOT NULL,
    database pg_catalog.oid NOT NULL,
    created_at pg_catalog.timestamptz NOT NULL,
    CONSTRAINT elsewhere_pkey PRIMARY KEY (id, owner)
);
CREATE INDEX elsewhere_created_at ON postern.elsewhere (created_at DESC, id);
ALTER TABLE postern.elsewhere ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.elsewhere FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.elsewhere FROM PUBLIC;
GRANT SELECT ON TABLE postern.elsewhere TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.elsewhere IS 'Durable functions that were started from here in other databases, where they are; kept as long as those that have ended';
COMMENT ON COLUMN postern.elsewhere.owner IS 'The role that steps run as';
-- Not in a dump: elsewhere the numbers of databases are others.

CREATE TABLE df.vars (
    name pg_catalog.text NOT NULL,
    value pg_catalog.text NOT NULL,
    owner pg_catalog.regrole NOT NULL DEFAULT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole,
    CONSTRAINT vars_pkey PRIMARY KEY (owner, name)
);
ALTER TABLE df.vars ENABLE ROW LEVEL SECURITY;
CREATE POLICY vars_user_isolation ON df.vars
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole));
REVOKE ALL ON TABLE df.vars FROM PUBLIC;
GRANT SELECT ON TABLE df.vars TO postern_application;
COMMENT ON TABLE df.vars IS 'Variables of df.setvar(), each role its own; a function takes them over when it is started';
SELECT pg_catalog.pg_extension_config_dump('df.vars', '');

-- Durable functions: the language. Every function here builds text from text and touches nothing; the operators are in
-- pg_catalog, so that they are found whatever the path is.

CREATE FUNCTION df.sql(query pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_sql_wrapper';
COMMENT ON FUNCTION df.sql(pg_catalog.text) IS 'A step that runs a statement';

CREATE FUNCTION df.seq(a pg_catalog.text, b pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_seq_wrapper';
COMMENT ON FUNCTION df.seq(pg_catalog.text, pg_catalog.text) IS 'a, then b: a ~> b';

CREATE FUNCTION df.as(fut pg_catalog.text, name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_as_wrapper';
COMMENT ON FUNCTION df.as(pg_catalog.text, pg_catalog.text) IS 'Names the result of a step';

CREATE FUNCTION df.as_op(fut pg_catalog.text, name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_as_wrapper';
COMMENT ON FUNCTION df.as_op(pg_catalog.text, pg_catalog.text) IS 'Behind the operator |=>';

CREATE FUNCTION df.sleep(seconds pg_catalog.int8) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_sleep_wrapper';
COMMENT ON FUNCTION df.sleep(pg_catalog.int8) IS 'Waits';

CREATE FUNCTION df.sleep(duration pg_catalog.interval) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_sleep_interval_wrapper';
COMMENT ON FUNCTION df.sleep(pg_catalog.interval) IS 'Waits; a fraction of a second counts';

CREATE FUNCTION df.wait_for_schedule(cron_expr pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_wait_for_schedule_wrapper';
COMMENT ON FUNCTION df.wait_for_schedule(pg_catalog.text) IS 'Waits until the schedule says';

CREATE FUNCTION df.wait_for_signal(name pg_catalog.text, timeout_seconds pg_catalog.int4 DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_wait_for_signal_wrapper';
COMMENT ON FUNCTION df.wait_for_signal(pg_catalog.text, pg_catalog.int4) IS 'Waits for df.signal()';

CREATE FUNCTION df.loop(body pg_catalog.text, condition pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_loop_wrapper';
COMMENT ON FUNCTION df.loop(pg_catalog.text, pg_catalog.text) IS 'Repeats the body while the condition is true, for ever without one';

CREATE FUNCTION df.loop_prefix_op(body pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_loop_prefix_op_wrapper';
COMMENT ON FUNCTION df.loop_prefix_op(pg_catalog.text) IS 'Behind the operator @>';

CREATE FUNCTION df.break(value pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_break_wrapper';
COMMENT ON FUNCTION df.break(pg_catalog.text) IS 'Leaves the nearest loop, with a value';

CREATE FUNCTION df.if(condition pg_catalog.text, then_branch pg_catalog.text, else_branch pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_if_wrapper';
COMMENT ON FUNCTION df.if(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'Runs one branch or the other';

CREATE FUNCTION df.if_rows(result_name pg_catalog.text, then_branch pg_catalog.text, else_branch pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_if_rows_wrapper';
COMMENT ON FUNCTION df.if_rows(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'Runs one branch or the other, by whether a named result has rows';

CREATE FUNCTION df.if_then_op(condition pg_catalog.text, then_branch pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_if_then_op_wrapper';
COMMENT ON FUNCTION df.if_then_op(pg_catalog.text, pg_catalog.text) IS 'Behind the operator ?>';

CREATE FUNCTION df.if_else_op(partial_if pg_catalog.text, else_branch pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_if_else_op_wrapper';
COMMENT ON FUNCTION df.if_else_op(pg_catalog.text, pg_catalog.text) IS 'Behind the operator !>';

CREATE FUNCTION df.join(a pg_catalog.text, b pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_join_wrapper';
COMMENT ON FUNCTION df.join(pg_catalog.text, pg_catalog.text) IS 'Both in parallel; waits for both: a & b';

CREATE FUNCTION df.join3(a pg_catalog.text, b pg_catalog.text, c pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_join3_wrapper';
COMMENT ON FUNCTION df.join3(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'Three in parallel; waits for all';

CREATE FUNCTION df.race(a pg_catalog.text, b pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_race_wrapper';
COMMENT ON FUNCTION df.race(pg_catalog.text, pg_catalog.text) IS 'Both in parallel; the first to finish counts: a | b';

CREATE FUNCTION df.http(url pg_catalog.text, method pg_catalog.text DEFAULT 'POST', body pg_catalog.text DEFAULT NULL, headers pg_catalog.jsonb DEFAULT NULL, timeout_seconds pg_catalog.int4 DEFAULT 30) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_http_wrapper';
COMMENT ON FUNCTION df.http(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4) IS 'Sends an HTTP request';

CREATE FUNCTION df.http_multipart(url pg_catalog.text, method pg_catalog.text DEFAULT 'POST', parts pg_catalog.jsonb DEFAULT NULL, headers pg_catalog.jsonb DEFAULT NULL, timeout_seconds pg_catalog.int4 DEFAULT 30) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_http_multipart_wrapper';
COMMENT ON FUNCTION df.http_multipart(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.int4) IS 'Sends an HTTP request with several parts';

CREATE FUNCTION df.all(steps pg_catalog._text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_all_wrapper';
COMMENT ON FUNCTION df.all(pg_catalog._text) IS 'All in parallel; waits for all';

CREATE FUNCTION df.first(steps pg_catalog._text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_first_wrapper';
COMMENT ON FUNCTION df.first(pg_catalog._text) IS 'All in parallel; the first to succeed counts';

CREATE FUNCTION df.race_all(steps pg_catalog._text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_race_all_wrapper';
COMMENT ON FUNCTION df.race_all(pg_catalog._text) IS 'All in parallel; the first to finish counts';

CREATE FUNCTION df.retry(fut pg_catalog.text, max_attempts pg_catalog.int4 DEFAULT 3, backoff pg_catalog.interval DEFAULT '1 second', multiplier pg_catalog.float8 DEFAULT 2, max_backoff pg_catalog.interval DEFAULT '5 minutes', jitter pg_catalog.float8 DEFAULT 0.1, on_error pg_catalog._text DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_retry_wrapper';
COMMENT ON FUNCTION df.retry(pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.float8, pg_catalog.interval, pg_catalog.float8, pg_catalog._text) IS 'Tries a step again when it fails';

CREATE FUNCTION df.catch(fut pg_catalog.text, handler pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_catch_wrapper';
COMMENT ON FUNCTION df.catch(pg_catalog.text, pg_catalog.text) IS 'Runs the handler when the step fails; $error is what it failed with';

CREATE FUNCTION df.timeout(fut pg_catalog.text, duration pg_catalog.interval) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_timeout_wrapper';
COMMENT ON FUNCTION df.timeout(pg_catalog.text, pg_catalog.interval) IS 'Fails when the step takes longer';

CREATE FUNCTION df.map(query pg_catalog.text, body pg_catalog.text, concurrency pg_catalog.int4 DEFAULT 10, item pg_catalog.text DEFAULT 'item') RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_map_wrapper';
COMMENT ON FUNCTION df.map(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) IS 'Runs the body for every row of the query, some at once; $item is the row';

CREATE FUNCTION df.compensate(fut pg_catalog.text, undo pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_compensate_wrapper';
COMMENT ON FUNCTION df.compensate(pg_catalog.text, pg_catalog.text) IS 'A step with what undoes it, should the function fail later';

CREATE FUNCTION df.call(fut pg_catalog.text, label pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'df_call_wrapper';
COMMENT ON FUNCTION df.call(pg_catalog.text, pg_catalog.text) IS 'Runs a function as an instance of its own, and waits for it';

REVOKE ALL ON FUNCTION df.http(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4) FROM PUBLIC;
REVOKE ALL ON FUNCTION df.http_multipart(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.int4) FROM PUBLIC;

CREATE OPERATOR pg_catalog.~> (FUNCTION = df.seq, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.~> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: a, then b';

CREATE OPERATOR pg_catalog.|=> (FUNCTION = df.as_op, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.|=> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: names the result';

CREATE OPERATOR pg_catalog.& (FUNCTION = df.join, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.& (pg_catalog.text, pg_catalog.text) IS 'Durable functions: both in parallel';

CREATE OPERATOR pg_catalog.| (FUNCTION = df.race, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.| (pg_catalog.text, pg_catalog.text) IS 'Durable functions: the first to finish';

CREATE OPERATOR pg_catalog.?> (FUNCTION = df.if_then_op, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.?> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: if … then';

CREATE OPERATOR pg_catalog.!> (FUNCTION = df.if_else_op, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.!> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: … else';

CREATE OPERATOR pg_catalog.@> (FUNCTION = df.loop_prefix_op, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.@> (NONE, pg_catalog.text) IS 'Durable functions: repeats';

-- Durable functions: secrets of HTTP steps. Sealed before they are written; the key is in a file, and nothing in the server opens them
-- again. Nobody can read the sealed form either; the outbound worker gets what a request of its owner names.

CREATE TABLE postern.secret (
    owner pg_catalog.regrole NOT NULL,
    name pg_catalog.text NOT NULL,
    sealed pg_catalog.bytea NOT NULL,
    set_at pg_catalog.timestamptz NOT NULL,
    CONSTRAINT secret_pkey PRIMARY KEY (owner, name)
);
ALTER TABLE postern.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.secret FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.secret FROM PUBLIC;
GRANT SELECT (owner, name, set_at) ON TABLE postern.secret TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.secret IS 'Secrets that HTTP steps name, each role its own; changed by df.set_secret() and df.drop_secret()';
COMMENT ON COLUMN postern.secret.sealed IS 'The value, sealed with a key that the database does not hold; nobody is given this column';
SELECT pg_catalog.pg_extension_config_dump('postern.secret', '');

CREATE FUNCTION df.set_secret(name pg_catalog.text, value pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_set_secret_wrapper';
COMMENT ON FUNCTION df.set_secret(pg_catalog.text, pg_catalog.text) IS
    'Sets a secret of the current user, which HTTP steps write {secret:name}; nobody can read it back';

CREATE FUNCTION df.drop_secret(name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_drop_secret_wrapper';
COMMENT ON FUNCTION df.drop_secret(pg_catalog.text) IS 'Takes a secret of the current user away';

CREATE VIEW df.secrets WITH (security_invoker = true) AS
SELECT s.name, s.owner, s.set_at FROM postern.secret s;
REVOKE ALL ON TABLE df.secrets FROM PUBLIC;
GRANT SELECT ON TABLE df.secrets TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.secrets IS 'Which secrets there are; not what they are';

-- Durable functions: starting, signals, cancelling, waiting, variables, privileges. Who has USAGE on the schema df may call them.

CREATE FUNCTION df.start(
    fut pg_catalog.text,
    label pg_catalog.text DEFAULT NULL,
    database pg_catalog.text DEFAULT NULL,
    transaction_mode pg_catalog.text DEFAULT 'caller',
    key pg_catalog.text DEFAULT NULL,
    priority pg_catalog.int4 DEFAULT 0
) RETURNS pg_catalog.text
-- Neither SECURITY DEFINER nor SET: it captures who calls it.
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_start_wrapper';
COMMENT ON FUNCTION df.start(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4) IS
    'Starts a durable function as the current user, with the caller''s commit; gives the id of the instance';

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
        RAISE EXCEPTION 'argument p_role must not be null' USING ERRCODE = 'null_value_not_allowed';
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
        RAISE EXCEPTION 'argument p_role must not be null' USING ERRCODE = 'null_value_not_allowed';
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
REVOKE ALL ON FUNCTION df.revoke_usage(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION df.revoke_usage(pg_catalog.text) TO postern_application, postern_admin;
COMMENT ON FUNCTION df.revoke_usage(pg_catalog.text) IS 'Takes df.grant_usage() back';

CREATE FUNCTION postern.durable_installed() RETURNS pg_catalog.void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_installed_wrapper';
REVOKE ALL ON FUNCTION postern.durable_installed() FROM PUBLIC;
COMMENT ON FUNCTION postern.durable_installed() IS 'Has executors started in this database';
SELECT postern.durable_installed();

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
        RAISE EXCEPTION 'scheme must be http or https' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.unnest($3) m
                WHERE m IS NULL OR m NOT IN ('GET', 'POST', 'PUT', 'DELETE', 'PATCH')) THEN
        RAISE EXCEPTION 'methods must be GET, POST, PUT, DELETE or PATCH' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.unnest($4) p WHERE p IS NULL OR p NOT BETWEEN 1 AND 65535) THEN
        RAISE EXCEPTION 'ports must be between 1 and 65535' USING ERRCODE = 'invalid_parameter_value';
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
        RAISE EXCEPTION 'a request has either a result or an error' USING ERRCODE = 'invalid_parameter_value';
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

-- Durable functions: looking at them. Views run as whoever reads them: row security on the tables shows each role its own.

CREATE FUNCTION postern.durable_running(instance pg_catalog.text) RETURNS pg_catalog.bool
-- STABLE, so that views with it are as cheap as without.
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_running_wrapper';
REVOKE ALL ON FUNCTION postern.durable_running(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_running(pg_catalog.text) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_running(pg_catalog.text) IS 'Whether an executor is at the instance right now';

CREATE FUNCTION postern.durable_nodes(graph pg_catalog.text, status pg_catalog.text, steps pg_catalog.text, strands pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_nodes_wrapper';
REVOKE ALL ON FUNCTION postern.durable_nodes(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_nodes(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_nodes(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'What the nodes of a function came to, worked out from what it wrote';

CREATE FUNCTION postern.durable_subject(input pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_subject_wrapper';
REVOKE ALL ON FUNCTION postern.durable_subject(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_subject(pg_catalog.text) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_subject(pg_catalog.text) IS
    'What a text given to df.explain() is: instance, tree, expression, sql or unknown';

CREATE FUNCTION postern.durable_explain(graph pg_catalog.text, instance pg_catalog.text, format pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_explain_wrapper';
REVOKE ALL ON FUNCTION postern.durable_explain(pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_explain(pg_catalog.text, pg_catalog.text, pg_catalog.text) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_explain(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'Draws a function, or an instance of it: as text, mermaid or svg';

CREATE FUNCTION postern.durable_list_limit() RETURNS pg_catalog.int4
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_list_limit_wrapper';
REVOKE ALL ON FUNCTION postern.durable_list_limit() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_list_limit() TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_list_limit() IS 'postern.list_instances_max_limit, by either of its names';

CREATE FUNCTION postern.durable_ready() RETURNS pg_catalog.bool
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_ready_wrapper';
REVOKE ALL ON FUNCTION postern.durable_ready() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_ready() TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_ready() IS 'Whether this database has executors';

CREATE FUNCTION postern.durable_executors(
    OUT pid pg_catalog.int4, OUT database pg_catalog.oid, OUT idle pg_catalog.bool, OUT instance pg_catalog.text,
    OUT strand pg_catalog.int4, OUT node pg_catalog.int4, OUT since pg_catalog.timestamptz,
    OUT woken pg_catalog.int8
) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_executors_wrapper';
REVOKE ALL ON FUNCTION postern.durable_executors() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_executors() TO postern_monitor, postern_admin;
COMMENT ON FUNCTION postern.durable_executors() IS 'The executors of all databases, and what each is at';

CREATE VIEW df.instances WITH (security_invoker = true) AS
SELECT i.id, i.label, '00000000'::pg_catalog.varchar(8) AS root_node,
       CASE WHEN i.paused_at IS NOT NULL THEN 'paused'
                WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END AS status,
       i.submitted_by, i.database, i.created_at, i.updated_at, i.completed_at,
       i.session_role, i.priority, i.key, i.ended_at, i.facts, i.definers, i.error, i.parent, i.paused_at, i.reruns,
       i.left_off IS NOT NULL AS can_rerun, i.schedule, i.tick, i.away
  FROM postern.instance i;
REVOKE ALL ON TABLE df.instances FROM PUBLIC;
GRANT SELECT ON TABLE df.instances TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.instances IS 'Durable functions that were started';
COMMENT ON COLUMN df.instances.paused_at IS 'Since when it is paused; a step that was running then was let end';
COMMENT ON COLUMN df.instances.away IS 'It came with a copy of its database, and was paused for that';
COMMENT ON COLUMN df.instances.tick IS 'The time for which its schedule started it';
COMMENT ON COLUMN df.instances.can_rerun IS 'Whether df.rerun() can have it go on from the step that failed';

CREATE VIEW df.nodes WITH (security_invoker = true) AS
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
REVOKE ALL ON TABLE df.nodes FROM PUBLIC;
GRANT SELECT ON TABLE df.nodes TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.nodes IS 'The nodes of durable functions, and what they came to last';

CREATE VIEW df.history WITH (security_invoker = true) AS
SELECT i.id AS instance_id, n.id::pg_catalog.varchar(8) AS node_id, n.node_type, n.result_name, p.turn AS iteration, p.attempt, p.status,
       p.started_at, p.ended_at, p.ended_at OPERATOR(pg_catalog.-) p.started_at AS duration,
       coalesce(p.query, n.query) AS query, p.result::pg_catalog.jsonb AS result,
       p.error OPERATOR(pg_catalog.->>) 'sqlstate' AS sqlstate, p.error OPERATOR(pg_catalog.->>) 'message' AS message,
       p.error OPERATOR(pg_catalog.->>) 'detail' AS detail, p.error OPERATOR(pg_catalog.->>) 'hint' AS hint,
       p.error OPERATOR(pg_catalog.->>) 'context' AS context, i.submitted_by, p.strand, p.n
  FROM postern.instance i
 CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(postern.durable_nodes(i.graph, i.status, NULL, NULL)::pg_catalog.jsonb)
    AS n(id pg_catalog.text, node_type pg_catalog.text, query pg_catalog.text, result_name pg_catalog.text)
  JOIN postern.step p ON p.instance OPERATOR(pg_catalog.=) i.id AND p.strand OPERATOR(pg_catalog.>=) 0
                     AND pg_catalog.lpad(pg_catalog.to_hex(p.node), 8, '0') OPERATOR(pg_catalog.=) n.id;
REVOKE ALL ON TABLE df.history FROM PUBLIC;
GRANT SELECT ON TABLE df.history TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.history IS 'What ran: a row for each node, iteration and attempt, with the SQL as it ran, and what it failed with';
COMMENT ON COLUMN df.history.iteration IS 'The iterations of the loops around it, outermost first; NULL outside loops';
COMMENT ON COLUMN df.history.query IS 'The text with everything put in';

CREATE VIEW df.queue WITH (security_invoker = true) AS
SELECT s.owner AS role, s.priority,
       pg_catalog.count(*) FILTER (WHERE s.due OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) AS due,
       pg_catalog.count(*) FILTER (WHERE s.signal IS NOT NULL) AS awaits_signal,
       pg_catalog.count(*) FILTER (WHERE s.signal IS NULL AND s.due OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()
                                     AND s.due OPERATOR(pg_catalog.<) 'infinity') AS sleeps,
       pg_catalog.count(*) FILTER (WHERE s.state OPERATOR(pg_catalog.=) 'f') AS awaits_branches,
       pg_catalog.min(s.due) FILTER (WHERE s.due OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) AS due_since,
       pg_catalog.min(s.due) FILTER (WHERE s.due OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()
                                       AND s.due OPERATOR(pg_catalog.<) 'infinity') AS next_due,
       pg_catalog.count(s.held) AS paused
  FROM postern.strand s
 GROUP BY s.owner, s.priority;
REVOKE ALL ON TABLE df.queue FROM PUBLIC;
GRANT SELECT ON TABLE df.queue TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.queue IS 'What is to be done, for each role and priority: what is due, and what waits for something';
COMMENT ON COLUMN df.queue.due IS 'Lines of execution that an executor may take, or has taken';
COMMENT ON COLUMN df.queue.awaits_signal IS 'Those that wait for a signal, with a time-out or without';
COMMENT ON COLUMN df.queue.sleeps IS 'Those that wait for a time';
COMMENT ON COLUMN df.queue.paused IS 'Those that would be due, or sleep, were their instance not paused';
COMMENT ON COLUMN df.queue.awaits_branches IS 'Those that wait for their branches';

CREATE VIEW df.executors AS
SELECT e.pid, d.datname AS database, CASE WHEN e.instance IS NOT NULL THEN 'runs' WHEN e.idle THEN 'waits' ELSE 'looks' END AS state,
       e.instance AS instance_id, e.strand, pg_catalog.lpad(pg_catalog.to_hex(e.node), 8, '0') AS node_id, e.since, e.woken
  FROM postern.durable_executors() e JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) e.database;
REVOKE ALL ON TABLE df.executors FROM PUBLIC;
GRANT SELECT ON TABLE df.executors TO postern_admin, postern_monitor;
COMMENT ON VIEW df.executors IS 'The executors of all databases, and what each is at right now';
COMMENT ON COLUMN df.executors.state IS 'runs: a step; waits: until there is something to do; looks: for something to do, or writes down what it did';
COMMENT ON COLUMN df.executors.woken IS 'How often another process has woken it to look for something to do';

-- What scripts of pg_durable look at to see that work is done here. Nothing is kept behind these names.
CREATE SCHEMA _duroxide;
COMMENT ON SCHEMA _duroxide IS 'A name that scripts of pg_durable look for; the tables of the engine are in the schema postern';
REVOKE ALL ON SCHEMA _duroxide FROM PUBLIC;
GRANT USAGE ON SCHEMA _duroxide TO postern_application, postern_admin, postern_monitor;

CREATE VIEW _duroxide._worker_ready AS
SELECT true AS sentinel, 1 AS schema_version, pg_catalog.pg_postmaster_start_time() AS initialized_at
 WHERE postern.durable_ready();
REVOKE ALL ON TABLE _duroxide._worker_ready FROM PUBLIC;
GRANT SELECT ON TABLE _duroxide._worker_ready TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW _duroxide._worker_ready IS 'One row while this database has executors';

CREATE FUNCTION df.duroxide_schema() RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '_duroxide'::pg_catalog.text;
END;
COMMENT ON FUNCTION df.duroxide_schema() IS 'A name that scripts ask for; the tables of the engine are in the schema postern';

CREATE VIEW df._worker_epoch AS
SELECT pg_catalog.md5(pg_catalog.pg_postmaster_start_time()::pg_catalog.text)::pg_catalog.uuid AS epoch_id,
       pg_catalog.pg_postmaster_start_time() AS started_at, pg_catalog.clock_timestamp() AS last_seen_at
 WHERE postern.durable_ready();
REVOKE ALL ON TABLE df._worker_epoch FROM PUBLIC;
GRANT SELECT ON TABLE df._worker_epoch TO postern_admin, postern_monitor;
COMMENT ON VIEW df._worker_epoch IS 'One row while this database has executors; a new epoch with each start of the server';

CREATE FUNCTION df.instance_nodes(
    instance_id_param pg_catalog.text,
    OUT node_id pg_catalog.text, OUT node_type pg_catalog.text, OUT query pg_catalog.text, OUT result_name pg_catalog.text,
    OUT left_node pg_catalog.text, OUT right_node pg_catalog.text, OUT status pg_catalog.text, OUT result pg_catalog.text,
    OUT status_details pg_catalog.text, OUT inferred_status pg_catalog.text, OUT inferred_status_from_ancestor_id pg_catalog.text,
    OUT updated_at pg_catalog.timestamptz
) RETURNS SETOF record
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT n.id, n.node_type, n.query, n.result_name, n.left_node, n.right_node, n.status, n.result::pg_catalog.text,
           n.status_details::pg_catalog.text, n.inferred_status, n.inferred_status_from_ancestor_id, n.updated_at
      FROM df.nodes n WHERE n.instance_id OPERATOR(pg_catalog.=) instance_id_param ORDER BY n.id;
END;
COMMENT ON FUNCTION df.instance_nodes(pg_catalog.text) IS 'The nodes of an instance';

CREATE FUNCTION df.instance_nodes(
    instance_id_param pg_catalog.text, _last_n_executions pg_catalog.int4,
    OUT execution_id pg_catalog.int8, OUT node_id pg_catalog.text, OUT node_type pg_catalog.text, OUT query pg_catalog.text,
    OUT result_name pg_catalog.text, OUT left_node pg_catalog.text, OUT right_node pg_catalog.text, OUT status pg_catalog.text,
    OUT result pg_catalog.text, OUT updated_at pg_catalog.timestamptz
) RETURNS SETOF record
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 1::pg_catalog.int8, n.id, n.node_type, n.query, n.result_name, n.left_node, n.right_node, n.status,
           n.result::pg_catalog.text, n.updated_at
      FROM df.nodes n WHERE n.instance_id OPERATOR(pg_catalog.=) instance_id_param ORDER BY n.id;
END;
COMMENT ON FUNCTION df.instance_nodes(pg_catalog.text, pg_catalog.int4) IS 'The nodes of an instance, in an older shape';

CREATE FUNCTION df.instance_info(
    instance_id pg_catalog.text,
    OUT instance_id pg_catalog.text, OUT label pg_catalog.text, OUT function_name pg_catalog.text, OUT function_version pg_catalog.text,
    OUT current_execution_id pg_catalog.int8, OUT status pg_catalog.text, OUT output pg_catalog.text
) RETURNS SETOF record
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.id, i.label, 'pg_durable::orchestration::execute-function-graph', '1.0.0', 1::pg_catalog.int8, v.status,
           coalesce(i.output, i.error OPERATOR(pg_catalog.->>) 'message')
      FROM postern.instance i JOIN df.instances v ON v.id OPERATOR(pg_catalog.=) i.id WHERE i.id OPERATOR(pg_catalog.=) $1
$$;
COMMENT ON FUNCTION df.instance_info(pg_catalog.text) IS 'An instance of yours';

CREATE FUNCTION df.instance_executions(
    instance_id pg_catalog.text, limit_count pg_catalog.int4 DEFAULT 5,
    OUT execution_id pg_catalog.int8, OUT status pg_catalog.text, OUT event_count pg_catalog.int8, OUT duration_ms pg_catalog.int8,
    OUT output pg_catalog.text
) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF limit_count OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'limit_count must be at least 1' USING ERRCODE = 'invalid_parameter_value';
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
COMMENT ON FUNCTION df.instance_executions(pg_catalog.text, pg_catalog.int4) IS
    'The executions of an instance: it has one, whatever loops are in it';

CREATE FUNCTION postern.durable_instances(status pg_catalog.text, label pg_catalog.text, after_cursor pg_catalog.text, most pg_catalog.int4)
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
               CASE WHEN i.paused_at IS NOT NULL THEN 'paused'
                WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END)
       AND (durable_instances.label IS NULL OR i.label OPERATOR(pg_catalog.=) durable_instances.label)
       AND (after_time IS NULL OR i.created_at OPERATOR(pg_catalog.<) after_time
            OR i.created_at OPERATOR(pg_catalog.=) after_time AND i.id OPERATOR(pg_catalog.>) parts[2])
     ORDER BY i.created_at DESC, i.id LIMIT most;
END
$$;
REVOKE ALL ON FUNCTION postern.durable_instances(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_instances(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_instances(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4) IS
    'The rows behind df.list_instances()';

CREATE FUNCTION postern.durable_check_page(limit_count pg_catalog.int4) RETURNS pg_catalog.int4
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF limit_count IS NULL THEN
        RAISE EXCEPTION 'argument limit_count must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF limit_count OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'limit_count must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    ELSIF limit_count OPERATOR(pg_catalog.>) postern.durable_list_limit() THEN
        RAISE EXCEPTION 'df.list_instances: limit_count (%) exceeds pg_durable.list_instances_max_limit (%); request fewer rows, or use the paginated df.list_instances overload (after_cursor/next_cursor) for large result sets',
            limit_count, postern.durable_list_limit()
            USING ERRCODE = 'invalid_parameter_value', HINT = 'postern.list_instances_max_limit is the same setting.';
    END IF;
    RETURN limit_count;
END
$$;
REVOKE ALL ON FUNCTION postern.durable_check_page(pg_catalog.int4) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_check_page(pg_catalog.int4) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_check_page(pg_catalog.int4) IS 'Refuses a page that is empty or too large';

CREATE FUNCTION df.list_instances(
    status_filter pg_catalog.text DEFAULT NULL, limit_count pg_catalog.int4 DEFAULT 100,
    OUT instance_id pg_catalog.text, OUT label pg_catalog.text, OUT function_name pg_catalog.text, OUT status pg_catalog.text,
    OUT execution_count pg_catalog.int8, OUT output pg_catalog.text
) RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT i.id::pg_catalog.text, i.label, 'pg_durable::orchestration::execute-function-graph',
           CASE WHEN i.paused_at IS NOT NULL THEN 'paused'
                WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END,
           1::pg_catalog.int8, coalesce(i.output, i.error OPERATOR(pg_catalog.->>) 'message')
      FROM postern.durable_instances(status_filter, NULL, NULL, postern.durable_check_page(limit_count)) i
     ORDER BY i.created_at DESC, i.id;
END;
COMMENT ON FUNCTION df.list_instances(pg_catalog.text, pg_catalog.int4) IS 'Instances of yours, newest first';

CREATE FUNCTION df.list_instances(
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
           CASE WHEN f.paused_at IS NOT NULL THEN 'paused'
                WHEN f.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(f.id) THEN 'running' ELSE f.status END,
           1::pg_catalog.int8, coalesce(f.output, f.error OPERATOR(pg_catalog.->>) 'message'), f.created_at, f.completed_at,
           (SELECT n.next_cursor FROM next n)
      FROM found f WHERE f.place OPERATOR(pg_catalog.<=) limit_count
     ORDER BY f.place;
END;
COMMENT ON FUNCTION df.list_instances(pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.text) IS
    'Instances of yours, newest first, page by page: next_cursor is the after_cursor of the next page, NULL on the last';

CREATE FUNCTION df.metrics(
    OUT total_instances pg_catalog.int8, OUT running_instances pg_catalog.int8, OUT completed_instances pg_catalog.int8,
    OUT failed_instances pg_catalog.int8, OUT total_executions pg_catalog.int8, OUT total_events pg_catalog.int8
)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE i.status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'running'])),
           pg_catalog.count(*) FILTER (WHERE i.status OPERATOR(pg_catalog.=) 'completed'),
           pg_catalog.count(*) FILTER (WHERE i.status OPERATOR(pg_catalog.=) 'failed'),
           pg_catalog.count(*), (SELECT pg_catalog.count(*) FROM postern.step)
      FROM postern.instance i;
END;
REVOKE ALL ON FUNCTION df.metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION df.metrics() TO postern_monitor, postern_admin;
COMMENT ON FUNCTION df.metrics() IS 'Counts over all roles';

CREATE FUNCTION df.version() RETURNS pg_catalog.text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'postern ' OPERATOR(pg_catalog.||) e.extversion FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'postern';
END;
COMMENT ON FUNCTION df.version() IS 'What runs durable functions here';

CREATE FUNCTION df.target_database() RETURNS pg_catalog.text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.current_database()::pg_catalog.text;
END;
COMMENT ON FUNCTION df.target_database() IS 'Where steps run: here';

CREATE FUNCTION df.explain(input pg_catalog.text, format pg_catalog.text DEFAULT 'text') RETURNS pg_catalog.text
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
                                 FROM df.nodes n WHERE n.instance_id OPERATOR(pg_catalog.=) i.id))::pg_catalog.text
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

-- Durable functions: schedules. A row each; executors start what is due. Changed by functions only; each role has its own.

CREATE TABLE postern.schedule (
    owner pg_catalog.regrole NOT NULL,
    name pg_catalog.text NOT NULL,
    cron pg_catalog.text NOT NULL,
    overlap pg_catalog.text NOT NULL,
    backfill pg_catalog.bool NOT NULL,
    label pg_catalog.text,
    priority pg_catalog.int2 NOT NULL,
    session_role pg_catalog.regrole NOT NULL,
    definers pg_catalog.text[],
    created_at pg_catalog.timestamptz NOT NULL,
    next_at pg_catalog.timestamptz NOT NULL,
    waiting pg_catalog.bool NOT NULL DEFAULT false,
    paused_at pg_catalog.timestamptz,
    last_tick pg_catalog.timestamptz,
    last_instance pg_catalog.varchar(8),
    started pg_catalog.int8 NOT NULL DEFAULT 0,
    missed pg_catalog.int8 NOT NULL DEFAULT 0,
    graph pg_catalog.text NOT NULL,
    vars pg_catalog.jsonb,
    facts pg_catalog.jsonb,
    format pg_catalog.int2 NOT NULL,
    home pg_catalog.text NOT NULL,
    away pg_catalog.bool NOT NULL DEFAULT false,
    CONSTRAINT schedule_pkey PRIMARY KEY (owner, name)
) WITH (fillfactor = 70);
ALTER TABLE postern.schedule ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON postern.schedule FOR SELECT
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole)
           OR pg_catalog.pg_has_role('postern_monitor', 'USAGE'));
REVOKE ALL ON TABLE postern.schedule FROM PUBLIC;
GRANT SELECT ON TABLE postern.schedule TO postern_application, postern_admin, postern_monitor;
COMMENT ON TABLE postern.schedule IS 'Durable functions that start again and again';
COMMENT ON COLUMN postern.schedule.owner IS 'The role that steps run as';
COMMENT ON COLUMN postern.schedule.session_role IS 'The identity of the session that made it: the entered role, else session_user';
COMMENT ON COLUMN postern.schedule.overlap IS 'What a tick does while the function of the one before runs: skip, queue or allow';
COMMENT ON COLUMN postern.schedule.backfill IS 'Whether ticks that passed while nobody could start them are made up, one after the other';
COMMENT ON COLUMN postern.schedule.next_at IS 'The next tick';
COMMENT ON COLUMN postern.schedule.waiting IS 'That tick has come, and waits for the function of the one before to end';
COMMENT ON COLUMN postern.schedule.paused_at IS 'Since when it is paused; NULL while it is not';
COMMENT ON COLUMN postern.schedule.last_tick IS 'The tick that started a function last';
COMMENT ON COLUMN postern.schedule.missed IS 'How often ticks have passed, or were left out since the one before still ran';
COMMENT ON COLUMN postern.schedule.home IS 'Where it ticks: system identifier, database, and the name of its role. In a copy of the database it is paused at its first tick';
COMMENT ON COLUMN postern.schedule.away IS 'It was paused for that';
COMMENT ON COLUMN postern.schedule.facts IS 'The facts that steps are entered with';
COMMENT ON COLUMN postern.schedule.definers IS 'The SECURITY DEFINER functions that the call came through, outermost first';
SELECT pg_catalog.pg_extension_config_dump('postern.schedule', '');

CREATE FUNCTION df.schedule(
    name pg_catalog.text,
    cron pg_catalog.text,
    step pg_catalog.text,
    overlap pg_catalog.text DEFAULT 'skip',
    backfill pg_catalog.bool DEFAULT false,
    label pg_catalog.text DEFAULT NULL,
    priority pg_catalog.int4 DEFAULT 0
) RETURNS pg_catalog.timestamptz
-- Neither SECURITY DEFINER nor SET: it captures who calls it.
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_schedule_wrapper';
COMMENT ON FUNCTION df.schedule(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.bool, pg_catalog.text, pg_catalog.int4) IS
    'Starts a durable function at every tick, as the current user; replaces the schedule of this name. Gives when the first tick comes';

CREATE FUNCTION df.unschedule(name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_unschedule_wrapper';
COMMENT ON FUNCTION df.unschedule(pg_catalog.text) IS 'Takes a schedule of the current user away; what it has started goes on';

CREATE FUNCTION df.pause_schedule(name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_pause_schedule_wrapper';
COMMENT ON FUNCTION df.pause_schedule(pg_catalog.text) IS
    'Has a schedule of the current user start nothing until df.resume_schedule(); ticks in between are not made up';

CREATE FUNCTION df.resume_schedule(name pg_catalog.text) RETURNS pg_catalog.timestamptz
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_resume_schedule_wrapper';
COMMENT ON FUNCTION df.resume_schedule(pg_catalog.text) IS 'Has a paused schedule go on; gives when its next tick comes';

CREATE VIEW df.schedules WITH (security_invoker = true) AS
SELECT s.name, s.cron, s.owner AS submitted_by, s.overlap, s.backfill,
       CASE WHEN s.paused_at IS NOT NULL THEN 'paused' WHEN s.waiting THEN 'waiting' ELSE 'active' END AS status,
       s.next_at, s.last_tick, s.last_instance, s.started, s.missed, s.label, s.priority, s.graph AS step, s.session_role, s.facts,
       s.definers, s.created_at, s.paused_at, s.away
  FROM postern.schedule s;
REVOKE ALL ON TABLE df.schedules FROM PUBLIC;
GRANT SELECT ON TABLE df.schedules TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.schedules IS 'Schedules, and what became of their ticks';
COMMENT ON COLUMN df.schedules.status IS 'active; waiting: its tick has come, and the function of the one before still runs; paused';
COMMENT ON COLUMN df.schedules.missed IS 'How often ticks have passed, or were left out since the one before still ran';

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
        RAISE EXCEPTION 'role % does not exist', coalesce($1::pg_catalog.text, 'NULL') USING ERRCODE = 'undefined_object';
    END IF;
    IF $2 IS NULL AND $3 IS NULL THEN
        RAISE EXCEPTION 'a quota has a concurrency, or a rate per second, or both'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'postern.drop_quota() takes a quota away.';
    END IF;
    IF $2 OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'concurrency must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT coalesce($3 OPERATOR(pg_catalog.>=) 0.001 AND $3 OPERATOR(pg_catalog.<=) 100000, true) THEN
        RAISE EXCEPTION 'per_second must be between 0.001 and 100000' USING ERRCODE = 'invalid_parameter_value';
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

-- Durable functions: copies. What runs in a database runs there: in a copy (a dump that was restored, a database made from a template)
-- it is paused when its turn comes, so that it does not happen twice. A standby that is promoted is no copy.

CREATE FUNCTION postern.adopt_durable() RETURNS pg_catalog.int8
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here CONSTANT pg_catalog.text := postern.durable_here();
    adopted pg_catalog.int8;
    schedules pg_catalog.int8;
BEGIN
    -- A role that is there under another name is another role: its OID may have been somebody else's.
    WITH foreigners AS (
        SELECT i.id, i.submitted_by FROM postern.instance i JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) i.submitted_by
         WHERE i.ended_at IS NULL AND NOT pg_catalog.starts_with(i.home, here)
           AND pg_catalog.right(i.home, -1 OPERATOR(pg_catalog.-) pg_catalog.length(pg_catalog.split_part(i.home, ' ', 1))) OPERATOR(pg_catalog.=) r.rolname::pg_catalog.text
    ), messages AS (
        INSERT INTO postern.message (instance, kind, payload, sender, owner, sent_at, fresh)
        SELECT f.id, 'u', '', f.submitted_by, f.submitted_by, pg_catalog.now(), true
          FROM foreigners f JOIN postern.instance i ON i.id OPERATOR(pg_catalog.=) f.id AND (i.away OR i.paused_at IS NULL)
    )
    UPDATE postern.instance i
       SET home = here OPERATOR(pg_catalog.||) pg_catalog.substr(i.home, 1 OPERATOR(pg_catalog.+) pg_catalog.length(pg_catalog.split_part(i.home, ' ', 1)) OPERATOR(pg_catalog.+) 1)
      FROM foreigners f WHERE i.id OPERATOR(pg_catalog.=) f.id;
    GET DIAGNOSTICS adopted = ROW_COUNT;
    UPDATE postern.schedule s
       SET home = here OPERATOR(pg_catalog.||) r.rolname, away = false, paused_at = CASE WHEN s.away THEN NULL ELSE s.paused_at END
      FROM pg_catalog.pg_roles r
     WHERE r.oid OPERATOR(pg_catalog.=) s.owner AND NOT pg_catalog.starts_with(s.home, here)
       AND pg_catalog.right(s.home, -1 OPERATOR(pg_catalog.-) pg_catalog.length(pg_catalog.split_part(s.home, ' ', 1))) OPERATOR(pg_catalog.=) r.rolname::pg_catalog.text;
    GET DIAGNOSTICS schedules = ROW_COUNT;
    PERFORM postern.durable_changed();
    PERFORM postern.durable_sent();
    RETURN adopted OPERATOR(pg_catalog.+) schedules;
END
$$;
REVOKE ALL ON FUNCTION postern.adopt_durable() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.adopt_durable() TO postern_admin;
COMMENT ON FUNCTION postern.adopt_durable() IS
    'Has instances and schedules that came with a copy of their database go on here; gives how many. Not what was paused before it was copied';

CREATE FUNCTION postern.durable_sent() RETURNS pg_catalog.void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'durable_sent_wrapper';
REVOKE ALL ON FUNCTION postern.durable_sent() FROM PUBLIC;
COMMENT ON FUNCTION postern.durable_sent() IS 'Has executors look for messages when the transaction is committed';

-- Names: which subprograms there are, and whose names others could capture.

CREATE FUNCTION postern.path_elements(path pg_catalog.text) RETURNS pg_catalog.text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'path_elements_wrapper';
GRANT EXECUTE ON FUNCTION postern.path_elements(pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.path_elements(pg_catalog.text) IS 'The names in a search_path, as the server reads it; null if it does not';

CREATE FUNCTION postern.intruder(owner pg_catalog.oid, acl pg_catalog.aclitem[], victim pg_catalog.oid) RETURNS pg_catalog.text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Towards the victim a role is trusted if it is a superuser, the victim, or able to become it. A membership counts without
    -- INHERIT, too: the role can be set. Nobody is one of the server's own roles; their members are looked at themselves.
    WITH holder (oid) AS (
        SELECT intruder.owner
        UNION
        SELECT a.grantee FROM pg_catalog.aclexplode(intruder.acl) a WHERE a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
    ),
    untrusted_holder AS (
        SELECT h.oid FROM holder h LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) h.oid
         WHERE h.oid OPERATOR(pg_catalog.<>) intruder.victim AND r.rolsuper IS NOT TRUE
    )
    SELECT CASE
        WHEN EXISTS (SELECT FROM untrusted_holder h WHERE h.oid OPERATOR(pg_catalog.=) 0::pg_catalog.oid) THEN 'everyone'
        ELSE (SELECT pg_catalog.concat('role ', pg_catalog.quote_ident(r.rolname))
                FROM untrusted_holder h JOIN pg_catalog.pg_roles r ON pg_catalog.pg_has_role(r.oid, h.oid, 'MEMBER')
               WHERE NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.!~) '^pg_'
                 AND NOT pg_catalog.pg_has_role(r.oid, intruder.victim, 'MEMBER')
                 -- Before 16 CREATEROLE confers any membership but a superuser's.
                 AND NOT (r.rolcreaterole AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.<) 160000
                          AND NOT (SELECT v.rolsuper FROM pg_catalog.pg_roles v WHERE v.oid OPERATOR(pg_catalog.=) intruder.victim))
               ORDER BY r.rolcanlogin DESC, r.rolname LIMIT 1)
        END;
END;
GRANT EXECUTE ON FUNCTION postern.intruder(pg_catalog.oid, pg_catalog.aclitem[], pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.intruder(pg_catalog.oid, pg_catalog.aclitem[], pg_catalog.oid) IS
    'Who can create in a schema or database of this owner and with these privileges, and is not trusted towards the victim; null if nobody';

CREATE FUNCTION postern.path_judged(path pg_catalog.text, owner pg_catalog.oid, OUT problem pg_catalog.text, OUT mended pg_catalog.text)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH listed AS (
        SELECT CASE e.name WHEN '$user' THEN pg_catalog.pg_get_userbyid(path_judged.owner) ELSE e.name END AS name, e.n
          FROM pg_catalog.unnest(postern.path_elements(path_judged.path)) WITH ORDINALITY e (name, n)
    ),
    -- The server takes the first of two that are the same.
    element AS (
        SELECT l.name, pg_catalog.min(l.n) AS n FROM listed l GROUP BY l.name
    ),
    judged AS (
        SELECT e.n, e.name,
               CASE WHEN e.name OPERATOR(pg_catalog.=) ANY ('{pg_catalog,pg_temp}'::pg_catalog.text[]) THEN NULL
                    WHEN e.name OPERATOR(pg_catalog.~) '^pg_(toast_)?temp_' THEN pg_catalog.concat('schema ', pg_catalog.quote_ident(e.name), ' has the temporary objects of a session')
                    WHEN s.oid IS NULL THEN (SELECT pg_catalog.concat('schema ', pg_catalog.quote_ident(e.name), ' does not exist, and ', i.who, ' can create it')
                                               FROM pg_catalog.pg_database d, postern.intruder(d.datdba, d.datacl, path_judged.owner) i (who)
                                              WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND i.who IS NOT NULL)
                    ELSE (SELECT pg_catalog.concat(i.who, ' can create objects in schema ', pg_catalog.quote_ident(e.name))
                            FROM postern.intruder(s.nspowner, s.nspacl, path_judged.owner) i (who) WHERE i.who IS NOT NULL)
               END AS problem,
               s.oid IS NOT NULL OR e.name OPERATOR(pg_catalog.=) 'pg_temp' AS there
          FROM element e LEFT JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) e.name
    )
    SELECT CASE WHEN path_judged.path IS NULL THEN 'it runs under the search_path of whoever calls it'
                WHEN postern.path_elements(path_judged.path) IS NULL THEN 'its search_path cannot be read'
                ELSE nullif(pg_catalog.concat_ws('; ',
                    (SELECT pg_catalog.string_agg(j.problem, '; ' ORDER BY j.n) FROM judged j),
                    CASE WHEN NOT EXISTS (SELECT FROM judged j WHERE j.name OPERATOR(pg_catalog.=) 'pg_temp')
                         THEN 'temporary objects come first, because pg_temp is not in its search_path'
                         WHEN EXISTS (SELECT FROM judged t JOIN judged j ON j.n OPERATOR(pg_catalog.>) t.n WHERE t.name OPERATOR(pg_catalog.=) 'pg_temp')
                         THEN 'temporary objects come before others, because pg_temp is not the last in its search_path' END), '')
           END,
           pg_catalog.concat_ws(', ',
               coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(j.name), ', ' ORDER BY j.n)
                           FROM judged j WHERE j.there AND j.problem IS NULL AND j.name OPERATOR(pg_catalog.<>) 'pg_temp'), 'pg_catalog'),
               'pg_temp');
END;
GRANT EXECUTE ON FUNCTION postern.path_judged(pg_catalog.text, pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.path_judged(pg_catalog.text, pg_catalog.oid) IS
    'Why the search_path of a subprogram lets others capture names in it, null if it does not; and what is left of it without those places';

CREATE VIEW postern.subprograms AS
    SELECT p.oid, n.nspname AS schema, p.proname AS name, i.identity,
           CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
           l.lanname AS language, pg_catalog.pg_get_userbyid(p.proowner) AS owner,
           p.prosecdef AS security_definer, p.prosqlbody IS NOT NULL AS atomic, c.path AS search_path,
           EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                    WHERE a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND a.privilege_type OPERATOR(pg_catalog.=) 'EXECUTE') AS executable_by_public,
           p.prosqlbody IS NOT NULL OR j.problem IS NULL AS safe,
           CASE WHEN p.prosqlbody IS NULL THEN j.problem END AS problem,
           CASE WHEN p.prosqlbody IS NULL AND j.problem IS NOT NULL AND p.prokind OPERATOR(pg_catalog.<>) 'a'
                THEN pg_catalog.format('ALTER %s %s SET search_path = %s',
                                       CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, i.identity, j.mended) END AS remedy
      FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
      JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
     CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0) i
      LEFT JOIN LATERAL (SELECT pg_catalog.substr(u.setting, 13) AS path FROM pg_catalog.unnest(p.proconfig) u (setting)
                          WHERE pg_catalog.starts_with(u.setting, 'search_path=')) c ON true
     CROSS JOIN LATERAL postern.path_judged(c.path, p.proowner) j
     -- What came with the server has lower numbers.
     WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid;
REVOKE ALL ON TABLE postern.subprograms FROM PUBLIC;
-- It says what the catalogs say, which everyone may read.
GRANT SELECT ON TABLE postern.subprograms TO PUBLIC;
COMMENT ON VIEW postern.subprograms IS
    'Every subprogram that did not come with the server: whether it is SECURITY DEFINER, its search_path, whether that is safe, and if not, why and what mends it';

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
                  HINT = 'Use GRANT, or ALTER TABLE … ENABLE ROW LEVEL SECURITY first.';
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
           AND (m.relation OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR m.relation OPERATOR(pg_catalog.=) is_error.relation)
           AND (m.role OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR pg_catalog.pg_has_role(is_error.role, m.role, 'USAGE'))
         ORDER BY (m.relation OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)::pg_catalog.int4 OPERATOR(pg_catalog.+) (m.role OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)::pg_catalog.int4 DESC,
                  m.mode OPERATOR(pg_catalog.=) 'e' DESC
         LIMIT 1), false);
END;
GRANT EXECUTE ON FUNCTION postern.is_error(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") TO PUBLIC;
COMMENT ON FUNCTION postern.is_error(pg_catalog.oid, pg_catalog.oid, pg_catalog."char") IS
    'Whether the role gets an error where row security would filter the command';

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
               coalesce('security_invoker=true' OPERATOR(pg_catalog.=) ANY (c.reloptions) OR 'security_invoker=on' OPERATOR(pg_catalog.=) ANY (c.reloptions), false) AS invoker
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
        as_user := CASE WHEN coalesce(current.reloptions OPERATOR(pg_catalog.&&) '{security_invoker=true,security_invoker=on}'::pg_catalog.text[], false)
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
            SELECT d.refobjid, CASE WHEN coalesce(c.reloptions OPERATOR(pg_catalog.&&) '{security_invoker=true,security_invoker=on}'::pg_catalog.text[], false) THEN explain_view.role ELSE c.relowner END
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
            EXECUTE pg_catalog.format('SELECT t::pg_catalog.text FROM ONLY %s t, pg_catalog.jsonb_populate_record(NULL::%s, $1) k WHERE %s', below::pg_catalog.regclass, below::pg_catalog.regclass, condition)
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
    old_text pg_catalog.text;
    new_text pg_catalog.text;
    condition pg_catalog.text;
    part pg_catalog.record;
    vote pg_catalog.record;
    opened pg_catalog.bool;
    closed pg_catalog.bool;
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
            EXECUTE pg_catalog.format('SELECT t::pg_catalog.text FROM ONLY %s t, pg_catalog.jsonb_populate_record(NULL::%s, $1) k WHERE %s', relation, relation, condition)
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
        opened := false; closed := false;
        FOR vote IN SELECT v.* FROM postern.policy_votes(relation, role, part.command, part.checks, part.row_text, facts) v LOOP
            step := pg_catalog.concat(part.kind, ' ', part.command, CASE WHEN vote.permissive THEN ' permissive' ELSE ' restrictive' END);
            name := vote.policy; says := vote.vote; expression := vote.expression;
            RETURN NEXT;
            raised := raised OR says OPERATOR(pg_catalog.~~) 'error%';
            IF vote.permissive THEN opened := opened OR says OPERATOR(pg_catalog.=) 'true';
            ELSE closed := closed OR says OPERATOR(pg_catalog.<>) 'true'; END IF;
        END LOOP;
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

CREATE FUNCTION postern.caller_role(caller postern.caller) RETURNS pg_catalog.oid
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'caller_role_wrapper';
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
    EXCEPTION WHEN undefined_column OR undefined_function OR undefined_table OR undefined_object OR invalid_schema_name THEN
        GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
        RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE,
            HINT = coalesce(nullif(hint, ''), pg_catalog.format('Names are looked up by the path "%s": write their schemas, or give search_path.', search_path));
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
    RETURN policy;
END
$$;
-- It does what the caller may do: CREATE POLICY, CREATE FUNCTION, ALTER FUNCTION … OWNER.
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

-- Replication: who may attach code to a table, and what may be copied. See src/replication/mod.rs for the invariants. The rules
-- look at what the catalogs say, which everyone may read.

CREATE FUNCTION postern.subscription_owner_runs(subscription pg_catalog.oid) RETURNS pg_catalog.bool
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- postern: allow definer-for-public: it tells one flag of a catalog of which nobody may read the connection strings
    -- Before 16 there is no such column, and everything runs as the owner of the subscription.
    SELECT coalesce((pg_catalog.to_jsonb(s) ->> 'subrunasowner')::pg_catalog.bool, true)
      FROM pg_catalog.pg_subscription s WHERE s.oid = subscription_owner_runs.subscription
$$;
GRANT EXECUTE ON FUNCTION postern.subscription_owner_runs(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.subscription_owner_runs(pg_catalog.oid) IS
    'Whether code that runs on apply runs as the owner of the subscription, not as the owner of the table';

CREATE FUNCTION postern.is_trusted_code(function pg_catalog.oid) RETURNS pg_catalog.bool
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Functions that the server came with have an OID below the first that is given to users' objects.
    RETURN is_trusted_code.function < 16384::pg_catalog.oid OR EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = is_trusted_code.function AND d.deptype = 'e'
           AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND e.extname::pg_catalog.text = ANY (pg_catalog.regexp_split_to_array(
                   pg_catalog.btrim(coalesce(pg_catalog.current_setting('postern.trusted_extensions', true), '')), '\s*,\s*')));
END
$$;
GRANT EXECUTE ON FUNCTION postern.is_trusted_code(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.is_trusted_code(pg_catalog.oid) IS
    'Whether everyone may attach the function: it came with the server, or is of an extension in postern.trusted_extensions';

CREATE VIEW postern.replication_members AS
WITH RECURSIVE member (relation, class, source, publication, subscription) AS (
    SELECT c.oid, 'pg_catalog.pg_publication'::pg_catalog.regclass::pg_catalog.oid, p.oid, p.oid, NULL::pg_catalog.oid
      FROM pg_catalog.pg_publication p
      JOIN pg_catalog.pg_class c ON c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384::pg_catalog.oid
     WHERE p.puballtables
    UNION
    SELECT r.prrelid, 'pg_catalog.pg_publication_rel'::pg_catalog.regclass, r.oid, r.prpubid, NULL FROM pg_catalog.pg_publication_rel r
    UNION
    SELECT c.oid, 'pg_catalog.pg_publication_namespace'::pg_catalog.regclass, n.oid, n.pnpubid, NULL
      FROM pg_catalog.pg_publication_namespace n
      JOIN pg_catalog.pg_class c ON c.relnamespace = n.pnnspid AND c.relkind IN ('r', 'p')
    UNION
    SELECT s.srrelid, 'pg_catalog.pg_subscription'::pg_catalog.regclass, s.srsubid, NULL, s.srsubid FROM pg_catalog.pg_subscription_rel s
), with_partitions AS (
    SELECT m.* FROM member m
    UNION
    SELECT i.inhrelid, m.class, m.source, m.publication, m.subscription
      FROM with_partitions m
      JOIN pg_catalog.pg_class c ON c.oid = m.relation AND c.relkind = 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent = m.relation
)
SELECT w.relation, w.class, w.source, w.publication, w.subscription FROM with_partitions w;
REVOKE ALL ON TABLE postern.replication_members FROM PUBLIC;
GRANT SELECT ON TABLE postern.replication_members TO PUBLIC;
COMMENT ON VIEW postern.replication_members IS
    'The replicated tables, partitions included, and the catalog row that makes each of them one';

CREATE FUNCTION postern.table_code(relations pg_catalog.oid[])
RETURNS TABLE (relation pg_catalog.oid, kind pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text, enabled pg_catalog."char", function pg_catalog.oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE used (relation, type) AS (
        SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = ANY (relations) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384::pg_catalog.oid
        UNION
        SELECT u.relation, x.type
          FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type,
               LATERAL (SELECT t.typbasetype
                        UNION ALL SELECT t.typelem
                        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)) x (type)
         WHERE x.type >= 16384::pg_catalog.oid
    ), part (relation, kind, object_id, object, enabled, class) AS (
        SELECT t.tgrelid, 'when', t.oid, t.tgname, t.tgenabled, 'pg_catalog.pg_trigger'::pg_catalog.regclass
          FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal AND t.tgqual IS NOT NULL
        UNION ALL
        SELECT c.conrelid, 'check', c.oid, c.conname, NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass
          FROM pg_catalog.pg_constraint c WHERE c.conrelid = ANY (relations) AND c.contype = 'c'
        UNION ALL
        SELECT u.relation, 'domain', c.oid, pg_catalog.format('%s (%s)', pg_catalog.format_type(u.type, NULL), c.conname), NULL, 'pg_catalog.pg_constraint'::pg_catalog.regclass
          FROM used u JOIN pg_catalog.pg_constraint c ON c.contypid = u.type
        UNION ALL
        SELECT u.relation, 'domain', t.oid, pg_catalog.format_type(u.type, NULL), NULL, 'pg_catalog.pg_type'::pg_catalog.regclass
          FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type AND t.typtype = 'd'
        UNION ALL
        SELECT d.adrelid, CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated' END, d.oid, a.attname, NULL,
               'pg_catalog.pg_attrdef'::pg_catalog.regclass
          FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE d.adrelid = ANY (relations)
        UNION ALL
        SELECT i.indrelid, 'index', c.oid, c.relname, NULL, 'pg_catalog.pg_class'::pg_catalog.regclass
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = ANY (relations) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        UNION ALL
        SELECT p.partrelid, 'partition key', p.partrelid, NULL, NULL, 'pg_catalog.pg_class'::pg_catalog.regclass
          FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = ANY (relations) AND p.partexprs IS NOT NULL
    )
    SELECT t.tgrelid, 'trigger', t.oid, t.tgname::pg_catalog.text, t.tgenabled, t.tgfoid
      FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (relations) AND NOT t.tgisinternal
    UNION
    SELECT p.relation, p.kind, p.object_id, p.object::pg_catalog.text, p.enabled, coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
      FROM part p
      JOIN pg_catalog.pg_depend d ON d.classid = p.class AND d.objid = p.object_id
      LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
     WHERE (o.oid IS NOT NULL OR d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE p.kind = 'when' AND t.oid = p.object_id AND t.tgfoid = d.refobjid)
    UNION
    -- A domain without a check today may have one tomorrow: whose it is counts.
    SELECT u.relation, 'domain type', t.oid, pg_catalog.format_type(u.type, NULL), NULL, NULL
      FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type AND t.typtype = 'd';
END
$$;
GRANT EXECUTE ON FUNCTION postern.table_code(pg_catalog.oid[]) TO PUBLIC;
COMMENT ON FUNCTION postern.table_code(pg_catalog.oid[]) IS
    'The functions that run when a row of the tables is written, and what makes each of them run';

CREATE FUNCTION postern.table_findings(relations pg_catalog.oid[])
RETURNS TABLE (
    relation pg_catalog.oid, reason pg_catalog.text, object_id pg_catalog.oid, object pg_catalog.text,
    function pg_catalog.oid, function_owner pg_catalog.oid, subscription pg_catalog.oid, severe pg_catalog.bool,
    sentence pg_catalog.text, mend pg_catalog.text
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
        SELECT k.*, t.relowner, t.name, t.owner_name, p.proowner, p.prosecdef, r.rolname AS runner, r.rolsuper AS runner_super,
               p.proconfig, p.oid::pg_catalog.regprocedure::pg_catalog.text AS function_name,
               postern.is_trusted_code(p.oid) AS trusted
          FROM called k
          JOIN tab t ON t.oid = k.relation
          JOIN pg_catalog.pg_proc p ON p.oid = k.function
          JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    ), major AS (
        SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS n
    )
    SELECT t.oid, 'system', t.oid, t.name, NULL::pg_catalog.oid, NULL::pg_catalog.oid, NULL::pg_catalog.oid, true,
           pg_catalog.format('%s is a table of the system.', t.name),
           'Leave it out of the publication.'
      FROM tab t WHERE t.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')
    UNION ALL
    SELECT t.oid, 'extension', t.oid, e.extname, NULL, NULL, NULL, true,
           pg_catalog.format('%s belongs to the extension "%s".', t.name, e.extname),
           'Publish tables by name, or schemas without it: postern.publication_statement() gives the statement.'
      FROM tab t
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
      JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.oid = d.refobjid
    UNION ALL
    SELECT k.relation, 'foreign', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s%s of %s runs %s, which belongs to "%s" and not to the table''s owner "%s", and is not SECURITY DEFINER.',
                             pg_catalog.initcap(k.kind), ' "' || k.object || '"', k.name, k.function_name, k.runner, k.owner_name),
           pg_catalog.format('ALTER FUNCTION %s OWNER TO %I; or: ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp;%s',
                             k.function_name, k.owner_name, k.function_name,
                             CASE WHEN k.kind IN ('trigger', 'when') THEN pg_catalog.format(' or: DROP TRIGGER %I ON %s;', k.object, k.name) END)
      FROM code k
     WHERE k.proowner <> k.relowner AND NOT k.prosecdef AND NOT k.trusted AND (k.kind = 'trigger' OR NOT k.runner_super)
    UNION ALL
    SELECT k.relation, 'setting', k.object_id, k.object, k.function, k.proowner, NULL, true,
           pg_catalog.format('%s "%s" of %s runs %s, which sets %s.', pg_catalog.initcap(k.kind), k.object, k.name, k.function_name, c.name),
           pg_catalog.format('ALTER FUNCTION %s RESET %I;', k.function_name, c.name)
      FROM code k, LATERAL (SELECT pg_catalog.split_part(x, '=', 1) FROM pg_catalog.unnest(k.proconfig) x) c (name)
     WHERE pg_catalog.lower(c.name) IN ('role', 'session_authorization', 'session_replication_role')
    UNION ALL
    SELECT t.oid, 'domain', k.object_id, k.object, NULL, y.typowner, NULL, true,
           pg_catalog.format('Domain %s in %s belongs to "%s", who may add checks to it, and not to the table''s owner "%s".', k.object, t.name, r.rolname, t.owner_name),
           pg_catalog.format('ALTER DOMAIN %s OWNER TO %I;', k.object, t.owner_name)
      FROM called k
      JOIN tab t ON t.oid = k.relation
      JOIN pg_catalog.pg_type y ON y.oid = k.object_id
      JOIN pg_catalog.pg_roles r ON r.oid = y.typowner
     WHERE k.kind = 'domain type' AND y.typowner <> t.relowner AND NOT r.rolsuper
    UNION ALL
    -- On 15 it runs as the owner of the subscription; later versions stop the apply, whatever the function is.
    SELECT t.oid, 'deferred', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s is deferred and fires on apply, outside the identity that apply gives it.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname)
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tginitdeferred AND g.tgenabled IN ('A', 'R') AND NOT (m.n = 15 AND p.prosecdef)
    UNION ALL
    SELECT t.oid, 'truncate', g.oid, g.tgname::pg_catalog.text, g.tgfoid, p.proowner, NULL, true,
           pg_catalog.format('Trigger "%s" of %s fires after TRUNCATE on apply, as the owner of the subscription.', g.tgname, t.name),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', t.name, g.tgname)
      FROM tab t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid, major m
     WHERE NOT g.tgisinternal AND g.tgtype & 34 = 32 AND g.tgenabled IN ('A', 'R') AND m.n < 18 AND NOT p.prosecdef
    UNION ALL
    SELECT k.relation, 'subscription', k.object_id, k.object, k.function, k.proowner, s.oid, w.rolsuper AND s.subenabled,
           pg_catalog.format('%s%s of %s runs %s, which belongs to "%s", as "%s", the owner of subscription "%s"%s.',
                             pg_catalog.initcap(k.kind), ' "' || k.object || '"', k.name, k.function_name, k.runner, w.rolname, s.subname,
                             CASE WHEN w.rolsuper THEN ' and a superuser' ELSE '' END),
           pg_catalog.format('SELECT * FROM postern.subscription_recipe(%L);', s.subname)
      FROM code k
      JOIN (SELECT DISTINCT m.relation, m.subscription FROM postern.replication_members m WHERE m.subscription IS NOT NULL) m
           ON m.relation = k.relation
      JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
      JOIN pg_catalog.pg_roles w ON w.oid = s.subowner
     WHERE (k.enabled IS NULL OR k.enabled IN ('A', 'R'))
       AND NOT k.prosecdef AND NOT k.trusted AND NOT k.runner_super AND k.proowner <> s.subowner
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

CREATE FUNCTION postern.publication_statement(publication pg_catalog.name, schemas pg_catalog.name[] DEFAULT NULL) RETURNS pg_catalog.text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_catalog.format('CREATE PUBLICATION %I FOR TABLE %s;', publication_statement.publication,
                             pg_catalog.string_agg(c.oid::pg_catalog.regclass::pg_catalog.text, ', ' ORDER BY c.oid::pg_catalog.regclass::pg_catalog.text))
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' AND c.oid >= 16384::pg_catalog.oid
       AND (schemas IS NULL OR n.nspname = ANY (schemas))
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
       AND c.oid NOT IN (SELECT d.objid FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e')
       AND c.oid NOT IN (SELECT pg_catalog.unnest(pg_catalog.array_append(ARRAY(SELECT a.relid FROM pg_catalog.pg_partition_ancestors(f.relation) a (relid)), f.relation))
                           FROM postern.replication_findings f)
$$;
GRANT EXECUTE ON FUNCTION postern.publication_statement(pg_catalog.name, pg_catalog.name[]) TO PUBLIC;
COMMENT ON FUNCTION postern.publication_statement(pg_catalog.name, pg_catalog.name[]) IS
    'The statement that publishes every table that may be, in place of FOR ALL TABLES or FOR TABLES IN SCHEMA';

CREATE FUNCTION postern.trigger_facts(trigger pg_catalog.oid)
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
        SELECT coalesce(pg_catalog.string_agg(DISTINCT f.function::pg_catalog.regprocedure::pg_catalog.text, ', ')
                            FILTER (WHERE conditional AND f.reason = 'foreign' AND f.function <> called), ''),
               coalesce(pg_catalog.string_agg(DISTINCT f.sentence, ' ') FILTER (WHERE is_member AND f.severe), '')
          INTO foreign_when, findings
          FROM postern.table_findings(ARRAY[relation]) f WHERE f.object_id = $1;
    END IF;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION postern.trigger_facts(pg_catalog.oid) FROM PUBLIC;
COMMENT ON FUNCTION postern.trigger_facts(pg_catalog.oid) IS 'What the rules ask about a trigger that was made';

CREATE FUNCTION postern.replication_judgement(
    classes pg_catalog.text, objects pg_catalog.text, subs pg_catalog.text, owners_before pg_catalog.text, schemas_before pg_catalog.text
) RETURNS TABLE (at pg_catalog.int4, what pg_catalog.text, subject pg_catalog.text, owner pg_catalog.text, sentence pg_catalog.text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    touched_objects CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(objects, ',')::pg_catalog.oid[];
    relevant pg_catalog.oid[];
BEGIN
    -- Where nothing is replicated, most statements end here.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel) AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_namespace)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.puballtables) AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel) THEN
        RETURN;
    END IF;
    -- Of tables, indexes and columns only the tables themselves are looked at, with their partitions; of anything else, all that are
    -- replicated.
    SELECT pg_catalog.array_agg(DISTINCT m.relation) INTO relevant FROM postern.replication_members m;
    IF pg_catalog.string_to_array(classes, ',')::pg_catalog.oid[] OPERATOR(pg_catalog.<@) ARRAY[
           'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_inherits'::pg_catalog.regclass
       ]::pg_catalog.oid[]
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = ANY (touched_objects) AND c.relkind = 'c') THEN
        relevant := ARRAY(
            SELECT r.oid FROM pg_catalog.unnest(relevant) r (oid)
             WHERE r.oid = ANY (touched_objects)
                OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = r.oid AND i.indexrelid = ANY (touched_objects))
                OR EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(r.oid) p WHERE p.relid = ANY (touched_objects)));
    END IF;
    IF pg_catalog.cardinality(coalesce(relevant, '{}')) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH touched AS MATERIALIZED (
        SELECT (t.n - 1)::pg_catalog.int4 AS at, t.class, t.object, t.sub, t.owner_before, t.schema_before
          FROM ROWS FROM (
                   pg_catalog.unnest(pg_catalog.string_to_array(classes, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(objects, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(subs, ',')::pg_catalog.int4[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(owners_before, ',')::pg_catalog.oid[]),
                   pg_catalog.unnest(pg_catalog.string_to_array(schemas_before, ',')::pg_catalog.oid[])
               ) WITH ORDINALITY t (class, object, sub, owner_before, schema_before, n)
    ), member AS MATERIALIZED (
        SELECT m.* FROM postern.replication_members m
    ), finding AS MATERIALIZED (
        SELECT f.* FROM postern.table_findings(relevant) f
    )
    SELECT DISTINCT t.at, 'table', f.relation::pg_catalog.regclass::pg_catalog.text, '', f.sentence
      FROM touched t JOIN finding f ON f.severe AND CASE t.class
           WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN
               -- It fires otherwise than before, and fires at all.
               f.object_id = t.object AND EXISTS (
                   SELECT FROM pg_catalog.pg_trigger g
                    WHERE g.oid = t.object AND g.tgenabled <> 'D' AND g.tgenabled <> pg_catalog.chr(t.sub)::pg_catalog."char")
           WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN f.function = t.object
           WHEN 'pg_catalog.pg_authid'::pg_catalog.regclass THEN f.function_owner = t.object
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
               f.object_id = t.object
               -- What a composite type has now, every table with a column of it has.
               OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.object AND c.relkind = 'c')
                  AND f.object_id IN (SELECT k.object_id FROM postern.table_code(ARRAY[t.object]) k)
               OR f.relation = t.object AND (
                   -- New, or new in its schema: all of it. Of a new owner: what was the old one's. A column: its type.
                   t.owner_before = 0::pg_catalog.oid AND t.sub = 0
                   OR t.sub <> 0 AND f.reason = 'domain'
                   OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.object
                               AND (c.relnamespace <> t.schema_before OR c.relowner <> t.owner_before AND f.function_owner = t.owner_before)))
           WHEN 'pg_catalog.pg_inherits'::pg_catalog.regclass THEN
               f.relation = t.object OR f.relation IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(t.object) p)
           WHEN 'pg_catalog.pg_extension'::pg_catalog.regclass THEN
               f.reason = 'extension' AND EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.oid = t.object AND e.extname = f.object)
           -- The server names the table and the column.
           WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN
               f.object_id = (SELECT d.oid FROM pg_catalog.pg_attrdef d WHERE d.adrelid = t.object AND d.adnum = t.sub)
           WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN f.object_id = t.object
           WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN f.object_id = t.object
           ELSE false END
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
REVOKE ALL ON FUNCTION postern.replication_judgement(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.replication_judgement(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'What is wrong with replicated tables that a statement has touched';

CREATE FUNCTION postern.subscription_hold(subscription pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- As ALTER SUBSCRIPTION ... DISABLE does it. An error instead would leave the replication slot, which is made on another server.
    UPDATE pg_catalog.pg_subscription s SET subenabled = false
     WHERE s.subname = subscription_hold.subscription
       AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
$$;
REVOKE ALL ON FUNCTION postern.subscription_hold(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.subscription_hold(pg_catalog.text) IS 'Disables a subscription that was made just now';

CREATE FUNCTION postern.subscription_recipe(subscription pg_catalog.name) RETURNS SETOF pg_catalog.text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT s.oid, s.subname, s.subowner, r.rolsuper,
               pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS major
          FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_roles r ON r.oid = s.subowner
         WHERE s.subname = subscription_recipe.subscription
           AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
    ), owners AS (
        SELECT DISTINCT pg_catalog.pg_get_userbyid(c.relowner) AS name
          FROM found f JOIN postern.replication_members m ON m.subscription = f.oid JOIN pg_catalog.pg_class c ON c.oid = m.relation
    )
    SELECT l.line
      FROM found f,
           LATERAL (
               SELECT 1, pg_catalog.format('ALTER SUBSCRIPTION %I SET (run_as_owner = false);', f.subname) WHERE f.major >= 16
               UNION ALL
               SELECT 1, pg_catalog.format('ALTER SUBSCRIPTION %I DISABLE;', f.subname) WHERE f.major < 16
               UNION ALL
               -- The server asks for a superuser at this moment, and for no longer.
               SELECT 2, pg_catalog.format('CREATE ROLE %I LOGIN SUPERUSER;', f.subname || '_apply') WHERE f.major < 16
               UNION ALL
               SELECT 3, pg_catalog.format('ALTER SUBSCRIPTION %I OWNER TO %I;', f.subname, f.subname || '_apply') WHERE f.major < 16
               UNION ALL
               SELECT 4, pg_catalog.format('ALTER ROLE %I NOSUPERUSER;', f.subname || '_apply') WHERE f.major < 16
               UNION ALL
               SELECT 5, pg_catalog.format('GRANT %I TO %I;', o.name, f.subname || '_apply') FROM owners o WHERE f.major < 16
               UNION ALL
               SELECT 6, pg_catalog.format('ALTER SUBSCRIPTION %I ENABLE;', f.subname) WHERE f.major < 16
           ) l (n, line)
     WHERE f.rolsuper
     ORDER BY l.n, l.line
$$;
GRANT EXECUTE ON FUNCTION postern.subscription_recipe(pg_catalog.name) TO PUBLIC;
COMMENT ON FUNCTION postern.subscription_recipe(pg_catalog.name) IS
    'The statements that give a subscription an owner with no more rights than it needs';

-- What runs when a row is applied, and as whom.

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

CREATE FUNCTION postern.rehearse_statement(role pg_catalog.oid, statement pg_catalog.text) RETURNS pg_catalog.text[]
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rehearse_statement_wrapper';
REVOKE ALL ON FUNCTION postern.rehearse_statement(pg_catalog.oid, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.rehearse_statement(pg_catalog.oid, pg_catalog.text) TO postern_admin;
COMMENT ON FUNCTION postern.rehearse_statement(pg_catalog.oid, pg_catalog.text) IS
    'Runs a statement as apply would, as the role, and rolls it back: SQLSTATE, message and context of its error';

CREATE FUNCTION postern.sample_value(type pg_catalog.oid) RETURNS pg_catalog.text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t CONSTANT pg_catalog.pg_type := (SELECT y FROM pg_catalog.pg_type y WHERE y.oid = sample_value.type);
BEGIN
    RETURN CASE
        WHEN t.typtype = 'd' THEN postern.sample_value(t.typbasetype)
        WHEN t.typtype = 'e' THEN (SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT 1)
        WHEN t.typtype = 'r' THEN 'empty'
        WHEN t.typtype = 'm' OR t.typcategory = 'A' THEN '{}'
        WHEN t.typname IN ('time', 'timetz') THEN '00:00'
        WHEN t.typname = 'uuid' THEN '00000000-0000-0000-0000-000000000000'
        WHEN t.typname IN ('json', 'jsonb') THEN '{}'
        WHEN t.typname IN ('bytea', 'tsvector') THEN ''
        ELSE CASE t.typcategory
             WHEN 'N' THEN '1' WHEN 'S' THEN 'x' WHEN 'B' THEN 'true' WHEN 'D' THEN '2000-01-01' WHEN 'T' THEN '1 day'
             WHEN 'I' THEN '127.0.0.1' WHEN 'V' THEN '1' END
        END;
END
$$;
GRANT EXECUTE ON FUNCTION postern.sample_value(pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.sample_value(pg_catalog.oid) IS 'A value of the type, as text; NULL if we know none';

CREATE FUNCTION postern.apply_fix(sqlstate pg_catalog.text, message pg_catalog.text, context pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    missing CONSTANT pg_catalog.text := coalesce(pg_catalog.substring(message, '"([^"]+)" does not exist'), pg_catalog.substring(message, 'function ([^ (]+)\('));
    caller CONSTANT pg_catalog.text := pg_catalog.substring(context, 'PL/pgSQL function ([^\n]+\)) line');
    callers pg_catalog.text[];
    schemas pg_catalog.text[];
BEGIN
    -- The language remembers the name as it was written when the function was first called: with its schema, or without.
    SELECT pg_catalog.array_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text) INTO callers
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE p.oid::pg_catalog.regprocedure::pg_catalog.text IN (caller, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', caller));
    -- Only what the empty path did not find, and what one schema alone has.
    IF sqlstate NOT IN ('42P01', '42883', '42704') OR missing IS NULL OR pg_catalog.cardinality(callers) IS DISTINCT FROM 1 THEN
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
GRANT EXECUTE ON FUNCTION postern.apply_fix(pg_catalog.text, pg_catalog.text, pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.apply_fix(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'The statement after which a function finds what an error says it did not; NULL if there is no one such';

CREATE FUNCTION postern.rehearse_apply(relation pg_catalog.regclass, sample pg_catalog.jsonb DEFAULT NULL)
RETURNS TABLE (
    step pg_catalog.text, runs_as pg_catalog.name, outcome pg_catalog.text, sqlstate pg_catalog.text, message pg_catalog.text,
    context pg_catalog.text, fix pg_catalog.text
)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT pg_catalog.pg_class := (SELECT c FROM pg_catalog.pg_class c WHERE c.oid = rehearse_apply.relation);
    runner pg_catalog.oid := target.relowner;
    columns pg_catalog.text;
    given pg_catalog.text;
    needed pg_catalog.text;
    needed_given pg_catalog.text;
    first_column pg_catalog.text;
    pick CONSTANT pg_catalog.text := pg_catalog.format('ctid = (SELECT ctid FROM ONLY %s LIMIT 1)', rehearse_apply.relation);
    insertion pg_catalog.text;
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

    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),
           pg_catalog.string_agg(v.literal, ', ' ORDER BY a.attnum),
           pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE v.needed),
           pg_catalog.string_agg(v.literal, ', ' ORDER BY a.attnum) FILTER (WHERE v.needed),
           (pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attnum))[1]
      INTO columns, given, needed, needed_given, first_column
      FROM pg_catalog.pg_attribute a,
           LATERAL (SELECT pg_catalog.format('%L::%s', CASE WHEN sample ? a.attname::pg_catalog.text THEN sample ->> a.attname::pg_catalog.text
                                                            ELSE postern.sample_value(a.atttypid) END,
                                             pg_catalog.format_type(a.atttypid, a.atttypmod)),
                           sample ? a.attname::pg_catalog.text OR a.attnotnull AND NOT a.atthasdef AND a.attidentity = '') v (literal, needed)
     WHERE a.attrelid = target.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    insertion := pg_catalog.format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)', relation, columns, given);
    FOR todo IN
        SELECT l.* FROM (VALUES
            ('insert', true, insertion),
            ('insert with defaults', true, CASE WHEN needed IS NULL THEN pg_catalog.format('INSERT INTO %s DEFAULT VALUES', relation)
                                          ELSE pg_catalog.format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)', relation, needed, needed_given) END),
            ('update', true, pg_catalog.format('%s; UPDATE ONLY %s SET %s = %s WHERE %s', insertion, relation, first_column, first_column, pick)),
            ('delete', true, pg_catalog.format('%s; DELETE FROM ONLY %s WHERE %s', insertion, relation, pick)),
            ('truncate', EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = target.oid AND t.tgenabled IN ('A', 'R') AND t.tgtype & 32 = 32),
             pg_catalog.format('TRUNCATE ONLY %s', relation))
        ) l (step, asked, statement) WHERE l.asked
    LOOP
        step := todo.step; sqlstate := NULL; message := NULL; context := NULL; fix := NULL;
        IF failed AND todo.step IN ('update', 'delete') THEN
            outcome := 'not run';
        ELSE
            error := postern.rehearse_statement(runner, todo.statement);
            -- A row like the sample is there already, which says nothing about the code.
            IF error[1] = '23505' AND sample IS NULL AND todo.step <> 'truncate' THEN
                error := postern.rehearse_statement(runner, CASE todo.step
                    WHEN 'update' THEN pg_catalog.format('UPDATE ONLY %s SET %s = %s WHERE %s', relation, first_column, first_column, pick)
                    WHEN 'delete' THEN pg_catalog.format('DELETE FROM ONLY %s WHERE %s', relation, pick)
                    ELSE pg_catalog.format('DELETE FROM ONLY %s; %s', relation, todo.statement) END);
            END IF;
            outcome := CASE WHEN error IS NULL THEN 'ok' ELSE 'fails' END;
            sqlstate := error[1]; message := error[2]; context := error[3];
            fix := postern.apply_fix(error[1], error[2], error[3]);
            failed := failed OR todo.step = 'insert' AND error IS NOT NULL;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION postern.rehearse_apply(pg_catalog.regclass, pg_catalog.jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.rehearse_apply(pg_catalog.regclass, pg_catalog.jsonb) TO postern_admin;
COMMENT ON FUNCTION postern.rehearse_apply(pg_catalog.regclass, pg_catalog.jsonb) IS
    'Writes a sample row as apply would, through triggers, defaults and checks, and rolls it back: what fails, and what mends it';

-- Who reads what about replication, and which role carries which privilege.

CREATE FUNCTION postern.roles_for(class pg_catalog.oid, member pg_catalog.oid)
RETURNS TABLE (object pg_catalog.text, roles pg_catalog.text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    privileges pg_catalog.aclitem[];
    schemas pg_catalog.oid[];
BEGIN
    IF class = 'pg_catalog.pg_proc'::pg_catalog.regclass
       AND (SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.oid = $2) IN ('http', 'http_multipart') THEN
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
REVOKE ALL ON FUNCTION postern.roles_for(pg_catalog.oid, pg_catalog.oid) FROM PUBLIC;
COMMENT ON FUNCTION postern.roles_for(pg_catalog.oid, pg_catalog.oid) IS 'The roles that carry privileges on an object of the extension';

CREATE FUNCTION postern.subscription_counts()
RETURNS TABLE (
    subscription pg_catalog.oid, apply_errors pg_catalog.int8, sync_errors pg_catalog.int8, received pg_catalog.pg_lsn, applied pg_catalog.pg_lsn,
    last_message pg_catalog.timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.oid, coalesce(t.apply_error_count, 0), coalesce(t.sync_error_count, 0), w.received_lsn,
           -- Before anything was applied: where the copies of the tables ended.
           coalesce((SELECT pg_catalog.pg_replication_origin_progress(o.roname, false) FROM pg_catalog.pg_replication_origin o
                      WHERE o.roname = pg_catalog.concat('pg_', s.oid)),
                    (SELECT pg_catalog.max(r.srsublsn) FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid)),
           w.last_msg_receipt_time
      FROM pg_catalog.pg_subscription s
      LEFT JOIN pg_catalog.pg_stat_subscription_stats t ON t.subid = s.oid
      LEFT JOIN LATERAL (SELECT x.* FROM pg_catalog.pg_stat_subscription x WHERE x.subid = s.oid AND x.relid IS NULL LIMIT 1) w ON true
     WHERE s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
$$;
REVOKE ALL ON FUNCTION postern.subscription_counts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.subscription_counts() TO postern_admin, postern_monitor, postern_read_all_stats;
COMMENT ON FUNCTION postern.subscription_counts() IS 'Errors and positions of every subscription of this database';

CREATE VIEW postern.subscription_stats AS
SELECT s.subname AS subscription, pg_catalog.pg_get_userbyid(s.subowner) AS owner, s.subenabled AS enabled,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid) AS tables,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srsubstate = 'r') AS ready,
       c.apply_errors, c.sync_errors, c.received, c.applied, c.last_message
  FROM postern.subscription_counts() c JOIN pg_catalog.pg_subscription s ON s.oid = c.subscription;
REVOKE ALL ON TABLE postern.subscription_stats FROM PUBLIC;
GRANT SELECT ON TABLE postern.subscription_stats TO postern_admin, postern_monitor, postern_read_all_stats;
COMMENT ON VIEW postern.subscription_stats IS 'Each subscription of this database: tables, errors, positions';

CREATE TABLE postern.apply_conflicts (
    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY CONSTRAINT apply_conflicts_pkey PRIMARY KEY,
    subscription pg_catalog.name NOT NULL,
    relation pg_catalog.regclass,
    kind pg_catalog.text NOT NULL CHECK (kind IN ('apply', 'sync', 'conflict')),
    errors pg_catalog.int8 NOT NULL,
    position pg_catalog.pg_lsn,
    sqlstate pg_catalog.text,
    message pg_catalog.text,
    seen_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    last_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE INDEX apply_conflicts_place ON postern.apply_conflicts (subscription, position);
REVOKE ALL ON TABLE postern.apply_conflicts FROM PUBLIC;
GRANT SELECT ON TABLE postern.apply_conflicts TO PUBLIC;
COMMENT ON TABLE postern.apply_conflicts IS
    'Errors of subscriptions; everyone sees those of tables that they may read';
COMMENT ON COLUMN postern.apply_conflicts.relation IS 'The table, if it is known; otherwise it is one of the subscription''s';
COMMENT ON COLUMN postern.apply_conflicts.kind IS 'sync: in the first copy; conflict: apply went on (PostgreSQL 18)';
COMMENT ON COLUMN postern.apply_conflicts.errors IS 'How often, in a row and at one place';
COMMENT ON COLUMN postern.apply_conflicts.position IS
    'The end of the transaction that could not be applied; where there is no message, up to where the subscription had applied';
COMMENT ON COLUMN postern.apply_conflicts.message IS
    'What the server said; not what code said that runs on apply, which may tell more than the table; NULL if only a counter has told';

CREATE TABLE postern.apply_counts (
    subscription pg_catalog.oid,
    kind pg_catalog.text,
    counted pg_catalog.int8 NOT NULL DEFAULT 0,
    noted pg_catalog.int8 NOT NULL DEFAULT 0,
    noted_at pg_catalog.timestamptz,
    CONSTRAINT apply_counts_pkey PRIMARY KEY (subscription, kind)
);
REVOKE ALL ON TABLE postern.apply_counts FROM PUBLIC;
COMMENT ON TABLE postern.apply_counts IS
    'How far the server''s counters of errors have been seen, and how many errors were noted that they did not show yet';

ALTER TABLE postern.apply_conflicts ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION postern.may_read_conflict(subscription pg_catalog.name, relation pg_catalog.oid) RETURNS pg_catalog.bool
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    tables pg_catalog.oid[] := ARRAY[relation];
BEGIN
    IF relation IS NULL THEN
        SELECT coalesce(pg_catalog.array_agg(m.relation), '{}') INTO tables
          FROM postern.replication_members m JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription AND s.subname = may_read_conflict.subscription;
    END IF;
    -- A dropped table is nobody's, and neither are rows behind policies.
    RETURN pg_catalog.cardinality(tables) > 0 AND NOT EXISTS (
        SELECT FROM pg_catalog.unnest(tables) t (oid)
         WHERE NOT coalesce(pg_catalog.has_table_privilege(t.oid, 'SELECT'), false) OR pg_catalog.row_security_active(t.oid));
END
$$;
GRANT EXECUTE ON FUNCTION postern.may_read_conflict(pg_catalog.name, pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.may_read_conflict(pg_catalog.name, pg_catalog.oid) IS
    'Whether the current user may read the table, and all of its rows; without a table, all tables of the subscription';

CREATE POLICY readers ON postern.apply_conflicts FOR SELECT
    USING (postern.may_read_conflict(subscription, relation));
CREATE POLICY all_conflicts ON postern.apply_conflicts FOR SELECT TO postern_read_all_conflicts, postern_admin USING (true);

CREATE FUNCTION postern.keep_apply_conflict(
    subscription pg_catalog.name, relation pg_catalog.oid, kind pg_catalog.text, errors pg_catalog.int8, at_position pg_catalog.pg_lsn,
    sqlstate pg_catalog.text, message pg_catalog.text, at pg_catalog.timestamptz
) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
BEGIN
    -- A subscription that stops tries again every few seconds: that is one row.
    UPDATE postern.apply_conflicts c SET errors = c.errors + $4, last_at = greatest(c.last_at, $8)
     WHERE c.id = (SELECT o.id FROM postern.apply_conflicts o
                    WHERE o.subscription = $1 AND o.relation IS NOT DISTINCT FROM $2 AND o.kind = $3
                      AND (o.position = $5 OR o.position IS NULL AND $5 IS NULL)
                      AND o.sqlstate IS NOT DISTINCT FROM $6 AND o.message IS NOT DISTINCT FROM $7
                    ORDER BY o.id DESC LIMIT 1);
    IF NOT FOUND THEN
        INSERT INTO postern.apply_conflicts (subscription, relation, kind, errors, position, sqlstate, message, seen_at, last_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION postern.keep_apply_conflict(pg_catalog.name, pg_catalog.oid, pg_catalog.text, pg_catalog.int8, pg_catalog.pg_lsn, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION postern.keep_apply_conflict(pg_catalog.name, pg_catalog.oid, pg_catalog.text, pg_catalog.int8, pg_catalog.pg_lsn, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) IS
    'Writes down errors of a subscription, with those before if they are the same';

CREATE FUNCTION postern.note_apply_error(
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
        CASE WHEN NOT $7 OR pg_catalog.left($4, 2) IN ('23', '42') THEN $5 END, $8);
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
REVOKE ALL ON FUNCTION postern.note_apply_error(pg_catalog.oid, pg_catalog.oid, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.bool, pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION postern.note_apply_error(pg_catalog.oid, pg_catalog.oid, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.bool, pg_catalog.timestamptz) IS
    'Writes down an error that an apply worker has noted';

CREATE FUNCTION postern.record_apply_conflicts() RETURNS pg_catalog.int4
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
    seen pg_catalog.record;
    fresh pg_catalog.int8;
    waiting pg_catalog.int8;
    added pg_catalog.int4 := 0;
BEGIN
    -- Two at once would count the same errors twice.
    LOCK TABLE postern.apply_conflicts IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM postern.apply_counts c WHERE c.subscription NOT IN (SELECT s.oid FROM pg_catalog.pg_subscription s);
    FOR seen IN
        SELECT s.oid, s.subname, c.applied, k.kind, k.total, k.relation, coalesce(a.counted, 0) AS counted,
               -- What was noted and is not counted after a while never will be.
               CASE WHEN a.noted_at > pg_catalog.clock_timestamp() - '30 seconds'::pg_catalog."interval" THEN a.noted ELSE 0 END AS noted
          FROM postern.subscription_counts() c
          JOIN pg_catalog.pg_subscription s ON s.oid = c.subscription
         CROSS JOIN LATERAL (VALUES
                   ('apply', c.apply_errors,
                    -- Of one table, it is that.
                    (SELECT CASE WHEN pg_catalog.count(*) = 1 THEN pg_catalog.min(r.srrelid) END FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid)),
                   ('sync', c.sync_errors,
                    (SELECT CASE WHEN pg_catalog.count(*) = 1 THEN pg_catalog.min(r.srrelid) END FROM pg_catalog.pg_subscription_rel r
                      WHERE r.srsubid = s.oid AND r.srsubstate <> 'r'))
               ) k (kind, total, relation)
          LEFT JOIN postern.apply_counts a ON a.subscription = c.subscription AND a.kind = k.kind
         WHERE k.total <> coalesce(a.counted, 0)
    LOOP
        -- Counters begin anew after a crash, or when somebody resets them; so do we then.
        IF seen.total < seen.counted THEN
            seen.counted := 0;
        END IF;
        fresh := greatest(seen.total - seen.counted - seen.noted, 0);
        waiting := greatest(seen.noted - (seen.total - seen.counted), 0);
        IF fresh > 0 THEN
            PERFORM postern.keep_apply_conflict(seen.subname, seen.relation, seen.kind, fresh, seen.applied, NULL, NULL, pg_catalog.clock_timestamp());
            added := added + 1;
        END IF;
        INSERT INTO postern.apply_counts AS c (subscription, kind, counted, noted) VALUES (seen.oid, seen.kind, seen.total, 0)
        ON CONFLICT ON CONSTRAINT apply_counts_pkey DO UPDATE SET counted = excluded.counted, noted = waiting;
    END LOOP;
    RETURN added;
END
$$;
REVOKE ALL ON FUNCTION postern.record_apply_conflicts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.record_apply_conflicts() TO postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.record_apply_conflicts() IS
    'Writes down the errors of subscriptions that the server has counted since and nobody has noted; gives how many rows have changed. It is done by itself as well';

-- What the judge asks beside the rules, and what is allowed but worth to know.

CREATE FUNCTION postern.code_basis(relations pg_catalog.text)
RETURNS TABLE (class pg_catalog.oid, object pg_catalog.oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN k.kind = 'domain type' THEN 'pg_catalog.pg_type'::pg_catalog.regclass ELSE 'pg_catalog.pg_proc'::pg_catalog.regclass END::pg_catalog.oid,
           CASE WHEN k.kind = 'domain type' THEN k.object_id ELSE k.function END
      FROM postern.table_code(pg_catalog.string_to_array(relations, ',')::pg_catalog.oid[]) k
     WHERE k.kind = 'domain type' OR k.function >= 16384::pg_catalog.oid
     GROUP BY 1, 2 ORDER BY 1, 2;
END
$$;
REVOKE ALL ON FUNCTION postern.code_basis(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.code_basis(pg_catalog.text) IS 'The code that tables have';

CREATE FUNCTION postern.replication_basis(sources pg_catalog.text)
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
    SELECT b.class, b.object FROM postern.code_basis(pg_catalog.array_to_string(relations, ',')) b
     ORDER BY 1, 2;
END
$$;
REVOKE ALL ON FUNCTION postern.replication_basis(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.replication_basis(pg_catalog.text) IS
    'The tables that a publication, subscription or partition makes replicated ones, and the code that they have';

CREATE FUNCTION postern.trigger_now(relation pg_catalog.oid, trigger pg_catalog.oid)
RETURNS TABLE (table_name pg_catalog.text, now_name pg_catalog.text, now_enabled pg_catalog."char")
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT c.oid::pg_catalog.regclass::pg_catalog.text, t.tgname::pg_catalog.text, t.tgenabled
      FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_trigger t ON t.oid = trigger_now.trigger
     WHERE c.oid = trigger_now.relation AND EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = c.oid);
END
$$;
REVOKE ALL ON FUNCTION postern.trigger_now(pg_catalog.oid, pg_catalog.oid) FROM PUBLIC;
COMMENT ON FUNCTION postern.trigger_now(pg_catalog.oid, pg_catalog.oid) IS 'What became of a trigger of a replicated table';

CREATE FUNCTION postern.recheck_replication(hold pg_catalog.bool DEFAULT false)
RETURNS TABLE (
    relation pg_catalog.regclass, publication pg_catalog.name, subscription pg_catalog.name, sentence pg_catalog.text, mend pg_catalog.text,
    held pg_catalog.bool
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    FOR relation, publication, subscription, sentence, mend, held IN
        SELECT DISTINCT m.relation::pg_catalog.regclass, p.pubname, s.subname, f.sentence, f.mend, $1 AND coalesce(s.subenabled, false)
          FROM postern.table_findings(ARRAY(SELECT DISTINCT m.relation FROM postern.replication_members m)) f
          JOIN postern.replication_members m ON m.relation = f.relation
          LEFT JOIN pg_catalog.pg_publication p ON p.oid = m.publication
          LEFT JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
         WHERE f.severe AND (f.reason <> 'subscription' OR f.subscription = m.subscription)
         ORDER BY 1, 2, 3, 4
    LOOP
        IF held THEN
            PERFORM postern.subscription_hold(subscription::pg_catalog.text);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION postern.recheck_replication(pg_catalog.bool) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.recheck_replication(pg_catalog.bool) TO postern_admin;
COMMENT ON FUNCTION postern.recheck_replication(pg_catalog.bool) IS
    'What replicated tables have that the rules forbid, as after a time without the library; with hold, subscriptions of such tables are disabled';

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
                         pg_catalog.initcap(c.kind) || ' "' || c.object || '"', c.relation, c.function::pg_catalog.regprocedure, c.lanname)
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

-- Default privileges of whoever runs this script (ALTER DEFAULT PRIVILEGES) were given on every object above, to roles that no
-- line of it names. They are taken away: what remains is what is written beside each object.
DO $privileges$
DECLARE
    object pg_catalog.text;
    kind pg_catalog.text;
    grantee pg_catalog.name;
BEGIN
    FOR kind, object, grantee IN
        SELECT o.kind, o.object, r.rolname
          FROM (SELECT ARRAY['postern', 'df', '_duroxide']::pg_catalog.regnamespace[]) ours (schemas),
          LATERAL (
              SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner, p.proacl
                FROM pg_catalog.pg_proc p WHERE p.pronamespace OPERATOR(pg_catalog.=) ANY (ours.schemas)
              UNION ALL
              SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner, c.relacl
                FROM pg_catalog.pg_class c
               WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY (ours.schemas)
                 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'v', 'S']::pg_catalog."char"[])
              UNION ALL
              SELECT 'SCHEMA', n.nspname::pg_catalog.text, n.nspowner, n.nspacl
                FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) ANY (ours.schemas)
          ) o (kind, object, owner, acl),
          LATERAL (SELECT DISTINCT a.grantee FROM pg_catalog.aclexplode(o.acl) a) g
          JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.grantee
         WHERE g.grantee OPERATOR(pg_catalog.<>) o.owner
           AND r.rolname OPERATOR(pg_catalog.<>)
               ALL (ARRAY['postern_admin', 'postern_application', 'postern_monitor', 'postern_read_all_stats', 'postern_read_all_conflicts', 'postern_gate', 'postern_outbound']::pg_catalog.name[])
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %I CASCADE', kind, object, grantee);
    END LOOP;
END
$privileges$;
