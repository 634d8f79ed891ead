//! What validation says, as messages.

use std::sync::Arc;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::Report;
use crate::resource::{Object, Resource};
use crate::validate::validate;

/// Istio's resources have to be valid. Objects of the Gateway API and of Kubernetes are validated
/// by their own definitions.
pub(super) fn validation<S>(
    resources: &[Arc<Resource<S>>],
    object: fn(Arc<Resource<S>>) -> Object,
    report: &mut Report,
) {
    for violation in resources
        .iter()
        .cloned()
        .map(object)
        .flat_map(|object| validate(&object))
    {
        let code = Code::find(violation.code()).unwrap_or(Code::SchemaValidationError);
        match code {
            Code::SchemaValidationError | Code::SchemaWarning => {
                report.push(violation.origin, code, &[&violation.message]);
            }
            _ => report.verbatim(violation.origin, code, violation.message),
        }
    }
}
