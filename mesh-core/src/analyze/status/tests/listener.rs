use super::*;

#[test]
fn a_listener_that_cannot_be_served_says_why() {
    let fine = "Conflicted=false NoConflicts";
    let cases = [
        (
            "{ name: a, port: 53, protocol: UDP }",
            [
                "Accepted=false UnsupportedProtocol",
                fine,
                "Programmed=true Programmed",
                "ResolvedRefs=true ResolvedRefs",
            ],
        ),
        (
            HTTPS,
            [
                "Accepted=true Accepted",
                fine,
                "Programmed=false Invalid",
                "ResolvedRefs=false InvalidCertificateRef",
            ],
        ),
        (
            "{ name: a, port: 443, protocol: HTTPS, tls: { certificateRefs: [{ name: a, namespace: bank }] } }",
            [
                "Accepted=false NoValidCACertificate",
                fine,
                "Programmed=false Invalid",
                "ResolvedRefs=false RefNotPermitted",
            ],
        ),
        (
            "{ name: a, port: 80, protocol: HTTP, allowedRoutes: { kinds: [{ kind: TCPRoute }] } }",
            [
                "Accepted=true Accepted",
                fine,
                "Programmed=true Programmed",
                "ResolvedRefs=false InvalidRouteKinds",
            ],
        ),
    ];
    for (listener, expected) in cases {
        assert_eq!(
            listener_words(&gateway(&[listener], "")),
            expected,
            "{listener}"
        );
    }
}

#[test]
fn a_certificate_that_is_one_resolves() {
    let secret = |data: &str| object("Secret", "credential", &format!("stringData: {{ {data} }}"));
    let text = gateway(&[HTTPS], "");
    let listener = listener_words(&(text.clone() + &secret(PEM)));
    assert_eq!(listener[3], "ResolvedRefs=true ResolvedRefs");
    let malformed = gateway_status(&(text + &secret("tls.crt: a, tls.key: b")));
    assert_eq!(
        malformed.listeners[0].conditions[3].message,
        "invalid certificate reference /Secret/credential., the certificate is malformed: tls: \
         failed to find any PEM data in certificate input"
    );
}

#[test]
fn authorities_of_clients_are_asked_for_where_tls_ends() {
    let secret = object("Secret", "credential", &format!("stringData: {{ {PEM} }}"));
    for (reference, reason) in [
        (
            "{ group: '', kind: ConfigMap, name: none }",
            "InvalidCACertificateRef",
        ),
        (
            "{ group: a.example, kind: B, name: c }",
            "InvalidCACertificateKind",
        ),
        (
            "{ group: '', kind: ConfigMap, name: a, namespace: bank }",
            "RefNotPermitted",
        ),
    ] {
        let tls = format!(
            ", tls: {{ frontend: {{ default: {{ validation: {{ caCertificateRefs: [{reference}] }} }} }} }}"
        );
        let status = gateway_status(&(gateway(&[HTTP, HTTPS], &tls) + &secret));
        assert!(status.listeners[0].conditions[0].status, "{reference}");
        let words = words(&status.listeners[1].conditions);
        assert_eq!(words[0], "Accepted=false NoValidCACertificate");
        assert_eq!(words[3], format!("ResolvedRefs=false {reason}"));
        // One valid listener is enough.
        assert_eq!(status.conditions[0].reason, Reason::ListenersNotValid);
        assert!(status.conditions[0].status);
    }
}

#[test]
fn of_listeners_in_conflict_the_first_stays() {
    let tcp = "{ name: tcp, port: 80, protocol: TCP }";
    let same = "{ name: same, port: 80, protocol: HTTP }";
    // In the way of nobody: the one that it is like is in conflict itself.
    let status = gateway_status(&gateway(&[HTTP, tcp, same], ""));
    let of = |index: usize| words(&status.listeners[index].conditions);
    assert_eq!(of(0)[1], "Conflicted=false NoConflicts");
    assert_eq!(
        of(1),
        [
            "Accepted=false ProtocolConflict",
            "Conflicted=true ProtocolConflict",
            "Programmed=false ProtocolConflict"
        ]
    );
    assert_eq!(of(2)[1], "Conflicted=true HostnameConflict");
}
