//! Verifiers as rustls takes them.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::presented::{Presented, When};
use super::{PeerVerifier, Purpose, VerifyError};

/// Verifies servers by a [`PeerVerifier`]. Made by [`PeerVerifier::server_verifier`].
#[derive(Clone, Debug)]
pub struct ServerVerifier {
    peer: PeerVerifier,
}

impl ServerVerifier {
    pub(super) fn new(peer: PeerVerifier) -> Self {
        Self { peer }
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        self.peer.provider()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = Presented {
            leaf: end_entity,
            signers: intermediates,
        };
        let (name, when) = (Some(server_name), When::of_handshake(now));
        let verified = self
            .peer
            .verify_presented(&presented, Purpose::Server, name, when);
        verified
            .map(|_| ServerCertVerified::assertion())
            .map_err(|error| refuse(&self.peer, error, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.peer.provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.peer.provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.peer.provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Verifies clients by a [`PeerVerifier`]. Made by [`PeerVerifier::client_verifier`].
#[derive(Clone, Debug)]
pub struct ClientVerifier {
    peer: PeerVerifier,
    is_mandatory: bool,
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub(super) fn new(peer: PeerVerifier) -> Self {
        Self {
            peer,
            is_mandatory: true,
            hints: Vec::new(),
        }
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        self.peer.provider()
    }

    /// Accepts clients that present no certificate (`OPTIONAL_MUTUAL`). One that is presented has
    /// to be valid.
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            is_mandatory: false,
            ..self
        }
    }

    /// Tells clients whose certificates are accepted, so that those with several choose the right
    /// one. The authorities are those of now: use it where they do not change while the verifier
    /// is used.
    #[must_use]
    pub fn with_hints(self) -> Self {
        Self {
            hints: self.peer.root_subjects(),
            ..self
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let presented = Presented {
            leaf: end_entity,
            signers: intermediates,
        };
        let when = When::of_handshake(now);
        let verified = self
            .peer
            .verify_presented(&presented, Purpose::Client, None, when);
        verified
            .map(|_| ClientCertVerified::assertion())
            .map_err(|error| refuse(&self.peer, error, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.peer.provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.peer.provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.peer.provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn refuse(peer: &PeerVerifier, error: VerifyError, now: UnixTime) -> Error {
    let told = error.to_rustls(now);
    peer.record(error);
    told
}
