//! Slow start: a new endpoint gets its share of the load little by little.
//!
//! While an endpoint is younger than the window, its weight is multiplied by
//! `max(minimum, (age / window) ^ (1 / aggression))`. It applies to `ROUND_ROBIN` and
//! `LEAST_REQUEST` only. (Envoy's [slow start]; Istio's `warmup`.)
//!
//! [slow start]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mesh_discovery::balance::slow_start::SlowStart;
//!
//! let warmup = SlowStart::new(Duration::from_secs(60));
//! assert_eq!(warmup.factor(Duration::from_secs(3)), 0.1, "never less than 10 %");
//! assert_eq!(warmup.factor(Duration::from_secs(30)), 0.5);
//! assert_eq!(warmup.factor(Duration::from_secs(60)), 1.0);
//! ```

use std::time::Duration;

use mesh_core::resource::istio::destination_rule::{LoadBalancerSettings, WarmupConfiguration};

/// How the weight of a new endpoint grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    window: Duration,
    minimum: f64,
    aggression: f64,
}

impl SlowStart {
    /// Grows linearly within `window`, from 10 %.
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            minimum: 0.1,
            aggression: 1.0,
        }
    }

    /// Begins with `minimum`, from 0 to 1.
    #[must_use]
    pub fn with_minimum(self, minimum: f64) -> Self {
        let minimum = minimum.clamp(0.0, 1.0);
        Self { minimum, ..self }
    }

    /// Grows as the root of the age to this degree: above 1 faster at first. Values that are not
    /// above 0 count as 1, as in Envoy.
    #[must_use]
    pub fn with_aggression(self, aggression: f64) -> Self {
        let aggression = if aggression > 0.0 { aggression } else { 1.0 };
        Self { aggression, ..self }
    }

    /// What a DestinationRule's `warmup` asks for, or its deprecated `warmupDurationSecs`. `None`
    /// if it has no duration.
    pub fn compile(settings: &LoadBalancerSettings) -> Option<Self> {
        let Some(warmup) = &settings.warmup else {
            let window = settings.warmup_duration_secs?.as_std()?;
            return (!window.is_zero()).then(|| Self::new(window));
        };
        let WarmupConfiguration {
            duration,
            minimum_percent,
            aggression,
        } = warmup;
        let window = duration
            .and_then(|window| window.as_std())
            .filter(|window| !window.is_zero())?;
        let warmup = Self::new(window)
            .with_minimum(minimum_percent.unwrap_or(10.0) / 100.0)
            .with_aggression(aggression.unwrap_or(1.0));
        Some(warmup)
    }

    /// How long an endpoint is new.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// The part of its weight that an endpoint of this age has.
    pub fn factor(&self, age: Duration) -> f64 {
        if age >= self.window {
            return 1.0;
        }
        // Envoy counts whole milliseconds, and at least one.
        let age = age.as_millis().max(1) as f64;
        let time = age / self.window.as_millis().max(1) as f64;
        let grown = if self.aggression == 1.0 {
            time
        } else {
            time.powf(1.0 / self.aggression)
        };
        grown.max(self.minimum).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_grows_as_envoy_documents() {
        let minute = SlowStart::new(Duration::from_secs(60));
        let cases = [
            ("linear", minute, 15, 0.25),
            ("aggressive", minute.with_aggression(2.0), 15, 0.5),
            ("late", minute.with_aggression(0.5), 30, 0.25),
            ("least", minute.with_minimum(0.2), 6, 0.2),
            ("invalid", minute.with_aggression(-1.0), 15, 0.25),
            ("over", minute.with_aggression(0.5), 61, 1.0),
        ];
        for (name, warmup, age, factor) in cases {
            let actual = warmup.factor(Duration::from_secs(age));
            assert!((actual - factor).abs() < 1e-9, "{name}: {actual}");
        }
    }

    #[test]
    fn warmup_is_read_with_istios_defaults() {
        let parse = |text: &str| serde_json::from_str::<LoadBalancerSettings>(text).unwrap();
        let minute = SlowStart::new(Duration::from_secs(60));
        let cases = [
            (r#"{"warmup": {"duration": "60s"}}"#, Some(minute)),
            (r#"{"warmupDurationSecs": "60s"}"#, Some(minute)),
            (
                r#"{"warmup": {"duration": "60s", "minimumPercent": 2, "aggression": 5.5}}"#,
                Some(minute.with_minimum(0.02).with_aggression(5.5)),
            ),
            (r#"{"warmup": {}}"#, None),
            ("{}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(SlowStart::compile(&parse(text)), expected, "{text}");
        }
    }
}
