//! The description of the HTTP interface, made from the code.

use std::sync::LazyLock;

use serde::Serialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// An error: PostgreSQL's own, or one of Postern's.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorResponse {
    /// What went wrong.
    error: ErrorBody,
}

/// The fields of an error. Those that do not apply are left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong, in a few words.
    message: String,
    /// The SQLSTATE.
    #[schema(example = "42P01")]
    code: String,
    /// `ERROR` or `FATAL`.
    severity: String,
    /// Why.
    detail: Option<String>,
    /// What to do instead.
    hint: Option<String>,
    /// Where in the statement, in characters from 1.
    position: Option<u32>,
    /// The same for a statement that a function made.
    internal_position: Option<u32>,
    /// That statement.
    internal_query: Option<String>,
    /// The functions that were running.
    r#where: Option<String>,
    /// The object it is about.
    schema: Option<String>,
    /// The object it is about.
    table: Option<String>,
    /// The object it is about.
    column: Option<String>,
    /// The object it is about.
    data_type: Option<String>,
    /// The object it is about.
    constraint: Option<String>,
    /// Where in the source of PostgreSQL.
    file: Option<String>,
    /// Where in the source of PostgreSQL.
    line: Option<u32>,
    /// Where in the source of PostgreSQL.
    routine: Option<String>,
    /// The code of Postern's own errors.
    #[schema(example = "PST300")]
    postern: Option<String>,
}

/// A result as JSON.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueryResponse {
    /// The columns, in order.
    columns: Vec<QueryColumn>,
    /// Objects by column name, or arrays with `array_mode`.
    rows: Vec<serde_json::Value>,
    /// The first word of the command tag; empty for a statement without SQL.
    #[schema(example = "SELECT")]
    command: String,
    /// The rows that were read or changed, if the command counts them.
    row_count: Option<u64>,
}

/// A column of a result.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueryColumn {
    /// Its name.
    name: String,
    /// The OID of its type.
    type_oid: u32,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Postern", description = "SQL over HTTP, run as exactly who asks."),
    paths(
        crate::query::handle,
        crate::sql::handle,
        crate::service::health,
        crate::service::ready,
        crate::service::metrics,
        document
    ),
    components(schemas(ErrorResponse, QueryResponse)),
    modifiers(&Credentials)
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components.add_security_scheme(
            "key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
        );
        components.add_security_scheme(
            "anonymous",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "Postern-Anonymous",
                "\"true\" where anonymous requests are configured",
            ))),
        );
    }
}

static JSON: LazyLock<String> = LazyLock::new(|| {
    // What cannot be described is no reason not to serve; a test sees that it can.
    Document::openapi().to_json().unwrap_or_default()
});

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    responses((status = 200, description = "The description of the HTTP interface"))
)]
pub(crate) fn document() -> &'static str {
    JSON.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn the_document_describes_what_is_served() {
        let document: Value = serde_json::from_str(super::document()).unwrap();
        let mut paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
        paths.sort();
        assert_eq!(paths, ["/healthz", "/metrics", "/openapi.json", "/readyz", "/sql", "/v1/query"]);
        let query = &document["paths"]["/v1/query"]["post"];
        assert!(query["requestBody"]["content"]["application/json"].is_object());
        assert!(query["responses"]["200"]["content"]["application/x-ndjson"].is_object());
        assert!(document["components"]["securitySchemes"]["token"].is_object());
        let properties = document["components"]["schemas"]["QueryRequest"]["properties"].as_object().unwrap();
        assert!(properties.contains_key("array_mode") && properties.contains_key("read_only"));
    }
}
