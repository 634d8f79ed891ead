use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use mesh_core::model::{Model, Notice};
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::Telemetry as TelemetryResource;
use mesh_core::service::{ClusterName, Direction};
use mesh_core::workload::WorkloadKind;
use mesh_policy::telemetry::PeerWorkload;
use mesh_policy::telemetry::access_log::{AccessLogLayer, Logged, Uploaded};
use mesh_policy::telemetry::metrics::{IstioMetrics, MetricsLayer, Recorded, Reporter};
use tower::{BoxError, ServiceBuilder};
use tower_service::Service;

use super::Settings;
use super::access_logs::access_logs;
use super::by_direction::ByDirection;
use super::calls::Calls;
use super::mesh_wide::MeshWide;
use super::optional::{Layered, optional};
use super::policies::warning;
use super::tracing::Tracing;
use super::upstream::Upstreams;
use crate::body::Body;
use crate::upstream::BodyError;

/// Istio's built-in provider of metrics.
const PROMETHEUS: &str = "prometheus";

/// What is recorded of requests; nothing by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Telemetry {
    /// Those that are sent are written together with those that are received.
    metrics: Option<ByDirection<Arc<IstioMetrics>>>,
    access_logs: ByDirection<Option<AccessLogLayer>>,
    tracing: Tracing,
    /// What the metrics were compiled of.
    compiled_of: Vec<Arc<Resource<TelemetryResource>>>,
}

impl Telemetry {
    /// What `model`, the mesh and the gateway's own settings ask for, and what of it is not done.
    /// Metrics are those of `last`, with what they have counted, unless something about them has
    /// changed.
    pub(super) fn compile(
        model: &Model,
        wide: &MeshWide,
        settings: &Settings,
        last: &Self,
    ) -> (Self, Vec<String>) {
        let resources = &model.policies.telemetry;
        let mut notices = Vec::new();
        let metrics = match wants_metrics(resources, wide, settings) {
            false => None,
            true if last.metrics.is_some() && last.compiled_of == *resources => {
                last.metrics.clone()
            }
            true => {
                let (metrics, found) = metrics(model);
                notices.extend(found);
                Some(metrics)
            }
        };
        let (tracing, found) = Tracing::compile(model, wide, &settings.constants);
        notices.extend(found);
        let (access_logs, found, mut warnings) = access_logs(model, wide, settings);
        notices.extend(found);
        warnings.extend(notices.iter().map(warning));
        let telemetry = Self {
            metrics,
            access_logs,
            tracing,
            compiled_of: resources.clone(),
        };
        (telemetry, warnings)
    }

    /// Sends spans where they are to go, by `calls` to `clusters`; and says why that cannot be done.
    pub(super) fn connect(
        &mut self,
        wide: &MeshWide,
        calls: &mut Calls,
        clusters: &Upstreams,
    ) -> Vec<String> {
        self.tracing.connect(wide, calls, clusters)
    }

    /// The metrics of both directions, if they are kept.
    pub(super) fn metrics(&self) -> Option<&Arc<IstioMetrics>> {
        self.metrics.as_ref().map(|metrics| &metrics.sent)
    }

    /// The metrics of connections to `cluster`, if they are kept.
    pub(super) fn metrics_of(&self, cluster: &ClusterName) -> Option<&Arc<IstioMetrics>> {
        let metrics = self.metrics.as_ref()?;
        Some(metrics.of(is_inbound(cluster)))
    }

    /// The access log of what comes to the workload, or of what it sends, if there is one.
    pub(super) fn access_log(&self, is_inbound: bool) -> Option<&AccessLogLayer> {
        self.access_logs.of(is_inbound).as_ref()
    }

    /// Whether anything is recorded of what comes to the workload, or of what it sends.
    pub(super) fn is_on(&self, is_inbound: bool) -> bool {
        self.metrics.is_some()
            || self.access_logs.of(is_inbound).is_some()
            || self.tracing.layer(is_inbound).is_some()
    }
}

/// Whether connections to `cluster` come to the workload.
fn is_inbound(cluster: &ClusterName) -> bool {
    cluster.direction() == Some(Direction::Inbound)
        || cluster.as_str() == "InboundPassthroughCluster"
}

/// The metrics that `model` asks for, and what of it is not done.
fn metrics(model: &Model) -> (ByDirection<Arc<IstioMetrics>>, Vec<Notice>) {
    let resources = &model.policies.telemetry;
    let local = PeerWorkload::of_workload(&model.workload);
    let sidecar = model.workload.kind == WorkloadKind::Sidecar;
    let (sent, mut notices) = IstioMetrics::compile(resources, Reporter::Source, local.clone());
    let mut sent = sent.with_host_fallback(sidecar);
    let mut received = None;
    if sidecar {
        let (metrics, found) = IstioMetrics::compile(resources, Reporter::Destination, local);
        notices.extend(found);
        let metrics = Arc::new(metrics);
        sent = sent.written_with(Arc::clone(&metrics));
        received = Some(metrics);
    }
    let sent = Arc::new(sent);
    (ByDirection { sent, received }, notices)
}

fn wants_metrics(
    resources: &[Arc<Resource<TelemetryResource>>],
    wide: &MeshWide,
    settings: &Settings,
) -> bool {
    let defaults = wide.options.as_written().default_providers.as_ref();
    let by_default = defaults.is_some_and(|defaults| {
        let mut names = defaults.metrics.iter();
        names.any(|name| name == PROMETHEUS)
    });
    settings.metrics || by_default || resources.iter().any(|one| !one.spec.metrics.is_empty())
}

/// What is recorded of a body, as a body whose errors are what they were.
fn wrapped<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + 'static,
{
    Body::wrapped(body.map_err(|error| {
        let broke_off = error.downcast::<BodyError>();
        broke_off.map_or_else(BodyError::TimedOut, |error| *error)
    }))
}

/// A service of HTTP whose bodies are [`Body`].
pub(super) trait Http:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: 'static>
    + Clone
    + 'static
{
}

impl<S> Http for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: 'static>
        + Clone
        + 'static
{
}

impl Telemetry {
    /// Records what `service` is asked and answers: of what others send, or of what is sent to others.
    pub(super) fn record<S: Http>(&self, service: Layered<S>, is_inbound: bool) -> Layered<S> {
        let metrics = self.metrics.as_ref().map(|metrics| {
            let metrics = Arc::clone(metrics.of(is_inbound));
            ServiceBuilder::new()
                .map_response(|response: Response<Recorded<Body>>| response.map(wrapped))
                .layer(MetricsLayer::new(metrics))
                .map_request(|request: Request<Uploaded<Body>>| request.map(wrapped))
        });
        let log = self.access_logs.of(is_inbound).clone().map(|log| {
            ServiceBuilder::new()
                .map_response(|response: Response<Logged<Body>>| response.map(wrapped))
                .layer(log)
                .map_request(|request: Request<Uploaded<Body>>| request.map(wrapped))
        });
        let logged = optional(log, optional(metrics, service));
        optional(self.tracing.layer(is_inbound).cloned(), logged)
    }
}
