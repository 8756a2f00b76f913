//! Looks for anything that a request has left on its backend: as the next identity, and from outside.

use std::collections::BTreeMap;

use crate::world::World;

/// Every setting that SQL can see, with its value and where that came from.
pub(crate) type Settings = BTreeMap<String, String>;

/// What a session could hold for its next user. `pg_prepared_statements` is not here: entered identities may not read it.
const LEFT_BEHIND: &str = "
select (select count(*) from pg_catalog.pg_cursors where name <> ''),
       (select count(*) from pg_catalog.pg_listening_channels()),
       (select count(*) from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()),
       (select count(*) from pg_catalog.pg_class where relnamespace = pg_catalog.pg_my_temp_schema()),
       (select count(*) from pg_catalog.pg_type where typnamespace = pg_catalog.pg_my_temp_schema()),
       (select count(*) from pg_catalog.pg_proc where pronamespace = pg_catalog.pg_my_temp_schema())";

const WHO: &str = "
select current_user, session_user, i.role, i.session_role, i.entered,
       postern.fact('claims.sub'), postern.fact('claims.role'),
       pg_catalog.current_setting('request.jwt.claims')::pg_catalog.json ->> 'sub',
       pg_catalog.current_setting('role')
  from postern.identity() i";

impl World {
    /// Every setting, as bob sees it on this backend.
    pub(crate) async fn settings(&self) -> Settings {
        // The first use of the language defines its settings.
        let statements = [
            "do $$ begin perform 1; end $$",
            "select name, pg_catalog.concat_ws(' | ', setting, source, reset_val) from pg_catalog.pg_settings",
        ];
        let rows = self.bob().batch(&statements).await.last().rows;
        rows.into_iter().map(|row| (cell(&row, 0), cell(&row, 1))).collect()
    }

    /// Every setting is what it was when the connection was new. Libraries that were loaded since may have defined more.
    pub async fn settings_are_fresh(&self) {
        let now = self.settings().await;
        let changed: Vec<_> = now
            .iter()
            .filter(|(name, value)| match self.fresh.get(*name) {
                Some(fresh) => fresh != *value,
                None => !value.contains(" | default | "),
            })
            .chain(self.fresh.iter().filter(|(name, _)| !now.contains_key(*name)))
            .collect();
        assert!(changed.is_empty(), "settings differ from a fresh connection's: {changed:?}");
    }

    /// The process id of the backend that serves the requests.
    pub async fn backend(&self) -> String {
        self.bob().sql("select pg_catalog.pg_backend_pid()").await.text()
    }

    /// Another identity's next request finds the connection as new, and no probe has got out.
    pub async fn canary(&self) {
        let bob = self.bob();
        let statements = [
            WHO,
            LEFT_BEHIND,
            "select v from app.t",
            "select v from app.f",
            "select pg_catalog.pg_backend_pid()",
        ];
        let [who, left, by_role, by_fact, pid] = bob.batch(&statements).await.all().map_text();
        assert_eq!(who, "bob|postern_gate|bob|bob|t|bob|bob|bob|none", "bob's identity is not his own");
        assert_eq!(
            left, "0|0|0|0|0|0",
            "left behind: cursors, channels, advisory locks, temporary relations, types, functions"
        );
        assert!(!by_role.contains("a1") && !by_fact.contains("fact-a"), "bob sees {by_role}, {by_fact}");
        bob.sql("select name from pg_catalog.pg_prepared_statements").await.refused("42501");
        bob.sql("select pg_catalog.lastval()").await.refused("55000");
        self.settings_are_fresh().await;

        // From outside.
        let locks =
            format!("select locktype, mode, relation::regclass from pg_catalog.pg_locks where pid = {pid}");
        assert_eq!(self.look(&locks).await, "", "an idle backend holds locks");
        let escaped = "select * from work.loot where cu = 'postern_gate' or note is distinct from ' setrole 42501 reset 42501'";
        assert_eq!(self.look(escaped).await, "", "a probe got out of the wall");
    }
}

fn cell(row: &[Option<String>], n: usize) -> String {
    row[n].clone().unwrap_or_default()
}

trait MapText {
    fn map_text<const N: usize>(self) -> [String; N];
}

impl MapText for Vec<crate::Answer> {
    #[track_caller]
    fn map_text<const N: usize>(self) -> [String; N] {
        let texts: Vec<_> = self.iter().map(crate::Answer::text).collect();
        texts.try_into().unwrap_or_else(|texts| panic!("{N} answers expected, not {texts:?}"))
    }
}
