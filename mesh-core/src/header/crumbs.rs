use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

/// Joins the `Cookie` fields of a request of HTTP/2 or later, which may part a cookie into crumbs, to
/// the one that every other protocol and all that reads it expects (RFC 9113, section 8.2.3). Envoy
/// does so as it reads a request. One field, or none, is left as it is, and costs nothing.
///
/// ```
/// use http::HeaderMap;
/// use http::header::{COOKIE, HeaderValue};
/// use mesh_core::header::join_crumbs;
///
/// let mut headers = HeaderMap::new();
/// headers.append(COOKIE, HeaderValue::from_static("a=1; b=2"));
/// headers.append(COOKIE, HeaderValue::from_static("c=3"));
/// join_crumbs(&mut headers);
/// assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
/// ```
pub fn join_crumbs(headers: &mut HeaderMap) {
    let crumbs = headers.get_all(COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = crumbs.iter().map(HeaderValue::as_bytes).collect();
    // What is made of values is a value.
    if let Ok(mut cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        cookie.set_sensitive(
            headers
                .get_all(COOKIE)
                .iter()
                .any(HeaderValue::is_sensitive),
        );
        headers.insert(COOKIE, cookie);
    }
}
