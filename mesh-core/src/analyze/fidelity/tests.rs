use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::parse::{Limits, Parsed, ProblemKind, parse, parse_as};
use crate::resource::istio::{MeshConfig as WrittenOptions, MeshNetworks};
use crate::resource::kind::Kind;

const SHOP: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: shop }
spec:
  hosts: [shop.example]
  http:
  - timeout: 3s
    match: [{ statPrefix: home }]
    route: [{ destination: { host: cart } }]
";

const POLICIES: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: shop }
spec: {}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask, namespace: shop }
spec:
  selector: { matchLabels: { app: cart } }
  action: CUSTOM
  provider: { name: opa }
  rules: [{ to: [{ operation: { methods: [PUT] } }] }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
";

#[test]
fn only_fields_that_are_set_are_listed_each_with_its_place() {
    let config = config(SHOP);
    let routing = Capabilities::none().with(Capability::Routing);
    let found = lines(fidelity(&config, None, &routing).fields());
    let origin = "VirtualService shop/shop spec";
    let expected = [
        format!("{origin}.hosts (a.yaml:6:10): enforced by routing"),
        format!(
            "{origin}.http[0].match[0].statPrefix (a.yaml:9:27): not applicable: names a counter \
             of Envoy"
        ),
        format!("{origin}.http[0].route[0].destination.host (a.yaml:10:36): enforced by routing"),
        format!("{origin}.http[0].timeout (a.yaml:8:14): unsupported: nothing here does timeouts"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_field_that_is_ignored_and_guards_nothing_is_no_reason_to_refuse() {
    let found = fidelity(&config(SHOP), None, &Capabilities::none());
    assert_eq!(found.unsupported().count(), 3);
    assert_eq!(found.refusals().count(), 0);
    let diagnostic = Diagnostic::from(found.unsupported().next().unwrap());
    assert_eq!(diagnostic.severity, Severity::Warning);
}

#[test]
fn a_policy_that_nothing_enforces_is_refused_even_if_it_is_empty() {
    let found = fidelity(&config(POLICIES), None, &Capabilities::none());
    let refused: BTreeSet<_> = found.refusals().map(|field| field.origin.name()).collect();
    assert_eq!(refused, ["ask", "nobody", "strict"].into());
    let all = fidelity(&config(POLICIES), None, &Capabilities::all());
    assert_eq!(all.refusals().count(), 0);
}

#[test]
fn a_policy_that_asks_a_service_depends_on_asking_it() {
    let rules = Capabilities::none()
        .with(Capability::Authorization)
        .with(Capability::PeerAuthentication);
    let found = fidelity(&config(POLICIES), None, &rules);
    let refused: BTreeSet<_> = found.refusals().map(|field| field.origin.path()).collect();
    let expected = [
        "spec.action",
        "spec.provider.name",
        "spec.rules[0].to[0].operation.methods",
        "spec.selector",
    ];
    assert_eq!(refused, expected.into());
}

#[test]
fn a_condition_on_what_filters_of_envoy_leave_is_enforced_in_another_way() {
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                  metadata: {name: a, namespace: shop}\n\
                  spec: {rules: [{when: [{key: KEY, values: [a]}]}]}\n";
    for (key, expected) in [
        ("'experimental.envoy.filters.a[b]'", 2),
        ("'request.headers[b]'", 0),
    ] {
        let found = fidelity(
            &config(&policy.replace("KEY", key)),
            None,
            &Capabilities::all(),
        );
        let noted = lines(found.fields());
        let noted = noted
            .iter()
            .filter(|line| line.contains("differently") && line.contains("allows nothing"));
        assert_eq!(noted.count(), expected, "{key}");
    }
}

#[test]
fn what_is_withheld_is_unsupported_and_not_refused() {
    let withheld = Capabilities::all()
        .withhold(Capability::Authorization)
        .withhold(Capability::ExternalAuthorization);
    let found = fidelity(&config(POLICIES), None, &withheld);
    assert_eq!(found.refusals().count(), 0);
    let text = found.unsupported().next().unwrap().to_string();
    assert!(
        text.ends_with("what needs external authorization is not served here"),
        "{text}"
    );
}

#[test]
fn only_what_concerns_a_workload_is_looked_at() {
    let config = config(POLICIES);
    let cart = Workload::sidecar("shop").with_label("app", "cart");
    let web = Workload::sidecar("shop").with_label("app", "web");
    let gateway = Workload::gateway("shop").with_label("app", "cart");
    let elsewhere = Workload::sidecar("bank").with_label("app", "cart");
    for (workload, expected) in [
        (&cart, &["ask", "nobody", "strict"][..]),
        (&web, &["nobody", "strict"]),
        (&gateway, &["ask", "nobody"]),
        (&elsewhere, &["strict"]),
    ] {
        let found = fidelity(&config, Some(workload), &Capabilities::none());
        let names: BTreeSet<_> = found.fields().iter().map(|one| one.origin.name()).collect();
        assert_eq!(names, expected.iter().copied().collect(), "{workload:?}");
    }
}

#[cfg(feature = "gateway-api")]
#[test]
fn a_gateway_of_the_gateway_api_concerns_its_own_workloads() {
    let config = config(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: { name: public, namespace: shop }\nspec:\n  gatewayClassName: istio\n  \
         listeners: [{ name: https, port: 443, protocol: HTTPS, tls: { mode: Terminate, \
         certificateRefs: [{ name: shop }] } }]\n",
    );
    let named = |name: &str| {
        let label = "gateway.networking.k8s.io/gateway-name";
        Workload::gateway("shop").with_label(label, name)
    };
    for (workload, concerns) in [
        (named("public"), true),
        (named("private"), false),
        (Workload::gateway("istio-system"), true),
        (Workload::sidecar("shop"), false),
    ] {
        let found = fidelity(&config, Some(&workload), &Capabilities::none());
        assert_eq!(found.refusals().next().is_some(), concerns, "{workload:?}");
    }
}

#[cfg(feature = "gateway-api")]
#[test]
fn no_gateway_of_the_gateway_api_presents_the_certificate_that_it_names_for_backends() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                metadata: { name: public, namespace: shop }\nspec:\n  gatewayClassName: istio\n  \
                listeners: [{ name: http, port: 80, protocol: HTTP }]\n  \
                tls: { backend: { clientCertificateRef: { name: edge } } }\n";
    let config = config(text);
    let found = fidelity(&config, None, &Capabilities::all());
    let unsupported: Vec<_> = found.unsupported().map(|field| field.to_string()).collect();
    assert_eq!(unsupported.len(), 1, "{unsupported:?}");
    assert!(unsupported[0].contains("spec.tls.backend.clientCertificateRef"));
    let label = "gateway.networking.k8s.io/gateway-name";
    let public = Workload::gateway("shop").with_label(label, "public");
    let notices = crate::resolve::resolve(&config, &public).notices;
    let mut notices = notices.iter();
    assert!(notices.any(|notice| {
        notice
            .message
            .contains("no client certificate is presented")
    }));
}

#[test]
fn the_resolved_policies_of_a_workload_are_classified_as_the_configuration_is() {
    let config = config(POLICIES);
    let gateway = Workload::gateway("shop").with_label("app", "cart");
    let none = Capabilities::none();
    let resolved = crate::resolve::resolve(&config, &gateway);
    let of_policies = Fidelity::of_policies(&resolved.policies, &none);
    assert_eq!(of_policies, fidelity(&config, Some(&gateway), &none));
    assert!(of_policies.refusals().next().is_some());
}

#[test]
fn a_plugin_that_authorizes_is_refused_and_one_that_counts_is_not() {
    for (phase, refused) in [("AUTHN", true), ("AUTHZ", true), ("STATS", false)] {
        let plugin = format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\n\
             metadata: {{ name: plugin }}\nspec: {{ url: 'oci://plugin', phase: {phase} }}\n"
        );
        let found = fidelity(&config(&plugin), None, &Capabilities::all());
        assert_eq!(found.unsupported().count(), 2, "{phase}");
        assert_eq!(found.refusals().next().is_some(), refused, "{phase}");
    }
}

#[test]
fn a_patch_that_limits_rates_is_told_from_others() {
    let patch = |kind: &str, class: &str| {
        format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
             metadata: {{ name: patch }}\nspec:\n  configPatches:\n  - applyTo: HTTP_FILTER\n    \
             patch:\n      operation: INSERT_FIRST\n      filterClass: {class}\n      \
             value: {{ name: a, typed_config: {{ '@type': type.googleapis.com/{kind} }} }}\n"
        )
    };
    let limit = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    let lua = "envoy.extensions.filters.http.lua.v3.Lua";
    for (kind, class, unsupported, refused) in [
        (limit, "UNSPECIFIED", false, false),
        (lua, "UNSPECIFIED", true, false),
        (lua, "AUTHZ", true, true),
    ] {
        let config = config(&patch(kind, class));
        let found = fidelity(&config, None, &Capabilities::all());
        assert_eq!(
            found.unsupported().next().is_some(),
            unsupported,
            "{kind} {class}"
        );
        assert_eq!(found.refusals().next().is_some(), refused, "{kind} {class}");
    }
}

#[test]
fn a_limit_for_what_only_a_proxy_of_istios_has_is_unsupported_whole() {
    let patch = |object: &str| {
        format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
             metadata: {{ name: patch }}\nspec:\n  configPatches:\n  - applyTo: VIRTUAL_HOST\n    \
             match: {{ {object} }}\n    patch: {{ operation: MERGE, value: {{ rate_limits: [] }} }}\n"
        )
    };
    for (object, unsupported) in [
        (
            "routeConfiguration: { gateway: shop/web, portName: https }",
            0,
        ),
        ("listener: { portNumber: 80, portName: http }", 0),
        ("listener: { filterChain: { sni: a.example } }", 4),
        ("proxy: { proxyVersion: '^1\\.2' }", 4),
        ("cluster: { service: cart }", 4),
    ] {
        let found = fidelity(&config(&patch(object)), None, &Capabilities::all());
        assert_eq!(found.unsupported().count(), unsupported, "{object}");
    }
}

#[test]
fn an_envoy_filter_concerns_the_gateway_that_it_refers_to() {
    let config = config(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
         metadata: { name: limits, namespace: shop }\nspec:\n  targetRefs:\n  \
         - { group: gateway.networking.k8s.io, kind: Gateway, name: web }\n",
    );
    for (name, concerned) in [("web", true), ("other", false)] {
        let label = "gateway.networking.k8s.io/gateway-name";
        let gateway = Workload::gateway("shop").with_label(label, name);
        let found = fidelity(&config, Some(&gateway), &Capabilities::all());
        let mut kinds = found.fields().iter().map(|field| field.origin.kind());
        assert_eq!(kinds.any(|kind| kind == "EnvoyFilter"), concerned, "{name}");
    }
}

#[test]
fn mesh_wide_settings_are_classified() {
    let mesh: WrittenOptions =
        serde_json::from_value(serde_json::json!({"trustDomain": "td", "accessLogFile": "-"}))
            .unwrap();
    let config = MeshConfig::builder().mesh(mesh).build(1).unwrap();
    let logs = Capabilities::none().with(Capability::AccessLogs);
    assert_eq!(
        lines(fidelity(&config, None, &logs).fields()),
        [
            "MeshConfig mesh trustDomain: unsupported: nothing here does peer authentication",
            "MeshConfig mesh accessLogFile: enforced by access logs",
        ]
    );
}

/// The names are written twice, in the types and in their classification: they have to agree.
#[test]
fn the_catalogue_has_every_field_of_every_schema() {
    let mut checked = 0;
    for ((group, kind, path), names) in containers() {
        assert_eq!(names, known(group, kind, &path), "{kind} {path}");
        checked += 1;
    }
    assert!(checked > 150, "{checked}");
}

/// The names of the fields of each object that the catalogue goes into, by group, kind and path.
fn containers() -> BTreeMap<(&'static str, &'static str, String), BTreeSet<String>> {
    let mut containers = BTreeMap::<_, BTreeSet<String>>::new();
    for field in catalogue(&Capabilities::all()) {
        let mut path = String::new();
        for step in field.path.split('.') {
            let name = step.trim_end_matches("[*]").trim_end_matches("[]");
            if !(path.is_empty() && name == "spec") {
                let container = (field.group, field.kind, path.clone());
                let names = containers.entry(container).or_default();
                names.insert(name.to_owned());
            }
            path += if path.is_empty() { "" } else { "." };
            path += step;
        }
    }
    containers
}

/// The names of the fields that the reader of `kind` knows at `path`.
fn known(group: &str, kind: &str, path: &str) -> BTreeSet<String> {
    let mut value = "{ nothing: 1 }".to_owned();
    for step in path.rsplit('.').filter(|step| !step.is_empty()) {
        let (name, below) = match (step.strip_suffix("[]"), step.strip_suffix("[*]")) {
            (Some(name), _) => (name, format!("[{value}]")),
            (_, Some(name)) => (name, format!("{{ '1': {value} }}")),
            (None, None) => (step, value),
        };
        value = format!("{{ {name}: {below} }}");
    }
    let problems = match Kind::find(group, kind) {
        None if kind == "MeshNetworks" => parse_as::<MeshNetworks>("a", &value, &Limits::default())
            .expect_err("there is no such field"),
        None => parse_as::<WrittenOptions>("a", &value, &Limits::default())
            .expect_err("there is no such field"),
        Some(kind) => {
            let head = format!("{{ apiVersion: {}, kind: {kind}, ", kind.api_version());
            let text = format!("{head} metadata: {{ name: a }}, {}", &value[1..]);
            parse("a", &text, &Limits::default()).problems
        }
    };
    let mut unknown = problems
        .into_iter()
        .filter_map(|problem| match problem.kind {
            ProblemKind::UnknownField { known, .. } => Some(known),
            _ => None,
        });
    // What is spelt with `_` is an alias of a field.
    let known = unknown.next().unwrap_or_default().iter();
    let known = known.filter(|name| !name.contains('_'));
    known.map(ToString::to_string).collect()
}

fn config(yaml: &str) -> MeshConfig {
    let Parsed {
        objects, problems, ..
    } = parse("a.yaml", yaml, &Limits::default());
    assert_eq!(problems, []);
    MeshConfig::builder()
        .extend(objects)
        .build(1)
        .expect("no two are called the same")
}

fn lines(fields: &[FieldFidelity]) -> Vec<String> {
    fields.iter().map(ToString::to_string).collect()
}
