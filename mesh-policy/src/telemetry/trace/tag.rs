use std::sync::Arc;

use http::{HeaderName, request};
use mesh_core::format_string::{Constants, Exchange, FormatString, ParseFormatError};

/// The value of a tag of spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Format(FormatString),
    Header { name: HeaderName, default: Arc<str> },
    Literal(Arc<str>),
}

impl Tag {
    /// The same for every span.
    pub fn literal(value: &str) -> Self {
        Self(Kind::Literal(value.into()))
    }

    /// A header of the request; `default` if it has none, or no tag if that is empty. `None` if there
    /// cannot be such a header.
    pub fn header(name: &str, default: &str) -> Option<Self> {
        let name = name.parse().ok()?;
        let default = default.into();
        Some(Self(Kind::Header { name, default }))
    }

    /// Envoy's `%…%` operators, filled in when the body of the response has ended.
    ///
    /// # Errors
    ///
    /// It is no format, or uses what is not given.
    pub fn format(text: &str, constants: &Constants) -> Result<Self, ParseFormatError> {
        FormatString::parse(text, constants).map(|format| Self(Kind::Format(format)))
    }

    /// Whether the value depends on what comes after the request.
    pub(super) fn is_late(&self) -> bool {
        matches!(self.0, Kind::Format(_))
    }

    /// The value for an exchange, whose request has this head. `None` is no tag.
    pub(super) fn of(&self, request: &request::Parts, exchange: &Exchange<'_>) -> Option<Arc<str>> {
        match &self.0 {
            Kind::Format(format) => {
                let value = format.evaluate(exchange, "-");
                Some((&*String::from_utf8_lossy(&value)).into())
            }
            Kind::Header { name, default } => match request.headers.get(name) {
                Some(value) => Some((&*String::from_utf8_lossy(value.as_bytes())).into()),
                None => (!default.is_empty()).then(|| Arc::clone(default)),
            },
            Kind::Literal(value) => Some(Arc::clone(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::Request;

    use super::*;

    #[test]
    fn tags_are_read_from_requests() {
        let request = Request::get("/cart").header("x-user", "jason").body(());
        let request = request.unwrap().into_parts().0;
        let constants = Constants::default();
        for (tag, expected) in [
            (Tag::literal("fixed"), Some("fixed")),
            (Tag::header("x-user", "nobody").unwrap(), Some("jason")),
            (Tag::header("x-none", "nobody").unwrap(), Some("nobody")),
            (Tag::header("x-none", "").unwrap(), None),
            (
                Tag::format("%REQ(:method)% by %REQ(x-user)%", &constants).unwrap(),
                Some("GET by jason"),
            ),
        ] {
            let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
            let value = tag.of(&request, &exchange);
            assert_eq!(value.as_deref(), expected, "{tag:?}");
        }
    }
}
