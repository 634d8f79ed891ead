//! Volumes of the proxy, and where they are mounted.

use serde_json::{Map, Value, json};

use super::Render;
use crate::admission::annotation::BOOTSTRAP_OVERRIDE;

/// What differs between the templates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mounts {
    /// Name of the volume at `/etc/istio/proxy`.
    pub(super) proxy: &'static str,
    /// Whether the proxy is Envoy: other processes may hand it credentials, and it may have a
    /// bootstrap of the user's own.
    pub(super) envoy: bool,
    /// Whether revoked certificates are mounted.
    pub(super) revocations: bool,
    /// Whether the user may add to them.
    pub(super) users: bool,
}

/// The volume of the workload's certificates, if another than the agent keeps them.
const GKE_CERTIFICATES: &str = "gke-workload-certificate";

/// Where the volumes are mounted in the proxy.
pub(super) fn mounts(render: &Render<'_>, mounts: Mounts) -> Vec<Value> {
    let global = &render.values.global;
    let mut all = vec![mount(
        "workload-socket",
        "/var/run/secrets/workload-spiffe-uds",
    )];
    if mounts.envoy {
        all.push(mount(
            "credential-socket",
            "/var/run/secrets/credential-uds",
        ));
    }
    all.push(certificates_mount(render));
    if global.pilot_cert_provider == "istiod" {
        all.push(mount("istiod-ca-cert", "/var/run/secrets/istio"));
        if mounts.revocations {
            all.push(mount("istio-ca-crl", "/var/run/secrets/istio/crl"));
        }
    }
    all.push(mount("istio-data", "/var/lib/istio/data"));
    if mounts.envoy && render.pod.annotation(BOOTSTRAP_OVERRIDE).is_some() {
        all.push(mount(
            "custom-bootstrap-volume",
            "/etc/istio/custom-bootstrap",
        ));
    }
    all.push(mount(mounts.proxy, "/etc/istio/proxy"));
    all.push(mount("istio-token", "/var/run/secrets/tokens"));
    if global.mount_mtls_certs {
        let mut certificates = mount("istio-certs", "/etc/certs/");
        certificates["readOnly"] = true.into();
        all.push(certificates);
    }
    all.push(mount("istio-podinfo", "/etc/istio/pod"));
    if mounts.users {
        all.extend(of_user(render, "sidecar.istio.io/userVolumeMount"));
    }
    all
}

/// Where the workload's certificates are mounted.
pub(super) fn certificates_mount(render: &Render<'_>) -> Value {
    let path = "/var/run/secrets/workload-spiffe-credentials";
    if !is_gke(render) {
        return mount("workload-certs", path);
    }
    let mut certificates = mount(GKE_CERTIFICATES, path);
    certificates["readOnly"] = true.into();
    certificates
}

/// The volumes themselves.
pub(super) fn volumes(render: &Render<'_>, mounts: Mounts) -> Vec<Value> {
    let global = &render.values.global;
    let mut all = vec![empty("workload-socket")];
    if mounts.envoy {
        all.push(empty("credential-socket"));
    }
    all.push(if is_gke(render) {
        let driver = "workloadcertificates.security.cloud.google.com";
        json!({"name": GKE_CERTIFICATES, "csi": {"driver": driver}})
    } else {
        empty("workload-certs")
    });
    if let Some(name) = render.pod.annotation(BOOTSTRAP_OVERRIDE) {
        all.push(json!({"name": "custom-bootstrap-volume", "configMap": {"name": name}}));
    }
    all.push(json!({"name": mounts.proxy, "emptyDir": {"medium": "Memory"}}));
    all.push(empty("istio-data"));
    all.push(pod_info());
    all.push(token(&global.sds.token.aud));
    if global.pilot_cert_provider == "istiod" {
        all.push(roots(render));
    }
    if mounts.revocations {
        let name = or_default(&render.values.pilot.crl_config_map_name, "istio-ca-crl");
        all.push(json!({"name": "istio-ca-crl", "configMap": {"name": name, "optional": true}}));
    }
    if global.mount_mtls_certs {
        all.push(mtls_certificates(render));
    }
    if mounts.users {
        all.extend(of_user(render, "sidecar.istio.io/userVolume"));
    }
    all
}

/// The certificates of Lightstep's collector, if it is the tracer and is reached by TLS: the volume,
/// and where it is mounted.
pub(super) fn lightstep(render: &Render<'_>) -> Option<(Value, Value)> {
    let tracing = render.proxy.tracing.as_ref();
    let tls = tracing.and_then(|tracing| tracing.tls_settings.as_ref());
    let tls = tls.filter(|_| render.values.global.proxy.tracer == "lightstep")?;
    let name = "lightstep-certs";
    let file = tls.ca_certificates.as_str();
    let directory = file.rsplit_once('/').map(|(directory, _)| directory);
    let path = directory.map_or_else(String::new, |directory| format!("{directory}/"));
    let secret = json!({"optional": true, "secretName": "lightstep.cacert"});
    let mut mount = mount(name, &path);
    mount["readOnly"] = true.into();
    Some((json!({"name": name, "secret": secret}), mount))
}

fn is_gke(render: &Render<'_>) -> bool {
    render.values.global.ca_name == "GkeWorkloadCertificate"
}

/// Where a volume is mounted.
pub(super) fn mount(name: &str, path: &str) -> Value {
    json!({"name": name, "mountPath": path})
}

fn empty(name: &str) -> Value {
    json!({"name": name, "emptyDir": {}})
}

fn or_default<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.is_empty() { default } else { value }
}

/// The pod's own labels and annotations.
pub(super) fn pod_info() -> Value {
    let item = |path: &str| {
        let field = format!("metadata.{path}");
        json!({"path": path, "fieldRef": {"fieldPath": field}})
    };
    let items = [item("labels"), item("annotations")];
    json!({"name": "istio-podinfo", "downwardAPI": {"items": items}})
}

/// The token that proves to an authority who the pod is.
pub(super) fn token(audience: &str) -> Value {
    let token = json!({"path": "istio-token", "expirationSeconds": 43200, "audience": audience});
    let sources = [json!({"serviceAccountToken": token})];
    json!({"name": "istio-token", "projected": {"sources": sources}})
}

/// The roots by which istiod is verified.
pub(super) fn roots(render: &Render<'_>) -> Value {
    let name = &render.values.global.trust_bundle_name;
    let bundles = render
        .values
        .pilot
        .env
        .get("ENABLE_CLUSTER_TRUST_BUNDLE_API");
    if bundles != Some(&Value::Bool(true)) {
        let name = or_default(name, "istio-ca-root-cert");
        return json!({"name": "istiod-ca-cert", "configMap": {"name": name}});
    }
    let name = format!("istio.io:istiod-ca:{}", or_default(name, "root-cert"));
    let sources = [json!({"clusterTrustBundle": {"name": name, "path": "root-cert.pem"}})];
    json!({"name": "istiod-ca-cert", "projected": {"sources": sources}})
}

fn mtls_certificates(render: &Render<'_>) -> Value {
    let account = render
        .pod
        .spec("serviceAccountName")
        .and_then(Value::as_str);
    let account = or_default(account.unwrap_or_default(), "default");
    let secret = json!({"optional": true, "secretName": format!("istio.{account}")});
    json!({"name": "istio-certs", "secret": secret})
}

/// Volumes that an annotation of the pod lists, as a JSON object by their names.
pub(super) fn of_user(render: &Render<'_>, annotation: &str) -> Vec<Value> {
    let text = render.pod.annotation(annotation).unwrap_or_default();
    let all = serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let named = all.into_iter().map(|(name, mut value)| {
        if value.is_object() {
            value["name"] = name.into();
        }
        value
    });
    named.filter(Value::is_object).collect()
}
