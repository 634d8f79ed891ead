//! Matches on the claims of a verified token.

use mesh_core::matcher::StringMatch;
use mesh_core::resource::Value;

/// Whether a claim is a text that matches, or a list that has one. Numbers, truth values and maps
/// match nothing.
pub(super) fn any_text(claim: &Value, texts: &[StringMatch]) -> bool {
    let is_match = |value: &Value| {
        let text = value.as_str();
        text.is_some_and(|text| texts.iter().any(|matcher| matcher.is_match(text)))
    };
    match claim {
        Value::List(items) => items.iter().any(is_match),
        other => is_match(other),
    }
}

/// What `iss` and `sub` have to be: a value of `requestPrincipals`.
#[derive(Clone, Debug)]
pub(super) struct PrincipalMatch {
    pub(super) issuer: StringMatch,
    subject: StringMatch,
}

impl PrincipalMatch {
    /// Reads `issuer/subject`, split at the last slash since an issuer may be a URL. A `*` that
    /// begins or ends the value is a wildcard on its side of the slash; without a slash, the other
    /// side may be anything that is not empty.
    pub(super) fn new(value: &str) -> Self {
        let split = value.rsplit_once('/');
        let (issuer, subject) = split.unwrap_or((value, ""));
        if value == "*" {
            return Self::both(StringMatch::NonEmpty, StringMatch::NonEmpty);
        }
        if let Some(suffix) = value.strip_prefix('*') {
            return match split {
                Some(("*", _)) => Self::both(StringMatch::NonEmpty, StringMatch::exact(subject)),
                Some((issuer, _)) => {
                    let suffix = issuer.strip_prefix('*').unwrap_or(issuer);
                    Self::both(StringMatch::suffix(suffix), StringMatch::exact(subject))
                }
                None => Self::both(StringMatch::NonEmpty, StringMatch::suffix(suffix)),
            };
        }
        if let Some(prefix) = value.strip_suffix('*') {
            return match split {
                Some((_, "*")) => Self::both(StringMatch::exact(issuer), StringMatch::NonEmpty),
                Some((_, subject)) => {
                    let prefix = subject.strip_suffix('*').unwrap_or(subject);
                    Self::both(StringMatch::exact(issuer), StringMatch::prefix(prefix))
                }
                None => Self::both(StringMatch::prefix(prefix), StringMatch::NonEmpty),
            };
        }
        Self::both(StringMatch::exact(issuer), StringMatch::exact(subject))
    }

    const fn both(issuer: StringMatch, subject: StringMatch) -> Self {
        Self { issuer, subject }
    }

    pub(super) fn is_match(&self, claims: &Value) -> bool {
        let is_match = |name: &str, matcher: &StringMatch| {
            let text = claims.field(name).and_then(Value::as_str);
            text.is_some_and(|text| matcher.is_match(text))
        };
        is_match("iss", &self.issuer) && is_match("sub", &self.subject)
    }

    /// The principal of a token, for explanations.
    pub(super) fn seen(claims: &Value) -> Option<String> {
        let issuer = claims.field("iss").and_then(Value::as_str)?;
        let subject = claims.field("sub").and_then(Value::as_str)?;
        Some(format!("{issuer}/{subject}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn claims(issuer: &str, subject: &str) -> Value {
        Value::Map(BTreeMap::from([
            ("iss".to_owned(), Value::String(issuer.to_owned())),
            ("sub".to_owned(), Value::String(subject.to_owned())),
        ]))
    }

    #[test]
    fn a_principal_is_split_at_its_last_slash() {
        let cases = [
            ("https://a/b/me", "https://a/b", "me", true),
            ("https://a/b/me", "https://a", "b/me", false),
            ("*", "a", "b", true),
            ("*", "a", "", false),
            ("*/me", "a/b", "me", true),
            ("*/me", "a", "you", false),
            ("*b/me", "ab", "me", true),
            ("*b/me", "ba", "me", false),
            ("*me", "a", "you-and-me", true),
            ("a/*", "a", "me", true),
            ("a/*", "a", "", false),
            ("a/m*", "a", "me", true),
            ("a*", "ab", "me", true),
            ("a*", "ba", "me", false),
            ("a", "a", "", true),
            ("a", "a", "me", false),
        ];
        for (value, issuer, subject, expected) in cases {
            let matched = PrincipalMatch::new(value).is_match(&claims(issuer, subject));
            assert_eq!(matched, expected, "{value} {issuer} {subject}");
        }
        assert!(!PrincipalMatch::new("*").is_match(&Value::Map(BTreeMap::new())));
    }

    #[test]
    fn a_list_matches_by_any_of_its_texts() {
        let list = |items: &[Value]| Value::List(items.to_vec());
        let a = Value::String("a".to_owned());
        let texts = [StringMatch::exact("a")];
        assert!(any_text(&a, &texts));
        assert!(any_text(&list(&[Value::Integer(1), a.clone()]), &texts));
        assert!(!any_text(&list(&[list(&[a])]), &texts));
        assert!(!any_text(&Value::String("b a".to_owned()), &texts));
    }
}
