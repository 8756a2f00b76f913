//! The server's settings, as we write them.
//!
//! **How it works.** Our file lies beside the data, is the one that the server is told to read, and includes the one
//! that initdb made. So `ALTER SYSTEM` works as it does anywhere, and nothing is written into a folder that belongs to
//! the server's account.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Names and values. A later value for a name replaces an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_ascii_lowercase(), value.to_owned());
    }

    /// Sets what has no value yet.
    pub(crate) fn set_default(&mut self, name: &str, value: &str) {
        self.values.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// Puts an item at the head of a setting that is a list.
    pub(crate) fn put_first(&mut self, name: &str, item: &str) {
        let list = self.values.entry(name.to_owned()).or_default();
        let rest = list.split(',').map(str::trim).filter(|other| !other.is_empty() && *other != item);
        *list = std::iter::once(item).chain(rest).collect::<Vec<_>>().join(",");
    }

    /// The text of the configuration file.
    pub(crate) fn file(&self) -> String {
        let mut text = String::from("# Written at each start. Use ALTER SYSTEM for changes that stay.\n");
        text.push_str("include 'data/postgresql.conf'\n");
        for (name, value) in &self.values {
            let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
            let _ = writeln!(text, "{name} = '{value}'");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_quotes_and_backslashes() {
        let mut settings = Settings::default();
        settings.set("Log_Line_Prefix", r"it's \t");
        assert!(settings.file().ends_with("log_line_prefix = 'it''s \\\\t'\n"), "{}", settings.file());
    }

    #[test]
    fn an_item_is_first_and_only_once() {
        let mut settings = Settings::default();
        settings.set("shared_preload_libraries", "auto_explain, postern");
        settings.put_first("shared_preload_libraries", "postern");
        assert!(settings.file().contains("= 'postern,auto_explain'"), "{}", settings.file());
    }

    #[test]
    fn a_default_does_not_replace_a_value() {
        let mut settings = Settings::default();
        settings.set("fsync", "on");
        settings.set_default("fsync", "off");
        assert!(settings.file().contains("fsync = 'on'"));
    }
}
