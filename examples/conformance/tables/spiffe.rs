//! X509-SVIDs and trust bundles, whose files lie beside the corpus of SPIFFE.

use std::fs;
use std::path::{Path, PathBuf};

use mesh_core::duration::Duration;
use mesh_tls::pem;
use mesh_tls::svid::{X509Svid, validate_chain};
use mesh_tls::trust_bundle::{JwtAuthorities, TrustBundle};

use super::{Row, RunWithFiles};
use crate::case::Outcome;

const DOMAIN: &str = "domain.test";

/// The files of a test of go-spiffe lie in the directory `testdata` of its package, and here in one
/// that is named after both.
pub(super) fn mapped(file: &str, test: &str) -> Option<RunWithFiles> {
    match (file, test) {
        ("svid/x509svid/svid_test.go", "TestParse" | "TestLoad") => Some(svid),
        ("bundle/spiffebundle/bundle_test.go", "TestLoad" | "TestParse") => Some(spiffe_bundle),
        ("bundle/spiffebundle/bundle_test.go", "TestEqual")
        | ("bundle/x509bundle/bundle_test.go", "TestEqual") => Some(equal),
        ("bundle/x509bundle/bundle_test.go", "TestParseRaw" | "TestParse" | "TestLoad") => {
            Some(x509_bundle)
        }
        ("bundle/jwtbundle/bundle_test.go", "TestLoad" | "TestParse") => Some(jwt_bundle),
        _ => None,
    }
}

fn file(corpora: &Path, package: &str, path: &str) -> PathBuf {
    let directory = format!("{package}_testdata");
    let name = path.strip_prefix("testdata/").unwrap_or(path);
    corpora.join("spiffe").join(directory).join(name)
}

fn absent(path: &str) -> Outcome {
    Outcome::Unsupported(format!("`{path}` is not in the corpus"))
}

/// Without the file of the key, certificates that are refused are still refused.
fn svid(row: &Row<'_>, corpora: &Path) -> Option<Outcome> {
    let [certificates, key] = ["certsPath", "keyPath"].map(|name| row.text(name));
    let (certificates, key) = (certificates?, key?);
    let read = |path| fs::read(file(corpora, "svid_x509svid", path));
    let Ok(chain) = read(certificates) else {
        return Some(absent(certificates));
    };
    let is_refused = !row.text("expErrContains")?.is_empty();
    let Ok(key_text) = read(key) else {
        let chain = pem::certificates(&chain).map_err(|error| error.to_string());
        let chain =
            chain.and_then(|chain| validate_chain(&chain).map_err(|error| error.to_string()));
        return Some(match chain {
            Err(_) if is_refused => Outcome::Passed,
            Err(why) => Outcome::Failed(why),
            Ok(_) => absent(key),
        });
    };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let svid = X509Svid::from_pem(&chain, &key_text, &provider);
    Some(match (is_refused, svid) {
        (true, Err(_)) => Outcome::Passed,
        (true, Ok(_)) => Outcome::failed("accepted, expected a refusal"),
        (false, Err(error)) => Outcome::Failed(error.to_string()),
        (false, Ok(svid)) => Outcome::equal(
            &(row.text("expID")?, row.number("expNumCerts")?),
            &(svid.id().as_str(), svid.chain().len().try_into().ok()?),
        ),
    })
}

/// A file that is not there is read as an empty one.
fn spiffe_bundle(row: &Row<'_>, corpora: &Path) -> Option<Outcome> {
    let path = row.text("filePath")?;
    let text = fs::read(file(corpora, "bundle_spiffebundle", path)).unwrap_or_default();
    let bundle = TrustBundle::from_spiffe_json(DOMAIN.parse().ok()?, &text);
    let bundle = match (row.text("err")?, bundle) {
        ("", Ok(bundle)) => bundle,
        ("", Err(error)) => return Some(Outcome::Failed(error.to_string())),
        (_, Ok(_)) => return Some(Outcome::failed("accepted, expected a refusal")),
        (_, Err(_)) => return Some(Outcome::Passed),
    };
    let hint = match row.field("refreshHint") {
        None => None,
        Some(hint) => {
            let hint: Duration = Row(hint).text("$duration")?.parse().ok()?;
            Some(hint.as_std()?)
        }
    };
    let sequence = row
        .field("sequenceNumber")
        .and_then(serde_json::Value::as_u64);
    let keys = u64::try_from(bundle.jwt_authorities().iter().len()).ok()?;
    let outcome = Outcome::equal(
        &(row.number("keysCount")?, hint, sequence),
        &(keys, bundle.refresh_hint(), bundle.sequence()),
    );
    Some(match outcome {
        Outcome::Passed if row.number("witKeysCount")? > 0 => {
            Outcome::unsupported("keys for WIT-SVIDs are left out")
        }
        outcome => outcome,
    })
}

fn x509_bundle(row: &Row<'_>, corpora: &Path) -> Option<Outcome> {
    let path = row.text("path")?;
    let Ok(text) = fs::read(file(corpora, "bundle_x509bundle", path)) else {
        return Some(absent(path));
    };
    let bundle = TrustBundle::from_pem(DOMAIN.parse().ok()?, &text);
    Some(match (row.text("expErrContains")?, bundle) {
        ("", Ok(bundle)) => Outcome::equal(
            &row.number("expNumAuthorities")?,
            &bundle.authorities().len().try_into().ok()?,
        ),
        ("", Err(error)) => Outcome::Failed(error.to_string()),
        (_, Ok(_)) => Outcome::failed("accepted, expected a refusal"),
        (_, Err(_)) => Outcome::Passed,
    })
}

fn jwt_bundle(row: &Row<'_>, corpora: &Path) -> Option<Outcome> {
    let written = Row(row.field("tf")?);
    let path = written.text("filePath")?;
    let text = fs::read(file(corpora, "bundle_jwtbundle", path)).unwrap_or_default();
    Some(match (row.text("err")?, JwtAuthorities::from_jwks(&text)) {
        ("", Ok(keys)) => Outcome::equal(
            &written.number("keysCount")?,
            &keys.iter().len().try_into().ok()?,
        ),
        ("", Err(error)) => Outcome::Failed(error.to_string()),
        (_, Ok(_)) => Outcome::failed("accepted, expected a refusal"),
        (_, Err(_)) => Outcome::Passed,
    })
}

/// Bundles of two trust domains. What else the tests change in them is code of Go.
fn equal(row: &Row<'_>, corpora: &Path) -> Option<Outcome> {
    let domains = [row.text("a")?, row.text("b")?];
    let expected = row.flag("expectEqual")?;
    if domains[0] == domains[1] && !expected {
        return Some(Outcome::unsupported("the difference is code of Go"));
    }
    let path = "testdata/cert.pem";
    let Ok(text) = fs::read(file(corpora, "bundle_x509bundle", path)) else {
        return Some(absent(path));
    };
    let [a, b] = domains.map(|domain| TrustBundle::from_pem(domain.parse().ok()?, &text).ok());
    Some(Outcome::equal(&expected, &(a? == b?)))
}
