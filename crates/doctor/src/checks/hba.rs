//! Lines of pg_hba.conf by which one comes in without proof.

use crate::codes::{self, Code};
use crate::examination::{Checked, Examination};

/// What a line says of the ways in that concern us.
#[derive(Debug, Clone, Default)]
struct Line {
    kind: String,
    databases: Vec<String>,
    users: Vec<String>,
    address: Option<String>,
    netmask: Option<String>,
    method: String,
}

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    // The function comes first: without the right to it, the view cannot be read either.
    let readable: bool = ex
        .query_one(
            "select pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE')
                    and pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT')",
            &[],
        )
        .await?
        .try_get(0)?;
    if !readable {
        ex.skip(
            "pg_hba.conf",
            "this role may not read pg_hba_file_rules; run the doctor as a superuser to have it checked",
        );
        return Ok(());
    }
    let rows = ex
        .query(
            "select line_number, type, database, user_name, address, netmask, auth_method
             from pg_catalog.pg_hba_file_rules where error is null order by line_number",
            &[],
        )
        .await?;
    for row in rows {
        let number: i32 = row.try_get(0)?;
        let line = Line {
            kind: row.try_get(1)?,
            databases: row.try_get(2)?,
            users: row.try_get(3)?,
            address: row.try_get(4)?,
            netmask: row.try_get(5)?,
            method: row.try_get(6)?,
        };
        if let Some((code, detail)) = line.judge(&ex.server.database, &ex.settings.gate_role) {
            ex.found(
                code,
                format!("pg_hba.conf line {number}"),
                format!(
                    "line {number} of pg_hba.conf lets {} in from {} by {}",
                    line.users.join(", "),
                    line.address.as_deref().unwrap_or("the server's own machine"),
                    line.method
                ),
                detail,
                None,
            );
        }
    }
    Ok(())
}

impl Line {
    fn judge(&self, database: &str, gate: &str) -> Option<(&'static Code, &'static str)> {
        let ours = self.databases.iter().any(|name| {
            name == database
                || matches!(name.as_str(), "all" | "sameuser" | "samerole" | "samegroup")
                || name.starts_with('/')
        });
        if !ours {
            return None;
        }
        match self.method.as_str() {
            "trust" if self.is_local() => Some((
                &codes::HBA_TRUST,
                "Every process there can be anybody of these, and so can SQL that opens connections from the server. \
                 Use scram-sha-256.",
            )),
            "trust" => Some((
                &codes::HBA_TRUST_REMOTE,
                "Whoever can reach the server can be anybody of these, and then enter any role with any facts. \
                 Use scram-sha-256.",
            )),
            "peer" | "ident" if self.is_local() => Some((
                &codes::HBA_PEER,
                "SQL that can open connections from the server does so as the server's own user.",
            )),
            "reject" => None,
            _ if !self.is_local() && self.is_anywhere() && self.names(gate) => Some((
                &codes::HBA_GATE_ANYWHERE,
                "Name the addresses that gates run on, so that a stolen password is worth nothing elsewhere.",
            )),
            _ => None,
        }
    }

    fn is_local(&self) -> bool {
        self.kind == "local"
            || matches!(self.address.as_deref(), Some("samehost" | "localhost" | "::1"))
            || self.address.as_deref().is_some_and(|address| address.starts_with("127."))
                && self.netmask.as_deref().is_none_or(|mask| mask.starts_with("255."))
    }

    fn is_anywhere(&self) -> bool {
        self.address.as_deref() == Some("all") || matches!(self.netmask.as_deref(), Some("0.0.0.0" | "::"))
    }

    fn names(&self, role: &str) -> bool {
        self.users.iter().any(|user| user == "all" || user == role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        kind: &str,
        database: &str,
        user: &str,
        address: Option<(&str, &str)>,
        method: &str,
    ) -> Option<&'static str> {
        Line {
            kind: kind.into(),
            databases: vec![database.into()],
            users: vec![user.into()],
            address: address.map(|(address, _)| address.into()),
            netmask: address.map(|(_, mask)| mask.into()).filter(|mask: &String| !mask.is_empty()),
            method: method.into(),
        }
        .judge("app", "postern_gate")
        .map(|(code, _)| code.name)
    }

    #[test]
    fn trust_is_a_danger_from_elsewhere_and_a_warning_at_home() {
        let home = Some(("127.0.0.1", "255.255.255.255"));
        let wide = Some(("0.0.0.0", "0.0.0.0"));
        assert_eq!(judge("local", "all", "all", None, "trust"), Some("hba-trust"));
        assert_eq!(judge("host", "all", "all", home, "trust"), Some("hba-trust"));
        assert_eq!(
            judge("host", "all", "all", Some(("127.0.0.0", "0.0.0.0")), "trust"),
            Some("hba-trust-remote")
        );
        assert_eq!(
            judge("host", "all", "all", Some(("10.0.0.0", "255.0.0.0")), "trust"),
            Some("hba-trust-remote")
        );
        assert_eq!(judge("hostssl", "app", "postern_gate", wide, "trust"), Some("hba-trust-remote"));
        assert_eq!(judge("host", "other", "all", wide, "trust"), None);
        assert_eq!(judge("host", "replication", "all", wide, "trust"), None);
    }

    #[test]
    fn the_gate_role_is_better_bound_to_addresses() {
        let wide = Some(("0.0.0.0", "0.0.0.0"));
        assert_eq!(judge("host", "all", "all", wide, "scram-sha-256"), Some("hba-gate-anywhere"));
        assert_eq!(judge("host", "app", "postern_gate", Some(("all", "")), "md5"), Some("hba-gate-anywhere"));
        assert_eq!(judge("host", "app", "other", wide, "scram-sha-256"), None);
        assert_eq!(judge("host", "app", "all", wide, "reject"), None);
        assert_eq!(judge("host", "app", "all", Some(("10.1.2.3", "255.255.255.255")), "scram-sha-256"), None);
        assert_eq!(judge("local", "all", "all", None, "scram-sha-256"), None);
        assert_eq!(judge("local", "all", "postgres", None, "peer"), Some("hba-peer"));
    }
}
