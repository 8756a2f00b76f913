//! Writes the way from PostgreSQL's nodes to the structs of pg_query, from what pg_query itself is built of.
//!
//! libpg_query says in `pg_query_outfuncs_defs.c` what is written of each node, as what, under which name; its headers say how a node lies in
//! memory. Both are read here, so that nothing is said twice, and what does not fit is an error of the compiler: a struct literal that
//! misses a field, a field that is not there, a type that differs.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Nodes that libpg_query writes by hand, and `src/tree.rs` reads so.
const BY_HAND: &[&str] =
    &["Integer", "Float", "Boolean", "String", "BitString", "A_Const", "List", "IntList", "OidList"];
/// Names of fields that are words of Rust: bindgen writes a `_` behind them, prost an `r#` before.
const WORDS: &[&str] =
    &["type", "match", "ref", "move", "where", "in", "as", "use", "final", "virtual", "override"];
/// Fields that no tree of the grammar has, and libpg_query leaves out.
const UNWRITTEN: &[&str] = &["xpr", "plan"];

fn main() -> Result<()> {
    let source = source()?;
    let library = source.join("libpg_query");
    let include = library.join("src/include");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", include.display());
    let definitions = fs::read_to_string(include.join("pg_query_outfuncs_defs.c"))?;
    let cases = fs::read_to_string(include.join("pg_query_outfuncs_conds.c"))?;
    let enums = fs::read_to_string(include.join("pg_query_enum_defs.c"))?;
    let protobuf = fs::read_to_string(source.join("src/protobuf.rs"))?;
    let names = Names::read(&protobuf);

    let nodes = nodes(&definitions)?;
    let cases = self::cases(&cases)?;
    let mut code = String::new();
    let mut used = BTreeSet::new();
    for node in &nodes {
        write_node(&mut code, node, &names, &mut used)?;
    }
    write_enums(&mut code, &enums, &used)?;
    write_cases(&mut code, &cases, &names)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("read.rs"), code)?;
    fs::write(out.join("nodes.rs"), structs(&protobuf)?)?;

    let types: BTreeSet<&str> = nodes
        .iter()
        .map(|node| node.lies_as.as_str())
        .chain(cases.iter().map(|case| case.lies_as.as_str()))
        .collect();
    // The edition wants to be told that what is declared there is as it is in C.
    let bindings =
        bind(&library, &types, &used)?.to_string().replace("extern \"C\" {", "unsafe extern \"C\" {");
    fs::write(out.join("c.rs"), bindings)?;
    Ok(())
}

/// Where the source of pg_query is.
fn source() -> Result<PathBuf> {
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let ask = |offline: bool| -> Result<Vec<u8>> {
        let mut cargo = Command::new(env::var("CARGO")?);
        cargo.args(["metadata", "--format-version", "1", "--filter-platform", &env::var("TARGET")?]);
        cargo.arg("--manifest-path").arg(&manifest);
        if offline {
            cargo.arg("--offline");
        }
        let output = cargo.output()?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into())
        }
    };
    let said: serde_json::Value = serde_json::from_slice(&ask(true).or_else(|_| ask(false))?)?;
    let packages = said["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let found = packages
        .iter()
        .find(|package| package["name"] == "pg_query")
        .ok_or("pg_query is not among the packages")?;
    let manifest = found["manifest_path"].as_str().ok_or("pg_query is nowhere")?;
    Ok(Path::new(manifest).parent().ok_or("pg_query is nowhere")?.to_owned())
}

/// One node, as libpg_query writes it.
struct Node {
    /// The name of its function.
    function: String,
    /// The message.
    message: String,
    /// Its struct in C.
    lies_as: String,
    /// Macro and arguments of each field.
    fields: Vec<(String, Vec<String>)>,
}

/// `WRITE_X_FIELD(A, b, c);` as its macro and its arguments.
fn call(line: &str) -> Option<(String, Vec<String>)> {
    let (word, rest) = line.trim().strip_suffix(");")?.split_once('(')?;
    Some((word.to_owned(), rest.split(',').map(|argument| argument.trim().to_owned()).collect()))
}

fn nodes(definitions: &str) -> Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    for line in definitions.lines() {
        // `_outAlias(OUT_TYPE(Alias, Alias) out, const Alias *node)`
        if let Some(rest) = line.strip_prefix("_out") {
            let (function, rest) = rest.split_once("(OUT_TYPE(").ok_or(line)?;
            let (message, rest) = rest.split_once(',').ok_or(line)?;
            let (_, lies_as) = rest.split_once("const ").ok_or(line)?;
            let lies_as = lies_as.split([' ', '*']).next().ok_or(line)?;
            nodes.push(Node {
                function: function.to_owned(),
                message: message.to_owned(),
                lies_as: lies_as.to_owned(),
                fields: Vec::new(),
            });
        } else if line.trim_start().starts_with("WRITE_") {
            let field = call(line).ok_or(line)?;
            nodes.last_mut().ok_or(line)?.fields.push(field);
        }
    }
    Ok(nodes)
}

/// What `_outNode` does with one tag.
struct Case {
    tag: String,
    message: String,
    function: String,
    lies_as: String,
}

fn cases(text: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut tag = None;
    for line in text.lines() {
        if let Some(rest) = line.trim().strip_prefix("case ") {
            tag = Some(rest.trim_end_matches(':').to_owned());
        } else if line.trim().starts_with("OUT_NODE") {
            let (_, arguments) = call(line).ok_or(line)?;
            let [message, function, _, _, lies_as, _] = arguments.as_slice() else { return Err(line.into()) };
            cases.push(Case {
                tag: tag.take().ok_or(line)?,
                message: message.clone(),
                function: function.clone(),
                lies_as: lies_as.clone(),
            });
        }
    }
    Ok(cases)
}

/// The names that prost has made of those of messages.
struct Names {
    structs: HashMap<String, String>,
    fields: HashMap<String, Vec<String>>,
    variants: HashMap<String, String>,
}

impl Names {
    fn read(protobuf: &str) -> Self {
        let mut names = Self { structs: HashMap::new(), fields: HashMap::new(), variants: HashMap::new() };
        let mut in_node = false;
        let mut of = String::new();
        for line in protobuf.lines() {
            if let Some(rest) = line.strip_prefix("pub struct ") {
                let name = rest.trim_end_matches(" {").trim_end_matches(" {}");
                names.structs.insert(key(name), name.to_owned());
                name.clone_into(&mut of);
            } else if let Some((name, _)) =
                line.strip_prefix("    pub ").and_then(|rest| rest.split_once(": "))
            {
                names.fields.entry(of.clone()).or_default().push(name.trim_start_matches("r#").to_owned());
            } else if line == "pub mod node {" {
                in_node = true;
            } else if line == "}" {
                in_node = false;
            } else if in_node
                && let Some((name, _)) = line.trim().split_once('(')
                && name.chars().all(|letter| letter.is_ascii_alphanumeric())
            {
                names.variants.insert(key(name), name.to_owned());
            }
        }
        names
    }
}

/// What both ways to write a name have in common.
fn key(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}

/// A function of this name.
fn reads(function: &str) -> String {
    format!("read_{}", key(function))
}

fn of<'n>(names: &'n HashMap<String, String>, name: &str) -> Result<&'n String> {
    names.get(&key(name)).ok_or_else(|| format!("pg_query has no {name}").into())
}

fn write_node(code: &mut String, node: &Node, names: &Names, used: &mut BTreeSet<String>) -> Result<()> {
    let name = of(&names.structs, &node.message)?;
    writeln!(
        code,
        "pub unsafe fn {}(reader: &mut Reader, node: *const c::{}) -> protobuf::{name} {{\n    \
         // SAFETY: the caller's promise: `node` is such a node.\n    let node = unsafe {{ &*node }};\n    \
         // SAFETY: what a node points to lives as long as it, and is of the kind that its field has.\n    unsafe {{ protobuf::{name} {{",
        reads(&node.function),
        node.lies_as,
    )?;
    for (word, arguments) in &node.fields {
        let argument =
            |at: usize| arguments.get(at).map(String::as_str).ok_or_else(|| format!("{word} of {name}"));
        // The last argument is the field in C.
        let member = arguments
            .last()
            .map(|last| if WORDS.contains(&last.as_str()) { format!("{last}_") } else { last.clone() });
        let member = member.unwrap_or_default();
        let (field, value) = match word.as_str() {
            "WRITE_INT_FIELD" => (argument(1)?, format!("node.{member} as i32")),
            "WRITE_UINT_FIELD" => (argument(1)?, format!("node.{member} as u32")),
            "WRITE_UINT64_FIELD" => (argument(1)?, format!("node.{member} as u64")),
            "WRITE_LONG_FIELD" => (argument(1)?, format!("node.{member} as i64")),
            "WRITE_FLOAT_FIELD" => (argument(1)?, format!("node.{member} as f64")),
            "WRITE_BOOL_FIELD" => (argument(1)?, format!("node.{member}")),
            "WRITE_CHAR_FIELD" => (argument(1)?, format!("reader.letter(node.{member})")),
            "WRITE_STRING_FIELD" => (argument(1)?, format!("reader.text(node.{member})")),
            "WRITE_LIST_FIELD" => (argument(1)?, format!("reader.list(node.{member})")),
            "WRITE_BITMAPSET_FIELD" => (argument(1)?, format!("reader.bits(node.{member})")),
            "WRITE_NODE_PTR_FIELD" => (argument(1)?, format!("reader.boxed(node.{member}.cast())")),
            "WRITE_ENUM_FIELD" => {
                used.insert(argument(1)?.to_owned());
                (argument(2)?, format!("number_{}(node.{member} as c::{})", key(argument(1)?), argument(1)?))
            }
            "WRITE_SPECIFIC_NODE_FIELD" => (
                argument(3)?,
                format!("Some({}(reader, &raw const node.{member}).into())", reads(argument(1)?)),
            ),
            "WRITE_SPECIFIC_NODE_PTR_FIELD" => (
                argument(3)?,
                format!("reader.below(node.{member}.cast(), {}).map(Into::into)", reads(argument(1)?)),
            ),
            _ => return Err(format!("{word} is not known").into()),
        };
        let raw = if WORDS.contains(&field) { "r#" } else { "" };
        writeln!(code, "        {raw}{field}: {value},")?;
    }
    let written: Vec<&str> =
        node.fields.iter().flat_map(|(_, arguments)| arguments.iter().map(String::as_str)).collect();
    let left = names.fields.get(name).into_iter().flatten();
    for field in
        left.filter(|field| UNWRITTEN.contains(&field.as_str()) && !written.contains(&field.as_str()))
    {
        writeln!(code, "        {field}: None,")?;
    }
    writeln!(code, "    }} }}\n}}\n")?;
    Ok(())
}

/// Nodes that are no larger than a list. All others stand behind a pointer: a list of names would otherwise have room for a whole
/// statement in each of its items.
const SMALL: &[&str] = &["AStar", "BitString", "Boolean", "Float", "Integer", "List", "ParamRef", "String"];

/// Messages that are no nodes.
const NO_NODES: &[&str] = &["ParseResult", "ScanResult", "ScanToken", "SummaryResult"];
/// What our structs can do: `tests/same.rs` writes them and pg_query's as JSON.
const DERIVED: &str = "#[derive(Debug, Clone, PartialEq, serde::Serialize";

/// The structs of pg_query without what they need as messages, and a way to look at all nodes below one.
fn structs(protobuf: &str) -> Result<String> {
    let mut code = String::new();
    let mut lines = protobuf.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = rest.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
            let fields = if line.ends_with("{}") { Vec::new() } else { items(&mut lines) };
            if !NO_NODES.contains(&name) {
                write_struct(&mut code, name, &fields)?;
            }
        } else if let Some(module) =
            ["node", "a_const"].iter().find(|name| line == format!("pub mod {name} {{"))
        {
            let head = lines.by_ref().find(|line| line.contains("pub enum "));
            let head = head.ok_or_else(|| format!("no enum in {module}"))?.trim();
            let variants = items(&mut lines);
            writeln!(code, "pub mod {module} {{\n{DERIVED})]\n{head}")?;
            for variant in &variants {
                writeln!(
                    code,
                    "{},",
                    if *module == "node" {
                        packed(variant).ok_or(variant.as_str())?
                    } else {
                        variant.clone()
                    }
                )?;
            }
            writeln!(code, "}}\n}}")?;
            write_variants(&mut code, module, head, &variants)?;
        }
    }
    Ok(code)
}

/// Fields or variants, until the bracket that closes them: attributes and comments left out, each on one line, without the comma.
fn items<'l>(lines: &mut impl Iterator<Item = &'l str>) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    for line in lines.by_ref().map(str::trim).take_while(|line| *line != "}") {
        if item.is_empty() && line.starts_with("//") {
            continue;
        }
        item.push_str(line);
        let ended = if item.starts_with("#[") { item.ends_with(']') } else { balanced(&item) };
        if ended {
            let whole = std::mem::take(&mut item);
            if !whole.starts_with("#[") {
                let whole = whole.trim_end_matches(',').replace(",)", ")").replace(",>", ">");
                items.push(whole.replace("::prost::alloc::", "::std::"));
            }
        }
    }
    items
}

/// Does it end with a comma, with all its brackets closed?
fn balanced(item: &str) -> bool {
    let count = |brackets: &[char]| item.chars().filter(|letter| brackets.contains(letter)).count();
    item.ends_with(',') && count(&['(', '<']) == count(&[')', '>'])
}

/// A variant, with a pointer if its node is not small.
fn packed(variant: &str) -> Option<String> {
    let (name, node) = variant.split_once('(')?;
    let node = node.strip_suffix(')')?;
    let node =
        node.strip_prefix("::std::boxed::Box<").and_then(|node| node.strip_suffix('>')).unwrap_or(node);
    let small = SMALL.contains(&node.strip_prefix("super::")?);
    Some(if small { format!("{name}({node})") } else { format!("{name}(::std::boxed::Box<{node}>)") })
}

fn write_variants(code: &mut String, module: &str, head: &str, variants: &[String]) -> Result<()> {
    let name = head.trim_start_matches("pub enum ").trim_end_matches(" {");
    let own = if module == "node" { "is(self) || " } else { "" };
    writeln!(
        code,
        "impl Below for {module}::{name} {{\n    fn any(&self, is: &dyn Fn(&node::Node) -> bool) -> bool {{\n        {own}match self {{"
    )?;
    for variant in variants {
        let (variant, _) = variant.split_once('(').ok_or(variant.as_str())?;
        writeln!(code, "            Self::{variant}(inner) => inner.any(is),")?;
    }
    writeln!(code, "        }}\n    }}\n}}")?;
    Ok(())
}

fn write_struct(code: &mut String, name: &str, fields: &[String]) -> Result<()> {
    writeln!(code, "{DERIVED}, Default)]\npub struct {name} {{")?;
    for field in fields {
        writeln!(code, "{field},")?;
    }
    writeln!(
        code,
        "}}\nimpl Below for {name} {{\n    fn any(&self, is: &dyn Fn(&node::Node) -> bool) -> bool {{\n        false"
    )?;
    for field in fields {
        let (name, _) = field.trim_start_matches("pub ").split_once(": ").ok_or(field.as_str())?;
        writeln!(code, "        || self.{name}.any(is)")?;
    }
    writeln!(code, "    }}\n}}")?;
    Ok(())
}

/// The numbers that values of enumerations have in messages.
fn write_enums(code: &mut String, enums: &str, used: &BTreeSet<String>) -> Result<()> {
    let mut missing = used.clone();
    let mut lines = enums.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.strip_prefix("_enumToInt") else { continue };
        let (name, _) = rest.split_once('(').ok_or(line)?;
        if !missing.remove(name) {
            continue;
        }
        writeln!(code, "fn number_{}(value: c::{name}) -> i32 {{\n    match value {{", key(name))?;
        for line in lines.by_ref().take_while(|line| !line.starts_with('}')) {
            let Some(rest) = line.trim().strip_prefix("case ") else { continue };
            let (value, number) = rest.split_once(": return ").ok_or(line)?;
            writeln!(code, "        c::{value} => {},", number.trim_end_matches(';'))?;
        }
        writeln!(code, "        _ => -1,\n    }}\n}}\n")?;
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("no numbers for {missing:?}").into()) }
}

fn write_cases(code: &mut String, cases: &[Case], names: &Names) -> Result<()> {
    writeln!(
        code,
        "pub unsafe fn read_any(reader: &mut Reader, node: *const c::Node) -> Option<protobuf::node::Node> {{\n    \
         // SAFETY: the caller's promise: `node` is a node, and its tag says which.\n    unsafe {{ Some(match (*node).type_ {{"
    )?;
    for case in cases {
        writeln!(
            code,
            "        c::{} => protobuf::node::Node::{}({}(reader, node.cast()).into()),",
            case.tag,
            of(&names.variants, &case.message)?,
            reads(&case.function),
        )?;
    }
    writeln!(code, "        _ => return None,\n    }}) }}\n}}")?;
    Ok(())
}

/// How nodes lie in memory, and the functions of libpg_query.
fn bind(library: &Path, types: &BTreeSet<&str>, enums: &BTreeSet<String>) -> Result<bindgen::Bindings> {
    let includes = ["", "vendor", "src/postgres/include", "src/include", "src"];
    let mut builder = bindgen::Builder::default()
        .header_contents(
            "grammar.h",
            "#include \"pg_query.h\"\n#include \"pg_query_internal.h\"\n#include \"nodes/parsenodes.h\"\n#include \"nodes/plannodes.h\"\n\
             #include \"nodes/value.h\"\n#include \"nodes/bitmapset.h\"\n#include \"nodes/miscnodes.h\"\n",
        )
        .clang_args(includes.iter().map(|folder| format!("-I{}", library.join(folder).display())))
        .allowlist_function("pg_query_raw_parse|pg_query_(enter|exit)_memory_context|pg_query_free_protobuf_parse_result")
        .opaque_type("MemoryContextData")
        .prepend_enum_name(false)
        .derive_copy(true)
        .derive_debug(false)
        .generate_comments(false)
        .formatter(bindgen::Formatter::None);
    for name in types.iter().copied().chain(enums.iter().map(String::as_str)).chain(BY_HAND.iter().copied()) {
        builder = builder.allowlist_type(name);
    }
    builder = builder.allowlist_type("NodeTag|List|ListCell|Bitmapset|Node");
    builder.generate().map_err(|error| format!("the nodes of PostgreSQL: {error}").into())
}
