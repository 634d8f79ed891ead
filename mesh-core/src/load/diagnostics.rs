use std::collections::HashMap;
use std::fmt;

use crate::diagnostic::{Diagnostic, Severity};
use crate::parse::render::{Style, render};

/// What was found, and the texts that it was found in.
///
/// `Display` draws all of it without colours, as [`draw`](Self::draw) does.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    texts: HashMap<String, String>,
}

impl Diagnostics {
    /// Adds what was found.
    pub fn extend<D: Into<Diagnostic>>(&mut self, found: impl IntoIterator<Item = D>) {
        self.found.extend(found.into_iter().map(Into::into));
    }

    /// Keeps the text of a file, so that an excerpt of it can be drawn.
    pub fn keep_text(&mut self, file: &str, text: impl Into<String>) {
        self.texts.insert(file.to_owned(), text.into());
    }

    /// What was found, in the order in which it was.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether anything is an error.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many findings are of `severity`.
    pub fn count(&self, severity: Severity) -> usize {
        let of = |found: &&Diagnostic| found.severity == severity;
        self.found.iter().filter(of).count()
    }

    /// Draws what was found as rustc does, one finding after the other, each under an excerpt of its
    /// text if that is kept.
    pub fn draw(&self, style: Style) -> String {
        let mut drawn = String::new();
        for diagnostic in &self.found {
            let text = self.texts.get(&*diagnostic.file);
            drawn += &render(diagnostic, text.map_or("", String::as_str), style);
            drawn += "\n\n";
        }
        drawn
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    /// What was found, in the order in which it was.
    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw(Style::Plain))
    }
}

impl std::error::Error for Diagnostics {}
