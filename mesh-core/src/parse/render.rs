//! Draws a [`Diagnostic`] under an excerpt of the file that it is about, as rustc does.
//!
//! # Example
//!
//! ```
//! use mesh_core::diagnostic::{Diagnostic, Severity};
//! use mesh_core::origin::Position;
//! use mesh_core::parse::render::{Style, render};
//!
//! let text = "spec:\n  htttp: []\n";
//! let diagnostic = Diagnostic {
//!     position: Position::new(2, 3),
//!     help: "known fields: `http`".into(),
//!     ..Diagnostic::new(Severity::Error, "mesh.yaml", "unknown field `htttp`")
//! };
//! assert_eq!(
//!     render(&diagnostic, text, Style::Plain),
//!     "\
//! error: unknown field `htttp`
//!  --> mesh.yaml:2:3
//!   |
//! 1 | spec:
//! 2 |   htttp: []
//!   |   ^^^^^
//!   |
//!   = help: known fields: `http`"
//! );
//! ```

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity};

/// Whether colours are drawn.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Style {
    /// With the escape sequences of ANSI terminals.
    Coloured,
    /// Text alone.
    #[default]
    Plain,
}

/// Lines shown before the one that a diagnostic is about, and after it.
const CONTEXT: usize = 2;

/// Draws `diagnostic`; `text` is the content of its file.
///
/// The excerpt is left out when the place is unknown or is not in `text`.
pub fn render(diagnostic: &Diagnostic, text: &str, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Info => Level::INFO,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let mut title = level.primary_title(diagnostic.message.as_str());
    if !diagnostic.code.is_empty() {
        title = title.id(diagnostic.code.as_str());
    }
    let mut group = Group::with_title(title);
    match Excerpt::of(diagnostic, text) {
        Some(excerpt) => {
            let label = Some(diagnostic.label.as_str()).filter(|label| !label.is_empty());
            let annotation = AnnotationKind::Primary.span(excerpt.span).label(label);
            group = group.element(
                Snippet::source(excerpt.text)
                    .path(&*diagnostic.file)
                    .line_start(excerpt.first_line)
                    .fold(false)
                    .annotation(annotation),
            );
        }
        None if diagnostic.file.is_empty() => {}
        None => group = group.element(Origin::path(&*diagnostic.file)),
    }
    if !diagnostic.help.is_empty() {
        group = group.element(Level::HELP.message(diagnostic.help.as_str()));
    }
    let renderer = match style {
        Style::Coloured => Renderer::styled(),
        Style::Plain => Renderer::plain(),
    };
    renderer.render(&[group])
}

/// The lines around a place, and the word at the place in them.
struct Excerpt<'a> {
    text: &'a str,
    first_line: usize,
    span: Range<usize>,
}

impl<'a> Excerpt<'a> {
    fn of(diagnostic: &Diagnostic, text: &'a str) -> Option<Self> {
        let line = (diagnostic.position.line as usize).checked_sub(1)?;
        let column = (diagnostic.position.column as usize).checked_sub(1)?;
        let first = line.saturating_sub(CONTEXT);
        let mut starts = text
            .split_inclusive('\n')
            .scan(0, |end, line| {
                let start = *end;
                *end += line.len();
                Some((start, line))
            })
            .skip(first);
        let lines: Vec<(usize, &str)> = starts.by_ref().take(line + CONTEXT + 1 - first).collect();
        let (begin, _) = *lines.first()?;
        let (start, content) = *lines.get(line - first)?;
        let (last, tail) = *lines.last()?;
        let content = content.trim_end_matches(['\n', '\r']);
        let offset = content
            .char_indices()
            .nth(column)
            .map_or(content.len(), |(offset, _)| offset);
        let word = start + offset - begin;
        Some(Self {
            text: text.get(begin..last + tail.len())?,
            first_line: first + 1,
            span: word..word + word_length(&content[offset..]),
        })
    }
}

/// Length of the key or scalar that `rest` of a line begins with.
fn word_length(rest: &str) -> usize {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let end = match quote {
        Some(quote) => rest[1..].find(quote).map(|end| end + 2),
        None => rest.find([':', ',', ' ', '\t', ']', '}', '#']),
    };
    match end.unwrap_or(rest.len()) {
        0 => rest.chars().next().map_or(0, char::len_utf8),
        end => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Position;

    fn at(line: u32, column: u32) -> Diagnostic {
        Diagnostic {
            position: Position::new(line, column),
            code: "IST0106".into(),
            label: "here".into(),
            ..Diagnostic::new(Severity::Warning, "a.yaml", "odd")
        }
    }

    #[test]
    fn shows_the_lines_around_the_place() {
        let text = "a: 1\nb: 2\nc: 3\nd: \"é x\"\r\ne: 5\nf: 6\ng: 7\n";
        assert_eq!(
            render(&at(4, 4), text, Style::Plain),
            "\
warning[IST0106]: odd
 --> a.yaml:4:4
  |
2 | b: 2
3 | c: 3
4 | d: \"é x\"
  |    ^^^^^ here
5 | e: 5
6 | f: 6
  |"
        );
    }

    #[test]
    fn a_place_outside_the_text_is_not_drawn() {
        for diagnostic in [at(0, 0), at(9, 1)] {
            let drawn = render(&diagnostic, "a: 1\n", Style::Plain);
            assert_eq!(drawn, "warning[IST0106]: odd\n--> a.yaml");
        }
        let drawn = render(&at(1, 90), "a: 1\n", Style::Plain);
        assert!(drawn.contains("a: 1"), "{drawn}");
    }
}
