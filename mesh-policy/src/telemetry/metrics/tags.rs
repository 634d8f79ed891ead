//! Custom labels: what their values are read from, and when.

use std::time::Duration;

use http::{Extensions, HeaderMap, Request, Response, request, response};
use mesh_core::attributes::{MatchedRoute, ResponseFlags, TransportFailure, UpstreamConnection};

use super::expression::TagExpression;
use crate::telemetry::head::{Field, Head};
use crate::telemetry::{heads, observe};

/// The value of a custom label: the expressions over requests that Istio's documentation uses, and
/// others with the feature `cel`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum TagValue {
    Expression(TagExpression),
    Field(Field),
    Host,
    Literal(String),
    Method,
    Path,
    UrlPath,
}

impl TagValue {
    /// Parses a text in quotes, an attribute of the request, or an expression.
    pub(super) fn parse(expression: &str) -> Option<Self> {
        let expression = expression.trim();
        let quoted = |text: &str| {
            ['"', '\''].into_iter().find_map(|quote| {
                let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
                let plain = !inner.contains([quote, '\\']);
                plain.then(|| inner.to_owned())
            })
        };
        if let Some(text) = quoted(expression) {
            return Some(Self::Literal(text));
        }
        let header = expression.strip_prefix("request.headers[");
        if let Some(name) = header.and_then(|rest| quoted(rest.strip_suffix(']')?)) {
            return Some(Self::Field(Field::parse(&name)?));
        }
        Some(match expression {
            "request.host" => Self::Host,
            "request.method" => Self::Method,
            "request.path" => Self::Path,
            "request.url_path" => Self::UrlPath,
            "request.useragent" => Self::Field(Field::parse("user-agent")?),
            "request.referer" => Self::Field(Field::parse("referer")?),
            "request.id" => Self::Field(Field::parse("x-request-id")?),
            _ => Self::Expression(TagExpression::compile(expression)?),
        })
    }

    /// Whether the value is read at the end of the exchange, as Envoy reads all.
    fn is_late(&self) -> bool {
        matches!(self, Self::Expression(expression) if expression.is_late())
    }

    /// The value for `request`; empty if there is none, or none yet.
    fn of<B>(&self, request: &Request<B>) -> String {
        let text = match self {
            Self::Expression(expression) if expression.is_late() => "",
            Self::Expression(expression) => {
                return expression.of_request(request).unwrap_or_default();
            }
            Self::Field(field) => {
                let value = Head::of(request).value(field).unwrap_or_default();
                return String::from_utf8_lossy(&value).into_owned();
            }
            Self::Host => super::host(request).unwrap_or_default(),
            Self::Literal(text) => text,
            Self::Method => request.method().as_str(),
            Self::Path => request
                .uri()
                .path_and_query()
                .map_or("", http::uri::PathAndQuery::as_str),
            Self::UrlPath => request.uri().path(),
        };
        text.to_owned()
    }

    /// The value for a connection that carries no requests, of which `extensions` tell; empty if
    /// there is none.
    pub(super) fn of_connection(&self, extensions: &Extensions) -> String {
        match self {
            Self::Expression(expression) => {
                expression.of_connection(extensions).unwrap_or_default()
            }
            Self::Literal(text) => text.clone(),
            Self::Field(_) | Self::Host | Self::Method | Self::Path | Self::UrlPath => {
                String::new()
            }
        }
    }
}

/// The values of custom labels for an exchange.
#[derive(Debug)]
pub(super) struct Tags {
    values: Vec<String>,
    // `None` if all values are known from the beginning.
    heads: Option<Box<Heads>>,
}

/// The heads of an exchange.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) request: request::Parts,
    pub(super) response: Option<response::Parts>,
}

/// What is known of an exchange when it has ended.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "cel"),
    expect(dead_code, reason = "only expressions read it")
)]
pub(super) struct Ending<'a> {
    pub(super) flags: ResponseFlags,
    pub(super) trailers: Option<&'a HeaderMap>,
    /// The bytes of both bodies, that of the request first.
    pub(super) sizes: (u64, u64),
    pub(super) duration: Duration,
}

impl Tags {
    /// Reads what `request` tells.
    pub(super) fn begin<B>(custom: &[TagValue], request: &Request<B>) -> Self {
        let heads = custom.iter().any(TagValue::is_late).then(|| {
            Box::new(Heads {
                request: observe::head(request),
                response: None,
            })
        });
        Self {
            values: custom.iter().map(|value| value.of(request)).collect(),
            heads,
        }
    }

    /// Takes what the head of the response says.
    pub(super) fn answer<B>(&mut self, response: &Response<B>) {
        if let Some(heads) = &mut self.heads {
            if let Some(matched) = response.extensions().get::<MatchedRoute>() {
                heads.request.extensions.insert(matched.clone());
            }
            let mut copy = heads::of_response(response);
            let from = response.extensions();
            heads::keep::<TransportFailure>(from, &mut copy.extensions);
            heads::keep::<UpstreamConnection>(from, &mut copy.extensions);
            heads.response = Some(copy);
        }
    }

    /// The values, now that the exchange has ended.
    pub(super) fn end(&mut self, custom: &[TagValue], ending: &Ending<'_>) -> &[String] {
        let Some(heads) = &self.heads else {
            return &self.values;
        };
        for (value, made) in custom.iter().zip(&mut self.values) {
            if let TagValue::Expression(expression) = value
                && expression.is_late()
            {
                *made = expression.of_exchange(heads, ending).unwrap_or_default();
            }
        }
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_tags_are_texts_and_attributes_of_the_request() {
        let request = Request::get("http://shop.example/cart?x=1")
            .header("x-user", "jason")
            .header("x-user", "mary");
        let request = request.body(()).unwrap();
        for (expression, expected) in [
            ("'fixed'", Some("fixed")),
            ("\"fixed\"", Some("fixed")),
            ("request.host", Some("shop.example")),
            ("request.method", Some("GET")),
            ("request.path", Some("/cart?x=1")),
            ("request.url_path", Some("/cart")),
            ("request.headers['x-user']", Some("jason,mary")),
            ("request.headers['X-User']", Some("jason,mary")),
            ("request.headers[':path']", Some("/cart?x=1")),
            ("request.headers[':Authority']", Some("shop.example")),
            ("request.headers['x-none']", Some("")),
            ("request.headers[x]", None),
            ("'a' +", None),
            ("answer.code", None),
        ] {
            let value = TagValue::parse(expression).map(|value| value.of(&request));
            assert_eq!(value.as_deref(), expected, "{expression}");
        }
    }
}
