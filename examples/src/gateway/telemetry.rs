use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use mesh_core::config::options::MeshOptions;
use mesh_core::model::{Model, Notice};
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::Telemetry as TelemetryResource;
use mesh_core::service::{ClusterName, Direction};
use mesh_core::workload::WorkloadKind;
use mesh_policy::telemetry::PeerWorkload;
use mesh_policy::telemetry::access_log::{AccessLogLayer, Logged, Uploaded};
use mesh_policy::telemetry::metrics::{IstioMetrics, MetricsLayer, Recorded, Reporter};
use mesh_policy::telemetry::trace::{self, MeteredBody, OnEnd, Traced};
use tower::{BoxError, ServiceBuilder};
use tower_service::Service;

use super::Settings;
use super::access_logs::access_logs;
use super::by_direction::ByDirection;
use super::calls::Calls;
use super::mesh_wide::MeshWide;
use super::optional::{Layered, bare, optional};
use super::tracing::Tracing;
use super::upstream::Upstreams;
use crate::body::Body;
use crate::headers::Refuse;
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
    /// Whether connections that no filter chain takes are logged.
    logs_unmatched: bool,
    /// What the metrics were compiled of.
    compiled_of: Option<Asked>,
}

/// Who asks for metrics.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    resources: Vec<Arc<Resource<TelemetryResource>>>,
    local: PeerWorkload,
    /// The providers of the mesh that count where no resource names any.
    defaults: Vec<String>,
    /// The mesh's own providers, and whether metrics are kept for each.
    providers: Vec<(String, bool)>,
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
        let asked = Asked::of(model, wide);
        let (metrics, mut notices) = match last.compiled_of.as_ref() == Some(&asked) {
            true => (last.metrics.clone(), Vec::new()),
            false => metrics(model, &options(wide, settings)),
        };
        let (tracing, found) = Tracing::compile(model, wide, &settings.constants);
        notices.extend(found);
        let (access_logs, found, mut warnings) = access_logs(model, wide, settings);
        notices.extend(found);
        for told in notices.iter().map(ToString::to_string) {
            // What is so of both directions is told once.
            if !warnings.contains(&told) {
                warnings.push(told);
            }
        }
        let telemetry = Self {
            metrics,
            access_logs,
            tracing,
            logs_unmatched: wide.options.as_written().disable_envoy_listener_log != Some(true),
            compiled_of: Some(asked),
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

    /// The access log of connections that no filter chain takes, as [`access_log`](Self::access_log).
    pub(super) fn listener_log(&self, is_inbound: bool) -> Option<&AccessLogLayer> {
        let log = self.access_log(is_inbound);
        log.filter(|_| self.logs_unmatched)
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

impl Asked {
    fn of(model: &Model, wide: &MeshWide) -> Self {
        let mesh = wide.options.as_written();
        let defaults = mesh.default_providers.as_ref();
        let providers = wide.options.extension_providers();
        Self {
            resources: model.policies.telemetry.clone(),
            local: PeerWorkload::of_member(&model.workload, &wide.options),
            defaults: defaults.map_or_else(Vec::new, |defaults| defaults.metrics.clone()),
            providers: providers
                .map(|provider| (provider.name.clone(), provider.prometheus.is_some()))
                .collect(),
        }
    }
}

/// The settings of the mesh, which keeps metrics by default if the gateway is told to.
fn options<'a>(wide: &'a MeshWide, settings: &Settings) -> Cow<'a, MeshOptions> {
    let mesh = wide.options.as_written();
    let defaults = mesh.default_providers.as_ref();
    if !settings.metrics || defaults.is_some_and(|defaults| !defaults.metrics.is_empty()) {
        return Cow::Borrowed(&wide.options);
    }
    let mut mesh = mesh.clone();
    let defaults = mesh.default_providers.get_or_insert_default();
    defaults.metrics = vec![PROMETHEUS.to_owned()];
    Cow::Owned(MeshOptions::new(mesh))
}

type Metrics = Option<ByDirection<Arc<IstioMetrics>>>;

/// The metrics that `model` and `mesh` ask for, and what of it is not done.
fn metrics(model: &Model, mesh: &MeshOptions) -> (Metrics, Vec<Notice>) {
    let resources = &model.policies.telemetry;
    let local = PeerWorkload::of_member(&model.workload, mesh);
    let compile = |reporter| IstioMetrics::compile(resources, mesh, reporter, local.clone());
    let (sent, mut notices) = compile(Reporter::Source);
    let Some(sent) = sent else {
        return (None, notices);
    };
    let sidecar = model.workload.kind == WorkloadKind::Sidecar;
    let mut sent = sent.with_host_fallback(sidecar);
    let mut received = None;
    if sidecar {
        let (metrics, found) = compile(Reporter::Destination);
        notices.extend(found);
        received = metrics.map(Arc::new);
    }
    if let Some(received) = &received {
        sent = sent.written_with(Arc::clone(received));
    }
    let sent = Arc::new(sent);
    (Some(ByDirection { sent, received }), notices)
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

/// The same, of what may not be recorded: most requests are not traced.
fn observed<E: OnEnd + 'static>(body: MeteredBody<Body, E>) -> Body {
    body.into_unobserved().unwrap_or_else(wrapped)
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
        let tracing = self.tracing.layer(is_inbound).cloned().map(|layer| {
            ServiceBuilder::new()
                .map_response(|response: Response<Traced<Body>>| response.map(observed))
                .layer(layer)
                .map_request(|request: Request<trace::Uploaded<Body>>| request.map(observed))
        });
        optional(tracing, self.observe(service, is_inbound))
    }

    /// Answers requests that are refused before anything is decided, and records that. As in Envoy,
    /// they are not traced.
    pub(super) fn refuse(&self, is_inbound: bool) -> Layered<Refuse> {
        self.observe(bare(Refuse), is_inbound)
    }

    /// Counts and logs what `service` is asked and answers.
    fn observe<S: Http>(&self, service: Layered<S>, is_inbound: bool) -> Layered<S> {
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
        optional(log, optional(metrics, service))
    }
}
