//! One CEL expression of the configuration, compiled at start.
//!
//! CEL always ends; how long it takes is bounded by what is accepted here: the length of the text, no loop within a loop, and
//! regular expressions only as literals outside of loops (the engine is linear in its input). The input is bounded by [`crate::json::Limits`].

use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::{Context, Env, ExecutionError, Program, Value};

use crate::ConfigError;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 1024;

/// Enough for the parser at one level of nesting per byte. Only what is used of it takes memory.
const PARSER_STACK: usize = 256 * 1024 * 1024;

/// Deepest expression: the evaluation recurses, on the stack of a request, with large frames in a debug build.
const MAX_DEPTH: usize = 20;

/// What an expression may use.
const VARIABLES: [&str; 3] = ["claims", "requested_role", "auth"];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

#[derive(Debug)]
pub(crate) struct Expression {
    program: Program,
    text: String,
}

impl Expression {
    /// `key`: the key of the configuration, for the error.
    pub(crate) fn compile(key: &str, text: &str) -> Result<Self, ConfigError> {
        let hint = "write a CEL expression over claims, auth and requested_role, such as claims.role";
        let text = text.to_owned();
        // The parser recurses several times per character, and has no limit of its own.
        let compiled = std::thread::Builder::new()
            .stack_size(PARSER_STACK)
            .spawn(move || Self::compile_here(text))
            .map_err(|error| error.to_string())
            .and_then(|thread| thread.join().unwrap_or_else(|_| Err("expression cannot be compiled".into())));
        compiled.map_err(|problem| ConfigError::new(key, problem, hint))
    }

    fn compile_here(text: String) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("expression is longer than {MAX_LENGTH} bytes"));
        }
        let program = ENV
            .compile(&text)
            .map_err(|errors| format!("expression cannot be compiled: {}", one_line(&errors.to_string())))?;
        check(program.expression(), MAX_DEPTH, false)?;
        // Variables of macros are declared by them; the names that a macro makes up begin with '@'.
        let is_known = |name: &str| {
            VARIABLES.contains(&name) || name.starts_with('@') || declares(program.expression(), name)
        };
        let unknown =
            program.references().variables().into_iter().find(|name| !is_known(name)).map(str::to_owned);
        match unknown {
            Some(name) => Err(format!("expression uses the unknown variable {name}")),
            None => Ok(Self { program, text }),
        }
    }

    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.program.references().has_variable(variable)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn evaluate(&self, input: &Input) -> Result<Value, String> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_from_value("claims", input.claims.clone());
        context.add_variable_from_value("auth", input.auth.clone());
        let requested =
            input.requested_role.map_or(Value::Null, |role| Value::String(Arc::new(role.to_owned())));
        context.add_variable_from_value("requested_role", requested);
        self.program.execute(&context).map_err(|error| describe(&error))
    }
}

/// What an expression is evaluated over.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    pub claims: Value,
    pub auth: Value,
    pub requested_role: Option<&'a str>,
}

/// The kind of the error; its own text would quote values of the token.
fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {}", crate::error::quoted(key)),
        ExecutionError::UndeclaredReference(name) => {
            format!("unknown function or variable {}", crate::error::quoted(name))
        }
        ExecutionError::NoSuchOverload(error) => {
            format!("no operator {} for these types", crate::error::quoted(error.function()))
        }
        _ => "a value is not of the type that the expression needs".into(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Refuses what could take long.
fn check(expr: &IdedExpr, depth: usize, in_loop: bool) -> Result<(), String> {
    let depth = depth.checked_sub(1).ok_or("expression is nested too deeply")?;
    match &expr.expr {
        Expr::Comprehension(_) if in_loop => return Err("expression has a loop within a loop".into()),
        Expr::Call(call) if call.func_name == "matches" => {
            // The pattern is compiled each time.
            if in_loop {
                return Err("matches() is used within a loop".into());
            }
            let is_literal = |arg: &IdedExpr| matches!(arg.expr, Expr::Literal(LiteralValue::String(_)));
            if !call.args.last().is_some_and(is_literal) {
                return Err("the pattern of matches() is not a literal".into());
            }
        }
        _ => {}
    }
    for (child, looped) in children(&expr.expr) {
        check(child, depth, in_loop || looped)?;
    }
    Ok(())
}

/// Whether a macro within the expression declares this variable.
fn declares(expr: &IdedExpr, name: &str) -> bool {
    if let Expr::Comprehension(c) = &expr.expr
        && (c.iter_var == name || c.iter_var2.as_deref() == Some(name) || c.accu_var == name)
    {
        return true;
    }
    children(&expr.expr).into_iter().any(|(child, _)| declares(child, name))
}

/// What an expression consists of, and whether that is evaluated again and again.
fn children(expr: &Expr) -> Vec<(&IdedExpr, bool)> {
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => {
            call.target.as_deref().into_iter().chain(&call.args).map(|e| (e, false)).collect()
        }
        Expr::List(list) => list.elements.iter().map(|e| (e, false)).collect(),
        Expr::Select(select) => vec![(&*select.operand, false)],
        Expr::Map(map) => map.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
        Expr::Struct(object) => object.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
        Expr::Comprehension(c) => vec![
            (&c.iter_range, false),
            (&c.accu_init, false),
            (&c.loop_cond, true),
            (&c.loop_step, true),
            (&c.result, false),
        ],
    }
}

fn entry(entry: &EntryExpr) -> Vec<(&IdedExpr, bool)> {
    match entry {
        EntryExpr::StructField(field) => vec![(&field.value, false)],
        EntryExpr::MapEntry(entry) => vec![(&entry.key, false), (&entry.value, false)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, object};

    fn evaluate(expression: &str, claims: &str) -> Result<Value, String> {
        let claims = object(claims, Limits::CLAIMS)?.into_value();
        let expression = Expression::compile("role", expression).map_err(|error| error.to_string())?;
        expression.evaluate(&Input { claims, auth: Value::Null, requested_role: Some("r") })
    }

    fn text(text: &str) -> Value {
        Value::String(Arc::new(text.into()))
    }

    #[test]
    fn an_expression_sees_the_claims() {
        for (expression, value) in [
            ("claims.role", text("a")),
            ("claims['https://x/role']", text("b")),
            ("claims.level == 3 ? 'three' : 'other'", text("three")),
            ("claims.email.matches('@acme[.]com$') ? 'staff' : 'guest'", text("staff")),
            ("claims.groups.filter(g, g.startsWith('db_')).map(g, g + 'x')[0]", text("db_1x")),
            ("has(claims.nothing) ? claims.nothing : requested_role", text("r")),
        ] {
            let claims =
                r#"{"role":"a","https://x/role":"b","level":3,"email":"x@acme.com","groups":["q","db_1"]}"#;
            assert_eq!(evaluate(expression, claims), Ok(value), "{expression}");
        }
    }

    #[test]
    fn a_missing_claim_is_an_error_and_says_which() {
        assert_eq!(evaluate("claims.role", "{}").unwrap_err(), "no such key: \"role\"");
        assert!(!evaluate("claims.a.b", r#"{"a":"secret value"}"#).unwrap_err().contains("secret"));
    }

    #[test]
    fn what_cannot_be_or_could_take_long_is_refused_at_start() {
        for (expression, problem) in [
            ("claims.", "cannot be compiled"),
            ("", "cannot be compiled"),
            ("token.role", "unknown variable token"),
            ("claims.a.map(x, claims.b.map(y, y))", "loop within a loop"),
            ("claims.a.exists(x, claims.b.all(y, y == x))", "loop within a loop"),
            ("claims.a.matches(claims.b)", "not a literal"),
            ("claims.a.exists(x, x.matches('a*'))", "within a loop"),
        ] {
            let error = Expression::compile("jwt[0].role", expression).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert_eq!(error.key(), "jwt[0].role");
        }
        assert!(Expression::compile("k", &format!("'{}'", "x".repeat(1100))).is_err());
        for (opening, closing) in [("[", "]"), ("(", ")"), ("!", ""), ("-", ""), ("x?", ":x"), ("{1:", "}")] {
            let levels = 1000 / (opening.len() + closing.len());
            let deep = format!("{}x{}", opening.repeat(levels), closing.repeat(levels));
            assert!(Expression::compile("k", &deep).is_err(), "{opening}");
        }
    }

    #[test]
    fn the_deepest_expression_is_evaluated_on_a_small_stack() {
        let deep = format!("{}claims.role{}", "[".repeat(9), "][0]".repeat(9));
        assert_eq!(evaluate(&deep, r#"{"role":"a"}"#), Ok(text("a")));
    }

    #[test]
    fn the_largest_claims_are_worked_through_in_one_pass() {
        let claims = format!(r#"{{"a":[{}"x"]}}"#, "\"y\",".repeat(4000));
        assert_eq!(evaluate("claims.a.filter(x, x == 'x').map(x, x + '!')[0]", &claims), Ok(text("x!")));
    }
}
