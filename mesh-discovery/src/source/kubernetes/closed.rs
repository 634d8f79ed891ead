//! What takes the place of an object that restricts traffic and cannot be read.

use std::collections::BTreeMap;

use mesh_core::parse::parse_value;
use mesh_core::resource::kind::Kind;
use mesh_core::resource::{Object, Value};

use super::received::FILE;

/// A name that no certificate can show (RFC 6761 §6.4).
const NOBODY: &str = "unreadable.invalid";
/// Fields that say what an object is about.
const SCOPE: [&str; 5] = [
    "selector",
    "targetRef",
    "targetRefs",
    "exportTo",
    "workloadSelector",
];

type Fields = BTreeMap<String, Value>;

/// The strictest object of the kind for what `unreadable` is about: for all of its namespace, if not
/// even that can be read. `None` for what restricts nothing.
pub(super) fn closed(kind: Kind, unreadable: &Value) -> Option<Object> {
    let spec = unreadable.field("spec").unwrap_or(&Value::Null);
    let strict = strict(kind, spec)?;
    let mut scoped = strict.clone();
    for field in SCOPE {
        let written = spec.field(field);
        scoped.extend(written.map(|value| (field.to_owned(), value.clone())));
    }
    read(kind, unreadable, scoped).or_else(|| read(kind, unreadable, strict))
}

/// Whether the strictest object stands in even where one that could be read is known: what the new one
/// forbids may be let through by the one before.
pub(super) fn closes_at_once(kind: Kind) -> bool {
    matches!(kind, Kind::AuthorizationPolicy | Kind::PeerAuthentication)
}

fn strict(kind: Kind, spec: &Value) -> Option<Fields> {
    match kind {
        // To allow nothing would not do: what another policy allows would be.
        Kind::AuthorizationPolicy => Some(fields([
            ("action", text("DENY")),
            ("rules", list([Value::Map(Fields::new())])),
        ])),
        Kind::PeerAuthentication => Some(fields([("mtls", map([("mode", text("STRICT"))]))])),
        Kind::RequestAuthentication => Some(fields([("jwtRules", list([no_token(spec)]))])),
        // By mutual TLS of the mesh nobody else is taken for the host, and nothing is sent in plaintext.
        Kind::DestinationRule if mentions(spec, "tls") => {
            let policy = map([("tls", map([("mode", text("ISTIO_MUTUAL"))]))]);
            let host = spec.field("host")?.clone();
            Some(fields([("host", host), ("trafficPolicy", policy)]))
        }
        Kind::BackendTlsPolicy => {
            let authorities = ("wellKnownCACertificates", text("System"));
            let validation = map([("hostname", text(NOBODY)), authorities]);
            Some(fields([("validation", validation)]))
        }
        _ => None,
    }
}

/// A rule that accepts no token. Requests without one are refused only if that may have been asked
/// for.
fn no_token(spec: &Value) -> Value {
    let mut rule = fields([("jwks", text(r#"{"keys": []}"#))]);
    if mentions(spec, "presence") {
        rule.insert("presence".to_owned(), text("REQUIRED"));
    }
    Value::Map(rule)
}

/// Whether there is a field called `name`, however deep.
fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::Map(fields) => {
            let mut fields = fields.iter();
            fields.any(|(key, value)| key == name || mentions(value, name))
        }
        Value::List(items) => items.iter().any(|item| mentions(item, name)),
        _ => false,
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn map<const N: usize>(written: [(&str, Value); N]) -> Value {
    Value::Map(fields(written))
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::List(items.into())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn read(kind: Kind, unreadable: &Value, spec: Fields) -> Option<Object> {
    let of_metadata = |field: &str| {
        let value = unreadable.field("metadata")?.field(field)?;
        Some((field.to_owned(), value.clone()))
    };
    let metadata = ["name", "namespace", "creationTimestamp"];
    let metadata = metadata.into_iter().filter_map(of_metadata).collect();
    let document = BTreeMap::from([
        ("apiVersion".to_owned(), Value::String(kind.api_version())),
        ("kind".to_owned(), Value::String(kind.name().to_owned())),
        ("metadata".to_owned(), Value::Map(metadata)),
        ("spec".to_owned(), Value::Map(spec)),
    ]);
    let mut parsed = parse_value(FILE, &Value::Map(document));
    parsed.objects.pop()
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::istio::authorization_policy::{Action, Rule};
    use mesh_core::resource::istio::destination_rule::ClientTlsMode;
    use mesh_core::resource::istio::peer_authentication::MutualTlsMode;
    use mesh_core::resource::istio::request_authentication::TokenPresence;

    use super::*;

    fn value(kind: &str, spec: &str) -> Value {
        let text = format!(
            r#"{{"kind": "{kind}", "metadata": {{"name": "p", "namespace": "shop", "uid": "1"}},
                "spec": {spec}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_policy_that_cannot_be_read_denies_all_to_its_workloads() {
        let spec = r#"{"action": "PERHAPS", "selector": {"matchLabels": {"app": "cart"}}}"#;
        let policy = closed(
            Kind::AuthorizationPolicy,
            &value("AuthorizationPolicy", spec),
        );
        let Some(Object::AuthorizationPolicy(policy)) = policy else {
            panic!();
        };
        assert_eq!(policy.spec.action, Action::Deny);
        assert_eq!(policy.spec.rules, Some(vec![Rule::default()]), "everything");
        assert_eq!(policy.metadata.namespace, "shop");
        let selector = policy.spec.selector.as_ref().unwrap();
        assert_eq!(selector.match_labels["app"], "cart");
    }

    #[test]
    fn one_whose_selector_cannot_be_read_denies_all_to_its_namespace() {
        let spec = r#"{"selector": {"matchLabels": 7}}"#;
        let policy = closed(
            Kind::AuthorizationPolicy,
            &value("AuthorizationPolicy", spec),
        );
        let Some(Object::AuthorizationPolicy(policy)) = policy else {
            panic!();
        };
        assert!(policy.spec.selector.is_none());
    }

    #[test]
    fn mutual_tls_is_strict_where_what_is_wanted_cannot_be_read() {
        let spec = r#"{"mtls": {"mode": "SOMETIMES"}}"#;
        let found = closed(Kind::PeerAuthentication, &value("PeerAuthentication", spec));
        let Some(Object::PeerAuthentication(found)) = found else {
            panic!();
        };
        let mode = found.spec.mtls.as_ref().map(|mtls| mtls.mode);
        assert_eq!(mode, Some(MutualTlsMode::Strict));
    }

    #[test]
    fn no_token_is_accepted_where_the_rules_for_tokens_cannot_be_read() {
        let kind = Kind::RequestAuthentication;
        let cases = [
            (r#"{"jwtRules": [{"issuer": 7}]}"#, TokenPresence::Optional),
            (
                r#"{"jwtRules": [{"presence": "ALWAYS"}]}"#,
                TokenPresence::Required,
            ),
        ];
        for (spec, presence) in cases {
            let found = closed(kind, &value("RequestAuthentication", spec));
            let Some(Object::RequestAuthentication(found)) = found else {
                panic!("{spec}");
            };
            let rule = &found.spec.jwt_rules[0];
            assert_eq!(rule.jwks.as_deref(), Some(r#"{"keys": []}"#), "{spec}");
            assert_eq!(rule.presence, presence, "{spec}");
        }
    }

    #[test]
    fn a_host_is_reached_by_mutual_tls_where_the_tls_that_it_demands_cannot_be_read() {
        let kind = Kind::DestinationRule;
        let spec = r#"{"host": "db.example", "exportTo": ["."],
            "trafficPolicy": {"portLevelSettings": [{"tls": {"mode": "SOMEHOW"}}]}}"#;
        let found = closed(kind, &value("DestinationRule", spec));
        let Some(Object::DestinationRule(found)) = found else {
            panic!();
        };
        assert_eq!(found.spec.host, "db.example");
        assert_eq!(found.spec.export_to, ["."]);
        let policy = found.spec.traffic_policy.as_ref().unwrap();
        let tls = policy.tls.as_ref().map(|tls| tls.mode);
        assert_eq!(tls, Some(ClientTlsMode::IstioMutual));

        let plain = r#"{"host": "db.example", "trafficPolicy": {"loadBalancer": 7}}"#;
        assert!(closed(kind, &value("DestinationRule", plain)).is_none());
    }

    #[cfg(feature = "gateway-api")]
    #[test]
    fn a_backend_has_to_show_what_nobody_can_where_what_it_has_to_show_cannot_be_read() {
        use mesh_core::resource::gateway_api::object::GatewayApiObject;

        let spec = r#"{"targetRefs": [{"group": "", "kind": "Service", "name": "db"}],
            "validation": 7}"#;
        let found = closed(Kind::BackendTlsPolicy, &value("BackendTLSPolicy", spec));
        let Some(Object::GatewayApi(GatewayApiObject::BackendTlsPolicy(found))) = found else {
            panic!();
        };
        assert_eq!(found.spec.validation.hostname, "unreadable.invalid");
        assert_eq!(found.spec.target_refs[0].name, "db");
    }

    #[test]
    fn what_restricts_nothing_has_no_replacement() {
        assert!(closed(Kind::ServiceEntry, &value("ServiceEntry", "{}")).is_none());
    }
}
