//! The example's schema, on a real server, through the eyes of its users.

use postern_cluster::{Cluster, Error, skipped};

const SCHEMA: &str = include_str!("../../../examples/invoices/schema.sql");

/// What a query gives for app_user with these claims; what it changes is rolled back.
fn seen(cluster: &Cluster, claims: &str, query: &str) -> Result<String, Error> {
    let sql = format!("select postern.run_as('app_user', '{{\"claims\": {claims}}}', $query${query}$query$)");
    cluster.psql("invoices", &sql)
}

#[test]
fn each_tenant_sees_and_writes_its_own_invoices_only() {
    let cluster = match Cluster::builder().extension(true).start() {
        Err(error @ Error::NoExtension { .. }) => {
            return skipped("each_tenant_sees_and_writes_its_own_invoices_only", error);
        }
        other => other.unwrap(),
    };
    cluster.create_database("invoices", true).unwrap();
    for _ in 0..2 {
        cluster.psql("invoices", SCHEMA).unwrap();
    }
    let (alice, bob) = (r#"{"sub": "alice", "tenant": "acme"}"#, r#"{"sub": "bob", "tenant": "globex"}"#);
    let tenants = "select tenant, count(*) from invoices group by tenant";
    assert_eq!(seen(&cluster, alice, tenants).unwrap(), r#"{"count": 3, "tenant": "acme"}"#);
    assert_eq!(seen(&cluster, bob, tenants).unwrap(), r#"{"count": 2, "tenant": "globex"}"#);
    assert_eq!(seen(&cluster, r#"{"sub": "eve"}"#, tenants).unwrap(), "");
    let open = "select number, amount from open_invoices order by number";
    assert_eq!(seen(&cluster, bob, open).unwrap(), r#"{"amount": 1220.00, "number": "2026-001"}"#);

    let paid = "update invoices set paid_on = current_date where paid_on is null returning number";
    assert_eq!(seen(&cluster, bob, paid).unwrap(), r#"{"number": "2026-001"}"#);
    let written = "insert into invoices (number, customer) values ('9', 'X') returning tenant, created_by";
    assert_eq!(seen(&cluster, bob, written).unwrap(), r#"{"tenant": "globex", "created_by": "bob"}"#);

    let refused = |query: &str, words: &str| {
        let error = seen(&cluster, bob, query).unwrap_err().to_string();
        assert!(error.contains(words), "{query}: {error}");
    };
    refused(
        "insert into invoices (tenant, number, customer) values ('acme', '9', 'X')",
        "row-level security",
    );
    refused("insert into invoices (number, customer, created_by) values ('9', 'X', 'alice')", "own_name");
    refused("update invoices set tenant = 'acme'", "permission denied");
    refused("delete from invoices", "permission denied");
    // A number of the other tenant: no such invoice, rather than a line in it.
    let line = "insert into invoice_lines (number, line, description, amount) values ('2026-003', 1, 'x', 1)";
    refused(line, "violates foreign key constraint");
    refused("create table public.t ()", "permission denied for schema public");
    refused("create temporary table t ()", "permission denied");
}
