use std::borrow::Cow;

use super::entry::Entry;
use super::expression::Condition;
use crate::telemetry::head::{Field, Head};
use crate::telemetry::mutual_tls::is_mutual;

/// Which exchanges are logged: the expressions of Istio's documentation.
///
/// Telemetry resources filter access logs by CEL expressions. Comparisons of the attributes below,
/// joined by `&&` or by `||`, are always understood, and cost little. Every other expression is
/// evaluated with the feature `cel`, and reads Envoy's attributes; one that fails for an exchange
/// does not log it. Without the feature it is refused, so that no log is wider or narrower than it
/// was meant to be.
///
/// | attribute | compared |
/// |---|---|
/// | `response.code`, which is not there without a response | by `==`, `!=`, `<`, `<=`, `>`, `>=` with a number |
/// | `request.method`, `request.url_path`, `request.host`, `request.headers['name']`, `response.flags` (a text here) | by `==` and `!=` with a text |
/// | `connection.mtls`: whether the client presented a certificate | alone, or with `!` before it |
/// | `has(request.useragent)`, `has(request.headers['name'])` | alone, or with `!` before it |
///
/// A header that there are several of is one text, joined by commas. The case of a name does not count,
/// and what HTTP/2 has for the first line is a header, too (`:path`).
///
/// # Example
///
/// ```
/// use mesh_policy::telemetry::access_log::LogFilter;
///
/// assert!("response.code >= 400 && request.method == 'GET'".parse::<LogFilter>().is_ok());
/// assert!("response.code >".parse::<LogFilter>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    All(Vec<Term>),
    Any(Vec<Term>),
    Expression(Condition),
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Code(Comparison, u16),
    HasField(Field, bool),
    MutualTls(bool),
    Text {
        attribute: Attribute,
        value: String,
        equal: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    NotEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Attribute {
    Field(Field),
    Flags,
    Host,
    Method,
    UrlPath,
}

impl LogFilter {
    /// Whether an exchange or connection is logged.
    pub(super) fn includes(&self, entry: &Entry<'_>) -> bool {
        match &self.0 {
            // CEL fails on what is not there, and what it fails for is not logged.
            Kind::All(terms) => terms.iter().all(|term| term.holds(entry) == Some(true)),
            Kind::Any(terms) => terms.iter().any(|term| term.holds(entry) == Some(true)),
            Kind::Expression(condition) => condition.holds(entry),
        }
    }
}

impl Term {
    /// `None` if what it asks for is not there.
    fn holds(&self, entry: &Entry<'_>) -> Option<bool> {
        let head = entry.request.map(Head::of_parts);
        let holds = match self {
            Self::Code(comparison, code) => {
                // Without a response there is none, though the line says 0.
                comparison.holds(entry.response?.status.as_u16(), *code)
            }
            Self::HasField(field, expected) => {
                head.is_some_and(|head| head.value(field).is_some()) == *expected
            }
            Self::MutualTls(expected) => is_mutual(entry.extensions) == *expected,
            Self::Text {
                attribute,
                value,
                equal,
            } => {
                let found: Cow<'_, [u8]> = match attribute {
                    Attribute::Field(field) => head?.value(field)?,
                    Attribute::Flags => entry.flags().to_string().into_bytes().into(),
                    Attribute::Host => {
                        entry.request?;
                        entry.host().unwrap_or_default().as_bytes().into()
                    }
                    Attribute::Method => head?.method.as_str().as_bytes().into(),
                    Attribute::UrlPath => head?.uri.path().as_bytes().into(),
                };
                (*found == *value.as_bytes()) == *equal
            }
        };
        Some(holds)
    }
}

impl Comparison {
    /// The operators, longer ones first.
    const ALL: [(&str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        (">=", Self::GreaterOrEqual),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        ("<", Self::Less),
    ];

    fn holds(self, found: u16, expected: u16) -> bool {
        match self {
            Self::Equal => found == expected,
            Self::Greater => found > expected,
            Self::GreaterOrEqual => found >= expected,
            Self::Less => found < expected,
            Self::LessOrEqual => found <= expected,
            Self::NotEqual => found != expected,
        }
    }
}

impl std::str::FromStr for LogFilter {
    type Err = ParseFilterError;

    /// Parses an expression.
    ///
    /// # Errors
    ///
    /// It is none of those that are understood.
    fn from_str(expression: &str) -> Result<Self, Self::Err> {
        let kind = terms(expression).or_else(|| {
            let condition = Condition::compile(expression);
            condition.map(Kind::Expression)
        });
        kind.map(Self).ok_or_else(|| ParseFilterError {
            expression: expression.to_owned(),
        })
    }
}

/// The terms of an expression that has no more than some.
fn terms(expression: &str) -> Option<Kind> {
    let any = expression.contains("||");
    // A text that has an operator in it would be cut; its parts are none that are understood.
    let parts = expression.split(if any { "||" } else { "&&" });
    let terms = parts.map(|part| term(part.trim())).collect::<Option<_>>()?;
    Some(if any {
        Kind::Any(terms)
    } else {
        Kind::All(terms)
    })
}

fn term(text: &str) -> Option<Term> {
    let (expected, bare) = match text.strip_prefix('!') {
        Some(rest) if !rest.starts_with('=') => (false, rest.trim()),
        _ => (true, text),
    };
    if bare == "connection.mtls" {
        return Some(Term::MutualTls(expected));
    }
    if let Some(attribute) = bare
        .strip_prefix("has(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return Some(Term::HasField(field(attribute.trim())?, expected));
    }
    let (at, operator, comparison) = Comparison::ALL
        .into_iter()
        .find_map(|(operator, comparison)| Some((text.find(operator)?, operator, comparison)))?;
    let (attribute, value) = (text[..at].trim(), text[at + operator.len()..].trim());
    if attribute == "response.code" {
        return Some(Term::Code(comparison, value.parse().ok()?));
    }
    let equal = match comparison {
        Comparison::Equal => true,
        Comparison::NotEqual => false,
        _ => return None,
    };
    let attribute = match attribute {
        "request.host" => Attribute::Host,
        "request.method" => Attribute::Method,
        "request.url_path" => Attribute::UrlPath,
        "response.flags" => Attribute::Flags,
        other => Attribute::Field(field(other)?),
    };
    let value = quoted(value)?.to_owned();
    Some(Term::Text {
        attribute,
        value,
        equal,
    })
}

/// The field that an attribute stands for.
fn field(attribute: &str) -> Option<Field> {
    Field::parse(match attribute {
        "request.useragent" => "user-agent",
        "request.referer" => "referer",
        "request.id" => "x-request-id",
        _ => {
            let rest = attribute.strip_prefix("request.headers[")?;
            quoted(rest.strip_suffix(']')?)?
        }
    })
}

fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains([quote, '\\'])).then_some(inner)
    })
}

/// An expression that is not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the filter expression `{expression}` is not supported")]
#[non_exhaustive]
pub struct ParseFilterError {
    /// The expression.
    pub expression: String,
}
