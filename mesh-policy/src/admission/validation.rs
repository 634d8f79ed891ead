//! Whether a resource is admitted: the validating webhook.
//!
//! The object is read and checked as a file is, by `mesh_core::parse` and `mesh_core::validate`:
//! problems and errors refuse it, warnings are told to whoever applies it. What is deleted is not
//! looked at.
//!
//! # Example
//!
//! ```
//! use mesh_policy::admission::validation::validate;
//! use serde_json::json;
//!
//! let gateway = json!({
//!     "apiVersion": "networking.istio.io/v1",
//!     "kind": "Gateway",
//!     "metadata": {"name": "shop", "namespace": "shop"},
//!     "spec": {"servers": [{"port": {"number": 0, "name": "http", "protocol": "HTTP"}}]},
//! });
//! let review = json!({
//!     "apiVersion": "admission.k8s.io/v1",
//!     "kind": "AdmissionReview",
//!     "request": {"uid": "7", "operation": "CREATE", "object": gateway},
//! });
//! let answer = validate(review.to_string().as_bytes())?;
//! assert!(!answer.allowed);
//! assert!(answer.message.contains("spec.servers[0]"), "{}", answer.message);
//! # Ok::<(), mesh_policy::admission::review::ReviewError>(())
//! ```

use mesh_core::parse::{Limits, parse};

use super::review::{AdmissionRequest, AdmissionResponse, ReviewError};

/// Answers a review of a resource.
///
/// # Errors
///
/// It is no review. A resource that is not valid is refused instead.
pub fn validate(review: &[u8]) -> Result<AdmissionResponse, ReviewError> {
    let request = AdmissionRequest::parse(review)?;
    if request.object.is_null() {
        return Ok(AdmissionResponse::allow(&request));
    }
    let parsed = parse("object", &request.object.to_string(), &Limits::default());
    let violations = parsed
        .objects
        .iter()
        .flat_map(mesh_core::validate::validate);
    let (errors, warnings): (Vec<_>, Vec<_>) = violations.partition(|found| found.is_error());
    let problems = parsed.problems.iter().map(ToString::to_string);
    let errors = errors.iter().map(ToString::to_string);
    let refusals: Vec<_> = problems.chain(errors).collect();
    if !refusals.is_empty() {
        return Ok(AdmissionResponse::deny(&request, refusals.join("\n")));
    }
    Ok(AdmissionResponse {
        warnings: warnings.iter().map(ToString::to_string).collect(),
        ..AdmissionResponse::allow(&request)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(object: &Value) -> AdmissionResponse {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {"uid": "7", "object": object},
        });
        validate(review.to_string().as_bytes()).unwrap()
    }

    fn virtual_service(spec: &Value) -> Value {
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "cart", "namespace": "shop"},
            "spec": spec,
        })
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let answer = answer(&virtual_service(&json!({"hosts": ["cart"], "htpp": []})));
        assert!(!answer.allowed);
        assert!(
            answer.message.contains("did you mean `http`?"),
            "{}",
            answer.message
        );
    }

    #[test]
    fn a_warning_is_told_and_does_not_refuse() {
        let route = json!({"route": [{"destination": {"host": "cart"}}]});
        let answer = answer(&virtual_service(
            &json!({"hosts": ["cart"], "http": [route, route]}),
        ));
        assert!(answer.allowed, "{}", answer.message);
        assert_eq!(answer.warnings.len(), 1, "{:?}", answer.warnings);
    }

    #[test]
    fn what_is_deleted_is_not_looked_at() {
        assert!(answer(&Value::Null).allowed);
    }
}
