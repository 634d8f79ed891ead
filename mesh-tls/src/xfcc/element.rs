//! The header's value, and how it is written.

use std::fmt;

/// The elements of the header, one for each proxy, the nearest last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Xfcc {
    /// The elements.
    pub elements: Vec<Element>,
}

/// What one proxy says about its client's certificate.
///
/// A key that is absent and a key without a value are told apart: Envoy writes `Subject=""` and
/// `URI=` when it is asked for them and the certificate has none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Element {
    /// URIs of the proxy's own certificate.
    pub by: Vec<String>,
    /// SHA-256 of the client's certificate, in lower-case hexadecimal digits.
    pub hash: Option<String>,
    /// The client's certificate in PEM.
    pub cert: Option<String>,
    /// The client's certificate and its intermediates in PEM.
    pub chain: Option<String>,
    /// The subject, in the form of RFC 2253.
    pub subject: Option<String>,
    /// URIs of the client's certificate.
    pub uri: Vec<String>,
    /// DNS names of the client's certificate.
    pub dns: Vec<String>,
}

impl fmt::Display for Xfcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, element) in self.elements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            element.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pairs = Pairs { f, first: true };
        pairs.texts("By", &self.by)?;
        pairs.texts("Hash", self.hash.as_slice())?;
        pairs.pem("Cert", self.cert.as_deref())?;
        pairs.pem("Chain", self.chain.as_deref())?;
        if let Some(subject) = &self.subject {
            pairs.quoted("Subject", &distinguished_name(subject))?;
        }
        pairs.texts("URI", &self.uri)?;
        pairs.texts("DNS", &self.dns)
    }
}

/// Writes `key=value`, separated by semicolons.
struct Pairs<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    first: bool,
}

impl Pairs<'_, '_> {
    fn texts(&mut self, key: &str, values: &[String]) -> fmt::Result {
        for value in values {
            if needs_quotes(value) {
                self.quoted(key, &value.replace('\\', r"\\").replace('"', "\\\""))?;
            } else {
                self.key(key)?;
                self.f.write_str(value)?;
            }
        }
        Ok(())
    }

    fn pem(&mut self, key: &str, value: Option<&str>) -> fmt::Result {
        match value {
            Some(value) => self.quoted(key, &percent_encode(value)),
            None => Ok(()),
        }
    }

    /// Writes a value that is escaped already.
    fn quoted(&mut self, key: &str, value: &str) -> fmt::Result {
        self.key(key)?;
        write!(self.f, "\"{value}\"")
    }

    fn key(&mut self, key: &str) -> fmt::Result {
        if !self.first {
            self.f.write_str(";")?;
        }
        self.first = false;
        write!(self.f, "{key}=")
    }
}

fn needs_quotes(value: &str) -> bool {
    let special = |c: char| matches!(c, ',' | ';' | '=' | '"' | '\\');
    value.contains(special) || value.starts_with([' ', '\t']) || value.ends_with([' ', '\t'])
}

/// Escapes in a distinguished name what RFC 2253 would have escaped: a quote that no backslash
/// precedes, and a backslash that nothing follows.
pub(super) fn distinguished_name(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => {
                escaped.push('\\');
                escaped.push(chars.next().unwrap_or('\\'));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Encodes PEM as Envoy does: line feeds, spaces and the three signs of base64.
fn percent_encode(pem: &str) -> String {
    let mut encoded = String::with_capacity(pem.len() + pem.len() / 8);
    for c in pem.chars() {
        match c {
            '\n' => encoded.push_str("%0A"),
            ' ' => encoded.push_str("%20"),
            '+' => encoded.push_str("%2B"),
            '/' => encoded.push_str("%2F"),
            '=' => encoded.push_str("%3D"),
            '%' => encoded.push_str("%25"),
            '"' => encoded.push_str("%22"),
            '\\' => encoded.push_str("%5C"),
            other => encoded.push(other),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_in_envoy_s_order() {
        let element = Element {
            by: vec!["spiffe://m/a".into(), "spiffe://m/b".into()],
            hash: Some("0a".into()),
            cert: Some("-----BEGIN X-----\na+/=\n".into()),
            chain: Some("\n".into()),
            subject: Some(r"CN=a\,b".into()),
            uri: vec!["spiffe://m/c".into()],
            dns: vec!["a.example".into(), "b.example".into()],
        };
        assert_eq!(
            element.to_string(),
            concat!(
                "By=spiffe://m/a;By=spiffe://m/b;Hash=0a;",
                "Cert=\"-----BEGIN%20X-----%0Aa%2B%2F%3D%0A\";Chain=\"%0A\";",
                r#"Subject="CN=a\,b";"#,
                "URI=spiffe://m/c;DNS=a.example;DNS=b.example",
            ),
        );
    }

    #[test]
    fn a_name_of_the_certificate_cannot_add_a_pair_or_an_element() {
        let element = Element {
            subject: Some(r#"CN=a",By=evil\"#.into()),
            uri: vec!["u;URI=spiffe://evil".into()],
            dns: vec!["d,URI=spiffe://evil".into(), r#"q"\"#.into()],
            ..Element::default()
        };
        let read: Xfcc = element.to_string().parse().unwrap();
        assert_eq!(read.elements.len(), 1);
        assert_eq!(read.elements[0].uri, element.uri);
        assert_eq!(read.elements[0].dns, element.dns);
        assert_eq!(
            read.elements[0].subject.as_deref(),
            Some(r#"CN=a\",By=evil\\"#)
        );
        assert!(read.elements[0].by.is_empty());
    }

    #[test]
    fn a_key_without_a_value_is_kept() {
        let element = Element {
            subject: Some(String::new()),
            uri: vec![String::new()],
            ..Element::default()
        };
        assert_eq!(element.to_string(), r#"Subject="";URI="#);
    }
}
