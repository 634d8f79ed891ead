//! Versions, cipher suites and curves.

use std::sync::Arc;

use mesh_core::resource::istio::gateway::{ServerTlsSettings, TlsProtocol};
use mesh_core::resource::istio::mesh_config::{TlsConfig, TlsConfigProtocol};
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use super::error::{Problems, TlsConfigErrorKind};

/// Cipher suites of TLS 1.2 by OpenSSL's names. `None` are those that Istio knows and rustls does
/// not speak, as they have CBC or no forward secrecy.
const CIPHER_SUITES: [(&str, Option<CipherSuite>); 15] = [
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    ("ECDHE-ECDSA-AES128-SHA", None),
    ("ECDHE-RSA-AES128-SHA", None),
    ("ECDHE-ECDSA-AES256-SHA", None),
    ("ECDHE-RSA-AES256-SHA", None),
    ("AES128-GCM-SHA256", None),
    ("AES256-GCM-SHA384", None),
    ("AES128-SHA", None),
    ("AES256-SHA", None),
    ("DES-CBC3-SHA", None),
];

/// Cipher suites of mesh mTLS, as far as rustls speaks them.
const MESH_CIPHER_SUITES: [&str; 4] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
];

/// What two ends may agree on.
pub(super) struct Protocol {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// What was asked for and is left out, as sentences without full stop.
    pub(super) notices: Vec<String>,
}

impl Protocol {
    /// The cipher suites of the versions.
    pub(super) fn suites(&self) -> Arc<[SupportedCipherSuite]> {
        let suites = self.provider.cipher_suites.iter().copied();
        let suites = suites.filter(|suite| {
            let mut versions = self.versions.iter();
            versions.any(|version| version.version == suite.version().version)
        });
        suites.collect()
    }
}

/// What settings say of versions, cipher suites and curves.
pub(super) struct Limits<'a> {
    pub(super) min: TlsProtocol,
    pub(super) max: TlsProtocol,
    pub(super) cipher_suites: &'a [String],
    pub(super) curves: &'a [String],
}

impl<'a> Limits<'a> {
    /// What a server's settings say, and where they say nothing, `defaults`.
    pub(super) fn of_server(settings: &'a ServerTlsSettings, defaults: &'a TlsConfig) -> Self {
        fn either<'a>(written: &'a [String], default: &'a [String]) -> &'a [String] {
            if written.is_empty() { default } else { written }
        }
        Self {
            min: match settings.min_protocol_version {
                TlsProtocol::TlsAuto => lowest(defaults.min_protocol_version),
                written => written,
            },
            max: settings.max_protocol_version,
            cipher_suites: either(&settings.cipher_suites, &defaults.cipher_suites),
            curves: either(&settings.ecdh_curves, &defaults.ecdh_curves),
        }
    }

    /// What `defaults` say for clients. As in Istio, the version is not for them.
    pub(super) fn of_client(defaults: &'a TlsConfig) -> Self {
        Self {
            cipher_suites: &defaults.cipher_suites,
            curves: &defaults.ecdh_curves,
            ..Limits::DEFAULT
        }
    }

    /// Nothing in particular: TLS 1.2 and 1.3, with all that the cryptography offers.
    pub(super) const DEFAULT: Limits<'static> = Limits {
        min: TlsProtocol::TlsAuto,
        max: TlsProtocol::TlsAuto,
        cipher_suites: &[],
        curves: &[],
    };
}

/// The protocol within `limits`.
pub(super) fn protocol(
    provider: &Arc<CryptoProvider>,
    limits: &Limits<'_>,
    problems: &mut Problems,
) -> Protocol {
    let mut notices = Vec::new();
    let versions = versions(limits.min, limits.max, &mut notices);
    if versions.is_empty() {
        problems.add(TlsConfigErrorKind::Versions);
    }
    let suites = cipher_suites(provider, limits.cipher_suites, problems, &mut notices);
    let groups = groups(provider, limits.curves, problems);
    let provider = match (suites, groups) {
        (None, None) => Arc::clone(provider),
        (suites, groups) => {
            let mut limited = CryptoProvider::clone(provider);
            limited.cipher_suites = suites.unwrap_or(limited.cipher_suites);
            limited.kx_groups = groups.unwrap_or(limited.kx_groups);
            Arc::new(limited)
        }
    };
    Protocol {
        provider,
        versions,
        notices,
    }
}

/// The protocol of mesh mTLS.
pub(super) fn mesh_protocol(
    provider: &Arc<CryptoProvider>,
    limits: &TlsConfig,
    problems: &mut Problems,
) -> Protocol {
    let TlsConfig {
        min_protocol_version,
        ecdh_curves,
        cipher_suites,
    } = limits;
    let default = MESH_CIPHER_SUITES.map(str::to_owned);
    let suites: &[String] = match cipher_suites.as_slice() {
        [] => &default,
        suites => suites,
    };
    let limits = Limits {
        min: lowest(*min_protocol_version),
        max: TlsProtocol::TlsAuto,
        cipher_suites: suites,
        curves: ecdh_curves,
    };
    protocol(provider, &limits, problems)
}

fn lowest(version: TlsConfigProtocol) -> TlsProtocol {
    match version {
        TlsConfigProtocol::TlsAuto => TlsProtocol::TlsAuto,
        TlsConfigProtocol::Tlsv1_2 => TlsProtocol::Tlsv1_2,
        TlsConfigProtocol::Tlsv1_3 => TlsProtocol::Tlsv1_3,
    }
}

fn versions(
    min: TlsProtocol,
    max: TlsProtocol,
    notices: &mut Vec<String>,
) -> Vec<&'static SupportedProtocolVersion> {
    if matches!(min, TlsProtocol::Tlsv1_0 | TlsProtocol::Tlsv1_1) {
        notices.push("versions before TLS 1.2 are not spoken".to_owned());
    }
    let from_13 = min == TlsProtocol::Tlsv1_3;
    let (to_12, to_13) = match max {
        TlsProtocol::TlsAuto | TlsProtocol::Tlsv1_3 => (true, true),
        TlsProtocol::Tlsv1_2 => (true, false),
        TlsProtocol::Tlsv1_0 | TlsProtocol::Tlsv1_1 => (false, false),
    };
    let tls13 = to_13.then_some(&TLS13);
    let tls12 = (to_12 && !from_13).then_some(&TLS12);
    tls13.into_iter().chain(tls12).collect()
}

/// The suites of TLS 1.3, and of those of TLS 1.2 the ones that are named; `None` is all. Unknown
/// names and repetitions are left out, as istiod does (`filterCipherSuites`).
fn cipher_suites(
    provider: &CryptoProvider,
    names: &[String],
    problems: &mut Problems,
    notices: &mut Vec<String>,
) -> Option<Vec<SupportedCipherSuite>> {
    let mut named: Vec<CipherSuite> = Vec::new();
    let mut is_limited = false;
    for name in names {
        let known = CIPHER_SUITES.iter().find(|(known, _)| known == name);
        is_limited |= known.is_some();
        match known {
            Some((_, Some(suite))) if !named.contains(suite) => named.push(*suite),
            Some((_, Some(_))) => {}
            Some((_, None)) => notices.push(format!("cipher suite `{name}` is not spoken")),
            None => notices.push(format!("cipher suite `{name}` is unknown")),
        }
    }
    if !is_limited {
        return None;
    }
    let available = provider.cipher_suites.iter().copied();
    let (tls13, tls12): (Vec<_>, Vec<_>) = available.partition(|suite| suite.tls13().is_some());
    let named = named.into_iter();
    let limited: Vec<_> = named
        .filter_map(|name| tls12.iter().find(|suite| suite.suite() == name).copied())
        .collect();
    if limited.is_empty() {
        problems.add(TlsConfigErrorKind::CipherSuites);
    }
    Some(tls13.into_iter().chain(limited).collect())
}

/// The groups of the key exchange, in their order; `None` is all. An unknown one is refused, as
/// Envoy does.
fn groups(
    provider: &CryptoProvider,
    names: &[String],
    problems: &mut Problems,
) -> Option<Vec<&'static dyn rustls::crypto::SupportedKxGroup>> {
    if names.is_empty() {
        return None;
    }
    let groups = names.iter().filter_map(|name| {
        let group = match name.as_str() {
            "P-256" => Some(NamedGroup::secp256r1),
            "P-384" => Some(NamedGroup::secp384r1),
            "P-521" => Some(NamedGroup::secp521r1),
            "X25519" => Some(NamedGroup::X25519),
            "X25519MLKEM768" => Some(NamedGroup::X25519MLKEM768),
            _ => None,
        };
        let mut available = provider.kx_groups.iter();
        let found = group.and_then(|group| available.find(|known| known.name() == group).copied());
        if found.is_none() {
            let name = name.clone();
            problems.add(TlsConfigErrorKind::Curve { name });
        }
        found
    });
    Some(groups.collect())
}

#[cfg(test)]
mod tests {
    use mesh_core::origin::Origin;

    use super::*;
    use crate::testing;

    fn compile(limits: &Limits<'_>) -> Result<Protocol, super::super::TlsConfigErrors> {
        let mut problems = Problems::new(&Origin::synthetic("test"));
        let protocol = protocol(&testing::provider(), limits, &mut problems);
        problems.finish(Some(protocol))
    }

    #[test]
    fn versions_are_those_between_the_limits() {
        use TlsProtocol as V;
        let cases: [(V, V, Option<&[&SupportedProtocolVersion]>); 8] = [
            (V::TlsAuto, V::TlsAuto, Some(&[&TLS13, &TLS12])),
            (V::Tlsv1_0, V::TlsAuto, Some(&[&TLS13, &TLS12])),
            (V::Tlsv1_2, V::Tlsv1_2, Some(&[&TLS12])),
            (V::Tlsv1_3, V::TlsAuto, Some(&[&TLS13])),
            (V::TlsAuto, V::Tlsv1_3, Some(&[&TLS13, &TLS12])),
            (V::Tlsv1_3, V::Tlsv1_2, None),
            (V::TlsAuto, V::Tlsv1_1, None),
            (V::Tlsv1_0, V::Tlsv1_1, None),
        ];
        for (min, max, expected) in cases {
            let found = compile(&Limits {
                min,
                max,
                ..Limits::DEFAULT
            });
            let found = found.ok().map(|protocol| protocol.versions);
            assert_eq!(found.as_deref(), expected, "{min:?} to {max:?}");
        }
    }

    #[test]
    fn cipher_suites_limit_tls_1_2_only_and_unknown_ones_do_not_count() {
        let tls12 = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let found = compile(&Limits {
                cipher_suites: &names,
                ..Limits::DEFAULT
            })
            .ok()?;
            let suites = found.provider.cipher_suites.iter();
            assert_eq!(
                suites
                    .clone()
                    .filter(|suite| suite.tls13().is_some())
                    .count(),
                3
            );
            let tls12 = suites.filter(|suite| suite.tls13().is_none());
            Some((tls12.count(), found.notices.len()))
        };
        assert_eq!(tls12(&[]), Some((6, 0)));
        let name = "ECDHE-RSA-AES128-GCM-SHA256";
        assert_eq!(tls12(&[name, name]), Some((1, 0)));
        assert_eq!(tls12(&[name, "AES128-SHA", "RC4-MD5"]), Some((1, 2)));
        assert_eq!(tls12(&["RC4-MD5"]), Some((6, 1)));
        assert_eq!(tls12(&["AES128-SHA"]), None);
    }

    #[test]
    fn an_unknown_curve_is_refused() {
        let groups = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let found = compile(&Limits {
                curves: &names,
                ..Limits::DEFAULT
            });
            found
                .map(|found| found.provider.kx_groups.len())
                .map_err(|errors| errors.to_string())
        };
        assert_eq!(groups(&["P-256", "X25519"]), Ok(2));
        let error = "curve `P-224` is not supported  [test]";
        assert_eq!(groups(&["P-256", "P-224"]), Err(error.to_owned()));
    }

    #[test]
    fn mesh_mtls_has_aes_gcm_unless_it_says_otherwise() {
        let suites = |limits: &TlsConfig| {
            let mut problems = Problems::new(&Origin::synthetic("test"));
            let protocol = mesh_protocol(&testing::provider(), limits, &mut problems);
            let protocol = problems.finish(Some(protocol)).unwrap();
            let suites = protocol.provider.cipher_suites.iter();
            let suites = suites.filter(|suite| suite.tls13().is_none()).count();
            (suites, protocol.versions.len())
        };
        assert_eq!(suites(&TlsConfig::default()), (4, 2));
        let limits = TlsConfig {
            min_protocol_version: TlsConfigProtocol::Tlsv1_3,
            cipher_suites: vec!["ECDHE-RSA-AES256-GCM-SHA384".into()],
            ..TlsConfig::default()
        };
        assert_eq!(suites(&limits), (1, 1));
    }
}
