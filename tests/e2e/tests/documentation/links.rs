//! Every link leads somewhere, and every page is led to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use crate::pages::{self, Page, root};

/// A path without `..`, with slashes.
fn plain(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                assert!(parts.pop().is_some(), "{} leaves the repository", path.display());
            }
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

/// What a link of a page names in this repository: a file or folder, and what stands after `#`.
fn target(page: &Page, link: &str) -> Option<(String, Option<String>)> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) =
        link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
    let name = if file.is_empty() { page.name.clone() } else { plain(&page.folder().join(file)) };
    Some((name, anchor))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    let pages = pages::all();
    let by_name: BTreeMap<&str, &Page> = pages.iter().map(|page| (page.name.as_str(), page)).collect();
    let (mut broken, mut links) = (Vec::new(), 0);
    for page in &pages {
        for link in page.links() {
            let Some((name, anchor)) = target(page, &link) else { continue };
            links += 1;
            let leads = match anchor {
                None => root().join(&name).exists(),
                Some(anchor) => {
                    by_name.get(name.as_str()).is_some_and(|page| page.anchors().contains(&anchor))
                }
            };
            if !leads {
                broken.push(format!("{}: {link}", page.name));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
    assert!(links > 150, "{links}");
}

#[test]
fn every_page_is_reached_from_the_first_one() {
    let pages = pages::all();
    let by_name: BTreeMap<&str, &Page> = pages.iter().map(|page| (page.name.as_str(), page)).collect();
    let (mut reached, mut open) = (BTreeSet::new(), vec!["README.md".to_owned()]);
    while let Some(name) = open.pop() {
        // The page of a folder is its README.
        let name = if by_name.contains_key(name.as_str()) { name } else { format!("{name}/README.md") };
        let Some(page) = by_name.get(name.as_str()) else { continue };
        if reached.insert(name.clone()) {
            open.extend(page.links().iter().filter_map(|link| target(page, link)).map(|(name, _)| name));
        }
    }
    // Notes beside what a test reads are for who finds that.
    let lost: Vec<&str> = by_name
        .keys()
        .copied()
        .filter(|name| !reached.contains(*name) && !name.contains("/tests/"))
        .collect();
    assert_eq!(lost, [""; 0]);
}

#[test]
fn the_index_names_every_page_of_its_folders() {
    let index = Page::read("docs/README.md");
    let named: BTreeSet<String> =
        index.links().iter().filter_map(|link| target(&index, link)).map(|(name, _)| name).collect();
    // The rules have an index of their own.
    let missing: Vec<String> = pages::all()
        .into_iter()
        .map(|page| page.name)
        .filter(|name| {
            name.starts_with("docs/")
                && !name.starts_with("docs/reference/rules/")
                && name != "docs/README.md"
        })
        .filter(|name| !named.contains(name))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn links_and_headings_are_read_as_they_are_shown() {
    let text = "# A `b.c`: d, e?\n\n[x](y.md#z) and `[no](link)`\n\n```sh\n# no heading [no](link)\n```\n\n## Same\n\n## Same\n";
    let page = Page { name: "docs/p.md".into(), text: text.into() };
    assert_eq!(page.links(), ["y.md#z"]);
    assert_eq!(page.anchors(), ["a-bc-d-e", "same", "same-1"]);
    assert_eq!(target(&page, "../y.md#z"), Some(("y.md".into(), Some("z".into()))));
    assert_eq!(target(&page, "#z"), Some(("docs/p.md".into(), Some("z".into()))));
    assert_eq!(target(&page, "https://example.com/#z"), None);
}
