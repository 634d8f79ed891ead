//! Reading a ClientHello without answering it ([RFC 8446 section 4.1.2]).
//!
//! A proxy that passes TLS on, or takes TLS and plaintext on one port, has to know what a client
//! asks for before it decides. [`detect`] looks at the first bytes of a connection, which stay
//! where they are, and says whether they are plaintext, a whole [`ClientHello`], or too few to
//! tell. It is called again when there are more; [`Detected::Incomplete`] says how many are needed,
//! so that nothing is parsed twice for no gain.
//!
//! Whatever cannot be a ClientHello is plaintext from the first byte that tells, as in Envoy's
//! `tls_inspector`; and so is one longer than [`MAX_LEN`]. A ClientHello that is malformed counts
//! as TLS, as the handshake will refuse it with an alert; Envoy's inspector takes it for plaintext.
//! Malformed is also one that asks for more than it needs to be served: a server name longer than
//! [`MAX_NAME_LEN`], as in BoringSSL, or more than [`MAX_ALPN`]
//! application protocols.
//!
//! [RFC 8446 section 4.1.2]: https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2
//!
//! # Example
//!
//! ```
//! use mesh_tls::client_hello::{Detected, detect};
//!
//! assert_eq!(detect(b"GET / HTTP/1.1\r\n"), Detected::Plaintext);
//! // The header of a record with 512 bytes has 5 bytes.
//! assert_eq!(detect(&[22, 3, 1, 2, 0]), Detected::Incomplete { needed: 517 });
//! assert_eq!(detect(b""), Detected::Incomplete { needed: 1 });
//! ```

use std::fmt;

use crate::server_names::MAX_NAME_LEN;

/// The longest sequence of records with a ClientHello that is read, in bytes.
pub const MAX_LEN: usize = 64 << 10;

/// How many application protocols a ClientHello may offer; one with more is malformed. Browsers offer
/// two.
pub const MAX_ALPN: usize = 64;

/// `ContentType.handshake`.
const HANDSHAKE: u8 = 22;
/// `HandshakeType.client_hello`.
const CLIENT_HELLO: u8 = 1;
/// `ExtensionType`s.
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// The extensions that are read.
const READ: [u16; 3] = [SERVER_NAME, ALPN, SUPPORTED_VERSIONS];
/// Type, version and length.
const RECORD_HEADER: usize = 5;
/// Type and length.
const MESSAGE_HEADER: usize = 4;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Detected {
    /// TLS, with what the client asks for.
    ClientHello(ClientHello),
    /// Too few bytes to tell.
    Incomplete {
        /// How many bytes are needed, from the first one on, before it makes sense to try again.
        needed: usize,
    },
    /// TLS, whose ClientHello is malformed.
    Malformed,
    /// Not TLS.
    Plaintext,
}

/// What a client asks for.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct ClientHello {
    server_name: Option<String>,
    alpn: Vec<Vec<u8>>,
    versions: Vec<u16>,
}

impl ClientHello {
    /// The host that it wants to talk to (RFC 6066 section 3), in lower case.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The application protocols that it offers, the preferred one first (RFC 7301).
    pub fn alpn(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.alpn.iter().map(Vec::as_slice)
    }

    /// The application protocols that are texts, as filter chains match them.
    pub fn alpn_texts(&self) -> impl Iterator<Item = &str> {
        self.alpn()
            .filter_map(|name| std::str::from_utf8(name).ok())
    }

    /// The versions of TLS that it offers, as on the wire: `0x0304` is TLS 1.3.
    pub fn versions(&self) -> &[u16] {
        &self.versions
    }
}

impl fmt::Debug for ClientHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alpn = self.alpn().map(String::from_utf8_lossy);
        let alpn: Vec<_> = alpn.collect();
        f.debug_struct("ClientHello")
            .field("server_name", &self.server_name)
            .field("alpn", &alpn)
            .field("versions", &format_args!("{:04x?}", self.versions))
            .finish()
    }
}

/// Says what the first bytes of a connection are.
pub fn detect(bytes: &[u8]) -> Detected {
    match message(bytes) {
        Message::Whole(body) => match parse(&body) {
            Some(hello) => Detected::ClientHello(hello),
            None => Detected::Malformed,
        },
        Message::Needs(needed) if needed <= MAX_LEN => Detected::Incomplete { needed },
        Message::Needs(_) | Message::Other => Detected::Plaintext,
    }
}

enum Message {
    /// Needs so many bytes.
    Needs(usize),
    /// Is no ClientHello.
    Other,
    /// The body of the ClientHello.
    Whole(Vec<u8>),
}

/// Collects the handshake message from the records that it is in (RFC 8446 section 5.1).
fn message(bytes: &[u8]) -> Message {
    let mut message = Vec::new();
    let mut rest = bytes;
    // What is still missing takes one more record at least. Looking again before that is there would
    // cost a client nothing and us all the records so far, for each of its records of one byte.
    let mut at_least = 0;
    loop {
        let read = bytes.len() - rest.len();
        let Some(fragment_len) = record_len(rest) else {
            return Message::Other;
        };
        let record_len = RECORD_HEADER + fragment_len.unwrap_or(0);
        if rest.len() <= RECORD_HEADER && fragment_len.is_none() {
            // A wrong first byte of the body tells plaintext, so one byte is asked for first.
            return Message::Needs(at_least.max(read + rest.len() + 1));
        }
        let fragment = &rest[RECORD_HEADER..rest.len().min(record_len)];
        if message.is_empty() && fragment.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Message::Other;
        }
        if rest.len() < record_len {
            return Message::Needs(at_least.max(read + record_len));
        }
        message.extend_from_slice(fragment);
        rest = &rest[record_len..];
        let Some(header) = message.first_chunk::<MESSAGE_HEADER>() else {
            continue;
        };
        let len = MESSAGE_HEADER + u24(header);
        if message.len() >= len {
            return Message::Whole(message[MESSAGE_HEADER..len].to_vec());
        }
        at_least = bytes.len() - rest.len() + RECORD_HEADER + len - message.len();
        if at_least > MAX_LEN {
            return Message::Other;
        }
    }
}

/// The length of the fragment of a handshake record; `Some(None)` if the header is not whole, and
/// `None` if it is that of no handshake record.
fn record_len(header: &[u8]) -> Option<Option<usize>> {
    let is = |index: usize, test: fn(u8) -> bool| header.get(index).is_none_or(|byte| test(*byte));
    let is_handshake =
        is(0, |kind| kind == HANDSHAKE) && is(1, |major| major == 3) && is(2, |minor| minor <= 4);
    if !is_handshake {
        return None;
    }
    let Some(len) = header.get(3..RECORD_HEADER) else {
        return Some(None);
    };
    let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
    // Fragments are not empty, and at most 2^14 bytes long.
    (1..=1 << 14).contains(&len).then_some(Some(len))
}

fn u24(header: &[u8; MESSAGE_HEADER]) -> usize {
    let [_, a, b, c] = *header;
    u32::from_be_bytes([0, a, b, c]) as usize
}

/// Parses the body of a ClientHello.
fn parse(body: &[u8]) -> Option<ClientHello> {
    let mut body = Reader(body);
    let legacy_version = body.u16()?;
    body.bytes(32)?; // random
    body.list8()?; // legacy_session_id
    body.list16()?; // cipher_suites
    body.list8()?; // legacy_compression_methods
    let mut hello = ClientHello::default();
    if !body.is_empty() {
        let mut extensions = Reader(body.list16()?);
        let mut seen = Vec::new();
        while !extensions.is_empty() {
            let (kind, content) = (extensions.u16()?, extensions.list16()?);
            // There must not be two of one kind (RFC 8446 section 4.2): of two names, another reader
            // might believe the one that is not believed here.
            if READ.contains(&kind) {
                if seen.contains(&kind) {
                    return None;
                }
                seen.push(kind);
            }
            extension(&mut hello, kind, content)?;
        }
    }
    if hello.versions.is_empty() {
        hello.versions.push(legacy_version);
    }
    body.is_empty().then_some(hello)
}

fn extension(hello: &mut ClientHello, kind: u16, content: &[u8]) -> Option<()> {
    let mut content = Reader(content);
    match kind {
        SERVER_NAME => {
            let mut names = Reader(content.list16()?);
            while !names.is_empty() {
                let (kind, name) = (names.u8()?, names.list16()?);
                // There must not be two of one type (RFC 6066 section 3).
                if kind == 0 && hello.server_name.replace(host_name(name)?).is_some() {
                    return None;
                }
            }
        }
        ALPN => {
            let mut names = Reader(content.list16()?);
            while !names.is_empty() {
                let name = names.list8()?;
                // Names are not empty (RFC 7301 section 3.1).
                if name.is_empty() || hello.alpn.len() == MAX_ALPN {
                    return None;
                }
                hello.alpn.push(name.to_vec());
            }
        }
        SUPPORTED_VERSIONS => {
            let mut versions = Reader(content.list8()?);
            while !versions.is_empty() {
                hello.versions.push(versions.u16()?);
            }
        }
        _ => return Some(()),
    }
    content.is_empty().then_some(())
}

/// A server name: printable ASCII, which is more than a host name and less than what could be
/// smuggled into a log, and no longer than DNS has names.
fn host_name(name: &[u8]) -> Option<String> {
    let is_text = (1..=MAX_NAME_LEN).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    let name = is_text.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())?;
    Some(name)
}

/// Reads from the front of a slice; `None` if it is too short.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.bytes(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn list8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.bytes(len.into())
    }

    fn list16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.bytes(len.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::client_bytes;

    /// The same message in records of `len` bytes.
    fn in_records_of(bytes: &[u8], len: usize) -> Vec<u8> {
        let fragments = bytes[RECORD_HEADER..].chunks(len);
        let records = fragments.flat_map(|fragment| {
            let [high, low] = u16::try_from(fragment.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1, high, low], fragment].concat()
        });
        records.collect()
    }

    fn hello(bytes: &[u8]) -> ClientHello {
        match detect(bytes) {
            Detected::ClientHello(hello) => hello,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_client_asks_for_is_read() {
        let found = hello(&client_bytes(
            "Shop.Example",
            &["istio-peer-exchange", "istio"],
        ));
        assert_eq!(found.server_name(), Some("shop.example"));
        let alpn: Vec<_> = found.alpn_texts().collect();
        assert_eq!(alpn, ["istio-peer-exchange", "istio"]);
        assert_eq!(found.versions(), [0x0304, 0x0303]);
        let without = hello(&client_bytes("192.0.2.1", &[]));
        assert_eq!((without.server_name(), without.alpn().len()), (None, 0));
    }

    #[test]
    fn a_client_hello_in_many_records_is_put_together() {
        let whole = client_bytes("shop.example", &["h2"]);
        for len in [1, 2, 3, 4, 7, 100] {
            let split = in_records_of(&whole, len);
            assert_eq!(hello(&split), hello(&whole), "records of {len}");
        }
    }

    #[test]
    fn what_comes_byte_by_byte_is_found_when_the_last_one_is_there() {
        let whole = client_bytes("shop.example", &["h2"]);
        for bytes in [whole.clone(), in_records_of(&whole, 50)] {
            for len in 0..bytes.len() {
                let Detected::Incomplete { needed } = detect(&bytes[..len]) else {
                    panic!("{len} bytes are enough");
                };
                assert!(
                    (len + 1..=bytes.len()).contains(&needed),
                    "{needed} at {len}"
                );
            }
            assert!(matches!(detect(&bytes), Detected::ClientHello(_)));
        }
    }

    #[test]
    fn following_the_numbers_few_looks_are_needed() {
        let bytes = client_bytes("shop.example", &["h2"]);
        let (mut len, mut looks) = (0, 0);
        while let Detected::Incomplete { needed } = detect(&bytes[..len]) {
            (len, looks) = (needed, looks + 1);
        }
        assert_eq!(len, bytes.len());
        assert!(looks <= RECORD_HEADER + 2, "{looks}");
    }

    #[test]
    fn records_of_one_byte_do_not_make_for_many_looks() {
        let bytes = in_records_of(&client_bytes("shop.example", &["h2"]), 1);
        let (mut len, mut looks) = (0, 0);
        while let Detected::Incomplete { needed } = detect(&bytes[..len]) {
            (len, looks) = (needed, looks + 1);
        }
        assert_eq!(len, bytes.len());
        // Each look sees a sixth of what is missing.
        assert!(looks < 80, "{looks} for {len} bytes");
    }

    #[test]
    fn plaintext_is_told_by_the_first_byte_that_differs() {
        let cases: [&[u8]; 9] = [
            b"G",
            b"SSH-2.0",
            b"\x16\x02",
            b"\x16\x03\x05",
            b"\x17\x03\x01",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x40\x01",
            b"\x16\x03\x01\x02\x00\x02",
            b"\x80\x2e\x01\x03\x01",
        ];
        for bytes in cases {
            assert_eq!(detect(bytes), Detected::Plaintext, "{bytes:?}");
        }
    }

    #[test]
    fn a_client_hello_that_is_too_long_is_not_waited_for() {
        // One that says that it has 2^24 - 1 bytes.
        let header = [HANDSHAKE, 3, 1, 0, 4, CLIENT_HELLO, 255, 255, 255];
        assert_eq!(detect(&header), Detected::Plaintext);
    }

    #[test]
    fn a_malformed_client_hello_is_tls() {
        let mut malformed = client_bytes("shop.example", &["h2"]);
        malformed[9 + 34] = 200; // the length of the session ID
        assert_eq!(detect(&malformed), Detected::Malformed);
    }

    /// A ClientHello with this extension alone.
    fn with_extension(kind: u8, content: &[u8]) -> Vec<u8> {
        with_extensions(&[(kind, content)])
    }

    fn with_extensions(extensions: &[(u8, &[u8])]) -> Vec<u8> {
        let list =
            |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let extensions = extensions.iter();
        let extensions = extensions.flat_map(|(kind, of)| [&[0, *kind], &list(of)[..]].concat());
        let extensions: Vec<u8> = extensions.collect();
        let body = [
            &[3, 3][..],
            &[0; 32],         // random
            &[0],             // legacy_session_id
            &[0, 2, 0x13, 1], // cipher_suites
            &[1, 0],          // legacy_compression_methods
            &list(&extensions),
        ];
        let body = body.concat();
        let [_, len @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[CLIENT_HELLO], &len[..], &body].concat();
        in_records_of(&[&[0; RECORD_HEADER], &message[..]].concat(), 1 << 14)
    }

    #[test]
    fn a_server_name_is_no_longer_than_dns_has_names() {
        let named = |len: usize| {
            let name = "a.".repeat(len).into_bytes()[..len].to_vec();
            let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
            let entry = [&[0, high, low], &name[..]].concat();
            let [high, low] = u16::try_from(entry.len()).unwrap().to_be_bytes();
            detect(&with_extension(0, &[&[high, low], &entry[..]].concat()))
        };
        let Detected::ClientHello(longest) = named(MAX_NAME_LEN) else {
            panic!("{MAX_NAME_LEN} bytes are too long");
        };
        assert_eq!(longest.server_name().map(str::len), Some(255));
        for len in [0, MAX_NAME_LEN + 1, 60_000] {
            assert_eq!(named(len), Detected::Malformed, "{len}");
        }
    }

    #[test]
    fn what_is_said_twice_is_malformed() {
        let name = b"\x00\x04\x00\x00\x01a";
        let of_another_type = b"\x00\x08\x01\x00\x01a\x00\x00\x01b";
        let other_extension = (5, &b""[..]);
        type Extensions<'a> = &'a [(u8, &'a [u8])];
        let cases: [(&str, Extensions<'_>, bool); 8] = [
            ("a name", &[(0, name)], true),
            (
                "a name after one of another type",
                &[(0, of_another_type)],
                true,
            ),
            (
                "others twice",
                &[other_extension, other_extension, (0, name)],
                true,
            ),
            (
                "two names",
                &[(0, b"\x00\x08\x00\x00\x01a\x00\x00\x01b")],
                false,
            ),
            ("names twice", &[(0, name), (0, name)], false),
            (
                "no names, and a name",
                &[(0, b"\x00\x00"), (0, name)],
                false,
            ),
            (
                "protocols twice",
                &[(16, b"\x00\x03\x02h2"), (16, b"\x00\x03\x02h2")],
                false,
            ),
            (
                "versions twice",
                &[(43, b"\x02\x03\x04"), (43, b"\x02\x03\x04")],
                false,
            ),
        ];
        for (case, extensions, is_read) in cases {
            let found = detect(&with_extensions(extensions));
            let is_hello = matches!(found, Detected::ClientHello(_));
            assert_eq!(is_hello, is_read, "{case}: {found:?}");
        }
    }

    #[test]
    fn application_protocols_have_names_and_are_not_many() {
        let offering = |names: &[u8]| {
            let [high, low] = u16::try_from(names.len()).unwrap().to_be_bytes();
            detect(&with_extension(16, &[&[high, low], names].concat()))
        };
        let Detected::ClientHello(most) = offering(&b"\x02h2".repeat(MAX_ALPN)) else {
            panic!("{MAX_ALPN} are too many");
        };
        assert_eq!(most.alpn().len(), MAX_ALPN);
        let cases: [&[u8]; 3] = [
            &b"\x02h2".repeat(MAX_ALPN + 1),
            b"\x00",
            b"\x02h2\x00\x08http/1.1",
        ];
        for names in cases {
            assert_eq!(offering(names), Detected::Malformed, "{names:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_understood_and_little_is_asked_for(
            bytes in proptest::collection::vec(any::<u8>(), 0..100), as_tls: bool,
        ) {
            let prefix: &[u8] = if as_tls { &[HANDSHAKE, 3, 1] } else { &[] };
            let bytes = [prefix, &bytes].concat();
            if let Detected::Incomplete { needed } = detect(&bytes) {
                prop_assert!((bytes.len() + 1..=MAX_LEN).contains(&needed));
            }
        }

        #[test]
        fn a_client_hello_with_any_bytes_changed_does_not_panic(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = client_bytes("shop.example", &["h2", "http/1.1"]);
            for (index, byte) in changes {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            let _ = detect(&bytes);
        }
    }
}
