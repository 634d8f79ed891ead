//! Conditions on header fields.
//!
//! As in Envoy 1.40, each value of a repeated field is compared on its own (its runtime feature
//! `match_headers_individually`): one that meets the condition is enough, and the negated condition
//! holds if none does. But the values of well-known fields are compared as one list, and crumbs of a
//! cookie as one value ([`Repeated`]).

use std::fmt;

use http::Version;
use http::header::{GetAll, HOST, HeaderName, HeaderValue};
use mesh_core::matcher::StringMatch;
use mesh_core::model::route::HeaderMatch;

use crate::matches::Mismatch;
use crate::matches::repeated::Repeated;
use crate::request::RequestHead;

/// A condition on a header field, compiled.
#[derive(Clone, Debug)]
pub(crate) struct HeaderCondition {
    pub(super) field: Field,
    pub(super) value: StringMatch,
    pub(super) invert: bool,
    missing_as_empty: bool,
    repeated: Repeated,
}

/// What a header condition looks at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Field {
    Authority,
    Method,
    Name(HeaderName),
    Path,
    Scheme,
    /// That of responses, which no request has.
    Status,
}

/// A name that is not one of a header field, nor of a pseudo-header field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ParseFieldError;

impl Field {
    /// Reads the name of a field. `host` is another name of `:authority`, as in Envoy.
    fn parse(name: &str) -> Result<Self, ParseFieldError> {
        match name {
            ":authority" => Ok(Self::Authority),
            ":method" => Ok(Self::Method),
            ":path" => Ok(Self::Path),
            ":scheme" => Ok(Self::Scheme),
            ":status" => Ok(Self::Status),
            _ => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(HOST) => Ok(Self::Authority),
                Ok(name) => Ok(Self::Name(name)),
                Err(_) => Err(ParseFieldError),
            },
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Name(name) => name.as_str(),
            Self::Path => ":path",
            Self::Scheme => ":scheme",
            Self::Status => ":status",
        })
    }
}

impl HeaderCondition {
    /// Compiles `rule`, unless its name is refused.
    pub(super) fn compile(rule: &HeaderMatch) -> Result<Self, ParseFieldError> {
        let field = Field::parse(&rule.name)?;
        let repeated = match &field {
            Field::Name(name) => Repeated::of(name),
            Field::Authority | Field::Method | Field::Path | Field::Scheme | Field::Status => {
                Repeated::Each
            }
        };
        Ok(Self {
            field,
            value: rule.value.clone(),
            invert: rule.invert,
            missing_as_empty: rule.missing_as_empty,
            repeated,
        })
    }

    /// Whether `head` meets the condition.
    pub(super) fn evaluate<'a>(&'a self, head: &RequestHead<'a>) -> Result<(), Mismatch<'a>> {
        match &self.field {
            Field::Authority => self.pseudo_header(head.authority()),
            Field::Method => self.pseudo_header(head.method()),
            Field::Name(name) => self.values(&head.headers().get_all(name), head.version()),
            Field::Path => self.pseudo_header(head.path_and_query()),
            Field::Scheme => self.pseudo_header(head.scheme()),
            Field::Status => self.absent(),
        }
    }

    fn pseudo_header<'a>(&'a self, value: &'a str) -> Result<(), Mismatch<'a>> {
        let mismatch = Mismatch::PseudoHeader { rule: self, value };
        self.outcome(self.value.is_match(value), mismatch)
    }

    fn values<'a>(
        &'a self,
        values: &GetAll<'a, HeaderValue>,
        version: Version,
    ) -> Result<(), Mismatch<'a>> {
        let mut each = values.iter();
        let first = each.next();
        if first.is_none() {
            return self.absent();
        }
        let separator = each.next().and_then(|_| self.repeated.separator(version));
        let takes = match separator {
            Some(separator) => self.value.is_match_bytes(&joined(values, separator)),
            None => values
                .iter()
                .any(|value| self.value.is_match_bytes(value.as_bytes())),
        };
        let mismatch = Mismatch::Header {
            rule: self,
            value: first,
        };
        self.outcome(takes, mismatch)
    }

    fn absent(&self) -> Result<(), Mismatch<'_>> {
        let mismatch = Mismatch::Header {
            rule: self,
            value: None,
        };
        if self.missing_as_empty {
            return self.outcome(self.value.is_match(""), mismatch);
        }
        // Every other condition fails for an absent field, negated or not.
        let is_absence = self.invert && self.value == StringMatch::Present;
        if is_absence { Ok(()) } else { Err(mismatch) }
    }

    fn outcome<'a>(&self, takes: bool, mismatch: Mismatch<'a>) -> Result<(), Mismatch<'a>> {
        if takes != self.invert {
            Ok(())
        } else {
            Err(mismatch)
        }
    }
}

fn joined(values: &GetAll<'_, HeaderValue>, separator: &[u8]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(HeaderValue::as_bytes).collect();
    values.join(separator)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    // The values are those of Envoy 1.40.
    #[test]
    fn each_value_of_a_repeated_field_is_compared_on_its_own() {
        let cases = [
            (StringMatch::exact("a"), false, true),
            (StringMatch::exact("b"), false, true),
            (StringMatch::exact("a,b"), false, false),
            (StringMatch::exact("a"), true, false),
            (StringMatch::exact("c"), true, true),
            (StringMatch::Present, true, false),
        ];
        for (value, invert, expected) in cases {
            let rule = HeaderMatch {
                invert,
                ..condition("x", value)
            };
            assert_eq!(
                holds(&rule, &[("x", "a"), ("x", "b")]),
                expected,
                "{rule:?}"
            );
        }
    }

    #[test]
    fn an_absent_field_fails_both_the_condition_and_its_negation() {
        for invert in [false, true] {
            let rule = HeaderMatch {
                invert,
                ..condition("x", StringMatch::exact("a"))
            };
            assert!(!holds(&rule, &[]), "{rule:?}");
        }
    }

    #[test]
    fn an_absent_field_is_not_present() {
        assert!(!holds(&condition("x", StringMatch::Present), &[]));
        let rule = HeaderMatch {
            invert: true,
            ..condition("x", StringMatch::Present)
        };
        assert!(holds(&rule, &[]));
    }

    #[test]
    fn an_absent_field_can_count_as_empty() {
        let cases = [
            (StringMatch::exact("a"), false, false),
            (StringMatch::exact("a"), true, true),
            (StringMatch::exact(""), false, true),
            (StringMatch::Present, false, true),
            (StringMatch::Present, true, false),
        ];
        for (value, invert, expected) in cases {
            let missing_as_empty = true;
            let rule = HeaderMatch {
                invert,
                missing_as_empty,
                ..condition("x", value)
            };
            assert_eq!(holds(&rule, &[]), expected, "{rule:?}");
        }
    }

    #[test]
    fn crumbs_of_a_cookie_are_one_value() {
        let whole = condition("cookie", StringMatch::exact("a=1; b=2"));
        let crumb = condition("cookie", StringMatch::exact("b=2"));
        for (version, whole_holds) in [(Version::HTTP_11, false), (Version::HTTP_2, true)] {
            let request = Request::get("/").version(version);
            let request = request.header("cookie", "a=1").header("cookie", "b=2");
            let request = request.body(()).unwrap();
            for (rule, expected) in [(&whole, whole_holds), (&crumb, !whole_holds)] {
                let rule = HeaderCondition::compile(rule).unwrap();
                let found = rule.evaluate(&RequestHead::from(&request)).is_ok();
                assert_eq!(found, expected, "{version:?} {rule:?}");
            }
        }
    }

    #[test]
    fn values_of_a_well_known_field_are_one_list() {
        let fields = [("content-type", "a"), ("content-type", "b")];
        for (value, expected) in [("a,b", true), ("a", false), ("b", false)] {
            let rule = condition("content-type", StringMatch::exact(value));
            assert_eq!(holds(&rule, &fields), expected, "{value}");
            let rule = HeaderMatch {
                invert: true,
                ..rule
            };
            assert_eq!(holds(&rule, &fields), !expected, "not {value}");
        }
    }

    #[test]
    fn pseudo_header_fields_are_read_from_the_request_line() {
        let cases = [
            (":authority", "a.example:80"),
            ("host", "a.example:80"),
            (":method", "GET"),
            (":path", "/cart?item=7"),
            (":scheme", "http"),
        ];
        for (name, value) in cases {
            let rule = condition(name, StringMatch::exact(value));
            assert!(holds(&rule, &[("host", "a.example:80")]), "{name}");
        }
    }

    #[test]
    fn the_status_of_a_response_is_absent_from_every_request() {
        let rule = condition(":status", StringMatch::exact("200"));
        let without = HeaderMatch {
            invert: true,
            missing_as_empty: true,
            ..rule.clone()
        };
        assert!(!holds(&rule, &[]));
        assert!(holds(&without, &[]));
    }

    #[test]
    fn other_pseudo_header_fields_are_refused() {
        for name in [":protocol", ":", "", "a b"] {
            assert_eq!(Field::parse(name), Err(ParseFieldError), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_meet_only_what_their_text_meets() {
        let bytes = HeaderValue::from_bytes(b"a\xff").unwrap();
        let regex = "a.*".parse().unwrap();
        let cases = [
            (StringMatch::Present, true),
            (StringMatch::prefix("a"), true),
            (StringMatch::exact("a"), false),
            (StringMatch::Regex(regex), false),
        ];
        for (value, expected) in cases {
            let request = Request::get("/").header("x", &bytes).body(()).unwrap();
            let rule = HeaderCondition::compile(&condition("x", value)).unwrap();
            let found = rule.evaluate(&RequestHead::from(&request));
            assert_eq!(found.is_ok(), expected, "{rule:?}");
        }
    }

    fn condition(name: &str, value: StringMatch) -> HeaderMatch {
        HeaderMatch {
            name: name.into(),
            value,
            invert: false,
            missing_as_empty: false,
        }
    }

    fn holds(rule: &HeaderMatch, fields: &[(&str, &str)]) -> bool {
        let request = fields
            .iter()
            .fold(Request::get("/cart?item=7"), |request, (name, value)| {
                request.header(*name, *value)
            });
        let request = request.body(()).unwrap();
        let rule = HeaderCondition::compile(rule).unwrap();
        rule.evaluate(&RequestHead::from(&request)).is_ok()
    }
}
