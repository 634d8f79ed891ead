//! Which requests are traced, and where their spans go.

use std::io;
use std::time::Duration;

use mesh_core::format_string::Constants;
use mesh_core::model::{Model, Notice};
use mesh_core::resource::istio::mesh_config::{OpenTelemetryTracingProvider, TracingServiceName};
use mesh_core::service::ClusterName;
use mesh_policy::telemetry::PeerWorkload;
use mesh_policy::telemetry::trace::otlp::{ExportSettings, SpanQueue, exporter};
use mesh_policy::telemetry::trace::{Direction, TraceLayer, TracePlan};

use super::by_direction::ByDirection;
use super::calls::Calls;
use super::mesh_wide::MeshWide;
use super::upstream::Upstreams;

/// How long a collector may take, as in Istio.
const TIMEOUT: Duration = Duration::from_millis(250);

/// Tracing, as Telemetry resources and the mesh want it; none by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracing {
    traced: Option<ByDirection<Traced>>,
    local: PeerWorkload,
}

/// How requests of one direction are traced.
#[derive(Clone, Debug)]
struct Traced {
    plan: TracePlan,
    direction: Direction,
    layer: Option<TraceLayer>,
}

impl Tracing {
    /// Compiles what the gateway traces, and says what of it is not done.
    pub(super) fn compile(
        model: &Model,
        wide: &MeshWide,
        constants: &Constants,
    ) -> (Self, Vec<Notice>) {
        let resources = &model.policies.telemetry;
        let mut notices = Vec::new();
        let traced = ByDirection::compile(&model.workload, |direction| {
            let compiled = TracePlan::compile(resources, &wide.options, direction, constants);
            let (plan, found) = compiled;
            notices.extend(found);
            Traced {
                plan,
                direction,
                layer: None,
            }
        });
        let tracing = Self {
            traced: Some(traced),
            local: PeerWorkload::of_member(&model.workload, &wide.options),
        };
        (tracing, notices)
    }

    /// The layer that traces what comes to the workload, or what it sends; if that is traced.
    pub(super) fn layer(&self, is_inbound: bool) -> Option<&TraceLayer> {
        self.traced.as_ref()?.of(is_inbound).layer.as_ref()
    }

    /// Sends spans to their collectors by `calls` to `clusters`; and says why that cannot be done.
    /// Contexts are passed on all the same.
    pub(super) fn connect(
        &mut self,
        wide: &MeshWide,
        calls: &mut Calls,
        clusters: &Upstreams,
    ) -> Vec<String> {
        let service = self.service(wide);
        let Self { traced, local } = self;
        let traced = traced.iter_mut().flat_map(ByDirection::iter_mut);
        let problems =
            traced.filter_map(|traced| traced.connect((&service, local), wide, calls, clusters));
        problems.collect()
    }

    /// What spans say of the gateway.
    fn service(&self, wide: &MeshWide) -> String {
        let proxy = wide.options.as_written().default_config.as_ref();
        let named = proxy.and_then(|proxy| proxy.tracing_service_name);
        let PeerWorkload {
            app,
            namespace,
            canonical_service,
            ..
        } = &self.local;
        match named.unwrap_or_default() {
            TracingServiceName::AppLabelAndNamespace if app.is_empty() => {
                format!("istio-proxy.{namespace}")
            }
            TracingServiceName::AppLabelAndNamespace => format!("{app}.{namespace}"),
            TracingServiceName::CanonicalNameOnly => canonical_service.clone(),
            TracingServiceName::CanonicalNameAndNamespace => {
                format!("{canonical_service}.{namespace}")
            }
        }
    }
}

impl Traced {
    /// Makes the layer. What it says of itself is the name of the service, and of whom it is.
    fn connect(
        &mut self,
        (service, local): (&str, &PeerWorkload),
        wide: &MeshWide,
        calls: &mut Calls,
        clusters: &Upstreams,
    ) -> Option<String> {
        let name = self.plan.provider.as_ref()?;
        let mut known = wide.options.extension_providers();
        let provider = known.find(|provider| provider.name == *name)?;
        let unsent = self.plan.layer(local, |_| ());
        let Some(collector) = &provider.opentelemetry else {
            // That it is not sent to was told when the plan was made.
            self.layer = Some(unsent);
            return None;
        };
        let settings = ExportSettings {
            timeout: TIMEOUT,
            ..ExportSettings::new(service, self.direction)
        };
        let problem = match export(collector, settings, calls, clusters) {
            Ok(queue) => {
                self.layer = Some(self.plan.layer(local, queue));
                return None;
            }
            Err(why) => format!("no spans are sent to the provider `{name}`: {why}"),
        };
        self.layer = Some(unsent);
        Some(problem)
    }
}

/// Begins to send spans to a collector.
fn export(
    collector: &OpenTelemetryTracingProvider,
    settings: ExportSettings,
    calls: &mut Calls,
    clusters: &Upstreams,
) -> Result<SpanQueue, Unsent> {
    if collector.http.is_some() {
        return Err(Unsent::Http);
    }
    let unknown = || Unsent::Service(collector.service.clone(), collector.port);
    let cluster = ClusterName::of_provider(&collector.service, collector.port);
    let cluster = cluster.ok_or_else(unknown)?;
    clusters.get(&cluster).ok_or_else(unknown)?;
    let client = calls.client(clusters, &cluster, TIMEOUT)?;
    let (queue, exporter) = exporter(settings);
    calls.run(exporter.run(client));
    Ok(queue)
}

/// Why spans are not sent.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error("it is asked by HTTP, and not by gRPC")]
    Http,
    #[error("no port of a service is `{0}:{1}`")]
    Service(String, u32),
    #[error("the system refuses the thread that sends: {0}")]
    Thread(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use mesh_core::config::options::MeshOptions;
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_name_the_gateway_as_the_mesh_says() {
        let named = |named: &str, app: &str| {
            let local = PeerWorkload {
                app: app.to_owned(),
                namespace: "shop".to_owned(),
                canonical_service: "edge-v2".to_owned(),
                ..PeerWorkload::default()
            };
            let tracing = Tracing {
                local,
                ..Tracing::default()
            };
            let settings = json!({"defaultConfig": {"tracingServiceName": named}});
            tracing.service(&MeshWide {
                options: MeshOptions::new(serde_json::from_value(settings).unwrap()),
                ..MeshWide::default()
            })
        };
        assert_eq!(named("APP_LABEL_AND_NAMESPACE", "edge"), "edge.shop");
        assert_eq!(named("APP_LABEL_AND_NAMESPACE", ""), "istio-proxy.shop");
        assert_eq!(named("CANONICAL_NAME_ONLY", "edge"), "edge-v2");
        assert_eq!(
            named("CANONICAL_NAME_AND_NAMESPACE", "edge"),
            "edge-v2.shop"
        );
    }
}
