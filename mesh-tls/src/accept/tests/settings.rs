//! What settings become.

use super::gateway::{mutual, shop, simple};
use super::*;

#[tokio::test]
async fn auto_mtls_depends_on_the_endpoint() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let mut cluster = Cluster::new("outbound|80||cart".into());
    cluster.tls = ResolvedUpstream::Auto(MeshTls::default());
    let upstream = workload.compiler.upstream(&cluster).unwrap();
    let mut endpoint = Endpoint::new(EndpointAddress::Ip("192.0.2.7:80".parse().unwrap()));
    assert!(upstream.towards(&endpoint).is_none());
    endpoint.mesh_tls = true;
    assert!(upstream.towards(&endpoint).is_some());
    cluster.tls = ResolvedUpstream::Plaintext;
    let upstream = workload.compiler.upstream(&cluster).unwrap();
    assert!(upstream.towards(&endpoint).is_none());
}

/// What is said of a Gateway's settings that cannot be enforced.
fn refused_server(settings: ServerTlsSettings) -> String {
    let mut chain = http_chain();
    chain.tls = Some(listener::ServerTls::Gateway(Box::new(settings)));
    let compiled = compiler(SecretStore::default()).server(&chain);
    compiled.unwrap_err().to_string()
}

/// What is said of a DestinationRule's settings that cannot be enforced.
fn refused_client(settings: ClientTlsSettings) -> String {
    let mut cluster = Cluster::new("outbound|443||a".into());
    cluster.tls = ResolvedUpstream::Settings(Box::new(settings));
    let compiled = compiler(SecretStore::default()).upstream(&cluster);
    compiled.unwrap_err().to_string()
}

#[test]
fn what_a_server_cannot_enforce_is_refused_with_its_origin() {
    let unknown_credential = ServerTlsSettings {
        credential_name: "sds://x".into(),
        ..shop(ServerTlsMode::Simple)
    };
    let no_authority = ServerTlsSettings {
        server_certificate: "/a".into(),
        private_key: "/b".into(),
        credential_name: String::new(),
        ..shop(ServerTlsMode::Mutual)
    };
    let no_certificate = ServerTlsSettings {
        credential_name: String::new(),
        ..shop(ServerTlsMode::Simple)
    };
    let bad_pin = ServerTlsSettings {
        verify_certificate_hash: vec!["12".into()],
        ..shop(ServerTlsMode::Mutual)
    };
    let contradiction = ServerTlsSettings {
        insecure_skip_verify: Some(true),
        subject_alt_names: vec!["a".into()],
        ..shop(ServerTlsMode::Mutual)
    };
    let mesh = shop(ServerTlsMode::IstioMutual);
    let cases = [
        (mesh, "mesh mTLS needs an identity of the mesh"),
        (
            unknown_credential,
            "credentials of `sds://` are not supported",
        ),
        (
            no_authority,
            "there is no authority to verify the other end by",
        ),
        (no_certificate, "there is no certificate with a key"),
        (bad_pin, "not a SHA-256 digest in hexadecimal"),
        (
            contradiction,
            "`insecureSkipVerify` contradicts `subjectAltNames`",
        ),
    ];
    for (settings, expected) in cases {
        let found = refused_server(settings);
        assert!(found.contains(expected), "{found}");
        assert!(found.ends_with("[filter chain]"), "{found}");
    }
}

#[test]
fn what_a_client_cannot_enforce_is_refused_with_its_origin() {
    let no_authority = ClientTlsSettings {
        ca_certificates: String::new(),
        ..simple()
    };
    let contradiction = ClientTlsSettings {
        insecure_skip_verify: Some(true),
        ..simple()
    };
    let unread = ClientTlsSettings {
        insecure_skip_verify: Some(true),
        credential_name: "shop".into(),
        ca_certificates: String::new(),
        ..simple()
    };
    let no_certificate = ClientTlsSettings {
        client_certificate: String::new(),
        ..mutual()
    };
    let granted = ClientTlsSettings {
        credential_name: "kubernetes-gateway://vault/shop".into(),
        ca_certificates: String::new(),
        ..simple()
    };
    let no_name = ClientTlsSettings {
        sni: "not a name".into(),
        ..simple()
    };
    let cases = [
        (
            no_authority,
            "there is no authority to verify the other end by",
        ),
        (
            contradiction,
            "`insecureSkipVerify` contradicts `caCertificates`",
        ),
        (unread, "`insecureSkipVerify` contradicts `credentialName`"),
        (no_certificate, "there is no certificate with a key"),
        (
            granted,
            "credentials of `kubernetes-gateway://` are not supported",
        ),
        (no_name, "`not a name` is not the name of a server"),
    ];
    for (settings, expected) in cases {
        let found = refused_client(settings);
        assert!(found.contains(expected), "{found}");
        assert!(found.ends_with("[cluster]"), "{found}");
    }
}

#[test]
fn what_a_client_presents_does_not_contradict_that_it_verifies_nobody() {
    let presenting = ClientTlsSettings {
        insecure_skip_verify: Some(true),
        credential_name: "shop".into(),
        mode: ClientTlsMode::Mutual,
        ..ClientTlsSettings::default()
    };
    let client = client(&SecretStore::default(), presenting);
    assert!(client.verifier().is_insecure());
}

#[test]
fn tls_that_is_passed_on_does_not_end_here() {
    let compiler = compiler(SecretStore::default());
    let mut chain = http_chain();
    assert!(compiler.server(&chain).unwrap().is_none());
    for mode in [ServerTlsMode::Passthrough, ServerTlsMode::AutoPassthrough] {
        chain.tls = Some(listener::ServerTls::Gateway(Box::new(shop(mode))));
        assert!(compiler.server(&chain).unwrap().is_none(), "{mode:?}");
    }
}

#[test]
fn settings_without_effect_are_noted() {
    let settings = ServerTlsSettings {
        subject_alt_names: vec!["a".into()],
        cipher_suites: vec!["RC4-MD5".into()],
        ..shop(ServerTlsMode::Simple)
    };
    let server = gateway(&SecretStore::default(), settings);
    let messages: Vec<&str> = server
        .notices()
        .iter()
        .map(|notice| &*notice.message)
        .collect();
    assert_eq!(
        messages,
        [
            "cipher suite `RC4-MD5` is unknown",
            "`subjectAltNames` has no effect: SIMPLE asks clients for no certificate",
        ]
    );
}

#[tokio::test]
async fn a_file_of_authorities_has_no_effect_beside_a_credential() {
    let [ours, strangers] = ["ours", "strangers"].map(Authority::new);
    let store = gateway::store_of(&ours);
    let stranger = Roots::new([strangers.certificate()]).unwrap();
    let file = SecretName::AuthoritiesFile("/clients.pem".into());
    store.publish(&file, TlsSecret::default().with_roots(stranger));
    let settings = |credential_names: &[&str]| ServerTlsSettings {
        ca_certificates: "/clients.pem".into(),
        credential_names: credential_names.iter().map(ToString::to_string).collect(),
        ..shop(ServerTlsMode::Mutual)
    };
    let several = ServerTlsSettings {
        credential_name: String::new(),
        ..settings(&["shop"])
    };
    for settings in [settings(&[]), several] {
        let server = gateway(&store, settings);
        let [notice] = server.notices() else {
            panic!("{:?}", server.notices());
        };
        let expected = "`caCertificates` has no effect: authorities are beside the credentials";
        assert_eq!(&*notice.message, expected);
        let strange = client(
            &gateway::store_of(&strangers),
            ClientTlsSettings {
                insecure_skip_verify: Some(true),
                ca_certificates: String::new(),
                ..mutual()
            },
        );
        let cases = [
            (client(&store, mutual()), "ok"),
            (strange, "peer_issuer_untrusted"),
        ];
        for (client, expected) in cases {
            let outcome = shake(&server, &client, Http1).await;
            assert_eq!(outcome.labels().0, expected);
        }
    }
}

#[test]
fn a_gateway_of_the_mesh_offers_metadata_exchange_to_bytes_only() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let tcp = TcpProxy::to([]);
    let cases: [(NetworkFilter, &[u8], bool); 4] = [
        (http_chain().filter, b"istio-peer-exchange", false),
        (http_chain().filter, b"h2", true),
        (
            NetworkFilter::Tcp(tcp.clone()),
            b"istio-peer-exchange",
            true,
        ),
        (NetworkFilter::Tcp(tcp), b"istio", false),
    ];
    for (filter, offered, is_answered) in cases {
        let mut chain = FilterChain::new(filter);
        let settings = ServerTlsSettings {
            mode: ServerTlsMode::IstioMutual,
            ..ServerTlsSettings::default()
        };
        chain.tls = Some(listener::ServerTls::Gateway(Box::new(settings)));
        let server = workload.compiler.server(&chain).unwrap().unwrap();
        let alpn = &server.config(&[offered]).alpn_protocols;
        assert_eq!(!alpn.is_empty(), is_answered, "{alpn:?}");
    }
}

#[test]
fn a_client_offers_what_it_speaks_and_in_the_mesh_that_it_is_of_the_mesh() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let store = gateway::store_of(&authority);
    let mesh = workload.client(&[]);
    let (one_sided, mutual) = (client(&store, simple()), client(&store, mutual()));
    let cases: [(_, _, &[&str]); 9] = [
        (&mesh, Http1, &["istio-http/1.1", "istio", "http/1.1"]),
        (&mesh, Http2, &["istio-h2", "istio", "h2"]),
        (&mesh, Tcp, &["istio-peer-exchange", "istio"]),
        (&one_sided, Http1, &["http/1.1"]),
        (&one_sided, Http2, &["h2"]),
        (&one_sided, Tcp, &[]),
        (&mutual, Http1, &["http/1.1"]),
        (&mutual, Http2, &["h2"]),
        (&mutual, Tcp, &[]),
    ];
    for (client, protocol, expected) in cases {
        let offered = &client.config(protocol).alpn_protocols;
        let offered: Vec<_> = offered.iter().map(|name| str::from_utf8(name)).collect();
        let expected: Vec<_> = expected.iter().copied().map(Ok).collect();
        assert_eq!(offered, expected, "{protocol:?}");
    }
}

#[test]
fn a_server_is_named_by_the_settings_or_by_the_host_of_the_request() {
    let store = SecretStore::default();
    let named = client(
        &store,
        ClientTlsSettings {
            sni: "a.example".into(),
            ..simple()
        },
    );
    let unnamed = client(&store, simple());
    let cases = [
        (&named, Some("b.example"), Some("a.example")),
        (&named, None, Some("a.example")),
        (&unnamed, Some("b.example:443"), Some("b.example")),
        (&unnamed, Some("[2001:db8::1]:443"), Some("2001:db8::1")),
        (&unnamed, Some("2001:db8::1"), Some("2001:db8::1")),
        (&unnamed, Some("192.0.2.1:443"), Some("192.0.2.1")),
        (&unnamed, Some("not a name"), None),
        (&unnamed, None, None),
    ];
    for (tls, host, expected) in cases {
        let name = tls.server_name(host).ok();
        let name = name.as_ref().map(|name| name.to_str().into_owned());
        assert_eq!(name.as_deref(), expected, "{host:?}");
    }
    assert_eq!(testing::at(NOW), testing::now());
}
