//! Whether the extension is there, at work, of our version, and alone in its schema.

use crate::codes;
use crate::examination::{Checked, Examination};

pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let row = ex
        .query_one(
            "select (select extversion from pg_catalog.pg_extension where extname = 'postern'),
                    (select setting from pg_catalog.pg_settings where name = 'shared_preload_libraries'),
                    (select setting from pg_catalog.pg_settings where name = 'postern.allow_temp'),
                    pg_catalog.current_setting('postern.library_version', true)",
            &[],
        )
        .await?;
    let version: Option<String> = row.try_get(0)?;
    let preloaded: Option<String> = row.try_get(1)?;
    let allow_temp: Option<String> = row.try_get(2)?;
    // The library of 0.1.0 does not say.
    let library: Option<String> = row.try_get(3)?;

    // Only some roles may see the list. A setting of the library in a fresh session tells as much: a mere placeholder is
    // not in pg_settings.
    let is_preloaded = preloaded.map_or(allow_temp.is_some(), |list| names_postern(&list));
    if !is_preloaded {
        ex.found(
            &codes::EXTENSION_NOT_PRELOADED,
            "setting shared_preload_libraries",
            "library \"postern\" is not preloaded",
            "Nothing holds a request in its role without it. Add it to shared_preload_libraries and restart the server.",
            None,
        );
    }
    let Some(version) = version else {
        ex.found(
            &codes::EXTENSION_MISSING,
            format!("database {}", ex.server.database),
            "extension \"postern\" is not installed",
            "There is nothing by which a request could enter its role.",
            Some("CREATE EXTENSION postern;".into()),
        );
        return Ok(());
    };
    if let Some(library) = library.filter(|library| *library != version) {
        let later = numbers(&version) > numbers(&library);
        ex.found(
            &codes::EXTENSION_NOT_UPDATED,
            format!("database {}", ex.server.database),
            format!("extension \"postern\" is {version} in this database, and its library is {library}"),
            if later {
                "Nobody is entered, and durable functions wait. Install the files of that version or a later one, and restart the \
                 server: it loads the library when it starts."
            } else {
                "Nobody is entered, and durable functions wait, until it is updated."
            },
            (!later).then(|| "ALTER EXTENSION postern UPDATE;".to_owned()),
        );
    }
    let ours = ex.settings.extension_version.clone();
    if version != ours {
        let compatible = release_line(&version) == release_line(&ours);
        ex.found(
            if compatible { &codes::EXTENSION_VERSION } else { &codes::EXTENSION_INCOMPATIBLE },
            "extension postern",
            format!("extension \"postern\" is {version}, this program is {ours}"),
            "Install the files of the same version on the server, restart it if the library changed, and update.",
            Some(format!("ALTER EXTENSION postern UPDATE TO '{}';", ours.replace('\'', "''"))),
        );
    }
    if allow_temp.as_deref() == Some("on") {
        ex.found(
            &codes::TEMP_ALLOWED,
            "setting postern.allow_temp",
            "requests may create temporary objects",
            "They are removed before the connection serves anyone else, which costs time; names without a schema may mean \
             them within the request.",
            Some("ALTER SYSTEM SET postern.allow_temp = off;\nSELECT pg_catalog.pg_reload_conf();".into()),
        );
    }
    own_schema(ex).await
}

async fn own_schema(ex: &mut Examination<'_>) -> Checked {
    let rows = ex
        .query(
            "select pg_catalog.quote_ident(n.nspname),
                    case a.grantee when 0 then 'PUBLIC' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end
             from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace,
                  lateral pg_catalog.aclexplode(n.nspacl) a
             where e.extname = 'postern' and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner",
            &[],
        )
        .await?;
    for row in rows {
        let (schema, grantee): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        ex.found(
            &codes::POSTERN_SCHEMA_CREATE,
            format!("schema {schema}"),
            format!("{grantee} may create objects in schema {schema}"),
            "A function with the name of one of the extension's could be called in its place, with the caller's rights.",
            Some(format!("REVOKE CREATE ON SCHEMA {schema} FROM {grantee};")),
        );
    }
    Ok(())
}

/// Whether a `shared_preload_libraries` value names the library, by any path.
fn names_postern(list: &str) -> bool {
    list.split(',').any(|entry| {
        let entry = entry.trim().trim_matches('"');
        let name = entry.rsplit('/').next().unwrap_or(entry);
        name.strip_suffix(".so").unwrap_or(name) == "postern"
    })
}

/// Versions of one line understand each other: the major version, or before 1.0 the minor one.
fn release_line(version: &str) -> (&str, &str) {
    let mut parts = version.split('.');
    match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
        ("0", minor) => ("0", minor),
        (major, _) => (major, ""),
    }
}

/// The numbers of a version, to be compared.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_in_a_list_by_its_own_name_only() {
        for list in [
            "postern",
            "auto_explain, postern",
            "\"postern\"",
            "$libdir/postern",
            "/opt/x/postern.so,pg_cron",
        ] {
            assert!(names_postern(list), "{list}");
        }
        for list in ["", "postern_other", "pg_postern", "postern/other"] {
            assert!(!names_postern(list), "{list}");
        }
    }

    #[test]
    fn before_one_the_minor_version_is_the_release_line() {
        assert_eq!(release_line("0.1.0"), release_line("0.1.7"));
        assert_ne!(release_line("0.1.0"), release_line("0.2.0"));
        assert_eq!(release_line("1.0.0"), release_line("1.9.0"));
        assert_ne!(release_line("1.0"), release_line("2.0"));
    }
}
