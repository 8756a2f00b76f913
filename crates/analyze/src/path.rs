//! The effective `search_path`: what the server makes of the setting.

use crate::catalog::{Catalog, Oid, PG_CATALOG};

/// One place where a name is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The temporary schema of the connection.
    Temp,
    /// A schema.
    Schema(Oid),
}

/// An effective path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The setting it was made of.
    pub setting: String,
    /// Where names are looked for, in order; `pg_catalog` and the temporary schema included.
    pub places: Vec<Place>,
    /// Listed, but not there: (name, at which place of `places` it would be).
    pub missing: Vec<(String, usize)>,
    /// Listed and there, but skipped because USAGE is not held.
    pub skipped: Vec<String>,
}

impl Path {
    /// The path that a setting means for a role.
    pub fn new(catalog: &Catalog, setting: &str, user: &str) -> Self {
        let role = catalog.role(user);
        let mut places: Vec<Place> = Vec::new();
        let (mut missing, mut skipped) = (Vec::new(), Vec::new());
        for name in split(setting) {
            let (name, is_user) = if name == "$user" { (user.to_owned(), true) } else { (name, false) };
            if name == "pg_temp" && !is_user {
                if !places.contains(&Place::Temp) {
                    places.push(Place::Temp);
                }
                continue;
            }
            match catalog.schema(&name) {
                None => missing.push((name, places.len())),
                Some(schema) if role.is_some_and(|role| !catalog.may_use(role.oid, schema)) => {
                    skipped.push(name);
                }
                Some(schema) => {
                    let place = Place::Schema(schema.oid);
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
        }
        // What is not listed comes first: pg_catalog, and before it the temporary schema.
        for implicit in [Place::Schema(PG_CATALOG), Place::Temp] {
            if !places.contains(&implicit) {
                places.insert(0, implicit);
                for (_, at) in &mut missing {
                    *at += 1;
                }
            }
        }
        Self { setting: setting.to_owned(), places, missing, skipped }
    }

    /// The path that has nothing but what every path has.
    pub fn least() -> Self {
        Self::of(vec![Place::Temp, Place::Schema(PG_CATALOG)])
    }

    /// A path on which everything else comes before `pg_catalog`.
    pub fn most(catalog: &Catalog) -> Self {
        let schemas = catalog.snapshot.schemas.iter().map(|schema| schema.oid);
        let others = schemas.filter(|oid| *oid != PG_CATALOG).map(Place::Schema);
        Self::of(std::iter::once(Place::Temp).chain(others).chain([Place::Schema(PG_CATALOG)]).collect())
    }

    fn of(places: Vec<Place>) -> Self {
        Self { setting: String::new(), places, missing: Vec::new(), skipped: Vec::new() }
    }

    /// The schemas, without the temporary one.
    pub fn schemas(&self) -> impl Iterator<Item = Oid> {
        self.places.iter().filter_map(|place| match place {
            Place::Schema(oid) => Some(*oid),
            Place::Temp => None,
        })
    }

    /// Where a schema is on the path.
    pub fn position(&self, place: Place) -> Option<usize> {
        self.places.iter().position(|&here| here == place)
    }

    /// The path as names, as the server would search it.
    pub fn names(&self, catalog: &Catalog) -> Vec<String> {
        self.places
            .iter()
            .map(|place| match place {
                Place::Temp => "pg_temp".to_owned(),
                Place::Schema(oid) => catalog.schema_name(*oid),
            })
            .collect()
    }
}

/// The names of a list as the server splits it: commas, double quotes, and lower case outside quotes. A list that is not one
/// is empty.
pub fn split(setting: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = setting.trim();
    while !rest.is_empty() {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = quoted.char_indices().peekable();
            let mut end = None;
            while let Some((at, character)) = chars.next() {
                if character != '"' {
                    text.push(character);
                } else if chars.peek().is_some_and(|&(_, next)| next == '"') {
                    chars.next();
                    text.push('"');
                } else {
                    end = Some(at + 1);
                    break;
                }
            }
            let Some(end) = end else { return Vec::new() };
            name = text;
            rest = quoted[end..].trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            name = rest[..end].trim().to_ascii_lowercase();
            rest = &rest[end..];
        }
        // The empty string is how "no schema" is written; it names none.
        if !name.is_empty() {
            names.push(name);
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => break,
            None => return Vec::new(),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_list_is_split_as_the_server_splits_it() {
        assert_eq!(split("\"$user\", public"), ["$user", "public"]);
        assert_eq!(split("A,b , \"C d\""), ["a", "b", "C d"]);
        assert_eq!(split("\"app, pg_temp\""), ["app, pg_temp"]);
        assert_eq!(split("\"a\"\"b\""), ["a\"b"]);
        assert!(split("").is_empty() && split("\"\"").is_empty() && split("\"open").is_empty());
    }
}
