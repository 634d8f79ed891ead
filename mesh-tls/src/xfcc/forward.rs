//! What a proxy does with the header of a request.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use mesh_core::resource::istio::mesh_config::ForwardClientCertDetails;

use super::element::Element;

/// The name of the header.
pub const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What a proxy does with the header of a request (Envoy's `forward_client_cert_details`).
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use mesh_tls::xfcc::{ClientCert, Element, ForwardClientCert, X_FORWARDED_CLIENT_CERT};
///
/// let forged = HeaderValue::from_static("Hash=00");
/// let mut headers = HeaderMap::from_iter([(X_FORWARDED_CLIENT_CERT, forged)]);
/// let element = Element { hash: Some("0c".into()), ..Element::default() };
/// let client = ClientCert::new(&element).unwrap();
///
/// ForwardClientCert::SanitizeSet.apply(&mut headers, Some(&client));
/// assert_eq!(headers[X_FORWARDED_CLIENT_CERT], "Hash=0c");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ForwardClientCert {
    /// Leaves the header, whoever the client is.
    AlwaysForwardOnly,
    /// Appends an element for the client's certificate; removes the header if there is none.
    AppendForward,
    /// Leaves the header of a client that has a certificate; removes it of others.
    ForwardOnly,
    /// Removes the header.
    Sanitize,
    /// Replaces the header by an element for the client's certificate; removes it if there is
    /// none.
    SanitizeSet,
}

impl ForwardClientCert {
    /// The choice of the mesh configuration for a gateway: sanitize and set unless it says
    /// otherwise.
    pub fn for_gateway(details: ForwardClientCertDetails) -> Self {
        Self::configured(details).unwrap_or(Self::SanitizeSet)
    }

    /// The choice of the mesh configuration for the inbound side of a sidecar: append unless it
    /// says otherwise.
    pub fn for_sidecar(details: ForwardClientCertDetails) -> Self {
        Self::configured(details).unwrap_or(Self::AppendForward)
    }

    fn configured(details: ForwardClientCertDetails) -> Option<Self> {
        match details {
            ForwardClientCertDetails::Undefined => None,
            ForwardClientCertDetails::Sanitize => Some(Self::Sanitize),
            ForwardClientCertDetails::ForwardOnly => Some(Self::ForwardOnly),
            ForwardClientCertDetails::AppendForward => Some(Self::AppendForward),
            ForwardClientCertDetails::SanitizeSet => Some(Self::SanitizeSet),
            ForwardClientCertDetails::AlwaysForwardOnly => Some(Self::AlwaysForwardOnly),
        }
    }

    /// Applies the choice to a request of a client that presented `client`, if any.
    ///
    /// Several lines of the header become one when an element is appended.
    pub fn apply(self, headers: &mut HeaderMap, client: Option<&ClientCert>) {
        match (self, client) {
            (Self::AlwaysForwardOnly, _) | (Self::ForwardOnly, Some(_)) => {}
            (Self::Sanitize, _) | (_, None) => {
                headers.remove(X_FORWARDED_CLIENT_CERT);
            }
            (Self::SanitizeSet, Some(client)) => {
                headers.insert(X_FORWARDED_CLIENT_CERT, client.0.clone());
            }
            (Self::AppendForward, Some(client)) => append(headers, &client.0),
        }
    }
}

fn append(headers: &mut HeaderMap, element: &HeaderValue) {
    let lines = headers.get_all(X_FORWARDED_CLIENT_CERT);
    let mut joined = Vec::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        joined.extend_from_slice(line.as_bytes());
        joined.push(b',');
    }
    joined.extend_from_slice(element.as_bytes());
    let value = HeaderValue::from_bytes(&joined).expect("values joined by commas are a value");
    headers.insert(X_FORWARDED_CLIENT_CERT, value);
}

/// The element for the client of a connection, written once for all of its requests. Cheap to
/// clone, and carried in the extensions of requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCert(HeaderValue);

impl ClientCert {
    /// Writes the element.
    ///
    /// # Errors
    ///
    /// When a name of the certificate has a control character, which no header can hold. Such a
    /// client's requests are forwarded without the header ([`ForwardClientCert::Sanitize`]).
    pub fn new(element: &Element) -> Result<Self, NotAHeaderValue> {
        let value = HeaderValue::try_from(element.to_string());
        value.map(Self).map_err(|_| NotAHeaderValue)
    }

    /// The element, as it is written.
    pub fn as_header_value(&self) -> &HeaderValue {
        &self.0
    }
}

/// The error of [`ClientCert::new`]: a name of the certificate has a control character.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name of the certificate cannot be written in a header")]
#[non_exhaustive]
pub struct NotAHeaderValue;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_treats_the_header_as_envoy_does() {
        use ForwardClientCert as F;
        let (old, new, both) = ("Hash=1", "Hash=2", "Hash=1,Hash=2");
        let cases = [
            (F::AlwaysForwardOnly, Some(old), Some(old)),
            (F::AppendForward, None, Some(both)),
            (F::ForwardOnly, None, Some(old)),
            (F::Sanitize, None, None),
            (F::SanitizeSet, None, Some(new)),
        ];
        for (mode, without, with) in cases {
            assert_eq!(applied(mode, &[old], false).as_deref(), without, "{mode:?}");
            assert_eq!(applied(mode, &[old], true).as_deref(), with, "{mode:?}");
        }
    }

    #[test]
    fn lines_are_joined_before_an_element_is_appended() {
        let mode = ForwardClientCert::AppendForward;
        let joined = applied(mode, &["Hash=0", "", "Hash=1"], true);
        assert_eq!(joined.as_deref(), Some("Hash=0,Hash=1,Hash=2"));
        assert_eq!(applied(mode, &[], true).as_deref(), Some("Hash=2"));
    }

    #[test]
    fn the_mesh_configuration_has_a_default_for_each_side() {
        use ForwardClientCertDetails as D;
        assert_eq!(
            ForwardClientCert::for_gateway(D::Undefined),
            ForwardClientCert::SanitizeSet
        );
        assert_eq!(
            ForwardClientCert::for_sidecar(D::Undefined),
            ForwardClientCert::AppendForward
        );
        assert_eq!(
            ForwardClientCert::for_gateway(D::ForwardOnly),
            ForwardClientCert::ForwardOnly
        );
    }

    #[test]
    fn a_name_with_a_line_feed_makes_no_header() {
        let element = Element {
            dns: vec!["a\r\nx-admin: true".into()],
            ..Element::default()
        };
        assert_eq!(ClientCert::new(&element), Err(NotAHeaderValue));
    }

    /// What becomes of `lines` from a client with or without the certificate `Hash=2`.
    fn applied(mode: ForwardClientCert, lines: &[&'static str], has_cert: bool) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_CLIENT_CERT, HeaderValue::from_static(line));
        }
        let element = Element {
            hash: Some("2".into()),
            ..Element::default()
        };
        let client = ClientCert::new(&element).unwrap();
        mode.apply(&mut headers, has_cert.then_some(&client));
        let mut values = headers.get_all(X_FORWARDED_CLIENT_CERT).iter();
        let value = values.next()?.to_str().unwrap().to_owned();
        assert!(values.next().is_none(), "one line is left");
        Some(value)
    }
}
