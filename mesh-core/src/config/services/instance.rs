//! Workloads that services may be in front of: pods and WorkloadEntries.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::labels::Labels;
use crate::model::cluster::{Endpoint, EndpointAddress, NODE_LABEL};
use crate::resource::kubernetes::pod::{ConditionStatus, Pod, PodPhase};

/// Label that says whether a workload accepts mesh mTLS.
const TLS_MODE: &str = "security.istio.io/tlsMode";
/// Label that says which network a workload is in.
pub(super) const NETWORK: &str = "topology.istio.io/network";
/// Labels of a workload that say where it is, the stronger first, with dots for slashes: a label of
/// Kubernetes has none.
const LOCALITY: [&str; 2] = ["topology.istio.io/locality", "istio-locality"];
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";

/// A workload, ready to become an endpoint at any of its ports.
#[derive(Clone, Debug)]
pub(super) struct WorkloadInstance {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) is_pod: bool,
    pub(super) host: InstanceHost,
    /// Its ports by name: containers' ports of a pod, `ports` of a WorkloadEntry.
    pub(super) ports: BTreeMap<String, u16>,
    pub(super) labels: Labels,
    pub(super) locality: String,
    pub(super) network: String,
    pub(super) weight: u32,
    pub(super) service_account: String,
    pub(super) mesh_tls: bool,
    pub(super) healthy: bool,
    /// Whether it was asked to end.
    pub(super) is_ending: bool,
}

/// Where a workload is, without port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum InstanceHost {
    Dns(String),
    Ip(IpAddr),
    Unix(String),
}

impl InstanceHost {
    /// Reads the address of a WorkloadEntry; `None` if it is empty.
    pub(super) fn parse(address: &str) -> Option<Self> {
        if address.is_empty() {
            return None;
        }
        if let Some(path) = address.strip_prefix("unix://") {
            return Some(Self::Unix(path.to_owned()));
        }
        Some(match address.parse() {
            Ok(ip) => Self::Ip(ip),
            Err(_) => Self::Dns(address.to_ascii_lowercase()),
        })
    }

    pub(super) fn at(&self, port: u16) -> EndpointAddress {
        match self {
            Self::Dns(host) => EndpointAddress::Dns {
                host: host.clone(),
                port,
            },
            Self::Ip(ip) => EndpointAddress::Ip(SocketAddr::new(*ip, port)),
            Self::Unix(path) => EndpointAddress::Unix(path.clone()),
        }
    }
}

impl WorkloadInstance {
    /// The endpoint at `port`; at no port if the workload is a Unix socket. Of a workload that is
    /// not healthy it is withdrawn: only the endpoints of a Kubernetes Service stay when they are not
    /// ready.
    pub(super) fn endpoint(&self, port: u16) -> Endpoint {
        Endpoint {
            address: self.host.at(port),
            weight: self.weight,
            labels: self.labels.clone(),
            locality: self.locality.clone(),
            network: self.network.clone(),
            healthy: self.healthy,
            withdrawn: !self.healthy || self.is_ending,
            mesh_tls: self.mesh_tls,
            mesh_tls_disabled: false,
            service_account: self.service_account.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// Adds the labels that say where the workload is, by which subsets and failover priorities
    /// may choose (`AugmentLabels`).
    pub(super) fn augment_labels(&mut self, node: &str) {
        let mut parts = self.locality.split('/');
        for key in [REGION, ZONE, SUBZONE] {
            match parts.next() {
                Some(part) if !part.is_empty() => self.labels.insert(key, part),
                _ => None,
            };
        }
        if !node.is_empty() {
            self.labels.insert(NODE_LABEL, node);
        }
        if !self.network.is_empty() && self.labels.value(NETWORK).is_none() {
            self.labels.insert(NETWORK, &*self.network);
        }
    }
}

/// Whether a workload of these labels accepts mesh mTLS; `None` if they do not say.
pub(super) fn mesh_tls(labels: &Labels) -> Option<bool> {
    labels.value(TLS_MODE).map(|mode| mode == "istio")
}

/// The locality that a workload's own labels give. One that has slashes has no dots in their place
/// (`SanitizeLocalityLabel`).
pub(super) fn labelled_locality(labels: &Labels) -> Option<String> {
    let mut values = LOCALITY.iter().filter_map(|key| labels.value(key));
    let label = values.next().filter(|label| !label.is_empty())?;
    Some(match label.contains('/') {
        true => label.to_owned(),
        false => label.replace('.', "/"),
    })
}

/// The locality that the labels of a pod say: its own, else those that Kubernetes copies from its node.
pub(crate) fn pod_locality(labels: &Labels) -> String {
    let copied = || topology(|key| labels.value(key));
    labelled_locality(labels).unwrap_or_else(copied)
}

/// `region/zone/subzone` of a node's labels, without what is unknown at the end.
pub(super) fn node_locality(labels: &BTreeMap<String, String>) -> String {
    topology(|key| labels.get(key).map(String::as_str))
}

fn topology<'a>(label: impl Fn(&str) -> Option<&'a str>) -> String {
    let value = |keys: [&str; 2]| {
        let mut values = keys.iter().filter_map(|key| label(key));
        values.next().unwrap_or_default()
    };
    locality([
        value([REGION, "failure-domain.beta.kubernetes.io/region"]),
        value([ZONE, "failure-domain.beta.kubernetes.io/zone"]),
        value([SUBZONE, SUBZONE]),
    ])
}

/// Joins region, zone and subzone, without what is unknown at the end.
pub(super) fn locality(parts: [&str; 3]) -> String {
    parts.join("/").trim_end_matches('/').to_owned()
}

/// Whether a pod has ended, so that its address may be another's.
pub(super) fn has_ended(pod: &Pod) -> bool {
    matches!(
        pod.status.phase,
        Some(PodPhase::Succeeded | PodPhase::Failed)
    )
}

/// Whether a pod is ready. One that was written without conditions is, unless it is pending.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.conditions.iter();
    match conditions.find(|condition| condition.r#type == "Ready") {
        Some(ready) => ready.status == Some(ConditionStatus::True),
        None => pod.status.phase != Some(PodPhase::Pending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locality_ends_with_what_is_known() {
        for (parts, expected) in [
            (["", "", ""], ""),
            (["eu", "", ""], "eu"),
            (["eu", "a", ""], "eu/a"),
            (["", "a", ""], "/a"),
            (["eu", "a", "rack"], "eu/a/rack"),
        ] {
            assert_eq!(locality(parts), expected);
        }
    }

    #[test]
    fn a_labelled_locality_has_dots_for_slashes_unless_it_has_slashes() {
        for (label, expected) in [
            ("eu.a.rack", Some("eu/a/rack")),
            ("eu/a/rack.2", Some("eu/a/rack.2")),
            ("", None),
        ] {
            let labels = Labels::from_iter([("istio-locality", label)]);
            assert_eq!(labelled_locality(&labels).as_deref(), expected, "{label}");
        }
    }

    #[test]
    fn a_pod_is_where_istios_label_says_before_those_of_its_node() {
        let mut labels = Labels::new();
        for (label, value, expected) in [
            (ZONE, "a", "/a"),
            (REGION, "eu", "eu/a"),
            ("istio-locality", "us.b", "us/b"),
            ("topology.istio.io/locality", "us.c.rack", "us/c/rack"),
        ] {
            labels.insert(label, value);
            assert_eq!(pod_locality(&labels), expected, "{label}");
        }
    }

    #[test]
    fn an_address_is_an_ip_a_socket_or_a_name() {
        let ip = InstanceHost::Ip([192, 0, 2, 1].into());
        let cases = [
            ("", None),
            ("192.0.2.1", Some(ip)),
            ("VM.example", Some(InstanceHost::Dns("vm.example".into()))),
            (
                "unix://@abstract",
                Some(InstanceHost::Unix("@abstract".into())),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(InstanceHost::parse(text), expected, "{text}");
        }
    }
}
