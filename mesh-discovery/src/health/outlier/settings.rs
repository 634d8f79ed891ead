use std::time::Duration;

use mesh_core::duration;
use mesh_core::resource::istio::destination_rule::OutlierDetection;

/// The longest ejection (Envoy's `max_ejection_time`, which Istio does not set).
const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);

/// When an endpoint is ejected, and for how long. Istio's `outlierDetection`, with its defaults
/// filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutlierSettings {
    /// Errors in a row that eject; 0 is never. Default: 5.
    pub consecutive_5xx: u32,
    /// Gateway errors (502, 503, 504) in a row that eject; 0 is never, the default.
    pub consecutive_gateway_errors: u32,
    /// Failures to connect to the endpoint, or to be answered by it in time, in a row that eject; 0 is
    /// never. Counts only where they are split. Default: 5, also where 0 is written.
    pub consecutive_local_origin_failures: u32,
    /// Whether failures to reach the endpoint are counted apart. Default: they count as errors.
    pub split_local_origin: bool,
    /// Time between decisions that let endpoints return. Default: 10 s.
    pub interval: Duration,
    /// How long a first ejection takes. Default: 30 s.
    pub base_ejection_time: Duration,
    /// Most endpoints that are ejected at a time, in percent. Default: 10.
    pub max_ejection_percent: u32,
    /// Statuses that are errors where HTTP other than gRPC is answered. Empty: those from 500 on, the
    /// default.
    pub error_codes: Vec<u16>,
}

impl OutlierSettings {
    /// What a DestinationRule's `outlierDetection` amounts to.
    pub fn compile(settings: &OutlierDetection) -> Self {
        let OutlierDetection {
            // Deprecated and without effect, as in Istio.
            consecutive_errors: _,
            split_external_local_origin_errors,
            consecutive_local_origin_failures,
            consecutive_gateway_errors,
            consecutive_5xx_errors,
            interval,
            base_ejection_time,
            max_ejection_percent,
            // The panic threshold of the balancer.
            min_health_percent: _,
            outlier_detection_http_error_codes,
        } = settings;
        let codes = outlier_detection_http_error_codes.iter();
        Self {
            consecutive_5xx: consecutive_5xx_errors.unwrap_or(5),
            consecutive_gateway_errors: consecutive_gateway_errors.unwrap_or(0),
            consecutive_local_origin_failures: consecutive_local_origin_failures
                .filter(|failures| *failures > 0)
                .unwrap_or(5),
            split_local_origin: *split_external_local_origin_errors,
            interval: time(*interval, Duration::from_secs(10)),
            base_ejection_time: time(*base_ejection_time, Duration::from_secs(30)),
            max_ejection_percent: match u32::try_from(*max_ejection_percent) {
                Ok(0) | Err(_) => 10,
                Ok(percent) => percent.min(100),
            },
            error_codes: codes.filter_map(|code| u16::try_from(*code).ok()).collect(),
        }
    }

    /// Whether a status is an error.
    pub fn is_error(&self, status: u16) -> bool {
        if self.error_codes.is_empty() {
            (500..600).contains(&status)
        } else {
            self.error_codes.contains(&status)
        }
    }

    /// How long the ejection takes that brings the number of ejections to `backoff`.
    pub(super) fn ejection_time(&self, backoff: u32) -> Duration {
        let time = self.base_ejection_time.saturating_mul(backoff);
        time.min(self.max_ejection_time())
    }

    /// The longest ejection: 300 s, or the first one if that is longer.
    pub(super) fn max_ejection_time(&self) -> Duration {
        self.base_ejection_time.max(MAX_EJECTION_TIME)
    }
}

/// A time above zero, else the default. An interval of zero would never end.
fn time(written: Option<duration::Duration>, default: Duration) -> Duration {
    let written = written.and_then(|time| time.as_std());
    written.filter(|time| !time.is_zero()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_istios() {
        let settings = OutlierSettings::compile(&OutlierDetection::default());
        let expected = OutlierSettings {
            consecutive_5xx: 5,
            consecutive_gateway_errors: 0,
            consecutive_local_origin_failures: 5,
            split_local_origin: false,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_percent: 10,
            error_codes: Vec::new(),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_is_written_counts() {
        let written = r#"{
            "consecutive5xxErrors": 0, "consecutiveGatewayErrors": 3, "interval": "1s",
            "baseEjectionTime": "400s", "maxEjectionPercent": 100,
            "splitExternalLocalOriginErrors": true, "consecutiveLocalOriginFailures": 2,
            "outlierDetectionHttpErrorCodes": [429, 503]
        }"#;
        let settings = OutlierSettings::compile(&serde_json::from_str(written).unwrap());
        assert_eq!(settings.consecutive_5xx, 0);
        assert_eq!(settings.consecutive_gateway_errors, 3);
        assert_eq!(settings.consecutive_local_origin_failures, 2);
        assert_eq!(settings.interval, Duration::from_secs(1));
        assert_eq!(settings.ejection_time(7), Duration::from_secs(400));
        assert_eq!(settings.max_ejection_percent, 100);
        let errors = [429, 500, 503].map(|status| settings.is_error(status));
        assert_eq!(errors, [true, false, true]);

        let written = r#"{"consecutiveLocalOriginFailures": 0}"#;
        let settings = OutlierSettings::compile(&serde_json::from_str(written).unwrap());
        assert_eq!(settings.consecutive_local_origin_failures, 5);
    }

    #[test]
    fn an_ejection_takes_300_seconds_at_most() {
        let settings = OutlierSettings::compile(&OutlierDetection::default());
        let times = [1, 2, 9, 10, 11, u32::MAX].map(|number| settings.ejection_time(number));
        assert_eq!(
            times.map(|time| time.as_secs()),
            [30, 60, 270, 300, 300, 300]
        );
    }
}
