//! The page of each rule holds for files as it does for databases.

use super::found;
use postern_analyze::check::{RULES, Severity, output};

#[test]
fn the_page_of_each_rule_holds_for_files() {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules");
    for rule in RULES {
        let page = std::fs::read_to_string(pages.join(format!("{}.md", rule.id))).unwrap();
        let blocks: Vec<&str> =
            page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let [case, remedy] = blocks[..] else { panic!("{} has not two blocks", rule.id) };
        let of = |texts: &[&str]| {
            let found = found(texts);
            (found.iter().any(|found| found.starts_with(&format!("{} ", rule.id))), found)
        };
        let (hit, all) = of(&[case]);
        assert!(hit, "{}: {all:#?}", rule.id);
        let (hit, all) = of(&[case, remedy]);
        assert!(!hit, "{}: {all:#?}", rule.id);
    }
}

/// The first block of a rule's page.
fn case(rule: &str) -> String {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules");
    let page = std::fs::read_to_string(pages.join(format!("{rule}.md"))).unwrap();
    page.split("```sql\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn every_rule_is_in_every_format() {
    for rule in RULES {
        let findings = super::check(&super::project(&[&case(rule.id)]));
        let found: Vec<_> = findings.into_iter().filter(|finding| finding.rule == rule.id).collect();
        let first = &found[0];
        let (at, file) = (first.position.unwrap(), first.file.as_deref().unwrap());
        let text = output::text(&found);
        assert!(
            text.starts_with(&format!("{}[{}]: {}", first.severity.word(), rule.id, first.message)),
            "{text}"
        );
        assert!(text.contains(&format!("--> {file}:{}:{}", at.line, at.column)), "{text}");
        let json = &output::json(&found)["findings"][0];
        assert_eq!((&json["rule"], &json["key"]), (&rule.id.into(), &first.key.as_str().into()));
        assert_eq!(json["proof"], first.proof.as_deref().map_or(serde_json::Value::Null, Into::into));
        let sarif = output::sarif(&found);
        let run = &sarif["runs"][0];
        let known = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert!(known.iter().any(|known| known["id"] == rule.id), "{}", rule.id);
        let result = &run["results"][0];
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(result["ruleId"], rule.id);
        assert_eq!(place["artifactLocation"]["uri"], file);
        assert_eq!(
            (&place["region"]["startLine"], &place["region"]["startColumn"]),
            (&at.line.into(), &at.column.into())
        );
        // A name with characters beyond the first plane: columns are characters.
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let github = output::github(&found);
        let level = if first.severity == Severity::Note { "notice" } else { first.severity.word() };
        assert!(
            github.starts_with(&format!(
                "::{level} file={file},line={},col={},title=postern {}::",
                at.line, at.column, rule.id
            )),
            "{github}"
        );
        let junit = output::junit(&found);
        assert!(junit.contains(&format!("<failure type=\"{}\"", first.severity.word())), "{junit}");
        assert_eq!(junit.matches("<testcase ").count(), found.len());
    }
}
