//! AdmissionReviews: what is injected into a pod can be applied to it, and is injected once.

use mesh_policy::admission::Injector;
use mesh_policy::admission::review::{AdmissionRequest, AdmissionResponse, Webhook};
use mesh_policy::admission::validation::validate;
use serde_json::{Value, json};

use super::Target;

pub(crate) const TARGET: Target = Target {
    name: "reviews",
    seeds: &[
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7","namespace":"shop","operation":"CREATE","object":{"metadata":{"name":"cart","labels":{"app":"cart"}},"spec":{"containers":[{"name":"cart","ports":[{"containerPort":8080}],"readinessProbe":{"httpGet":{"path":"/ready","port":8080}}}]}}}}"#,
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7","object":{"metadata":{"annotations":{"sidecar.istio.io/inject":"true","inject.istio.io/templates":"gateway","proxy.istio.io/config":"{concurrency: 2}","traffic.sidecar.istio.io/excludeInboundPorts":"80,81"}},"spec":{"containers":[{"name":"istio-proxy","image":"auto"}],"volumes":[],"securityContext":{"fsGroup":1}}}}}"#,
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7","operation":"UPDATE","object":{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"hosts":["a"],"http":[{"route":[{"destination":{"host":"a"}}]}]}}}}"#,
        r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":null}"#,
    ],
    dictionary: &[
        "\"sidecar.istio.io/inject\":\"false\"",
        "\"hostNetwork\":true",
        "\"initContainers\":[]",
        "\"tcpSocket\":{\"port\":\"http\"}",
        "\"grpc\":{\"port\":9000}",
        "\"metadata\":{}",
        "\"spec\":null",
        "\"containers\":[{}]",
        "null",
        "{}",
        "[]",
        "-1",
        "65536",
    ],
    start: || {
        let injector = Injector::new(Default::default(), Default::default());
        let webhook = Webhook::new(injector, Default::default());
        Box::new(move |input| {
            let _ = validate(input);
            if let (Ok(request), Ok(response)) =
                (AdmissionRequest::parse(input), webhook.mutate(input))
            {
                is_final(&webhook, request, &response);
            }
        })
    },
};

/// A pod that is changed as it is answered is not changed again. One whose own containers adjust
/// those of the template is: Istio applies them at the first injection only.
fn is_final(webhook: &Webhook, request: AdmissionRequest, response: &AdmissionResponse) {
    if !response.allowed || response.patch.0.is_empty() {
        return;
    }
    let mut pod = request.object;
    json_patch::patch(&mut pod, &response.patch.0).expect("the patch applies to the pod");
    if !pod["metadata"]["annotations"]["proxy.istio.io/overrides"].is_null() {
        return;
    }
    let again = review(&request.namespace, &pod);
    let again = webhook.mutate(again.to_string().as_bytes());
    let again = again.expect("a pod that was changed is still one");
    assert!(again.allowed, "{}", again.message);
    assert!(again.patch.0.is_empty(), "{:?}", again.patch);
}

fn review(namespace: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "8", "namespace": namespace, "object": pod},
    })
}
