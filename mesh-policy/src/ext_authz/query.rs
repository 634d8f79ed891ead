//! What an authorizer changes in the query of a request.

use std::borrow::Cow;

use http::uri::{PathAndQuery, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What cannot stand in a query (RFC 3986 §3.4). A percent sign can: names and values are encoded already.
const UNSAFE: AsciiSet = CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// `uri` with each parameter of `set` written over all of its name, and those that `remove` names removed then.
/// The others stay as they are, in their order. `None` if that is too long for a URI.
///
/// Names are compared decoded, so that no client hides by escapes what is to be removed.
pub(super) fn changed(uri: &Uri, set: &[(String, String)], remove: &[String]) -> Option<Uri> {
    if (set.is_empty() && remove.is_empty()) || uri.path_and_query().is_none() {
        return Some(uri.clone());
    }
    let query = uri.query().unwrap_or_default().split('&');
    let query = query.filter(|param| !param.is_empty());
    let mut params: Vec<Cow<'_, str>> = query.map(Cow::Borrowed).collect();
    for (name, value) in set {
        let written = format!("{}={}", encode(name), encode(value));
        let first = params.iter().position(|param| is_named(param, name));
        params.retain(|param| !is_named(param, name));
        params.insert(first.unwrap_or(params.len()), written.into());
    }
    params.retain(|param| !remove.iter().any(|name| is_named(param, name)));
    let path = match params.as_slice() {
        [] => uri.path().to_owned(),
        params => format!("{}?{}", uri.path(), params.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, &UNSAFE).into()
}

fn is_named(param: &str, name: &str) -> bool {
    let key = param.split_once('=').map_or(param, |(key, _)| key);
    let decode = |text| Cow::from(percent_decode_str(text));
    decode(key) == decode(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_none() {
        let uri: Uri = "/a?token=secret".parse().unwrap();
        let long = [("b".to_owned(), "1".repeat(1 << 17))];
        assert_eq!(changed(&uri, &long, &["token".to_owned()]), None);
    }

    #[test]
    fn parameters_are_written_over_those_of_their_name_and_removed() {
        let set = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let cases = [
            ("/a?%61%20b=1&c", Vec::new(), &["a%20b"][..], "/a?c"),
            (
                "/a?b=1&c=%20&b=2&d",
                set("b", "3"),
                &[][..],
                "/a?b=3&c=%20&d",
            ),
            ("/a?c", set("b", "3"), &[], "/a?c&b=3"),
            ("/a", set("b", "%20 é#"), &[], "/a?b=%20%20%C3%A9%23"),
            ("/a?b=1&c&b", Vec::new(), &["b"], "/a?c"),
            ("/a?%62=1&&c", Vec::new(), &["b"], "/a?c"),
            ("/a?b=1", Vec::new(), &["b"], "/a"),
            ("/a?B=1", Vec::new(), &["b"], "/a?B=1"),
            ("/a?c=1", set("b", "2"), &["b"], "/a?c=1"),
            ("http://h:1/a?b", Vec::new(), &["b"], "http://h:1/a"),
            ("/a?b&&", Vec::new(), &[], "/a?b&&"),
            ("h:1", set("b", "2"), &["b"], "h:1"),
        ];
        for (before, set, remove, after) in cases {
            let uri: Uri = before.parse().unwrap();
            let remove: Vec<_> = remove.iter().map(|name| (*name).to_owned()).collect();
            let found = changed(&uri, &set, &remove).unwrap();
            assert_eq!(found, after, "{before} {set:?} {remove:?}");
        }
    }
}
