//! What takes the place of a policy that cannot be read.

use std::collections::BTreeMap;

use mesh_core::parse::parse_value;
use mesh_core::resource::kind::Kind;
use mesh_core::resource::{Object, Value};

use super::received::FILE;

/// The strictest policy of the kind for the workloads that `unreadable` is about: for all of its
/// namespace, if not even that can be read. `None` for kinds that restrict nothing.
pub(super) fn closed(kind: Kind, unreadable: &Value) -> Option<Object> {
    let strict = match kind {
        // To allow nothing would not do: what another policy allows would be.
        Kind::AuthorizationPolicy => BTreeMap::from([
            ("action".to_owned(), Value::String("DENY".to_owned())),
            (
                "rules".to_owned(),
                Value::List(vec![Value::Map(BTreeMap::new())]),
            ),
        ]),
        Kind::PeerAuthentication => {
            let mode = BTreeMap::from([("mode".to_owned(), Value::String("STRICT".to_owned()))]);
            BTreeMap::from([("mtls".to_owned(), Value::Map(mode))])
        }
        _ => return None,
    };
    let mut scoped = strict.clone();
    for field in ["selector", "targetRef", "targetRefs"] {
        let written = unreadable.field("spec").and_then(|spec| spec.field(field));
        scoped.extend(written.map(|value| (field.to_owned(), value.clone())));
    }
    read(kind, unreadable, scoped).or_else(|| read(kind, unreadable, strict))
}

fn read(kind: Kind, unreadable: &Value, spec: BTreeMap<String, Value>) -> Option<Object> {
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
    use mesh_core::resource::istio::peer_authentication::MutualTlsMode;

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
    fn what_restricts_nothing_has_no_replacement() {
        assert!(closed(Kind::ServiceEntry, &value("ServiceEntry", "{}")).is_none());
    }
}
