//! The Markdown files of this repository, and what is in them.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub struct Page {
    /// Below the root of the repository, with slashes.
    pub name: String,
    pub text: String,
}

/// A block of code.
pub struct Block {
    pub language: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All of them, by name. What tools have fetched is not ours.
pub fn all() -> Vec<Page> {
    let root = root();
    let (mut folders, mut pages) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || ["target", "node_modules", "__pycache__"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                pages.push(Page { name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    pages.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(pages.len() > 50, "{}", pages.len());
    pages
}

impl Page {
    pub fn read(name: &str) -> Self {
        Self { name: name.to_owned(), text: fs::read_to_string(root().join(name)).unwrap() }
    }

    /// The folder that links are relative to.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.name).parent().unwrap().to_owned()
    }

    /// The blocks of code, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_inside = false;
        for line in self.text.lines() {
            match line.strip_prefix("```") {
                Some(language) if !is_inside => {
                    blocks.push(Block { language: language.to_owned(), text: String::new() });
                    is_inside = true;
                }
                Some(_) => is_inside = false,
                None if is_inside => {
                    let text = &mut blocks.last_mut().unwrap().text;
                    text.push_str(line);
                    text.push('\n');
                }
                None => {}
            }
        }
        assert!(!is_inside, "{}: a block of code does not end", self.name);
        blocks
    }

    /// Its lines outside of blocks of code.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_inside = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            is_inside ^= is_fence;
            !is_inside && !is_fence
        })
    }

    /// Where its links lead, as written.
    pub fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for line in self.prose() {
            // Not in `code`.
            let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
            for rest in line.split("](").skip(1) {
                links.push(rest.split(')').next().unwrap().to_owned());
            }
        }
        links
    }

    /// What a `#` can name in it: its headings, as they are commonly made into names.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for line in self.prose() {
            let title = line.trim_start_matches('#');
            if title.len() == line.len() || !title.starts_with(' ') {
                continue;
            }
            let kept = title.trim().to_lowercase().replace(' ', "-");
            let anchor: String = kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
            let same = anchors.iter().filter(|other| **other == anchor).count();
            anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
        }
        anchors
    }
}
