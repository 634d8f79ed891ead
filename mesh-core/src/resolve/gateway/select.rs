//! Which servers a workload runs: those of the Gateways that select it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::services::ServiceTarget;
use crate::host::ScopedHost;
use crate::labels::Labels;
use crate::model::Notice;
use crate::origin::{FieldPath, Origin};
use crate::resolve::context::Context;
use crate::resolve::gateway::credential;
use crate::resolve::gateway::server::{Bindings, GatewayName, GatewayServer};
use crate::resolve::gateway_api;
use crate::resource::Resource;
use crate::resource::istio::Gateway;
use crate::resource::istio::gateway::{Port, Server};
use crate::service::Protocol;

/// Names the Services whose ports a Gateway means, separated by commas, in place of a selector.
const SERVICES_ANNOTATION: &str = "internal.istio.io/gateway-service";

/// A Service with this label does not translate the ports of Gateways that select by labels.
const NO_TRANSLATION_LABEL: &str = "experimental.istio.io/disable-gateway-port-translation";

/// Whether what is of `namespace` is kept from a workload that runs Gateways of the Gateway API which
/// were deployed for it, in the namespaces `managed`, so that others cannot use its credentials
/// (`filterStrictGatewayMerging`).
pub(super) fn is_kept_away(managed: &BTreeSet<&str>, namespace: &str) -> bool {
    !managed.is_empty() && !managed.contains(namespace)
}

/// That something is kept from the workload.
pub(super) fn kept_away(origin: Origin) -> Notice {
    let message = "it is left out: the gateway was deployed for a Gateway of the Gateway API, of \
                   another namespace";
    Notice {
        origin,
        message: message.to_owned(),
    }
}

/// Whether the workload does not run what is of `namespace`, since it is of another
/// (`PILOT_SCOPE_GATEWAY_TO_NAMESPACE`).
pub(super) fn is_out_of_scope(context: &Context<'_>, namespace: &str) -> bool {
    let is_scoped = context.config.features().scope_gateway_to_namespace;
    is_scoped && context.workload.namespace != namespace
}

/// That something is of another namespace than the workload.
pub(super) fn out_of_scope(origin: Origin) -> Notice {
    let message = "it is left out: gateways run only what is of their own namespace";
    Notice {
        origin,
        message: message.to_owned(),
    }
}

/// The servers of the Gateways that select the workload, those of the oldest first, with nothing
/// bound to them.
pub(super) fn servers(context: &Context<'_>, notices: &mut Vec<Notice>) -> Vec<GatewayServer> {
    let managed = gateway_api::managed_namespaces(context);
    let targets = context.config.services().targets(context.workload);
    let mut servers = Vec::new();
    for gateway in &context.config.resources().gateways {
        let Some(ports) = Ports::of(gateway, context, &targets) else {
            continue;
        };
        let namespace = &gateway.metadata.namespace;
        if is_kept_away(&managed, namespace) {
            notices.push(kept_away(gateway.origin()));
            continue;
        }
        if is_out_of_scope(context, namespace) {
            notices.push(out_of_scope(gateway.origin()));
            continue;
        }
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let reader = Reader::new(gateway, index);
            match reader.server(server, &ports, notices) {
                Ok(mut server) => {
                    let by = (gateway.metadata.namespace.as_str(), &server.origin);
                    if let Some(tls) = &mut server.tls {
                        credential::permit(context, by, tls, notices);
                    }
                    servers.push(server);
                }
                Err(notice) => notices.push(notice),
            }
        }
    }
    servers
}

/// How the ports of one Gateway become ports of the workload.
pub(super) struct Ports<'a> {
    targets: Vec<&'a ServiceTarget<'a>>,
    by_selector: bool,
}

impl<'a> Ports<'a> {
    /// `None` unless the Gateway selects the workload.
    fn of(
        gateway: &Resource<Gateway>,
        context: &Context<'_>,
        targets: &'a [ServiceTarget<'a>],
    ) -> Option<Self> {
        let metadata = &gateway.metadata;
        if let Some(names) = metadata.annotations.get(SERVICES_ANNOTATION) {
            let is_named = |target: &&ServiceTarget<'_>| {
                let service = target.service;
                service.namespace == metadata.namespace
                    && names.split(',').any(|name| name == service.hostname)
            };
            let targets: Vec<_> = targets.iter().filter(is_named).collect();
            return (!targets.is_empty()).then_some(Self {
                targets,
                by_selector: false,
            });
        }
        let selector: Labels = gateway.spec.selector.iter().collect();
        Self::by_labels(&selector, context, targets)
    }

    /// `None` unless `selector` selects the workload, which is behind `targets`.
    pub(super) fn by_labels(
        selector: &Labels,
        context: &Context<'_>,
        targets: &'a [ServiceTarget<'a>],
    ) -> Option<Self> {
        let translates = |target: &&ServiceTarget<'_>| {
            let labels = &target.service.labels;
            labels.value(NO_TRANSLATION_LABEL).is_none()
        };
        selector
            .is_subset_of(&context.workload.labels)
            .then(|| Self {
                targets: targets.iter().filter(translates).collect(),
                by_selector: true,
            })
    }

    /// The ports to bind for the declared `port` (`resolvePorts`): that of the oldest Service that
    /// has it, else the port itself. A Gateway that names its Services gets the ports of all of
    /// them, and no others.
    pub(super) fn bound(&self, port: u16) -> Vec<u16> {
        let targets = self.targets.iter();
        let targets = targets.filter(|target| target.port.number == port);
        let mut bound: Vec<u16> = targets.map(|target| target.target_port).collect();
        if self.by_selector {
            return vec![bound.first().copied().unwrap_or(port)];
        }
        bound.sort_unstable();
        bound.dedup();
        bound
    }
}

struct Reader<'a> {
    gateway: &'a Arc<Resource<Gateway>>,
    origin: Origin,
}

impl<'a> Reader<'a> {
    fn new(gateway: &'a Arc<Resource<Gateway>>, index: usize) -> Self {
        let root = FieldPath::root();
        let spec = root.field("spec");
        let servers = spec.field("servers");
        let origin = gateway.origin().at(&servers.index(index), &gateway.source);
        Self { gateway, origin }
    }

    fn server(
        &self,
        server: &Server,
        ports: &Ports<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<GatewayServer, Notice> {
        let Server {
            port,
            bind,
            hosts,
            tls,
            // Hidden by Istio, which does nothing with it.
            default_endpoint: _,
            // For statistics, which are named by listener here.
            name: _,
        } = server;
        let port = port.as_ref();
        let port = port.ok_or_else(|| self.notice("a server without a port serves nothing"))?;
        let number = self.number(port, bind)?;
        let bound_ports = ports.bound(number);
        if bound_ports.is_empty() {
            let message = format!("no Service of the gateway has port {number}");
            return Err(self.notice(message));
        }
        let metadata = &self.gateway.metadata;
        Ok(GatewayServer {
            gateway: GatewayName {
                namespace: metadata.namespace.clone(),
                name: metadata.name.clone(),
            },
            created: metadata.creation_timestamp,
            port: number,
            port_name: port.name.clone(),
            bound_ports,
            protocol: Protocol::parse(&port.protocol),
            bind: bind.clone(),
            hosts: self.hosts(hosts, notices),
            tls: tls.clone(),
            origin: self.origin.clone(),
            bindings: Bindings::default(),
        })
    }

    /// The number of a port, which only a Unix socket is without.
    fn number(&self, port: &Port, bind: &str) -> Result<u16, Notice> {
        let number = u16::try_from(port.number).ok();
        let number = number.filter(|number| *number != 0 || bind.starts_with("unix:"));
        number.ok_or_else(|| {
            let number = port.number;
            self.notice(format!(
                "`{number}` is no port number; the server is left out"
            ))
        })
    }

    fn hosts(&self, written: &[String], notices: &mut Vec<Notice>) -> Vec<ScopedHost> {
        let mut hosts = Vec::new();
        for text in written {
            match text.parse() {
                Ok(host) => hosts.push(host),
                Err(error) => notices.push(self.notice(format!("{error}; it is left out"))),
            }
        }
        hosts
    }

    fn notice(&self, message: impl Into<String>) -> Notice {
        Notice {
            origin: self.origin.clone(),
            message: message.into(),
        }
    }
}
