//! The element for a client's certificate.

use super::details::ClientCertDetails;
use super::element::Element;
use crate::certificate::Certificate;
use crate::digest::Sha256;
use crate::pem;

impl Element {
    /// What a proxy with the certificate `own` says about a client that presented `chain`, its own
    /// certificate first. `None` if the client presented none.
    ///
    /// As in Envoy, `By` is there for each URI of the proxy's certificate, and `URI` and `Subject`
    /// also when the client's certificate has none.
    pub fn describe(
        chain: &[Certificate],
        own: Option<&Certificate>,
        details: ClientCertDetails,
        sha256: &Sha256,
    ) -> Option<Self> {
        let client = chain.first()?;
        let own = own.map(Certificate::uris).into_iter().flatten();
        let mut uri = texts(details.uri, client.uris());
        if details.uri && uri.is_empty() {
            uri.push(String::new());
        }
        Some(Self {
            by: own.map(str::to_owned).collect(),
            hash: Some(client.fingerprint(sha256).to_string()),
            cert: details.cert.then(|| pem::encode_certificates([client])),
            chain: details.chain.then(|| pem::encode_certificates(chain)),
            subject: details.subject.then(|| client.subject().to_owned()),
            uri,
            dns: texts(details.dns, client.dns_names()),
        })
    }
}

fn texts<'a>(wanted: bool, texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.filter(|_| wanted).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;
    use crate::testing;

    fn certificate(names: &[SanType], common_name: Option<&str>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn sha256() -> Sha256 {
        Sha256::of_provider(&testing::provider()).unwrap()
    }

    #[test]
    fn the_element_shows_what_was_asked_for() {
        let dns = SanType::DnsName("c.example".try_into().unwrap());
        let client = certificate(&[uri("spiffe://m/ns/c/sa/c"), dns], Some("c,d"));
        let own = certificate(&[uri("spiffe://m/ns/s/sa/s")], None);
        let chain = [client.clone(), own.clone()];
        let describe = |details| Element::describe(&chain, Some(&own), details, &sha256()).unwrap();

        let hash = client.fingerprint(&sha256());
        let expected = format!(
            r#"By=spiffe://m/ns/s/sa/s;Hash={hash};Subject="CN=c\,d";URI=spiffe://m/ns/c/sa/c;DNS=c.example"#
        );
        assert_eq!(describe(ClientCertDetails::default()).to_string(), expected);

        let whole = describe(ClientCertDetails {
            cert: true,
            chain: true,
            subject: false,
            uri: false,
            dns: false,
        });
        let cert = whole.cert.as_deref().unwrap();
        assert_eq!(pem::certificates(cert.as_bytes()).unwrap(), chain[..1]);
        let all = whole.chain.as_deref().unwrap();
        assert_eq!(pem::certificates(all.as_bytes()).unwrap(), chain);
        assert!(whole.subject.is_none() && whole.uri.is_empty() && whole.dns.is_empty());
    }

    #[test]
    fn subject_and_uri_are_there_even_if_the_certificate_has_none() {
        let client = [certificate(&[], None)];
        let details = ClientCertDetails::default();
        let element = Element::describe(&client, None, details, &sha256()).unwrap();
        let hash = client[0].fingerprint(&sha256());
        assert_eq!(
            element.to_string(),
            format!(r#"Hash={hash};Subject="";URI="#)
        );
    }

    #[test]
    fn a_client_without_a_certificate_has_no_element() {
        let details = ClientCertDetails::default();
        assert_eq!(Element::describe(&[], None, details, &sha256()), None);
    }
}
