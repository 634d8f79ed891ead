//! Which metrics are kept, and with which labels: what Telemetry resources say.

use std::sync::Arc;

use mesh_core::config::options::MeshOptions;
use mesh_core::model::Notice;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::{
    IstioMetric, MetricsOverrides, TagOperation, TagOverride, Telemetry, WorkloadMode,
};

use super::labels::{Plan, Reporter};
use super::providers::entries;
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
    /// What `telemetry` says, the more general first, for the end that `reporter` is; `None` if no
    /// metrics are kept.
    pub(super) fn compile(
        telemetry: &[Arc<Resource<Telemetry>>],
        mesh: &MeshOptions,
        reporter: Reporter,
    ) -> (Option<Self>, Vec<Notice>) {
        let (entries, mut notices) = entries(telemetry, mesh);
        let Some(entries) = entries else {
            return (None, notices);
        };
        let mut merged = Merged::default();
        for entry in entries {
            // TCP connections are counted as their bytes pass, whatever `reportingInterval` is.
            for (number, change) in entry.metrics.overrides.iter().enumerate() {
                for problem in merged.apply(change, reporter) {
                    notices.push(entry.notice(format!("overrides[{number}]: {problem}")));
                }
            }
        }
        (Some(merged.finish()), notices)
    }
}

/// What the changes have made of all metrics so far.
#[derive(Debug, Default)]
struct Merged {
    plans: Plans,
    disabled: Vec<IstioMetric>,
    /// Whether none is kept, because all were disabled at once. Whatever is changed afterwards puts
    /// an end to that.
    is_off: bool,
}

impl Merged {
    /// Returns what of `change` is not done.
    fn apply(&mut self, change: &MetricsOverrides, reporter: Reporter) -> Vec<String> {
        let MetricsOverrides {
            r#match,
            disabled,
            tag_overrides,
        } = change;
        let selector = r#match.clone().unwrap_or_default();
        let is_mine = match selector.mode {
            WorkloadMode::ClientAndServer => true,
            WorkloadMode::Client => reporter == Reporter::Source,
            WorkloadMode::Server => reporter == Reporter::Destination,
        };
        if !is_mine {
            return Vec::new();
        }
        let asked = match &selector.custom_metric {
            None => selector.metric.unwrap_or_default(),
            Some(name) => match named(name) {
                Some(metric) => metric,
                None => return vec![format!("the metric `{name}` is none of Istio's")],
            },
        };
        if asked == IstioMetric::AllMetrics && *disabled == Some(true) {
            self.is_off = true;
            let tags = tag_overrides.keys();
            return tags
                .map(|name| format!("the tag `{name}` is left as it is, since no metric is kept"))
                .collect();
        }
        self.is_off = false;
        match disabled {
            Some(true) => self.disabled.push(asked),
            Some(false) => self.disabled.retain(|metric| !stands_for(asked, *metric)),
            None => {}
        }
        let tags = tag_overrides.iter();
        tags.filter_map(|(name, tag)| self.apply_tag(asked, name, tag).err())
            .collect()
    }

    /// Changes a tag of the metrics that `asked` stands for, or returns why it does not.
    fn apply_tag(
        &mut self,
        asked: IstioMetric,
        name: &str,
        tag: &TagOverride,
    ) -> Result<(), String> {
        let TagOverride { operation, value } = tag;
        let place = match (operation, value) {
            (Some(TagOperation::Remove), _) => None,
            (_, None) => {
                return Err(format!(
                    "the tag `{name}` has no value, and is left as it is"
                ));
            }
            (_, Some(expression)) => {
                let parsed = TagValue::parse(expression).ok_or_else(|| {
                    format!(
                        "the value `{expression}` of the tag `{name}` is not supported, and the tag is left as it is"
                    )
                })?;
                self.plans.custom.push(parsed);
                Some(self.plans.custom.len() - 1)
            }
        };
        let metrics = self.plans.metrics.iter_mut();
        for (_, plan) in metrics.filter(|(metric, _)| stands_for(asked, *metric)) {
            match place {
                Some(place) => plan.upsert(name, place),
                None => plan.remove(name),
            }
        }
        Ok(())
    }

    fn finish(self) -> Plans {
        let Self {
            mut plans,
            disabled,
            is_off,
        } = self;
        plans
            .metrics
            .retain(|(metric, _)| !is_off && !disabled.contains(metric));
        plans
    }
}

/// One of Istio's metrics by its name in Prometheus, without the prefix that all have.
fn named(name: &str) -> Option<IstioMetric> {
    Some(match name {
        "requests_total" => IstioMetric::RequestCount,
        "request_duration_milliseconds" => IstioMetric::RequestDuration,
        "request_bytes" => IstioMetric::RequestSize,
        "response_bytes" => IstioMetric::ResponseSize,
        "request_messages_total" => IstioMetric::GrpcRequestMessages,
        "response_messages_total" => IstioMetric::GrpcResponseMessages,
        "tcp_connections_opened_total" => IstioMetric::TcpOpenedConnections,
        "tcp_connections_closed_total" => IstioMetric::TcpClosedConnections,
        "tcp_sent_bytes_total" => IstioMetric::TcpSentBytes,
        "tcp_received_bytes_total" => IstioMetric::TcpReceivedBytes,
        _ => return None,
    })
}

/// Whether `asked` stands for `metric`.
fn stands_for(asked: IstioMetric, metric: IstioMetric) -> bool {
    asked == IstioMetric::AllMetrics || asked == metric
}

#[cfg(test)]
mod tests {
    use mesh_core::parse::{Limits, parse_as};
    use mesh_core::resource::Metadata;

    use super::*;

    /// The mesh keeps metrics in Prometheus.
    fn compile(metrics: &str, reporter: Reporter) -> (Plans, Vec<String>) {
        let text = format!("metrics: {metrics}");
        let (spec, source) = parse_as("telemetry.yaml", &text, &Limits::default()).unwrap();
        let resource = Resource {
            metadata: Metadata::default(),
            spec,
            status: None,
            source,
        };
        let mesh = "defaultProviders: { metrics: [prometheus] }";
        let (mesh, _) = parse_as("mesh", mesh, &Limits::default()).unwrap();
        let mesh = MeshOptions::new(mesh);
        let (plans, notices) = Plans::compile(&[Arc::new(resource)], &mesh, reporter);
        let notices = notices.into_iter().map(|notice| notice.message);
        (plans.unwrap(), notices.collect())
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
            for selected in ["metric: REQUEST_COUNT", "customMetric: requests_total"] {
                let metrics = format!(
                    "[{{ overrides: [{{ match: {{ {selected}, mode: {mode} }}, disabled: true }}] }}]"
                );
                for (reporter, expected) in [
                    (Reporter::Source, source),
                    (Reporter::Destination, destination),
                ] {
                    let (plans, _) = compile(&metrics, reporter);
                    let found = has(&plans, IstioMetric::RequestCount, "reporter");
                    assert_eq!(found, expected, "{selected} {mode} {reporter:?}");
                    let other = has(&plans, IstioMetric::RequestSize, "reporter");
                    assert_eq!(other, Some(true));
                }
            }
        }
    }

    #[test]
    fn all_metrics_are_off_until_something_of_that_side_is_changed() {
        let one = "match: { metric: REQUEST_COUNT }, disabled: false";
        let tags = "match: { metric: REQUEST_SIZE }, tagOverrides: { a: { operation: REMOVE } }";
        for (after, source, destination) in [
            ("", 0, 0),
            ("{ match: { mode: SERVER } }", 0, METRICS.len()),
            // As in Istio, one that is enabled enables all.
            (&format!("{{ {one} }}"), METRICS.len(), METRICS.len()),
            (&format!("{{ {tags} }}"), METRICS.len(), METRICS.len()),
        ] {
            let metrics = format!("[{{ overrides: [{{ disabled: true }}, {after}] }}]");
            for (reporter, kept) in [
                (Reporter::Source, source),
                (Reporter::Destination, destination),
            ] {
                let (plans, notices) = compile(&metrics, reporter);
                assert_eq!(plans.metrics.len(), kept, "{after} {reporter:?}");
                assert_eq!(notices, [""; 0]);
            }
        }
    }

    #[test]
    fn a_metric_stays_disabled_while_others_are_changed() {
        let metrics = "[{ overrides: [
            { match: { metric: REQUEST_COUNT }, disabled: true },
            { match: { metric: REQUEST_SIZE }, disabled: true },
            { match: { metric: REQUEST_COUNT }, disabled: false },
        ] }]";
        let (plans, _) = compile(metrics, Reporter::Source);
        let kept = |metric| has(&plans, metric, "reporter").is_some();
        assert!(kept(IstioMetric::RequestCount) && !kept(IstioMetric::RequestSize));
    }

    #[test]
    fn tags_are_removed_and_added_where_they_are_asked_for() {
        let metrics = "[{ overrides: [
            { tagOverrides: { source_app: { operation: REMOVE } } },
            { match: { metric: REQUEST_COUNT }, tagOverrides: {
                host: { value: request.host },
                odd: { value: size(x) },
                none: { operation: UPSERT },
            } },
        ] }]";
        let (plans, notices) = compile(metrics, Reporter::Source);
        let size = |label| has(&plans, IstioMetric::RequestSize, label);
        assert_eq!(
            (size("source_app"), size("host")),
            (Some(false), Some(false))
        );
        let count = |label| has(&plans, IstioMetric::RequestCount, label);
        assert_eq!((count("host"), count("odd")), (Some(true), Some(false)));
        let [none, odd] = &notices[..] else {
            panic!("{notices:?}");
        };
        assert!(none.contains("the tag `none` has no value"), "{none}");
        assert!(odd.starts_with("metrics[0]: overrides[1]: "), "{odd}");
        assert!(odd.contains("`size(x)`"), "{odd}");
    }

    #[test]
    fn changes_that_have_no_effect_are_told() {
        let metrics = "[{ overrides: [
            { match: { customMetric: mine } },
            { disabled: true, tagOverrides: { a: { value: \"'1'\" } } },
        ] }]";
        let (_, notices) = compile(metrics, Reporter::Source);
        assert_eq!(
            notices,
            [
                "metrics[0]: overrides[0]: the metric `mine` is none of Istio's",
                "metrics[0]: overrides[1]: the tag `a` is left as it is, since no metric is kept",
            ]
        );
    }
}
