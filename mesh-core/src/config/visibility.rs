//! Who may see a resource (`exportTo`).
//!
//! # Example
//!
//! ```
//! use mesh_core::config::visibility::Visibility;
//!
//! let private = Visibility::parse(&[".".into()], "shop");
//! assert!(private.admits("shop"));
//! assert!(!private.admits("bank"));
//! ```

use serde::Serialize;

use crate::labels::Labels;
use crate::resource::istio::mesh_config::{
    ServiceEntryVisibility, Visibility as WrittenVisibility, VisibilityPolicy,
};

/// The namespaces that a resource is exported to, with `.` already replaced by its own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Visibility {
    /// These namespaces.
    Namespaces(Vec<String>),
    /// Nobody (`~`).
    Nobody,
    /// Every namespace (`*`).
    Public,
}

impl Visibility {
    /// Reads the tokens of an `exportTo` written in `namespace`. No tokens is everybody; callers
    /// put the mesh-wide default in place first.
    pub fn parse(tokens: &[String], namespace: &str) -> Self {
        if tokens.is_empty() || tokens.iter().any(|token| token == "*") {
            return Self::Public;
        }
        if tokens.iter().any(|token| token == "~") {
            return Self::Nobody;
        }
        let resolve = |token: &String| match token.as_str() {
            "." => namespace.to_owned(),
            other => other.to_owned(),
        };
        Self::Namespaces(tokens.iter().map(resolve).collect())
    }

    /// Whether `namespace` sees it.
    pub fn admits(&self, namespace: &str) -> bool {
        match self {
            Self::Namespaces(namespaces) => namespaces.iter().any(|name| name == namespace),
            Self::Nobody => false,
            Self::Public => true,
        }
    }

    /// Whether only its own namespace, `namespace`, sees it.
    pub fn is_private_to(&self, namespace: &str) -> bool {
        match self {
            Self::Namespaces(namespaces) => namespaces.iter().all(|name| name == namespace),
            Self::Nobody | Self::Public => false,
        }
    }
}

/// Narrows who sees a ServiceEntry of `namespace` to what the mesh allows there. It never widens.
pub(super) fn narrow(
    written: Visibility,
    namespace: &str,
    rules: &ServiceEntryVisibility,
    labels: &Labels,
) -> Visibility {
    let applies = |policy: &&VisibilityPolicy| {
        policy.matching_rules.iter().all(|rule| {
            let selector = rule.namespace_selector.as_ref();
            selector.is_some_and(|selector| selector.matches(labels))
        })
    };
    let policy = rules.policies.iter().find(applies);
    match policy.map_or(rules.default_visibility, |policy| policy.visibility) {
        WrittenVisibility::None => Visibility::Nobody,
        WrittenVisibility::Namespace if written.admits(namespace) => {
            Visibility::Namespaces(vec![namespace.to_owned()])
        }
        WrittenVisibility::Namespace => Visibility::Nobody,
        WrittenVisibility::Public | WrittenVisibility::VisibilityUnspecified => written,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_read_as_istio_reads_them() {
        let cases: [(&[&str], &str, bool); 7] = [
            (&[], "other", true),
            (&["*"], "other", true),
            (&["."], "own", true),
            (&["."], "other", false),
            (&["other"], "other", true),
            (&["other"], "own", false),
            (&["~"], "own", false),
        ];
        for (tokens, namespace, admitted) in cases {
            let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
            let visibility = Visibility::parse(&tokens, "own");
            assert_eq!(
                visibility.admits(namespace),
                admitted,
                "{tokens:?} from {namespace}"
            );
        }
    }

    #[test]
    fn the_mesh_narrows_and_never_widens() {
        let rules: ServiceEntryVisibility = serde_json::from_value(json!({
            "applyToSidecars": true,
            "defaultVisibility": "NAMESPACE",
            "policies": [
                {"visibility": "PUBLIC", "matchingRules": [
                    {"namespaceSelector": {"matchLabels": {"tier": "shared"}}},
                ]},
                {"visibility": "NONE", "matchingRules": [
                    {"namespaceSelector": {"matchExpressions": [
                        {"key": "tier", "operator": "In", "values": ["hidden"]},
                    ]}},
                ]},
            ],
        }))
        .unwrap();
        let own = Visibility::Namespaces(vec!["own".into()]);
        let other = Visibility::Namespaces(vec!["other".into()]);
        for (written, tier, expected) in [
            (Visibility::Public, "shared", Visibility::Public),
            (own.clone(), "shared", own.clone()),
            (Visibility::Public, "hidden", Visibility::Nobody),
            (Visibility::Public, "", own),
            (other, "", Visibility::Nobody),
        ] {
            let labels = Labels::from_iter([("tier", tier)]);
            assert_eq!(narrow(written, "own", &rules, &labels), expected, "{tier}");
        }
    }
}
