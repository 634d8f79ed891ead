use proptest::prelude::*;

use super::*;

fn patterns(texts: &[&str]) -> Vec<HostPattern> {
    texts.iter().map(|text| HostPattern::new(text)).collect()
}

#[test]
fn a_wildcard_covers_any_depth_and_not_its_own_domain() {
    let wildcard = HostPattern::new("*.Example.com");
    for host in ["a.example.com", "a.b.example.com", ".example.com"] {
        assert!(wildcard.covers(host), "{host}");
    }
    for host in ["example.com", "a.example.org", "a.example.com.", ""] {
        assert!(!wildcard.covers(host), "{host}");
    }
    assert!(HostPattern::new("*").covers(""));
    assert!(HostPattern::new("*-v1.example.com").covers("shop-v1.example.com"));
}

#[test]
fn matching_is_symmetric_and_subset_is_not() {
    let cases = [
        ("a.com", "a.com", true, true),
        ("a.com", "b.com", false, false),
        ("a.com", "*.com", true, false),
        ("a.com", "*", true, false),
        ("*.a.com", "*.com", true, false),
        ("*.a.com", "a.com", false, false),
        ("*.a.com", "*.b.com", false, false),
        ("*.com", "*.com", true, true),
        ("", "*", true, false),
        ("", "", true, true),
    ];
    for (a, b, forth, back) in cases {
        let (a, b) = (HostPattern::new(a), HostPattern::new(b));
        assert_eq!(a.is_subset_of(&b), forth, "{a} in {b}");
        assert_eq!(b.is_subset_of(&a), back, "{b} in {a}");
        assert_eq!(a.matches(&b), forth || back, "{a} {b}");
        assert_eq!(b.matches(&a), forth || back, "{b} {a}");
    }
}

#[test]
fn the_more_specific_pattern_comes_first() {
    let mut hosts = patterns(&["*", "b.c", "*.a.b.c.d", "a.c", "*.c", "a.b.c"]);
    hosts.sort_by(HostPattern::cmp_specificity);
    let sorted = patterns(&["a.b.c", "a.c", "b.c", "*.a.b.c.d", "*.c", "*"]);
    assert_eq!(hosts, sorted);
}

#[test]
fn the_intersection_keeps_the_narrower_name_once() {
    let cases: [(&[&str], &[&str], &[&str]); 5] = [
        (&["*.a.com"], &["x.a.com", "*.b.com"], &["x.a.com"]),
        (&["x.a.com", "*"], &["*.a.com"], &["x.a.com", "*.a.com"]),
        (&["*", "*"], &["a.com"], &["a.com"]),
        (&["a.com"], &["b.com"], &[]),
        (&[], &["*"], &[]),
    ];
    for (left, right, expected) in cases {
        let both = intersection(&patterns(left), &patterns(right));
        assert_eq!(both, patterns(expected), "{left:?} {right:?}");
    }
}

#[test]
fn an_exact_candidate_beats_the_longest_wildcard() {
    let candidates = patterns(&["*", "*.com", "*.a.com", "x.a.com", "*.x.a.com"]);
    let cases = [
        ("x.a.com", Some("x.a.com")),
        ("y.a.com", Some("*.a.com")),
        ("*.a.com", Some("*.a.com")),
        ("*.b.com", Some("*.com")),
        ("org", Some("*")),
    ];
    for (needle, expected) in cases {
        let found = most_specific_match(&HostPattern::new(needle), &candidates);
        assert_eq!(found.map(HostPattern::as_str), expected, "{needle}");
    }
    let narrower = patterns(&["a.com", "*.com"]);
    assert_eq!(most_specific_match(&HostPattern::new("*"), &narrower), None);
}

#[test]
fn only_a_short_name_is_completed() {
    let cases = [
        (
            "reviews",
            "prod",
            "cluster.local",
            "reviews.prod.svc.cluster.local",
        ),
        ("reviews", "prod", "", "reviews.prod"),
        ("reviews", "", "cluster.local", "reviews.svc.cluster.local"),
        ("reviews.prod", "test", "cluster.local", "reviews.prod"),
        ("*", "prod", "cluster.local", "*"),
        ("", "prod", "cluster.local", ""),
        ("10.0.0.1", "prod", "cluster.local", "10.0.0.1"),
        ("fd00::1", "prod", "cluster.local", "fd00::1"),
    ];
    for (host, namespace, domain, expected) in cases {
        assert_eq!(
            resolve_short_name(host, namespace, domain),
            expected,
            "{host}"
        );
    }
}

#[test]
fn a_gateway_is_of_the_own_namespace_unless_it_says_otherwise() {
    let cases = [
        ("gw", "prod/gw"),
        ("./gw", "prod/gw"),
        ("infra/gw", "infra/gw"),
        ("infra/gw.with.dots", "infra/gw.with.dots"),
        ("gw.infra.svc.cluster.local", "infra/gw"),
        ("gw.infra", "infra/gw"),
        ("mesh", "mesh"),
    ];
    for (reference, expected) in cases {
        assert_eq!(
            resolve_gateway_name(reference, "prod"),
            expected,
            "{reference}"
        );
    }
}

#[test]
fn a_scoped_host_without_namespace_is_of_all() {
    let host: ScopedHost = "a.com".parse().unwrap();
    assert_eq!(*host.namespace(), NamespaceScope::Any);
    let host: ScopedHost = "~/*".parse().unwrap();
    assert!(!host.namespace().includes("prod", "prod"));
    for text in ["", "/a.com", "prod/", "/"] {
        assert!(text.parse::<ScopedHost>().is_err(), "{text}");
    }
}

#[test]
fn a_host_is_a_name_or_an_address() {
    let cases = [
        ("A.example", "a.example"),
        ("a_b.example.", "a_b.example."),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("[fd00::1]", "fd00::1"),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Host>().unwrap().as_str(), expected, "{text}");
    }
    let too_long = "a.".repeat(128);
    for text in [
        "", ".", "a..b", "*", "*.a", "a b", "a:80", "[a]", "a/b", &too_long,
    ] {
        assert!(text.parse::<Host>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn hosts_round_trip(text in "[a-z0-9_-]{1,8}(\\.[a-z0-9_-]{1,8}){0,3}") {
        let host: Host = text.parse().unwrap();
        prop_assert_eq!(host.to_string().parse(), Ok(host));
    }

    #[test]
    fn scoped_hosts_round_trip(text in "([*.~]|[a-z]{1,5})/(\\*\\.)?[a-z.]{1,9}") {
        let host: ScopedHost = text.parse().unwrap();
        prop_assert_eq!(host.to_string(), text);
    }

    #[test]
    fn a_subset_covers_no_more(a in "\\*?[ab.]{0,4}", b in "\\*?[ab.]{0,4}", host in "[ab.]{0,6}") {
        let (a, b) = (HostPattern::new(&a), HostPattern::new(&b));
        if a.is_subset_of(&b) && a.covers(&host) {
            prop_assert!(b.covers(&host));
        }
        prop_assert_eq!(a.matches(&b), b.matches(&a));
    }
}
