//! Who sees which services. Source: messages of `mesh/v1alpha1/config.proto`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::labels::{self, Labels, SelectorOperator};
use crate::resource::istio::destination_rule::ClientTlsSettings;
use crate::resource::istio::is_default;

/// Settings of some services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettings {
    /// The settings.
    #[serde(skip_serializing_if = "is_default")]
    pub settings: Option<Settings>,
    /// Hosts of the services; may be wildcards.
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
}

/// Settings of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Clients use endpoints of their own cluster only. Default: true for `kube-system` and
    /// `kubernetes.default`, false for others.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_local: bool,
}

/// Which services other clusters see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceScopeConfigs {
    /// Namespaces of the services. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace_selector: Option<LabelSelector>,
    /// The services. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub services_selector: Option<LabelSelector>,
    /// Who sees them.
    #[serde(skip_serializing_if = "is_default")]
    pub scope: ServiceScope,
}

/// Who sees a service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceScope {
    /// Its own cluster.
    #[default]
    Local,
    /// All clusters.
    Global,
}

/// Objects of Kubernetes by their labels; all requirements have to hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that an object has to have.
    #[serde(skip_serializing_if = "is_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on single labels.
    #[serde(skip_serializing_if = "is_default")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

impl LabelSelector {
    /// Whether the labels are selected. A selector that is not [whole](Self::is_whole) selects nothing.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let mut fixed = self.match_labels.iter();
        let is_met = |found: &LabelSelectorRequirement| {
            let value = labels.value(&found.key);
            let operator = found.operator();
            operator.is_some_and(|operator| operator.is_met(value, &found.values))
        };
        self.is_whole()
            && fixed.all(|(key, value)| labels.value(key) == Some(value))
            && self.match_expressions.iter().all(is_met)
    }

    /// Whether Istio takes the selector (`LabelSelectorAsSelector`): its keys and values can be those of
    /// labels, its operators are known, and each has values if it compares with some and only then.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let mut fixed = self.match_labels.iter();
        let mut expressions = self.match_expressions.iter();
        fixed.all(|(key, value)| {
            labels::validate_key(key).is_ok() && labels::validate_value(value).is_ok()
        }) && expressions.all(LabelSelectorRequirement::is_whole)
    }
}

/// A requirement on a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// Name of the label.
    #[serde(skip_serializing_if = "is_default")]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[serde(skip_serializing_if = "is_default")]
    pub operator: String,
    /// Values, for the first two operators.
    #[serde(skip_serializing_if = "is_default")]
    pub values: Vec<String>,
}

impl LabelSelectorRequirement {
    fn operator(&self) -> Option<SelectorOperator> {
        match self.operator.as_str() {
            "In" => Some(SelectorOperator::In),
            "NotIn" => Some(SelectorOperator::NotIn),
            "Exists" => Some(SelectorOperator::Exists),
            "DoesNotExist" => Some(SelectorOperator::DoesNotExist),
            _ => None,
        }
    }

    fn is_whole(&self) -> bool {
        let mut values = self.values.iter();
        let operator = self.operator();
        operator.is_some_and(|operator| operator.validate(&self.values).is_ok())
            && labels::validate_key(&self.key).is_ok()
            && values.all(|value| labels::validate_value(value).is_ok())
    }
}

/// Who sees service entries. The first policy that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryVisibility {
    /// Who sees those that no policy matches.
    #[serde(skip_serializing_if = "is_default")]
    pub default_visibility: Visibility,
    /// Whether it holds for sidecars, too. Default: false, for ambient mode alone.
    #[serde(skip_serializing_if = "is_default")]
    pub apply_to_sidecars: bool,
    /// Policies, in order.
    #[serde(skip_serializing_if = "is_default")]
    pub policies: Vec<VisibilityPolicy>,
}

/// Who sees a service entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Visibility {
    /// Not said: the same as [`Public`](Self::Public).
    #[default]
    VisibilityUnspecified,
    /// Nobody.
    None,
    /// Its own namespace.
    Namespace,
    /// Everybody.
    Public,
}

/// Who sees some service entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VisibilityPolicy {
    /// Who sees them.
    #[serde(skip_serializing_if = "is_default")]
    pub visibility: Visibility,
    /// Which they are; all rules have to match.
    #[serde(skip_serializing_if = "is_default")]
    pub matching_rules: Vec<VisibilityMatchRule>,
}

/// Which service entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VisibilityMatchRule {
    /// Their namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace_selector: Option<LabelSelector>,
}

/// A source of configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigSource {
    /// Where it is: `xds://`, `k8s://` or `fs:///`.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    /// TLS towards it.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_settings: Option<ClientTlsSettings>,
    /// What is taken from it. Default: everything.
    #[serde(skip_serializing_if = "is_default")]
    pub subscribed_resources: Vec<SubscribedResource>,
}

/// What is taken from a source.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscribedResource {
    /// Service entries that the platform makes of its services.
    #[default]
    ServiceRegistry,
}
