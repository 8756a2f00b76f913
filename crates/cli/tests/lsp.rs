//! `postern lsp` as an editor talks to it.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;

use common::{PATIENCE, postern};
use serde_json::{Value, json};

/// From line and character, to them, and what is there then.
type Edit<'a> = ((usize, usize), (usize, usize), &'a str);

struct Editor {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: mpsc::Receiver<Value>,
    next: i64,
}

impl Editor {
    fn start(args: &[&str], encodings: &[&str]) -> (Self, Value) {
        let mut command = postern();
        let mut child = command
            .arg("lsp")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut stdout) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut editor = Self { child, stdin, messages, next: 0 };
        let capabilities = json!({ "general": { "positionEncodings": encodings } });
        let answer = editor
            .ask("initialize", &json!({ "processId": null, "rootUri": null, "capabilities": capabilities }));
        editor.tell("initialized", &json!({}));
        (editor, answer["result"].clone())
    }

    fn raw(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        write!(stdin, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        stdin.flush().unwrap();
    }

    fn tell(&mut self, method: &str, params: &Value) {
        self.raw(&json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string());
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.raw(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string());
        self.until(|message| message["id"] == id)
    }

    fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap();
            if wanted(&message) {
                return message;
            }
        }
    }

    /// The diagnostics of a document's version, as `code line:character`.
    fn diagnostics(&self, uri: &str, version: i64) -> (Vec<String>, Value) {
        let message = self.until(|message| {
            message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == uri
                && message["params"]["version"] == version
        });
        let found = message["params"]["diagnostics"].clone();
        let lines = found.as_array().unwrap().iter().map(|one| {
            let start = &one["range"]["start"];
            format!("{} {}:{}", one["code"].as_str().unwrap(), start["line"], start["character"])
        });
        (lines.collect(), found)
    }

    fn open(&mut self, uri: &str, text: &str) {
        self.tell(
            "textDocument/didOpen",
            &json!({ "textDocument": { "uri": uri, "languageId": "sql", "version": 1, "text": text } }),
        );
    }

    fn change(&mut self, uri: &str, version: i64, text: &str) {
        self.tell(
            "textDocument/didChange",
            &json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": [{ "text": text }] }),
        );
    }

    /// Tells of edits as editors do: (line, character), (line, character), text.
    fn edit(&mut self, uri: &str, version: i64, edits: &[Edit<'_>]) {
        let place = |(line, character): (usize, usize)| json!({ "line": line, "character": character });
        let changes: Vec<Value> = edits
            .iter()
            .map(|&(start, end, text)| json!({ "range": { "start": place(start), "end": place(end) }, "text": text }))
            .collect();
        self.tell(
            "textDocument/didChange",
            &json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": changes }),
        );
    }

    fn actions(&mut self, uri: &str, line: usize, diagnostics: &Value, only: Option<&str>) -> Vec<Value> {
        let place = json!({ "line": line, "character": 0 });
        let mut context = json!({ "diagnostics": diagnostics });
        if let Some(only) = only {
            context["only"] = json!([only]);
        }
        let answer = self.ask(
            "textDocument/codeAction",
            &json!({ "textDocument": { "uri": uri }, "range": { "start": place, "end": place }, "context": context }),
        );
        answer["result"].as_array().unwrap().clone()
    }

    fn end(mut self) {
        assert_eq!(self.ask("shutdown", &Value::Null)["result"], Value::Null);
        self.tell("exit", &Value::Null);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stdout: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(number) = line.strip_prefix("Content-Length: ") {
            length = number.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stdout.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display().to_string().replace(' ', "%20"))
}

/// Makes the edits of one document, counted in UTF-16.
fn edited(text: &str, edits: &Value) -> String {
    let byte = |place: &Value| {
        let line = usize::try_from(place["line"].as_u64().unwrap()).unwrap();
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mut left = usize::try_from(place["character"].as_u64().unwrap()).unwrap();
        let mut at = start;
        for character in text[start..].chars() {
            if left == 0 {
                break;
            }
            left -= character.len_utf16();
            at += character.len_utf8();
        }
        at
    };
    let mut edits: Vec<(usize, usize, String)> = edits
        .as_array()
        .unwrap()
        .iter()
        .map(|edit| {
            (
                byte(&edit["range"]["start"]),
                byte(&edit["range"]["end"]),
                edit["newText"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    edits.sort();
    let mut out = text.to_owned();
    for (start, end, new) in edits.into_iter().rev() {
        out.replace_range(start..end, &new);
    }
    out
}

const SCHEMA: &str =
    "create schema app; grant usage on schema app to public; create table app.t (k int, v text);\n";
const CODE: &str = "-- äöü 😀
create function app.f() returns bigint language plpgsql security definer set search_path = app
as $$ begin /* 😀 */ return (select count(*) from t); end $$;
revoke execute on function app.f() from public;
";

#[test]
fn an_editor_is_shown_findings_and_given_fixes() {
    let folder = tempfile::tempdir().unwrap();
    let folder_path = folder.path().canonicalize().unwrap();
    let (one, two) = (folder_path.join("1 schema.sql"), folder_path.join("2.sql"));
    std::fs::write(&one, SCHEMA).unwrap();
    std::fs::write(&two, "-- what is on disk is not what is open\n").unwrap();
    let (mut editor, server) = Editor::start(&[], &[]);
    assert_eq!(server["serverInfo"]["name"], "postern");
    assert_eq!(server["capabilities"]["positionEncoding"], "utf-16");
    let two_uri = uri(&two);
    editor.open(&two_uri, CODE);
    let (found, diagnostics) = editor.diagnostics(&two_uri, 1);
    let line = CODE.lines().nth(2).unwrap();
    let column = line[..line.find("t);").unwrap()].encode_utf16().count();
    assert_eq!(found, [format!("capturable 2:{column}")]);
    let message = diagnostics[0]["message"].as_str().unwrap();
    assert!(message.contains("proof: CREATE TEMPORARY TABLE pg_temp.t"), "{message}");
    assert_eq!((&diagnostics[0]["severity"], &diagnostics[0]["source"]), (&json!(1), &json!("postern")));

    let actions = editor.actions(&two_uri, 2, &diagnostics, Some("quickfix"));
    assert_eq!(actions.len(), 1, "{actions:#?}");
    assert_eq!(actions[0]["diagnostics"], diagnostics);
    let all = editor.actions(&two_uri, 0, &json!([]), Some("source.fixAll"));
    assert_eq!((all.len(), &all[0]["edit"]), (1, &actions[0]["edit"]));
    let fixed = edited(CODE, &actions[0]["edit"]["changes"][&two_uri]);
    let wanted = CODE
        .replace("from t", "from app.t")
        .replace("search_path = app", "search_path = pg_catalog, pg_temp");
    assert_eq!(fixed, wanted);
    editor.change(&two_uri, 2, &fixed);
    assert_eq!(editor.diagnostics(&two_uri, 2).0, Vec::<String>::new());
    assert!(editor.actions(&two_uri, 2, &json!([]), None).is_empty());

    // A file before it counts as it is in the editor: without the table the name means nothing.
    let one_uri = uri(&one);
    editor.open(&one_uri, SCHEMA);
    editor.change(&one_uri, 2, "create schema app;\n");
    editor.change(&two_uri, 3, CODE);
    let (found, _) = editor.diagnostics(&two_uri, 3);
    assert!(
        found[0].starts_with("capturable") && editor.actions(&two_uri, 2, &json!([]), None).is_empty(),
        "{found:?}"
    );
    editor.tell("textDocument/didClose", &json!({ "textDocument": { "uri": one_uri } }));
    editor.change(&two_uri, 4, &fixed);
    assert_eq!(editor.diagnostics(&two_uri, 4).0, Vec::<String>::new());
    editor.end();
    // Nothing was written.
    assert_eq!(std::fs::read_to_string(&one).unwrap(), SCHEMA);
    assert!(std::fs::read_to_string(&two).unwrap().starts_with("-- what is on disk"));
}

#[test]
fn edits_count_in_the_text_that_the_ones_before_them_left() {
    let code = CODE.replace('\n', "\r\n");
    for (encodings, width) in [(&[][..], 2), (&["utf-8"][..], 4)] {
        let (mut editor, server) = Editor::start(&["--server-version", "15"], encodings);
        assert_eq!(server["capabilities"]["textDocumentSync"], 2);
        let uri = "untitled:one.sql";
        editor.open(uri, "-- äöü 😀\r\n\r\n");
        assert_eq!(editor.diagnostics(uri, 1).0, Vec::<String>::new());
        // The schema is typed above, and the code below, in one message; each after what the other has moved.
        let body = code.lines().skip(1).flat_map(|line| [line, "\r\n"]).collect::<String>();
        editor.edit(uri, 2, &[((0, 0), (0, 0), SCHEMA), ((2, 0), (2, 0), &body)]);
        let column = |text: &str, what: &str| {
            let before = &text[..text.find(what).unwrap()];
            if width == 2 { before.encode_utf16().count() } else { before.len() }
        };
        let line = code.lines().nth(2).unwrap();
        assert_eq!(editor.diagnostics(uri, 2).0, [format!("capturable 3:{}", column(line, "t);"))]);
        // A character of two units is replaced by nothing, and the name behind it is qualified where it now stands.
        let smile = column(line, "😀");
        let name = column(line, "t);") - width;
        editor.edit(uri, 3, &[((3, smile), (3, smile + width), ""), ((3, name), (3, name), "app.")]);
        editor.edit(uri, 4, &[((2, 9_999), (2, 9_999), ", pg_temp")]);
        let found = editor.diagnostics(uri, 4).0;
        // `count` is found in app before it is taken of pg_catalog: only the names are safe.
        assert_eq!(found, Vec::<String>::new(), "width {width}");
        // What was never opened has no parts.
        editor.edit("untitled:two.sql", 2, &[((0, 0), (0, 1), "x")]);
        editor.edit(uri, 5, &[((0, 0), (9_999, 0), "select 'never ends")]);
        assert_eq!(editor.diagnostics(uri, 5).0, ["unread 0:0"]);
        editor.end();
    }
}

#[test]
fn files_can_be_listed_and_bytes_be_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder_path = folder.path().canonicalize().unwrap();
    // By name the code would come first.
    let (schema, code) = (folder_path.join("z.sql"), folder_path.join("a.sql"));
    std::fs::write(&schema, SCHEMA).unwrap();
    std::fs::write(&code, CODE).unwrap();
    let list = [schema.to_str().unwrap(), code.to_str().unwrap()];
    let (mut editor, server) = Editor::start(&list, &["utf-16", "utf-8"]);
    assert_eq!(server["capabilities"]["positionEncoding"], "utf-8");
    editor.open(&uri(&code), CODE);
    let (found, _) = editor.diagnostics(&uri(&code), 1);
    let column = CODE.lines().nth(2).unwrap().find("t);").unwrap();
    assert_eq!(found, [format!("capturable 2:{column}")]);
    assert_eq!(editor.actions(&uri(&code), 2, &json!([]), Some("quickfix")).len(), 1);
    editor.end();
}

#[test]
fn what_cannot_be_understood_stops_nothing() {
    let (mut editor, _) = Editor::start(&[], &[]);
    let answer = editor.ask("textDocument/hover", &json!({}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let answer = editor.ask("textDocument/codeAction", &json!({ "textDocument": 7 }));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    editor.tell("textDocument/didOpen", &json!({ "textDocument": "nothing" }));
    editor.tell("$/unknown", &json!([1, 2]));
    editor.tell("textDocument/didClose", &json!({ "textDocument": { "uri": "file:///never/opened.sql" } }));
    // A document that is no file, broken in the middle.
    let text = "select );\ncreate function f() returns int language sql security definer as 'select 1';\nselect 'never ends";
    editor.open("untitled:Untitled-1", text);
    let (found, _) = editor.diagnostics("untitled:Untitled-1", 1);
    let of = |rule: &str| found.iter().filter(|found| found.starts_with(rule)).count();
    assert_eq!((of("unread "), of("definer-without-path 1:16")), (2, 1), "{found:?}");
    editor.end();
    // An editor that goes away without a word.
    let (mut gone, _) = Editor::start(&[], &[]);
    gone.stdin = None;
    gone.child.wait().unwrap();
}
