//! AdmissionReview: what the API server asks, and what it is answered.
//!
//! [`admission.k8s.io/v1`], as bytes in and bytes out: whoever serves HTTPS hands the body of a
//! request to [`Webhook::mutate`] or [`validate`](super::validation::validate), and sends what
//! comes back.
//!
//! [`admission.k8s.io/v1`]: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
//!
//! # Example
//!
//! ```
//! use mesh_policy::admission::review::Webhook;
//! use mesh_policy::admission::Injector;
//! use serde_json::json;
//!
//! let injector = Injector::new(Default::default(), Default::default());
//! let webhook = Webhook::new(injector, Default::default());
//! let review = json!({
//!     "apiVersion": "admission.k8s.io/v1",
//!     "kind": "AdmissionReview",
//!     "request": {
//!         "uid": "7",
//!         "namespace": "shop",
//!         "object": {"metadata": {"name": "cart"}, "spec": {"containers": [{"name": "cart"}]}},
//!     },
//! });
//! let answer = webhook.mutate(review.to_string().as_bytes())?;
//! assert!(answer.allowed);
//! assert_eq!(answer.to_json()["response"]["patchType"], "JSONPatch");
//! # Ok::<(), mesh_policy::admission::review::ReviewError>(())
//! ```

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Deserialize;
use serde_json::{Value, json};

use super::decision::{InjectionPolicy, Verdict};
use super::injector::{Injector, Placement};
use super::owner::Owner;
use super::pod::Pod;
use super::workload;

/// The version of AdmissionReview that is spoken.
const API_VERSION: &str = "admission.k8s.io/v1";

/// Most bytes of a review that are read: twice what the API server takes for an object.
pub const MAX_BYTES: usize = 6 * 1024 * 1024;

/// What the API server asks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionRequest {
    /// Identifies the question. The answer repeats it.
    pub uid: String,
    /// Namespace of the object.
    pub namespace: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// The object as it shall be; null when it is deleted.
    pub object: Value,
}

impl AdmissionRequest {
    /// Reads a review.
    ///
    /// # Errors
    ///
    /// It is too long, no JSON, of another version, or asks nothing.
    pub fn parse(review: &[u8]) -> Result<Self, ReviewError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Review {
            #[serde(default)]
            api_version: String,
            #[serde(default)]
            kind: String,
            request: Option<AdmissionRequest>,
        }
        if review.len() > MAX_BYTES {
            return Err(ReviewError::TooLong);
        }
        let review: Review = serde_json::from_slice(review).map_err(|error| ReviewError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        if review.api_version != API_VERSION || review.kind != "AdmissionReview" {
            return Err(ReviewError::Version {
                api_version: review.api_version,
                kind: review.kind,
            });
        }
        review.request.ok_or(ReviewError::NoRequest)
    }
}

/// What the API server is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionResponse {
    /// The question's identifier.
    pub uid: String,
    /// Whether the object is admitted.
    pub allowed: bool,
    /// Why it is not.
    pub message: String,
    /// What the user is told although it is.
    pub warnings: Vec<String>,
    /// What the API server's audit log says of the answer, each under the name of the webhook and a
    /// key.
    pub audit_annotations: BTreeMap<String, String>,
    /// How the object is changed first. Empty leaves it.
    pub patch: Patch,
}

impl AdmissionResponse {
    /// The object is admitted as it is.
    pub fn allow(request: &AdmissionRequest) -> Self {
        Self {
            uid: request.uid.clone(),
            allowed: true,
            message: String::new(),
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
            patch: Patch::default(),
        }
    }

    /// The object is refused.
    pub fn deny(request: &AdmissionRequest, message: impl Into<String>) -> Self {
        Self {
            allowed: false,
            message: message.into(),
            ..Self::allow(request)
        }
    }

    /// The review to send.
    pub fn to_json(&self) -> Value {
        let mut response = json!({"uid": self.uid, "allowed": self.allowed});
        if !self.allowed {
            response["status"] = json!({"message": self.message});
        }
        if !self.warnings.is_empty() {
            response["warnings"] = json!(self.warnings);
        }
        if !self.audit_annotations.is_empty() {
            response["auditAnnotations"] = json!(self.audit_annotations);
        }
        if !self.patch.0.is_empty() {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = STANDARD.encode(json!(self.patch).to_string()).into();
        }
        json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})
    }
}

/// Why a review cannot be answered. The API server gets `400` for it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// It is no JSON, or not of the form of a review.
    #[error("{line}:{column}: the body is no AdmissionReview")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It asks nothing.
    #[error("the review has no request")]
    NoRequest,
    /// It is longer than [`MAX_BYTES`].
    #[error("the review is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// It is of another kind or version.
    #[error(
        "`{kind}` of `{api_version}` is not supported, `AdmissionReview` of `{API_VERSION}` is"
    )]
    Version {
        /// The version, as written.
        api_version: String,
        /// The kind, as written.
        kind: String,
    },
}

/// The webhook that adds sidecars.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    injector: Injector,
    policy: InjectionPolicy,
    cluster: String,
    network: String,
}

impl Webhook {
    /// A webhook that injects by `policy`.
    pub fn new(injector: Injector, policy: InjectionPolicy) -> Self {
        Self {
            injector,
            policy,
            cluster: String::new(),
            network: String::new(),
        }
    }

    /// The cluster and the network of the pods, which istiod takes from the webhook's path
    /// (`/inject/cluster/C/net/N`). Empty leaves them to the values.
    #[must_use]
    pub fn with_place(self, cluster: impl Into<String>, network: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            network: network.into(),
            ..self
        }
    }

    /// Answers a review of a pod. Audit annotations say whether it gets a sidecar (`inject`) and what
    /// has decided it (`reason`).
    ///
    /// A pod that has been injected stays as it is. As in Istio, that does not hold of one that has
    /// a container `istio-proxy` of its own: what it says there is laid over the sidecar each time.
    ///
    /// # Errors
    ///
    /// It is no review. A pod that cannot be injected is refused instead.
    pub fn mutate(&self, review: &[u8]) -> Result<AdmissionResponse, ReviewError> {
        let request = AdmissionRequest::parse(review)?;
        let mut before = request.object.clone();
        if !before.is_object() {
            return Ok(AdmissionResponse::allow(&request));
        }
        if let Some(metadata) = before.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            metadata
                .entry("namespace")
                .or_insert_with(|| request.namespace.clone().into());
        }
        let pod = Pod::new(before);
        let verdict = workload::decide(&self.policy, &pod, &request.namespace);
        let mut answer = match verdict.inject {
            true => self.inject(&request, &pod),
            false => AdmissionResponse::allow(&request),
        };
        answer.audit_annotations = annotations(verdict);
        Ok(answer)
    }

    fn inject(&self, request: &AdmissionRequest, pod: &Pod) -> AdmissionResponse {
        let placement = Placement {
            cluster: &self.cluster,
            network: &self.network,
            proxy_config: None,
        };
        let injected = self.injector.inject(pod, &Owner::of(pod), placement);
        match injected {
            Ok(injected) => AdmissionResponse {
                patch: json_patch::diff(pod.value(), injected.value()),
                ..AdmissionResponse::allow(request)
            },
            Err(error) => AdmissionResponse::deny(request, error.to_string()),
        }
    }
}

/// What the audit log says of a decision.
fn annotations(verdict: Verdict) -> BTreeMap<String, String> {
    let Verdict { inject, reason } = verdict;
    let said = [
        ("inject", inject.to_string()),
        ("reason", reason.to_string()),
    ];
    said.map(|(key, value)| (key.to_owned(), value)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(object: &Value) -> Vec<u8> {
        let request = json!({"uid": "7", "namespace": "shop", "object": object});
        let review = json!({
            "apiVersion": API_VERSION,
            "kind": "AdmissionReview",
            "request": request,
        });
        review.to_string().into_bytes()
    }

    fn webhook() -> Webhook {
        let injector = Injector::new(Default::default(), Default::default());
        Webhook::new(injector, InjectionPolicy::default())
    }

    fn pod() -> Value {
        json!({
            "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"containers": [{"name": "cart", "image": "cart:1"}]},
        })
    }

    #[test]
    fn the_patch_makes_the_pod_into_the_injected_one() {
        let answer = webhook().mutate(&review(&pod())).unwrap();
        let mut patched = pod();
        json_patch::patch(&mut patched, &answer.patch).unwrap();
        assert_eq!(patched["spec"]["initContainers"][1]["name"], "istio-proxy");
        assert_eq!(
            patched["metadata"]["labels"]["security.istio.io/tlsMode"],
            "istio"
        );
        assert_eq!(answer.to_json()["response"]["uid"], "7");
    }

    #[test]
    fn injecting_an_injected_pod_changes_nothing() {
        let mut injected = pod();
        let first = webhook().mutate(&review(&injected)).unwrap();
        json_patch::patch(&mut injected, &first.patch).unwrap();
        let second = webhook().mutate(&review(&injected)).unwrap();
        assert_eq!(second.patch, Patch::default());
    }

    #[test]
    fn a_pod_that_wants_no_sidecar_is_admitted_as_it_is() {
        let mut pod = pod();
        pod["metadata"]["labels"] = json!({"sidecar.istio.io/inject": "false"});
        let answer = webhook().mutate(&review(&pod)).unwrap();
        assert_eq!(
            answer.to_json()["response"],
            json!({"uid": "7", "allowed": true, "auditAnnotations": {
                "inject": "false",
                "reason": "the label `sidecar.istio.io/inject` of the pod says so",
            }})
        );
    }

    #[test]
    fn the_audit_log_is_told_why_a_pod_gets_a_sidecar() {
        let answer = webhook().mutate(&review(&pod())).unwrap();
        let said = &answer.to_json()["response"]["auditAnnotations"];
        let reason = "it is the default policy";
        assert_eq!(*said, json!({"inject": "true", "reason": reason}));
    }

    #[test]
    fn a_pod_whose_annotations_cannot_be_meant_is_refused() {
        let mut pod = pod();
        pod["metadata"]["annotations"] = json!({"status.sidecar.istio.io/port": "none"});
        let answer = webhook().mutate(&review(&pod)).unwrap();
        assert!(!answer.allowed);
        assert!(
            answer.message.contains("status.sidecar.istio.io/port"),
            "{}",
            answer.message
        );
    }

    #[test]
    fn other_questions_are_refused() {
        let cases: [(&[u8], &str); 4] = [
            (b"nonsense", "1:2: the body is no AdmissionReview"),
            (
                br#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}"#,
                "`AdmissionReview` of `admission.k8s.io/v1beta1` is not supported, \
                 `AdmissionReview` of `admission.k8s.io/v1` is",
            ),
            (
                br#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#,
                "the review has no request",
            ),
            (
                &[b' '; MAX_BYTES + 1],
                "the review is longer than 6291456 bytes",
            ),
        ];
        for (body, message) in cases {
            assert_eq!(
                AdmissionRequest::parse(body).unwrap_err().to_string(),
                message
            );
        }
    }

    #[test]
    fn a_pod_of_the_wrong_form_is_answered() {
        let objects = [
            json!(null),
            json!([]),
            json!({"metadata": 1, "spec": "x"}),
            json!({"metadata": {"annotations": [], "labels": 3}, "spec": {"containers": {}}}),
            json!({"spec": {"containers": [1, null, {"name": 7}, {"name": "a", "ports": 3}]}}),
        ];
        for mut object in objects {
            let answer = webhook().mutate(&review(&object)).unwrap();
            assert!(answer.allowed, "{object}");
            json_patch::patch(&mut object, &answer.patch.0).unwrap();
        }
    }
}
