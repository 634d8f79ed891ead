//! What the tests of the authority share.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{Issuance, Issued, Issuer, SerialNumber, Signer};
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConnection, ServerConnection};
use rustls_pki_types::UnixTime;

/// When tests take place.
pub(crate) const NOW: u64 = 1_800_000_000;

/// One day, in seconds.
pub(crate) const DAY: u64 = 86_400;

/// The time `seconds` after 1970.
pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The cryptography of the tests.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A serial number that ends with this byte.
pub(crate) fn serial(number: u8) -> SerialNumber {
    let mut bytes = [0x11; 16];
    bytes[15] = number;
    SerialNumber::new(bytes)
}

/// A new key.
pub(crate) fn key(kind: KeyKind) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(kind).unwrap())
}

/// A root that signs itself at `now`.
pub(crate) fn root(spec: &RootSpec, key: &Arc<SigningKey>, now: u64) -> Arc<Signer> {
    let root = spec.sign(Arc::clone(key), at(now), serial(1), &provider());
    Arc::new(root.unwrap())
}

/// A certificate for `id` by `issuer`, and its key.
pub(crate) fn issue(issuer: &Issuer, id: &SpiffeId, now: u64) -> (Issued, SigningKey) {
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let request = request(&key, id);
    let issuance = Issuance::for_workload(id, at(now), serial(2));
    (issuer.issue(&request, &issuance).unwrap(), key)
}

/// A request for a certificate of `key`.
pub(crate) fn request(key: &SigningKey, id: &SpiffeId) -> SigningRequest {
    let text = key.signing_request(id).unwrap();
    SigningRequest::from_pem(text.as_bytes(), &provider()).unwrap()
}

/// Connects in memory and sends a word to either side.
pub(crate) fn exchange(
    mut client: ClientConnection,
    mut server: ServerConnection,
) -> io::Result<()> {
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server)?;
        pass(&mut server, &mut client)?;
    }
    client.writer().write_all(b"ping")?;
    server.writer().write_all(b"pong")?;
    pass(&mut client, &mut server)?;
    pass(&mut server, &mut client)?;
    let mut words = [[0; 4]; 2];
    server.reader().read_exact(&mut words[0])?;
    client.reader().read_exact(&mut words[1])?;
    assert_eq!(words, [*b"ping", *b"pong"]);
    Ok(())
}

/// Passes what one side has to say to the other.
fn pass<A, B>(
    from: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<A>>,
    to: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<B>>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes)?;
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        to.read_tls(&mut bytes)?;
        to.process_new_packets().map_err(io::Error::other)?;
    }
    Ok(())
}
