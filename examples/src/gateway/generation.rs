use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use http::HeaderValue;
use mesh_core::model::Model;
use mesh_core::model::listener::{Direction, HttpConnection, Listener, NetworkFilter};
use mesh_core::model::route::RouteConfiguration;
use mesh_core::resource::istio::envoy_filter::PatchContext;
use mesh_core::resource::istio::mesh_config::ForwardClientCertDetails;
use mesh_core::watch::Watch;
use mesh_discovery::cluster::Clusters;
use mesh_discovery::locality::Client;
use mesh_policy::authz::Forwarding;
use mesh_policy::rate_limit::RateLimits;
use mesh_policy::rate_limit::envoy_filter::{self, Scope};
use mesh_routing::error::CompileErrors;
use mesh_routing::table::RouteTable;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::xfcc::ForwardClientCert;
use tokio::time::Instant;

use super::balancing::Balancing;
use super::keys::Keys;
use super::mesh_wide::MeshWide;
use super::policies::{self, Policies};
use super::secrets::Tls;
use super::telemetry::Telemetry;
use super::{PublishError, Settings};
use crate::headers::HeaderPolicy;
use crate::headers::forwarded::Trust;
use crate::serve::{ListenerId, TlsChains};

/// One generation of the configuration: all that a request is decided by.
///
/// Generations replace each other whole, so that a request is judged, routed, and sent to an
/// endpoint, by one of them.
#[derive(Debug)]
pub(super) struct Generation {
    listeners: BTreeMap<ListenerId, Chains>,
    clusters: Clusters,
    policies: Policies,
    telemetry: Telemetry,
}

/// The filter chains of a listener that carry HTTP.
#[derive(Debug)]
struct Chains {
    /// By the name of their routes.
    served: BTreeMap<String, Served>,
    /// The one without TLS.
    plain: Option<String>,
    /// Those whose TLS ends here; no connection gets another then.
    tls: Option<Arc<TlsChains>>,
}

/// What is particular of a filter chain.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) routes: Watch<RouteTable>,
    pub(super) limits: Watch<RateLimits>,
    /// Whether there may be limits.
    pub(super) is_limited: bool,
    /// Whose address is that of the client.
    pub(super) forwarding: Forwarding,
    pub(super) headers: HeaderPolicy,
    /// What upstreams are told of the client's certificate.
    pub(super) client_cert: ForwardClientCert,
}

impl Generation {
    /// The generation that serves nothing.
    pub(super) fn empty() -> Self {
        Self {
            listeners: BTreeMap::new(),
            clusters: Clusters::new(Client::default()),
            policies: Policies::none(),
            telemetry: Telemetry::default(),
        }
    }

    /// Compiles the HTTP listeners of a model, by the ports that they declare; and says
    /// what of the model is not served. Endpoints are known to `balancing`, and metrics counted on
    /// from those of `last`.
    pub(super) fn compile(
        (model, wide): (&Model, &MeshWide),
        settings: &Settings,
        (balancing, keys): (&mut Balancing, &Keys),
        last: &Self,
    ) -> Result<(Self, Vec<String>), PublishError> {
        let (tls, mut warnings) = (Tls::new(), Vec::new());
        let mut listeners = BTreeMap::new();
        let inbound = |listener: &&Listener| listener.direction == Direction::Inbound;
        for listener in model.listeners.iter().filter(inbound) {
            let (chains, found) = Chains::compile((model, wide), listener, &tls)?;
            warnings.extend(found);
            if !chains.served.is_empty() {
                listeners.insert(listener.declared_port.into(), chains);
            }
        }
        warnings.extend(tls.publish_secrets(model, wide));
        let (policies, found) = Policies::compile(model, wide, keys.store())?;
        warnings.extend(found);
        let (telemetry, found) = Telemetry::compile(model, wide, settings, &last.telemetry);
        warnings.extend(found);
        let published = balancing.publish(model, wide);
        let (clusters, found) = published.map_err(PublishError::Names)?;
        warnings.extend(found);
        // What is about several listeners was found at each.
        let mut known = BTreeSet::new();
        warnings.retain(|warning| known.insert(warning.clone()));
        let generation = Self {
            listeners,
            clusters,
            policies,
            telemetry,
        };
        Ok((generation, warnings))
    }

    /// Compiles one route configuration of a model, as that of the listener 0. Policies are about
    /// those who call the workload, and not about what it calls.
    pub(super) fn of_routes(
        model: &Model,
        configuration: &str,
        balancing: &mut Balancing,
    ) -> Result<Self, PublishError> {
        let routes = RouteTable::compile(&route_configuration(model, configuration))?;
        let served = Served {
            routes: routes.into(),
            ..Served::nothing()
        };
        let published = balancing.publish(model, &MeshWide::default());
        let (clusters, _) = published.map_err(PublishError::Names)?;
        Ok(Self {
            listeners: BTreeMap::from([(0, Chains::plain(configuration, served))]),
            clusters,
            policies: Policies::of_clusters(&model.clusters),
            telemetry: Telemetry::default(),
        })
    }

    /// The listeners that are served.
    pub(super) fn listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.listeners.keys().copied()
    }

    /// What is served to a connection to `listener`: by the chain whose TLS it has ended, if any. What
    /// is served no more has no routes.
    pub(super) fn served(&self, listener: ListenerId, chain: Option<&str>) -> Served {
        let chains = self.listeners.get(&listener);
        let served = chains.and_then(|chains| {
            let name = chain.or(chains.plain.as_deref())?;
            chains.served.get(name).cloned()
        });
        served.unwrap_or_else(Served::nothing)
    }

    /// How the TLS of connections to `listener` ends, if it does.
    pub(super) fn tls(&self, listener: ListenerId) -> Option<Arc<TlsChains>> {
        self.listeners.get(&listener)?.tls.clone()
    }

    /// The clusters that the routes name.
    pub(super) fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// What holds for all listeners.
    pub(super) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What is recorded.
    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

impl Chains {
    /// A single chain without TLS.
    fn plain(name: &str, served: Served) -> Self {
        Self {
            served: BTreeMap::from([(name.to_owned(), served)]),
            plain: Some(name.to_owned()),
            tls: None,
        }
    }

    /// Compiles the chains that carry HTTP, and says what the others are.
    fn compile(
        (model, wide): (&Model, &MeshWide),
        listener: &Listener,
        tls: &Tls,
    ) -> Result<(Self, Vec<String>), CompileErrors> {
        let (mut served, mut plain) = (BTreeMap::new(), None);
        let (mut acceptors, mut warnings) = (HashMap::new(), Vec::new());
        for chain in &listener.filter_chains {
            let unserved = |why: &str| {
                let name = &listener.name;
                format!("listener `{name}` is not served: {why} [{}]", chain.origin)
            };
            let NetworkFilter::Http(connection) = &chain.filter else {
                warnings.push(unserved("it carries no HTTP"));
                continue;
            };
            let routes = &connection.route_configuration;
            match tls.compiler().server(chain) {
                Ok(Some(server)) => {
                    warnings.extend(server.notices().iter().map(policies::warning));
                    acceptors.insert(routes.clone(), TlsAcceptor::new(server));
                }
                Ok(None) if chain.tls.is_none() => plain = Some(routes.clone()),
                Ok(None) => {
                    warnings.push(unserved("its TLS does not end here"));
                    continue;
                }
                Err(errors) => {
                    warnings.push(unserved(&errors.to_string()));
                    continue;
                }
            }
            let (compiled, found) = Served::compile((model, wide), listener, connection)?;
            warnings.extend(found);
            served.insert(routes.clone(), compiled);
        }
        let tls = match acceptors.is_empty() {
            true => None,
            false => Some(Arc::new(TlsChains::compile(listener, acceptors)?)),
        };
        Ok((Self { served, plain, tls }, warnings))
    }
}

impl Served {
    fn nothing() -> Self {
        Self {
            routes: no_routes().into(),
            limits: RateLimits::new().into(),
            is_limited: false,
            forwarding: Forwarding::default(),
            headers: HeaderPolicy::default(),
            client_cert: ForwardClientCert::for_gateway(ForwardClientCertDetails::default()),
        }
    }

    fn compile(
        (model, wide): (&Model, &MeshWide),
        listener: &Listener,
        connection: &HttpConnection,
    ) -> Result<(Self, Vec<String>), CompileErrors> {
        let routes = route_configuration(model, &connection.route_configuration);
        let root = wide.options.root_namespace();
        let scope = Scope::new(PatchContext::Gateway, &model.workload, root)
            .with_port(listener.declared_port)
            .with_routes(&routes);
        let filters = wide.envoy_filters.iter().map(AsRef::as_ref);
        let limits = envoy_filter::compile(filters, &scope, Instant::now().into_std());
        let mut warnings: Vec<String> = limits.notices.iter().map(policies::warning).collect();
        warnings.extend(limits.global.iter().map(|global| {
            let domain = &global.domain;
            format!("no rate limit service is asked: `{domain}` limits nothing")
        }));
        let served = Self {
            routes: RouteTable::compile(&routes)?.into(),
            limits: limits.limits.into(),
            is_limited: !wide.envoy_filters.is_empty(),
            forwarding: Forwarding::of(connection),
            headers: header_policy(connection, wide),
            client_cert: client_cert(wide),
        };
        Ok((served, warnings))
    }
}

fn client_cert(wide: &MeshWide) -> ForwardClientCert {
    let proxy = wide.options.as_written().default_config.as_ref();
    let topology = proxy.and_then(|proxy| proxy.gateway_topology.as_ref());
    let details = topology.map(|topology| topology.forward_client_cert_details);
    ForwardClientCert::for_gateway(details.unwrap_or_default())
}

fn header_policy(connection: &HttpConnection, wide: &MeshWide) -> HeaderPolicy {
    let HttpConnection {
        route_configuration: _,
        use_remote_address,
        trusted_hops,
        server_name,
    } = connection;
    let trust = Trust {
        trusted_hops: usize::try_from(*trusted_hops).unwrap_or(usize::MAX),
        ..Trust::default()
    };
    let server = server_name.as_deref();
    HeaderPolicy {
        normalization: wide.normalization(),
        forwarded: use_remote_address.then_some(trust),
        server: server.and_then(|server| HeaderValue::try_from(server).ok()),
        ..HeaderPolicy::default()
    }
}

fn route_configuration(model: &Model, name: &str) -> Arc<RouteConfiguration> {
    let routes = model.route_configurations.get(name);
    routes.cloned().unwrap_or_default()
}

fn no_routes() -> RouteTable {
    let empty = RouteTable::compile(&RouteConfiguration::default());
    empty.expect("a table of no hosts has nothing to refuse")
}
