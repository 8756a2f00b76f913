-- Durable functions: looking at them. Views run as whoever reads them: row security on the tables shows each role its own.

CREATE FUNCTION postern.durable_running(instance pg_catalog.text) RETURNS pg_catalog.bool
-- STABLE, so that views with it are as cheap as without.
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_running_wrapper';
REVOKE ALL ON FUNCTION postern.durable_running(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_running(pg_catalog.text) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_running(pg_catalog.text) IS 'Whether an executor is at the instance right now';

CREATE FUNCTION postern.durable_at(instance pg_catalog.text, strand pg_catalog.int4) RETURNS pg_catalog.int4
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_at_wrapper';
REVOKE ALL ON FUNCTION postern.durable_at(pg_catalog.text, pg_catalog.int4) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_at(pg_catalog.text, pg_catalog.int4) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_at(pg_catalog.text, pg_catalog.int4) IS 'The node of a line of execution that an executor is at right now';

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
       CASE WHEN i.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) i.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN i.paused_at IS NOT NULL THEN 'paused'
                WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END AS status,
       i.submitted_by, i.database, i.created_at, i.updated_at, i.completed_at,
       i.session_role, i.priority, i.key, i.ended_at, i.facts, i.definers, i.error, i.parent, i.paused_at, i.reruns,
       i.left_off IS NOT NULL AS can_rerun, i.schedule, i.tick, i.away,
       pg_catalog.lpad(pg_catalog.to_hex(i.parent_node), 8, '0')::pg_catalog.varchar(8) AS parent_node
  FROM postern.instance i;
REVOKE ALL ON TABLE df.instances FROM PUBLIC;
GRANT SELECT ON TABLE df.instances TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.instances IS 'Durable functions that were started';
COMMENT ON COLUMN df.instances.status IS 'pending, running, paused, completed, failed or cancelled; cancelled as soon as that is asked for: ended_at says when it is over';
COMMENT ON COLUMN df.instances.paused_at IS 'Since when it is paused; a step that was running then was let end';
COMMENT ON COLUMN df.instances.away IS 'It came with a copy of its database, and was paused for that';
COMMENT ON COLUMN df.instances.tick IS 'The time for which its schedule started it';
COMMENT ON COLUMN df.instances.parent_node IS 'The node of its parent at which it was called';
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
               CASE WHEN i.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) i.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN i.paused_at IS NOT NULL THEN 'paused'
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
           CASE WHEN i.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) i.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN i.paused_at IS NOT NULL THEN 'paused'
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
           CASE WHEN f.ended_at IS NULL AND EXISTS (SELECT FROM postern.message m WHERE m.instance OPERATOR(pg_catalog.=) f.id AND m.kind OPERATOR(pg_catalog.=) 'c') THEN 'cancelled'
                WHEN f.paused_at IS NOT NULL THEN 'paused'
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
