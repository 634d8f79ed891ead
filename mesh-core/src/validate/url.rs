//! URLs as Go's `net/url` reads them, which decides what Istio accepts.

/// The parts of a URL that validation asks about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Url {
    scheme: String,
}

/// The text is not a URL.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not a URL")]
pub(super) struct ParseUrlError {
    text: String,
}

impl Url {
    /// Parses an absolute URL or a reference (`url.Parse`).
    pub(super) fn parse(text: &str) -> Result<Self, ParseUrlError> {
        let (without_fragment, fragment) = text.split_once('#').unwrap_or((text, ""));
        let url = parse(without_fragment, Form::Reference).filter(|_| is_escaped(fragment));
        url.ok_or_else(|| ParseUrlError { text: text.into() })
    }

    /// Parses an absolute URL or an absolute path, which has no fragment (`url.ParseRequestURI`).
    pub(super) fn parse_request(text: &str) -> Result<Self, ParseUrlError> {
        parse(text, Form::Request).ok_or_else(|| ParseUrlError { text: text.into() })
    }

    /// The scheme in lower case, empty when there is none.
    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Reference,
    Request,
}

fn parse(text: &str, form: Form) -> Option<Url> {
    if text.bytes().any(|byte| byte.is_ascii_control())
        || (text.is_empty() && form == Form::Request)
    {
        return None;
    }
    let (scheme, rest) = split_scheme(text)?;
    let (path, _query) = rest.split_once('?').unwrap_or((rest, ""));
    let scheme = scheme.to_ascii_lowercase();
    if !path.starts_with('/') {
        let first_segment = path.split('/').next().unwrap_or_default();
        let is_opaque = !scheme.is_empty();
        let is_path = form == Form::Reference && !first_segment.contains(':') && is_escaped(path);
        let is_any = text == "*";
        return (is_opaque || is_path || is_any).then_some(Url { scheme });
    }
    let has_authority = !scheme.is_empty() || (form == Form::Reference && !path.starts_with("///"));
    let path = match path.strip_prefix("//").filter(|_| has_authority) {
        None => path,
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            is_authority(authority).then_some(path)?
        }
    };
    is_escaped(path).then_some(Url { scheme })
}

/// Parts the scheme from the rest; a text that cannot begin with one has none.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return None,
            b':' => return Some((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

/// Whether every `%` begins an escape.
fn is_escaped(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let is_user_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%@".contains(&byte);
    user.bytes().all(is_user_byte) && is_escaped(user) && is_host(host)
}

/// Whether this is a host, perhaps with a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rfind(']') {
        Some(end) if text.starts_with('[') => text.split_at(end + 1),
        _ if text.starts_with('[') => return false,
        _ => text.split_at(text.rfind(':').unwrap_or(text.len())),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = port.is_empty() || port.starts_with(':');
    let is_host_byte = |byte: u8| {
        !byte.is_ascii()
            || byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=:[]<>\"%".contains(&byte)
    };
    is_port
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && host.bytes().all(is_host_byte)
        && is_escaped(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_a_scheme_or_none() {
        let cases = [
            ("https://a.b:443/c?d#e", Some("https")),
            ("HTTP://u:p@[::1]/", Some("http")),
            ("oci://a/b", Some("oci")),
            ("mailto:a", Some("mailto")),
            ("a/b", Some("")),
            ("", Some("")),
            ("//a", Some("")),
            (":a", None),
            ("a b:c", None),
            ("http://a b", None),
            ("http://a:b", None),
            ("http://a/%zz", None),
            ("http://[::1", None),
            ("a\nb", None),
            ("hTPp\\\u{8}lah", None),
        ];
        for (text, scheme) in cases {
            let url = Url::parse(text).ok();
            assert_eq!(url.as_ref().map(Url::scheme), scheme, "{text:?}");
        }
    }

    #[test]
    fn a_request_has_an_absolute_url_or_path() {
        for text in ["http://a", "/a", "*", "file:///a"] {
            assert!(Url::parse_request(text).is_ok(), "{text}");
        }
        for text in ["", "a", "#%blah$#@", "http://#%blah$#@"] {
            assert!(Url::parse_request(text).is_err(), "{text}");
        }
    }
}
