use http::Method;

/// The methods beside those of RFC 9110 that Envoy's HTTP/1 parser knows, of WebDAV (RFC 4918, RFC
/// 3253, RFC 3648, RFC 3744, RFC 4791, RFC 5323, RFC 5842), of UPnP and of caches.
const EXTENSIONS: [&str; 25] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "COPY",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "NOTIFY",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// Whether Envoy accepts the method of an HTTP/1.1 request, as it does by default
/// (`allow_custom_methods` is off). In HTTP/2 it accepts any.
pub(super) fn is_known(method: &Method) -> bool {
    match *method {
        Method::CONNECT
        | Method::DELETE
        | Method::GET
        | Method::HEAD
        | Method::OPTIONS
        | Method::PATCH
        | Method::POST
        | Method::PUT
        | Method::TRACE => true,
        _ => EXTENSIONS.contains(&method.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_their_exact_name() {
        for (method, known) in [
            ("GET", true),
            ("PROPFIND", true),
            ("UNSUBSCRIBE", true),
            ("get", false),
            ("BREW", false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(is_known(&method), known, "{method}");
        }
    }
}
