use proptest::prelude::*;

use super::*;
use crate::value::{self, Column};

/// A scope of its own data.
#[derive(Default)]
struct World {
    vars: BTreeMap<String, String>,
    results: BTreeMap<String, Named>,
    backslashes: bool,
}

impl World {
    fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    fn json(mut self, name: &str, json: &str) -> Self {
        self.results.insert(name.into(), Named { json: json.into(), columns: None });
        self
    }

    fn rows(mut self, name: &str, rows: &str, columns: &[(&str, &str)]) -> Self {
        let columns = columns
            .iter()
            .map(|(name, type_name)| Column { name: (*name).into(), type_name: (*type_name).into() })
            .collect();
        let json = format!("{{\"rows\":{rows},\"row_count\":1}}");
        self.results.insert(name.into(), Named { json, columns: Some(Columns(columns)) });
        self
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            instance_id: "02fa9a27",
            label: None,
            vars: &self.vars,
            results: &self.results,
            conforming_strings: !self.backslashes,
        }
    }

    fn sql(&self, query: &str) -> String {
        prepare(query, &self.scope()).unwrap().sql
    }

    fn error(&self, query: &str) -> String {
        prepare(query, &self.scope()).unwrap_err().to_string()
    }

    fn http(&self, text: &str) -> String {
        raw(text, &self.scope()).unwrap()
    }
}

fn order() -> World {
    World::default()
        .rows(
            "o",
            r#"[{"id":7,"at":"2024-06-15T12:30:00+00:00","who":"O'Neil","tags":["a"],"doc":{"x":1}}]"#,
            &[
                ("id", "pg_catalog.int8"),
                ("at", "pg_catalog.timestamptz"),
                ("who", "pg_catalog.text"),
                ("tags", "pg_catalog.text[]"),
                ("doc", "pg_catalog.jsonb"),
            ],
        )
        .rows("none", "[]", &[("id", "pg_catalog.int4")])
        .rows("null", "[{\"id\":null}]", &[("id", "pg_catalog.int4")])
        .json("sig", r#"{"signal_name":"go","timed_out":false,"data":{"n":-5,"ok":true,"s":"a\\'b"}}"#)
}

fn param(type_name: &str, value: &str) -> Param {
    Param { type_name: type_name.into(), value: Some(value.into()) }
}

#[test]
fn a_value_of_a_type_is_a_parameter() {
    let world = order();
    let found = prepare("select $o, $o.id, $o.at, $o.doc from t where id = $o.id", &world.scope()).unwrap();
    assert_eq!(found.sql, "select $1, $2, $3, $4 from t where id = $2");
    assert_eq!(
        found.params,
        [
            param("pg_catalog.int8", "7"),
            param("pg_catalog.int8", "7"),
            param("pg_catalog.timestamptz", "2024-06-15T12:30:00+00:00"),
            param("pg_catalog.jsonb", "{\"x\":1}"),
        ]
    );
}

#[test]
fn an_array_goes_through_json() {
    let found = prepare("select $o.tags", &order().scope()).unwrap();
    assert_eq!(
        found.sql,
        r#"select ((SELECT "v" FROM pg_catalog.json_to_record($1) AS "r"("v" pg_catalog.text[]))::pg_catalog.text[])"#
    );
    assert_eq!(found.params, [param("pg_catalog.json", r#"{"v":["a"]}"#)]);
}

#[test]
fn a_column_is_named_in_any_script() {
    let world = World::default().json("r", r#"{"rows":[{"größe":1,"名":2,"a":3}]}"#);
    assert_eq!(world.sql("select $r.größe, '$r.名!', $r.a"), "select 1, '2!', 3");
    assert_eq!(
        world.error("select $r.größ"),
        "$r.größ: result has no field 'größ' (available: größe, 名, a)"
    );
    // A digit begins none.
    assert_eq!(world.sql("select '$r.5'"), "select '1.5'");
}

#[test]
fn types_that_an_older_version_kept_have_no_length() {
    let columns: Columns = serde_json::from_str(
        r#"[{"name":"a","type":"character"},{"name":"b","type":"bit[]"},{"name":"c","type":"integer"}]"#,
    )
    .unwrap();
    let names: Vec<_> = columns.0.iter().map(|column| column.type_name.as_str()).collect();
    assert_eq!(names, ["pg_catalog.bpchar", "pg_catalog.\"bit\"[]", "integer"]);
}

#[test]
fn text_is_a_literal_that_may_become_anything() {
    let world = order();
    assert_eq!(world.sql("select $o.who"), "select 'O''Neil'");
    assert_eq!(world.sql("select $sig.signal_name, $sig.timed_out"), "select 'go', false");
    assert_eq!(world.sql("select $sig.data::jsonb"), r#"select E'{"n":-5,"ok":true,"s":"a\\\\''b"}'::jsonb"#);
    assert_eq!(World::default().json("n", "{\"v\":-5}").sql("select 3-$n.v"), "select 3- (-5)");
}

#[test]
fn a_row_set_keeps_its_columns_when_empty() {
    let world = order();
    let found = prepare("delete from t where id in (select id from $none.*)", &world.scope()).unwrap();
    assert_eq!(
        found.sql,
        r#"delete from t where id in (select id from pg_catalog.json_to_recordset($1) AS "none"("id" pg_catalog.int4))"#
    );
    assert_eq!(found.params, [param("pg_catalog.json", "[]")]);
    let guessed = World::default().json(
        "r",
        r#"{"rows":[{"a":1,"b":"x","c":true,"d":1.5,"e":{"k":1},"f":null},{"a":3000000000,"b":"y"}]}"#,
    );
    assert_eq!(
        guessed.sql("select * from $r.*"),
        "select * from pg_catalog.json_to_recordset($1) AS \"r\"(\"a\" pg_catalog.int8, \"b\" pg_catalog.text, \
         \"c\" pg_catalog.bool, \"d\" pg_catalog.numeric, \"e\" pg_catalog.jsonb, \"f\" pg_catalog.text)"
    );
    let empty = World::default().json("r", "{\"rows\":[],\"row_count\":0}");
    assert_eq!(empty.sql("select * from $r.*"), "select * from (SELECT NULL WHERE false) AS \"r\"");
}

#[test]
fn what_is_no_value_stays() {
    let world = order().json("tag", "{\"rows\":[{\"a\":1}],\"row_count\":1}");
    for text in [
        "select $tag$ $o $tag$",
        "select 1 -- $o",
        "select /* $o /* $o.id */ */ 1",
        "select \"$o\"",
        "select v$o from v$o",
        "select $unknown, $unknown.col, $unknown?",
        "select '$unknown $o.nothing'",
        "do $$ begin perform $o; end $$",
        "select '{}', '{unknown}', '{\"a\": {\"b\": 1}}'",
        "select $oé",
    ] {
        assert_eq!(world.sql(text), text);
    }
}

#[test]
fn inside_a_literal_it_is_text_that_cannot_get_out() {
    let world = order();
    assert_eq!(world.sql("select 'for $o.who: $o.id.'"), "select 'for O''Neil: 7.'");
    let evil = World::default().json("x", r#"{"v":"\\'; drop table t --"}"#);
    assert_eq!(evil.sql("select '$x.v'"), r"select '\''; drop table t --'");
    assert_eq!(evil.sql("select E'$x.v'"), r"select E'\\''; drop table t --'");
    assert_eq!(evil.sql("select U&'$x.v'"), r"select U&'\\''; drop table t --'");
    assert_eq!(evil.sql("select U&'$x.v' uescape '!'"), r"select U&'\''; drop table t --' uescape '!'");
    assert_eq!(evil.sql("select $x.v"), r"select E'\\''; drop table t --'");
    let off = World { backslashes: true, ..evil };
    assert_eq!(off.sql("select '$x.v'"), r"select '\\''; drop table t --'");
}

#[test]
fn values_keep_apart_from_their_neighbours() {
    let world = World::default().json("s", "\"a\"").rows("n", "[{\"v\":1}]", &[("v", "pg_catalog.int4")]);
    assert_eq!(world.sql("select 'x'$s'y'"), "select 'x' 'a' 'y'");
    assert_eq!(world.sql("select $n?, $n? ?'k'"), "select $1, $1 ?'k'");
    assert_eq!(world.sql("select ($n)::text"), "select ($1)::text");
    assert_eq!(world.sql("select e$s"), "select e$s");
}

#[test]
fn where_the_grammar_wants_a_literal_it_gets_one() {
    let world = World::default().rows("d", "[{\"v\":\"1 day\"}]", &[("v", "pg_catalog.interval")]).rows(
        "n",
        "[{\"v\":5}]",
        &[("v", "pg_catalog.int4")],
    );
    assert_eq!(
        world.sql("select interval $d, $d, timestamp with time zone $d at time zone $d"),
        "select interval '1 day', $1, timestamp with time zone '1 day' at time zone $1"
    );
    assert_eq!(world.sql("comment on table t is $d"), "comment on table t is '1 day'");
    assert_eq!(world.sql("notify c, $d"), "notify c, '1 day'");
    assert_eq!(
        world.sql("create view v as select $n as n"),
        "create view v as select CAST('5' AS pg_catalog.int4) as n"
    );
    assert_eq!(world.sql("/* x */ ((select $n))"), "/* x */ ((select $1))");
    assert_eq!(
        world.sql("create table t as select * from $n.*"),
        "create table t as select * from pg_catalog.json_to_recordset(CAST('[{\"v\":5}]' AS pg_catalog.json)) \
         AS \"n\"(\"v\" pg_catalog.int4)"
    );
}

#[test]
fn nothing_there_is_an_error_or_null() {
    let world = order();
    assert_eq!(world.error("select $none"), "$none has no rows — query returned zero results");
    assert_eq!(world.error("select $none.id"), "$none has no rows — query returned zero results");
    assert_eq!(world.error("select $null"), "$null is NULL — first column of first row is NULL");
    assert_eq!(world.error("select $null.id"), "$null.id is NULL");
    assert_eq!(
        world.error("select $o.nothing"),
        "$o.nothing: result has no field 'nothing' (available: id, at, who, tags, doc)"
    );
    let array = World::default().json("j", "[1,2]");
    assert_eq!(array.error("select $j.a"), "$j.a: result is neither a row set nor a JSON object");
    assert_eq!(array.sql("select $j"), "select '[1,2]'");
    let found = prepare("select $none?, $null.id?, $sig.data", &world.scope()).unwrap();
    assert_eq!(
        found.params,
        [
            Param { type_name: "pg_catalog.int4".into(), value: None },
            Param { type_name: "pg_catalog.int4".into(), value: None }
        ]
    );
    assert_eq!(World::default().json("b", "null").sql("select $b?"), "select NULL");
    let many = format!("{{\"rows\":[{}{{}}],\"row_count\":10001}}", "{},".repeat(10_000));
    assert_eq!(
        World::default().json("m", &many).error("select * from $m.*"),
        "$m.* — result has 10001 rows, exceeding the maximum of 10000 for row-set expansion. \
         Use pagination or intermediate tables for large result sets."
    );
}

#[test]
fn a_positional_parameter_would_meet_ours() {
    let world = order();
    assert_eq!(world.sql("select $1"), "select $1");
    assert_eq!(world.error("select $1, $o.id"), "there is no parameter $1");
    assert_eq!(
        World::default().json("n", "{\"v\":\"a\\u0000b\"}").error("select $n.v"),
        Error::Nul.to_string()
    );
}

#[test]
fn variables_are_raw_or_quoted() {
    let world = order().var("t", "orders").var("q", "it's $o.id").var("c", "a\"b");
    assert_eq!(world.sql("select * from {t} where x"), "select * from orders where x");
    assert_eq!(world.sql("{{t}} {sys_instance_id}/{sys_label}/{zzz}"), "{orders} 02fa9a27//{zzz}");
    assert_eq!(world.sql("select {q:literal}, {c:identifier}"), "select 'it''s $o.id', \"a\"\"b\"");
    assert_eq!(world.sql("select '{q:literal}'"), "select 'it''s $o.id'");
    // A raw value is looked at again for results, not for variables.
    assert_eq!(order().var("x", "$o.id {x}").sql("select {x}"), "select $1 {x}");
}

#[test]
fn http_is_raw() {
    let world = order().var("host", "example.com");
    assert_eq!(world.http("https://{host}/$o.id?w=$o.who"), "https://example.com/7?w=O'Neil");
    assert_eq!(world.http("{\"a\": $o.doc, \"b\": $none?}"), "{\"a\": {\"x\":1}, \"b\": NULL}");
    assert_eq!(world.http("$none.*"), "[]");
    assert_eq!(world.http("$sig.data"), r#"{"n":-5,"ok":true,"s":"a\\'b"}"#);
    assert_eq!(
        raw("$o.nothing", &world.scope()).unwrap_err().to_string(),
        "$o.nothing: result has no field 'nothing' (available: id, at, who, tags, doc)"
    );
    let part = |text| part_data(text, "file", "0000000a", &world.scope());
    assert_eq!(part("$o.who").unwrap(), "O'Neil");
    assert_eq!(part(" {host} ").unwrap(), "example.com");
    assert_eq!(part("aGk=").unwrap(), "aGk=");
    assert!(part("x$o").unwrap_err().to_string().starts_with(
        "HTTP_MULTIPART node 0000000a: data_b64 for part 'file' mixes a variable reference with other text."
    ));
}

#[test]
fn many_references_to_a_large_result_end_early() {
    let large = format!("{{\"rows\":[{{\"v\":\"{}\"}}],\"row_count\":1}}", "x".repeat(20 << 10));
    let world = World::default().json("x", &large).var("v", &"y".repeat(20 << 10));
    for text in ["$x ", "$x,", "'$x'", "'$x $x' ", "{v}"] {
        assert_eq!(
            prepare(&format!("select {}", text.repeat(500)), &world.scope()),
            Err(Error::TooLarge),
            "{text}"
        );
    }
    // What is not there costs nothing.
    let missing: String = (0..20_000).fold(String::new(), |text, number| format!("{text} $x.c{number}"));
    let query = format!("select '{missing}'");
    assert_eq!(world.sql(&query), query);
}

#[test]
fn only_what_is_mentioned_has_to_be_loaded() {
    let world = order().var("v", "$late");
    let names: Vec<_> =
        mentioned("select $a, $b.*, '$c?', {v}, $1, $$", &world.scope()).into_iter().collect();
    assert_eq!(names, ["a", "b", "c", "late"]);
}

proptest! {
    #[test]
    fn without_signs_nothing_changes(text in "[^${]{0,80}") {
        let world = order().var("t", "x");
        prop_assert_eq!(world.sql(&text), text.clone());
        prop_assert_eq!(world.http(&text), text);
    }

    #[test]
    fn nothing_panics(text in "([ \n'\"$E&Ux/*\\-\\\\a-c1é{}.?:]|\\$o|\\$o\\.id|\\$o\\.\\*|\\{t\\}|\\{t:literal\\}){0,40}", backslashes: bool) {
        let world = World { backslashes, ..order().var("t", "it's \\") };
        let _ = prepare(&text, &world.scope());
        let _ = raw(&text, &world.scope());
    }

    /// Whatever the value, PostgreSQL's lexer sees the same pieces as with a harmless one.
    #[test]
    fn a_value_never_ends_its_literal(value in "['\\\\\"$a{}!/*\\-;\n]{0,20}", backslashes: bool, place in 0..7_usize) {
        let query = [
            "select $x, 1", "select 'a $x b', 1", "select E'$x', 1", "select U&'$x', 1",
            "select U&'$x' uescape '!', 1", "select {v:literal}, '{v:literal}', 1", "select N'$x' 'y', 1",
        ][place];
        let kinds = |value: &str| {
            let world = World { backslashes, ..World::default().json("x", &value::string(value)).var("v", value) };
            let sql = world.sql(query);
            let mut lexer = Lexer::new(&sql, !backslashes);
            let mut kinds = Vec::new();
            while let Some((piece, _)) = lexer.next() {
                // A literal with a backslash is spelled E'…'.
                kinds.push(if matches!(piece, Piece::Literal(_)) { Piece::Closed } else { piece });
            }
            kinds
        };
        prop_assert_eq!(kinds(&value), kinds("plain"));
    }
}
