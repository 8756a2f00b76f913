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
    kind pg_catalog.text NOT NULL CHECK (kind IN ('apply', 'sync')),
    errors pg_catalog.int8 NOT NULL,
    total pg_catalog.int8 NOT NULL,
    position pg_catalog.pg_lsn,
    seen_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
REVOKE ALL ON TABLE postern.apply_conflicts FROM PUBLIC;
GRANT SELECT ON TABLE postern.apply_conflicts TO PUBLIC;
COMMENT ON TABLE postern.apply_conflicts IS
    'Errors of subscriptions, as postern.record_apply_conflicts() found them; everyone sees those of tables that they may read';
COMMENT ON COLUMN postern.apply_conflicts.relation IS 'The table, if it is known; otherwise it is one of the subscription''s';
COMMENT ON COLUMN postern.apply_conflicts.errors IS 'How many were new';
COMMENT ON COLUMN postern.apply_conflicts.position IS 'Up to where the subscription had applied';
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

CREATE FUNCTION postern.record_apply_conflicts() RETURNS pg_catalog.int4
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
    added pg_catalog.int4;
BEGIN
    -- Two at once would count the same errors twice.
    LOCK TABLE postern.apply_conflicts IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO postern.apply_conflicts (subscription, relation, kind, errors, total, position)
    SELECT s.subname, k.relation, k.kind, k.total - k.before, k.total, c.applied
      FROM postern.subscription_counts() c
      JOIN pg_catalog.pg_subscription s ON s.oid = c.subscription,
           LATERAL (
               SELECT n.kind, n.total, n.relation,
                      -- Counters begin anew when somebody resets them.
                      coalesce((SELECT CASE WHEN a.total <= n.total THEN a.total ELSE 0 END FROM postern.apply_conflicts a
                                 WHERE a.subscription = s.subname AND a.kind = n.kind ORDER BY a.id DESC LIMIT 1), 0) AS before
                 FROM (VALUES
                     ('apply', c.apply_errors,
                      -- Of one table, it is that.
                      (SELECT CASE WHEN pg_catalog.count(*) = 1 THEN pg_catalog.min(r.srrelid) END FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid)),
                     ('sync', c.sync_errors,
                      (SELECT CASE WHEN pg_catalog.count(*) = 1 THEN pg_catalog.min(r.srrelid) END FROM pg_catalog.pg_subscription_rel r
                        WHERE r.srsubid = s.oid AND r.srsubstate <> 'r'))
                 ) n (kind, total, relation)
           ) k
     WHERE k.total > k.before;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;
REVOKE ALL ON FUNCTION postern.record_apply_conflicts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.record_apply_conflicts() TO postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.record_apply_conflicts() IS
    'Writes down the errors of subscriptions that are new since it was last called; gives how many rows that makes';
