//! What could not be read of the files.

use std::ops::Range;

/// Something that was not understood; the rest was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file.
    pub file: usize,
    /// Where.
    pub span: Range<usize>,
    /// Which statement, for the key of the finding.
    pub object: String,
    /// What the matter is.
    pub message: String,
}
