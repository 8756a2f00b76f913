//! Command tags.

/// The first word of a command tag, and its number of rows if it has one.
pub(crate) fn split(tag: &str) -> (&str, Option<u64>) {
    let mut words = tag.split(' ');
    let command = words.next().unwrap_or_default();
    // `INSERT 0 2`: what was the OID of the row once comes first.
    let count = if command == "INSERT" { words.nth(1) } else { words.next() };
    (command, count.and_then(|count| count.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_number_of_rows_is_where_the_command_has_it() {
        assert_eq!(split("SELECT 1"), ("SELECT", Some(1)));
        assert_eq!(split("INSERT 0 2"), ("INSERT", Some(2)));
        assert_eq!(split("MERGE 7"), ("MERGE", Some(7)));
        assert_eq!(split("CREATE TABLE"), ("CREATE", None));
        assert_eq!(split("LOCK TABLE"), ("LOCK", None));
        assert_eq!(split("EXPLAIN"), ("EXPLAIN", None));
        assert_eq!(split(""), ("", None));
    }
}
