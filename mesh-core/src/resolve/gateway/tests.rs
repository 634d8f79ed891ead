#![cfg(feature = "yaml")]

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::MeshConfig;
use crate::config::features::Features;
use crate::model::Model;
use crate::model::listener::{Bind, NetworkFilter, ServerTls};
use crate::model::route::{ClusterSpecifier, RouteConfiguration, VirtualHost};
use crate::parse::{Limits, parse};
use crate::resolve::resolve as resolve_all;
use crate::resource::istio::mesh_config::MeshConfig as MeshOptions;
use crate::workload::Workload;

/// Resolves the documents of `text` for a gateway in `edge` with the label `istio: edge`.
fn model(text: &str) -> Model {
    model_of(text, &Workload::gateway("edge").with_label("istio", "edge"))
}

fn model_of(text: &str, workload: &Workload) -> Model {
    let parsed = parse("test.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let config = MeshConfig::builder().extend(parsed.objects);
    resolve_all(&config.build(1).unwrap(), workload)
}

/// A Gateway in `edge`, selecting the workload, with `servers` as YAML flow.
fn gateway(name: &str, servers: &[&str]) -> String {
    let mut text = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Gateway\n\
         metadata: {{ name: {name}, namespace: edge }}\n\
         spec:\n  selector: {{ istio: edge }}\n  servers:\n"
    );
    for server in servers {
        writeln!(text, "  - {server}").unwrap();
    }
    text
}

/// A VirtualService in `shop` for a host at the gateway `edge/name`, with rules as YAML flow.
fn virtual_service(name: &str, gateway: &str, hosts: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{ name: {name}, namespace: shop }}\n\
         spec:\n  gateways: [edge/{gateway}]\n  hosts: {hosts}\n{rules}\n"
    )
}

fn http(prefix: &str, destination: &str) -> String {
    format!(
        "  http: [{{ match: [{{ uri: {{ prefix: {prefix} }} }}], route: [{{ destination: \
         {{ host: {destination}, port: {{ number: 80 }} }} }}] }}]"
    )
}

const HTTP: &str = "{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*.example'] }";

fn routes<'m>(model: &'m Model, name: &str) -> &'m RouteConfiguration {
    model.route_configurations.get(name).unwrap_or_else(|| {
        let names: Vec<_> = model.route_configurations.keys().collect();
        panic!("no routes `{name}` among {names:?}")
    })
}

fn host<'m>(routes: &'m RouteConfiguration, domain: &str) -> &'m VirtualHost {
    let mut hosts = routes.virtual_hosts.iter();
    let found = hosts.find(|host| host.domains.iter().any(|own| own == domain));
    found.unwrap_or_else(|| panic!("no host serves `{domain}` in {:?}", routes.virtual_hosts))
}

/// The clusters that the routes of a host lead to, in order.
fn clusters(host: &VirtualHost) -> Vec<String> {
    let routes = host.routes.iter();
    let forwards = routes.filter_map(|route| route.forward_to());
    let destinations = forwards.flat_map(|forward| &forward.destinations);
    destinations.map(|to| cluster(&to.cluster)).collect()
}

fn cluster(specifier: &ClusterSpecifier) -> String {
    match specifier {
        ClusterSpecifier::Name(name) => name.to_string(),
        other => panic!("not a name: {other:?}"),
    }
}

fn messages(model: &Model) -> Vec<String> {
    let notices = model.notices.iter();
    notices
        .map(|notice| format!("{}: {}", notice.origin.name(), notice.message))
        .collect()
}

#[track_caller]
fn assert_notice(model: &Model, name: &str, part: &str) {
    let messages = messages(model);
    let is_it =
        |message: &&String| message.starts_with(&format!("{name}:")) && message.contains(part);
    assert!(
        messages.iter().any(|message| is_it(&message)),
        "{messages:?}"
    );
}

#[test]
fn an_http_server_routes_by_the_virtual_services_that_name_it() {
    let text = gateway("public", &[HTTP])
        + &virtual_service("cart", "public", "[cart.example]", &http("/cart", "cart"))
        + "---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
";
    let model = model(&text);

    let listener = &model.listeners[0];
    assert_eq!(listener.name, "0.0.0.0_80");
    assert_eq!(listener.declared_port, 80);
    let NetworkFilter::Http(connection) = &listener.filter_chains[0].filter else {
        panic!("{listener:?}")
    };
    assert_eq!(connection.route_configuration, "http.80");
    assert!(connection.use_remote_address);
    assert_eq!(connection.server_name.as_deref(), Some("istio-envoy"));

    let routes = routes(&model, "http.80");
    assert!(routes.ignore_port);
    let host = host(routes, "cart.example");
    assert_eq!(host.name, "cart.example:80");
    assert_eq!(clusters(host), ["outbound|80||cart.shop.svc.cluster.local"]);
    assert_eq!(host.origin.name(), "cart");
    assert_eq!(messages(&model), [""; 0]);
}

#[test]
fn a_server_without_virtual_services_answers_404() {
    let model = model(&gateway("public", &[HTTP]));
    let routes = routes(&model, "http.80");
    let [host] = routes.virtual_hosts.as_slice() else {
        panic!("{routes:?}")
    };
    assert_eq!(host.name, "blackhole:80");
    assert_eq!(host.domains, ["*"]);
    assert!(host.routes.is_empty());
}

#[test]
fn only_gateways_that_select_the_workload_are_served() {
    let text = gateway("public", &[HTTP]);
    for (labels, listeners) in [
        (vec![("istio", "edge")], 1),
        (vec![("istio", "edge"), ("app", "x")], 1),
        (vec![("istio", "other")], 0),
        (vec![], 0),
    ] {
        let mut workload = Workload::gateway("elsewhere");
        for (key, value) in &labels {
            workload.labels.insert(*key, *value);
        }
        let model = model_of(&text, &workload);
        assert_eq!(model.listeners.len(), listeners, "{labels:?}");
    }
    let everybody = text.replace("selector: { istio: edge }", "selector: {}");
    let model = model_of(&everybody, &Workload::gateway("elsewhere"));
    assert_eq!(model.listeners.len(), 1);
}

#[test]
fn a_gateway_may_be_kept_to_gateways_of_its_own_namespace() {
    let text = gateway("front", &[HTTP]);
    for (scoped, namespace, is_served) in [
        (false, "edge", true),
        (false, "shop", true),
        (true, "edge", true),
        (true, "shop", false),
    ] {
        let features = Features {
            scope_gateway_to_namespace: scoped,
            ..Features::default()
        };
        let parsed = parse("test.yaml", &text, &Limits::default());
        let config = MeshConfig::builder().features(features);
        let config = config.extend(parsed.objects).build(1).unwrap();
        let workload = Workload::gateway(namespace).with_label("istio", "edge");
        let model = resolve_all(&config, &workload);
        assert_eq!(
            !model.listeners.is_empty(),
            is_served,
            "{scoped} {namespace}"
        );
        if !is_served {
            assert_notice(&model, "front", "of their own namespace");
        }
    }
}

#[test]
fn the_narrower_host_of_server_and_virtual_service_is_served() {
    for (server, service, domains) in [
        ("'*.example'", "[a.example]", vec!["a.example"]),
        ("a.example", "['*.example']", vec!["a.example"]),
        (
            "'*'",
            "['*.example', b.example]",
            vec!["b.example", "*.example"],
        ),
        ("'*'", "['*']", vec!["*"]),
        ("shop/a.example", "[a.example]", vec!["a.example"]),
        ("bank/a.example", "[a.example]", vec![]),
        ("./a.example", "[a.example]", vec![]),
        ("'*/a.example'", "[A.Example]", vec!["a.example"]),
        ("a.example", "[b.example]", vec![]),
    ] {
        let server =
            format!("{{ port: {{ number: 80, name: http, protocol: HTTP }}, hosts: [{server}] }}");
        let text = gateway("public", &[&server])
            + &virtual_service("vs", "public", service, &http("/", "vs"));
        let model = model(&text);
        let hosts = &routes(&model, "http.80").virtual_hosts;
        let found: Vec<_> = hosts
            .iter()
            .filter(|host| host.name != "blackhole:80")
            .flat_map(|host| host.domains.iter().map(String::as_str))
            .collect();
        assert_eq!(found, domains, "{server} and {service}");
        let is_unbound = |message: &String| message.contains("no server of the gateways");
        let unbound = messages(&model).iter().any(is_unbound);
        assert_eq!(unbound, domains.is_empty(), "{server} and {service}");
    }
}

#[test]
fn virtual_services_that_are_not_exported_to_the_gateway_do_not_bind() {
    for (export_to, bound) in [
        ("['*']", true),
        ("[.]", false),
        ("[edge]", true),
        ("[bank]", false),
    ] {
        let rules = format!("{}\n  exportTo: {export_to}", http("/", "a"));
        let text =
            gateway("public", &[HTTP]) + &virtual_service("a", "public", "[a.example]", &rules);
        let model = model(&text);
        let hosts = &routes(&model, "http.80").virtual_hosts;
        assert_eq!(hosts[0].name == "a.example:80", bound, "{export_to}");
    }
}

#[test]
fn virtual_services_of_one_host_are_put_together_with_catch_alls_last() {
    let vs = |name, age, rules: &str| {
        virtual_service(name, "public", "[a.example]", rules).replace(
            "namespace: shop",
            &format!("namespace: shop, creationTimestamp: '20{age}-01-01T00:00:00Z'"),
        )
    };
    let text = gateway("public", &[HTTP])
        + &vs("young", 20, &http("/young", "young"))
        + &vs("old", 10, &http("/", "old"))
        + &vs("middle", 15, &http("/middle", "middle"));
    let model = model(&text);
    let routes = routes(&model, "http.80");
    let clusters = clusters(host(routes, "a.example"));
    let hosts: Vec<_> = clusters
        .iter()
        .filter_map(|name| name.strip_prefix("outbound|80||")?.split('.').next())
        .collect();
    assert_eq!(hosts, ["middle", "young", "old"]);
}

#[test]
fn a_host_without_rules_for_the_server_is_left_to_others() {
    let elsewhere = "  http: [{ match: [{ port: 8080 }], route: [{ destination: { host: a } }] }]";
    let refused = "  http: [{ timeout: -1s, route: [{ destination: { host: b } }] }]";
    let tcp = "  tcp: [{ route: [{ destination: { host: c } }] }]";
    let text = gateway("public", &[HTTP])
        + &virtual_service("a", "public", "[a.example]", elsewhere)
        + &virtual_service("b", "public", "[b.example]", refused)
        + &virtual_service("c", "public", "[c.example]", tcp)
        + &virtual_service("rest", "public", "['*.example']", &http("/", "rest"));
    let model = model(&text);
    let routes = routes(&model, "http.80");

    let hosts = routes.virtual_hosts.iter();
    let hosts = hosts.map(|host| (host.domains.join(" "), host.routes.len()));
    assert_eq!(
        hosts.collect::<Vec<_>>(),
        [("*.example".to_owned(), 1), ("b.example".to_owned(), 1)],
        "what a refused rule was meant for is handed to nobody"
    );
}

#[test]
fn hosts_with_the_same_routes_are_one_virtual_host() {
    let text = gateway("public", &[HTTP])
        + &virtual_service("ab", "public", "[b.example, a.example]", &http("/", "ab"))
        + &virtual_service("c", "public", "[c.example]", &http("/", "c"));
    let model = model(&text);
    let hosts = &routes(&model, "http.80").virtual_hosts;
    let found: Vec<_> = hosts
        .iter()
        .map(|host| (&*host.name, &*host.domains))
        .collect();
    let ab = ["a.example".to_owned(), "b.example".to_owned()];
    let c = ["c.example".to_owned()];
    assert_eq!(found, [("a.example:80", &ab[..]), ("c.example:80", &c[..])]);
}

#[test]
fn servers_of_several_gateways_share_a_port() {
    let text = gateway("one", &[&HTTP.replace("'*.example'", "shop/a.example")])
        + &gateway("two", &[&HTTP.replace("'*.example'", "b.example")])
        + &virtual_service("a", "one", "['*.example']", &http("/", "a"))
        + &virtual_service("b", "two", "['*.example']", &http("/", "b"));
    let model = model(&text);
    assert_eq!(model.listeners.len(), 1);
    let routes = routes(&model, "http.80");
    assert_eq!(
        clusters(host(routes, "a.example")),
        ["outbound|80||a.shop.svc.cluster.local"]
    );
    assert_eq!(
        clusters(host(routes, "b.example")),
        ["outbound|80||b.shop.svc.cluster.local"]
    );
}

#[test]
fn a_port_becomes_the_target_port_of_the_service() {
    let service = "---
apiVersion: v1
kind: Service
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: edge }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
";
    let servers = [
        HTTP,
        &HTTP
            .replace("80", "81")
            .replace("name: http", "name: other"),
    ];
    let text = gateway("public", &servers)
        + service
        + &virtual_service("a", "public", "[a.example]", &http("/", "a"));
    let model = model(&text);
    let names: Vec<_> = model
        .listeners
        .iter()
        .map(|listener| &*listener.name)
        .collect();
    assert_eq!(names, ["0.0.0.0_8080", "0.0.0.0_81"]);
    assert_eq!(model.listeners[0].declared_port, 80);
    let routes = routes(&model, "http.8080");
    assert_eq!(host(routes, "a.example").name, "a.example:80");
}

#[test]
fn a_service_may_opt_out_of_the_translation_of_ports() {
    let service = "---
apiVersion: v1
kind: Service
metadata:
  name: edge
  namespace: edge
  labels: { experimental.istio.io/disable-gateway-port-translation: 'true' }
spec:
  selector: { istio: edge }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
";
    let model = model(&(gateway("public", &[HTTP]) + service));
    assert_eq!(model.listeners[0].name, "0.0.0.0_80");
}

#[test]
fn a_gateway_that_names_its_services_has_no_other_ports() {
    let service = |name: &str, port: u16, target: u16| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: edge }}\n\
             spec: {{ selector: {{ istio: edge }}, \
             ports: [{{ name: http, port: {port}, targetPort: {target} }}] }}\n"
        )
    };
    let servers = [
        HTTP,
        &HTTP
            .replace("80", "81")
            .replace("name: http", "name: other"),
    ];
    let host = |name| format!("{name}.edge.svc.cluster.local");
    let names = format!("{},{}", host("one"), host("two"));
    let named = gateway("public", &servers).replace(
        "namespace: edge }",
        &format!(
            "namespace: edge, annotations: {{ internal.istio.io/gateway-service: '{names}' }} }}"
        ),
    );
    let text = named + &service("one", 80, 8080) + &service("two", 80, 8081) + &service("x", 81, 1);
    let model = model(&text);
    let names: Vec<_> = model
        .listeners
        .iter()
        .map(|listener| &*listener.name)
        .collect();
    assert_eq!(names, ["0.0.0.0_8080", "0.0.0.0_8081"]);
    assert_notice(&model, "public", "port 81");
}

#[test]
fn a_redirecting_server_requires_tls_of_all_its_hosts() {
    let server = "{ port: { number: 80, name: http, protocol: HTTP }, \
                  hosts: [a.example, b.example], tls: { httpsRedirect: true } }";
    let text = gateway("public", &[server])
        + &virtual_service("a", "public", "[a.example]", &http("/", "a"));
    let model = model(&text);
    let routes = routes(&model, "http.80");
    for (domain, routed) in [("a.example", 1), ("b.example", 0)] {
        let host = host(routes, domain);
        assert!(host.require_tls, "{domain}");
        assert_eq!(host.routes.len(), routed, "{domain}");
    }
}

#[test]
fn https_servers_have_a_chain_and_routes_each() {
    let server = |name: &str, host: &str| {
        format!(
            "{{ port: {{ number: 443, name: {name}, protocol: HTTPS }}, hosts: ['{host}'], \
             tls: {{ mode: SIMPLE, credentialName: {name} }} }}"
        )
    };
    let text = gateway("public", &[&server("a", "a.example"), &server("rest", "*")])
        + &virtual_service("a", "public", "[a.example]", &http("/", "a"));
    let model = model(&text);
    let [listener] = model.listeners.as_slice() else {
        panic!("{:?}", model.listeners)
    };
    let chains: Vec<_> = listener
        .filter_chains
        .iter()
        .map(|chain| {
            let NetworkFilter::Http(connection) = &chain.filter else {
                panic!("{chain:?}")
            };
            let Some(ServerTls::Gateway(tls)) = &chain.tls else {
                panic!("{chain:?}")
            };
            let names = chain.matches.server_names.join(",");
            (
                names,
                &*tls.credential_name,
                &*connection.route_configuration,
            )
        })
        .collect();
    let expected = [
        ("a.example".to_owned(), "a", "https.443.a.public.edge"),
        (String::new(), "rest", "https.443.rest.public.edge"),
    ];
    assert_eq!(chains, expected);
}

#[test]
fn a_gateway_names_secrets_of_other_namespaces_only_where_a_grant_allows_it() {
    let grant = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
                 metadata: { name: edge, namespace: vault }\nspec:\n  \
                 from: [{ group: gateway.networking.k8s.io, kind: Gateway, namespace: edge }]\n  \
                 to: [{ group: '', kind: Secret, name: shop }]\n";
    let cases = [
        ("own", "kubernetes-gateway://edge/shop", "", true),
        ("granted", "kubernetes-gateway://vault/shop", grant, true),
        ("another", "kubernetes-gateway://vault/bank", grant, false),
        ("not granted", "kubernetes-gateway://vault/shop", "", false),
        ("not a name", "kubernetes-gateway://shop", "", false),
        ("plain", "shop", "", true),
    ];
    for (case, credential, grant, is_permitted) in cases {
        let server = format!(
            "{{ port: {{ number: 443, name: a, protocol: HTTPS }}, hosts: ['*'], \
             tls: {{ mode: SIMPLE, credentialName: '{credential}' }} }}"
        );
        let model = model(&(gateway("public", &[&server]) + grant));
        let chain = &model.listeners[0].filter_chains[0];
        let Some(ServerTls::Gateway(tls)) = &chain.tls else {
            panic!("{chain:?}")
        };
        let expected = if is_permitted {
            credential
        } else {
            "invalid://"
        };
        assert_eq!(tls.credential_name, expected, "{case}");
        let refused = format!("`{credential}` is not used: no ReferenceGrant allows it");
        let mut notices = model.notices.iter();
        let is_told = notices.any(|notice| notice.message == refused);
        assert_eq!(is_told, !is_permitted, "{case}");
    }
}

#[test]
fn of_servers_in_conflict_the_first_stays() {
    let plain = |protocol: &str, bind: &str| {
        format!(
            "{{ port: {{ number: 80, name: p, protocol: {protocol} }}, hosts: ['*'], bind: '{bind}' }}"
        )
    };
    let tls = |protocol: &str, name: &str, host: &str| {
        format!(
            "{{ port: {{ number: 80, name: {name}, protocol: {protocol} }}, hosts: ['{host}'], \
             tls: {{ mode: SIMPLE, credentialName: c }} }}"
        )
    };
    for (first, second, part) in [
        (plain("HTTP", ""), plain("TCP", ""), Some("cannot share")),
        (plain("TCP", ""), plain("HTTP", ""), Some("cannot share")),
        (plain("TCP", ""), plain("TCP", ""), Some("cannot share")),
        (plain("HTTP", ""), plain("HTTP2", ""), None),
        (plain("HTTP", ""), plain("GRPC", ""), None),
        (plain("HTTP", ""), plain("TCP", "10.0.0.1"), None),
        (
            plain("HTTP", ""),
            tls("HTTPS", "a", "*"),
            Some("cannot share"),
        ),
        (
            tls("HTTPS", "a", "a.example"),
            plain("HTTP", ""),
            Some("cannot share"),
        ),
        (
            tls("HTTPS", "a", "a.example"),
            tls("HTTPS", "a", "b.example"),
            None,
        ),
        (
            tls("HTTPS", "a", "a.example"),
            tls("TLS", "b", "a.example"),
            Some("`a.example`"),
        ),
        (
            plain("HTTP", ""),
            plain("HTTP", "not an address"),
            Some("no address"),
        ),
    ] {
        let model = model(&(gateway("first", &[&first]) + &gateway("second", &[&second])));
        let mut messages = messages(&model);
        messages.retain(|message| message.contains("left out"));
        match part {
            Some(part) => assert_notice(&model, "second", part),
            None => assert_eq!(messages, [""; 0], "{first} and {second}"),
        }
    }
}

#[test]
fn an_address_to_bind_is_part_of_the_names() {
    let server = HTTP.replace("hosts", "bind: 10.0.0.1, hosts");
    let model = model(&gateway("public", &[HTTP, &server]));
    let names: Vec<_> = model
        .listeners
        .iter()
        .map(|listener| &*listener.name)
        .collect();
    assert_eq!(names, ["0.0.0.0_80", "10.0.0.1_80"]);
    let address = "10.0.0.1".parse().unwrap();
    assert_eq!(model.listeners[1].bind, Bind::Ip { address, port: 80 });
    let names: Vec<_> = model.route_configurations.keys().collect();
    assert_eq!(names, ["http.80", "http.80.10.0.0.1"]);
}

#[test]
fn passed_on_tls_goes_by_server_name() {
    let server = "{ port: { number: 443, name: tls, protocol: TLS }, hosts: ['*.example'], \
                  tls: { mode: PASSTHROUGH } }";
    let rules = |name: &str, to: &str| {
        format!(
            "  tls: [{{ match: [{{ sniHosts: [{name}] }}, {{ port: 444, sniHosts: [x.example] }}], \
             route: [{{ destination: {{ host: {to}, port: {{ number: 443 }} }} }}] }}]"
        )
    };
    let text = gateway("public", &[server])
        + &virtual_service("a", "public", "[a.example]", &rules("a.example", "a"))
        + &virtual_service("b", "public", "[a.example]", &rules("a.example", "b"))
        + &virtual_service("c", "public", "['*.example']", &rules("c.example", "c"));
    let model = model(&text);
    let chains = &model.listeners[0].filter_chains;
    let found: Vec<_> = chains
        .iter()
        .map(|chain| {
            assert!(chain.tls.is_none(), "{chain:?}");
            let NetworkFilter::Tcp(proxy) = &chain.filter else {
                panic!("{chain:?}")
            };
            (
                chain.matches.server_names.join(","),
                cluster(&proxy.destinations[0].cluster),
            )
        })
        .collect();
    let expected = [("a.example", "a"), ("c.example", "c")].map(|(name, to)| {
        (
            name.to_owned(),
            format!("outbound|443||{to}.shop.svc.cluster.local"),
        )
    });
    assert_eq!(found, expected);
    assert_notice(&model, "b", "`a.example`");
}

#[test]
fn connections_last_as_long_as_the_rule_of_their_first_destination_says() {
    let server = "{ port: { number: 9000, name: tcp, protocol: TCP }, hosts: ['*'] }";
    let rules = "  tcp: [{ route: [{ destination: { host: db.example } }] }]";
    let others = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: db, namespace: shop }
spec: { hosts: [db.example], ports: [{ number: 9000, name: tcp, protocol: TCP }], resolution: DNS }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db, namespace: shop }
spec:
  host: db.example
  trafficPolicy: { connectionPool: { tcp: { maxConnectionDuration: LONGEST } } }
";
    for (longest, expected) in [("9s", Some(Duration::from_secs(9))), ("0s", None)] {
        let text = gateway("public", &[server])
            + &virtual_service("t", "public", "[db.example]", rules)
            + &others.replace("LONGEST", longest);
        let model = model(&text);
        let NetworkFilter::Tcp(proxy) = &model.listeners[0].filter_chains[0].filter else {
            panic!("{:?}", model.listeners)
        };
        assert_eq!(proxy.max_duration, expected, "{longest}");
        assert_eq!(proxy.idle_timeout, None, "{longest}");
    }
}

#[test]
fn tcp_goes_to_the_first_rule_that_applies() {
    let plain = "{ port: { number: 9000, name: tcp, protocol: TCP }, hosts: ['*'] }";
    let ended = "{ port: { number: 9001, name: tls, protocol: TLS }, hosts: [a.example], \
                 tls: { mode: MUTUAL, credentialName: a } }";
    let rules = "  tcp:
  - match: [{ port: 1 }]
    route: [{ destination: { host: never } }]
  - match: [{ port: 9000, gateways: [edge/other] }, { port: 9000, gateways: [edge/public] }]
    route:
    - { destination: { host: v1, port: { number: 7 } }, weight: 1 }
    - { destination: { host: v2 }, weight: 3 }
    - { destination: { host: v3 } }
  - route: [{ destination: { host: rest, port: { number: 7 } } }]";
    let text =
        gateway("public", &[plain, ended]) + &virtual_service("t", "public", "[a.example]", rules);
    let model = model(&text);
    let found: Vec<Vec<_>> = model
        .listeners
        .iter()
        .map(|listener| {
            let NetworkFilter::Tcp(proxy) = &listener.filter_chains[0].filter else {
                panic!("{listener:?}")
            };
            let destinations = proxy.destinations.iter();
            destinations
                .map(|to| (cluster(&to.cluster), to.weight))
                .collect()
        })
        .collect();
    let to = |port: u16, host: &str, weight: u32| {
        (
            format!("outbound|{port}||{host}.shop.svc.cluster.local"),
            weight,
        )
    };
    assert_eq!(
        found,
        [
            vec![to(7, "v1", 1), to(9000, "v2", 3)],
            vec![to(7, "rest", 1)]
        ]
    );
    let chain = &model.listeners[1].filter_chains[0];
    assert_eq!(chain.matches.server_names, ["a.example"]);
    assert!(chain.tls.is_some());
}

#[test]
fn a_server_that_nothing_is_bound_to_takes_no_connection() {
    let server = "{ port: { number: 9000, name: tcp, protocol: TCP }, hosts: ['*'] }";
    let model = model(&gateway("public", &[server]));
    assert!(model.listeners.is_empty());
    assert_notice(&model, "public", "nothing is bound");
}

#[test]
fn an_auto_passthrough_server_leads_to_services_that_its_hosts_cover() {
    let server = "{ port: { number: 15443, name: tls, protocol: TLS }, hosts: ['*.local'], \
                  tls: { mode: AUTO_PASSTHROUGH } }";
    let services = "---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }, { name: udp, port: 53, protocol: UDP }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec: { host: cart, subsets: [{ name: v1, labels: { version: v1 } }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: books, namespace: shop }
spec: { hosts: [books.example, books.local], ports: [{ number: 80, name: http, protocol: HTTP }] }
";
    let model = model(&(gateway("east-west", &[server]) + services));
    let chain = &model.listeners[0].filter_chains[0];
    assert!(
        matches!(chain.filter, NetworkFilter::SniCluster),
        "{chain:?}"
    );
    assert_eq!(
        chain.matches.server_names,
        [
            "outbound_.80_._.cart.shop.svc.cluster.local",
            "outbound_.80_.v1_.cart.shop.svc.cluster.local",
        ]
    );
    assert!(
        chain
            .matches
            .application_protocols
            .contains(&"istio".to_owned())
    );
}

#[test]
fn connections_follow_the_default_settings_of_proxies() {
    let options: MeshOptions = serde_json::from_str(
        r#"{"defaultConfig": {
            "gatewayTopology": {"numTrustedProxies": 2, "proxyProtocol": {}},
            "proxyHeaders": {"server": {"value": "shop"}}
        }}"#,
    )
    .unwrap();
    let parsed = parse("test.yaml", &gateway("public", &[HTTP]), &Limits::default());
    let config = MeshConfig::builder().mesh(options).extend(parsed.objects);
    let workload = Workload::gateway("edge").with_label("istio", "edge");
    let model = resolve_all(&config.build(1).unwrap(), &workload);
    let NetworkFilter::Http(connection) = &model.listeners[0].filter_chains[0].filter else {
        panic!("{:?}", model.listeners)
    };
    assert_eq!(connection.trusted_hops, 2);
    assert!(model.listeners[0].proxy_protocol);
    assert_eq!(connection.server_name.as_deref(), Some("shop"));
}

/// A workload in `edge` that was deployed for the Gateway `managed` of the Gateway API.
#[cfg(feature = "gateway-api")]
fn deployed_for_managed() -> Workload {
    Workload::gateway("edge")
        .with_label("istio", "edge")
        .with_label("gateway.networking.k8s.io/gateway-name", "managed")
}

#[cfg(feature = "gateway-api")]
#[test]
fn gateways_of_other_namespaces_are_not_served_beside_a_managed_one() {
    let managed = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                   metadata: { name: managed, namespace: edge }\n\
                   spec: { gatewayClassName: istio, listeners: \
                   [{ name: http, port: 8000, protocol: HTTP }] }\n";
    let unmanaged = managed.replace(
        "spec: {",
        "spec: { addresses: [{ type: Hostname, value: edge.edge.svc.cluster.local }],",
    );
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: { name: edge, namespace: edge }\n\
                   spec: { selector: { istio: edge }, ports: [{ name: http, port: 8000 }] }\n";
    let own = gateway(
        "own",
        &["{ port: { number: 8001, protocol: HTTP, name: a }, hosts: ['*'] }"],
    );
    let other = own
        .replace("8001", "8002")
        .replace("name: own, namespace: edge", "name: other, namespace: shop");
    let ports = |text: &str| {
        let model = model_of(text, &deployed_for_managed());
        let told = model.notices.iter();
        let told = told.filter(|notice| notice.message.contains("deployed for a Gateway"));
        let told: Vec<_> = told.map(|notice| notice.origin.name().to_owned()).collect();
        let listeners = model.listeners.iter();
        let mut ports: Vec<_> = listeners.map(|found| found.declared_port).collect();
        ports.sort_unstable();
        (ports, told)
    };
    let none = Vec::new;
    let classic = own + &other;
    assert_eq!(ports(&classic), (vec![8001, 8002], none()));
    let both = format!("{managed}{classic}");
    assert_eq!(ports(&both), (vec![8000, 8001], vec!["other".to_owned()]));
    let both = format!("{unmanaged}{service}{classic}");
    assert_eq!(ports(&both), (vec![8000, 8001, 8002], none()));
    let set = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\n\
               metadata: { name: more, namespace: shop }\n\
               spec: { parentRef: { name: managed, namespace: edge }, \
               listeners: [{ name: http, port: 8003, protocol: HTTP }] }\n";
    let open = managed.replace(
        "spec: {",
        "spec: { allowedListeners: { namespaces: { from: All } },",
    );
    let all = format!("{open}{set}{classic}");
    assert_eq!(ports(&all), (vec![8000, 8001, 8002, 8003], none()));
}
