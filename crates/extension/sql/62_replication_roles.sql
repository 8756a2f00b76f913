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
CREATE TRIGGER written_by_us BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON postern.apply_counts
    FOR EACH STATEMENT EXECUTE FUNCTION postern.written_by_us();
ALTER TABLE postern.apply_counts ENABLE ALWAYS TRIGGER written_by_us;

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
