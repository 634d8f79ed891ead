//! What references to backends lead to (`buildDestination` in
//! `pilot/pkg/config/kube/gateway/conversion.go`).

use crate::config::services::Service;
use crate::model::retry::HashPolicy;
use crate::resolve::context::Context;
use crate::resolve::gateway_api::grants::{self, Referent};
use crate::resolve::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::rule::Reference;
use crate::resolve::virtual_service::{Delegates, RouteContext, hash};
use crate::resource::kind::Kind;
use crate::service::{ClusterName, ServiceName};

/// For which route, and at which listener, references are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleContext<'a> {
    /// For whom.
    pub(super) context: &'a Context<'a>,
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
        let Reference {
            group,
            kind,
            namespace,
            name,
            port,
        } = *reference;
        let namespace = namespace.unwrap_or(self.namespace);
        self.check_grant(reference, namespace)?;
        let hostname = match (group, kind) {
            ("", "Service") | ("multicluster.x-k8s.io", "ServiceImport") => {
                if name.contains('.') {
                    let message = format!("`{name}` is a hostname, not the name of a Service");
                    return Err(Refusal::new(Reason::UnsupportedValue, message));
                }
                ServiceName::new(namespace, name).hostname(self.context.config.domain())
            }
            ("networking.istio.io", "Hostname") => name.to_ascii_lowercase(),
            _ => {
                let message = format!("`{kind}` of the group `{group}` is no backend");
                return Err(Refusal::new(Reason::InvalidKind, message));
            }
        };
        let Some(port) = port else {
            let message = format!("the reference to `{name}` has no port");
            return Err(Refusal::new(Reason::UnsupportedValue, message));
        };
        let service = self.service(&hostname)?;
        if service.port(port).is_none() {
            let message = format!("`{hostname}` has no port {port}");
            return Err(Refusal::new(Reason::BackendNotFound, message));
        }
        Ok(Target { service, port })
    }

    fn check_grant(&self, reference: &Reference<'_>, namespace: &str) -> Result<(), Refusal> {
        let referent = Referent {
            group: reference.group,
            kind: reference.kind,
            namespace,
            name: reference.name,
        };
        let config = self.context.config;
        if self.mesh || grants::allows(config, self.kind, self.namespace, &referent) {
            return Ok(());
        }
        let (kind, name) = (self.kind.name(), reference.name);
        let message = format!("no ReferenceGrant lets a {kind} refer to `{namespace}/{name}`");
        Err(Refusal::new(Reason::RefNotPermitted, message))
    }

    /// The service of that name, or that it is another name of.
    fn service(&self, hostname: &str) -> Result<&'a Service, Refusal> {
        let find = |hostname: &str| self.context.scope.service(hostname).map(|found| &**found);
        let found = find(hostname);
        let found = found.and_then(|found| match &found.alias_of {
            Some(other) => find(other),
            None => Some(found),
        });
        found.ok_or_else(|| {
            let message = format!("there is no service `{hostname}`");
            Refusal::new(Reason::BackendNotFound, message)
        })
    }

    /// What is hashed of requests to `target`.
    pub(super) fn hash_policy(&self, target: &Target<'_>) -> Option<HashPolicy> {
        let context = RouteContext {
            config: self.context.config,
            workload: self.context.workload,
            delegates: &Delegates::default(),
            gateways: &[],
            port: self.port,
            tls: self.tls,
        };
        hash::of_service(&context, target.service, target.port, "")
    }
}

impl Target<'_> {
    /// Its cluster.
    pub(super) fn cluster(&self) -> ClusterName {
        ClusterName::outbound(self.port, "", &self.service.hostname)
    }
}
