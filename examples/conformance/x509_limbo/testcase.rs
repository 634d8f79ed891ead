//! A case as it is written (`limbo-schema.json`), as far as it says how to verify.

use mesh_core::resource::timestamp::Timestamp;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Testcase {
    /// Optional features that the case is about.
    #[serde(default)]
    pub(super) features: Vec<String>,
    pub(super) validation_kind: ValidationKind,
    /// PEM, as are all certificates and lists.
    pub(super) trusted_certs: Vec<String>,
    pub(super) untrusted_intermediates: Vec<String>,
    pub(super) peer_certificate: String,
    #[serde(default)]
    pub(super) validation_time: Option<Timestamp>,
    signature_algorithms: Vec<String>,
    key_usage: Vec<String>,
    extended_key_usage: Vec<String>,
    pub(super) expected_result: ExpectedResult,
    /// Of a server.
    #[serde(default)]
    pub(super) expected_peer_name: Option<PeerName>,
    /// Of a client: all of them.
    pub(super) expected_peer_names: Vec<PeerName>,
    #[serde(default)]
    max_chain_depth: Option<u32>,
    #[serde(default)]
    pub(super) crls: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ExpectedResult {
    Failure,
    Success,
}

/// Whose certificate is verified.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ValidationKind {
    Client,
    Server,
}

#[derive(Debug, Deserialize)]
pub(super) struct PeerName {
    kind: PeerKind,
    pub(super) value: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum PeerKind {
    Dns,
    Ip,
    Rfc822,
}

impl Testcase {
    /// Why our verifiers cannot be asked, if they cannot.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        let usage = match self.validation_kind {
            ValidationKind::Client => "clientAuth",
            ValidationKind::Server => "serverAuth",
        };
        let is_mailbox = |name: &PeerName| name.kind == PeerKind::Rfc822;
        let reasons = [
            (
                self.max_chain_depth.is_some(),
                "the length of chains is not configured",
            ),
            (
                !self.signature_algorithms.is_empty(),
                "signature algorithms are those of the cryptography",
            ),
            (
                !self.key_usage.is_empty(),
                "key usage is demanded of SVIDs only",
            ),
            (
                self.extended_key_usage.iter().any(|other| other != usage),
                "certificates are verified for TLS only",
            ),
            (
                self.expected_peer_name.as_ref().is_some_and(is_mailbox),
                "servers have no mailbox",
            ),
        ];
        let reason = reasons.into_iter().find(|(is_true, _)| *is_true);
        reason.map(|(_, text)| text)
    }
}
