use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::config::options::MeshOptions;
use mesh_core::format_string::Constants;
use mesh_core::model::Notice;
use mesh_core::origin::Origin;
use mesh_core::percent::Percent;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::mesh_config::{Tracing as ProxyTracing, ZipkinTraceContextOption};
use mesh_core::resource::istio::telemetry::{CustomTag, Telemetry, Tracing, WorkloadMode};

use super::layer::TraceLayer;
use super::tag::Tag;
use super::{Propagation, SpanSink};
use crate::telemetry::workload::PeerWorkload;

/// Envoy's limit on the path in spans.
const MAX_PATH: usize = 256;

/// How a workload traces one direction of its traffic: what the Telemetry resources that are
/// attached to it say together, and the mesh where they say nothing.
///
/// Source: `Tracing` in Istio's `pilot/pkg/model/telemetry.go`.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use mesh_core::config::options::MeshOptions;
/// use mesh_core::format_string::Constants;
/// use mesh_core::resource::Resource;
/// use mesh_core::resource::istio::telemetry::Telemetry;
/// use mesh_policy::telemetry::trace::{Direction, TracePlan};
///
/// let mut telemetry = Resource::<Telemetry>::default();
/// telemetry.spec = serde_json::from_str(
///     r#"{"tracing": [{"providers": [{"name": "collector"}], "randomSamplingPercentage": 10}]}"#,
/// )?;
/// let mesh = MeshOptions::new(serde_json::from_str(
///     r#"{"extensionProviders": [
///         {"name": "collector", "opentelemetry": {"service": "otel.shop", "port": 4317}}]}"#,
/// )?);
/// let constants = Constants::default();
/// let (plan, notices) =
///     TracePlan::compile(&[Arc::new(telemetry)], &mesh, Direction::Client, &constants);
/// assert_eq!(plan.provider.as_deref(), Some("collector"));
/// assert_eq!(plan.sampling.parts_per_million(), 100_000);
/// assert!(notices.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TracePlan {
    /// The provider that spans are sent to; `None` if there is none, and no spans are made.
    pub provider: Option<String>,
    /// In which form the provider knows contexts: callers are understood by it, and upstreams are told of
    /// spans in it.
    pub propagation: Vec<Propagation>,
    /// Whether upstreams are not told of spans: contexts are left as the caller sent them.
    pub leaves_context: bool,
    /// The share of requests that are traced if nobody says.
    pub sampling: Percent,
    /// Whether spans are sent.
    pub reports: bool,
    /// Whether spans have tags of Istio's own.
    pub istio_tags: bool,
    /// Whether the request's identifier decides about sampling, and the share; else every request is
    /// traced that its caller does not keep from it.
    pub samples_by_request_id: bool,
    /// How many bytes of the path spans have.
    pub max_path: usize,
    /// Whether the traces that begin here have identifiers of 64 bits (Zipkin's `enable64bitTraceId`).
    pub short_trace_ids: bool,
    /// The name of the mesh: `meshId` of the proxies' configuration, else the trust domain.
    pub mesh_id: String,
    tags: BTreeMap<String, Tag>,
}

/// A direction of traffic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// What the workload sends; gateways do nothing else.
    Client,
    /// What it receives.
    Server,
}

impl TracePlan {
    /// Compiles the tracing of `telemetry`, the more general resources first. Says what of it is not
    /// done.
    pub fn compile(
        telemetry: &[Arc<Resource<Telemetry>>],
        mesh: &MeshOptions,
        direction: Direction,
        constants: &Constants,
    ) -> (Self, Vec<Notice>) {
        let written = mesh.as_written();
        let defaults = written.default_providers.as_ref();
        let proxy = written.default_config.as_ref();
        let proxy = proxy.and_then(|proxy| proxy.tracing.as_ref());
        let length = proxy.map_or(0, |tracing| tracing.max_path_tag_length);
        let mut merged = Merged {
            provider: defaults.and_then(|defaults| defaults.tracing.first().cloned()),
            sampling: proxy
                .map(|tracing| tracing.sampling)
                .filter(|share| *share > 0.0),
            istio_tags: proxy.and_then(|tracing| tracing.enable_istio_tags),
            max_path: length,
            tags: proxy
                .map(|tracing| tags(tracing, constants))
                .unwrap_or_default(),
            ..Merged::default()
        };
        let mut notices = Vec::new();
        for resource in telemetry {
            notices.extend(merged.take(resource, direction, constants));
        }
        let (provider, propagation, problem) = merged.provider(mesh);
        notices.extend(problem.map(|message| Notice {
            origin: match merged.naming.take() {
                Some(named) => named,
                None => Origin::synthetic("mesh configuration"),
            },
            message,
        }));
        let plan = Self {
            provider,
            propagation,
            leaves_context: merged.leaves_context == Some(true),
            sampling: share(merged.sampling),
            reports: merged.is_silent != Some(true),
            istio_tags: merged.istio_tags.unwrap_or(true),
            samples_by_request_id: merged.by_request_id.unwrap_or(true),
            max_path: match merged.max_path {
                0 => MAX_PATH,
                length => usize::try_from(length).unwrap_or(usize::MAX),
            },
            short_trace_ids: merged.short_trace_ids,
            mesh_id: mesh_id(mesh).to_owned(),
            tags: merged.tags,
        };
        (plan, notices)
    }

    /// The layer that does it for the workload `local`, and hands spans to `sink`.
    pub fn layer(&self, local: &PeerWorkload, sink: impl SpanSink) -> TraceLayer {
        let mut tags = self.tags.clone();
        if self.istio_tags {
            for (name, value) in [
                ("istio.canonical_service", &local.canonical_service),
                ("istio.canonical_revision", &local.canonical_revision),
                ("istio.namespace", &local.namespace),
                ("istio.cluster_id", &local.cluster),
                ("istio.mesh_id", &self.mesh_id),
            ] {
                if !value.is_empty() {
                    tags.entry(name.to_owned())
                        .or_insert_with(|| Tag::literal(value));
                }
            }
        }
        let layer = TraceLayer::new()
            .with_sampling(self.sampling)
            .with_sampling_by_request_id(self.samples_by_request_id)
            .with_max_path(self.max_path)
            .with_short_trace_ids(self.short_trace_ids)
            .with_propagation(self.propagation.iter().copied())
            .with_context_left_alone(self.leaves_context)
            .with_tags(tags);
        match self.reports {
            true => layer.with_sink(sink),
            false => layer,
        }
    }
}

/// The name of the mesh.
fn mesh_id(mesh: &MeshOptions) -> &str {
    let proxy = mesh.as_written().default_config.as_ref();
    let named = proxy.and_then(|proxy| proxy.mesh_id.as_deref());
    let named = named.filter(|named| !named.is_empty());
    named.unwrap_or_else(|| mesh.trust_domain())
}

/// Istio's share where nobody says: one of a hundred, and that, too, where the share is none.
fn share(percent: Option<f64>) -> Percent {
    let percent = percent.filter(|percent| *percent <= 100.0).unwrap_or(1.0);
    Percent::new(percent).unwrap_or(Percent::ZERO)
}

#[derive(Debug, Default)]
struct Merged {
    provider: Option<String>,
    /// The resource that names the provider, if it is not the mesh.
    naming: Option<Origin>,
    sampling: Option<f64>,
    is_silent: Option<bool>,
    istio_tags: Option<bool>,
    by_request_id: Option<bool>,
    leaves_context: Option<bool>,
    max_path: u32,
    short_trace_ids: bool,
    tags: BTreeMap<String, Tag>,
}

impl Merged {
    /// Takes what `resource` says in the place of what was said before; returns what it says in vain.
    fn take(
        &mut self,
        resource: &Resource<Telemetry>,
        direction: Direction,
        constants: &Constants,
    ) -> Vec<Notice> {
        let (mut problems, mut before) = (Vec::new(), None);
        let entries = resource.spec.tracing.iter().enumerate();
        for (index, tracing) in entries.filter(|(_, tracing)| is_about(tracing, direction)) {
            let found = self.apply(tracing, constants);
            problems.extend(found.into_iter().map(|problem| (index, problem)));
            let Some(first) = tracing.providers.first() else {
                continue;
            };
            self.naming = Some(resource.origin());
            let lost = before.replace((index, &first.name));
            if let Some((lost, name)) = lost.filter(|(_, name)| *name != &first.name) {
                let problem =
                    format!("nothing is sent to `{name}`: tracing[{index}] names a provider, too");
                problems.push((lost, problem));
            }
        }
        let notices = problems.into_iter().map(|(index, problem)| Notice {
            origin: resource.origin(),
            message: format!("tracing[{index}]: {problem}"),
        });
        notices.collect()
    }

    /// The same of one entry.
    fn apply(&mut self, tracing: &Tracing, constants: &Constants) -> Vec<String> {
        let Tracing {
            r#match: _,
            providers,
            random_sampling_percentage,
            disable_span_reporting,
            custom_tags,
            use_request_id_for_trace_sampling,
            enable_istio_tags,
            disable_context_propagation,
        } = tracing;
        let mut problems = Vec::new();
        if let Some(first) = providers.first() {
            self.provider = Some(first.name.clone());
            let others = providers.iter().skip(1);
            problems.extend(others.map(|other| {
                let (first, other) = (&first.name, &other.name);
                format!("spans are sent to `{first}` alone, and not to `{other}`")
            }));
        }
        self.sampling = random_sampling_percentage.or(self.sampling);
        self.is_silent = disable_span_reporting.or(self.is_silent);
        self.istio_tags = enable_istio_tags.or(self.istio_tags);
        self.by_request_id = use_request_id_for_trace_sampling.or(self.by_request_id);
        self.leaves_context = disable_context_propagation.or(self.leaves_context);
        if custom_tags.is_empty() {
            return problems;
        }
        self.tags.clear();
        for (name, written) in custom_tags {
            match tag(written, constants) {
                Ok(tag) => self.tags.extend(tag.map(|tag| (name.clone(), tag))),
                Err(problem) => problems.push(format!("spans have no tag `{name}`: {problem}")),
            }
        }
        problems
    }

    /// The provider as the mesh has it, and how it is spoken of; and why not as it is written.
    fn provider(
        &mut self,
        mesh: &MeshOptions,
    ) -> (Option<String>, Vec<Propagation>, Option<String>) {
        let Some(name) = self.provider.clone() else {
            return (None, Vec::new(), None);
        };
        let mut known = mesh.extension_providers();
        let same = |known: &str| known.eq_ignore_ascii_case(&name);
        let Some(provider) = known.find(|provider| same(&provider.name)) else {
            let problem = format!("the mesh has no provider `{name}`, and nothing is traced");
            return (None, Vec::new(), Some(problem));
        };
        let name = provider.name.clone();
        if let Some(collector) = &provider.opentelemetry {
            self.limit_path(collector.max_tag_length);
            return (Some(name), vec![Propagation::W3c], None);
        }
        let unsent = |how| format!("no spans are sent to `{name}`, which {how}");
        if let Some(collector) = &provider.zipkin {
            self.limit_path(collector.max_tag_length);
            self.short_trace_ids = collector.enable_64bit_trace_id;
            let mut propagation = vec![Propagation::B3Multi];
            if collector.trace_context_option == ZipkinTraceContextOption::UseB3WithW3cPropagation {
                propagation.push(Propagation::W3c);
            }
            let problem = unsent("speaks Zipkin's protocol; upstreams are told by B3");
            return (Some(name.clone()), propagation, Some(problem));
        }
        let problem = unsent("speaks a protocol that is not spoken here, and nothing is traced");
        (None, Vec::new(), Some(problem))
    }

    /// Takes a provider's limit on the path, if it has one.
    fn limit_path(&mut self, bytes: u32) {
        if bytes > 0 {
            self.max_path = bytes;
        }
    }
}

fn is_about(tracing: &Tracing, direction: Direction) -> bool {
    let mode = tracing.r#match.as_ref();
    match mode.map_or(WorkloadMode::ClientAndServer, |own| own.mode) {
        WorkloadMode::ClientAndServer => true,
        WorkloadMode::Client => direction == Direction::Client,
        WorkloadMode::Server => direction == Direction::Server,
    }
}

/// The tags that the proxy's configuration asks for, where no resource does. One that cannot be is
/// left out.
fn tags(tracing: &ProxyTracing, constants: &Constants) -> BTreeMap<String, Tag> {
    let tags = tracing.custom_tags.iter().filter_map(|(name, written)| {
        let tag = match (&written.literal, &written.environment, &written.header) {
            (Some(literal), _, _) => Tag::literal(&literal.value),
            (None, Some(environment), _) => {
                let value = constants.environment.get(&environment.name);
                let value = value.unwrap_or(&environment.default_value);
                Tag::literal(Some(value).filter(|value| !value.is_empty())?)
            }
            (None, None, Some(header)) => Tag::header(&header.name, &header.default_value)?,
            (None, None, None) => return None,
        };
        Some((name.clone(), tag))
    });
    tags.collect()
}

/// A tag as it is written. `None` if it never has a value.
fn tag(written: &CustomTag, constants: &Constants) -> Result<Option<Tag>, String> {
    let CustomTag {
        literal,
        environment,
        header,
        formatter,
    } = written;
    if let Some(literal) = literal {
        return Ok(Some(Tag::literal(&literal.value)));
    }
    if let Some(environment) = environment {
        let value = constants.environment.get(&environment.name);
        let value = value.unwrap_or(&environment.default_value);
        return Ok((!value.is_empty()).then(|| Tag::literal(value)));
    }
    if let Some(header) = header {
        let tag = Tag::header(&header.name, &header.default_value);
        return tag
            .map(Some)
            .ok_or_else(|| format!("`{}` is no name of a header", header.name));
    }
    match formatter {
        Some(formatter) => match Tag::format(&formatter.value, constants) {
            Ok(tag) => Ok(Some(tag)),
            Err(error) => Err(error.to_string()),
        },
        None => Err("it has no value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::parse::{Limits, parse_as};
    use serde_json::{Value, json};

    use super::*;

    /// One entry in each resource.
    fn compile(tracing: &[Value], direction: Direction) -> (TracePlan, Vec<Notice>) {
        let specs = tracing.iter();
        let specs = specs.map(|tracing| json!({"tracing": [tracing]}));
        let specs = specs.map(|spec| serde_json::from_value(spec).unwrap());
        compile_specs(specs, direction)
    }

    fn compile_resource(text: &str, direction: Direction) -> (TracePlan, Vec<Notice>) {
        let (spec, _) = parse_as("telemetry.yaml", text, &Limits::default()).unwrap();
        compile_specs([spec], direction)
    }

    fn compile_specs(
        specs: impl IntoIterator<Item = Telemetry>,
        direction: Direction,
    ) -> (TracePlan, Vec<Notice>) {
        let telemetry = specs.into_iter().map(|spec| {
            Arc::new(Resource::<Telemetry> {
                spec,
                ..Resource::default()
            })
        });
        let telemetry: Vec<_> = telemetry.collect();
        let mesh = json!({
            "defaultProviders": {"tracing": ["otel"]},
            "defaultConfig": {"tracing": {
                "sampling": 5.0,
                "maxPathTagLength": 9,
                "customTags": {"proxy": {"literal": {"value": "1"}}},
            }},
            "extensionProviders": [
                {"name": "otel", "opentelemetry": {"service": "otel.shop", "port": 4317}},
                {"name": "zipkin", "zipkin": {"service": "zipkin.shop", "port": 9411}},
                {"name": "both", "zipkin": {
                    "service": "zipkin.shop", "port": 9411, "maxTagLength": 7,
                    "enable64bitTraceId": true,
                    "traceContextOption": "USE_B3_WITH_W3C_PROPAGATION",
                }},
                {"name": "skywalking", "skywalking": {"service": "sky.shop", "port": 11800}},
            ],
        });
        let mesh = MeshOptions::new(serde_json::from_value(mesh).unwrap());
        let environment = [("ZONE".to_owned(), "eu".to_owned())].into();
        let constants = Constants {
            environment,
            ..Constants::default()
        };
        TracePlan::compile(&telemetry, &mesh, direction, &constants)
    }

    #[test]
    fn without_a_resource_the_mesh_decides() {
        let (plan, notices) = compile(&[], Direction::Client);
        assert_eq!(plan.provider.as_deref(), Some("otel"));
        assert_eq!(plan.propagation, [Propagation::W3c]);
        assert_eq!(plan.sampling.parts_per_million(), 50_000);
        assert!(plan.reports && plan.istio_tags && plan.samples_by_request_id);
        assert!(!plan.leaves_context);
        assert_eq!((plan.max_path, plan.tags.len()), (9, 1));
        assert!(notices.is_empty(), "{notices:?}");
    }

    #[test]
    fn the_later_resource_decides_field_by_field() {
        let general = json!({"randomSamplingPercentage": 0.0, "customTags": {
            "a": {"literal": {"value": "1"}}, "b": {"literal": {"value": "2"}},
        }});
        let special = json!({"disableSpanReporting": true, "enableIstioTags": false,
            "useRequestIdForTraceSampling": false, "disableContextPropagation": true,
            "customTags": {"c": {"header": {"name": "x-c", "defaultValue": "none"}}}});
        let (plan, _) = compile(&[general, special], Direction::Client);
        assert_eq!(plan.sampling, Percent::ZERO);
        assert!(!plan.reports && !plan.istio_tags && !plan.samples_by_request_id);
        assert_eq!(
            (&plan.propagation[..], plan.leaves_context),
            (&[Propagation::W3c][..], true)
        );
        assert_eq!(
            plan.tags.keys().collect::<Vec<_>>(),
            ["c"],
            "tags replace each other"
        );
    }

    #[test]
    fn a_direction_has_its_own_plan() {
        let server = json!({"match": {"mode": "SERVER"}, "randomSamplingPercentage": 100.0});
        for (direction, share) in [(Direction::Client, 50_000), (Direction::Server, 1_000_000)] {
            let (plan, _) = compile(std::slice::from_ref(&server), direction);
            assert_eq!(plan.sampling.parts_per_million(), share, "{direction:?}");
        }
    }

    #[test]
    fn a_mesh_is_named_by_its_proxies_or_by_its_trust_domain() {
        for (mesh, expected) in [
            (json!({}), "cluster.local"),
            (json!({"trustDomain": "td"}), "td"),
            (
                json!({"trustDomain": "td", "defaultConfig": {"meshId": "shop"}}),
                "shop",
            ),
        ] {
            let mesh = MeshOptions::new(serde_json::from_value(mesh).unwrap());
            let constants = Constants::default();
            let (plan, _) = TracePlan::compile(&[], &mesh, Direction::Client, &constants);
            assert_eq!(plan.mesh_id, expected);
        }
    }

    #[test]
    fn a_provider_says_what_traces_look_like() {
        use Propagation::{B3Multi, W3c};
        for (name, propagation, max_path, are_short) in [
            ("otel", &[W3c][..], 9, false),
            ("zipkin", &[B3Multi], 9, false),
            ("both", &[B3Multi, W3c], 7, true),
        ] {
            let provider = json!({"providers": [{"name": name}]});
            let (plan, _) = compile(&[provider], Direction::Client);
            assert_eq!(plan.propagation, propagation, "{name}");
            assert_eq!((plan.max_path, plan.short_trace_ids), (max_path, are_short));
        }
    }

    #[test]
    fn each_direction_has_its_own_provider() {
        let text = "
tracing:
- { match: { mode: CLIENT }, providers: [{ name: zipkin }], randomSamplingPercentage: 20 }
- { match: { mode: SERVER }, providers: [{ name: OTEL }], randomSamplingPercentage: 30 }";
        for (direction, provider, share) in [
            (Direction::Client, "zipkin", 200_000),
            (Direction::Server, "otel", 300_000),
        ] {
            let (plan, notices) = compile_resource(text, direction);
            assert_eq!(plan.provider.as_deref(), Some(provider));
            assert_eq!(plan.sampling.parts_per_million(), share);
            let of_zipkin = notices
                .iter()
                .all(|notice| notice.message.contains("by B3"));
            assert!(of_zipkin, "{notices:?}");
        }
    }

    #[test]
    fn providers_that_no_spans_are_sent_to_are_told() {
        let text = "
tracing:
- { providers: [{ name: zipkin }] }
- { providers: [{ name: otel }, { name: skywalking }] }
- { disableSpanReporting: false }";
        let (plan, notices) = compile_resource(text, Direction::Client);
        assert_eq!(plan.provider.as_deref(), Some("otel"));
        let messages: Vec<_> = notices.iter().map(|notice| &notice.message).collect();
        assert_eq!(
            messages,
            [
                "tracing[1]: spans are sent to `otel` alone, and not to `skywalking`",
                "tracing[0]: nothing is sent to `zipkin`: tracing[1] names a provider, too",
            ]
        );
    }

    #[test]
    fn what_is_not_done_is_told() {
        for (tracing, told, is_traced) in [
            (
                json!({"providers": [{"name": "nobody"}]}),
                "no provider `nobody`",
                false,
            ),
            (json!({"providers": [{"name": "zipkin"}]}), "by B3", true),
            (
                json!({"providers": [{"name": "skywalking"}]}),
                "nothing is traced",
                false,
            ),
            (
                json!({"customTags": {"t": {"formatter": {"value": "%ODD%"}}}}),
                "no tag `t`",
                true,
            ),
            (
                json!({"customTags": {"t": {"header": {"name": "a b"}}}}),
                "no tag `t`",
                true,
            ),
            (json!({"customTags": {"t": {}}}), "no tag `t`", true),
        ] {
            let (plan, notices) = compile(std::slice::from_ref(&tracing), Direction::Client);
            assert_eq!(notices.len(), 1, "{tracing}");
            assert!(notices[0].message.contains(told), "{notices:?}");
            assert_eq!(plan.provider.is_some(), is_traced, "{tracing}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_has_its_default_or_no_tag() {
        let variable = |name: &str, default: &str| json!({"environment": {"name": name, "defaultValue": default}});
        let tags = json!({"customTags": {
            "set": variable("ZONE", "none"), "unset": variable("X", "none"), "no": variable("X", ""),
        }});
        let (plan, notices) = compile(&[tags], Direction::Client);
        assert!(notices.is_empty(), "{notices:?}");
        let expected = [("set", "eu"), ("unset", "none")];
        let expected = expected.map(|(name, value)| (name.to_owned(), Tag::literal(value)));
        assert_eq!(plan.tags, expected.into());
    }
}
