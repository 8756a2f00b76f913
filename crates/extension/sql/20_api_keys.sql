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
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.api_key
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.api_key ENABLE ALWAYS TRIGGER written_by_us;

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
