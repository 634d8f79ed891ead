//! Metrics as text.

use std::fmt::{self, Write};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mesh_core::resource::istio::telemetry::IstioMetric;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::overrides::METRICS;
use super::series::{Histogram, Series};
use super::{Group, IstioMetrics};

/// Name and help of a metric, without the suffix of counters.
fn describe(metric: IstioMetric) -> (&'static str, &'static str) {
    match metric {
        IstioMetric::AllMetrics | IstioMetric::RequestCount => ("istio_requests", "Requests"),
        IstioMetric::RequestDuration => (
            "istio_request_duration_milliseconds",
            "Duration of requests",
        ),
        IstioMetric::RequestSize => ("istio_request_bytes", "Size of requests"),
        IstioMetric::ResponseSize => ("istio_response_bytes", "Size of responses"),
        IstioMetric::GrpcRequestMessages => ("istio_request_messages", "gRPC messages of clients"),
        IstioMetric::GrpcResponseMessages => {
            ("istio_response_messages", "gRPC messages of servers")
        }
        IstioMetric::TcpOpenedConnections => {
            ("istio_tcp_connections_opened", "TCP connections opened")
        }
        IstioMetric::TcpClosedConnections => {
            ("istio_tcp_connections_closed", "TCP connections closed")
        }
        IstioMetric::TcpSentBytes => ("istio_tcp_sent_bytes", "Bytes sent over TCP"),
        IstioMetric::TcpReceivedBytes => ("istio_tcp_received_bytes", "Bytes received over TCP"),
    }
}

/// What a metric is in a series.
enum Value<'a> {
    Counter(&'a AtomicU64),
    Histogram(&'a Histogram),
}

/// The value of a metric; `None` if the exchanges of the series do not have it.
fn value(series: &Series, metric: IstioMetric) -> Option<Value<'_>> {
    Some(match metric {
        IstioMetric::AllMetrics | IstioMetric::RequestCount => Value::Counter(&series.requests),
        IstioMetric::RequestDuration => Value::Histogram(&series.duration),
        IstioMetric::RequestSize => Value::Histogram(&series.request_bytes),
        IstioMetric::ResponseSize => Value::Histogram(&series.response_bytes),
        IstioMetric::GrpcRequestMessages if !series.has_messages() => return None,
        IstioMetric::GrpcResponseMessages if !series.has_messages() => return None,
        IstioMetric::GrpcRequestMessages => Value::Counter(&series.request_messages),
        IstioMetric::GrpcResponseMessages => Value::Counter(&series.response_messages),
        IstioMetric::TcpOpenedConnections => Value::Counter(&series.tcp.opened),
        IstioMetric::TcpClosedConnections => Value::Counter(&series.tcp.closed),
        IstioMetric::TcpSentBytes => Value::Counter(&series.tcp.sent),
        IstioMetric::TcpReceivedBytes => Value::Counter(&series.tcp.received),
    })
}

/// The metrics that are kept, in Istio's order, each with its groups: one of each end.
fn kept(metrics: &IstioMetrics) -> impl Iterator<Item = (IstioMetric, Vec<&Group>)> {
    METRICS.into_iter().filter_map(move |metric| {
        let ends = iter::successors(Some(metrics), |metrics| metrics.beside.as_deref());
        let groups = ends.filter_map(|metrics| {
            let mut groups = metrics.groups.iter();
            groups.find(|group| group.metrics.contains(&metric))
        });
        let groups: Vec<_> = groups.collect();
        (!groups.is_empty()).then_some((metric, groups))
    })
}

/// The series of some groups, each with its group.
fn series<'a>(groups: &[&'a Group]) -> Vec<(&'a Group, Arc<Series>)> {
    let of = |group: &&'a Group| {
        let group = *group;
        let series = group.table.series().into_iter();
        series.map(move |series| (group, series))
    };
    groups.iter().flat_map(of).collect()
}

/// The text format of Prometheus.
pub(super) fn text(metrics: &IstioMetrics) -> String {
    let mut out = String::new();
    for (metric, groups) in kept(metrics) {
        // Writing to a string does not fail.
        let _ = family(metric, &groups, &mut out);
    }
    out
}

fn family(metric: IstioMetric, groups: &[&Group], out: &mut String) -> fmt::Result {
    let all = series(groups);
    let mut values = all
        .iter()
        .filter_map(|(group, series)| Some((*group, series, value(series, metric)?)))
        .peekable();
    let (name, help) = describe(metric);
    let (suffix, kind) = match values.peek() {
        None => return Ok(()),
        Some((.., Value::Counter(_))) => ("_total", "counter"),
        Some((.., Value::Histogram(_))) => ("", "histogram"),
    };
    writeln!(
        out,
        "# HELP {name}{suffix} {help}.\n# TYPE {name}{suffix} {kind}"
    )?;
    for (group, series, value) in values {
        let labels = labels(group, series)?;
        match value {
            Value::Counter(count) => {
                let count = count.load(Ordering::Relaxed);
                writeln!(out, "{name}_total{{{labels}}} {count}")?;
            }
            Value::Histogram(histogram) => buckets(name, &labels, histogram, out)?,
        }
    }
    Ok(())
}

fn buckets(name: &str, labels: &str, histogram: &Histogram, out: &mut String) -> fmt::Result {
    let mut total = 0;
    let comma = if labels.is_empty() { "" } else { "," };
    for (bound, count) in histogram.counts() {
        total += count;
        if bound.is_infinite() {
            writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {total}")?;
        } else {
            // A whole number is written without a fraction, as in Envoy.
            writeln!(
                out,
                "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}"
            )?;
        }
    }
    let sum = histogram.sum();
    writeln!(
        out,
        "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {total}"
    )
}

fn labels(group: &Group, series: &Series) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for (index, (name, value)) in group.plan.names().zip(&series.labels).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{name}=\"")?;
        for letter in value.chars() {
            match letter {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                letter => out.push(letter),
            }
        }
        out.push('"');
    }
    Ok(out)
}

impl Collector for IstioMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, groups) in kept(self) {
            let all = series(&groups);
            let values: Vec<_> = all
                .iter()
                .filter_map(|(group, series)| Some((group, series, value(series, metric)?)))
                .collect();
            let kind = match values.first() {
                None => continue,
                Some((.., Value::Counter(_))) => MetricType::Counter,
                Some((.., Value::Histogram(_))) => MetricType::Histogram,
            };
            let (name, help) = describe(metric);
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (group, series, value) in values {
                let names = group.plan.names().map(str::to_owned);
                let labels = series.labels.iter().map(|value| value.to_string());
                let labels: Vec<(String, String)> = names.zip(labels).collect();
                let mut encoder = family.encode_family(&labels)?;
                match value {
                    Value::Counter(count) => {
                        let count = count.load(Ordering::Relaxed);
                        encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                    }
                    Value::Histogram(histogram) => {
                        let buckets: Vec<_> = histogram.counts().collect();
                        let count = buckets.iter().map(|(_, count)| count).sum();
                        let sum = histogram.sum();
                        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}
