-- Durable functions: looking at them. Views run as whoever reads them: row security on the tables shows each role its own.

CREATE FUNCTION postern.durable_running(instance pg_catalog.text) RETURNS pg_catalog.bool
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_running_wrapper';
REVOKE ALL ON FUNCTION postern.durable_running(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_running(pg_catalog.text) TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_running(pg_catalog.text) IS 'Whether an executor is at the instance right now';

CREATE FUNCTION postern.durable_nodes(graph pg_catalog.text, status pg_catalog.text, steps pg_catalog.text, strands pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_nodes_wrapper';
REVOKE ALL ON FUNCTION postern.durable_nodes(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_nodes(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text)
    TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_nodes(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'What the nodes of a function came to, worked out from what it wrote';

CREATE FUNCTION postern.durable_explain(graph pg_catalog.text, nodes pg_catalog.text, header pg_catalog.text, format pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_explain_wrapper';
REVOKE ALL ON FUNCTION postern.durable_explain(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.durable_explain(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text)
    TO postern_application, postern_admin, postern_monitor;
COMMENT ON FUNCTION postern.durable_explain(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'Draws a function: as text, mermaid or svg';

CREATE VIEW df.instances WITH (security_invoker = true) AS
SELECT i.id, i.label, '00000000'::pg_catalog.varchar(8) AS root_node,
       CASE WHEN i.status OPERATOR(pg_catalog.=) 'pending' AND postern.durable_running(i.id) THEN 'running' ELSE i.status END AS status,
       i.submitted_by, i.database, i.created_at, i.updated_at, i.completed_at,
       i.session_role, i.priority, i.key, i.ended_at, i.facts, i.definers, i.error
  FROM postern.instance i;
REVOKE ALL ON TABLE df.instances FROM PUBLIC;
GRANT SELECT ON TABLE df.instances TO postern_application, postern_admin, postern_monitor;
COMMENT ON VIEW df.instances IS 'Durable functions that were started';

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
              FROM postern.step p WHERE p.instance OPERATOR(pg_catalog.=) i.id),
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

CREATE FUNCTION df.list_instances(
    status_filter pg_catalog.text DEFAULT NULL, limit_count pg_catalog.int4 DEFAULT 100,
    OUT instance_id pg_catalog.text, OUT label pg_catalog.text, OUT function_name pg_catalog.text, OUT status pg_catalog.text,
    OUT execution_count pg_catalog.int8, OUT output pg_catalog.text
) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF limit_count < 1 THEN
        RAISE EXCEPTION 'limit_count must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT i.id::pg_catalog.text, i.label, 'pg_durable::orchestration::execute-function-graph', v.status, 1::pg_catalog.int8,
           coalesce(i.output, i.error OPERATOR(pg_catalog.->>) 'message')
      FROM postern.instance i JOIN df.instances v ON v.id OPERATOR(pg_catalog.=) i.id
     WHERE status_filter IS NULL OR v.status OPERATOR(pg_catalog.=) pg_catalog.lower(status_filter)
     ORDER BY i.created_at DESC, i.id LIMIT limit_count;
END
$$;
COMMENT ON FUNCTION df.list_instances(pg_catalog.text, pg_catalog.int4) IS 'Instances of yours, newest first';

CREATE FUNCTION df.metrics(
    OUT total_instances pg_catalog.int8, OUT running_instances pg_catalog.int8, OUT completed_instances pg_catalog.int8,
    OUT failed_instances pg_catalog.int8, OUT total_executions pg_catalog.int8, OUT total_events pg_catalog.int8
)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE i.status IN ('pending', 'running')),
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
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE AS $$
#variable_conflict use_column
DECLARE
    trimmed pg_catalog.text := pg_catalog.btrim($1, E' \t\r\n');
    found record;
    nodes pg_catalog.text;
    built pg_catalog.text;
BEGIN
    IF trimmed OPERATOR(pg_catalog.~) '^[0-9a-f]{8}$' THEN
        SELECT i.id, i.label, i.graph, v.status, i.output, i.error OPERATOR(pg_catalog.->>) 'message' AS message INTO found
          FROM postern.instance i JOIN df.instances v ON v.id OPERATOR(pg_catalog.=) i.id
         WHERE i.id OPERATOR(pg_catalog.=) trimmed;
        IF NOT FOUND THEN
            RETURN pg_catalog.format('Instance %L not found', trimmed);
        END IF;
        SELECT pg_catalog.jsonb_object_agg(n.id, n.inferred_status)::pg_catalog.text INTO nodes
          FROM df.nodes n WHERE n.instance_id OPERATOR(pg_catalog.=) trimmed;
        RETURN postern.durable_explain(
            found.graph, nodes,
            pg_catalog.jsonb_build_object('id', found.id, 'label', found.label, 'status', found.status,
                                          'output', coalesce(found.output, found.message))::pg_catalog.text, $2);
    END IF;
    IF trimmed OPERATOR(pg_catalog.!~) '^\{' AND trimmed OPERATOR(pg_catalog.~) '(~>|\|=>|\?>|!>|^@>|\mdf\.)' THEN
        -- An expression: what it builds is what the caller could build.
        EXECUTE 'SELECT (' OPERATOR(pg_catalog.||) trimmed OPERATOR(pg_catalog.||) ')::pg_catalog.text' INTO built;
        IF built IS NULL THEN
            RETURN 'Expression returned NULL';
        END IF;
        trimmed := built;
    END IF;
    RETURN postern.durable_explain(trimmed, NULL, NULL, $2);
END
$$;
COMMENT ON FUNCTION df.explain(pg_catalog.text, pg_catalog.text) IS
    'Draws an instance, or a function that is not started; an expression is evaluated as the caller. Format: text, mermaid or svg';
