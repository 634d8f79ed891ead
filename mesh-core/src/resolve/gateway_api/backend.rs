//! What references to backends lead to (`buildDestination` in
//! `pilot/pkg/config/kube/gateway/conversion.go`).

use crate::config::MeshConfig;
use crate::config::destination_rules::MergedRule;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::config::services::Service;
use crate::model::retry::HashPolicy;
use crate::resolve::gateway_api::grants::{self, Referent};
use crate::resolve::gateway_api::rule::Reference;
use crate::resolve::scope::Scope;
use crate::resolve::virtual_service::{Delegates, RouteContext, hash};
use crate::resource::kind::Kind;
use crate::service::{ClusterName, ServiceName};
use crate::workload::Workload;

/// For which route, and at which listener, references are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleContext<'a> {
    /// The whole configuration.
    pub(super) config: &'a MeshConfig,
    /// For whom.
    pub(super) workload: &'a Workload,
    /// What they see. `None` is all that is exported to their namespace.
    pub(super) scope: Option<&'a Scope<'a>>,
    /// Kind of the route.
    pub(super) kind: Kind,
    /// Namespace of the route.
    pub(super) namespace: &'a str,
    /// Port of the listener.
    pub(super) port: u16,
    /// Whether the listener terminates TLS.
    pub(super) tls: bool,
    /// Whether the route is for a Service of the mesh, where no grants are needed.
    pub(super) mesh: bool,
}

/// A port of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    service: &'a Service,
    port: u16,
}

impl<'a> RuleContext<'a> {
    /// What `reference` leads to.
    ///
    /// # Errors
    ///
    /// Why nothing may be sent there.
    pub(super) fn backend(&self, reference: &Reference<'_>) -> Result<Target<'a>, Refusal> {
        let (hostname, port) = self.address(reference)?;
        let service = self.service(&hostname)?;
        if service.port(port).is_none() {
            let message = format!("backend({hostname}) has no port {port}");
            return Err(Refusal::new(Reason::BackendNotFound, message));
        }
        Ok(Target { service, port })
    }

    /// The cluster that `reference` names, which need not exist.
    pub(super) fn named(&self, reference: &Reference<'_>) -> Option<ClusterName> {
        let (hostname, port) = self.address(reference).ok()?;
        Some(ClusterName::outbound(port, "", &hostname))
    }

    /// The host and port that `reference` names.
    ///
    /// # Errors
    ///
    /// Why it names none, or none that the route may have.
    pub(super) fn address(&self, reference: &Reference<'_>) -> Result<(String, u16), Refusal> {
        let Reference {
            group,
            kind,
            written: (written_group, written_kind),
            namespace,
            name,
            port,
        } = *reference;
        let namespace = namespace.unwrap_or(self.namespace);
        self.check_grant(reference, namespace)?;
        let hostname = match (group, kind) {
            ("", "Service") | ("multicluster.x-k8s.io", "ServiceImport") => {
                if name.contains('.') {
                    let message = "service name invalid; the name of the Service must be used, not \
                                   the hostname.";
                    return Err(Refusal::new(Reason::InvalidDestination, message));
                }
                ServiceName::new(namespace, name).hostname(self.config.domain())
            }
            ("networking.istio.io", "Hostname") => {
                if reference.namespace.is_some() {
                    let message = "namespace may not be set with Hostname type";
                    return Err(Refusal::new(Reason::InvalidDestination, message));
                }
                name.to_ascii_lowercase()
            }
            _ => {
                let message = format!(
                    "referencing unsupported backendRef: group \"{written_group}\" kind \
                     \"{written_kind}\""
                );
                return Err(Refusal::new(Reason::InvalidKind, message));
            }
        };
        let Some(port) = port else {
            let message = "port is required in backendRef";
            return Err(Refusal::new(Reason::InvalidDestination, message));
        };
        Ok((hostname, port))
    }

    fn check_grant(&self, reference: &Reference<'_>, namespace: &str) -> Result<(), Refusal> {
        let referent = Referent {
            group: reference.group,
            kind: reference.kind,
            namespace,
            name: reference.name,
        };
        if self.mesh || grants::allows(self.config, self.kind, self.namespace, &referent) {
            return Ok(());
        }
        let (kind, name, own) = (self.kind.name(), reference.name, self.namespace);
        let message = format!(
            "backendRef {name}/{namespace} not accessible to a {kind} in namespace \"{own}\" \
             (missing a ReferenceGrant?)"
        );
        Err(Refusal::new(Reason::RefNotPermitted, message))
    }

    /// The service of that name, or that it is another name of.
    fn service(&self, hostname: &str) -> Result<&'a Service, Refusal> {
        let found = self.find(&hostname.to_ascii_lowercase());
        let found = found.and_then(|found| match &found.alias_of {
            Some(other) => self.find(other),
            None => Some(found),
        });
        found.ok_or_else(|| {
            let message = format!("backend({hostname}) not found");
            Refusal::new(Reason::BackendNotFound, message)
        })
    }

    fn find(&self, hostname: &str) -> Option<&'a Service> {
        let found = match self.scope {
            Some(scope) => scope.service(hostname),
            None => {
                let services = self.config.services();
                services.lookup(hostname, &self.workload.namespace)
            }
        };
        found.map(|found| &**found)
    }

    /// The DestinationRule that applies to `target`.
    pub(super) fn destination_rule(&self, target: &Target<'_>) -> Option<&'a MergedRule> {
        let rules = self.config.destination_rules();
        rules.lookup(target.service, self.workload)
    }

    /// What is hashed of requests to `target`.
    pub(super) fn hash_policy(&self, target: &Target<'_>) -> Option<HashPolicy> {
        let context = RouteContext {
            config: self.config,
            workload: self.workload,
            delegates: &Delegates::default(),
            gateways: &[],
            port: self.port,
            tls: self.tls,
        };
        hash::of_service(&context, target.service, Some(target.port), "")
    }
}

impl Target<'_> {
    /// Its cluster.
    pub(super) fn cluster(&self) -> ClusterName {
        ClusterName::outbound(self.port, "", &self.service.hostname)
    }
}
