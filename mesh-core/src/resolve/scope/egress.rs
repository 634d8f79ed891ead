//! What each outbound listener of a sidecar sees.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::services::{Provider, Service};
use crate::host::{HostPattern, MESH_GATEWAY};
use crate::origin::{FieldPath, Origin};
use crate::resolve::scope::imports::Imports;
use crate::resolve::scope::{EgressListener, Scope, exported_services};
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::sidecar::IstioEgressListener;
use crate::service::Protocol;

/// The outbound listeners of a sidecar in `namespace`: those of its Sidecar, else one that sees
/// everything.
pub(super) fn listeners<'a>(
    config: &'a MeshConfig,
    namespace: &str,
    scope: &Scope<'a>,
) -> Vec<EgressListener<'a>> {
    let written = scope
        .sidecar
        .filter(|sidecar| !sidecar.spec.egress.is_empty());
    let Some(sidecar) = written else {
        let everything = Imports::parse(&["*/*".to_owned()], namespace);
        let origin = match scope.sidecar {
            Some(sidecar) => sidecar.origin(),
            None => Origin::synthetic("default sidecar"),
        };
        let seen = Seen {
            config,
            namespace,
            imports: everything,
            port: None,
        };
        return vec![seen.listener(None, origin, scope)];
    };
    let root = FieldPath::root();
    let spec = root.field("spec");
    let egress = spec.field("egress");
    let listeners = sidecar.spec.egress.iter().enumerate();
    let listeners = listeners.map(|(index, listener)| {
        let seen = Seen {
            config,
            namespace,
            imports: Imports::parse(&listener.hosts, namespace),
            port: own_port(listener),
        };
        let origin = sidecar.origin().at(&egress.index(index), &sidecar.source);
        seen.listener(Some(listener), origin, scope)
    });
    listeners.collect()
}

/// The only port of services that a listener sees. A forward proxy and a Unix socket see all.
pub(super) fn own_port(listener: &IstioEgressListener) -> Option<u16> {
    let port = listener.port.as_ref()?;
    let is_proxy = Protocol::parse(&port.protocol) == Protocol::HttpProxy;
    let number = u16::try_from(port.number).ok()?;
    (number != 0 && !is_proxy).then_some(number)
}

struct Seen<'a, 'n> {
    config: &'a MeshConfig,
    namespace: &'n str,
    imports: Imports,
    port: Option<u16>,
}

impl<'a> Seen<'a, '_> {
    fn listener(
        self,
        written: Option<&'a IstioEgressListener>,
        origin: Origin,
        scope: &Scope<'a>,
    ) -> EgressListener<'a> {
        EgressListener {
            written,
            origin,
            services: self.services(),
            virtual_services: self.virtual_services(scope),
            imports: self.imports,
        }
    }

    fn virtual_services(&self, scope: &Scope<'a>) -> Vec<&'a Arc<Resource<VirtualService>>> {
        let all = scope.virtual_services.iter().copied();
        let imported = all.filter(|found| {
            let gateways = &found.spec.gateways;
            let namespace = &found.metadata.namespace;
            let for_sidecars =
                gateways.is_empty() || gateways.iter().any(|name| name == MESH_GATEWAY);
            for_sidecars
                && found.spec.hosts.iter().any(|host| {
                    let host = self.config.resolve_host(host, namespace);
                    self.imports
                        .virtual_service(namespace, &HostPattern::new(&host))
                })
        });
        imported.collect()
    }

    /// The services that are imported; of those with the same host only those of one namespace.
    fn services(&self) -> Vec<Arc<Service>> {
        let visible = exported_services(self.config, self.namespace);
        let imported: Vec<_> = visible.filter_map(|service| self.import(service)).collect();
        let mut owners: HashMap<&str, &Arc<Service>> = HashMap::new();
        for service in &imported {
            let owner = owners.entry(&service.hostname).or_insert(service);
            if self.displaces(service, owner) {
                *owner = service;
            }
        }
        let is_owned = |service: &&Arc<Service>| {
            let owner = owners.get(&*service.hostname);
            owner.is_some_and(|owner| owner.namespace == service.namespace)
        };
        imported.iter().filter(is_owned).cloned().collect()
    }

    /// Whether `service` takes its host from `owner`, which was found before: the own namespace
    /// comes before others, and a Kubernetes Service before an entry.
    fn displaces(&self, service: &Service, owner: &Service) -> bool {
        if service.namespace == self.namespace {
            return true;
        }
        let is_kubernetes = |service: &Service| service.provider == Provider::Kubernetes;
        is_kubernetes(service) && !is_kubernetes(owner) && owner.namespace != self.namespace
    }

    /// The service as the listener sees it: with its port only, and with the aliases that are
    /// imported too.
    fn import(&self, service: &Arc<Service>) -> Option<Arc<Service>> {
        let imports = |hostname: &str| {
            let host = HostPattern::new(hostname);
            self.imports.service(&service.namespace, &host)
        };
        if !imports(&service.hostname) {
            return None;
        }
        let mut service = with_port(service, self.port)?;
        if service
            .aliases
            .iter()
            .any(|alias| !imports(&alias.hostname))
        {
            let aliases = &mut Arc::make_mut(&mut service).aliases;
            aliases.retain(|alias| imports(&alias.hostname));
        }
        Some(service)
    }
}

/// The service with that port only, if it has it; the whole service without a port.
pub(super) fn with_port(service: &Arc<Service>, port: Option<u16>) -> Option<Arc<Service>> {
    let mut service = Arc::clone(service);
    if let Some(number) = port {
        let port = service.port(number)?.clone();
        if service.ports.len() > 1 {
            Arc::make_mut(&mut service).ports = vec![port];
        }
    }
    Some(service)
}
