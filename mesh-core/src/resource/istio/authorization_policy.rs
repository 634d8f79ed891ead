//! AuthorizationPolicy: who may do what with a workload.
//!
//! Source: messages of `security/v1beta1/authorization_policy.proto`; `security.istio.io/v1` and
//! `v1beta1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::authorization_policy::{Action, AuthorizationPolicy};
//!
//! let spec: AuthorizationPolicy = serde_json::from_str(
//!     r#"{
//!         "action": "DENY",
//!         "rules": [{"to": [{"operation": {"paths": ["/admin/*"]}}]}]
//!     }"#,
//! )?;
//!
//! assert_eq!(spec.action, Action::Deny);
//! assert_eq!(spec.rules.map(|rules| rules.len()), Some(1));
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;
use crate::resource::istio::selector::{PolicyTargetReference, WorkloadSelector};

/// Who may do what with some workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationPolicy {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace. Exclusive with `target_ref` and `target_refs`.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<WorkloadSelector>,
    /// Resource that the policy is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    /// Resources that the policy is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Rules, any of which is enough. Absent: nothing matches, so that [`Action::Allow`] allows
    /// nothing. A rule without conditions matches everything.
    #[serde(skip_serializing_if = "is_default")]
    pub rules: Option<Vec<Rule>>,
    /// What becomes of a request that matches.
    #[serde(skip_serializing_if = "is_default")]
    pub action: Action,
    /// Who decides, with [`Action::Custom`].
    #[serde(skip_serializing_if = "is_default")]
    pub provider: Option<ExtensionProvider>,
}

/// What becomes of a request that matches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// It is allowed, and others are not.
    #[default]
    Allow,
    /// It is denied.
    Deny,
    /// It is marked for audit.
    Audit,
    /// A provider decides.
    Custom,
}

/// Names a provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProvider {
    /// Name of an extension provider of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Conditions of three kinds, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Sources, any of which is enough. Absent: any source. May not be present and empty.
    #[serde(skip_serializing_if = "is_default")]
    pub from: Option<Vec<From>>,
    /// Operations, any of which is enough. Absent: any operation. May not be present and empty.
    #[serde(skip_serializing_if = "is_default")]
    pub to: Option<Vec<To>>,
    /// Further conditions, all of which have to hold.
    #[serde(skip_serializing_if = "is_default")]
    pub when: Vec<Condition>,
}

/// A source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct From {
    /// The source. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub source: Option<Source>,
}

/// An operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct To {
    /// The operation. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub operation: Option<Operation>,
}

/// Where a request comes from: fields that are set all have to hold, of a list any value is enough.
///
/// A value is exact, a prefix `abc*`, a suffix `*abc`, or `*` for anything that is there. A
/// connection without the attribute matches no positive field and every negative one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// Identities of the client's certificate, as `trust-domain/ns/NAMESPACE/sa/ACCOUNT`.
    #[serde(skip_serializing_if = "is_default")]
    pub principals: Vec<String>,
    /// Identities that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_principals: Vec<String>,
    /// Identities of the token, as `issuer/subject`.
    #[serde(skip_serializing_if = "is_default")]
    pub request_principals: Vec<String>,
    /// Identities of the token that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_request_principals: Vec<String>,
    /// Namespaces of the client's identity.
    #[serde(skip_serializing_if = "is_default")]
    pub namespaces: Vec<String>,
    /// Namespaces that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_namespaces: Vec<String>,
    /// Service accounts of the client, as `namespace/account` or `account` for the policy's
    /// namespace; no wildcards.
    #[serde(skip_serializing_if = "is_default")]
    pub service_accounts: Vec<String>,
    /// Service accounts that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_service_accounts: Vec<String>,
    /// Addresses or subnets of the peer.
    #[serde(skip_serializing_if = "is_default")]
    pub ip_blocks: Vec<String>,
    /// Addresses or subnets of the peer that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_ip_blocks: Vec<String>,
    /// Addresses or subnets of the client, as `x-forwarded-for` and trusted proxies give it.
    #[serde(skip_serializing_if = "is_default")]
    pub remote_ip_blocks: Vec<String>,
    /// Addresses or subnets of the client that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_remote_ip_blocks: Vec<String>,
    /// Trust domains of the client's identity.
    #[serde(skip_serializing_if = "is_default")]
    pub trust_domains: Vec<String>,
    /// Trust domains that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_trust_domains: Vec<String>,
}

/// What a request does: fields that are set all have to hold, of a list any value is enough.
///
/// Values are written as in [`Source`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// Hosts, without regard to case; the port is part of the value.
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    /// Hosts that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_hosts: Vec<String>,
    /// Ports of the workload.
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<String>,
    /// Ports that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_ports: Vec<String>,
    /// Methods; with gRPC always `POST`.
    #[serde(skip_serializing_if = "is_default")]
    pub methods: Vec<String>,
    /// Methods that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_methods: Vec<String>,
    /// Paths without their query; `{*}` stands for a segment, `{**}` for any number of them.
    #[serde(skip_serializing_if = "is_default")]
    pub paths: Vec<String>,
    /// Paths that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_paths: Vec<String>,
}

/// A further condition on an attribute. One of the lists has to have a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Name of the attribute, such as `request.headers[x-version]`. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub key: String,
    /// Values, any of which is enough.
    #[serde(skip_serializing_if = "is_default")]
    pub values: Vec<String>,
    /// Values that do not match.
    #[serde(skip_serializing_if = "is_default")]
    pub not_values: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_rule_of_all_kinds_is_read_whole() {
        let spec: AuthorizationPolicy = round_trip(&json!({
            "selector": {"matchLabels": {"app": "httpbin"}},
            "rules": [{
                "from": [
                    {"source": {"principals": ["cluster.local/ns/default/sa/sleep"]}},
                    {"source": {"namespaces": ["dev"], "notRemoteIpBlocks": ["10.0.0.0/8"]}},
                ],
                "to": [
                    {"operation": {"methods": ["GET"], "paths": ["/info*"], "notPorts": ["9090"]}},
                ],
                "when": [{"key": "request.auth.claims[iss]", "notValues": ["https://bad.example"]}],
            }],
        }));

        assert_eq!(spec.action, Action::Allow);
        let rule = &spec.rules.unwrap()[0];
        let sources = rule.from.as_ref().unwrap();
        assert_eq!(
            sources[1].source.as_ref().unwrap().not_remote_ip_blocks,
            ["10.0.0.0/8"]
        );
        assert_eq!(rule.when[0].not_values, ["https://bad.example"]);
    }

    #[test]
    fn rules_that_are_absent_empty_or_without_conditions_are_told_apart() {
        let rules = |json| round_trip::<AuthorizationPolicy>(&json).rules;
        assert_eq!(rules(json!({})), None);
        assert_eq!(rules(json!({"rules": []})), Some(vec![]));
        assert_eq!(rules(json!({"rules": [{}]})), Some(vec![Rule::default()]));
    }

    #[test]
    fn an_empty_list_of_sources_is_not_an_absent_one() {
        assert_eq!(round_trip::<Rule>(&json!({"from": []})).from, Some(vec![]));
        assert_eq!(round_trip::<Rule>(&json!({"to": []})).from, None);
    }

    #[test]
    fn a_provider_is_read() {
        let spec: AuthorizationPolicy = round_trip(&json!({
            "action": "CUSTOM",
            "provider": {"name": "opa"},
            "targetRef": {"kind": "Service", "name": "cart"},
        }));
        assert_eq!(spec.action, Action::Custom);
        assert_eq!(spec.provider.unwrap().name, "opa");
    }
}
