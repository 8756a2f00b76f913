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
    parent_node pg_catalog.int4,
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
COMMENT ON COLUMN postern.instance.parent_node IS 'The node of that instance at which it was called';
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
