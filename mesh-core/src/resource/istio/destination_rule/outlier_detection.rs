//! Ejection of failing endpoints. Source: message `OutlierDetection`.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;

/// When an endpoint that fails is left alone, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// Gateway errors in a row that eject an endpoint. Deprecated: the counts below take its place.
    #[serde(skip_serializing_if = "is_default")]
    pub consecutive_errors: i32,
    /// Counts failures to connect apart from errors that the endpoint answers. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub split_external_local_origin_errors: bool,
    /// Failures to connect in a row that eject an endpoint; needs the field above. Default: 5.
    #[serde(skip_serializing_if = "is_default")]
    pub consecutive_local_origin_failures: Option<u32>,
    /// Statuses 502, 503 or 504 in a row that eject an endpoint. Default, and 0: never.
    #[serde(skip_serializing_if = "is_default")]
    pub consecutive_gateway_errors: Option<u32>,
    /// Statuses of 500 and above in a row that eject an endpoint; 0: never. Default: 5.
    #[serde(skip_serializing_if = "is_default")]
    pub consecutive_5xx_errors: Option<u32>,
    /// Time between decisions. Default: 10 s.
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Duration>,
    /// Shortest ejection, which is multiplied by the number of ejections so far. Default: 30 s.
    #[serde(skip_serializing_if = "is_default")]
    pub base_ejection_time: Option<Duration>,
    /// Most endpoints that may be ejected, as a percentage. Default, and 0: 10.
    #[serde(skip_serializing_if = "is_default")]
    pub max_ejection_percent: i32,
    /// Percentage of healthy endpoints below which health no longer counts. Default: 0, it always
    /// counts.
    #[serde(skip_serializing_if = "is_default")]
    pub min_health_percent: i32,
    /// Statuses that count as errors, from 100 to 599. Default: 500 and above.
    #[serde(skip_serializing_if = "is_default")]
    pub outlier_detection_http_error_codes: Vec<u32>,
}
