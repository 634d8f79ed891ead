//! PEM: DER in lines of base64 between `-----BEGIN LABEL-----` and `-----END LABEL-----`
//! ([RFC 7468]).
//!
//! Text outside of blocks is ignored, as everywhere: files say in prose what they hold. A block
//! that is broken is an error with the line it is on, and not left out as Go and OpenSSL do, who
//! then complain that a certificate is missing.
//!
//! [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468
//!
//! # Example
//!
//! ```
//! use mesh_tls::pem::{self, PemErrorKind};
//!
//! let text = "our root:\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
//! let blocks = pem::parse(text.as_bytes())?;
//! assert_eq!((blocks[0].label(), blocks[0].der(), blocks[0].line()), ("CERTIFICATE", &[1, 2, 3][..], 2));
//! assert_eq!(pem::encode("CERTIFICATE", &[1, 2, 3]), text.split_once('\n').unwrap().1);
//!
//! let error = pem::parse(b"-----BEGIN CERTIFICATE-----\nAQ!D\n-----END CERTIFICATE-----\n").unwrap_err();
//! assert_eq!((error.line(), error.kind()), (2, &PemErrorKind::Base64));
//! # Ok::<(), mesh_tls::pem::PemError>(())
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateRevocationListDer, CertificateSigningRequestDer, PrivateKeyDer};

use crate::certificate::Certificate;

/// The longest text that is parsed, in bytes. The bundle of a large operating system has a quarter
/// of a megabyte.
pub const MAX_LEN: usize = 4 << 20;

/// How many base64 characters a line has that [`encode`] writes (RFC 7468 section 2).
const LINE_LEN: usize = 64;

const CERTIFICATE: &str = "CERTIFICATE";

/// OpenSSL's: what the certificate is trusted for follows it.
const TRUSTED_CERTIFICATE: &str = "TRUSTED CERTIFICATE";

/// One block of a PEM text.
///
/// Its [`Debug`](fmt::Debug) form does not show the content, which may be a key.
#[derive(Clone, Eq, PartialEq)]
pub struct Block {
    label: String,
    der: Vec<u8>,
    line: usize,
}

impl Block {
    /// What it says it is, such as `CERTIFICATE`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its content.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The line that it begins on, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    fn error(&self, kind: PemErrorKind) -> PemError {
        PemError {
            line: self.line,
            kind,
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("label", &self.label)
            .field("len", &self.der.len())
            .field("line", &self.line)
            .finish()
    }
}

/// Parses all blocks of a text, in their order. A text without blocks has none.
///
/// # Errors
///
/// When the text is longer than [`MAX_LEN`], or a block has no end, the end of another label, a
/// character that is not base64, or headers (keys that a password protects have them).
pub fn parse(text: &[u8]) -> Result<Vec<Block>, PemError> {
    if text.len() > MAX_LEN {
        let len = text.len();
        return Err(PemError::new(1, PemErrorKind::TooLong { len }));
    }
    let mut blocks = Vec::new();
    let mut open: Option<OpenBlock> = None;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.trim_ascii_end();
        open = match (open.take(), boundary(line)) {
            (None, Some(Boundary::Begin(label))) => Some(OpenBlock::new(label, number)),
            (None, _) => None,
            (Some(block), Some(Boundary::End(label))) => {
                blocks.push(block.close(label, number)?);
                None
            }
            (Some(block), Some(Boundary::Begin(_))) => return Err(block.unterminated()),
            (Some(mut block), None) => {
                block.push(line, number)?;
                Some(block)
            }
        };
    }
    match open {
        Some(block) => Err(block.unterminated()),
        None => Ok(blocks),
    }
}

/// Parses all certificates of a text. Other blocks are passed over.
///
/// # Errors
///
/// Those of [`parse`], and when a block is no certificate, or one of OpenSSL's `TRUSTED CERTIFICATE`. A text without certificates is not an
/// error here.
pub fn certificates(text: &[u8]) -> Result<Vec<Certificate>, PemError> {
    let blocks = parse(text)?.into_iter();
    let blocks = blocks.filter(|block| is_certificate(&block.label));
    let parsed = blocks.map(|block| {
        if block.label == TRUSTED_CERTIFICATE {
            return Err(block.error(PemErrorKind::TrustedCertificate));
        }
        let parsed = Certificate::from_der(&block.der);
        parsed.map_err(|error| block.error(PemErrorKind::Certificate(error)))
    });
    parsed.collect()
}

/// Parses the first private key of a text: PKCS#8, PKCS#1 (RSA) or SEC1 (EC).
///
/// # Errors
///
/// Those of [`parse`], and when there is no key, or it is encrypted.
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    for block in parse(text)? {
        match block.label.as_str() {
            "PRIVATE KEY" => return Ok(PrivateKeyDer::Pkcs8(block.der.into())),
            "RSA PRIVATE KEY" => return Ok(PrivateKeyDer::Pkcs1(block.der.into())),
            "EC PRIVATE KEY" => return Ok(PrivateKeyDer::Sec1(block.der.into())),
            "ENCRYPTED PRIVATE KEY" => return Err(block.error(PemErrorKind::EncryptedKey)),
            _ => {}
        }
    }
    Err(PemError::missing("PRIVATE KEY"))
}

/// Takes all certificate revocation lists of a text.
///
/// # Errors
///
/// Those of [`parse`]. The content of the lists is not looked at.
pub fn revocation_lists(
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let blocks = parse(text)?.into_iter();
    let lists = blocks.filter(|block| block.label == "X509 CRL");
    Ok(lists.map(|block| block.der.into()).collect())
}

/// Takes the first certificate signing request of a text.
///
/// # Errors
///
/// Those of [`parse`], and when there is no request. Its content is not looked at.
pub fn signing_request(text: &[u8]) -> Result<CertificateSigningRequestDer<'static>, PemError> {
    let mut blocks = parse(text)?.into_iter();
    let request = blocks.find(|block| {
        matches!(
            block.label.as_str(),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"
        )
    });
    let request = request.ok_or_else(|| PemError::missing("CERTIFICATE REQUEST"))?;
    Ok(request.der.into())
}

/// Writes a block, with lines of 64 characters and a final newline.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_LEN));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Writes certificates, one block after the other.
pub fn encode_certificates<'a>(chain: impl IntoIterator<Item = &'a Certificate>) -> String {
    let blocks = chain.into_iter();
    let blocks = blocks.map(|certificate| encode(CERTIFICATE, certificate.der()));
    blocks.collect()
}

fn is_certificate(label: &str) -> bool {
    matches!(
        label,
        CERTIFICATE | "X509 CERTIFICATE" | TRUSTED_CERTIFICATE
    )
}

/// A block that has begun.
struct OpenBlock {
    label: String,
    line: usize,
    body: Vec<u8>,
    /// The line of the last character, for errors about the whole.
    last_line: usize,
}

impl OpenBlock {
    fn new(label: &str, line: usize) -> Self {
        Self {
            label: label.to_owned(),
            line,
            body: Vec::new(),
            last_line: line,
        }
    }

    fn push(&mut self, line: &[u8], number: usize) -> Result<(), PemError> {
        let line = line.trim_ascii();
        if line.contains(&b':') {
            return Err(PemError::new(number, PemErrorKind::Headers));
        }
        let is_base64 =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if !line.iter().all(is_base64) {
            return Err(PemError::new(number, PemErrorKind::Base64));
        }
        if !line.is_empty() {
            self.last_line = number;
        }
        self.body.extend_from_slice(line);
        Ok(())
    }

    fn close(self, end: &str, number: usize) -> Result<Block, PemError> {
        if self.label != end {
            let (begin, end) = (self.label, end.to_owned());
            return Err(PemError::new(number, PemErrorKind::OtherEnd { begin, end }));
        }
        let der = STANDARD.decode(&self.body);
        Ok(Block {
            label: self.label,
            der: der.map_err(|_| PemError::new(self.last_line, PemErrorKind::Base64))?,
            line: self.line,
        })
    }

    fn unterminated(self) -> PemError {
        PemError::new(self.line, PemErrorKind::Unterminated { label: self.label })
    }
}

enum Boundary<'a> {
    Begin(&'a str),
    End(&'a str),
}

fn boundary(line: &[u8]) -> Option<Boundary<'_>> {
    let line = line.strip_prefix(b"-----")?.strip_suffix(b"-----")?;
    let line = std::str::from_utf8(line).ok()?;
    let begin = line.strip_prefix("BEGIN ").map(Boundary::Begin);
    begin.or_else(|| line.strip_prefix("END ").map(Boundary::End))
}

/// Why a text could not be read, and on which line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct PemError {
    line: usize,
    kind: PemErrorKind,
}

impl PemError {
    fn new(line: usize, kind: PemErrorKind) -> Self {
        Self { line, kind }
    }

    fn missing(label: &'static str) -> Self {
        Self::new(1, PemErrorKind::Missing { label })
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong.
    pub fn kind(&self) -> &PemErrorKind {
        &self.kind
    }
}

/// What is wrong with a PEM text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PemErrorKind {
    /// A line is not base64.
    #[error("not base64")]
    Base64,
    /// A block is no certificate.
    #[error(transparent)]
    Certificate(#[from] crate::certificate::ParseCertificateError),
    /// A key is protected by a password.
    #[error("the private key is encrypted")]
    EncryptedKey,
    /// A block has headers, as keys that a password protects have.
    #[error("headers inside of a block are not understood; is the key encrypted?")]
    Headers,
    /// There is no such block.
    #[error("no `{label}`")]
    Missing {
        /// The label that was looked for.
        label: &'static str,
    },
    /// A block ends with another label than it began with.
    #[error("`{begin}` ends as `{end}`")]
    OtherEnd {
        /// The label at the beginning.
        begin: String,
        /// The label at the end.
        end: String,
    },
    /// The text is longer than [`MAX_LEN`].
    #[error("a text of {len} bytes is too long")]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// A certificate says itself what it is trusted for, which nothing here looks at.
    #[error("`TRUSTED CERTIFICATE` is OpenSSL's own; `openssl x509` writes it as a certificate")]
    TrustedCertificate,
    /// A block does not end.
    #[error("`{label}` has no end")]
    Unterminated {
        /// Its label.
        label: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";

    #[test]
    fn each_fault_is_told_with_its_line() {
        use PemErrorKind as K;
        let end = |begin: &str, end: &str| K::OtherEnd {
            begin: begin.into(),
            end: end.into(),
        };
        let unterminated = |label: &str| K::Unterminated {
            label: label.into(),
        };
        let cases = [
            ("-----BEGIN A-----\n", 1, unterminated("A")),
            ("\n-----BEGIN A-----\nAQID\n", 2, unterminated("A")),
            (
                "-----BEGIN A-----\n-----BEGIN B-----\n",
                1,
                unterminated("A"),
            ),
            (
                "-----BEGIN A-----\nAQID\n-----END B-----\n",
                3,
                end("A", "B"),
            ),
            (
                "-----BEGIN A-----\nAQID\nA\n-----END A-----\n",
                3,
                K::Base64,
            ),
            (
                "-----BEGIN A-----\nAQID\nA-ID\n-----END A-----\n",
                3,
                K::Base64,
            ),
            (
                "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n-----END A-----\n",
                2,
                K::Headers,
            ),
        ];
        for (text, line, kind) in cases {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.line(), error.kind()), (line, &kind), "{text}");
        }
        let long = vec![b' '; MAX_LEN + 1];
        assert!(matches!(
            parse(&long).unwrap_err().kind(),
            K::TooLong { .. }
        ));
    }

    #[test]
    fn line_ends_and_indentation_of_the_body_do_not_matter() {
        let text = "-----BEGIN A-----\r\n  AQ\r\n\tID \r\n\r\n-----END A-----";
        assert_eq!(parse(text.as_bytes()).unwrap()[0].der(), [1, 2, 3]);
    }

    #[test]
    fn a_key_is_found_among_other_blocks() {
        let text = format!("{}{KEY}", encode("EC PARAMETERS", &[6, 1]));
        let key = private_key(text.as_bytes()).unwrap();
        assert_eq!(key.secret_der(), [1, 2, 3]);
        let error = private_key(b"nothing").unwrap_err();
        assert_eq!(error.to_string(), "line 1: no `PRIVATE KEY`");
        let encrypted = encode("ENCRYPTED PRIVATE KEY", &[1]);
        let error = private_key(encrypted.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), &PemErrorKind::EncryptedKey);
    }

    #[test]
    fn a_key_is_not_printed() {
        let printed = format!("{:?}", parse(KEY.as_bytes()).unwrap());
        assert!(
            printed.contains("len: 3") && !printed.contains("[1"),
            "{printed}"
        );
    }

    #[test]
    fn a_text_cut_anywhere_is_read_or_refused() {
        let credential = crate::testing::Authority::new("root").host("a.example");
        let key = encode("PRIVATE KEY", credential.private_key().secret_der());
        let text = encode_certificates(credential.chain()) + &key;
        for end in 0..text.len() {
            let cut = &text.as_bytes()[..end];
            let count = certificates(cut).map_or(0, |certificates| certificates.len());
            assert!(count <= 1, "{end}");
            // The last line break may be missing.
            assert_eq!(private_key(cut).is_ok(), end + 1 >= text.len(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(der in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = encode("A B", &der);
            let blocks = parse(text.as_bytes()).unwrap();
            prop_assert_eq!((blocks[0].label(), blocks[0].der()), ("A B", &der[..]));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn any_lines_are_read_or_refused(
            lines in proptest::collection::vec("-----(BEGIN|END) [AB]-----|[A-Za-z0-9+/=]{0,8}|.{0,4}", 0..12),
        ) {
            if let Ok(blocks) = parse(lines.join("\n").as_bytes()) {
                prop_assert!(blocks.iter().all(|block| block.line() <= lines.len()));
            }
        }
    }
}
