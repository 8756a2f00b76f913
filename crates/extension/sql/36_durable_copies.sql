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
