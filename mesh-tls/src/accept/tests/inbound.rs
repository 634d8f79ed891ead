//! Mesh mTLS and plaintext on one port.

use super::*;

/// What becomes of a connection on which `bytes` are sent, as a label.
async fn inbound(mode: MtlsMode, is_http: bool, bytes: &[u8]) -> String {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let acceptor = InboundAcceptor::new(
        PortMode { mode, is_http },
        TlsAcceptor::new(workload.server()),
    )
    .with_detection_timeout(Duration::from_millis(100));
    let (mut client, server) = tokio::io::duplex(1 << 16);
    client.write_all(bytes).await.unwrap();
    match acceptor.accept(server).await {
        Ok(Inbound::Mesh(_)) => "mesh".to_owned(),
        Ok(Inbound::PassedOn(mut io)) => {
            drop(client);
            let mut passed = Vec::new();
            io.read_to_end(&mut passed).await.unwrap();
            assert_eq!(passed, bytes, "what was read is passed on whole");
            "passed on".to_owned()
        }
        Err(diagnosis) => diagnosis.label().to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn one_port_takes_mesh_mtls_and_plaintext() {
    let tls = testing::client_bytes("shop.example", &["h2"]);
    let http = b"GET / HTTP/1.1\r\n\r\n";
    let cases = [
        (MtlsMode::Permissive, true, &http[..], "passed on"),
        (MtlsMode::Permissive, true, &tls, "no_common_alpn"),
        (MtlsMode::Permissive, false, &tls, "passed on"),
        (MtlsMode::Permissive, false, b"", "passed on"),
        (MtlsMode::Strict, true, http, "plaintext"),
        (MtlsMode::Strict, true, b"", "timed_out"),
        (MtlsMode::Disable, true, http, "passed on"),
        (MtlsMode::Disable, false, &tls, "passed on"),
    ];
    for (mode, is_http, bytes, expected) in cases {
        let found = inbound(mode, is_http, bytes).await;
        assert_eq!(
            found,
            expected,
            "{mode:?}, HTTP: {is_http}, {} bytes",
            bytes.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_server_speaks_first_it_waits_as_long_as_the_detection_timeout() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let cases = [(MtlsMode::Permissive, 250), (MtlsMode::Disable, 0)];
    for (mode, millis) in cases {
        let port = PortMode {
            mode,
            is_http: false,
        };
        let acceptor = InboundAcceptor::new(port, TlsAcceptor::new(workload.server()))
            .with_detection_timeout(Duration::from_millis(250));
        let (_client, server) = tokio::io::duplex(64);
        let start = Instant::now();
        assert!(matches!(
            acceptor.accept(server).await,
            Ok(Inbound::PassedOn(_))
        ));
        assert_eq!(start.elapsed(), Duration::from_millis(millis), "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_detection_timeout_a_client_may_think_for_as_long_as_it_likes() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let port = PortMode {
        mode: MtlsMode::Permissive,
        is_http: true,
    };
    let acceptor = InboundAcceptor::new(port, TlsAcceptor::new(workload.server()));
    let connector = TlsConnector::new(workload.client(&[]), Http1);
    let (client, server) = tokio::io::duplex(1 << 16);
    let connecting = async {
        tokio::time::sleep(4 * HANDSHAKE_TIMEOUT).await;
        connector.connect(client, None).await
    };
    let (accepted, connected) = tokio::join!(acceptor.accept(server), connecting);
    assert!(matches!(accepted, Ok(Inbound::Mesh(_))), "{accepted:?}");
    assert!(connected.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_never_comes_is_none() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let tls = TlsAcceptor::new(workload.server()).with_handshake_timeout(Duration::MAX);
    let connector = TlsConnector::new(workload.client(&[]), Http1);
    let connector = connector.with_handshake_timeout(Duration::MAX);
    for mode in [MtlsMode::Permissive, MtlsMode::Strict] {
        let port = PortMode {
            mode,
            is_http: true,
        };
        let acceptor = InboundAcceptor::new(port, tls.clone());
        let acceptor = acceptor.with_detection_timeout(Duration::MAX);
        let (client, server) = tokio::io::duplex(1 << 16);
        let (accepted, connected) =
            tokio::join!(acceptor.accept(server), connector.connect(client, None));
        assert!(accepted.is_ok() && connected.is_ok(), "{mode:?}");
    }
}

#[tokio::test]
async fn on_a_permissive_port_clients_of_the_mesh_prove_who_they_are() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let port = PortMode {
        mode: MtlsMode::Permissive,
        is_http: true,
    };
    let acceptor = InboundAcceptor::new(port, TlsAcceptor::new(workload.server()));
    for protocol in [Http1, Http2, Tcp] {
        let connector = TlsConnector::new(workload.client(&[]), protocol);
        let (client, server) = tokio::io::duplex(1 << 16);
        let (accepted, connected) =
            tokio::join!(acceptor.accept(server), connector.connect(client, None));
        let Inbound::Mesh(accepted) = accepted.unwrap() else {
            panic!("{protocol:?}");
        };
        assert_eq!(accepted.peer.identity.unwrap().0.as_str(), "spiffe://td/w");
        assert!(connected.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_go_on_ends_in_time() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let acceptor = TlsAcceptor::new(workload.server());
    let hello = testing::client_bytes("shop.example", &["istio"]);
    let cases = [
        ("cut", &hello[..100], "timed_out"),
        ("alone", &hello, "timed_out"),
    ];
    for (name, bytes, expected) in cases {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        client.write_all(bytes).await.unwrap();
        let start = Instant::now();
        let diagnosis = acceptor.accept(server).await.unwrap_err();
        assert_eq!(diagnosis.label(), expected, "{name}");
        assert_eq!(start.elapsed(), HANDSHAKE_TIMEOUT, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_first_byte_is_part_of_the_limit_of_a_handshake() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let tls = TlsAcceptor::new(workload.server());
    let port = PortMode {
        mode: MtlsMode::Strict,
        is_http: true,
    };
    let inbound = InboundAcceptor::new(port, tls.clone());
    let hello = testing::client_bytes("shop.example", &["istio"]);
    for is_inbound in [false, true] {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let start = Instant::now();
        let accepting = async {
            match is_inbound {
                true => inbound.accept(server).await.err(),
                false => tls.accept(server).await.err(),
            }
        };
        let speaking = async {
            tokio::time::sleep(HANDSHAKE_TIMEOUT - Duration::from_secs(1)).await;
            client.write_all(&hello).await.unwrap();
        };
        let (refused, ()) = tokio::join!(accepting, speaking);
        assert_eq!(refused.unwrap().label(), "timed_out");
        assert_eq!(start.elapsed(), HANDSHAKE_TIMEOUT, "inbound: {is_inbound}");
    }
}
