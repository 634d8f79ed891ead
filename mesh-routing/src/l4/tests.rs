use mesh_core::model::listener::FilterChainMatch;
use mesh_core::service::ClusterName;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

#[test]
fn what_is_more_specific_is_decided_criterion_by_criterion() {
    let chains = [
        chain("any", FilterChainMatch::default()),
        chain(
            "port",
            FilterChainMatch {
                destination_port: Some(443),
                ..FilterChainMatch::default()
            },
        ),
        chain("network", networks(&["10.0.0.0/8"])),
        chain("narrow", networks(&["10.1.0.0/16"])),
        chain("name", names(&["shop.example"])),
    ];
    let table = table(&chains);
    let cases = [
        ("192.0.2.1:80", "", "any"),
        ("10.2.0.1:80", "", "network"),
        ("10.1.0.1:80", "", "narrow"),
        ("192.0.2.1:80", "shop.example", "name"),
        // The network decides before the name.
        ("10.1.0.1:80", "shop.example", "narrow"),
        // The port decides before the network.
        ("10.1.0.1:443", "", "port"),
        ("[::ffff:10.1.0.1]:80", "", "narrow"),
        ("[2001:db8::1]:80", "", "any"),
    ];
    for (destination, server_name, expected) in cases {
        let connection = Connection {
            server_name: Some(server_name),
            ..Connection::to(destination.parse().unwrap())
        };
        assert_eq!(
            table.lookup(&connection).unwrap().name,
            expected,
            "{destination} {server_name}"
        );
    }
}

#[test]
fn server_names_match_exactly_or_below_the_longest_suffix() {
    let chains = [
        chain("top", names(&["*.com"])),
        chain("suffix", names(&["*.example.com"])),
        chain("exact", names(&["A.example.com"])),
    ];
    let table = table(&chains);
    let cases = [
        ("a.example.com", Some("exact")),
        ("A.EXAMPLE.com", Some("exact")),
        ("b.example.com", Some("suffix")),
        ("c.b.example.com", Some("suffix")),
        ("example.com", Some("top")),
        ("com", None),
        ("", None),
    ];
    for (server_name, expected) in cases {
        let connection = Connection {
            server_name: Some(server_name),
            ..Connection::to("10.0.0.1:443".parse().unwrap())
        };
        let found = table.lookup(&connection).map(|chain| chain.name.as_str());
        assert_eq!(found, expected, "{server_name}");
    }
}

#[test]
fn what_is_longer_than_a_name_is_none() {
    let any = FilterChainMatch::default();
    let table = table(&[chain("suffix", names(&["*.b"])), chain("any", any)]);
    for (len, expected) in [(MAX_NAME_LEN, "suffix"), (MAX_NAME_LEN + 1, "any")] {
        let name = format!("{}.b", "a".repeat(len - 2));
        let connection = Connection {
            server_name: Some(&name),
            ..Connection::to("10.0.0.1:443".parse().unwrap())
        };
        let found = table.lookup(&connection).unwrap();
        assert_eq!(found.name, expected, "{len}");
        let explained = table.explain(&connection).outcome.unwrap();
        assert_eq!(explained.name, expected, "{len}");
    }
}

#[test]
fn a_chain_that_lost_is_not_considered_again() {
    let tls = FilterChainMatch {
        transport: Some(Transport::Tls),
        ..networks(&["10.0.0.0/8"])
    };
    let mut listener = listener(&[chain("any", FilterChainMatch::default()), chain("tls", tls)]);
    let connection = Connection::to("10.0.0.1:443".parse().unwrap());
    let table = FilterChainTable::compile(&listener).unwrap();
    assert!(
        table.lookup(&connection).is_none(),
        "`any` lost by its network"
    );

    listener.default_filter_chain = Some(Box::new(chain("default", FilterChainMatch::default())));
    let table = FilterChainTable::compile(&listener).unwrap();
    assert_eq!(table.lookup(&connection).unwrap().name, "default");
}

#[test]
fn the_connections_protocols_are_tried_in_its_order() {
    let protocols = |protocol: &str| FilterChainMatch {
        application_protocols: vec![protocol.into()],
        ..FilterChainMatch::default()
    };
    let chains = [
        chain("http/1.1", protocols("http/1.1")),
        chain("h2", protocols("h2")),
        chain("any", FilterChainMatch::default()),
    ];
    let table = table(&chains);
    let cases: [(&[&str], &str); 4] = [
        (&["h2", "http/1.1"], "h2"),
        (&["http/1.1", "h2"], "http/1.1"),
        (&["x"], "any"),
        (&[], "any"),
    ];
    for (application_protocols, expected) in cases {
        let connection = Connection {
            application_protocols,
            ..Connection::to("10.0.0.1:443".parse().unwrap())
        };
        assert_eq!(
            table.lookup(&connection).unwrap().name,
            expected,
            "{application_protocols:?}"
        );
    }
}

#[test]
fn all_that_is_wrong_with_a_listener_is_reported() {
    let weightless = WeightedDestination {
        weight: 0,
        ..WeightedDestination::new(ClusterName::from("db"))
    };
    let proxy = TcpProxy::to([weightless.clone(), weightless]);
    let chains = [
        chain("c", names(&["*"])),
        chain("d", names(&["a*.example"])),
        FilterChain {
            name: "e".into(),
            ..FilterChain::new(NetworkFilter::Tcp(proxy))
        },
    ];
    let errors = FilterChainTable::compile(&listener(&chains)).unwrap_err();
    let messages: Vec<_> = errors.into_iter().map(|error| error.to_string()).collect();
    assert_eq!(
        messages,
        [
            "server name `*` has a wildcard that is not its whole first label",
            "server name `a*.example` has a wildcard that is not its whole first label",
            "the weights of the destinations of `e` sum to `0`",
        ],
    );
}

#[test]
fn of_two_chains_that_take_the_same_connections_the_first_does() {
    let chains = [
        chain("a", names(&["shop.example"])),
        chain("b", names(&["x.example", "Shop.example"])),
    ];
    let table = table(&chains);
    let shadowed: Vec<_> = table.shadowed().iter().map(ToString::to_string).collect();
    assert_eq!(
        shadowed,
        ["filter chain `b` takes the same connections as `a`: server name `shop.example`"],
    );
    for (server_name, expected) in [("shop.example", "a"), ("x.example", "b")] {
        let connection = Connection {
            server_name: Some(server_name),
            ..Connection::to("10.0.0.1:443".parse().unwrap())
        };
        assert_eq!(table.lookup(&connection).unwrap().name, expected);
        let decision = table.explain(&connection);
        assert_eq!(decision.outcome.as_ref().unwrap().name, expected);
    }
    let connection = Connection {
        server_name: Some("shop.example"),
        ..Connection::to("10.0.0.1:443".parse().unwrap())
    };
    let explained = table.explain(&connection).steps[1].to_string();
    assert!(
        explained.contains("an earlier chain takes the same"),
        "{explained}"
    );
}

#[test]
fn a_connection_goes_where_its_number_falls() {
    let destination = |weight, name| WeightedDestination {
        weight,
        ..WeightedDestination::new(ClusterName::from(name))
    };
    let mut proxy = TcpProxy::to([destination(1, "a"), destination(3, "b")]);
    assert_eq!(tcp_destination(&proxy, 4), Some(&proxy.destinations[0]));
    assert_eq!(tcp_destination(&proxy, 5), Some(&proxy.destinations[1]));
    proxy.destinations.clear();
    assert_eq!(tcp_destination(&proxy, 5), None);
}

proptest! {
    /// The explanation narrows the chains down one by one, the lookup walks maps.
    #[test]
    fn the_lookup_agrees_with_its_explanation(
        matches in prop::collection::vec(any_match(), 0..8),
        destination in any_destination(),
        tls in any::<bool>(),
        server_name in prop::option::of("(a|b|c|a\\.b|b\\.b|a\\.b\\.c|c\\.b\\.c)"),
        application_protocols in subsequence(vec!["h2", "http/1.1", "x"], 0..=3).prop_shuffle(),
    ) {
        let matches = matches.into_iter().enumerate();
        let chains: Vec<_> = matches
            .map(|(index, matches)| chain(&index.to_string(), matches))
            .collect();
        let table = table(&chains);
        let connection = Connection {
            destination,
            transport: if tls { Transport::Tls } else { Transport::Plaintext },
            server_name: server_name.as_deref(),
            application_protocols: &application_protocols,
        };
        let decision = table.explain(&connection);
        let explained = decision.outcome.as_ref().map(|chain| &chain.name);
        prop_assert_eq!(table.lookup(&connection).map(|chain| &chain.name), explained);
        prop_assert_eq!(decision.steps.len(), chains.len());
    }
}

fn any_destination() -> impl Strategy<Value = SocketAddr> {
    let address = prop::sample::select(vec!["10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1"]);
    (address, 80_u16..83)
        .prop_map(|(address, port)| (address.parse::<IpAddr>().unwrap(), port).into())
}

fn any_match() -> impl Strategy<Value = FilterChainMatch> {
    let ranges = vec![
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.0.1/32",
        "0.0.0.0/0",
        "2001:db8::/32",
    ];
    let server_names = vec!["a", "b", "a.b", "*.b", "*.c", "*.b.c", "a.b.c"];
    let transport =
        prop::sample::select(vec![None, Some(Transport::Plaintext), Some(Transport::Tls)]);
    (
        prop::option::of(80_u16..83),
        subsequence(ranges, 0..3),
        subsequence(server_names, 0..3),
        transport,
        subsequence(vec!["h2", "http/1.1"], 0..=2),
    )
        .prop_map(
            |(destination_port, ranges, server_names, transport, protocols)| FilterChainMatch {
                destination_port,
                destination_networks: ranges.iter().map(|range| range.parse().unwrap()).collect(),
                server_names: server_names.into_iter().map(String::from).collect(),
                transport,
                application_protocols: protocols.into_iter().map(String::from).collect(),
            },
        )
}

fn networks(networks: &[&str]) -> FilterChainMatch {
    FilterChainMatch {
        destination_networks: networks
            .iter()
            .map(|network| network.parse().unwrap())
            .collect(),
        ..FilterChainMatch::default()
    }
}

fn names(names: &[&str]) -> FilterChainMatch {
    FilterChainMatch {
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..FilterChainMatch::default()
    }
}

fn chain(name: &str, matches: FilterChainMatch) -> FilterChain {
    FilterChain {
        name: name.into(),
        matches,
        ..FilterChain::new(NetworkFilter::SniCluster)
    }
}

fn listener(chains: &[FilterChain]) -> Listener {
    Listener::new("0.0.0.0_443", 443, chains.iter().cloned())
}

fn table(chains: &[FilterChain]) -> FilterChainTable {
    FilterChainTable::compile(&listener(chains)).unwrap()
}
