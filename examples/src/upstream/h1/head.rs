//! The head of a response (RFC 9112 §4, §6.3).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// How many header lines a response may have, as Envoy's `max_headers_count`.
const MAX_LINES: usize = 100;

/// The head of a response.
#[derive(Debug)]
pub(in crate::upstream) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) length: BodyLength,
    /// Whether the connection can be used again after the body.
    pub(super) keep_alive: bool,
}

/// How the end of a response's body is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BodyLength {
    Chunked,
    Known(u64),
    /// By the end of the connection.
    UntilClose,
}

/// The upstream answered with something else than a response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum InvalidHeadError {
    #[error("invalid content-length `{0:?}`")]
    ContentLength(HeaderValue),
    #[error("invalid response head")]
    Syntax(#[from] httparse::Error),
    #[error("response head has more than {0} bytes")]
    TooLarge(usize),
    #[error("transfer-encoding in an http/1.0 response")]
    TransferEncoding,
    #[error("transfer-encoding is not `chunked` alone: {0:?}")]
    TransferCoding(HeaderValue),
}

/// Parses heads; one for each connection.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// Where names and values are; kept for its capacity.
    lines: Vec<(Range<usize>, Range<usize>)>,
}

impl Parser {
    /// Takes the head of a response to `method` out of `buffer`, if all of it is there.
    ///
    /// The headers share the buffer, and are put into what `spare` points to, for its capacity.
    pub(super) fn parse(
        &mut self,
        buffer: &mut BytesMut,
        method: &Method,
        max_bytes: usize,
        spare: &mut HeaderMap,
    ) -> Result<Option<Head>, InvalidHeadError> {
        if buffer.is_empty() {
            return Ok(None);
        }
        let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed =
            config.parse_response_with_uninit_headers(&mut response, buffer, &mut lines)?;
        let length = match parsed {
            httparse::Status::Complete(length) if length <= max_bytes => length,
            httparse::Status::Partial if buffer.len() < max_bytes => return Ok(None),
            _ => return Err(InvalidHeadError::TooLarge(max_bytes)),
        };
        let status = response
            .code
            .and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(httparse::Error::Status)?;
        let is_http_11 = response.version == Some(1);
        let lines = response.headers.iter().map(|line| {
            let name = span(line.name.as_bytes(), buffer);
            (name, span(line.value, buffer))
        });
        self.lines.clear();
        self.lines.extend(lines);
        let mut headers = std::mem::take(spare);
        let found = self.headers(&buffer.split_to(length).freeze(), &mut headers)?;
        // Whoever says both may be smuggling (RFC 9112 §6.1).
        let says_both = found.transfer_encoding > 0 && found.content_length > 0;
        let length = match has_body(status, method) {
            true => body_length(&found, is_http_11, &mut headers)?,
            false => BodyLength::Known(0),
        };
        let keep_alive = !says_both
            && length != BodyLength::UntilClose
            && match found.connection {
                0 => is_http_11,
                _ => keep_alive(is_http_11, &headers),
            };
        Ok(Some(Head {
            status,
            headers,
            length,
            keep_alive,
        }))
    }

    /// The headers of the lines that were found in `head`.
    fn headers(&self, head: &Bytes, headers: &mut HeaderMap) -> Result<Found, httparse::Error> {
        headers.clear();
        let mut found = Found::default();
        for (name, value) in &self.lines {
            let name = HeaderName::from_bytes(&head[name.clone()])
                .map_err(|_| httparse::Error::HeaderName)?;
            let value = HeaderValue::from_maybe_shared(head.slice(value.clone()))
                .map_err(|_| httparse::Error::HeaderValue)?;
            found.count(&name);
            headers.append(name, value);
        }
        Ok(found)
    }
}

/// How many lines of a head say something of its body or of the connection.
#[derive(Debug, Default)]
struct Found {
    connection: usize,
    content_length: usize,
    transfer_encoding: usize,
}

impl Found {
    fn count(&mut self, name: &HeaderName) {
        self.connection += usize::from(*name == CONNECTION);
        self.content_length += usize::from(*name == CONTENT_LENGTH);
        self.transfer_encoding += usize::from(*name == TRANSFER_ENCODING);
    }
}

/// Where `part` is in `whole`, a slice of which it is.
fn span(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// The first rule of RFC 9112 §6.3.
fn has_body(status: StatusCode, method: &Method) -> bool {
    let has_none = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || method == Method::HEAD;
    !has_none
}

/// The other rules of RFC 9112 §6.3, in their order. No coding is accepted but `chunked`, as with
/// Envoy: the header ends with this connection, and clients could not undo what they are not told.
fn body_length(
    found: &Found,
    is_http_11: bool,
    headers: &mut HeaderMap,
) -> Result<BodyLength, InvalidHeadError> {
    if found.transfer_encoding > 0
        && let Some(coding) = headers.get(TRANSFER_ENCODING)
    {
        if !is_http_11 {
            return Err(InvalidHeadError::TransferEncoding);
        }
        let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !is_chunked || found.transfer_encoding > 1 {
            return Err(InvalidHeadError::TransferCoding(coding.clone()));
        }
        headers.remove(CONTENT_LENGTH);
        return Ok(BodyLength::Chunked);
    }
    if found.content_length == 0 {
        return Ok(BodyLength::UntilClose);
    }
    let mut length = None;
    for line in headers.get_all(CONTENT_LENGTH) {
        for member in line.as_bytes().split(|&byte| byte == b',') {
            let parsed = parse_length(member.trim_ascii());
            if parsed.is_none() || length.is_some_and(|length| Some(length) != parsed) {
                return Err(InvalidHeadError::ContentLength(line.clone()));
            }
            length = parsed;
        }
    }
    let Some(length) = length else {
        return Ok(BodyLength::UntilClose);
    };
    if found.content_length > 1 {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(BodyLength::Known(length))
}

/// `1*DIGIT`, and no sign.
pub(super) fn parse_length(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    digits.parse().ok()
}

/// RFC 9112 §9.3.
fn keep_alive(is_http_11: bool, headers: &HeaderMap) -> bool {
    let mut keep_alive = is_http_11;
    for line in headers.get_all(CONNECTION) {
        // What most say.
        if line.as_bytes() == b"keep-alive" {
            keep_alive = true;
            continue;
        }
        for option in line.as_bytes().split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keep_alive
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 60 * 1024;

    #[test]
    fn a_body_ends_where_rfc_9112_says() {
        use BodyLength::{Chunked, Known, UntilClose};
        for (status, headers, length, keep_alive) in [
            ("1.1 200", "content-length: 7", Known(7), true),
            (
                "1.1 200",
                "content-length: 7\r\ncontent-length: 7, 7",
                Known(7),
                true,
            ),
            ("1.1 200", "x: y", UntilClose, false),
            ("1.1 200", "transfer-encoding: Chunked", Chunked, true),
            (
                "1.1 200",
                "content-length: 7\r\ntransfer-encoding: chunked",
                Chunked,
                false,
            ),
            ("1.1 204", "content-length: 7", Known(0), true),
            ("1.1 304", "content-length: 7", Known(0), true),
            ("1.1 204", "connection: x, Close", Known(0), false),
            ("1.0 204", "x: y", Known(0), false),
            ("1.0 204", "connection: keep-alive", Known(0), true),
        ] {
            let head = format!("HTTP/{status} reason\r\n{headers}");
            let head = parse_all(&head, &Method::GET).unwrap();
            let parsed = (head.length, head.keep_alive);
            assert_eq!(parsed, (length, keep_alive), "{status} {headers}");
        }
    }

    #[test]
    fn the_response_to_head_has_no_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 7";
        let head = parse_all(head, &Method::HEAD).unwrap();
        assert_eq!(head.length, BodyLength::Known(0));
        assert_eq!(head.headers[CONTENT_LENGTH], "7");
    }

    #[test]
    fn what_could_be_two_responses_is_refused() {
        for head in [
            "HTTP/1.1 200 OK\r\ncontent-length: 7, 8",
            "HTTP/1.1 200 OK\r\ncontent-length: +7",
            "HTTP/1.1 200 OK\r\ncontent-length: ",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked",
            "HTTP/1.1 200 OK\r\ncontent-length : 7",
            "HTTP/2 200 OK\r\ncontent-length: 7",
            "HTTP/1.1 099 No\r\ncontent-length: 7",
            "ICY 200 OK\r\ncontent-length: 7",
        ] {
            assert!(parse_all(head, &Method::GET).is_err(), "{head}");
        }
    }

    #[test]
    fn a_coding_other_than_chunked_is_refused() {
        for codings in [
            "gzip",
            "gzip, chunked",
            "chunked, gzip",
            "chunked, chunked",
            "chunked\r\ntransfer-encoding: chunked",
            "gzip\r\ntransfer-encoding: chunked",
            "",
        ] {
            let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {codings}");
            let parsed = parse_all(&head, &Method::GET);
            let is_refused = matches!(parsed, Err(InvalidHeadError::TransferCoding(_)));
            assert!(is_refused, "{codings}: {parsed:?}");
        }
    }

    #[test]
    fn a_head_has_a_limit() {
        let line = "x: 0123456789\r\n".repeat(10);
        for complete in ["", "\r\n"] {
            let text = format!("HTTP/1.1 200 OK\r\n{line}{complete}");
            let mut buffer = BytesMut::from(text.as_str());
            let parsed =
                Parser::default().parse(&mut buffer, &Method::GET, 100, &mut HeaderMap::new());
            assert!(
                matches!(parsed, Err(InvalidHeadError::TooLarge(100))),
                "{parsed:?}"
            );
        }
        let text = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "x: y\r\n".repeat(MAX_LINES + 1)
        );
        let mut buffer = BytesMut::from(text.as_str());
        assert!(
            Parser::default()
                .parse(&mut buffer, &Method::GET, MAX, &mut HeaderMap::new())
                .is_err()
        );
    }

    #[test]
    fn what_follows_the_head_stays() {
        let mut buffer = BytesMut::from("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody");
        let head = Parser::default().parse(&mut buffer, &Method::GET, MAX, &mut HeaderMap::new());
        let head = head.unwrap().unwrap();
        assert_eq!(head.headers["a"], "b");
        assert_eq!(buffer, "body");
    }

    proptest! {
        /// However a head arrives, it is the same, and what is parsed is gone from the buffer.
        #[test]
        fn a_head_may_come_in_pieces(split in 0..70_usize) {
            let text = "HTTP/1.1 200 OK\r\nserver: x\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n";
            let split = split.min(text.len());
            let mut spare = HeaderMap::new();
            let mut buffer = BytesMut::from(&text[..split]);
            let mut head = Parser::default().parse(&mut buffer, &Method::GET, MAX, &mut spare).unwrap();
            if head.is_none() {
                buffer.extend_from_slice(&text.as_bytes()[split..]);
                head = Parser::default().parse(&mut buffer, &Method::GET, MAX, &mut spare).unwrap();
            }
            let head = head.unwrap();
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(head.headers.len(), 3);
            let cookies: Vec<_> = head.headers.get_all("set-cookie").iter().collect();
            prop_assert_eq!(cookies, ["a", "b"]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
            text.extend_from_slice(&bytes);
            let mut buffer = BytesMut::from(text.as_slice());
            let _ = Parser::default().parse(&mut buffer, &Method::GET, MAX, &mut HeaderMap::new());
        }
    }

    fn parse_all(head: &str, method: &Method) -> Result<Head, InvalidHeadError> {
        let mut buffer = BytesMut::from(format!("{head}\r\n\r\n").as_str());
        let parsed = Parser::default().parse(&mut buffer, method, MAX, &mut HeaderMap::new())?;
        Ok(parsed.expect("the head is complete"))
    }
}
