-- A database of version 0.1.0 with durable functions under way, as pg_dump wrote it. How it was made: made.sql.
--
-- PostgreSQL database dump
--


-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: postern; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA postern;


ALTER SCHEMA postern OWNER TO postgres;

--
-- Name: postern; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS postern WITH SCHEMA postern;


--
-- Name: EXTENSION postern; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION postern IS 'anyone''s SQL, run as exactly who they are';


--
-- Name: app; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA app;


ALTER SCHEMA app OWNER TO postgres;

--
-- Name: pass(); Type: FUNCTION; Schema: app; Owner: postgres
--

CREATE FUNCTION app.pass() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if not (select open from app.door) then raise exception 'the door is shut'; end if;
    insert into app.log(what) values ('through the door');
end $$;


ALTER FUNCTION app.pass() OWNER TO postgres;

SET default_table_access_method = heap;

--
-- Name: doc; Type: TABLE; Schema: app; Owner: postgres
--

CREATE TABLE app.doc (
    id integer NOT NULL,
    tenant text NOT NULL
);


ALTER TABLE app.doc OWNER TO postgres;

--
-- Name: door; Type: TABLE; Schema: app; Owner: postgres
--

CREATE TABLE app.door (
    open boolean NOT NULL
);


ALTER TABLE app.door OWNER TO postgres;

--
-- Name: log; Type: TABLE; Schema: app; Owner: postgres
--

CREATE TABLE app.log (
    what text NOT NULL,
    who name DEFAULT CURRENT_USER NOT NULL,
    tenant text DEFAULT postern.fact('claims.tenant'::text)
);


ALTER TABLE app.log OWNER TO postgres;

--
-- Name: slow; Type: TABLE; Schema: app; Owner: postgres
--

CREATE TABLE app.slow (
    n integer NOT NULL
);


ALTER TABLE app.slow OWNER TO postgres;

--
-- Name: tended; Type: TABLE; Schema: app; Owner: alice
--

CREATE TABLE app.tended (
    n integer
);


ALTER TABLE app.tended OWNER TO alice;

--
-- Data for Name: doc; Type: TABLE DATA; Schema: app; Owner: postgres
--

COPY app.doc (id, tenant) FROM stdin;
1	acme
2	other
3	other
\.


--
-- Data for Name: door; Type: TABLE DATA; Schema: app; Owner: postgres
--

COPY app.door (open) FROM stdin;
f
\.


--
-- Data for Name: log; Type: TABLE DATA; Schema: app; Owner: postgres
--

COPY app.log (what, who, tenant) FROM stdin;
timer before	alice	\N
signal before	alice	\N
loop begins	alice	\N
loop	alice	\N
kept before	alice	\N
left	alice	\N
vacuum before	alice	\N
map 1	alice	\N
slow before	alice	\N
map 2	alice	\N
http before	alice	\N
done	alice	\N
paused before	alice	\N
call before	alice	\N
rerun before	alice	\N
ended	alice	\N
bob before	bob	\N
loop	alice	\N
map 3	alice	\N
map 4	alice	\N
\.


--
-- Data for Name: slow; Type: TABLE DATA; Schema: app; Owner: postgres
--

COPY app.slow (n) FROM stdin;
0
\.


--
-- Data for Name: tended; Type: TABLE DATA; Schema: app; Owner: alice
--

COPY app.tended (n) FROM stdin;
1
\.


--
-- Data for Name: vars; Type: TABLE DATA; Schema: df; Owner: postgres
--

COPY df.vars (name, value, owner) FROM stdin;
greeting	hello	alice
\.


--
-- Data for Name: admitted; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.admitted (role, role_name, admitted_by, admitted_at) FROM stdin;
web	web	postgres	2026-11-26 17:51:04.078949+00
\.


--
-- Data for Name: api_key; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.api_key (id, sha256, role, subject, claims, label, created_by, created_at, expires_at, revoked_at) FROM stdin;
d98e1ceb-ee7f-4ef3-99b9-0458b6a543c8	\\xc3f515743ec94ad11e3d96655ad764f1a52311135cd6b6468e4608b3e434aaba	web	job	{"tenant": "acme"}	kept	postgres	2026-11-26 17:51:04.091459+00	\N	\N
\.


--
-- Data for Name: direct_access; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.direct_access (relation, grantee, command, grantor, with_grant, granted_by, granted_at) FROM stdin;
app.doc	alice	r	-	f	postgres	2026-11-26 17:51:04.154005+00
\.


--
-- Data for Name: http_allow; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.http_allow (id, role, scheme, host, ports, methods, created_by, created_at) FROM stdin;
1	alice	https	api.example.com	{443}	\N	postgres	2026-11-26 17:51:04.099576+00
\.


--
-- Data for Name: instance; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.instance (id, label, status, submitted_by, session_role, database, priority, key, created_at, updated_at, completed_at, ended_at, graph, vars, facts, definers, output, error, format, paused_at, reruns, left_off, schedule, tick, home, away, parent, parent_strand) FROM stdin;
9d6390bf	timer	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.244786+00	2026-11-26 17:51:06.273987+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('timer before')"},"right_node":{"node_type":"SLEEP","query":"10800"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('timer after {greeting}')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
18856b8f	signal	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.25351+00	2026-11-26 17:51:06.288599+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('signal before')"},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"go\\",\\"timeout_seconds\\":null}"},"result_name":"got"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('signal after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
4011b221	loop	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.283786+00	2026-11-26 17:51:06.319871+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('loop begins')"},"right_node":{"node_type":"LOOP","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('loop')"},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"again\\",\\"timeout_seconds\\":null}"}},"condition_node":{"node_type":"SQL","query":"select count(*) < 4 from app.log where what = 'loop'"}}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
af973c42	kept	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.272497+00	2026-11-26 17:51:06.337932+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('kept before')"},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"a\\",\\"timeout_seconds\\":null}"}},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"b\\",\\"timeout_seconds\\":null}"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('kept after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
c5aba2bc	join	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.328355+00	2026-11-26 17:51:06.361109+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"JOIN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('left')"},"right_node":{"node_type":"THEN","left_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"right\\",\\"timeout_seconds\\":null}"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('right')"}}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('join after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
772b911f	map	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.289525+00	2026-11-26 17:51:06.362718+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"MAP","left_node":{"node_type":"SQL","query":"select generate_series(1, 5) as n"},"right_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('map ' || $item.n)"},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"item\\",\\"timeout_seconds\\":null}"}},"query":"{\\"item\\":\\"item\\",\\"concurrency\\":2}"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('map after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
b0fd768b	retry	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.340479+00	2026-11-26 17:51:06.37713+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"RETRY","left_node":{"node_type":"SQL","query":"select app.pass()"},"query":"{\\"max_attempts\\":1000,\\"initial_backoff_ms\\":1000,\\"max_backoff_ms\\":300000,\\"backoff_multiplier\\":1.0,\\"jitter\\":0.1}"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('retry after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
fa89636d	race	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.357735+00	2026-11-26 17:51:06.367093+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"RACE","left_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"race\\",\\"timeout_seconds\\":null}"},"right_node":{"node_type":"THEN","left_node":{"node_type":"SLEEP","query":"10800"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('the loser')"}}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('race after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
991968ba	vacuum	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.367649+00	2026-11-26 17:51:06.408857+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('vacuum before')"},"right_node":{"node_type":"SQL","query":"vacuum app.tended"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('vacuum after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
98ce848f	slow	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.403585+00	2026-11-26 17:51:06.435507+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('slow before')"},"right_node":{"node_type":"SQL","query":"update app.slow set n = n + 1"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('slow after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
4cc0119a	http	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.417681+00	2026-11-26 17:51:06.474702+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('http before')"},"right_node":{"node_type":"HTTP","query":"{\\"url\\":\\"https://api.example.com/x\\",\\"method\\":\\"GET\\",\\"body\\":null,\\"headers\\":{\\"authorization\\":\\"Bearer {secret:token}\\"},\\"timeout_seconds\\":30}"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('http after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
94cd12ef	saga	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.484261+00	2026-11-26 17:51:06.490551+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"COMPENSATE","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('done')"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('undone')"}},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"fail\\",\\"timeout_seconds\\":null}"}},"right_node":{"node_type":"SQL","query":"select 1/0"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
efabccb1	call	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.471932+00	2026-11-26 17:51:06.494312+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('call before')"},"right_node":{"node_type":"CALL","left_node":{"node_type":"THEN","left_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"child\\",\\"timeout_seconds\\":null}"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('child')"}},"query":"{\\"label\\":\\"callee\\"}"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('call after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
14d5bfb5	timeout	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.491122+00	2026-11-26 17:51:06.516277+00	\N	\N	{"node_type":"TIMEOUT","left_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"never\\",\\"timeout_seconds\\":null}"},"query":"{\\"timeout_ms\\":10800000}"}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
ee0d08a3	callee	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.493698+00	2026-11-26 17:51:06.518342+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"child\\",\\"timeout_seconds\\":null}"},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('child')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	efabccb1	0
4d320fc7	catch	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.515304+00	2026-11-26 17:51:06.526329+00	\N	\N	{"node_type":"CATCH","left_node":{"node_type":"THEN","left_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"catch\\",\\"timeout_seconds\\":null}"},"right_node":{"node_type":"SQL","query":"select 1/0"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('caught')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
6bc913a8	rerun	failed	alice	alice	\N	0	\N	2026-11-26 17:51:06.524027+00	2026-11-26 17:51:06.540613+00	\N	2026-11-26 17:51:06.540613+00	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('rerun before')"},"right_node":{"node_type":"SQL","query":"select 1 / (select open::int from app.door)"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('rerun after')"}}	{"greeting": "hello"}	\N	{}	\N	{"hint": null, "detail": null, "status": null, "context": "SQL statement \\"select 1 / (select open::int from app.door)\\"", "message": "SQL execution failed: error returned from database: division by zero", "node_id": null, "sqlstate": "22012"}	1	\N	0	[{"strand":0,"parent":null,"branch":0,"base":0,"node":3,"state":"Ready","frame":{"n":2}}]	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
e109b142	ended	completed	alice	alice	\N	0	\N	2026-11-26 17:51:06.53682+00	2026-11-26 17:51:06.541636+00	2026-11-26 17:51:06.541636+00	2026-11-26 17:51:06.541636+00	{"node_type":"SQL","query":"insert into app.log(what) values ('ended') returning what"}	{"greeting": "hello"}	\N	{}	{"rows":[{"what":"ended"}],"row_count":1}	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
7b04c3f8	bob	running	bob	bob	\N	0	\N	2026-11-26 17:51:06.560215+00	2026-11-26 17:51:06.569022+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('bob before')"},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"go\\",\\"timeout_seconds\\":null}"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('bob after')"}}	\N	{"claims": {"tenant": "acme"}}	{}	\N	\N	1	\N	0	\N	\N	\N	6b087136a55ae87b-17370 bob	f	\N	\N
57c8f6a9	paused	running	alice	alice	\N	0	\N	2026-11-26 17:51:06.447992+00	2026-11-26 17:51:07.615715+00	\N	\N	{"node_type":"THEN","left_node":{"node_type":"THEN","left_node":{"node_type":"SQL","query":"insert into app.log(what) values ('paused before')"},"right_node":{"node_type":"SIGNAL","query":"{\\"signal_name\\":\\"p\\",\\"timeout_seconds\\":null}"}},"right_node":{"node_type":"SQL","query":"insert into app.log(what) values ('paused after')"}}	{"greeting": "hello"}	\N	{}	\N	\N	1	2026-11-26 17:51:07.615715+00	0	\N	\N	\N	6b087136a55ae87b-17370 alice	f	\N	\N
\.


--
-- Data for Name: message; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.message (id, instance, kind, name, payload, sender, owner, sent_at, fresh) FROM stdin;
1	af973c42	s	b	{}	alice	alice	2026-11-26 17:51:07.575664+00	f
\.


--
-- Data for Name: outbound; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.outbound (id, instance, strand, node, owner, key, multipart, method, scheme, host, port, request, secrets, created_at, due, worker, sends, sent_at, result, error) FROM stdin;
1	4cc0119a	0	3	alice	2786928a-6bf4-4e27-a254-d93e00008850	f	GET	https	api.example.com	443	{"method":"GET","url":["https://api.example.com/x"],"headers":[["authorization",["Bearer ",{"secret":"token"}]]],"timeout_ms":30000}	{token}	2026-11-26 17:51:06.446838+00	2026-11-26 17:51:06.446838+00	\N	0	\N	\N	\N
\.


--
-- Data for Name: quota; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.quota (role, concurrency, per_second, set_by, set_at) FROM stdin;
bob	2	100	postgres	2026-11-26 17:51:04.103404+00
\.


--
-- Data for Name: row_security_modes; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.row_security_modes (relation, role, command, mode, set_by, set_at) FROM stdin;
app.doc	bob	r	e	postgres	2026-11-26 17:51:04.187472+00
\.


--
-- Data for Name: schedule; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.schedule (owner, name, cron, overlap, backfill, label, priority, session_role, definers, created_at, next_at, waiting, paused_at, last_tick, last_instance, started, missed, graph, vars, facts, format, home, away) FROM stdin;
alice	nightly	0 0 1 1 *	skip	f	\N	0	alice	{}	2026-11-26 17:51:06.541344+00	2027-01-01 00:00:00+00	f	\N	\N	\N	0	0	{"node_type":"SQL","query":"insert into app.log(what) values ('tick')"}	\N	\N	1	6b087136a55ae87b-17370 alice	f
\.


--
-- Data for Name: secret; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.secret (owner, name, sealed, set_at) FROM stdin;
alice	token	\\x01f278aa374208831a83d545225612336f343a4c2196e72b319cf42b0779ca81e8bfab629b76a4e098fdf001f339b6b53f	2026-11-26 17:51:06.217058+00
\.


--
-- Data for Name: step; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.step (instance, strand, n, node, attempt, turn, status, started_at, ended_at, owner, query, result, columns, error, sends) FROM stdin;
9d6390bf	0	0	2	1	\N	completed	2026-11-26 17:51:06.273181+00	2026-11-26 17:51:06.273635+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
18856b8f	0	0	2	1	\N	completed	2026-11-26 17:51:06.287943+00	2026-11-26 17:51:06.288138+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
4011b221	0	0	1	1	\N	completed	2026-11-26 17:51:06.312765+00	2026-11-26 17:51:06.319612+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
4011b221	0	1	5	1	1	completed	2026-11-26 17:51:06.328692+00	2026-11-26 17:51:06.328899+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
af973c42	0	0	3	1	\N	completed	2026-11-26 17:51:06.33689+00	2026-11-26 17:51:06.337239+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
772b911f	0	0	2	1	\N	completed	2026-11-26 17:51:06.359263+00	2026-11-26 17:51:06.361765+00	alice	\N	{"rows":[{"n":1},{"n":2},{"n":3},{"n":4},{"n":5}],"row_count":5}	[{"name":"n","type":"integer"}]	\N	\N
b0fd768b	0	0	2	1	\N	failed	2026-11-26 17:51:06.357776+00	2026-11-26 17:51:06.376226+00	alice	\N	\N	\N	{"hint": null, "detail": null, "status": null, "context": "PL/pgSQL function app.pass() line 3 at RAISE\\nSQL statement \\"select app.pass()\\"", "message": "SQL execution failed: error returned from database: the door is shut", "node_id": null, "sqlstate": "P0001"}	\N
c5aba2bc	1	0	2	1	\N	completed	2026-11-26 17:51:06.391023+00	2026-11-26 17:51:06.398644+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
991968ba	0	0	2	1	\N	completed	2026-11-26 17:51:06.408538+00	2026-11-26 17:51:06.40872+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
772b911f	1	0	4	1	\N	completed	2026-11-26 17:51:06.395028+00	2026-11-26 17:51:06.415065+00	alice	insert into app.log(what) values ('map ' || 1)	{"rows":[],"row_count":0}	\N	\N	\N
98ce848f	0	0	2	1	\N	completed	2026-11-26 17:51:06.432387+00	2026-11-26 17:51:06.432586+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
772b911f	2	0	4	1	\N	completed	2026-11-26 17:51:06.445335+00	2026-11-26 17:51:06.445797+00	alice	insert into app.log(what) values ('map ' || 2)	{"rows":[],"row_count":0}	\N	\N	\N
4cc0119a	0	0	2	1	\N	completed	2026-11-26 17:51:06.448009+00	2026-11-26 17:51:06.448258+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
94cd12ef	0	0	3	1	\N	completed	2026-11-26 17:51:06.490062+00	2026-11-26 17:51:06.490245+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
57c8f6a9	0	0	2	1	\N	completed	2026-11-26 17:51:06.491855+00	2026-11-26 17:51:06.492111+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
efabccb1	0	0	2	1	\N	completed	2026-11-26 17:51:06.493065+00	2026-11-26 17:51:06.4933+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
6bc913a8	0	0	2	1	\N	completed	2026-11-26 17:51:06.536051+00	2026-11-26 17:51:06.536273+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
6bc913a8	0	1	3	1	\N	failed	2026-11-26 17:51:06.539974+00	2026-11-26 17:51:06.540489+00	alice	\N	\N	\N	{"hint": null, "detail": null, "status": null, "context": "SQL statement \\"select 1 / (select open::int from app.door)\\"", "message": "SQL execution failed: error returned from database: division by zero", "node_id": null, "sqlstate": "22012"}	\N
e109b142	0	0	0	1	\N	completed	2026-11-26 17:51:06.541327+00	2026-11-26 17:51:06.541573+00	alice	\N	{"rows":[{"what":"ended"}],"row_count":1}	[{"name":"what","type":"pg_catalog.text"}]	\N	\N
7b04c3f8	0	0	2	1	\N	completed	2026-11-26 17:51:06.568532+00	2026-11-26 17:51:06.568747+00	bob	\N	{"rows":[],"row_count":0}	\N	\N	\N
b0fd768b	0	1	2	2	\N	failed	2026-11-26 17:51:07.3408+00	2026-11-26 17:51:07.342277+00	alice	\N	\N	\N	{"hint": null, "detail": null, "status": null, "context": "PL/pgSQL function app.pass() line 3 at RAISE\\nSQL statement \\"select app.pass()\\"", "message": "SQL execution failed: error returned from database: the door is shut", "node_id": null, "sqlstate": "P0001"}	\N
4011b221	0	2	6	1	1	completed	2026-11-26 17:51:07.629537+00	2026-11-26 17:51:07.629555+00	alice	\N	{"signal_name":"again","timed_out":false,"data":{}}	\N	\N	\N
4011b221	0	3	3	1	1	completed	2026-11-26 17:51:07.629609+00	2026-11-26 17:51:07.630101+00	alice	\N	{"rows":[{"?column?":true}],"row_count":1}	[{"name":"?column?","type":"boolean"}]	\N	\N
772b911f	1	1	5	1	\N	completed	2026-11-26 17:51:07.642867+00	2026-11-26 17:51:07.642974+00	alice	\N	{"signal_name":"item","timed_out":false,"data":{}}	\N	\N	\N
772b911f	2	1	5	1	\N	completed	2026-11-26 17:51:07.643027+00	2026-11-26 17:51:07.643029+00	alice	\N	{"signal_name":"item","timed_out":false,"data":{}}	\N	\N	\N
4011b221	0	4	5	1	2	completed	2026-11-26 17:51:07.648506+00	2026-11-26 17:51:07.648711+00	alice	\N	{"rows":[],"row_count":0}	\N	\N	\N
772b911f	3	0	4	1	\N	completed	2026-11-26 17:51:07.6568+00	2026-11-26 17:51:07.657208+00	alice	insert into app.log(what) values ('map ' || 3)	{"rows":[],"row_count":0}	\N	\N	\N
772b911f	4	0	4	1	\N	completed	2026-11-26 17:51:07.657654+00	2026-11-26 17:51:07.657867+00	alice	insert into app.log(what) values ('map ' || 4)	{"rows":[],"row_count":0}	\N	\N	\N
b0fd768b	0	2	2	3	\N	failed	2026-11-26 17:51:08.305214+00	2026-11-26 17:51:08.30552+00	alice	\N	\N	\N	{"hint": null, "detail": null, "status": null, "context": "PL/pgSQL function app.pass() line 3 at RAISE\\nSQL statement \\"select app.pass()\\"", "message": "SQL execution failed: error returned from database: the door is shut", "node_id": null, "sqlstate": "P0001"}	\N
\.


--
-- Data for Name: strand; Type: TABLE DATA; Schema: postern; Owner: postgres
--

COPY postern.strand (instance, strand, parent, branch, base, node, state, due, owner, priority, signal, frame, held) FROM stdin;
9d6390bf	0	\N	0	0	3	w	2026-11-26 20:51:06.273175+00	alice	0	\N	{"n":1,"slept":true}	\N
18856b8f	0	\N	0	0	3	w	infinity	alice	0	go	{"n":1,"slept":true}	\N
af973c42	0	\N	0	0	4	w	infinity	alice	0	a	{"n":1,"slept":true}	\N
fa89636d	0	\N	0	0	1	f	infinity	alice	0	\N	{"n":0,"pending":2,"first":1}	\N
fa89636d	1	0	0	2	2	w	infinity	alice	0	race	{"n":0,"slept":true}	\N
fa89636d	2	0	1	3	4	w	2026-11-26 20:51:06.388852+00	alice	0	\N	{"n":0,"slept":true}	\N
c5aba2bc	1	0	0	2	2	d	infinity	alice	0	\N	{"n":1,"outcome":{"d":[1,0]}}	\N
c5aba2bc	0	\N	0	0	1	f	infinity	alice	0	\N	{"n":0,"pending":1,"first":1}	\N
c5aba2bc	2	0	1	3	4	w	infinity	alice	0	right	{"n":0,"slept":true}	\N
991968ba	0	\N	0	0	3	x	infinity	alice	0	\N	{"n":1,"begun":1}	\N
98ce848f	0	\N	0	0	3	r	2026-11-26 17:51:06.403585+00	alice	0	\N	{"n":1}	\N
4cc0119a	0	\N	0	0	3	w	infinity	alice	0	\N	{"n":1,"slept":true}	\N
94cd12ef	0	\N	0	0	5	w	infinity	alice	0	fail	{"n":1,"undos":[{"node":2,"names":{}}],"slept":true}	\N
57c8f6a9	0	\N	0	0	3	w	infinity	alice	0	p	{"n":1,"slept":true}	\N
efabccb1	0	\N	0	0	3	w	infinity	alice	0	\N	{"n":1,"slept":true,"child":"ee0d08a3"}	\N
14d5bfb5	0	\N	0	0	0	f	2026-11-26 20:51:06.51563+00	alice	0	\N	{"n":0,"pending":1,"first":1}	\N
ee0d08a3	0	\N	0	0	1	w	infinity	alice	0	child	{"n":0,"slept":true}	\N
4d320fc7	0	\N	0	0	2	w	infinity	alice	0	catch	{"n":0,"levels":[{"c":{"node":0,"handling":false,"mark":0}}],"slept":true}	\N
14d5bfb5	1	0	0	1	1	w	infinity	alice	0	never	{"n":0,"slept":true}	\N
772b911f	1	0	0	3	5	d	infinity	alice	0	\N	{"n":2,"names":{"item":"{\\"rows\\":[{\\"n\\":1}],\\"row_count\\":1}"},"slept":true,"outcome":{"d":[1,1]}}	\N
772b911f	2	0	1	3	5	d	infinity	alice	0	\N	{"n":2,"names":{"item":"{\\"rows\\":[{\\"n\\":2}],\\"row_count\\":1}"},"slept":true,"outcome":{"d":[2,1]}}	\N
772b911f	0	\N	0	0	1	f	infinity	alice	0	\N	{"n":1,"levels":[{"m":{"node":1,"rows":[0,0],"started":4,"of":5}}],"pending":2,"first":1}	\N
4011b221	0	\N	0	0	6	w	infinity	alice	0	again	{"n":5,"levels":[{"l":{"node":2,"turn":2,"began":849030667629537,"waited":true}}],"slept":true}	\N
b0fd768b	0	\N	0	0	2	r	2026-11-26 17:51:09.226207+00	alice	0	\N	{"n":3,"levels":[{"r":{"node":1,"attempt":4,"mark":0}}],"slept":true}	\N
7b04c3f8	0	\N	0	0	3	w	infinity	bob	0	go	{"n":1,"slept":true}	\N
772b911f	3	0	2	3	5	w	infinity	alice	0	item	{"n":1,"names":{"item":"{\\"rows\\":[{\\"n\\":3}],\\"row_count\\":1}"},"slept":true}	\N
772b911f	4	0	3	3	5	w	infinity	alice	0	item	{"n":1,"names":{"item":"{\\"rows\\":[{\\"n\\":4}],\\"row_count\\":1}"},"slept":true}	\N
\.


--
-- Name: http_allow_id_seq; Type: SEQUENCE SET; Schema: postern; Owner: postgres
--

SELECT pg_catalog.setval('postern.http_allow_id_seq', 1, true);


--
-- Name: message_id_seq; Type: SEQUENCE SET; Schema: postern; Owner: postgres
--

SELECT pg_catalog.setval('postern.message_id_seq', 4, true);


--
-- Name: outbound_id_seq; Type: SEQUENCE SET; Schema: postern; Owner: postgres
--

SELECT pg_catalog.setval('postern.outbound_id_seq', 1, true);


--
-- Name: doc doc_pkey; Type: CONSTRAINT; Schema: app; Owner: postgres
--

ALTER TABLE ONLY app.doc
    ADD CONSTRAINT doc_pkey PRIMARY KEY (id);


--
-- Name: doc; Type: ROW SECURITY; Schema: app; Owner: postgres
--

ALTER TABLE app.doc ENABLE ROW LEVEL SECURITY;

--
-- Name: doc tenant; Type: POLICY; Schema: app; Owner: postgres
--

CREATE POLICY tenant ON app.doc USING ((tenant = postern.fact('claims.tenant'::text)));


--
-- Name: SCHEMA app; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA app TO alice;
GRANT USAGE ON SCHEMA app TO bob;
GRANT USAGE ON SCHEMA app TO web;


--
-- Name: FUNCTION pass(); Type: ACL; Schema: app; Owner: postgres
--

GRANT ALL ON FUNCTION app.pass() TO alice;


--
-- Name: FUNCTION http(url text, method text, body text, headers jsonb, timeout_seconds integer); Type: ACL; Schema: df; Owner: postgres
--

GRANT ALL ON FUNCTION df.http(url text, method text, body text, headers jsonb, timeout_seconds integer) TO alice;


--
-- Name: FUNCTION http_multipart(url text, method text, parts jsonb, headers jsonb, timeout_seconds integer); Type: ACL; Schema: df; Owner: postgres
--

GRANT ALL ON FUNCTION df.http_multipart(url text, method text, parts jsonb, headers jsonb, timeout_seconds integer) TO alice;


--
-- Name: TABLE doc; Type: ACL; Schema: app; Owner: postgres
--

GRANT SELECT ON TABLE app.doc TO alice;
GRANT SELECT ON TABLE app.doc TO bob;
GRANT SELECT ON TABLE app.doc TO web;


--
-- Name: TABLE door; Type: ACL; Schema: app; Owner: postgres
--

GRANT SELECT ON TABLE app.door TO alice;


--
-- Name: TABLE log; Type: ACL; Schema: app; Owner: postgres
--

GRANT SELECT,INSERT ON TABLE app.log TO alice;
GRANT SELECT,INSERT ON TABLE app.log TO bob;


--
-- Name: TABLE slow; Type: ACL; Schema: app; Owner: postgres
--

GRANT SELECT,UPDATE ON TABLE app.slow TO alice;


--
-- PostgreSQL database dump complete
--


