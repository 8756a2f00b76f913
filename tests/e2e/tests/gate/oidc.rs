//! Tokens of a real OpenID provider: discovery, rotation of its keys, introspection.

use std::process::Stdio;

use postern_e2e::{AUDIENCE, Front, Http, Issuer, database_section};
use postern_gate::Config;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::{example, node};

const TENANTS: &str = "select string_agg(distinct tenant, ',') from invoices";

/// `tests/clients/oidc/provider.js`
struct Provider {
    /// Ends with the value.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    issuer: String,
    http: Http,
}

impl Provider {
    /// Starts it with these signing keys.
    async fn start(keys: &str) -> Self {
        let mut child =
            node::node().arg("oidc/provider.js").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let nowhere = Http::new(([127, 0, 0, 1], 0).into());
        let output = BufReader::new(output).lines();
        let mut provider = Self { _child: child, input, output, issuer: String::new(), http: nowhere };
        provider.issuer = provider.sign_with(keys).await;
        let address = provider.issuer.strip_prefix("http://").unwrap();
        provider.http = Http::new(address.parse().unwrap());
        provider
    }

    /// Has it use and publish these keys only. The first one signs.
    async fn sign_with(&mut self, keys: &str) -> String {
        self.input.write_all(format!("{keys}\n").as_bytes()).await.unwrap();
        let line = self.output.next_line().await.unwrap().expect("the provider runs");
        let told: Value = serde_json::from_str(&line).unwrap();
        told["issuer"].as_str().unwrap().to_owned()
    }

    async fn form(&self, path: &str, form: &str) -> Value {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let response = self.http.send(http::Method::POST, path, &headers, form.to_owned()).await;
        assert_eq!(response.status, 200, "{}", response.text());
        if response.body.is_empty() { Value::Null } else { response.json() }
    }

    /// A new token: `jwt` or `opaque`.
    async fn token(&self, who: &str, kind: &str) -> String {
        let form = format!("grant_type=client_credentials&resource=urn:postern:{kind}&{}", credentials(who));
        self.form("/token", &form).await["access_token"].as_str().unwrap().to_owned()
    }
}

fn credentials(who: &str) -> String {
    format!("client_id={who}&client_secret=secret+of+{who}")
}

/// A gate that believes what this section says.
async fn front(section: &str) -> Front {
    let database = example().database("");
    let text = format!(
        "{}[listen]\naddress = \"127.0.0.1:0\"\n{section}",
        database_section(example().cluster(), &database)
    );
    Front::of(Config::parse(&text).unwrap(), &database, Issuer::new()).await
}

fn by_discovery(provider: &Provider) -> String {
    format!(
        "[auth]\ncache_ttl = \"0s\"\n[[auth.jwt]]\nissuer = {:?}\naudience = {AUDIENCE:?}\ndiscovery = true\n\
         roles = [\"app_user\"]\nallow_insecure_http = true\nallow_private_addresses = true\n",
        provider.issuer
    )
}

#[tokio::test]
async fn keys_are_found_by_discovery_and_a_removed_key_is_worth_nothing() {
    if !node::is_there("keys_are_found_by_discovery_and_a_removed_key_is_worth_nothing").await {
        return;
    }
    let mut provider = Provider::start("first").await;
    let front = front(&by_discovery(&provider)).await;
    let (alice, bob) = (provider.token("alice", "jwt").await, provider.token("bob", "jwt").await);
    assert_eq!(front.ask(&alice, TENANTS).await.text(), "acme");
    assert_eq!(front.ask(&bob, TENANTS).await.text(), "globex");
    let unused = provider.token("alice", "jwt").await;

    provider.sign_with("rsa-second").await;
    let new = provider.token("alice", "jwt").await;
    assert_eq!(front.ask(&new, TENANTS).await.text(), "acme");
    // Not even one that was good before.
    for old in [&alice, &bob, &unused] {
        front.ask(old, TENANTS).await.refused(400, "28000", "PST201");
    }
    assert_eq!(front.query(&provider.token("bob", "jwt").await, TENANTS).await.text(), "globex");
}

#[tokio::test]
async fn while_keys_are_rotated_both_are_good() {
    if !node::is_there("while_keys_are_rotated_both_are_good").await {
        return;
    }
    let mut provider = Provider::start("rsa-first").await;
    let front = front(&by_discovery(&provider)).await;
    let old = provider.token("alice", "jwt").await;
    provider.sign_with("rsa-second rsa-first").await;
    let new = provider.token("bob", "jwt").await;
    for _ in 0..2 {
        assert_eq!(front.ask(&old, TENANTS).await.text(), "acme");
        assert_eq!(front.ask(&new, TENANTS).await.text(), "globex");
    }
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_and_revoked_ones_refused() {
    if !node::is_there("opaque_tokens_are_asked_about_and_revoked_ones_refused").await {
        return;
    }
    let provider = Provider::start("first").await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret of gate\n").unwrap();
    let front = front(&format!(
        "[[auth.introspection]]\nurl = \"{0}/token/introspection\"\nclient_id = \"gate\"\nclient_secret_file = \"{1}\"\n\
         issuer = {0:?}\naudience = {AUDIENCE:?}\nsubject = \"client_id\"\ncache_ttl = \"0s\"\nroles = [\"app_user\"]\n\
         allow_insecure_http = true\nallow_private_addresses = true\n",
        provider.issuer,
        secret.path().display()
    ))
    .await;
    let (alice, bob) = (provider.token("alice", "opaque").await, provider.token("bob", "opaque").await);
    assert_eq!(front.ask(&alice, TENANTS).await.text(), "acme");
    assert_eq!(
        front.ask(&bob, "select postern.fact('auth.subject'), postern.fact('claims.tenant')").await.text(),
        "bob|globex"
    );

    provider.form("/token/revocation", &format!("token={alice}&{}", credentials("alice"))).await;
    front.ask(&alice, TENANTS).await.refused(400, "28000", "PST201");
    front.ask(&format!("{bob}x"), TENANTS).await.refused(400, "28000", "PST201");
    assert_eq!(front.ask(&bob, TENANTS).await.text(), "globex");
}
