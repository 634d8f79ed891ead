use mesh_core::labels::Labels;
use mesh_core::workload::Workload;

/// What telemetry says of a workload: the labels that Istio's metrics have for either end.
///
/// Put it into the extensions of requests to name the workload at the other end, where it is known
/// from an exchange of metadata or by its address. Empty texts are reported as `unknown`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerWorkload {
    /// Name of the workload, such as that of its Deployment.
    pub workload: String,
    /// Namespace.
    pub namespace: String,
    /// `spiffe://…` of the service account.
    pub principal: String,
    /// Label `app`.
    pub app: String,
    /// Label `version`.
    pub version: String,
    /// Cluster of the workload, such as `Kubernetes`.
    pub cluster: String,
    /// Istio's canonical service.
    pub canonical_service: String,
    /// Revision of the canonical service; `latest` if no label says it.
    pub canonical_revision: String,
}

impl PeerWorkload {
    /// What `workload` says of itself. Its cluster and principal are not known to it.
    pub fn of_workload(workload: &Workload) -> Self {
        Self::of_labels(&workload.name, &workload.namespace, &workload.labels)
    }

    /// A workload by its labels. The canonical service is the first of
    /// `service.istio.io/canonical-name`, `app.kubernetes.io/name`, `app` and the workload's name; its
    /// revision the first of the corresponding labels, else `latest`.
    pub fn of_labels(workload: &str, namespace: &str, labels: &Labels) -> Self {
        let value = |key| labels.value(key).unwrap_or_default().to_owned();
        Self {
            workload: workload.to_owned(),
            namespace: namespace.to_owned(),
            principal: String::new(),
            app: value("app"),
            version: value("version"),
            cluster: String::new(),
            canonical_service: canonical_service(labels).unwrap_or(workload).to_owned(),
            canonical_revision: canonical_revision(labels).unwrap_or("latest").to_owned(),
        }
    }
}

/// The canonical service that labels name.
pub(super) fn canonical_service(labels: &Labels) -> Option<&str> {
    first(
        labels,
        [
            "service.istio.io/canonical-name",
            "app.kubernetes.io/name",
            "app",
        ],
    )
}

/// The revision of the canonical service that labels name.
pub(super) fn canonical_revision(labels: &Labels) -> Option<&str> {
    first(
        labels,
        [
            "service.istio.io/canonical-revision",
            "app.kubernetes.io/version",
            "version",
        ],
    )
}

fn first<'a>(labels: &'a Labels, keys: [&str; 3]) -> Option<&'a str> {
    keys.into_iter().find_map(|key| labels.value(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_service_is_named_by_the_first_label_that_is_there() {
        let (istio, recommended) = ("service.istio.io/canonical-name", "app.kubernetes.io/name");
        for (labels, expected) in [
            (&[("app", "a"), (recommended, "r"), (istio, "i")][..], "i"),
            (&[("app", "a"), (recommended, "r")], "r"),
            (&[("app", "a")], "a"),
            (&[], "cart-v1"),
        ] {
            let mut set = Labels::default();
            for (key, value) in labels {
                set.insert(*key, *value);
            }
            let workload = PeerWorkload::of_labels("cart-v1", "shop", &set);
            assert_eq!(workload.canonical_service, expected, "{labels:?}");
            assert_eq!(workload.canonical_revision, "latest", "{labels:?}");
        }
    }
}
