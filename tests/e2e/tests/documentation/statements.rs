//! The SQL of each page runs as it is shown, and does what the page says.
//!
//! **How it works.** A page has a database of its own, made as it says, or as is said here; its blocks run in their order. A line
//! `-- As ROLE` within a block is obeyed. What stands for something else (`'a1b2c3d4'`, `…`) is replaced. Roles belong to the
//! server: those of a page get a number behind their names.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use postern_cluster::Cluster;

use crate::SERVER;
use crate::pages::{self, Page};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

enum Step {
    /// What the page takes for granted: SQL of the superuser.
    Given(&'static str),
    /// The next block, as a role; none is the superuser.
    Block(&'static str),
    /// The same, with texts in it replaced: by what a query gives, or by the text itself if it is none.
    BlockWith(&'static str, &'static [(&'static str, &'static str)]),
    /// A query of the superuser comes to give this.
    Then(&'static str, &'static str),
}
use Step::{Block, BlockWith, Given, Then};

struct Case {
    page: &'static str,
    roles: &'static [&'static str],
    /// Whether the page finds the extension there.
    has_extension: bool,
    steps: &'static [Step],
}

const DOCUMENTS: &str = "create table documents (id int, processed bool default false);
    insert into documents select n from generate_series(1, 250) n; grant select, update on documents to app_user";
const PROCESSED: Step = Then("select count(*) from documents where processed", "100");
const NEWEST: &str = "select id from df.instances order by created_at desc limit 1";
const EXAMPLE: &str = include_str!("../../../../examples/invoices/schema.sql");
/// The policy of the example that two pages show.
const SHOWN: Step = Given(
    "create view shown as select polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid), polwithcheck is null
         from pg_policy where polrelid = 'public.invoices'::regclass and polname = 'own_tenant';
     create table was as table shown; drop policy own_tenant on invoices",
);
const SAME: Step =
    Then("select count(*), (select count(*) from (table was except table shown) x) from shown", "1|0");

const CASES: &[Case] = &[
    Case {
        page: "README.md",
        roles: &["app_user"],
        has_extension: false,
        steps: &[
            Given("create table invoices (tenant text, number text); insert into invoices values ('acme', 'a'), ('globex', 'g')"),
            Block(""),
            Then("select * from postern.run_as('app_user', '{\"claims\": {\"tenant\": \"acme\"}}', 'select number from invoices')", "{\"number\": \"a\"}"),
            Given(DOCUMENTS),
            Block(""),
            PROCESSED,
        ],
    },
    Case {
        page: "docs/explanations/durable-functions.md",
        roles: &["owner", "reporting"],
        has_extension: true,
        steps: &[
            Given("create role owner; create role reporting; grant create on schema public to owner;
                   select df.grant_usage('owner'), df.grant_usage('reporting')"),
            Block("owner"),
            // What the page warns of.
            Then("select to_regclass('public.admin_secrets') is null", "t"),
            Then("select session_role from df.instances", "reporting"),
        ],
    },
    Case {
        page: "docs/how-tos/call-a-web-service.md",
        roles: &["shop"],
        has_extension: true,
        steps: &[
            Given("create role shop"),
            Block(""),
            Block(""),
            Block("shop"),
            Then("select status_details::text like '%no outbound worker is running%' from df.nodes where node_type = 'HTTP'", "t"),
            BlockWith("shop", &[("…", NEWEST)]),
        ],
    },
    Case {
        page: "docs/how-tos/give-a-program-an-api-key.md",
        roles: &["app_service", "operator"],
        has_extension: true,
        steps: &[
            Given("create role operator createrole; grant postern_admin to operator"),
            Block("operator"),
            Then("select role, subject, label, revoked_at is null from postern.api_key", "app_service|nightly-report|asked for by Rosa|t"),
            BlockWith("operator", &[("6f1c…", "select id from postern.api_key")]),
            Then("select revoked_at is null from postern.api_key", "f"),
        ],
    },
    Case {
        page: "docs/how-tos/use-an-openid-provider.md",
        roles: &["app_user"],
        has_extension: true,
        steps: &[
            Given("create table invoices (tenant text, number text); alter table invoices enable row level security;
                   insert into invoices values ('acme', 'a'), ('globex', 'g')"),
            Block(""),
            Given("grant select on invoices to app_user"),
            Then("select * from postern.run_as('app_user', '{\"claims\": {\"tenant\": \"globex\"}}', 'select number from invoices')", "{\"number\": \"g\"}"),
        ],
    },
    Case {
        page: "docs/how-tos/retry-a-step.md",
        roles: &["app"],
        has_extension: true,
        steps: &[
            Given("create role app; select df.grant_usage('app'); create table failures (what text); grant insert on failures to app;
                   create sequence tries; grant usage on sequence tries to app;
                   create function charge_next_order() returns void language plpgsql as
                   $$ begin if nextval('public.tries') = 1 then raise exception using errcode = '40001', message = 'again'; end if; end $$"),
            Block("app"),
            Then("select status from df.instances", "completed"),
            BlockWith("app", &[("a1b2c3d4", NEWEST)]),
            Then("select count(*) from df.history where sqlstate = '40001' and message like '%again'", "1"),
            Given("create or replace function charge_next_order() returns void language plpgsql as $$ begin raise exception 'no more'; end $$"),
            Block("app"),
            Then("select what like '%no more' from failures", "t"),
        ],
    },
    Case {
        page: "docs/how-tos/run-a-job-every-night.md",
        roles: &["app"],
        has_extension: true,
        steps: &[
            Given("create role app; select df.grant_usage('app');
                   create table tenants (id text); insert into tenants values ('acme'), ('globex');
                   create table totals (tenant text, day date, amount numeric);
                   create table orders (tenant text, day date, amount numeric);
                   insert into orders values ('acme', current_date - 1, 7), ('acme', current_date - 1, 5), ('globex', current_date - 1, 1);
                   grant select on tenants, orders to app; grant insert on totals to app"),
            // A night that comes every second.
            BlockWith("app", &[("CRON_TZ=Europe/Berlin 0 2 * * *", "* * * * * *")]),
            Then("select string_agg(distinct tenant || amount, ' ') from totals", "acme12 globex1"),
            Then("select status from df.instances", "running"),
        ],
    },
    Case {
        page: "docs/how-tos/undo-when-a-later-step-fails.md",
        roles: &["app"],
        has_extension: true,
        steps: &[
            Given("create role app; select df.grant_usage('app'); create table stock (item int, free int); create table bookings (item int);
                   insert into stock values (7, 3); grant all on stock, bookings to app;
                   create function charge_customer() returns void language plpgsql as $$ begin raise exception 'no money'; end $$"),
            Block("app"),
            Then("select status, error::text like '%no money%' from df.instances", "failed|t"),
            Then("select free, (select count(*) from bookings) from stock", "3|0"),
            Then("select count(*) > 0 from df.history where query like 'insert into bookings%' and status = 'completed'", "t"),
        ],
    },
    Case {
        page: "docs/how-tos/wait-for-an-approval.md",
        roles: &["app"],
        has_extension: true,
        steps: &[
            Given("create role app; select df.grant_usage('app'); create table orders (id int, status text);
                   insert into orders values (17, 'open'); grant all on orders to app"),
            Block("app"),
            BlockWith("app", &[("a1b2c3d4", NEWEST)]),
            Then("select status from orders", "approved"),
        ],
    },
    Case {
        page: "docs/how-tos/watch-it.md",
        roles: &["app", "watcher"],
        has_extension: true,
        steps: &[
            Given("create role watcher; grant postern_monitor to watcher; create role app; select df.grant_usage('app')"),
            Given("set session authorization app; select df.start('select 1/0', 'wrong')"),
            Then("select label from df.instances where status = 'failed' and ended_at > now() - interval '1 day'", "wrong"),
            Block("watcher"),
        ],
    },
    Case {
        page: "docs/reference/durable-http.md",
        roles: &["app"],
        has_extension: true,
        steps: &[
            Given("create role app; select df.grant_usage('app', include_http => true); select postern.allow_http('api.example.com', 'app');
                   create table orders (id int, total numeric, sent bool); insert into orders values (7, 99.50); grant all on orders to app"),
            Block("app"),
            Then("select request->'url'->>0, request->'body'->>0 from postern.outbound", "https://api.example.com/orders/7|{\"total\": \"99.50\"}"),
            BlockWith("app", &[("$1", "'hunter2-and-more'")]),
            Then("select count(*), array_agg(distinct secrets) filter (where secrets <> '{}'), bool_or(o::text like '%hunter2%') from postern.outbound o",
                "2|{{token}}|f",
            ),
        ],
    },
    Case {
        page: "docs/reference/durable-language.md",
        roles: &["app_user"],
        has_extension: true,
        steps: &[
            Given("create role app_user; select df.grant_usage('app_user')"),
            Given(DOCUMENTS),
            Block("app_user"),
            PROCESSED,
            Given("create table nights (at timestamptz default now()); grant insert on nights to app_user;
                   create procedure nightly() language sql begin atomic insert into nights default values; end"),
            BlockWith("app_user", &[("CRON_TZ=Europe/Berlin 0 2 * * 1-5", "* * * * * *")]),
            Then("select count(*) > 0 from nights", "t"),
        ],
    },
    Case {
        page: "docs/reference/names.md",
        roles: &["app"],
        has_extension: true,
        steps: &[
            Given("create function public.risky() returns int language sql security definer as 'select 1'"),
            Block(""),
            Then("select identity, remedy is not null from postern.subprograms where security_definer and not safe and schema = 'public'", "public.risky()|t"),
        ],
    },
    Case {
        page: "docs/reference/rows.md",
        roles: &["app"],
        has_extension: true,
        steps: &[
            Given("create role app; create table invoices (tenant text, number text); create table members (tenant text, login name);
                   alter table invoices enable row level security; grant select on invoices to app; select postern.admit('app');
                   insert into invoices values ('acme', 'a'), ('globex', 'g')"),
            Given("insert into members values ('acme', 'app')"),
            Block(""),
            // Without a privilege on what the policy reads.
            Then("select * from postern.run_as('app', '{}', 'select number from invoices')", "{\"number\": \"a\"}"),
        ],
    },
    Case {
        page: "docs/reference/sql.md",
        roles: &["app_user"],
        has_extension: true,
        steps: &[
            Given("create role app_user; create table invoices (tenant text); grant select on invoices to app_user; select postern.admit('app_user')"),
            Block(""),
        ],
    },
    Case {
        page: "docs/tutorials/ten-minutes.md",
        roles: &["app_user", "invoices_owner"],
        has_extension: true,
        steps: &[
            Given(EXAMPLE),
            SHOWN,
            Block(""),
            SAME,
        ],
    },
    Case {
        page: "docs/tutorials/your-own-database.md",
        roles: &["web"],
        has_extension: false,
        steps: &[
            Given("create table invoices (tenant text); insert into invoices values ('acme'), ('globex')"),
            BlockWith("", &[("DATABASE app", "select 'DATABASE ' || current_database()")]),
            Then("select role from postern.admitted", "web"),
            Block(""),
            Then("select * from postern.run_as('web', '{\"claims\": {\"tenant\": \"acme\"}}', 'select * from invoices')", "{\"tenant\": \"acme\"}"),
            Block(""),
            Block(""),
        ],
    },
    Case {
        page: "examples/invoices/README.md",
        roles: &["app_user", "invoices_owner"],
        has_extension: true,
        steps: &[Given(EXAMPLE), SHOWN, Block(""), SAME],
    },
];

/// `text` with a number behind the names of these roles.
fn numbered(text: &str, roles: &[&str], number: usize) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut text = text.to_owned();
    for role in roles {
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(role) {
            let (before, after) = (&rest[..at], &rest[at + role.len()..]);
            let is_word = !before.ends_with(is_part) && !after.starts_with(is_part);
            out += before;
            out += role;
            if is_word {
                out.push('_');
                out += &number.to_string();
            }
            rest = after;
        }
        text = out + rest;
    }
    text
}

/// A block as a script: as this role at first, and as others where it says so.
fn script(block: &str, role: &str, roles: &[&str]) -> String {
    let become_ = |role: &str| format!("set session authorization {role};\n");
    let mut script = if role.is_empty() { String::new() } else { become_(role) };
    for line in block.lines() {
        let other = line.strip_prefix("-- As ").and_then(|rest| rest.split([',', ':', ' ']).next());
        if let Some(other) = other.filter(|other| roles.contains(other)) {
            script += &become_(other);
        }
        script += line;
        script.push('\n');
    }
    script
}

fn run(case: &Case, number: usize) {
    let database = format!("page_{number}");
    SERVER.create_database(&database, case.has_extension).unwrap();
    let settings = format!("alter database {database} set postern.loop_min_interval = 0");
    SERVER.psql("postgres", &settings).unwrap();
    let admin = |sql: &str| {
        let sql = numbered(sql, case.roles, number);
        SERVER.psql(&database, &sql).unwrap_or_else(|error| panic!("{}: {error}\n{sql}", case.page))
    };
    let mut blocks = Page::read(case.page).blocks().into_iter().filter(|block| block.language == "sql");
    let mut next = || blocks.next().unwrap_or_else(|| panic!("{}: there are fewer blocks", case.page)).text;
    for step in case.steps {
        match step {
            Given(sql) => drop(admin(sql)),
            Block(role) => drop(admin(&script(&next(), role, case.roles))),
            BlockWith(role, replaced) => {
                let mut text = next();
                for (from, to) in *replaced {
                    assert!(text.contains(from), "{}: no {from} in\n{text}", case.page);
                    let to = if to.starts_with("select ") { admin(to) } else { (*to).to_owned() };
                    text = text.replace(from, &to);
                }
                admin(&script(&text, role, case.roles));
            }
            Then(query, wanted) => {
                let (begun, wanted) = (Instant::now(), numbered(wanted, case.roles, number));
                while admin(query) != wanted {
                    let said = || {
                        format!(
                            "{}\n{}",
                            admin(query),
                            admin(
                                "select i.*, n.* from df.instances i left join df.nodes n on n.instance_id = i.id"
                            )
                        )
                    };
                    assert!(begun.elapsed() < PATIENCE, "{}: {query}\ngives {}", case.page, said());
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
    assert!(blocks.next().is_none(), "{}: there are more blocks", case.page);
    SERVER.psql("postgres", &format!("drop database {database} with (force)")).unwrap();
    let roles = numbered(&case.roles.join(", "), case.roles, number);
    SERVER.psql("postgres", &format!("drop role if exists {roles}")).unwrap();
}

#[test]
fn the_sql_of_every_page_runs_and_does_what_it_says() {
    // Most of the time goes into waiting.
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let (number, Some(case)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    (number, CASES.get(number))
                } {
                    run(case, number);
                }
            });
        }
    });
}

/// Its SQL takes the extension away from a server, and so has one of its own.
const SERVICE: &str = "docs/how-tos/run-the-gate-as-a-service.md";

#[test]
fn the_extension_is_taken_away_without_a_trace_and_without_showing_rows() {
    let server = Cluster::builder().extension(true).start().unwrap();
    let admin = |sql: &str| server.psql("postgres", sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    admin(
        "create role web; create table invoices (tenant text); insert into invoices values ('acme'); grant select on invoices to web;
         alter table invoices enable row level security; select postern.admit('web'), df.grant_usage('web');
         create policy tenant on invoices using (tenant = postern.fact('claims.tenant'))",
    );
    let blocks = Page::read(SERVICE).blocks();
    let [block] = blocks.iter().filter(|block| block.language == "sql").collect::<Vec<_>>()[..] else {
        panic!()
    };
    admin(&block.text);
    assert_eq!(admin("set role web; select count(*) from invoices"), "0");
    assert_eq!(
        admin(
            "select (select count(*) from pg_roles where rolname like 'postern%') || ' ' ||
                    (select count(*) from pg_namespace where nspname in ('postern', 'df', '_duroxide')) || ' ' ||
                    (select count(*) from pg_operator where oprname in ('~>', '|=>', '?>', '!>'))"
        ),
        "0 0 0"
    );
}

#[test]
fn no_page_with_sql_is_forgotten() {
    let blocks = |page: &Page| page.blocks().iter().filter(|block| block.language == "sql").count();
    let there: BTreeMap<String, usize> = pages::all()
        .into_iter()
        // Those of the rules are run with the rules.
        .filter(|page| {
            !page.name.starts_with("docs/reference/rules/") && page.name != SERVICE && blocks(page) > 0
        })
        .map(|page| (page.name.clone(), blocks(&page)))
        .collect();
    let run: BTreeMap<String, usize> = CASES
        .iter()
        .map(|case| {
            (
                case.page.to_owned(),
                case.steps.iter().filter(|step| matches!(step, Block(_) | BlockWith(..))).count(),
            )
        })
        .collect();
    assert_eq!(run, there);
}

#[test]
fn names_of_roles_are_numbered_as_words() {
    assert_eq!(numbered("app apps 'app' my_app", &["app"], 7), "app_7 apps 'app_7' my_app");
    let block = "select 1;\n-- As bob, from psql:\nselect 2;\n-- As a rule\n";
    let said = "set session authorization amy;\nselect 1;\nset session authorization bob;\n-- As bob, from psql:\nselect 2;\n-- As a rule\n";
    assert_eq!(script(block, "amy", &["amy", "bob"]), said);
}
