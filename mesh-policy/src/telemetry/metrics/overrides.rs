//! Which metrics are kept, and with which labels: what Telemetry resources say.

use std::sync::Arc;

use mesh_core::model::Notice;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::{
    IstioMetric, Metrics, MetricsOverrides, TagOperation, TagOverride, Telemetry, WorkloadMode,
};

use super::labels::{Plan, Reporter};
use super::tags::TagValue;

/// The metrics, in the order in which they are written.
pub(super) const METRICS: [IstioMetric; 10] = [
    IstioMetric::RequestCount,
    IstioMetric::RequestDuration,
    IstioMetric::RequestSize,
    IstioMetric::ResponseSize,
    IstioMetric::GrpcRequestMessages,
    IstioMetric::GrpcResponseMessages,
    IstioMetric::TcpOpenedConnections,
    IstioMetric::TcpClosedConnections,
    IstioMetric::TcpSentBytes,
    IstioMetric::TcpReceivedBytes,
];

pub(super) fn is_tcp(metric: IstioMetric) -> bool {
    matches!(
        metric,
        IstioMetric::TcpOpenedConnections
            | IstioMetric::TcpClosedConnections
            | IstioMetric::TcpSentBytes
            | IstioMetric::TcpReceivedBytes
    )
}

/// The metrics that are kept, each with its labels, and the values of custom labels.
#[derive(Clone, Debug)]
pub(super) struct Plans {
    pub(super) metrics: Vec<(IstioMetric, Plan)>,
    pub(super) custom: Vec<TagValue>,
}

impl Default for Plans {
    fn default() -> Self {
        let metrics = METRICS.into_iter().map(|metric| {
            let plan = if is_tcp(metric) {
                Plan::tcp()
            } else {
                Plan::http()
            };
            (metric, plan)
        });
        Self {
            metrics: metrics.collect(),
            custom: Vec::new(),
        }
    }
}

impl Plans {
    /// What `telemetry` says, the more general first, for the end that `reporter` is.
    pub(super) fn compile(
        telemetry: &[Arc<Resource<Telemetry>>],
        reporter: Reporter,
    ) -> (Self, Vec<Notice>) {
        let (mut plans, mut notices) = (Self::default(), Vec::new());
        let mut disabled = Vec::new();
        for resource in telemetry {
            for (index, metrics) in resource.spec.metrics.iter().enumerate() {
                let Metrics {
                    providers,
                    overrides,
                    // TCP connections are counted as their bytes pass.
                    reporting_interval: _,
                } = metrics;
                let is_ours = |name: &str| name == "prometheus";
                if !providers.is_empty() && !providers.iter().any(|known| is_ours(&known.name)) {
                    notices.push(Notice {
                        origin: resource.origin(),
                        message: format!(
                            "metrics[{index}] names no provider but Prometheus is kept"
                        ),
                    });
                    continue;
                }
                for (number, change) in overrides.iter().enumerate() {
                    let place = format!("metrics[{index}].overrides[{number}]");
                    let problems = plans.apply(change, reporter, &mut disabled);
                    notices.extend(problems.into_iter().map(|problem| Notice {
                        origin: resource.origin(),
                        message: format!("{place}: {problem}"),
                    }));
                }
            }
        }
        plans
            .metrics
            .retain(|(metric, _)| !disabled.contains(metric));
        (plans, notices)
    }

    fn apply(
        &mut self,
        change: &MetricsOverrides,
        reporter: Reporter,
        disabled: &mut Vec<IstioMetric>,
    ) -> Vec<String> {
        let MetricsOverrides {
            r#match,
            disabled: is_disabled,
            tag_overrides,
        } = change;
        let mut problems = Vec::new();
        let selector = r#match.clone().unwrap_or_default();
        if let Some(name) = &selector.custom_metric {
            problems.push(format!(
                "the metric `{name}` is none of Istio's, and is not kept"
            ));
            return problems;
        }
        let is_mine = match selector.mode {
            WorkloadMode::ClientAndServer => true,
            WorkloadMode::Client => reporter == Reporter::Source,
            WorkloadMode::Server => reporter == Reporter::Destination,
        };
        if !is_mine {
            return problems;
        }
        let asked = selector.metric.unwrap_or_default();
        let matches = |metric| stands_for(asked, metric);
        match is_disabled {
            Some(true) => disabled.extend(METRICS.into_iter().filter(|metric| matches(*metric))),
            Some(false) => disabled.retain(|metric| !matches(*metric)),
            None => {}
        }
        for (name, tag) in tag_overrides {
            if let Err(expression) = self.apply_tag(asked, name, tag) {
                problems.push(format!(
                    "the value `{expression}` of the tag `{name}` is not supported, and the tag is left as it is"
                ));
            }
        }
        problems
    }

    /// Changes a tag of the metrics that `asked` stands for, or returns the value that is not
    /// understood.
    fn apply_tag<'a>(
        &mut self,
        asked: IstioMetric,
        name: &str,
        tag: &'a TagOverride,
    ) -> Result<(), &'a str> {
        let TagOverride { operation, value } = tag;
        let place = match (operation, value) {
            (Some(TagOperation::Remove), _) => None,
            (_, None) => return Ok(()),
            (_, Some(expression)) => {
                let parsed = TagValue::parse(expression).ok_or(expression.as_str())?;
                self.custom.push(parsed);
                Some(self.custom.len() - 1)
            }
        };
        let metrics = self.metrics.iter_mut();
        for (_, plan) in metrics.filter(|(metric, _)| stands_for(asked, *metric)) {
            match place {
                Some(place) => plan.upsert(name, place),
                None => plan.remove(name),
            }
        }
        Ok(())
    }
}

/// Whether `asked` stands for `metric`.
fn stands_for(asked: IstioMetric, metric: IstioMetric) -> bool {
    asked == IstioMetric::AllMetrics || asked == metric
}

#[cfg(test)]
mod tests {
    use mesh_core::origin::Source;
    use mesh_core::resource::Metadata;
    use serde_json::json;

    use super::*;

    fn compile(metrics: serde_json::Value, reporter: Reporter) -> (Plans, Vec<String>) {
        let mut spec = json!({});
        spec["metrics"] = metrics;
        let resource = Resource {
            metadata: Metadata::default(),
            spec: serde_json::from_value(spec).unwrap(),
            status: None,
            source: Source::unknown(),
        };
        let (plans, notices) = Plans::compile(&[Arc::new(resource)], reporter);
        (
            plans,
            notices.into_iter().map(|notice| notice.message).collect(),
        )
    }

    fn has(plans: &Plans, metric: IstioMetric, label: &str) -> Option<bool> {
        let (_, plan) = plans.metrics.iter().find(|(known, _)| *known == metric)?;
        Some(plan.names().any(|name| name == label))
    }

    #[test]
    fn metrics_are_disabled_for_the_side_that_is_named() {
        for (mode, source, destination) in [
            ("CLIENT", None, Some(true)),
            ("SERVER", Some(true), None),
            ("CLIENT_AND_SERVER", None, None),
        ] {
            let metrics = json!([{"overrides": [
                {"match": {"metric": "REQUEST_COUNT", "mode": mode}, "disabled": true},
            ]}]);
            for (reporter, expected) in [
                (Reporter::Source, source),
                (Reporter::Destination, destination),
            ] {
                let (plans, _) = compile(metrics.clone(), reporter);
                let found = has(&plans, IstioMetric::RequestCount, "reporter");
                assert_eq!(found, expected, "{mode} {reporter:?}");
                assert_eq!(
                    has(&plans, IstioMetric::RequestSize, "reporter"),
                    Some(true)
                );
            }
        }
    }

    #[test]
    fn a_later_override_can_enable_again() {
        let (plans, _) = compile(
            json!([{"overrides": [
                {"disabled": true},
                {"match": {"metric": "REQUEST_COUNT"}, "disabled": false},
            ]}]),
            Reporter::Source,
        );
        let kept: Vec<_> = plans.metrics.iter().map(|(metric, _)| *metric).collect();
        assert_eq!(kept, [IstioMetric::RequestCount]);
    }

    #[test]
    fn tags_are_removed_and_added_where_they_are_asked_for() {
        let (plans, notices) = compile(
            json!([{"overrides": [
                {"tagOverrides": {"source_app": {"operation": "REMOVE"}}},
                {"match": {"metric": "REQUEST_COUNT"}, "tagOverrides": {
                    "host": {"value": "request.host"},
                    "odd": {"value": "size(x)"},
                }},
            ]}]),
            Reporter::Source,
        );
        assert_eq!(
            has(&plans, IstioMetric::RequestSize, "source_app"),
            Some(false)
        );
        assert_eq!(has(&plans, IstioMetric::RequestSize, "host"), Some(false));
        assert_eq!(has(&plans, IstioMetric::RequestCount, "host"), Some(true));
        assert_eq!(has(&plans, IstioMetric::RequestCount, "odd"), Some(false));
        assert_eq!(notices.len(), 1);
        assert!(notices[0].contains("`size(x)`"), "{notices:?}");
    }
}
