//! The files that are measured: scripts of public extensions, from `target/corpus`.

use std::path::PathBuf;

/// Scripts with many functions, and the package that each is in.
const SCRIPTS: &[(&str, &str)] = &[
    ("postgresql-15-pgtap", "pgtap--1.2.0"),
    ("postgresql-15-postgis-3-scripts", "postgis--3.3.2"),
    ("postgresql-15-postgis-3-scripts", "postgis_raster--3.3.2"),
    ("postgresql-15-postgis-3-scripts", "postgis_topology--3.3.2"),
    ("postgresql-15-pgrouting-scripts", "pgrouting--3.4.2"),
    ("postgresql-15-partman", "pg_partman--4.7.2"),
    ("postgresql-15-powa", "powa--4.1.4"),
    ("postgresql-15-periods", "periods--1.2"),
    ("postgresql-15-pgq3", "pgq--3.5"),
    ("postgresql-15-londiste-sql", "londiste--3.8"),
    ("postgresql-15-mimeo", "mimeo--1.5.1"),
    ("postgresql-15-pg-fact-loader", "pg_fact_loader--1.7"),
    ("postgresql-15-pgl-ddl-deploy", "pgl_ddl_deploy--2.1"),
    ("postgresql-15-pg-track-settings", "pg_track_settings--2.1.0"),
    ("postgresql-15-auto-failover", "pgautofailover--2.0"),
    ("pgagent", "pgagent--4.2"),
];

/// One script: its name, its file, its text without the lines for psql.
pub struct Script {
    pub name: &'static str,
    pub text: String,
}

/// All of them.
pub fn scripts() -> Result<Vec<Script>, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let folder = target.join("corpus");
    SCRIPTS
        .iter()
        .map(|(package, name)| {
            let path = folder.join(package).join(format!("usr/share/postgresql/15/extension/{name}.sql"));
            let bytes = std::fs::read(&path)
                .map_err(|error| format!("{}: {error} (cargo xtask fetch-corpus)", path.display()))?;
            let text = String::from_utf8_lossy(&bytes);
            let text: String = text
                .lines()
                .map(|line| if line.starts_with('\\') { "\n".to_owned() } else { format!("{line}\n") })
                .collect();
            Ok(Script { name, text: text.replace("@extschema@", "public") })
        })
        .collect()
}
