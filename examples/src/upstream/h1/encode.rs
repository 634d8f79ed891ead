//! Requests as bytes (RFC 9112 §3, §7.1).

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body;

use super::head::parse_length;

/// How the end of a request's body is told (RFC 9112 §6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    Chunked,
    /// So many bytes are still to come.
    Length(u64),
}

/// A body that is longer or shorter than its `Content-Length`, which would make its end the
/// beginning of another request.
#[derive(Debug, thiserror::Error)]
#[error("request body differs from its content-length")]
pub(super) struct LengthMismatch;

impl Framing {
    /// What the head of a request says, which is made to say it if it does not.
    ///
    /// A `Content-Length` that is not one number is removed, and the body's own length counts:
    /// operations of routes and authorizers can write such. Without a body the length is said
    /// where the method lets one expect a body (RFC 9110 §8.6).
    pub(super) fn of<B>(method: &Method, headers: &mut HeaderMap, body: &B) -> Self
    where
        B: Body,
    {
        // Whatever it was, it was of another connection.
        headers.remove(TRANSFER_ENCODING);
        let mut lines = headers.get_all(CONTENT_LENGTH).iter();
        if let (Some(line), None) = (lines.next(), lines.next())
            && let Some(length) = parse_length(line.as_bytes())
        {
            return Self::Length(length);
        }
        headers.remove(CONTENT_LENGTH);
        match body.size_hint().exact() {
            Some(0) if body.is_end_stream() && has_no_body(method) => Self::Length(0),
            Some(length) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                Self::Length(length)
            }
            None => {
                let chunked = HeaderValue::from_static("chunked");
                headers.insert(TRANSFER_ENCODING, chunked);
                Self::Chunked
            }
        }
    }

    /// Appends `data`, which is not the end.
    pub(super) fn encode_data(
        &mut self,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), LengthMismatch> {
        match self {
            // No chunk may be empty: that would be the last.
            Self::Chunked if data.is_empty() => {}
            Self::Chunked => {
                out.extend_from_slice(format!("{:X}\r\n", data.len()).as_bytes());
                out.extend_from_slice(data);
                out.extend_from_slice(b"\r\n");
            }
            Self::Length(remaining) => {
                *remaining = remaining
                    .checked_sub(data.len() as u64)
                    .ok_or(LengthMismatch)?;
                out.extend_from_slice(data);
            }
        }
        Ok(())
    }

    /// Appends the end, with `trailers` if the framing has a place for them.
    pub(super) fn encode_end(
        self,
        trailers: Option<&HeaderMap>,
        out: &mut Vec<u8>,
    ) -> Result<(), LengthMismatch> {
        match self {
            Self::Chunked => {
                out.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    encode_headers(trailers, out);
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
            Self::Length(0) => Ok(()),
            Self::Length(_) => Err(LengthMismatch),
        }
    }
}

/// Whether a request by `method` means nothing by a body, so that its absence need not be said.
fn has_no_body(method: &Method) -> bool {
    [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::TRACE,
    ]
    .contains(method)
}

/// Appends the head of a request: its path, and what is in its headers.
pub(super) fn encode_head(parts: &Parts, out: &mut Vec<u8>) {
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    encode_headers(&parts.headers, out);
    out.extend_from_slice(b"\r\n");
}

fn encode_headers(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::stream;
    use http::Request;
    use http_body::Frame;
    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    #[test]
    fn a_head_is_a_line_and_its_headers() {
        let request = Request::put("http://ignored/a?b")
            .header("host", "c")
            .header("X-D", "e");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut out = Vec::new();
        encode_head(&parts, &mut out);
        assert_eq!(out, b"PUT /a?b HTTP/1.1\r\nhost: c\r\nx-d: e\r\n\r\n");
    }

    #[test]
    fn the_head_says_how_long_the_body_is() {
        let mut headers = HeaderMap::new();
        let empty = Empty::<Bytes>::new();
        let of_empty = |method, headers: &mut HeaderMap| Framing::of(&method, headers, &empty);
        assert_eq!(of_empty(Method::GET, &mut headers), Framing::Length(0));
        assert!(headers.is_empty(), "nothing is nothing to speak of");
        assert_eq!(of_empty(Method::OPTIONS, &mut headers), Framing::Length(0));
        assert_eq!(headers.remove(CONTENT_LENGTH).unwrap(), "0");

        let full = Full::new(Bytes::from_static(b"abc"));
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip, chunked"));
        assert_eq!(
            Framing::of(&Method::PUT, &mut headers, &full),
            Framing::Length(3)
        );
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[CONTENT_LENGTH], "3");

        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("7"));
        assert_eq!(
            Framing::of(&Method::PUT, &mut headers, &full),
            Framing::Length(7)
        );
    }

    #[test]
    fn a_length_that_is_not_one_number_is_removed() {
        let full = Full::new(Bytes::from_static(b"abc"));
        let stream = StreamBody::new(stream::empty::<Result<Frame<Bytes>, Infallible>>());
        for lines in [
            &["+5"][..],
            &["3", "3"],
            &["3", "5"],
            &["3, 3"],
            &["x"],
            &[""],
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_LENGTH, HeaderValue::from_static(line));
            }
            let mut of_stream = headers.clone();
            let framing = Framing::of(&Method::PUT, &mut headers, &full);
            assert_eq!(framing, Framing::Length(3), "{lines:?}");
            let said: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(said, ["3"], "{lines:?}");

            let framing = Framing::of(&Method::PUT, &mut of_stream, &stream);
            assert_eq!(framing, Framing::Chunked, "{lines:?}");
            assert!(!of_stream.contains_key(CONTENT_LENGTH), "{lines:?}");
            assert_eq!(of_stream[TRANSFER_ENCODING], "chunked", "{lines:?}");
        }
    }

    #[test]
    fn chunks_have_a_length_and_the_last_has_trailers() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-t", HeaderValue::from_static("1"));
        let mut out = Vec::new();
        let mut framing = Framing::Chunked;
        framing.encode_data(b"", &mut out).unwrap();
        framing.encode_data(b"hello, chunks", &mut out).unwrap();
        framing.encode_end(Some(&trailers), &mut out).unwrap();
        assert_eq!(out, b"D\r\nhello, chunks\r\n0\r\nx-t: 1\r\n\r\n");
    }

    #[test]
    fn a_body_is_as_long_as_it_says() {
        let mut out = Vec::new();
        let mut framing = Framing::Length(3);
        framing.encode_data(b"ab", &mut out).unwrap();
        assert!(framing.encode_end(None, &mut out).is_err());
        assert!(framing.encode_data(b"cd", &mut out).is_err());
        framing.encode_data(b"c", &mut out).unwrap();
        framing.encode_end(None, &mut out).unwrap();
        assert_eq!(out, b"abc");
    }
}
