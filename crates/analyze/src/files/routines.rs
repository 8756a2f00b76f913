//! Functions, procedures and aggregates.

use std::ops::Range;

use postern_grammar::NodeEnum;
use postern_grammar::nodes::{
    AlterFunctionStmt, CreateFunctionStmt, DefElem, DefineStmt, FunctionParameter, FunctionParameterMode,
    Node, ObjectType, ObjectWithArgs, Token as Kind, TypeName, VariableSetKind, VariableSetStmt,
};

use super::replay::{State, options, path_value, string, strings};
use crate::body::parameters;
use crate::catalog::{Oid, Routine};
use crate::text::{Places, decode};
use crate::typing::{OPAQUE, known};
use crate::walk::parts;

/// What the parameters of a definition say.
#[derive(Default)]
struct Parameters {
    args: Vec<Oid>,
    all: Vec<Oid>,
    modes: Vec<char>,
    names: Vec<String>,
    defaults: usize,
    variadic: Oid,
    outputs: Vec<Oid>,
}

/// A function without a body that could be read, which everybody may execute, as it is when it has just been made.
pub(super) fn bodiless(schema: Oid, owner: Oid, returns: Oid) -> Routine {
    Routine {
        schema,
        owner,
        returns,
        language: "internal".into(),
        volatility: 'i',
        executors: vec![0, owner],
        ..Routine::blank()
    }
}

impl State<'_> {
    pub(super) fn type_oid(&self, name: &TypeName) -> Oid {
        self.with_walker(|walker| walker.column_type_of(name)).0
    }

    fn parameters(&self, nodes: &[Node]) -> Parameters {
        let mut given = Parameters::default();
        for node in nodes {
            let Some(NodeEnum::FunctionParameter(parameter)) = node.node.as_ref() else { continue };
            let oid = parameter.arg_type.as_ref().map_or(OPAQUE, |name| self.type_oid(name));
            let mode = mode(parameter);
            given.all.push(oid);
            given.modes.push(mode);
            given.names.push(parameter.name.clone());
            if matches!(mode, 'i' | 'b' | 'v') {
                given.args.push(oid);
                given.defaults += usize::from(parameter.defexpr.is_some());
            }
            if matches!(mode, 'o' | 'b' | 't') {
                given.outputs.push(oid);
            }
            if mode == 'v' {
                let any = oid == known::ANY;
                given.variadic =
                    if any { oid } else { self.catalog.type_of(oid).map_or(0, |found| found.element) };
                if oid == known::ANYARRAY {
                    given.variadic = known::ANYELEMENT;
                }
            }
        }
        if given.modes.iter().all(|&mode| mode == 'i') {
            given.modes.clear();
            given.all.clear();
        }
        if given.names.iter().all(String::is_empty) {
            given.names.clear();
        }
        given
    }

    pub(super) fn create_function(&mut self, create: &CreateFunctionStmt, node: &Node) {
        let names: Vec<String> = parts(&create.funcname).into_iter().map(str::to_owned).collect();
        let Some(name) = names.last().cloned() else { return };
        let written = if names.len() > 1 { names[names.len() - 2].as_str() } else { "" };
        let Some(schema) = self.schema(written) else { return };
        let header = self.walk(node);
        let given = self.parameters(&create.parameters);
        let returns = match (&create.return_type, given.outputs.as_slice()) {
            (Some(name), _) => self.type_oid(name),
            (None, [one]) if !create.is_procedure => *one,
            (None, []) => known::VOID,
            (None, _) => known::RECORD,
        };
        let table = given.modes.contains(&'t');
        let set = table || create.return_type.as_ref().is_some_and(|name| name.setof);
        let mut routine = Routine {
            oid: 0,
            name: name.clone(),
            schema,
            owner: self.session.role,
            kind: if create.is_procedure { 'p' } else { 'f' },
            args: given.args,
            defaults: given.defaults,
            variadic: given.variadic,
            all_args: given.all,
            modes: given.modes,
            names: given.names,
            returns,
            set,
            language: "sql".into(),
            definer: false,
            volatility: 'v',
            strict: false,
            config: Vec::new(),
            source: String::new(),
            atomic: create.sql_body.is_some(),
            executors: Vec::new(),
            extension: 0,
        };
        for (option, value) in options(&create.options) {
            match option {
                "language" => routine.language = string(value).unwrap_or_default().to_ascii_lowercase(),
                "as" => {
                    if let Some(NodeEnum::List(list)) = value.and_then(|value| value.node.as_ref()) {
                        routine.source = strings(&list.items).into_iter().next().unwrap_or_default();
                    }
                }
                "window" => routine.kind = 'w',
                _ => self.attribute(&mut routine, option, value),
            }
        }
        let code = self.body(&routine.source);
        let old = self.same_arguments(schema, &name, &routine.args);
        if let Some(old) = old.and_then(|oid| self.catalog.routine_of(oid)) {
            // Owner and privileges stay, and nothing else.
            (routine.oid, routine.owner) = (old.oid, old.owner);
            routine.executors.clone_from(&old.executors);
        } else {
            routine.oid = self.new_oid();
            let rights = [(0, "EXECUTE"), (routine.owner, "EXECUTE")];
            let rights = self.new_rights(ObjectType::ObjectFunction, Some(schema), &rights);
            routine.executors = rights.into_iter().map(|(role, _)| role).collect();
        }
        let oid = routine.oid;
        self.supersede(oid);
        if old.is_some() {
            self.forget_of(oid, |_| true);
        }
        let span = self.function_name(&name);
        let origin = self.origin(span.clone(), code);
        self.origins.insert(oid, origin);
        let around = parameters(&routine);
        let by = self.catalog.signature(&routine);
        let owner = routine.owner;
        self.catalog.put_routine(routine);
        if !header.occurrences.is_empty() {
            self.add_expression("header", by.clone(), owner, oid, header, span.clone());
        }
        if let Some(body) = create.sql_body.as_deref() {
            let ((), found) = self.walking(&around, |walker| {
                for node in statements_of(body) {
                    walker.statement(node);
                }
            });
            self.add_expression("body", by, owner, oid, found, span);
        }
    }

    /// The literal of the body: after AS.
    fn body(&self, source: &str) -> Option<Places> {
        let text = &self.at.text;
        let pair =
            self.at.tokens.windows(2).find(|pair| pair[0].is(text, "as") && pair[1].kind == Kind::Sconst)?;
        let decoded = decode(pair[1].text(text), self.at.start + pair[1].start)?;
        (decoded.text == source).then_some(decoded.places)
    }

    /// Where the name of a function stands: the last part of what follows FUNCTION or PROCEDURE.
    fn function_name(&self, name: &str) -> Range<usize> {
        let text = &self.at.text;
        let tokens = &self.at.tokens;
        let at = tokens.iter().position(|token| token.is(text, "function") || token.is(text, "procedure"));
        let Some(at) = at else { return self.name_span(name) };
        let Some(first) = tokens.get(at + 1) else { return self.name_span(name) };
        let mut last = at + 1;
        while tokens.get(last + 1).is_some_and(|token| token.text(text) == ".") && last + 2 < tokens.len() {
            last += 2;
        }
        first.start..tokens[last].end
    }

    fn attribute(&self, routine: &mut Routine, option: &str, value: Option<&Node>) {
        let on = string(value).is_none_or(|value| value == "true");
        match option {
            "security" => routine.definer = on,
            "strict" => routine.strict = on,
            "volatility" => {
                routine.volatility = string(value).and_then(|word| word.chars().next()).unwrap_or('v');
            }
            "set" => {
                if let Some(NodeEnum::VariableSetStmt(set)) = value.and_then(|value| value.node.as_ref()) {
                    self.configure(routine, set);
                }
            }
            _ => {}
        }
    }

    fn configure(&self, routine: &mut Routine, set: &VariableSetStmt) {
        if set.kind == VariableSetKind::VarResetAll as i32 {
            routine.config.clear();
            return;
        }
        let prefix = format!("{}=", set.name);
        routine.config.retain(|setting| !setting.starts_with(&prefix));
        match VariableSetKind::try_from(set.kind) {
            Ok(VariableSetKind::VarSetValue) => {
                let value =
                    if set.name == "search_path" { path_value(set) } else { strings(&set.args).join(", ") };
                routine.config.push(format!("{}={value}", set.name));
            }
            Ok(VariableSetKind::VarSetCurrent) if set.name == "search_path" => {
                routine.config.push(format!("search_path={}", self.session.search_path));
            }
            _ => {}
        }
    }

    pub(super) fn alter_function(&mut self, alter: &AlterFunctionStmt) {
        let Some(oid) = alter.func.as_ref().and_then(|function| self.routine_with(function)) else { return };
        let Some(mut routine) = self.catalog.routine_of(oid).cloned() else { return };
        for action in &alter.actions {
            let Some(NodeEnum::DefElem(element)) = action.node.as_ref() else { continue };
            self.attribute(&mut routine, &element.defname, element.arg.as_deref());
            self.path_altered(oid, element);
        }
        self.catalog.put_routine(routine);
        let here = (self.at.file, self.at.start..self.at.start + self.at.text.len());
        if !self.origins.contains_key(&oid) {
            // One of the database that the files run in.
            let name = self.catalog.routine_of(oid).map_or_else(String::new, |routine| routine.name.clone());
            let origin = self.origin(self.function_name(&name), None);
            self.origins.insert(oid, origin);
        }
        if let Some(origin) = self.origins.get_mut(&oid) {
            origin.altered.push(here);
        }
    }

    /// Notes where a later statement sets the path of a routine, or takes it away.
    fn path_altered(&mut self, oid: Oid, element: &DefElem) {
        let Some(NodeEnum::VariableSetStmt(set)) = element.arg.as_ref().and_then(|arg| arg.node.as_ref())
        else {
            return;
        };
        let (file, start, exact) = (self.at.file, self.at.start, self.at.exact);
        let value = crate::fix::path_clause(&self.at.tokens, &self.at.text);
        let Some(origin) = self.origins.get_mut(&oid) else { return };
        match VariableSetKind::try_from(set.kind) {
            Ok(VariableSetKind::VarSetValue | VariableSetKind::VarSetCurrent)
                if set.name == "search_path" =>
            {
                origin.path_reset = !exact;
                origin.path_set_at = value.map(|value| (file, start + value.start..start + value.end));
            }
            Ok(VariableSetKind::VarResetAll) => origin.path_reset = true,
            _ if set.name == "search_path" => origin.path_reset = true,
            _ => {}
        }
    }

    pub(super) fn define_aggregate(&mut self, define: &DefineStmt) {
        let names: Vec<String> = parts(&define.defnames).into_iter().map(str::to_owned).collect();
        let Some(name) = names.last().cloned() else { return };
        let written = if names.len() > 1 { names[0].as_str() } else { "" };
        let Some(schema) = self.schema(written) else { return };
        let list = define.args.first().and_then(|node| node.node.as_ref());
        let given = match list {
            Some(NodeEnum::List(list)) => self.parameters(&list.items),
            _ => Parameters::default(),
        };
        let mut returns = OPAQUE;
        for (option, value) in options(&define.definition) {
            let Some(NodeEnum::TypeName(type_name)) = value.and_then(|value| value.node.as_ref()) else {
                continue;
            };
            match option {
                "stype" | "stype1" if returns == OPAQUE => returns = self.type_oid(type_name),
                "finalfunc" => {
                    let parts = parts(&type_name.names);
                    let name = parts.last().copied().unwrap_or_default();
                    let mut found = self.catalog.routines_named(name);
                    returns = found.next().map_or(OPAQUE, |routine| routine.returns);
                }
                _ => {}
            }
        }
        let routine = Routine {
            oid: self.same_arguments(schema, &name, &given.args).unwrap_or_default(),
            name,
            kind: 'a',
            args: given.args,
            variadic: given.variadic,
            all_args: given.all,
            modes: given.modes,
            names: given.names,
            ..bodiless(schema, self.session.role, returns)
        };
        let oid = if routine.oid == 0 { self.new_oid() } else { routine.oid };
        self.catalog.put_routine(Routine { oid, ..routine });
    }

    fn same_arguments(&self, schema: Oid, name: &str, args: &[Oid]) -> Option<Oid> {
        let mut found = self.catalog.routines_named(name);
        found.find(|routine| routine.schema == schema && routine.args == args).map(|routine| routine.oid)
    }

    pub(super) fn routines_in(&self, schemas: &[Oid], kind: ObjectType) -> Vec<Oid> {
        let wanted = |found: char| match kind {
            ObjectType::ObjectFunction => found != 'p',
            ObjectType::ObjectProcedure => found == 'p',
            _ => true,
        };
        let routines = self.catalog.snapshot.routines.iter();
        let routines = routines.filter(|routine| schemas.contains(&routine.schema) && wanted(routine.kind));
        routines.map(|routine| routine.oid).filter(|&oid| self.catalog.routine_of(oid).is_some()).collect()
    }

    pub(super) fn routine_meant(&self, node: &Node) -> Option<Oid> {
        match node.node.as_ref()? {
            NodeEnum::ObjectWithArgs(object) => self.routine_with(object),
            _ => None,
        }
    }

    /// The routine that `name(types)` or `name` is.
    pub(super) fn routine_with(&self, object: &ObjectWithArgs) -> Option<Oid> {
        let names = parts(&object.objname);
        let (name, schema) = match names.as_slice() {
            [.., schema, name] => (*name, Some(self.catalog.schema(schema)?.oid)),
            [name] => (*name, None),
            [] => return None,
        };
        let path = self.path();
        let schemas: Vec<Oid> = schema.map_or_else(|| path.schemas().collect(), |schema| vec![schema]);
        let args: Option<Vec<Oid>> = (!object.args_unspecified).then(|| {
            let types = object.objargs.iter().filter_map(|node| match node.node.as_ref() {
                Some(NodeEnum::TypeName(name)) => Some(self.type_oid(name)),
                _ => None,
            });
            types.collect()
        });
        for schema in schemas {
            let mut found = self.catalog.routines_named(name).filter(|routine| {
                routine.schema == schema
                    && args.as_ref().is_none_or(|args| routine.args == *args || routine.all_args == *args)
            });
            if let Some(routine) = found.next() {
                return Some(routine.oid);
            }
        }
        None
    }
}

fn mode(parameter: &FunctionParameter) -> char {
    match FunctionParameterMode::try_from(parameter.mode) {
        Ok(FunctionParameterMode::FuncParamOut) => 'o',
        Ok(FunctionParameterMode::FuncParamInout) => 'b',
        Ok(FunctionParameterMode::FuncParamVariadic) => 'v',
        Ok(FunctionParameterMode::FuncParamTable) => 't',
        _ => 'i',
    }
}

/// The statements of a BEGIN ATOMIC body, or the one after RETURN.
fn statements_of(body: &Node) -> Vec<&Node> {
    match body.node.as_ref() {
        Some(NodeEnum::List(list)) => list.items.iter().flat_map(statements_of).collect(),
        Some(_) => vec![body],
        None => Vec::new(),
    }
}
