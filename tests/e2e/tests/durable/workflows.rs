//! The workflows of the example, as the people of two tenants use them: the same role, told apart by facts alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_core::RoleName;
use postern_pool::{Config, Event, Pool, Request, Statement, TransactionOptions};
use tokio::runtime::Runtime;

use crate::http::Scene;

const SCHEMA: &str = concat!(
    include_str!("../../../../examples/invoices/schema.sql"),
    include_str!("../../../../examples/workflows/schema.sql")
);

/// Whom the gate lets in.
struct People {
    runtime: Runtime,
    pool: Pool,
}

impl People {
    fn of(scene: &Scene) -> Self {
        let password = scene.stage.cluster.set_password("postern_gate").unwrap();
        let runtime = Runtime::new().unwrap();
        let pool = {
            let _inside = runtime.enter();
            Pool::new(Config {
                url: Some(scene.stage.cluster.url("postern_gate", "postgres").as_str().into()),
                password: Some(password.into()),
                connections: 2,
                ..Config::default()
            })
            .unwrap()
        };
        Self { runtime, pool }
    }

    /// The first cells of what a statement answers somebody of a tenant.
    fn ask(&self, tenant: &str, sql: &str) -> Vec<String> {
        let request = Request {
            key: 0,
            role: RoleName::try_from("app_user").unwrap(),
            facts: Some(Arc::from(format!("{{\"claims\": {{\"tenant\": \"{tenant}\"}}}}"))),
            statements: vec![Statement { sql: Arc::from(sql), params: Vec::new() }],
            transaction: TransactionOptions::default(),
            deadline: Instant::now() + Duration::from_mins(1),
            grace: Duration::from_secs(1),
        };
        self.runtime.block_on(async {
            let mut running = self.pool.run(request).await.unwrap();
            let mut rows = Vec::new();
            loop {
                match running.next().await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
                    Event::Row(row) => rows.push(row.get(0).unwrap_or_default().to_owned()),
                    Event::Committed => return rows,
                    _ => {}
                }
            }
        })
    }

    fn one(&self, tenant: &str, sql: &str) -> String {
        self.ask(tenant, sql).remove(0)
    }
}

#[test]
fn the_workflows_of_the_example_do_what_they_say() {
    let scene = Scene::start();
    let stage = &scene.stage;
    stage.admin(SCHEMA);
    // It can be loaded again.
    stage.admin(SCHEMA);
    let people = People::of(&scene);
    let ends = |workflow: &str| {
        let status = format!("select status from postern.instance where id = '{workflow}'");
        stage.until("it has ended", &status, "completed");
    };

    // An approval: it waits for the decision, and what is decided is written as the person's own row.
    let workflow = people.one("acme", "select workflow from place_order('anvil', 99.50)");
    assert!(people.ask("globex", "select item from orders").is_empty());
    people.ask("acme", &format!(r#"select df.signal('{workflow}', 'decision', '{{"approved": "yes"}}')"#));
    ends(&workflow);
    assert_eq!(people.one("acme", "select status from orders where item = 'anvil'"), "approved");

    // What each customer owes, for each tenant its own.
    for tenant in ["acme", "globex"] {
        let workflow = people.one(tenant, "select aggregate_invoices()");
        ends(&workflow);
        let totals =
            people.ask(tenant, "select customer || ' ' || amount from invoice_totals order by customer");
        let owed = people.ask(
            tenant,
            "select i.customer || ' ' || coalesce(sum(l.amount) filter (where i.paid_on is null), 0.00)
               from invoices i left join invoice_lines l using (tenant, number) group by i.customer order by i.customer",
        );
        assert!(!totals.is_empty());
        assert_eq!(totals.len(), owed.len());
        for (total, owed) in totals.iter().zip(&owed) {
            assert_eq!(total.trim_end_matches(".00"), owed.trim_end_matches(".00"));
        }
    }

    // A webhook: twice 503, then an answer. Whoever never answers well is asked five times.
    stage.admin("select postern.allow_http(host, 'app_user', ports => ports, scheme => scheme) from postern.http_allow where role = 'alice'::regrole");
    let announce = |item: &str, path: &str| {
        people.ask("acme", &format!("insert into orders (item, amount) values ('{item}', 12.50)"));
        let url = scene.other.url(path);
        let workflow = people.one(
            "acme",
            &format!("select announce_order(o.id, '{url}') from orders o where o.item = '{item}'"),
        );
        ends(&workflow);
        people.one("acme", &format!("select webhook from orders where item = '{item}'"))
    };
    assert_eq!(announce("rope", "/flaky"), "answered 200");
    let seen = scene.other.requests("/flaky");
    assert_eq!(seen.len(), 3);
    assert!(seen[0].body.contains(r#""item": "rope""#), "{}", seen[0].body);
    assert!(seen.iter().all(|one| one.header("idempotency-key") == seen[0].header("idempotency-key")));
    let failed = announce("lamp", "/status/500");
    assert!(failed.starts_with("failed: "), "{failed}");
    assert_eq!(scene.other.requests("/status/500").len(), 5);
}
