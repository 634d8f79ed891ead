//! What Secrets and ConfigMaps hold for TLS: whether it is there, and whether it is PEM.
//!
//! Keys are those of Kubernetes and of istiod (`pilot/pkg/credentials/kube/secrets.go`), and so are
//! the words for what is wrong. No more is read than RFC 7468 says of the text: whether a key
//! belongs to its certificate is found out by who serves it.

use std::collections::BTreeMap;

use crate::base64;
use crate::resource::kubernetes::secret::Secret;

/// Keys of a chain and its private key; the first pair that is filled counts.
const CHAINS: [(&str, &str); 2] = [("cert", "key"), ("tls.crt", "tls.key")];
/// Keys of authorities; the first that is filled counts.
const AUTHORITIES: [&str; 2] = ["cacert", "ca.crt"];
const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Whether a Secret has a certificate and its private key.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check_chain(secret: &Secret) -> Result<(), String> {
    let values = values(secret);
    let filled = |key: &str| values.get(key).filter(|value| !value.is_empty());
    let mut chains = CHAINS.iter();
    let found = chains.find_map(|(chain, key)| Some((filled(chain)?, filled(key)?)));
    let Some((chain, key)) = found else {
        return Err(unfilled_chain(&values));
    };
    for (text, label, what) in [
        (chain, CERTIFICATE, "certificate"),
        (key, PRIVATE_KEY, "key"),
    ] {
        if !has_block(text, label) {
            return Err(format!(
                "the certificate is malformed: tls: failed to find any PEM data in {what} input"
            ));
        }
    }
    Ok(())
}

/// Whether a Secret has certificates of authorities.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check_secret_authorities(secret: &Secret) -> Result<(), String> {
    check_authorities(&values(secret))
}

/// Whether the values of a Secret or a ConfigMap have certificates of authorities.
///
/// # Errors
///
/// What is wrong with them.
pub(super) fn check_authorities(values: &BTreeMap<String, String>) -> Result<(), String> {
    let filled = |key: &&str| values.get(*key).filter(|value| !value.is_empty());
    let Some(text) = AUTHORITIES.iter().find_map(filled) else {
        let [generic, kubernetes] = AUTHORITIES;
        let empty = AUTHORITIES.iter().find(|key| values.contains_key(**key));
        return Err(match empty {
            Some(key) => format!("found key \"{key}\", but it was empty"),
            None => format!(
                "found secret, but didn't have expected keys {generic} or {kubernetes}; found: {}",
                some_keys(values)
            ),
        });
    };
    match has_block(text, CERTIFICATE) {
        true => Ok(()),
        false => Err("the bundle is malformed".to_owned()),
    }
}

fn unfilled_chain(values: &BTreeMap<String, String>) -> String {
    let has = |key: &str| values.contains_key(key);
    let mut chains = CHAINS.iter();
    if let Some((chain, key)) = chains.find(|(chain, key)| has(chain) && has(key)) {
        return format!("found keys \"{chain}\" and \"{key}\", but they were empty");
    }
    let [generic, kubernetes] = CHAINS.map(|(chain, key)| format!("({chain} and {key})"));
    format!(
        "found secret, but didn't have expected keys {generic} or {kubernetes}; found: {}",
        some_keys(values)
    )
}

/// The first keys, by name.
fn some_keys(values: &BTreeMap<String, String>) -> String {
    let keys: Vec<&str> = values.keys().map(String::as_str).collect();
    match keys.as_slice() {
        [first, second, third, rest @ ..] => {
            format!("{first}, {second}, {third}, and {} more...", rest.len())
        }
        few => few.join(", "),
    }
}

/// The values as text. What is no base64, or no text, is as good as empty.
fn values(secret: &Secret) -> BTreeMap<String, String> {
    let decode = |value: &String| {
        let digits: String = value.split_ascii_whitespace().collect();
        let bytes = base64::decode(&digits)?;
        String::from_utf8(bytes).ok()
    };
    let data = secret.data.iter();
    let mut values: BTreeMap<String, String> = data
        .map(|(key, value)| (key.clone(), decode(value).unwrap_or_default()))
        .collect();
    let own = secret.string_data.iter();
    values.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    values
}

/// Whether `text` has a block whose label ends with `label`, with base64 in it.
fn has_block(text: &str, label: &str) -> bool {
    let mut blocks = text.split("-----BEGIN ").skip(1);
    blocks.any(|block| {
        let Some((found, rest)) = block.split_once("-----") else {
            return false;
        };
        let end = format!("-----END {found}-----");
        let Some((body, _)) = rest.split_once(&end) else {
            return false;
        };
        let digits: String = body.split_ascii_whitespace().collect();
        found.ends_with(label) && base64::decode(&digits).is_some_and(|bytes| !bytes.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n";

    fn secret(data: &[(&str, &str)]) -> Secret {
        let data = data.iter();
        Secret {
            string_data: data
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Secret::default()
        }
    }

    #[test]
    fn a_chain_and_its_key_have_two_pairs_of_names() {
        for (chain, key) in CHAINS {
            let secret = secret(&[(chain, CERTIFICATE), (key, KEY)]);
            assert_eq!(check_chain(&secret), Ok(()), "{chain}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_chain_is_told() {
        for (data, expected) in [
            (&[][..], "(cert and key) or (tls.crt and tls.key); found: "),
            (&[("a", "1"), ("b", "2")], "found: a, b"),
            (&[("tls.crt", ""), ("tls.key", "")], "but they were empty"),
            (
                &[("tls.crt", CERTIFICATE), ("key", KEY)],
                "found: key, tls.crt",
            ),
            (
                &[("tls.crt", "SGVsbG8="), ("tls.key", KEY)],
                "any PEM data in certificate",
            ),
            (
                &[("tls.crt", CERTIFICATE), ("tls.key", CERTIFICATE)],
                "any PEM data in key",
            ),
        ] {
            let error = check_chain(&secret(data)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn values_are_base64_unless_they_are_written_as_text() {
        // echo -n hello
        let mut secret = secret(&[("tls.key", KEY)]);
        secret.data.insert("tls.crt".into(), "aGVsbG8=".into());
        assert!(check_chain(&secret).is_err());
        secret
            .string_data
            .insert("tls.crt".into(), CERTIFICATE.into());
        assert_eq!(check_chain(&secret), Ok(()));
    }

    #[test]
    fn authorities_are_certificates() {
        for (data, expected) in [
            (&[("ca.crt", CERTIFICATE)][..], Ok(())),
            (&[("cacert", CERTIFICATE), ("ca.crt", "")], Ok(())),
            (&[("ca.crt", "")], Err("but it was empty")),
            (
                &[("tls.crt", CERTIFICATE)],
                Err("cacert or ca.crt; found: tls.crt"),
            ),
            (&[("ca.crt", KEY)], Err("the bundle is malformed")),
        ] {
            let found = check_secret_authorities(&secret(data));
            match expected {
                Ok(()) => assert_eq!(found, Ok(())),
                Err(expected) => assert!(found.unwrap_err().contains(expected), "{expected}"),
            }
        }
    }
}
