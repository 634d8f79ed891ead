//! What an authorizer writes into headers.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

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

/// What becomes of headers that are there already when another of their name is written: Envoy's
/// `HeaderAppendAction`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AppendAction {
    /// Nothing is written if there is one.
    AddIfAbsent,
    /// They stay, and the new one is added.
    #[default]
    AppendIfExistsOrAdd,
    /// The new one takes their place; nothing is written if there is none.
    OverwriteIfExists,
    /// The new one takes their place.
    OverwriteIfExistsOrAdd,
}

impl HeaderChange {
    /// Writes the header, unless it frames the message or names its host.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        let Self {
            name,
            value,
            action,
        } = self;
        if is_protected(&name) {
            return;
        }
        let exists = headers.contains_key(&name);
        match (action, exists) {
            (AppendAction::AddIfAbsent, true) | (AppendAction::OverwriteIfExists, false) => {}
            (AppendAction::AddIfAbsent, false) | (AppendAction::AppendIfExistsOrAdd, _) => {
                headers.append(name, value);
            }
            (AppendAction::OverwriteIfExists, true) | (AppendAction::OverwriteIfExistsOrAdd, _) => {
                headers.insert(name, value);
            }
        }
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
