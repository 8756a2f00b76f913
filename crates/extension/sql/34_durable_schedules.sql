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
