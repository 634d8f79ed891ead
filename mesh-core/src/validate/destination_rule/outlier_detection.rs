//! When an endpoint is left alone.

use crate::resource::istio::destination_rule::OutlierDetection;
use crate::validate::{At, duration};

/// Checks when an endpoint is left alone (`validateOutlierDetection`).
pub fn validate_outlier_detection(detection: &OutlierDetection, at: At<'_>) {
    validate_ejection(detection, at);
    if detection.consecutive_errors != 0 {
        at.field("consecutiveErrors")
            .warning("`consecutiveErrors` is deprecated")
            .help("use `consecutiveGatewayErrors` or `consecutive5xxErrors`");
    }
    let codes = &detection.outlier_detection_http_error_codes;
    at.field("outlierDetectionHttpErrorCodes")
        .each(codes, |code, at| {
            if !(100..600).contains(code) {
                at.error(format_args!("HTTP status `{code}` is not from 100 to 599"));
            }
        });
}

/// Checks what Istio checks in the policy of a MeshConfig as well, which has no schema.
pub(in crate::validate) fn validate_ejection(detection: &OutlierDetection, at: At<'_>) {
    duration::validate_optional(detection.base_ejection_time, at.field("baseEjectionTime"));
    duration::validate_optional(detection.interval, at.field("interval"));
    let local_failures = detection.consecutive_local_origin_failures.unwrap_or(0);
    if local_failures > 0 && !detection.split_external_local_origin_errors {
        at.field("consecutiveLocalOriginFailures")
            .error("local failures are not counted apart")
            .help("set `splitExternalLocalOriginErrors` to true");
    }
    for (field, percent) in [
        ("maxEjectionPercent", detection.max_ejection_percent),
        ("minHealthPercent", detection.min_health_percent),
    ] {
        if !(0..=100).contains(&percent) {
            at.field(field)
                .error(format_args!("percentage `{percent}` is not from 0 to 100"));
        }
    }
}
