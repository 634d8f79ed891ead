//! Whether plaintext is HTTP, told by its first bytes (Envoy's `http_inspector`).

use std::io;

use mesh_tls::peek::Peeked;
use tokio::io::AsyncRead;
use tokio::time::{Instant, timeout_at};

use super::connection::PREFACE;

/// How many bytes of a request line are looked at.
const MAX_LINE: usize = 8 * 1024;

/// What the first bytes of a plaintext connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sniffed {
    /// HTTP, by the name that filter chains have for it.
    Http(&'static str),
    /// Too few bytes to tell.
    Incomplete,
    /// Something else.
    Other,
}

/// Reads until it is clear whether HTTP is spoken, until `deadline` at most, and says which version by
/// the name that filter chains have for it.
///
/// # Errors
///
/// When reading fails.
pub(super) async fn http<IO>(
    peeked: &mut Peeked<IO>,
    deadline: Option<Instant>,
) -> io::Result<Option<&'static str>>
where
    IO: AsyncRead + Unpin,
{
    loop {
        match sniff(peeked.first_bytes()) {
            Sniffed::Http(protocol) => return Ok(Some(protocol)),
            Sniffed::Other => return Ok(None),
            Sniffed::Incomplete => {}
        }
        let further = peeked.look_further();
        let more = match deadline {
            Some(deadline) => timeout_at(deadline, further).await.unwrap_or(Ok(false)),
            None => further.await,
        };
        if !more? {
            return Ok(None);
        }
    }
}

fn sniff(bytes: &[u8]) -> Sniffed {
    let common = bytes.len().min(PREFACE.len());
    if bytes[..common] == PREFACE[..common] {
        return match common == PREFACE.len() {
            true => Sniffed::Http("h2c"),
            false => Sniffed::Incomplete,
        };
    }
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    if line.len() == bytes.len() {
        let is_method =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let mut method = bytes.iter().take_while(|byte| **byte != b' ');
        return match method.all(is_method) && bytes.len() < MAX_LINE {
            true => Sniffed::Incomplete,
            false => Sniffed::Other,
        };
    }
    match line.strip_suffix(b"\r").unwrap_or(line) {
        line if line.ends_with(b" HTTP/1.1") => Sniffed::Http("http/1.1"),
        line if line.ends_with(b" HTTP/1.0") => Sniffed::Http("http/1.0"),
        _ => Sniffed::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_or_the_preface_is_http() {
        let cases: [(&str, Sniffed); 10] = [
            ("", Sniffed::Incomplete),
            ("GET", Sniffed::Incomplete),
            ("GET /a HTTP/1.1", Sniffed::Incomplete),
            ("GET /a HTTP/1.1\r\nhost: a\r\n", Sniffed::Http("http/1.1")),
            ("GET /a HTTP/1.0\n", Sniffed::Http("http/1.0")),
            ("GET /a HTTP/0.9\r\n", Sniffed::Other),
            ("PRI * HTTP/2.0\r\n", Sniffed::Incomplete),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniffed::Http("h2c")),
            ("EHLO mail.example\r\n", Sniffed::Other),
            ("\u{1}\u{2}", Sniffed::Other),
        ];
        for (bytes, expected) in cases {
            assert_eq!(sniff(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_http() {
        let line = vec![b'A'; MAX_LINE];
        assert_eq!(sniff(&line), Sniffed::Other);
    }
}
