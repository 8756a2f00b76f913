//! What is visible where: tables with their columns, common table expressions, variables.

use super::Walker;
use crate::catalog::Oid;
use crate::typing::{OPAQUE, known};

/// Names and types of columns; `None` if they are not known.
pub type Columns = Option<Vec<(String, Oid)>>;

/// One entry of a FROM list.
#[derive(Debug, Clone)]
pub struct Item {
    pub name: Option<String>,
    pub columns: Columns,
    /// The row type, if it has one.
    pub row: Oid,
    /// Can its columns be named without it?
    pub bare: bool,
    /// Is it one value, as a scalar function in FROM? Then its name is that value.
    pub scalar: bool,
}

/// The FROM list of one query.
#[derive(Debug, Clone, Default)]
pub struct Level {
    pub items: Vec<Item>,
    /// Not visible just now: a sub-select of FROM without LATERAL.
    pub hidden: bool,
}

#[derive(Debug, Clone)]
pub struct Cte {
    pub name: String,
    pub columns: Columns,
}

const SYSTEM_COLUMNS: [(&str, Oid); 6] =
    [("tableoid", known::OID), ("ctid", 27), ("xmin", 28), ("xmax", 28), ("cmin", 29), ("cmax", 29)];

impl Item {
    pub fn column(&self, name: &str) -> Option<Oid> {
        let columns = self.columns.as_ref()?;
        let own = columns.iter().find(|(column, _)| column == name).map(|(_, oid)| *oid);
        own.or_else(|| SYSTEM_COLUMNS.iter().find(|(column, _)| *column == name).map(|(_, oid)| *oid))
    }
}

/// What a dotted name in an expression is.
pub enum Reference {
    /// A value of this type.
    Value(Oid),
    /// A row: its type and columns.
    Row(Oid, Columns),
    /// A field that the row of this type does not have: attribute notation.
    Attribute(Oid),
    /// It cannot be told.
    Opaque,
}

impl Walker<'_> {
    fn visible(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().rev().filter(|level| !level.hidden)
    }

    pub(super) fn find_item(&self, name: &str) -> Option<&Item> {
        self.visible().find_map(|level| level.items.iter().find(|item| item.name.as_deref() == Some(name)))
    }

    /// A name without a qualifier.
    pub(super) fn bare_name(&self, name: &str) -> Reference {
        if self.around.prefer_variables
            && let Some(variable) = self.by_variable(name)
        {
            return variable;
        }
        for level in self.visible() {
            let mut uncertain = false;
            for item in level.items.iter().filter(|item| item.bare) {
                match (&item.columns, item.column(name)) {
                    (_, Some(oid)) => return Reference::Value(oid),
                    (None, None) => uncertain = true,
                    (Some(_), None) => {}
                }
            }
            if uncertain {
                return Reference::Opaque;
            }
            if let Some(item) = level.items.iter().find(|item| item.name.as_deref() == Some(name)) {
                if item.scalar
                    && let Some([(_, oid)]) = item.columns.as_deref()
                {
                    return Reference::Value(*oid);
                }
                return Reference::Row(item.row, item.columns.clone());
            }
        }
        self.by_variable(name).unwrap_or(Reference::Opaque)
    }

    fn by_variable(&self, name: &str) -> Option<Reference> {
        let variable = self.around.variables.iter().rev().find(|variable| variable.name == name)?;
        Some(match &variable.columns {
            Some(columns) => Reference::Row(variable.oid, Some(columns.clone())),
            None => Reference::Value(variable.oid),
        })
    }

    /// `first.second`.
    pub(super) fn qualified_name(&self, first: &str, second: &str) -> Reference {
        if self.around.prefer_variables {
            let field = match self.by_variable(first) {
                Some(Reference::Row(oid, columns)) => self.field(oid, &columns, second),
                Some(Reference::Value(oid)) => self.field(oid, &None, second),
                _ => Reference::Opaque,
            };
            if let Reference::Value(_) = field {
                return field;
            }
        }
        if let Some(item) = self.find_item(first) {
            return match (item.column(second), &item.columns) {
                (Some(oid), _) => Reference::Value(oid),
                (None, Some(_)) if item.row != OPAQUE => Reference::Attribute(item.row),
                (None, _) => Reference::Opaque,
            };
        }
        match self.bare_name(first) {
            Reference::Row(oid, columns) => self.field(oid, &columns, second),
            Reference::Value(oid) => self.field(oid, &None, second),
            _ if self.around.labels.iter().any(|label| label == first) => {
                match self.around.variables.iter().rev().find(|variable| variable.name == second) {
                    Some(variable) => Reference::Value(variable.oid),
                    None => Reference::Opaque,
                }
            }
            other => other,
        }
    }

    /// A field of a row.
    pub(super) fn field(&self, row: Oid, columns: &Columns, name: &str) -> Reference {
        let columns = columns.clone().or_else(|| self.columns_of_type(row));
        match columns {
            Some(columns) => match columns.iter().find(|(column, _)| column == name) {
                Some((_, oid)) => Reference::Value(*oid),
                None if row != OPAQUE && row != known::RECORD => Reference::Attribute(row),
                None => Reference::Opaque,
            },
            None => Reference::Opaque,
        }
    }

    /// The columns of a row type.
    pub(super) fn columns_of_type(&self, oid: Oid) -> Columns {
        let catalog = self.typer.catalog;
        let found = catalog.type_of(catalog.base_type(oid)).filter(|found| found.kind == 'c')?;
        Some(catalog.relation_of(found.relation)?.columns.clone())
    }

    /// The columns of `*`, or of `name.*`.
    pub(super) fn star(&self, qualifier: Option<&str>) -> Columns {
        if let Some(name) = qualifier {
            match self.find_item(name) {
                Some(item) => item.columns.clone(),
                None => match self.bare_name(name) {
                    Reference::Row(oid, columns) => columns.or_else(|| self.columns_of_type(oid)),
                    Reference::Value(oid) => self.columns_of_type(oid),
                    _ => None,
                },
            }
        } else {
            let mut all = Vec::new();
            for item in self.levels.last()?.items.iter().filter(|item| item.bare) {
                all.extend(item.columns.clone()?);
            }
            Some(all)
        }
    }

    pub(super) fn push_item(&mut self, item: Item) {
        if let Some(level) = self.levels.last_mut() {
            level.items.push(item);
        }
    }

    /// Walks with a level of its own.
    pub(super) fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let (depth, ctes) = (self.levels.len(), self.ctes.len());
        self.levels.push(Level::default());
        let result = work(self);
        self.levels.truncate(depth);
        self.ctes.truncate(ctes);
        result
    }
}
