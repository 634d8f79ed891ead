//! Whether a request meets the conditions of a route.
//!
//! A condition says why it is not met as a borrowed [`Mismatch`], which costs nothing until it is
//! displayed. So the lookup and its explanation evaluate the same conditions by the same code.

mod claim;
mod header;
mod phrase;
mod query_param;
mod repeated;

use std::fmt;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use mesh_core::matcher::StringMatch;
use mesh_core::model::route::{ClaimMatch, PathMatch, QueryParamMatch, RouteMatch};

use crate::matches::header::HeaderCondition;
use crate::matches::phrase::Phrase;
use crate::request::RequestHead;

/// A condition that a request does not meet. Displayed as a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mismatch<'a> {
    Claim {
        rule: &'a ClaimMatch,
    },
    /// Without a value: the field is absent.
    Header {
        rule: &'a HeaderCondition,
        value: Option<&'a HeaderValue>,
    },
    NotGrpc,
    Path {
        rule: &'a RouteMatch,
        path: &'a str,
    },
    /// A pseudo-header field that a condition on header fields looks at.
    PseudoHeader {
        rule: &'a HeaderCondition,
        value: &'a str,
    },
    /// Without a value: the parameter is absent.
    QueryParam {
        rule: &'a QueryParamMatch,
        value: Option<&'a str>,
    },
    Text {
        what: What,
        value: &'a str,
        rule: &'a StringMatch,
    },
}

/// A part of the request line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Authority,
    Method,
    Scheme,
}

/// Whether `path` meets the condition on the path.
pub(crate) fn path<'a>(rule: &'a RouteMatch, path: &'a str) -> Result<(), Mismatch<'a>> {
    let fold = rule.ignore_path_case;
    let takes = match &rule.path {
        PathMatch::Exact(exact) => path.len() == exact.len() && begins(path, exact, fold),
        PathMatch::PathSeparatedPrefix(prefix) => {
            begins(path, prefix, fold)
                && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
        }
        PathMatch::Prefix(prefix) => begins(path, prefix, fold),
        PathMatch::Regex(regex) => regex.is_match(path),
        PathMatch::Template(template) => template.is_match(path),
    };
    if takes {
        Ok(())
    } else {
        Err(Mismatch::Path { rule, path })
    }
}

fn begins(path: &str, prefix: &str, ignore_case: bool) -> bool {
    let head = path.as_bytes().get(..prefix.len());
    head.is_some_and(|head| match ignore_case {
        true => head.eq_ignore_ascii_case(prefix.as_bytes()),
        false => head == prefix.as_bytes(),
    })
}

/// A condition of a route beside that on its path.
///
/// Copied out of the route, so that the conditions of a route lie together and a lookup meets only
/// those that there are.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Claim(ClaimMatch),
    Grpc,
    Header(HeaderCondition),
    QueryParam(QueryParamMatch),
    Text(What, StringMatch),
}

/// The conditions of `rule` beside that on its path, and the names that are not those of a header
/// field.
pub(crate) fn conditions(rule: &RouteMatch) -> (Vec<Condition>, Vec<&str>) {
    let (mut conditions, mut refused) = (Vec::new(), Vec::new());
    let texts = [
        (What::Method, &rule.method),
        (What::Scheme, &rule.scheme),
        (What::Authority, &rule.authority),
    ];
    for (what, rule) in texts {
        conditions.extend(rule.clone().map(|rule| Condition::Text(what, rule)));
    }
    conditions.extend(rule.grpc.then_some(Condition::Grpc));
    for header in &rule.headers {
        match HeaderCondition::compile(header) {
            Ok(header) => conditions.push(Condition::Header(header)),
            Err(_) => refused.push(header.name.as_str()),
        }
    }
    conditions.extend(rule.query_params.iter().cloned().map(Condition::QueryParam));
    conditions.extend(rule.claims.iter().cloned().map(Condition::Claim));
    (conditions, refused)
}

impl Condition {
    /// Whether `head` meets the condition.
    pub(crate) fn evaluate<'a>(&'a self, head: &RequestHead<'a>) -> Result<(), Mismatch<'a>> {
        match self {
            Self::Claim(rule) => claim::evaluate(rule, head.claims()),
            Self::Grpc if is_grpc(head.headers()) => Ok(()),
            Self::Grpc => Err(Mismatch::NotGrpc),
            Self::Header(rule) => rule.evaluate(head),
            Self::QueryParam(rule) => query_param::evaluate(rule, head.query()),
            Self::Text(what, rule) => text(*what, rule, head),
        }
    }
}

fn text<'a>(what: What, rule: &'a StringMatch, head: &RequestHead<'a>) -> Result<(), Mismatch<'a>> {
    let value = match what {
        What::Authority => head.authority(),
        What::Method => head.method(),
        What::Scheme => head.scheme(),
    };
    if rule.is_match(value) {
        return Ok(());
    }
    Err(Mismatch::Text { what, value, rule })
}

/// Whether a route for gRPC takes requests with `headers`: as in Envoy, `application/grpc` alone or
/// before `+`, by its exact spelling.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'+'))
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phrase = |rule, holds| Phrase { rule, holds };
        match *self {
            Self::Claim { rule } => {
                let name = rule.path.join(".");
                write!(f, "claim `{name}` {}", phrase(&rule.value, rule.invert))
            }
            Self::Header { rule, value: None } => write!(f, "header `{}` is absent", rule.field),
            Self::Header {
                rule,
                value: Some(value),
            } => {
                let value = String::from_utf8_lossy(value.as_bytes());
                let phrase = phrase(&rule.value, rule.invert);
                write!(f, "header `{}: {value}` {phrase}", rule.field)
            }
            Self::NotGrpc => f.write_str("the request is not gRPC"),
            Self::Path { rule, path } => match &rule.path {
                PathMatch::Exact(exact) => write!(f, "path `{path}` is not `{exact}`"),
                PathMatch::PathSeparatedPrefix(prefix) => {
                    write!(f, "path `{path}` is not `{prefix}` or below it")
                }
                PathMatch::Prefix(prefix) => {
                    write!(f, "path `{path}` does not begin with `{prefix}`")
                }
                PathMatch::Regex(regex) => write!(f, "path `{path}` does not match `{regex}`"),
                PathMatch::Template(template) => {
                    write!(f, "path `{path}` does not match `{template}`")
                }
            },
            Self::PseudoHeader { rule, value } => {
                let phrase = phrase(&rule.value, rule.invert);
                write!(f, "header `{}: {value}` {phrase}", rule.field)
            }
            Self::QueryParam { rule, value: None } => {
                write!(f, "query parameter `{}` is absent", rule.name)
            }
            Self::QueryParam {
                rule,
                value: Some(value),
            } => {
                let phrase = phrase(&rule.value, false);
                write!(f, "query parameter `{}={value}` {phrase}", rule.name)
            }
            Self::Text { what, value, rule } => {
                write!(f, "{what} `{value}` {}", phrase(rule, false))
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => "authority",
            Self::Method => "method",
            Self::Scheme => "scheme",
        })
    }
}
