//! The page of each rule holds for files as it does for databases.

use super::found;
use postern_analyze::check::RULES;

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
