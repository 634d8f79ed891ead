//! Whether a pod gets a sidecar, and why.
//!
//! Two questions in turn, as in Istio. The API server asks the first: do the labels of the
//! namespace and of the pod make it call the webhook ([`WebhookSelection`])? The webhook asks the
//! second, of the pod that it is sent ([`InjectionPolicy::decide`]).
//!
//! # Example
//!
//! ```
//! use mesh_core::labels::Labels;
//! use mesh_policy::admission::decision::{Candidate, InjectionPolicy, InjectionReason};
//!
//! let policy = InjectionPolicy::default();
//! let labels = Labels::from_iter([("sidecar.istio.io/inject", "false")]);
//! let cart = Candidate { namespace: "shop", labels: &labels, ..Candidate::default() };
//!
//! let verdict = policy.decide(&cart);
//! assert!(!verdict.inject);
//! assert_eq!(verdict.reason, InjectionReason::Label);
//! assert_eq!(
//!     verdict.reason.to_string(),
//!     "the label `sidecar.istio.io/inject` of the pod says so",
//! );
//! ```

use std::fmt;

use mesh_core::labels::Labels;
use mesh_core::resource::kubernetes::label_selector::LabelSelector;
use serde::Deserialize;

/// The label and the annotation by which a pod asks for a sidecar, or for none.
pub const INJECT: &str = "sidecar.istio.io/inject";
/// The label that names the revision of the control plane.
pub const REVISION: &str = "istio.io/rev";
/// The label by which a namespace asks for sidecars.
pub const NAMESPACE_INJECTION: &str = "istio-injection";

/// The label that Kubernetes gives to each namespace, its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Namespaces of Kubernetes itself, whose pods never get a sidecar.
const IGNORED_NAMESPACES: [&str; 4] = [
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "local-path-storage",
];

/// What pods get that do not say themselves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultPolicy {
    /// No sidecar.
    Disabled,
    /// A sidecar.
    #[default]
    Enabled,
    /// The configuration says neither `enabled` nor `disabled`: no pod gets a sidecar, whatever it
    /// says itself.
    #[serde(other)]
    Invalid,
}

/// Which of the pods that the webhook is sent get a sidecar: the part of Istio's
/// `istio-sidecar-injector` configuration that decides it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InjectionPolicy {
    /// What pods get that nothing else decides for. Default: a sidecar.
    pub policy: DefaultPolicy,
    /// Pods of these labels get none, unless they ask for one themselves.
    pub never_inject_selector: Vec<LabelSelector>,
    /// Pods of these labels get one, unless they or `never_inject_selector` say otherwise.
    pub always_inject_selector: Vec<LabelSelector>,
    /// Namespaces whose pods get none. Default: those of Kubernetes itself.
    pub ignored_namespaces: Vec<String>,
}

impl Default for InjectionPolicy {
    fn default() -> Self {
        Self {
            policy: DefaultPolicy::default(),
            never_inject_selector: Vec::new(),
            always_inject_selector: Vec::new(),
            ignored_namespaces: IGNORED_NAMESPACES.map(String::from).into(),
        }
    }
}

/// What a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// Labels of the pod.
    pub labels: &'a Labels,
    /// The pod's annotation [`INJECT`], if it has one.
    pub annotation: Option<&'a str>,
    /// Whether the pod shares the network of its host.
    pub host_network: bool,
}

impl Default for Candidate<'_> {
    fn default() -> Self {
        const NONE: &Labels = &Labels::new();
        Self {
            namespace: "default",
            labels: NONE,
            annotation: None,
            host_network: false,
        }
    }
}

/// Whether a pod gets a sidecar, and what decided it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether it gets one.
    pub inject: bool,
    /// What decided it.
    pub reason: InjectionReason,
}

/// What decided whether a pod gets a sidecar, in the order in which it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InjectionReason {
    /// The pod shares the network of its host, which must not be captured.
    HostNetwork,
    /// The namespace is one of Kubernetes' own.
    IgnoredNamespace,
    /// The default policy is neither `enabled` nor `disabled`.
    InvalidPolicy,
    /// The pod's label.
    Label,
    /// The pod's annotation.
    Annotation,
    /// The selector of this index keeps sidecars away.
    NeverInjectSelector(usize),
    /// The selector of this index demands sidecars.
    AlwaysInjectSelector(usize),
    /// Nothing else.
    DefaultPolicy,
}

impl fmt::Display for InjectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostNetwork => f.write_str("the pod shares the network of its host"),
            Self::IgnoredNamespace => f.write_str("the namespace is one of Kubernetes' own"),
            Self::InvalidPolicy => {
                f.write_str("the default policy is neither `enabled` nor `disabled`")
            }
            Self::Label => write!(f, "the label `{INJECT}` of the pod says so"),
            Self::Annotation => write!(f, "the annotation `{INJECT}` of the pod says so"),
            Self::NeverInjectSelector(index) => {
                write!(f, "neverInjectSelector[{index}] selects the pod")
            }
            Self::AlwaysInjectSelector(index) => {
                write!(f, "alwaysInjectSelector[{index}] selects the pod")
            }
            Self::DefaultPolicy => f.write_str("it is the default policy"),
        }
    }
}

impl InjectionPolicy {
    /// Whether the pod gets a sidecar (istiod's `injectRequired`).
    ///
    /// The label [`INJECT`] is asked before the annotation of that name; a value other than `true`
    /// and `false` counts as absent. Selectors without requirements select nothing.
    pub fn decide(&self, pod: &Candidate<'_>) -> Verdict {
        let (inject, reason) = self.outcome(pod);
        Verdict { inject, reason }
    }

    fn outcome(&self, pod: &Candidate<'_>) -> (bool, InjectionReason) {
        if pod.host_network {
            return (false, InjectionReason::HostNetwork);
        }
        if self
            .ignored_namespaces
            .iter()
            .any(|own| own == pod.namespace)
        {
            return (false, InjectionReason::IgnoredNamespace);
        }
        let default = match self.policy {
            DefaultPolicy::Disabled => false,
            DefaultPolicy::Enabled => true,
            DefaultPolicy::Invalid => return (false, InjectionReason::InvalidPolicy),
        };
        let said = said(pod);
        let selected = || self.selected(pod.labels);
        said.or_else(selected)
            .unwrap_or((default, InjectionReason::DefaultPolicy))
    }

    fn selected(&self, labels: &Labels) -> Option<(bool, InjectionReason)> {
        let first = |selectors: &[LabelSelector]| {
            selectors
                .iter()
                .position(|selector| !is_empty(selector) && selector.matches(labels))
        };
        let never = first(&self.never_inject_selector)
            .map(|index| (false, InjectionReason::NeverInjectSelector(index)));
        never.or_else(|| {
            let index = first(&self.always_inject_selector)?;
            Some((true, InjectionReason::AlwaysInjectSelector(index)))
        })
    }
}

/// What the pod says itself.
fn said(pod: &Candidate<'_>) -> Option<(bool, InjectionReason)> {
    let (value, reason) = match pod.labels.value(INJECT) {
        Some(value) => (value, InjectionReason::Label),
        None => (pod.annotation?, InjectionReason::Annotation),
    };
    Some((value.parse().ok()?, reason))
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.is_empty() && selector.match_expressions.is_empty()
}

/// Whether the API server calls the webhook of a revision at all: the selectors of Istio's
/// `MutatingWebhookConfiguration`.
///
/// # Example
///
/// ```
/// use mesh_core::labels::Labels;
/// use mesh_policy::admission::decision::{SelectionReason, WebhookSelection};
///
/// let namespace = Labels::from_iter([("istio-injection", "enabled")]);
/// let pod = Labels::from_iter([("app", "cart")]);
/// assert!(WebhookSelection::default().decide(&namespace, &pod).selects);
///
/// let verdict = WebhookSelection::revision("canary").decide(&namespace, &pod);
/// assert!(!verdict.selects);
/// assert_eq!(verdict.reason, SelectionReason::NamespaceInjection);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookSelection {
    revision: String,
    is_default: bool,
    enable_namespaces_by_default: bool,
}

impl Default for WebhookSelection {
    fn default() -> Self {
        Self {
            revision: "default".into(),
            is_default: true,
            enable_namespaces_by_default: false,
        }
    }
}

impl WebhookSelection {
    /// The webhook of a revision that is not the default one.
    pub fn revision(revision: impl Into<String>) -> Self {
        Self {
            revision: revision.into(),
            is_default: false,
            enable_namespaces_by_default: false,
        }
    }

    /// Selects pods for which neither their namespace nor themselves say anything, if this is the
    /// default revision (`sidecarInjectorWebhook.enableNamespacesByDefault`), except in namespaces of
    /// Kubernetes itself. Default: no.
    #[must_use]
    pub fn enable_namespaces_by_default(self, enable: bool) -> Self {
        Self {
            enable_namespaces_by_default: enable,
            ..self
        }
    }

    /// Whether the webhook is called for a pod with the labels `pod` in a namespace with the labels
    /// `namespace`, and by what that is decided.
    pub fn decide(&self, namespace: &Labels, pod: &Labels) -> SelectionVerdict {
        let (selects, reason) = self.outcome(namespace, pod);
        SelectionVerdict { selects, reason }
    }

    fn outcome(&self, namespace: &Labels, pod: &Labels) -> (bool, SelectionReason) {
        use SelectionReason::{
            DefaultSelection, NamespaceInjection, NamespaceRevision, PodInject, PodRevision,
        };

        let of_namespace = match (
            namespace.value(NAMESPACE_INJECTION),
            namespace.value(REVISION),
        ) {
            (Some(injection), _) => Some((
                injection == "enabled" && self.is_default,
                NamespaceInjection,
            )),
            (None, Some(revision)) => Some((revision == self.revision, NamespaceRevision)),
            (None, None) => None,
        };
        let (inject, revision) = (pod.value(INJECT), pod.value(REVISION));
        match (of_namespace, inject, revision) {
            (Some((false, reason)), _, _) => (false, reason),
            (Some((true, _)) | None, Some("false"), _) => (false, PodInject),
            (Some((true, reason)), _, _) => (true, reason),
            (None, _, Some(revision)) => (revision == self.revision, PodRevision),
            (None, Some(inject), None) => (inject == "true" && self.is_default, PodInject),
            (None, None, None) => {
                let is_by_default = self.is_default && self.enable_namespaces_by_default;
                let name = namespace.value(NAMESPACE_NAME).unwrap_or_default();
                let is_own = IGNORED_NAMESPACES.contains(&name);
                (is_by_default && !is_own, DefaultSelection)
            }
        }
    }
}

/// Whether the API server calls the webhook, and what decided it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SelectionVerdict {
    /// Whether it does.
    pub selects: bool,
    /// What decided it.
    pub reason: SelectionReason,
}

/// What decided whether the API server calls the webhook, in the order in which it is asked; but a pod
/// that wants no sidecar is heard wherever one could be added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SelectionReason {
    /// The label [`NAMESPACE_INJECTION`] of the namespace.
    NamespaceInjection,
    /// The label [`REVISION`] of the namespace.
    NamespaceRevision,
    /// The label [`REVISION`] of the pod.
    PodRevision,
    /// The label [`INJECT`] of the pod.
    PodInject,
    /// Nothing else: pods are selected where that is the default.
    DefaultSelection,
}

impl fmt::Display for SelectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, whose) = match self {
            Self::NamespaceInjection => (NAMESPACE_INJECTION, "namespace"),
            Self::NamespaceRevision => (REVISION, "namespace"),
            Self::PodRevision => (REVISION, "pod"),
            Self::PodInject => (INJECT, "pod"),
            Self::DefaultSelection => return f.write_str("it is the default of the webhook"),
        };
        write!(f, "the label `{label}` of the {whose} says so")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_iter(pairs.iter().copied())
    }

    fn selector(key: &str, value: &str) -> LabelSelector {
        LabelSelector {
            match_labels: [(key.into(), value.into())].into(),
            ..LabelSelector::default()
        }
    }

    #[test]
    fn the_first_that_says_something_decides() {
        // Labels, annotation, and what is decided why.
        type Case = (
            &'static [(&'static str, &'static str)],
            Option<&'static str>,
            bool,
            InjectionReason,
        );
        let policy = InjectionPolicy {
            policy: DefaultPolicy::Disabled,
            never_inject_selector: vec![LabelSelector::default(), selector("batch", "yes")],
            always_inject_selector: vec![selector("team", "shop")],
            ..InjectionPolicy::default()
        };
        let (yes, no) = (Some("true"), Some("false"));
        let cases: [Case; 7] = [
            (&[(INJECT, "true")], no, true, InjectionReason::Label),
            (&[("batch", "yes")], yes, true, InjectionReason::Annotation),
            (
                &[(INJECT, "yes")],
                None,
                false,
                InjectionReason::DefaultPolicy,
            ),
            (
                &[("batch", "yes"), ("team", "shop")],
                None,
                false,
                InjectionReason::NeverInjectSelector(1),
            ),
            (
                &[("team", "shop")],
                None,
                true,
                InjectionReason::AlwaysInjectSelector(0),
            ),
            (&[], None, false, InjectionReason::DefaultPolicy),
            (&[], yes, true, InjectionReason::Annotation),
        ];
        for (pod, annotation, inject, reason) in cases {
            let labels = labels(pod);
            let candidate = Candidate {
                labels: &labels,
                annotation,
                ..Candidate::default()
            };
            let expected = Verdict { inject, reason };
            assert_eq!(
                policy.decide(&candidate),
                expected,
                "{pod:?} {annotation:?}"
            );
        }
    }

    #[test]
    fn a_pod_cannot_ask_where_no_sidecar_may_be() {
        let wanted = labels(&[(INJECT, "true")]);
        let pod = Candidate {
            labels: &wanted,
            ..Candidate::default()
        };
        let policy = InjectionPolicy::default();
        let on_host = Candidate {
            host_network: true,
            ..pod
        };
        assert_eq!(policy.decide(&on_host).reason, InjectionReason::HostNetwork);
        let system = Candidate {
            namespace: "kube-system",
            ..pod
        };
        assert_eq!(
            policy.decide(&system).reason,
            InjectionReason::IgnoredNamespace
        );
        let invalid = InjectionPolicy {
            policy: DefaultPolicy::Invalid,
            ..policy
        };
        assert!(!invalid.decide(&pod).inject);
    }

    #[test]
    fn the_webhook_is_called_by_the_labels_of_namespace_and_pod() {
        let default = WebhookSelection::default();
        let canary = WebhookSelection::revision("canary");
        let (enabled, disabled) = (
            ("istio-injection", "enabled"),
            ("istio-injection", "disabled"),
        );
        let rev = (REVISION, "canary");
        let (yes, no) = ((INJECT, "true"), (INJECT, "false"));
        // Labels of the namespace, labels of the pod, called by default, called by canary, and why the
        // default one is called or not.
        use SelectionReason::{
            DefaultSelection, NamespaceInjection, NamespaceRevision, PodInject, PodRevision,
        };
        let cases: [(&[_], &[_], bool, bool, SelectionReason); 10] = [
            (&[enabled], &[], true, false, NamespaceInjection),
            (&[enabled, rev], &[], true, false, NamespaceInjection),
            (&[enabled], &[no], false, false, PodInject),
            (&[disabled], &[yes, rev], false, false, NamespaceInjection),
            (&[rev], &[], false, true, NamespaceRevision),
            (&[rev], &[no], false, false, NamespaceRevision),
            (&[], &[yes], true, false, PodInject),
            (&[], &[rev], false, true, PodRevision),
            (&[], &[rev, no], false, false, PodInject),
            (&[], &[], false, false, DefaultSelection),
        ];
        for (namespace, pod, by_default, by_canary, reason) in cases {
            let (namespace, pod) = (labels(namespace), labels(pod));
            let verdict = default.decide(&namespace, &pod);
            assert_eq!(verdict.selects, by_default, "{namespace:?} {pod:?}");
            assert_eq!(verdict.reason, reason, "{namespace:?} {pod:?}");
            assert_eq!(
                canary.decide(&namespace, &pod).selects,
                by_canary,
                "{namespace:?} {pod:?}"
            );
        }
        let everywhere = default.enable_namespaces_by_default(true);
        assert!(everywhere.decide(&Labels::new(), &Labels::new()).selects);
        assert!(!everywhere.decide(&Labels::new(), &labels(&[no])).selects);
        // What is neither yes nor no is said, too.
        let odd = labels(&[(INJECT, "maybe")]);
        assert!(!everywhere.decide(&Labels::new(), &odd).selects);
        let system = labels(&[(NAMESPACE_NAME, "kube-system")]);
        assert!(!everywhere.decide(&system, &Labels::new()).selects);
        assert!(everywhere.decide(&system, &labels(&[yes])).selects);
    }
}
