//! The kinds of weakness, with their severity: one table, from which the reference page is checked.
//!
//! A danger is what would make the wall or the roles meaningless: whoever gets there is somebody else, or everybody.
//! A warning is access that is likely wider than meant, but still what PostgreSQL's own rules give.
//!
//! **Invariants**: a code is never renamed or reused, since configurations allow findings by code.

use crate::report::Severity;

/// One kind of weakness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Stable, kebab-case.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means, in one sentence.
    pub about: &'static str,
}

/// The code of that name, if there is one.
pub fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|code| code.name == name)
}

/// The first entry of an allow-list that speaks of no code, and so would allow nothing.
pub fn first_unknown(allow: &[String]) -> Option<&str> {
    allow.iter().map(String::as_str).find(|entry| find(entry.split(':').next().unwrap_or_default()).is_none())
}

macro_rules! codes {
    ($($constant:ident = $severity:ident $name:literal $about:literal;)*) => {
        $(#[doc = $about] pub const $constant: Code = Code { name: $name, severity: Severity::$severity, about: $about };)*
        /// Every code, in the order of the reference page.
        pub const ALL: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    SERVER_BELOW_FLOOR = Danger "server-below-floor"
        "The server lacks fixes of faults by which plain SQL can take it over, or get round row security.";
    SERVER_UNSUPPORTED = Danger "server-unsupported"
        "The server is of a major version that Postern is not made for.";
    SERVER_UNTESTED = Warning "server-untested"
        "The server is of a newer major version than Postern was tested on.";

    EXTENSION_MISSING = Danger "extension-missing"
        "The extension is not installed in the database.";
    EXTENSION_NOT_PRELOADED = Danger "extension-not-preloaded"
        "The extension is not in shared_preload_libraries, so nothing holds a request in its role.";
    EXTENSION_INCOMPATIBLE = Danger "extension-incompatible"
        "The installed extension is of another release line than this program.";
    EXTENSION_VERSION = Warning "extension-version"
        "The installed extension is not of this program's version, but of the same release line.";
    EXTENSION_NOT_UPDATED = Danger "extension-not-updated"
        "The extension's objects in the database are not of the version of the library that the server has loaded.";
    POSTERN_SCHEMA_CREATE = Danger "postern-schema-create"
        "Someone may create objects in the extension's schema.";
    TEMP_ALLOWED = Info "temp-allowed"
        "Requests may create temporary objects.";

    ENTER_MISSING = Danger "enter-missing"
        "There is no function postern.enter of the extension.";
    ENTER_FOREIGN = Danger "enter-foreign"
        "A function in the place of one that the gate calls is not the extension's.";
    ENTER_DEFINER = Danger "enter-definer"
        "postern.enter is SECURITY DEFINER: the switch of the role would end with the call.";
    ENTER_SETTINGS = Danger "enter-settings"
        "postern.enter has a SET clause: it would swallow the level on which settings are undone.";
    ENTER_EXECUTABLE = Danger "enter-executable"
        "Others than the gate may execute a function that is only the gate's.";
    OBJECT_GRANTED = Danger "object-granted"
        "Others than Postern's roles have privileges on the extension's own objects.";

    GATE_MISSING = Danger "gate-missing"
        "The gate's role does not exist.";
    GATE_SUPERUSER = Danger "gate-superuser"
        "The gate's role is a superuser.";
    GATE_BYPASSRLS = Danger "gate-bypassrls"
        "The gate's role is not subject to row security.";
    GATE_CREATEROLE = Danger "gate-createrole"
        "The gate's role may create and change roles.";
    GATE_REPLICATION = Danger "gate-replication"
        "The gate's role may copy the whole cluster by replication.";
    GATE_CREATEDB = Warning "gate-createdb"
        "The gate's role may create databases.";
    GATE_POWERFUL_MEMBER = Danger "gate-powerful-member"
        "The gate's role is a member of a powerful role.";
    GATE_MEMBER = Warning "gate-member"
        "The gate's role is a member of another role: a way out of the wall would lead there.";
    GATE_INHERITS = Warning "gate-inherits"
        "The gate's role inherits the privileges of roles that it is a member of.";
    GATE_OWNS = Warning "gate-owns"
        "The gate's role owns objects.";
    GATE_CREATE = Warning "gate-create"
        "The gate's role may create objects.";
    GATE_SETTINGS = Warning "gate-settings"
        "Settings are attached to the gate's role.";
    GATE_OTHER_ROLE = Danger "gate-other-role"
        "A setting makes every session of the gate's role start as another role.";

    NO_ROLES = Info "no-roles"
        "No role may be entered.";
    ROLE_MISSING = Warning "role-missing"
        "A role that is configured to be served does not exist.";
    ROLE_NOT_ADMITTED = Warning "role-not-admitted"
        "A role that is configured to be served is not admitted in the database.";
    ROLE_SUPERUSER = Danger "role-superuser"
        "A served role is a superuser.";
    ROLE_BYPASSRLS = Danger "role-bypassrls"
        "A served role is not subject to row security.";
    ROLE_CREATEROLE = Danger "role-createrole"
        "A served role may create and change roles.";
    ROLE_REPLICATION = Danger "role-replication"
        "A served role may copy the whole cluster by replication.";
    ROLE_CREATEDB = Warning "role-createdb"
        "A served role may create databases.";
    ROLE_POWERFUL_MEMBER = Danger "role-powerful-member"
        "A served role is, directly or not, a member of a predefined or powerful role.";
    ROLE_ADMINISTERS = Danger "role-administers"
        "A served role is the gate's or the administrator's, or a member of it.";
    ROLE_OWNS_DATABASE = Warning "role-owns-database"
        "A served role owns the database.";
    ROLE_LOGIN = Warning "role-login"
        "A served role may also log in directly.";

    TABLE_WITHOUT_RLS = Warning "table-without-rls"
        "A served role can reach a table without row security.";
    TABLE_RLS_NOT_FORCED = Warning "table-rls-not-forced"
        "A served role owns a table whose row security does not bind its owner.";
    TABLE_TRUNCATE = Warning "table-truncate"
        "A served role may TRUNCATE a table with row security, which asks no policy.";
    TABLE_TRIGGER = Warning "table-trigger"
        "A served role may attach triggers, which run as whoever writes, to a table that is not its own.";
    VIEW_WITHOUT_INVOKER = Warning "view-without-invoker"
        "A served role reads a table with row security through a view with its owner's rights.";
    MATERIALIZED_VIEW = Warning "materialized-view"
        "A served role can read a copy of rows that row security guards at their source.";
    SCHEMA_CREATE = Warning "schema-create"
        "A served role may create objects in a schema that other served roles use.";

    POLICY_SESSION_USER = Warning "policy-session-user"
        "A policy asks session_user, which is the gate's role for everybody.";
    DEFINER_SESSION_USER = Warning "definer-session-user"
        "A SECURITY DEFINER function asks session_user, which is the gate's role for everybody.";
    POLICY_LOOKALIKE = Warning "policy-lookalike"
        "A policy calls a function that is named like one of the fact functions, but is not.";
    FACT_UNQUALIFIED = Warning "fact-unqualified"
        "A function calls a fact function by its bare name.";
    FACT_IMMUTABLE = Danger "fact-immutable"
        "An IMMUTABLE function reads facts: a plan would keep those of another request.";

    LANGUAGE_USABLE = Danger "language-usable"
        "A served role may use a language whose memory outlives the request.";
    FUNCTION_SERVER_FILES = Danger "function-server-files"
        "A served role may execute a function that reads or writes the server's files.";
    FUNCTION_REACHES_OUT = Danger "function-reaches-out"
        "A served role may execute functions that open connections from the server.";
    FUNCTION_LARGE_OBJECT = Info "function-large-object"
        "A served role may store large objects.";
    FUNCTION_EMIT_MESSAGE = Info "function-emit-message"
        "A served role may write logical decoding messages.";
    FUNCTION_NOTIFY = Info "function-notify"
        "A served role may send notifications by pg_notify.";

    PUBLIC_CREATE = Warning "public-create"
        "Everybody may create objects in a schema.";
    PUBLIC_CREATE_DATABASE = Warning "public-create-database"
        "Everybody may create schemas in the database.";
    PUBLIC_TEMP = Warning "public-temp"
        "Everybody may create temporary objects in the database.";

    LOGIN_TRIGGER = Warning "login-trigger"
        "A login trigger runs whenever the gate connects.";
    EVENT_TRIGGER = Info "event-trigger"
        "An event trigger runs on commands of requests.";

    TLS_OFF = Danger "tls-off"
        "The connection to a database on another machine is not encrypted.";
    TLS_UNVERIFIED = Warning "tls-unverified"
        "The connection is encrypted, but the server's certificate is not verified.";
    HBA_TRUST_REMOTE = Danger "hba-trust-remote"
        "Other machines may log in without proof, as anybody or as the gate's role.";
    HBA_TRUST = Warning "hba-trust"
        "The server's own machine may log in without proof.";
    HBA_PEER = Info "hba-peer"
        "Processes of the server's own machine may log in by the name of their user.";
    HBA_GATE_ANYWHERE = Warning "hba-gate-anywhere"
        "The gate's role may log in from any address.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_and_unique() {
        for (at, code) in ALL.iter().enumerate() {
            assert!(code.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", code.name);
            assert!(ALL[at + 1..].iter().all(|other| other.name != code.name), "{} twice", code.name);
            assert_eq!(find(code.name), Some(*code));
        }
        assert_eq!(find("no-such-code"), None);
        assert_eq!(first_unknown(&["gate-member".into(), "table-without-rls:public.x".into()]), None);
        assert_eq!(first_unknown(&["gate-member".into(), "gate-members".into()]), Some("gate-members"));
    }

    #[test]
    fn the_reference_page_lists_every_code_with_its_severity_and_meaning() {
        let page = include_str!("../../../docs/reference/doctor.md");
        let (_, codes) = page.split_once("## The codes").unwrap();
        let listed: Vec<String> =
            codes.lines().filter(|line| line.starts_with("| `")).map(str::to_lowercase).collect();
        let wanted: Vec<String> = ALL
            .iter()
            .map(|code| format!("| `{}` | {:?} | {} |", code.name, code.severity, code.about).to_lowercase())
            .collect();
        assert_eq!(listed.join("\n"), wanted.join("\n"));
    }
}
