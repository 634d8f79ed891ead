use mesh_core::config::options::MeshOptions;
use mesh_core::identity::{ParseSpiffeIdError, ServiceAccount, SpiffeId, TrustDomain};
use mesh_core::labels::Labels;
use mesh_core::workload::Workload;

/// How Istio calls a cluster that has no other name.
const CLUSTER: &str = "Kubernetes";

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

    /// What `workload` says of itself in the mesh with these settings: also its principal, that of its
    /// service account, or of `default` if it names none; and its cluster, which is `Kubernetes`, as Istio
    /// calls one that has no other name. A principal that SPIFFE does not know is left out.
    pub fn of_member(workload: &Workload, mesh: &MeshOptions) -> Self {
        let principal = principal(workload, mesh);
        Self {
            principal: principal.map_or_else(|_| String::new(), String::from),
            cluster: CLUSTER.to_owned(),
            ..Self::of_workload(workload)
        }
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

/// The identity of the service account of `workload`.
fn principal(workload: &Workload, mesh: &MeshOptions) -> Result<SpiffeId, ParseSpiffeIdError> {
    let domain = TrustDomain::from_mesh_config(mesh.trust_domain())?;
    let name = match workload.service_account.as_str() {
        "" => "default",
        name => name,
    };
    let namespace = workload.namespace.as_str();
    SpiffeId::from_service_account(&domain, ServiceAccount { namespace, name })
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
    fn a_member_of_a_mesh_has_an_identity_and_a_cluster() {
        for (domain, account, expected) in [
            ("", "", "spiffe://cluster.local/ns/shop/sa/default"),
            ("td@x", "cart", "spiffe://td.x/ns/shop/sa/cart"),
            ("No Domain", "cart", ""),
        ] {
            let mesh = serde_json::json!({"trustDomain": domain});
            let mesh = MeshOptions::new(serde_json::from_value(mesh).unwrap());
            let mut workload = Workload::sidecar("shop");
            workload.service_account = account.to_owned();
            let member = PeerWorkload::of_member(&workload, &mesh);
            assert_eq!(
                (&*member.principal, &*member.cluster),
                (expected, "Kubernetes")
            );
            assert_eq!(member.namespace, "shop");
        }
    }

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
