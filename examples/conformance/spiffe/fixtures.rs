//! Files of go-spiffe's tests: X509-SVIDs, and bundles in every format.
//!
//! What has to become of a file is in its name: go-spiffe calls those that its parsers refuse
//! `wrong`, `corrupt`, `not-pem`, `missing_kid` and the like.

use std::fs;
use std::path::Path;

use mesh_core::identity::TrustDomain;
use mesh_tls::pem;
use mesh_tls::svid::validate_chain;
use mesh_tls::trust_bundle::{JwtAuthorities, TrustBundle};

use crate::case::{Cases, Outcome, id};

/// Parts of the names of files that have to be refused. A bundle whose key has several certificates
/// is against section 4.2.3 of the Trust Domain and Bundle specification.
const REFUSED: [&str; 8] = [
    "corrupt",
    "invalid",
    "missing",
    "multiple_x509",
    "no_keys",
    "not-pem",
    "unknown",
    "wrong",
];

type Parse = fn(&[u8]) -> Result<(), Box<dyn std::error::Error>>;

const DIRECTORIES: [(&str, Parse); 4] = [
    ("svid_x509svid_testdata", svid),
    ("bundle_x509bundle_testdata", x509_bundle),
    ("bundle_spiffebundle_testdata", spiffe_bundle),
    ("bundle_jwtbundle_testdata", jwt_bundle),
];

/// Adds a case for each file below the directory of the corpora.
pub(super) fn add(cases: &mut Cases, corpora: &Path) {
    for (name, parse) in DIRECTORIES {
        let Ok(entries) = fs::read_dir(corpora.join("spiffe").join(name)) else {
            continue;
        };
        let mut paths: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        for path in paths {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            cases.push(id(&[name, &file]), outcome(&path, &file, parse));
        }
    }
}

fn outcome(path: &Path, file: &str, parse: Parse) -> Outcome {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) => return Outcome::failed(error.to_string()),
    };
    let is_valid = !REFUSED.iter().any(|part| file.contains(part));
    match (is_valid, parse(&text)) {
        (true, Ok(())) | (false, Err(_)) => Outcome::Passed,
        (true, Err(error)) => Outcome::failed(format!("refused: {error}")),
        (false, Ok(())) => Outcome::failed("accepted, expected a refusal"),
    }
}

/// A chain, or the key of one.
fn svid(text: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let certificates = pem::certificates(text)?;
    if certificates.is_empty() {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider
            .key_provider
            .load_private_key(pem::private_key(text)?)?;
        return Ok(());
    }
    validate_chain(&certificates)?;
    Ok(())
}

fn x509_bundle(text: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    TrustBundle::from_pem(domain()?, text)?;
    Ok(())
}

fn spiffe_bundle(text: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    TrustBundle::from_spiffe_json(domain()?, text)?;
    Ok(())
}

fn jwt_bundle(text: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    JwtAuthorities::from_jwks(text)?;
    Ok(())
}

fn domain() -> Result<TrustDomain, Box<dyn std::error::Error>> {
    Ok("domain.test".parse()?)
}
