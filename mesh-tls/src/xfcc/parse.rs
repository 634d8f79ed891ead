//! Parsing the header.

use std::str::FromStr;

use super::element::{Element, Xfcc, distinguished_name};

/// The longest header that is parsed, in bytes. Envoy takes 60 KiB of headers by default.
pub const MAX_LEN: usize = 64 * 1024;

/// The most elements that a header may have: one for each proxy on the way.
pub const MAX_ELEMENTS: usize = 64;

impl FromStr for Xfcc {
    type Err = ParseXfccError;

    /// Parses the header. Several lines of it are joined with commas first.
    ///
    /// Keys are read in any case. Empty elements, as a join of empty lines leaves them, are
    /// skipped.
    ///
    /// # Errors
    ///
    /// When the header is longer than [`MAX_LEN`] or has more than [`MAX_ELEMENTS`] elements, a
    /// quote is not closed or something follows it, a pair has no `=`, its key is unknown or, for
    /// the keys that have one value, twice in an element, or a certificate is not percent-encoded.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_LEN {
            return Err(ParseXfccError::TooLong { len: text.len() });
        }
        let mut cursor = Cursor { text, at: 0 };
        let mut elements = Vec::new();
        loop {
            let element = cursor.element()?;
            if element != Element::default() {
                elements.push(element);
            }
            if elements.len() > MAX_ELEMENTS {
                return Err(ParseXfccError::TooManyElements);
            }
            if !cursor.skip(b',') {
                return Ok(Self { elements });
            }
        }
    }
}

/// A position in the header.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Reads pairs up to a comma or the end.
    fn element(&mut self) -> Result<Element, ParseXfccError> {
        let mut element = Element::default();
        loop {
            self.skip_spaces();
            if matches!(self.peek(), None | Some(b',')) {
                return Ok(element);
            }
            if self.skip(b';') {
                continue;
            }
            let at = self.at;
            let key = self.key()?;
            let value = self.value()?;
            put(&mut element, key, value, at)?;
        }
    }

    fn key(&mut self) -> Result<&'a str, ParseXfccError> {
        let rest = &self.text[self.at..];
        let end = rest.find(['=', ',', ';', '"']).unwrap_or(rest.len());
        if rest.as_bytes().get(end) != Some(&b'=') {
            return Err(ParseXfccError::NoValue { at: self.at });
        }
        self.at += end + 1;
        Ok(rest[..end].trim_end())
    }

    /// Reads a value and what ends it, save the comma.
    fn value(&mut self) -> Result<Value<'a>, ParseXfccError> {
        if self.skip(b'"') {
            return self.quoted();
        }
        let rest = &self.text[self.at..];
        let end = rest.find([',', ';']).unwrap_or(rest.len());
        let value = rest[..end].trim_end_matches([' ', '\t']);
        if value.contains('"') {
            return Err(ParseXfccError::StrayQuote { at: self.at });
        }
        self.at += end;
        Ok(Value::Plain(value))
    }

    fn quoted(&mut self) -> Result<Value<'a>, ParseXfccError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    let value = &self.text[start..self.at];
                    self.at += 1;
                    self.skip_spaces();
                    return match self.peek() {
                        None | Some(b',' | b';') => Ok(Value::Quoted(value)),
                        Some(_) => Err(ParseXfccError::StrayQuote { at: start - 1 }),
                    };
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        Err(ParseXfccError::OpenQuote { at: start - 1 })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }
}

/// A value as it stands in the header.
#[derive(Clone, Copy)]
enum Value<'a> {
    Plain(&'a str),
    Quoted(&'a str),
}

impl<'a> Value<'a> {
    /// The text between the quotes, escapes and all.
    fn raw(self) -> &'a str {
        match self {
            Self::Plain(text) | Self::Quoted(text) => text,
        }
    }

    /// A distinguished name, whose escapes are its own.
    fn distinguished_name(self) -> String {
        match self {
            Self::Plain(text) => distinguished_name(text),
            Self::Quoted(text) => text.to_owned(),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Plain(text) => text.to_owned(),
            Self::Quoted(text) => unescape(text),
        }
    }
}

fn put(
    element: &mut Element,
    key: &str,
    value: Value<'_>,
    at: usize,
) -> Result<(), ParseXfccError> {
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    if is("By") {
        element.by.push(value.text());
        return Ok(());
    } else if is("URI") {
        element.uri.push(value.text());
        return Ok(());
    } else if is("DNS") {
        element.dns.push(value.text());
        return Ok(());
    }
    let (slot, text) = if is("Hash") {
        (&mut element.hash, value.text())
    } else if is("Subject") {
        (&mut element.subject, value.distinguished_name())
    } else if is("Cert") {
        (&mut element.cert, percent_decode(value.raw(), at)?)
    } else if is("Chain") {
        (&mut element.chain, percent_decode(value.raw(), at)?)
    } else {
        return Err(ParseXfccError::UnknownKey { at });
    };
    match slot.replace(text) {
        None => Ok(()),
        Some(_) => Err(ParseXfccError::Repeated { at }),
    }
}

/// Takes `\"` and `\\` for what they stand for, and leaves other backslashes.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, '"' | '\\'));
        plain.push(escaped.unwrap_or(c));
    }
    plain
}

fn percent_decode(text: &str, at: usize) -> Result<String, ParseXfccError> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).filter(|code| !code.starts_with('+'));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        decoded.push(byte.ok_or(ParseXfccError::PercentEncoding { at })?);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(decoded).map_err(|_| ParseXfccError::PercentEncoding { at })
}

/// Why a text is not a header of this kind. Positions are in bytes from its beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseXfccError {
    /// The header is longer than [`MAX_LEN`].
    #[error("header of `{len}` bytes is longer than {MAX_LEN} bytes")]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// The header has more than [`MAX_ELEMENTS`] elements.
    #[error("header has more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// A pair has no `=`.
    #[error("pair at byte {at} has no value")]
    NoValue {
        /// Where the pair begins.
        at: usize,
    },
    /// A quote is not closed.
    #[error("quote at byte {at} is not closed")]
    OpenQuote {
        /// Where the quote is.
        at: usize,
    },
    /// A quote is within a value, or something follows a quoted value.
    #[error("quotes at byte {at} are not around the whole value")]
    StrayQuote {
        /// Where the value begins.
        at: usize,
    },
    /// A key is none that Envoy writes.
    #[error("key at byte {at} is unknown")]
    UnknownKey {
        /// Where the pair begins.
        at: usize,
    },
    /// A key that has one value is twice in an element.
    #[error("key at byte {at} is repeated")]
    Repeated {
        /// Where the second pair begins.
        at: usize,
    },
    /// A certificate is not percent-encoded UTF-8.
    #[error("value at byte {at} is not percent-encoded text")]
    PercentEncoding {
        /// Where the pair begins.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ParseXfccError as E;
    use super::*;

    #[test]
    fn each_fault_has_its_error() {
        let cases = [
            ("By", E::NoValue { at: 0 }),
            ("By=a;Hash", E::NoValue { at: 5 }),
            ("By=a, b", E::NoValue { at: 6 }),
            ("Hash=\"a", E::OpenQuote { at: 5 }),
            (r#"Hash="a\"#, E::OpenQuote { at: 5 }),
            (r#"Hash="a\""#, E::OpenQuote { at: 5 }),
            ("Hash=\"a\"b", E::StrayQuote { at: 5 }),
            ("Hash=a\"b\"", E::StrayQuote { at: 5 }),
            ("Color=red", E::UnknownKey { at: 0 }),
            ("=red", E::UnknownKey { at: 0 }),
            ("Hash=a;hash=b", E::Repeated { at: 7 }),
            ("Subject=\"a\";Subject=\"b\"", E::Repeated { at: 12 }),
            ("Cert=\"%0\"", E::PercentEncoding { at: 0 }),
            ("Cert=\"%+1\"", E::PercentEncoding { at: 0 }),
            ("Cert=\"%é\"", E::PercentEncoding { at: 0 }),
            ("Chain=\"%FF\"", E::PercentEncoding { at: 0 }),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Xfcc>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_length_and_the_elements_are_bounded() {
        let long = format!("Hash={}", "a".repeat(MAX_LEN - 5));
        assert!(long.parse::<Xfcc>().is_ok());
        let longer = format!("{long}a");
        let len = MAX_LEN + 1;
        assert_eq!(longer.parse::<Xfcc>(), Err(E::TooLong { len }));
        let many = vec!["By=a"; MAX_ELEMENTS].join(",");
        assert_eq!(many.parse::<Xfcc>().unwrap().elements.len(), MAX_ELEMENTS);
        let more = format!("{many},By=a");
        assert_eq!(more.parse::<Xfcc>(), Err(E::TooManyElements));
    }

    #[test]
    fn keys_have_any_case_and_spaces_between_pairs_do_not_count() {
        let xfcc: Xfcc = " by=a ; HASH=b ,, uri=\"c\" ;dns=d,".parse().unwrap();
        let [first, second] = &xfcc.elements[..] else {
            panic!("{xfcc:?}");
        };
        assert_eq!(first.by, ["a"]);
        assert_eq!(first.hash.as_deref(), Some("b"));
        assert_eq!(second.uri, ["c"]);
        assert_eq!(second.dns, ["d"]);
        assert_eq!("".parse::<Xfcc>(), Ok(Xfcc::default()));
    }

    #[test]
    fn an_equals_sign_within_an_unquoted_value_is_part_of_it() {
        let xfcc: Xfcc = "URI=spiffe://a/b?c=d".parse().unwrap();
        assert_eq!(xfcc.elements[0].uri, ["spiffe://a/b?c=d"]);
    }

    #[test]
    fn separators_within_quotes_do_not_separate() {
        let text = r#"Subject="CN=a\",b;URI=evil\\";URI="x,y;z=\"\\\n\" ""#;
        let xfcc: Xfcc = text.parse().unwrap();
        let [element] = &xfcc.elements[..] else {
            panic!("{xfcc:?}");
        };
        let subject = r#"CN=a\",b;URI=evil\\"#;
        assert_eq!(element.subject.as_deref(), Some(subject));
        assert_eq!(element.uri, [r#"x,y;z="\\n" "#]);
    }

    #[test]
    fn a_certificate_is_decoded() {
        let xfcc: Xfcc = r#"Cert="a%20b%2B%2f%3D%0A";Chain=c%0A"#.parse().unwrap();
        assert_eq!(xfcc.elements[0].cert.as_deref(), Some("a b+/=\n"));
        assert_eq!(xfcc.elements[0].chain.as_deref(), Some("c\n"));
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[ -~é]{0,8}", 0..3)
    }

    prop_compose! {
        fn element()(
            by in texts(),
            hash in proptest::option::of("[ -~\t]{0,8}"),
            cert in proptest::option::of("[ -~\né]{0,8}"),
            chain in proptest::option::of("[ -~\n]{0,8}"),
            subject in proptest::option::of(r#"([A-Za-z=,;+ ]|\\["\\,;+]){0,8}"#),
            uri in texts(),
            dns in texts(),
        ) -> Element {
            Element { by, hash, cert, chain, subject, uri, dns }
        }
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(elements in proptest::collection::vec(element(), 0..4)) {
            let mut xfcc = Xfcc { elements };
            let text = xfcc.to_string();
            xfcc.elements.retain(|element| *element != Element::default());
            prop_assert_eq!(text.parse::<Xfcc>(), Ok(xfcc), "{}", text);
        }

        #[test]
        fn what_is_read_is_written_and_read_back(
            text in r#"((By|Hash|Cert|Chain|Subject|URI|DNS)="?|[a-z]|=|,|;|"|\\|%[0-9A]{2}|é|[ \t]){0,40}"#,
        ) {
            if let Ok(xfcc) = text.parse::<Xfcc>() {
                prop_assert_eq!(xfcc.to_string().parse::<Xfcc>(), Ok(xfcc));
            }
        }
    }
}
