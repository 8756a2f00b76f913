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

-- For literals: without it df.sleep('2 seconds') could mean either.
CREATE FUNCTION df.sleep(duration pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT df.sleep(duration::pg_catalog.interval);
END;
COMMENT ON FUNCTION df.sleep(pg_catalog.text) IS 'Waits, as an interval is written; a number alone is seconds';

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
COMMENT ON OPERATOR pg_catalog.?> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: if ... then';

CREATE OPERATOR pg_catalog.!> (FUNCTION = df.if_else_op, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.!> (pg_catalog.text, pg_catalog.text) IS 'Durable functions: ... else';

CREATE OPERATOR pg_catalog.@> (FUNCTION = df.loop_prefix_op, RIGHTARG = pg_catalog.text);
COMMENT ON OPERATOR pg_catalog.@> (NONE, pg_catalog.text) IS 'Durable functions: repeats';
