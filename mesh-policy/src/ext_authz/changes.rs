//! What an authorizer writes into headers.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use mesh_core::model::filter::AppendAction;

/// Of HTTP/1, and of no standard.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Of no standard either.
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// A header that an authorizer writes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderChange {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
    /// What becomes of headers of that name that are there already.
    pub action: AppendAction,
}

impl HeaderChange {
    /// Writes the header, unless it frames the message or names its host.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        let Self {
            name,
            value,
            action,
        } = self;
        if !is_protected(&name) {
            action.write(name, value, headers);
        }
    }
}

/// Writes `value` behind what the first header of a name says, unless there is none, or it frames the
/// message or names its host.
pub(super) fn extend(name: &HeaderName, value: &HeaderValue, headers: &mut HeaderMap) {
    if is_protected(name) || value.is_empty() {
        return;
    }
    let Some(first) = headers.get_mut(name) else {
        return;
    };
    let separator: &[u8] = match first.is_empty() {
        true => b"",
        false if *name == COOKIE => b"; ",
        false => b",",
    };
    let joined = [first.as_bytes(), separator, value.as_bytes()].concat();
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        *first = joined;
    }
}

/// Whether a header frames a message, belongs to the connection, or names the host that is asked: an
/// authorizer that wrote or removed one could make two messages of one, or choose the route.
pub(super) fn is_protected(name: &HeaderName) -> bool {
    [
        CONNECTION,
        CONTENT_LENGTH,
        HOST,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_behind_the_first_header_of_its_name() {
        for (name, before, value, after) in [
            ("x-a", &[][..], "new", &[][..]),
            ("x-a", &["old"], "new", &["old,new"]),
            ("x-a", &["old", "older"], "new", &["old,new", "older"]),
            ("x-a", &["old"], "", &["old"]),
            ("x-a", &[""], "new", &["new"]),
            ("cookie", &["a=1"], "b=2", &["a=1; b=2"]),
            ("host", &["shop.example"], "evil.example", &["shop.example"]),
        ] {
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_static(name);
            for value in before {
                headers.append(&name, HeaderValue::from_static(value));
            }
            extend(&name, &HeaderValue::from_static(value), &mut headers);
            let values: Vec<_> = headers.get_all(&name).iter().collect();
            assert_eq!(values, after, "{name} {before:?} {value}");
        }
    }

    #[test]
    fn a_header_is_written_as_its_action_says() {
        use AppendAction::{
            AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists, OverwriteIfExistsOrAdd,
        };

        let cases: [(_, &[&str], &[&str]); 4] = [
            (AddIfAbsent, &["old"], &["new"]),
            (AppendIfExistsOrAdd, &["old", "new"], &["new"]),
            (OverwriteIfExists, &["new"], &[]),
            (OverwriteIfExistsOrAdd, &["new"], &["new"]),
        ];
        let name = HeaderName::from_static("x-a");
        for (action, with, without) in cases {
            for (before, after) in [(&["old"][..], with), (&[], without)] {
                let mut headers = HeaderMap::new();
                for value in before {
                    headers.append(&name, HeaderValue::from_static(value));
                }
                let change = HeaderChange {
                    name: name.clone(),
                    value: HeaderValue::from_static("new"),
                    action,
                };
                change.apply(&mut headers);
                let values: Vec<_> = headers.get_all(&name).iter().collect();
                assert_eq!(values, after, "{action:?} {before:?}");
            }
        }
    }
}
