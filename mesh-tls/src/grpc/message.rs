//! The messages of `security/v1alpha1/ca.proto`, and `google.protobuf.Struct`.

use std::collections::HashMap;
use std::time::Duration;

/// `istio.v1.auth.IstioCertificateRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CertificateRequest {
    /// The signing request, as PEM.
    #[prost(string, tag = "1")]
    pub csr: String,
    /// For how long, in seconds; zero and less is the authority's default.
    #[prost(int64, tag = "3")]
    pub validity_duration: i64,
    /// Further wishes: `ImpersonatedIdentity`, `CertSigner`.
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Struct>,
}

impl CertificateRequest {
    /// Asks for a certificate of a lifetime; zero is the authority's default.
    pub fn new(csr: String, lifetime: Duration) -> Self {
        Self {
            csr,
            validity_duration: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
            metadata: None,
        }
    }

    /// The text of a key of the metadata, if it has one that is not empty.
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        let value = self.metadata.as_ref()?.fields.get(key)?;
        match value.kind.as_ref()? {
            Kind::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// `istio.v1.auth.IstioCertificateResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CertificateResponse {
    /// The certificate issued, those above it, and the roots, one an element, as PEM.
    #[prost(string, repeated, tag = "1")]
    pub cert_chain: Vec<String>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    /// The fields.
    #[prost(map = "string, message", tag = "1")]
    pub fields: HashMap<String, Value>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// What kind of value, and the value.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

/// The kinds of [`Value`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// Null.
    #[prost(int32, tag = "1")]
    Null(i32),
    /// A number.
    #[prost(double, tag = "2")]
    Number(f64),
    /// A text.
    #[prost(string, tag = "3")]
    String(String),
    /// True or false.
    #[prost(bool, tag = "4")]
    Bool(bool),
    /// Fields.
    #[prost(message, tag = "5")]
    Struct(Struct),
    /// Values.
    #[prost(message, tag = "6")]
    List(ListValue),
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn a_request_has_istio_s_bytes() {
        let signer = Value {
            kind: Some(Kind::String("ab".into())),
        };
        let request = CertificateRequest {
            csr: "x".into(),
            validity_duration: 86_400,
            metadata: Some(Struct {
                fields: HashMap::from([("CertSigner".to_owned(), signer)]),
            }),
        };
        // Field 1 "x"; field 3 varint 86400; field 4 { field 1 { 1: "CertSigner", 2: { 3: "ab" } } }.
        let expected =
            b"\x0a\x01x\x18\x80\xa3\x05\x22\x14\x0a\x12\x0a\x0aCertSigner\x12\x04\x1a\x02ab";
        assert_eq!(request.encode_to_vec(), expected);
        assert_eq!(CertificateRequest::decode(&expected[..]).unwrap(), request);
        assert_eq!(request.metadata("CertSigner"), Some("ab"));
        assert_eq!(request.metadata("ImpersonatedIdentity"), None);
    }

    #[test]
    fn a_response_has_istio_s_bytes() {
        let response = CertificateResponse {
            cert_chain: vec!["a".into(), "b".into()],
        };
        assert_eq!(response.encode_to_vec(), b"\x0a\x01a\x0a\x01b");
    }

    #[test]
    fn an_old_subject_id_is_passed_over() {
        let request = CertificateRequest::decode(&b"\x0a\x01x\x12\x02id"[..]).unwrap();
        assert_eq!(request, CertificateRequest::new("x".into(), Duration::ZERO));
    }

    #[test]
    fn a_request_cut_anywhere_does_not_panic() {
        let bytes =
            b"\x0a\x01x\x18\x80\xa3\x05\x22\x14\x0a\x12\x0a\x0aCertSigner\x12\x04\x1a\x02ab";
        for end in 0..bytes.len() {
            let is_boundary = matches!(end, 0 | 3 | 7);
            let decoded = CertificateRequest::decode(&bytes[..end]);
            assert_eq!(decoded.is_ok(), is_boundary, "{end}");
        }
    }
}
