//! The statements of the files, one after the other.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{Node, Token as Kind, TransactionStmtKind, VariableSetKind, VariableSetStmt};
use sha2::{Digest, Sha256};

use super::batch::{self, Read, read};
use super::bound::Bound;
use super::problems::Problem;
use super::rights::DefaultRights;
use super::split::{Part, split};
use super::{Origin, Project, Source};
use crate::catalog::{Catalog, Expression, Oid, Snapshot, Use, builtin};
use crate::occurrence::Kind as Named;
use crate::parse::{Token, tokens};
use crate::path::Path;
use crate::plpgsql::{Event, Piece, events};
use crate::text::{Decoded, Places, decode, quote};
use crate::typing::Typer;
use crate::walk::{Found, Surroundings, Walker};

/// A statement that is longer is not read again.
const LONGEST_FILLED_IN: usize = 200_000;

/// The statement that is being looked at.
pub(super) struct At {
    pub file: usize,
    /// Where it begins in the file.
    pub start: usize,
    pub text: String,
    pub tokens: Vec<Token>,
    /// The places in its tree are those of its text plus this.
    pub base: usize,
    /// Is its text byte for byte that of the file?
    pub exact: bool,
}

/// What a connection has set.
#[derive(Clone)]
pub(super) struct Session {
    pub user: Oid,
    pub role: Oid,
    pub search_path: String,
    /// What SET LOCAL hides until the end of the transaction.
    before_local: Option<String>,
}

/// What there was when the transaction began.
struct Before {
    catalog: Catalog,
    bound: Bound,
    session: Session,
    temporary: HashSet<String>,
    origins: HashMap<Oid, Origin>,
    superseded: usize,
    default_rights: usize,
}

pub(super) struct State<'s> {
    /// Without the definitions that have expressions, which are in `bound` until the end.
    pub catalog: Catalog,
    pub bound: Bound,
    pub at: At,
    pub session: Session,
    pub temporary: HashSet<String>,
    pub origins: HashMap<Oid, Origin>,
    pub superseded: Vec<(usize, Range<usize>)>,
    pub default_rights: Vec<DefaultRights>,
    /// Where it is said what a publication has.
    pub publications: HashMap<String, Origin>,
    /// The subscriptions that the files make.
    pub subscriptions: HashSet<String>,
    problems: Vec<Problem>,
    sources: &'s [Source],
    before: Option<Box<Before>>,
    /// Where the file says ROLLBACK for the last time.
    last_rollback: Option<usize>,
    initial: Session,
    next: Oid,
}

/// What there is after the files, if there was this before.
pub fn replay(base: Snapshot, sources: Vec<Source>) -> Project {
    let mut base = base;
    let bound = Bound::new(std::mem::take(&mut base.expressions), std::mem::take(&mut base.uses));
    let catalog = Catalog::changing(base);
    let role = catalog.role(&catalog.snapshot.user).map_or(builtin::BOOTSTRAP, |role| role.oid);
    let initial =
        Session { user: role, role, search_path: catalog.snapshot.search_path.clone(), before_local: None };
    let snapshot = &catalog.snapshot;
    let oids = snapshot
        .routines
        .iter()
        .map(|found| found.oid)
        .chain(snapshot.relations.iter().map(|found| found.oid));
    let oids = oids
        .chain(snapshot.types.iter().map(|found| found.oid))
        .chain(snapshot.roles.iter().map(|found| found.oid));
    let next = oids
        .chain(snapshot.schemas.iter().map(|found| found.oid))
        .max()
        .unwrap_or(0)
        .max(builtin::FIRST_OF_USERS);
    let mut state = State {
        catalog,
        bound,
        at: At { file: 0, start: 0, text: String::new(), tokens: Vec::new(), base: 0, exact: true },
        session: initial.clone(),
        temporary: HashSet::new(),
        origins: HashMap::new(),
        superseded: Vec::new(),
        default_rights: Vec::new(),
        publications: HashMap::new(),
        subscriptions: HashSet::new(),
        problems: Vec::new(),
        sources: &sources,
        before: None,
        last_rollback: None,
        initial,
        next,
    };
    for file in 0..sources.len() {
        state.file(file);
    }
    let State { mut catalog, bound, origins, superseded, publications, subscriptions, problems, .. } = state;
    (catalog.snapshot.expressions, catalog.snapshot.uses) = bound.into_parts();
    let subscribed = (!subscriptions.is_empty()).then_some(next);
    let applied = super::replication::on_apply(&catalog, subscribed);
    catalog.snapshot.on_apply.extend(applied);
    Project { catalog: catalog.settled(), origins, superseded, publications, problems, sources }
}

impl State<'_> {
    fn file(&mut self, file: usize) {
        let source = &self.sources[file];
        self.connect();
        self.before = None;
        self.last_rollback =
            source.text.as_bytes().windows(8).rposition(|word| word.eq_ignore_ascii_case(b"rollback"));
        if let Some(at) = source.damaged {
            self.problem(
                file,
                at..at + 1,
                &source.name,
                "the file is not UTF-8 from here on; the rest of it is read as far as it can be".into(),
            );
        }
        let parts = split(&source.text);
        let mut done = 0;
        while let Some(part) = parts.get(done) {
            match part {
                Part::Statement(_) => {
                    let ranges = batch::first(&parts[done..]);
                    done += ranges.len();
                    match batch::together(&source.text, &ranges) {
                        Some(reads) => {
                            for (range, read) in ranges.into_iter().zip(reads) {
                                self.read(file, range.start, read);
                            }
                        }
                        None => ranges.into_iter().for_each(|range| self.text(file, range)),
                    }
                }
                Part::Command(range) => {
                    done += 1;
                    let range = range.clone();
                    let line = &source.text[range.clone()];
                    let word = line[1..].split_whitespace().next().unwrap_or_default();
                    match word {
                        "c" | "connect" => self.connect(),
                        "i" | "ir" | "include" | "include_relative" => {
                            let message = "psql would read another file here: give it on the command line, before this one".into();
                            self.problem(file, range, line, message);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// A connection begins.
    fn connect(&mut self) {
        self.session = self.initial.clone();
        self.temporary.clear();
        let user = self.session.user;
        if self.catalog.snapshot.settings.iter().any(|(_, setting)| setting.starts_with("search_path=")) {
            self.session.search_path = crate::report::session_path(&self.catalog, user).to_owned();
        }
    }

    /// What is rolled back was never there. Savepoints are not looked at.
    fn transaction(&mut self, kind: i32) {
        match TransactionStmtKind::try_from(kind) {
            Ok(TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart) => {
                // A copy is only made if it can be of use.
                let back = self.last_rollback.is_some_and(|at| at > self.at.start);
                self.before = (back && self.before.is_none()).then(|| {
                    Box::new(Before {
                        catalog: self.catalog.clone(),
                        bound: self.bound.clone(),
                        session: self.session.clone(),
                        temporary: self.temporary.clone(),
                        origins: self.origins.clone(),
                        superseded: self.superseded.len(),
                        default_rights: self.default_rights.len(),
                    })
                });
                return;
            }
            Ok(TransactionStmtKind::TransStmtRollback) => {
                if let Some(before) = self.before.take() {
                    self.catalog = before.catalog;
                    self.bound = before.bound;
                    self.session = before.session;
                    self.temporary = before.temporary;
                    self.origins = before.origins;
                    self.superseded.truncate(before.superseded);
                    self.default_rights.truncate(before.default_rights);
                }
            }
            Ok(TransactionStmtKind::TransStmtCommit) => {}
            _ => return,
        }
        self.before = None;
        if let Some(path) = self.session.before_local.take() {
            self.session.search_path = path;
        }
    }

    fn problem(&mut self, file: usize, span: Range<usize>, statement: &str, message: String) {
        self.problems.push(Problem { file, span, object: label(statement), message });
    }

    fn text(&mut self, file: usize, range: Range<usize>) {
        let text = &self.sources[file].text[range.clone()];
        let parsed = read(text.to_owned()).or_else(|error| {
            // What psql and extensions fill in is read as if it were a name.
            let plain = filled_in(text).ok_or_else(|| error.clone())?;
            read(plain).map_err(|_| error)
        });
        match parsed {
            Ok(read) => self.read(file, range.start, read),
            Err(error) => {
                // A statement that never ends is underlined where it begins.
                let message = format!("the statement cannot be read: {}", error.message);
                self.problem(file, range, text, message);
            }
        }
    }

    fn read(&mut self, file: usize, start: usize, read: Read) {
        let Read { text, tokens, statements, base } = read;
        self.at = At { file, start, text, tokens, base, exact: true };
        for node in &statements {
            self.statement(node);
        }
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each kind of statement")]
    pub(super) fn statement(&mut self, node: &Node) {
        let Some(command) = node.node.as_ref() else { return };
        match command {
            NodeEnum::VariableSetStmt(set) => self.set(set),
            NodeEnum::DiscardStmt(_) => self.connect(),
            NodeEnum::TransactionStmt(end) => self.transaction(end.kind),
            NodeEnum::CreateSchemaStmt(create) => self.create_schema(create),
            NodeEnum::CreateStmt(create) => self.create_table(create, 'r', node),
            NodeEnum::CreateForeignTableStmt(create) => {
                if let Some(base) = &create.base_stmt {
                    self.create_table(base, 'f', node);
                }
            }
            NodeEnum::CreateTableAsStmt(create) => self.create_table_as(create),
            NodeEnum::ViewStmt(view) => self.create_view(view),
            NodeEnum::CreateSeqStmt(create) => self.create_sequence(create),
            NodeEnum::IndexStmt(index) => self.create_index(index, node),
            NodeEnum::CompositeTypeStmt(create) => self.create_composite(create),
            NodeEnum::CreateEnumStmt(create) => self.create_enum(create),
            NodeEnum::CreateRangeStmt(create) => self.create_range(create),
            NodeEnum::CreateDomainStmt(create) => self.create_domain(create, node),
            NodeEnum::AlterDomainStmt(alter) => self.alter_domain(alter, node),
            NodeEnum::DefineStmt(define) => self.define(define),
            NodeEnum::CreateCastStmt(cast) => self.create_cast(cast),
            NodeEnum::CreateFunctionStmt(create) => self.create_function(create, node),
            NodeEnum::AlterFunctionStmt(alter) => self.alter_function(alter),
            NodeEnum::CreatePolicyStmt(policy) => self.create_policy(policy, node),
            NodeEnum::AlterPolicyStmt(policy) => self.alter_policy(policy, node),
            NodeEnum::CreateTrigStmt(trigger) => self.create_trigger(trigger, node),
            NodeEnum::CreateEventTrigStmt(trigger) => self.create_event_trigger(trigger, node),
            NodeEnum::RuleStmt(rule) => self.create_rule(rule, node),
            NodeEnum::CreateStatsStmt(create) => self.create_statistics(create, node),
            NodeEnum::AlterTableStmt(alter) => self.alter_table(alter, node),
            NodeEnum::RenameStmt(rename) => self.rename(rename),
            NodeEnum::AlterObjectSchemaStmt(alter) => self.alter_schema(alter),
            NodeEnum::AlterOwnerStmt(alter) => self.alter_owner(alter),
            NodeEnum::DropStmt(drop) => self.drop(drop),
            NodeEnum::GrantStmt(grant) => self.grant(grant),
            NodeEnum::GrantRoleStmt(grant) => self.grant_role(grant),
            NodeEnum::AlterDefaultPrivilegesStmt(alter) => self.alter_default_privileges(alter),
            NodeEnum::CreateRoleStmt(create) => {
                self.create_role(&create.role, create.stmt_type, &create.options);
            }
            NodeEnum::AlterRoleStmt(alter) => self.alter_role(alter),
            NodeEnum::DropRoleStmt(drop) => self.drop_roles(drop),
            NodeEnum::AlterRoleSetStmt(alter) => self.alter_role_set(alter),
            NodeEnum::AlterDatabaseSetStmt(alter) => {
                if let Some(set) = &alter.setstmt {
                    self.setting(0, set);
                }
            }
            NodeEnum::CreateExtensionStmt(create) => self.create_extension(create),
            NodeEnum::CreatePublicationStmt(create) => self.create_publication(create),
            NodeEnum::AlterPublicationStmt(alter) => self.alter_publication(alter),
            NodeEnum::CreateSubscriptionStmt(create) => self.create_subscription(&create.subname),
            NodeEnum::DropSubscriptionStmt(drop) => self.drop_subscription(&drop.subname),
            NodeEnum::DoStmt(block) => self.do_block(&block.args),
            NodeEnum::SelectStmt(_) => {
                self.set_by_function();
                self.once(node);
            }
            _ => self.once(node),
        }
    }

    /// A statement that leaves nothing behind but data: only its own names are of interest.
    fn once(&mut self, node: &Node) {
        let found = self.walk(node);
        if found.occurrences.is_empty() {
            return;
        }
        let by = label(&self.at.text);
        self.add_expression("statement", by, self.session.role, 0, found, 0..self.at.text.len());
    }

    pub(super) fn path(&self) -> Path {
        let user = self.catalog.role_of(self.session.role).map_or("", |role| role.name.as_str());
        Path::new(&self.catalog, &self.session.search_path, user)
    }

    fn around(&self) -> Surroundings {
        Surroundings { local_tables: self.temporary.clone(), ..Surroundings::default() }
    }

    /// Walks with what is known now.
    pub(super) fn walking<T>(
        &self,
        around: &Surroundings,
        work: impl FnOnce(&mut Walker<'_>) -> T,
    ) -> (T, Found) {
        let path = self.path();
        let mut walker =
            Walker::new(Typer::new(&self.catalog, &path), &self.at.text, &self.at.tokens, around)
                .based(self.at.base);
        let result = work(&mut walker);
        (result, walker.finish())
    }

    pub(super) fn with_walker<T>(&self, work: impl FnOnce(&mut Walker<'_>) -> T) -> (T, Found) {
        self.walking(&self.around(), work)
    }

    pub(super) fn walk(&self, node: &Node) -> Found {
        self.with_walker(|walker| walker.statement(node)).1
    }

    pub(super) fn new_oid(&mut self) -> Oid {
        self.next += 1;
        self.next
    }

    /// Where something is defined: by the statement of now, with a name at these bytes of it.
    pub(super) fn origin(&self, name: Range<usize>, code: Option<Places>) -> Origin {
        Origin {
            file: self.at.file,
            statement: self.at.start..self.at.start + self.at.text.len(),
            name: self.at.start + name.start..self.at.start + name.end,
            code: code.filter(|_| self.at.exact),
            search_path: self.session.search_path.clone(),
            altered: Vec::new(),
            path_set_at: None,
            path_reset: false,
        }
    }

    /// Notes a definition with expressions in it, and which functions they call.
    pub(super) fn add_expression(
        &mut self,
        kind: &str,
        by: String,
        owner: Oid,
        relation: Oid,
        found: Found,
        name: Range<usize>,
    ) -> Oid {
        let source = Decoded::plain(&self.at.text, self.at.start);
        self.add_code(kind, by, owner, relation, found, name, source)
    }

    #[allow(clippy::too_many_arguments, reason = "they are the columns of an expression")]
    pub(super) fn add_code(
        &mut self,
        kind: &str,
        by: String,
        owner: Oid,
        relation: Oid,
        found: Found,
        name: Range<usize>,
        code: Decoded,
    ) -> Oid {
        let oid = self.new_oid();
        for occurrence in &found.occurrences {
            if occurrence.kind() == Named::Function
                && let Some(function) = occurrence.object()
                && function >= builtin::FIRST_OF_USERS
                && !matches!(kind, "statement" | "do")
            {
                self.bound.add_use(Use { kind: kind.into(), by: by.clone(), function });
            }
        }
        let Decoded { text: source, places } = code;
        let mut origin = self.origin(name, None);
        origin.code = Some(places);
        self.origins.insert(oid, origin);
        self.bound.add(Expression {
            oid,
            kind: kind.into(),
            by,
            owner,
            relation,
            source,
            search_path: self.session.search_path.clone(),
            found: Some(found),
        });
        oid
    }

    /// Forgets definitions of a table, view, domain or routine that are replaced or dropped.
    pub(super) fn forget_of(&mut self, relation: Oid, gone: impl Fn(&Expression) -> bool) {
        let old = self.bound.take_of(relation, gone);
        self.forgotten(old);
    }

    /// Forgets what has a description.
    pub(super) fn forget_described(&mut self, by: &str) {
        let old = self.bound.take_described(by);
        self.forgotten(old);
    }

    fn forgotten(&mut self, old: Vec<Expression>) {
        for expression in old {
            self.catalog.snapshot.on_apply.retain(|used| used.by != expression.by);
            self.supersede(expression.oid);
        }
    }

    pub(super) fn supersede(&mut self, oid: Oid) {
        if let Some(origin) = self.origins.remove(&oid) {
            self.superseded.push((origin.file, origin.statement));
        }
    }

    /// The schema that is written, or that of now. A schema that no file makes is assumed to be there. `None` is the
    /// temporary one.
    pub(super) fn schema(&mut self, written: &str) -> Option<Oid> {
        if written == "pg_temp" {
            return None;
        }
        if written.is_empty() {
            let user =
                self.catalog.role_of(self.session.role).map_or("", |role| role.name.as_str()).to_owned();
            for name in crate::path::split(&self.session.search_path) {
                if name == "pg_temp" {
                    return None;
                }
                let name = if name == "$user" { user.as_str() } else { &name };
                if let Some(schema) = self.catalog.schema(name) {
                    return Some(schema.oid);
                }
            }
            return Some(self.catalog.schema("public").map_or(super::PUBLIC_SCHEMA, |schema| schema.oid));
        }
        Some(match self.catalog.schema(written) {
            Some(schema) => schema.oid,
            None => self.new_schema(written, self.session.role),
        })
    }

    /// Where a name stands in the statement: its first token that is this word.
    pub(super) fn name_span(&self, name: &str) -> Range<usize> {
        let text = &self.at.text;
        let is = |token: &&Token| {
            let word = token.text(text);
            word.trim_matches('"') == name || word.eq_ignore_ascii_case(name)
        };
        match self.at.tokens.iter().find(is) {
            Some(token) => token.start..token.end,
            None => 0..self.at.tokens.first().map_or(0, |token| token.end),
        }
    }

    fn set(&mut self, set: &VariableSetStmt) {
        let reset =
            set.kind == VariableSetKind::VarReset as i32 || set.kind == VariableSetKind::VarSetDefault as i32;
        match set.name.as_str() {
            "search_path" => {
                let value = if reset { self.initial.search_path.clone() } else { path_value(set) };
                self.set_path(value, set.is_local);
            }
            "role" if reset => self.session.role = self.session.user,
            "session_authorization" if reset => {
                (self.session.user, self.session.role) = (self.initial.user, self.initial.user);
            }
            name @ ("role" | "session_authorization") => {
                let Some(role) = strings(&set.args).into_iter().next() else { return };
                let oid = if role == "none" { self.session.user } else { self.role_named(&role) };
                self.session.role = oid;
                if name == "session_authorization" {
                    self.session.user = oid;
                }
            }
            _ if set.kind == VariableSetKind::VarResetAll as i32 => {
                self.session.search_path = self.initial.search_path.clone();
            }
            _ => {}
        }
    }

    fn set_path(&mut self, value: String, local: bool) {
        if local {
            self.session.before_local.get_or_insert_with(|| self.session.search_path.clone());
        }
        self.session.search_path = value;
    }

    /// `SELECT set_config('search_path', 'value', local)`, as dumps begin.
    fn set_by_function(&mut self) {
        let text = &self.at.text;
        let at = self.at.tokens.iter().position(|token| token.is(text, "set_config"));
        let Some(at) = at else { return };
        let literal = |at: usize| {
            let token = self.at.tokens.get(at)?;
            (token.kind == Kind::Sconst).then(|| decode(token.text(text), 0).map(|found| found.text))?
        };
        if literal(at + 2).as_deref() == Some("search_path")
            && let Some(value) = literal(at + 4)
        {
            let local = self.at.tokens.get(at + 6).is_some_and(|token| token.is(text, "true"));
            self.set_path(value, local);
        }
    }

    /// A DO block: its names, and the statements in it, as if all of them ran.
    fn do_block(&mut self, args: &[Node]) {
        let options = options(args);
        let language =
            options.iter().find(|(name, _)| *name == "language").and_then(|(_, node)| string(*node));
        let text = &self.at.text;
        let literal = self.at.tokens.iter().enumerate().find(|(at, token)| {
            token.kind == Kind::Sconst && !(*at > 0 && self.at.tokens[*at - 1].is(text, "language"))
        });
        let code = literal.and_then(|(_, token)| decode(token.text(text), self.at.start + token.start));
        let Some(code) = code else { return };
        let by = format!("DO block {}", hash(&code.text));
        if language.is_some_and(|language| language != "plpgsql") {
            let span = self.at.start..self.at.start + 2;
            self.problem(
                self.at.file,
                span,
                &by,
                "the DO block is in a language that is not looked into".into(),
            );
            return;
        }
        let found = crate::body::plpgsql(&self.catalog, &self.path(), &code.text, self.around());
        self.add_code("do", by, self.session.role, 0, found, 0..2, code.clone());
        let Ok(inner) = tokens(&code.text) else { return };
        let outer = std::mem::replace(
            &mut self.at,
            At { file: 0, start: 0, text: String::new(), tokens: Vec::new(), base: 0, exact: false },
        );
        for event in events(&code.text, &inner) {
            let Event::Sql { piece, at, text, .. } = event else { continue };
            let (text, start, exact) = match piece {
                Piece::Statement => (text, code.source(at.start), code.is_identity()),
                // EXECUTE of a literal is no secret.
                Piece::Dynamic => match decode(&text, at.start) {
                    Some(run) => (run.text, code.source(at.start), false),
                    None => continue,
                },
                Piece::Expression => continue,
            };
            let Ok(Read { text, tokens, statements, base }) = read(text) else { continue };
            self.at = At { file: outer.file, start, text, tokens, base, exact };
            for node in statements.iter().filter(|node| defines(node)) {
                self.statement(node);
            }
        }
        self.at = outer;
    }
}

/// Is it a definition? The names of everything else in a block were found with the block.
fn defines(node: &Node) -> bool {
    !matches!(
        node.node,
        Some(
            NodeEnum::SelectStmt(_)
                | NodeEnum::InsertStmt(_)
                | NodeEnum::UpdateStmt(_)
                | NodeEnum::DeleteStmt(_)
                | NodeEnum::MergeStmt(_)
                | NodeEnum::CallStmt(_)
        ) | None
    )
}

/// Eight digits that stay the same when code moves.
fn hash(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Sha256::digest(words).iter().take(4).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The first words of a statement, and a hash.
pub(super) fn label(statement: &str) -> String {
    let words: Vec<&str> = statement.split_whitespace().take(2).collect();
    let words: String = words.join(" ").chars().take(40).collect();
    format!("{words} {}", hash(statement))
}

/// The path that a SET gives.
pub(super) fn path_value(set: &VariableSetStmt) -> String {
    strings(&set.args)
        .iter()
        .map(|name| if name.is_empty() { "\"\"".into() } else { quote(name) })
        .collect::<Vec<_>>()
        .join(", ")
}

/// The texts of constants.
pub(super) fn strings(nodes: &[Node]) -> Vec<String> {
    nodes.iter().filter_map(|node| string(Some(node))).collect()
}

/// The text of a constant, or of a name.
pub(super) fn string(node: Option<&Node>) -> Option<String> {
    use postern_grammar::nodes::a_const::Val;
    match node?.node.as_ref()? {
        NodeEnum::String(text) => Some(text.sval.clone()),
        NodeEnum::Boolean(value) => Some(value.boolval.to_string()),
        NodeEnum::Integer(number) => Some(number.ival.to_string()),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            Val::Sval(text) => Some(text.sval.clone()),
            Val::Ival(number) => Some(number.ival.to_string()),
            Val::Fval(number) => Some(number.fval.clone()),
            Val::Boolval(value) => Some(value.boolval.to_string()),
            Val::Bsval(_) => None,
        },
        NodeEnum::TypeName(name) => crate::walk::parts(&name.names).last().map(|name| (*name).to_owned()),
        _ => None,
    }
}

/// The options of a statement by name.
pub(super) fn options(nodes: &[Node]) -> Vec<(&str, Option<&Node>)> {
    nodes
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::DefElem(element) => Some((element.defname.as_str(), element.arg.as_deref())),
            _ => None,
        })
        .collect()
}

/// A text in which psql's variables and the marks of extension scripts are names of the same length.
fn filled_in(text: &str) -> Option<String> {
    if text.len() > LONGEST_FILLED_IN {
        return None;
    }
    let tokens = tokens(text).ok();
    let mut out = text.as_bytes().to_vec();
    let mut changed = false;
    let bytes = text.as_bytes();
    let quoted = |at: usize| {
        tokens.as_ref().is_some_and(|tokens| {
            tokens.iter().any(|token| token.kind == Kind::Sconst && token.start < at && at < token.end)
        })
    };
    for at in 0..bytes.len() {
        match bytes[at] {
            b':' if at == 0 || bytes[at - 1] != b':' => {
                let next = bytes.get(at + 1).copied().unwrap_or(0);
                if (next.is_ascii_alphabetic() || matches!(next, b'_' | b'\'' | b'"')) && !quoted(at) {
                    out[at] = b' ';
                    changed = true;
                }
            }
            b'@' if bytes.get(at..at + 4).is_some_and(|mark| mark.eq_ignore_ascii_case(b"@ext")) => {
                // `@extschema@`, `@extschema:name@`, `@extowner@`.
                let rest = &bytes[at + 1..];
                let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(*byte, b'_' | b':');
                let length = rest.iter().position(|byte| !part(byte)).unwrap_or(rest.len());
                if rest.get(length) == Some(&b'@') {
                    out[at..=at + 1 + length]
                        .iter_mut()
                        .filter(|byte| !byte.is_ascii_alphanumeric())
                        .for_each(|byte| *byte = b'_');
                    changed = true;
                }
            }
            _ => {}
        }
    }
    if changed { String::from_utf8(out).ok() } else { None }
}
