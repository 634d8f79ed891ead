//! Istio's standard metrics.
//!
//! | metric | counts |
//! |---|---|
//! | `istio_requests_total` | requests |
//! | `istio_request_duration_milliseconds` | their duration, in Envoy's buckets |
//! | `istio_request_bytes`, `istio_response_bytes` | their size, heads included, in the same buckets |
//! | `istio_request_messages_total`, `istio_response_messages_total` | gRPC messages |
//! | `istio_tcp_connections_opened_total`, `istio_tcp_connections_closed_total` | TCP connections |
//! | `istio_tcp_sent_bytes_total`, `istio_tcp_received_bytes_total` | what they carried |
//!
//! [`MetricsLayer`] records an exchange when the body of its response has ended, with the labels of
//! Istio's [standard metrics] in their order. Telemetry resources remove and add labels and switch
//! metrics off, see [`IstioMetrics::compile`]. No request takes a lock but the first with its labels.
//! There are no more series than a limit; exchanges with further labels are counted together, with
//! the labels `other`.
//!
//! [`IstioMetrics::encode`] writes the text that Prometheus reads, as Envoy does; to serve them with
//! metrics of your own, and as OpenMetrics, register them as a collector of `prometheus-client`.
//!
//! [standard metrics]: https://istio.io/latest/docs/reference/config/metrics/
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Empty, Full};
//! use mesh_policy::telemetry::PeerWorkload;
//! use mesh_policy::telemetry::metrics::{IstioMetrics, MetricsLayer, Reporter};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let local = PeerWorkload { workload: "cart-v1".into(), ..PeerWorkload::default() };
//! let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local));
//! let service = ServiceBuilder::new()
//!     .layer(MetricsLayer::new(Arc::clone(&metrics)))
//!     .service(service_fn(|_| async {
//!         Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//!     }));
//! service.oneshot(Request::new(Empty::<Bytes>::new())).await?.into_body().collect().await?;
//!
//! let text = metrics.encode();
//! assert!(text.contains("# TYPE istio_requests_total counter"));
//! assert!(text.contains(r#"destination_workload="cart-v1""#));
//! # Ok(())
//! # }
//! ```

mod encode;
#[cfg_attr(not(feature = "cel"), path = "no_expression.rs")]
mod expression;
mod key;
mod keys;
mod labels;
mod layer;
mod overrides;
mod peer;
mod providers;
mod series;
mod tags;
mod tcp;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::Request;
use http::header::HOST;
use mesh_core::config::options::MeshOptions;
use mesh_core::model::Notice;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::{IstioMetric, Telemetry};

use self::key::Key;
pub use self::labels::Reporter;
use self::labels::{Facts, Plan};
pub use self::layer::{
    Exchange, Metered, MeteredBody, MetricsLayer, Recorded, ResponseFuture, Uploaded,
};
use self::overrides::{Plans, is_tcp};
use self::series::{BUCKETS, Measures, Table};
use self::tags::TagValue;
pub use self::tcp::TcpConnection;
pub use super::body::{Counts, End, Nothing, OnEnd};
pub use super::observe::Observed;
use super::workload::PeerWorkload;

/// The most series by default.
const SERIES: usize = 10_000;

/// Istio's standard metrics of one workload, as one end of its traffic.
///
/// See the [module docs](self) for an example.
#[derive(Debug)]
pub struct IstioMetrics {
    reporter: Reporter,
    local: PeerWorkload,
    groups: Vec<Group>,
    custom: Vec<TagValue>,
    falls_back_on_host: bool,
    /// What is written with them.
    beside: Option<Arc<Self>>,
}

/// Metrics with the same labels, which share their series.
struct Group {
    plan: Plan,
    key: Key,
    metrics: Vec<IstioMetric>,
    table: Table,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}

impl IstioMetrics {
    /// All metrics with all labels, of what `local` does as the end that `reporter` is.
    pub fn new(reporter: Reporter, local: PeerWorkload) -> Self {
        Self::from_plans(Plans::default(), reporter, local, SERIES)
    }

    /// The metrics that the Telemetry resources of a workload ask for, the more general first, and
    /// what of these is not done. There are none if neither the resources nor the mesh name Prometheus
    /// as a provider; the last that names any decides.
    ///
    /// All metrics that are disabled at once are back as soon as a later entry changes anything of
    /// them, as in Istio (`mergeMetrics` in `pilot/pkg/model/telemetry.go`).
    ///
    /// The values of tags may be texts in quotes and attributes of the request (`request.host`,
    /// `request.method`, `request.path`, `request.url_path`, `request.headers['name']` and those of
    /// well-known headers), and with the feature `cel` any expressions, which are evaluated when the
    /// exchange has ended; those of TCP metrics when the connection is counted as opened. A value has 256
    /// bytes at most, and is cut after a whole character: strangers may send it. A tag with another
    /// value, as one that reads a point in time (`request.time`), is left as it is, and reported.
    pub fn compile(
        telemetry: &[Arc<Resource<Telemetry>>],
        mesh: &MeshOptions,
        reporter: Reporter,
        local: PeerWorkload,
    ) -> (Option<Self>, Vec<Notice>) {
        let (plans, notices) = Plans::compile(telemetry, mesh, reporter);
        let metrics = plans.map(|plans| Self::from_plans(plans, reporter, local, SERIES));
        (metrics, notices)
    }

    /// Sets how many series there may be of metrics with the same labels, in place of 10,000, and
    /// forgets what has been recorded.
    #[must_use]
    pub fn with_series_limit(mut self, series: usize) -> Self {
        for group in &mut self.groups {
            group.table = group.table.anew(None, Some(series));
        }
        self
    }

    /// Sets the upper bounds of the buckets of all histograms, in whatever order, in place of Envoy's,
    /// and forgets what has been recorded. Those that are no numbers, or infinite, are left out: what
    /// is larger than all is always counted, too.
    ///
    /// Istio sets them by the annotation `sidecar.istio.io/statsHistogramBuckets` of a pod.
    #[must_use]
    pub fn with_buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        let bounds = bounds.into_iter().filter(|bound| bound.is_finite());
        let mut bounds: Vec<_> = bounds.collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let buckets = bounds.into();
        for group in &mut self.groups {
            group.table = group.table.anew(Some(&buckets), None);
        }
        self
    }

    /// Sets whether the host that a client asked for stands for a service that is not known. Default:
    /// no. Istio says yes for what a sidecar sends, and no for gateways and for what a sidecar gets:
    /// there strangers could name as many services as they like.
    #[must_use]
    pub fn with_host_fallback(mut self, fall_back: bool) -> Self {
        self.falls_back_on_host = fall_back;
        self
    }

    /// Writes `others` with these, as one: a sidecar reports as the source of what it sends, and as
    /// the destination of what it gets.
    #[must_use]
    pub fn written_with(mut self, others: Arc<Self>) -> Self {
        self.beside = Some(others);
        self
    }

    fn from_plans(plans: Plans, reporter: Reporter, local: PeerWorkload, limit: usize) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (metric, plan) in plans.metrics {
            let same = |group: &&mut Group| {
                group.plan == plan && is_tcp(group.metrics[0]) == is_tcp(metric)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.metrics.push(metric),
                None => groups.push(Group {
                    key: Key::compile(&plan, reporter),
                    plan,
                    metrics: vec![metric],
                    table: Table::new(BUCKETS.into(), limit),
                }),
            }
        }
        Self {
            reporter,
            local,
            groups,
            custom: plans.custom,
            falls_back_on_host: false,
            beside: None,
        }
    }

    fn record(&self, facts: &Facts<'_>, measures: &Measures, is_of_tcp: bool) {
        let mut key = Vec::with_capacity(256);
        for group in self.groups(is_of_tcp) {
            group.key.write(facts, &mut key);
            let labels = || group.plan.values(facts);
            let rest = || group.plan.rest(self.reporter);
            group.table.record(&key, (labels, rest), measures);
        }
    }

    /// The metrics of HTTP, or those of TCP.
    fn groups(&self, is_of_tcp: bool) -> impl Iterator<Item = &Group> {
        let groups = self.groups.iter();
        groups.filter(move |group| is_tcp(group.metrics[0]) == is_of_tcp)
    }

    /// The metrics in the text format of Prometheus, version 0.0.4, as Envoy writes it.
    pub fn encode(&self) -> String {
        encode::text(self)
    }
}

/// The host that `request` asks for.
fn host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}
