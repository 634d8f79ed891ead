//! Envoy's URI templates, `/users/{id}/{rest=**}`.

use std::fmt;
use std::sync::Arc;

use regex::Regex;
use serde::{Serialize, Serializer};

/// Most variables of a template.
const MAX_VARIABLES: usize = 5;
/// Most characters of a variable's name.
const MAX_NAME_LENGTH: usize = 16;

/// Characters of a path segment (RFC 3986, appendix A), without `*`, as a class of an expression.
const SEGMENT: &str = r"[A-Za-z0-9\-._~%!$&'()+,;:@=]+";
/// The same, over any number of segments.
const SEGMENTS: &str = r"[A-Za-z0-9\-._~%!$&'()+,;:@=/]*";

/// A path with wildcards and variables, in the language of Envoy's [URI template matcher].
///
/// A segment is text, `*` (one segment), `**` (any number of segments, and nothing after it may be
/// a wildcard), or a variable: `{name}` is one segment, `{name=pattern}` what the pattern takes.
/// After the last wildcard or variable may stand more text, without a slash.
///
/// [`PathTemplate`](super::PathTemplate) is the part of this language that an AuthorizationPolicy
/// may use.
///
/// ```
/// use mesh_core::matcher::UriTemplate;
///
/// # fn main() -> Result<(), mesh_core::matcher::ParseUriTemplateError> {
/// let template = UriTemplate::parse("/users/{id}/{file=**}.json")?;
/// let found = template.captures("/users/7/a/b.json").unwrap();
/// assert_eq!(found.collect::<Vec<_>>(), [("id", "7"), ("file", "a/b")]);
///
/// let rewrite = template.rewrite("/{file}-of-{id}")?;
/// assert_eq!(rewrite.apply("/users/7/a/b.json").as_deref(), Some("/a/b-of-7"));
/// # Ok(())
/// # }
/// ```
///
/// [URI template matcher]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/path/match/uri_template/v3/uri_template_match.proto
#[derive(Clone, Debug)]
pub struct UriTemplate {
    text: Arc<str>,
    variables: Arc<[String]>,
    // The whole path, with a group for each variable, in their order.
    expression: Regex,
}

impl UriTemplate {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// When it does not begin with a slash, a segment is empty or has a character that paths do not
    /// have, a wildcard follows `**`, or a variable has no valid name, a name that is taken, or
    /// there are too many.
    pub fn parse(template: &str) -> Result<Self, ParseUriTemplateError> {
        let mut parser = Parser::new(template)?;
        parser.path()?;
        let pattern = format!("^{}$", parser.expression);
        let expression = Regex::new(&pattern);
        let expression = expression.map_err(|_| ParseUriTemplateError::TooLarge)?;
        Ok(Self {
            text: template.into(),
            variables: parser.variables.into(),
            expression,
        })
    }

    /// Whether the path, which has no query, is matched.
    #[must_use]
    pub fn is_match(&self, path: &str) -> bool {
        self.expression.is_match(path)
    }

    /// The variables and what they stand for in the path, if it is matched.
    pub fn captures<'a>(
        &'a self,
        path: &'a str,
    ) -> Option<impl Iterator<Item = (&'a str, &'a str)>> {
        let found = self.expression.captures(path)?;
        let names = self.variables.iter().enumerate();
        Some(names.map(move |(index, name)| {
            let value = found.get(index + 1);
            (name.as_str(), value.map_or("", |value| value.as_str()))
        }))
    }

    /// A path made of the variables of this template, `/{b}/{a}`.
    ///
    /// # Errors
    ///
    /// When it does not begin with a slash, has two in a row or a character that paths do not have,
    /// or names a variable that the template does not have.
    pub fn rewrite(&self, path: &str) -> Result<UriRewrite, ParseUriTemplateError> {
        let parts = rewrite_parts(path)?;
        for part in &parts {
            if let Part::Variable(name) = part
                && !self.variables.contains(name)
            {
                return Err(ParseUriTemplateError::UnknownVariable(name.clone()));
            }
        }
        Ok(UriRewrite {
            template: self.clone(),
            text: path.into(),
            parts: parts.into(),
        })
    }

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for UriTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for UriTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for UriTemplate {}

impl Serialize for UriTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Makes a path of the variables of a [`UriTemplate`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UriRewrite {
    template: UriTemplate,
    text: Arc<str>,
    parts: Arc<[Part]>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Variable(String),
}

impl UriRewrite {
    /// Checks that `path` can be a rewrite of some template.
    ///
    /// # Errors
    ///
    /// As [`UriTemplate::rewrite`], except for variables that do not exist.
    pub fn validate(path: &str) -> Result<(), ParseUriTemplateError> {
        rewrite_parts(path).map(drop)
    }

    /// The rewrite as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The new path, if the template matches `path`.
    #[must_use]
    pub fn apply(&self, path: &str) -> Option<String> {
        let values: Vec<_> = self.template.captures(path)?.collect();
        let value = |name: &String| {
            let found = values.iter().find(|(own, _)| own == name);
            found.map_or("", |(_, value)| value)
        };
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Variable(name) => value(name),
        });
        Some(parts.collect())
    }
}

impl Serialize for UriRewrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

fn rewrite_parts(path: &str) -> Result<Vec<Part>, ParseUriTemplateError> {
    if !path.starts_with('/') {
        return Err(ParseUriTemplateError::Relative);
    }
    if path.contains("//") {
        return Err(ParseUriTemplateError::Segment(String::new()));
    }
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (text, variable) = match rest.split_once('{') {
            Some((text, variable)) => (text, Some(variable)),
            None => (rest, None),
        };
        if !text.is_empty() {
            if !text
                .split('/')
                .all(|segment| segment.is_empty() || is_literal(segment))
            {
                return Err(ParseUriTemplateError::Segment(text.to_owned()));
            }
            parts.push(Part::Text(text.to_owned()));
        }
        let Some(variable) = variable else {
            break;
        };
        let (name, after) = variable
            .split_once('}')
            .ok_or_else(|| ParseUriTemplateError::Variable(variable.to_owned()))?;
        check_name(name)?;
        parts.push(Part::Variable(name.to_owned()));
        rest = after;
    }
    Ok(parts)
}

struct Parser<'a> {
    rest: &'a str,
    expression: String,
    variables: Vec<String>,
    // Whether `**` was met: then there are no further wildcards.
    is_open: bool,
}

impl<'a> Parser<'a> {
    fn new(template: &'a str) -> Result<Self, ParseUriTemplateError> {
        let rest = template
            .strip_prefix('/')
            .filter(|rest| rest.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or(ParseUriTemplateError::Relative)?;
        Ok(Self {
            rest,
            expression: String::from("/"),
            variables: Vec::new(),
            is_open: false,
        })
    }

    fn path(&mut self) -> Result<(), ParseUriTemplateError> {
        while !self.rest.is_empty() {
            match self.rest.as_bytes()[0] {
                b'*' => self.wildcard()?,
                b'{' => self.variable()?,
                _ => self.literal()?,
            }
            if self.rest.is_empty() {
                break;
            }
            if let Some(after) = self.rest.strip_prefix('/') {
                self.expression.push('/');
                self.rest = after;
                continue;
            }
            // Text that ends the last segment.
            self.literal()?;
            if !self.rest.is_empty() {
                return Err(ParseUriTemplateError::Segment(self.rest.to_owned()));
            }
        }
        Ok(())
    }

    fn literal(&mut self) -> Result<(), ParseUriTemplateError> {
        let end = self.rest.find('/').unwrap_or(self.rest.len());
        let (literal, rest) = self.rest.split_at(end);
        if !is_literal(literal) {
            return Err(ParseUriTemplateError::Segment(literal.to_owned()));
        }
        self.expression.push_str(&regex::escape(literal));
        self.rest = rest;
        Ok(())
    }

    fn wildcard(&mut self) -> Result<(), ParseUriTemplateError> {
        if self.is_open {
            return Err(ParseUriTemplateError::AfterRest);
        }
        if let Some(rest) = self.rest.strip_prefix("**") {
            (self.rest, self.is_open) = (rest, true);
            self.expression.push_str(SEGMENTS);
        } else if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            self.expression.push_str(SEGMENT);
        }
        Ok(())
    }

    fn variable(&mut self) -> Result<(), ParseUriTemplateError> {
        let refuse = |variable: &str| ParseUriTemplateError::Variable(variable.to_owned());
        let (inner, after) = self.rest[1..]
            .split_once('}')
            .ok_or_else(|| refuse(self.rest))?;
        let (name, pattern) = match inner.split_once('=') {
            Some((name, pattern)) => (name, pattern),
            None => (inner, "*"),
        };
        check_name(name)?;
        if self.variables.iter().any(|own| own == name) || self.variables.len() == MAX_VARIABLES {
            return Err(refuse(name));
        }
        self.variables.push(name.to_owned());
        self.expression.push('(');
        self.rest = pattern;
        self.pattern()?;
        self.expression.push(')');
        self.rest = after;
        Ok(())
    }

    /// The pattern of a variable: text and wildcards that are whole segments.
    fn pattern(&mut self) -> Result<(), ParseUriTemplateError> {
        loop {
            if self.rest.starts_with('*') {
                self.wildcard()?;
            } else {
                self.literal()?;
            }
            if self.rest.is_empty() {
                return Ok(());
            }
            match self.rest.strip_prefix('/') {
                Some(after) => self.rest = after,
                None => return Err(ParseUriTemplateError::Segment(self.rest.to_owned())),
            }
            self.expression.push('/');
        }
    }
}

fn is_literal(segment: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&byte);
    !segment.is_empty() && segment.bytes().all(is_allowed)
}

fn check_name(name: &str) -> Result<(), ParseUriTemplateError> {
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic());
    let continues = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if begins && continues && name.len() <= MAX_NAME_LENGTH {
        return Ok(());
    }
    Err(ParseUriTemplateError::Variable(name.to_owned()))
}

/// Why a text is no [`UriTemplate`] or [`UriRewrite`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseUriTemplateError {
    /// A wildcard follows `**`.
    #[error("a wildcard follows `**`")]
    AfterRest,
    /// It does not begin with a slash, or has a blank.
    #[error("a template begins with `/` and has no blanks")]
    Relative,
    /// A segment is empty, has a character that paths do not have, or mixes text with a wildcard.
    #[error("`{0}` is no segment of a path")]
    Segment(String),
    /// The expression that it stands for is too large.
    #[error("the template is too large")]
    TooLarge,
    /// A rewrite names a variable that the template does not have.
    #[error("the template has no variable `{0}`")]
    UnknownVariable(String),
    /// A variable is not closed, its name is not valid or taken, or there are too many.
    #[error("`{0}` is no variable: up to five have names of their own, of letters, digits and `_`")]
    Variable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_variables_take_what_they_say() {
        let cases = [
            ("/", "/", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a/", false),
            ("/a/**", "/a/", true),
            ("/a/**", "/a/b/c", true),
            ("/a/*.ts", "/a/b.ts", true),
            ("/a/*/", "/a/b/", true),
            ("/a/*/", "/a/b", false),
            ("/{x=a/*}/c", "/a/b/c", true),
            ("/a.b", "/axb", false),
            ("/*", "/a b", false),
        ];
        for (template, path, expected) in cases {
            let parsed = UriTemplate::parse(template).unwrap();
            assert_eq!(parsed.is_match(path), expected, "{template} {path}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        use ParseUriTemplateError as Error;
        let cases = [
            ("a", Error::Relative),
            ("/a b", Error::Relative),
            ("/a//b", Error::Segment(String::new())),
            ("/a{b}", Error::Segment("a{b}".into())),
            ("/**/*", Error::AfterRest),
            ("/**/{a}", Error::AfterRest),
            ("/{a}/{a}", Error::Variable("a".into())),
            ("/{a", Error::Variable("{a".into())),
            ("/{1}", Error::Variable("1".into())),
            ("/{a=}", Error::Segment(String::new())),
            ("/{a=*b}", Error::Segment("b".into())),
            ("/{a}/{b}/{c}/{d}/{e}/{f}", Error::Variable("f".into())),
        ];
        for (template, expected) in cases {
            assert_eq!(
                UriTemplate::parse(template).unwrap_err(),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn a_rewrite_names_variables_of_its_template() {
        let template = UriTemplate::parse("/{a}/{b=**}").unwrap();
        let rewrite = template.rewrite("/x/{b}/{a}y").unwrap();
        assert_eq!(rewrite.apply("/1/2/3").as_deref(), Some("/x/2/3/1y"));
        assert_eq!(rewrite.apply("/1"), None);
        let unknown = ParseUriTemplateError::UnknownVariable("c".into());
        assert_eq!(template.rewrite("/{c}").unwrap_err(), unknown);
        for invalid in ["x", "/a//b", "/{a", "/{a}}", "/{1}"] {
            assert!(UriRewrite::validate(invalid).is_err(), "{invalid}");
        }
    }
}
