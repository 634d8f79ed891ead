//! One element of a file as a resource of a known kind.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::deserialize::{self, Session};
use super::document::Element;
use super::nearest::nearest;
use super::node::Node;
use super::problem::{Problem, ProblemKind, excerpt};
use crate::origin::FieldPath;
use crate::resource::kind::Kind;
use crate::resource::value::Value;
use crate::resource::{Metadata, Object, Resource, Spec};

/// Reads an element as a resource of a known kind.
pub(super) struct Reader<'e> {
    element: Element<'e>,
    kind: Kind,
    version: &'static str,
}

/// Fields of a document whose content is its `spec`.
const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

impl<'e> Reader<'e> {
    pub(super) const fn new(element: Element<'e>, kind: Kind, version: &'static str) -> Self {
        Self {
            element,
            kind,
            version,
        }
    }

    /// The resource, or `None` when its problems were added to `problems`.
    pub(super) fn object(&self, problems: &mut Vec<Problem>) -> Option<Object> {
        match self.kind {
            Kind::VirtualService => self.read(problems).map(Object::VirtualService),
            Kind::DestinationRule => self.read(problems).map(Object::DestinationRule),
            Kind::Gateway => self.read(problems).map(Object::Gateway),
            Kind::ServiceEntry => self.read(problems).map(Object::ServiceEntry),
            Kind::Sidecar => self.read(problems).map(Object::Sidecar),
            Kind::WorkloadEntry => self.read(problems).map(Object::WorkloadEntry),
            Kind::WorkloadGroup => self.read(problems).map(Object::WorkloadGroup),
            Kind::ProxyConfig => self.read(problems).map(Object::ProxyConfig),
            Kind::EnvoyFilter => self.read(problems).map(Object::EnvoyFilter),
            Kind::PeerAuthentication => self.read(problems).map(Object::PeerAuthentication),
            Kind::RequestAuthentication => self.read(problems).map(Object::RequestAuthentication),
            Kind::AuthorizationPolicy => self.read(problems).map(Object::AuthorizationPolicy),
            Kind::Telemetry => self.read(problems).map(Object::Telemetry),
            Kind::WasmPlugin => self.read(problems).map(Object::WasmPlugin),
            Kind::TrafficExtension => self.read(problems).map(Object::TrafficExtension),
            Kind::Service => self.read(problems).map(Object::Service),
            Kind::EndpointSlice => self.read(problems).map(Object::EndpointSlice),
            Kind::Endpoints => self.read(problems).map(Object::Endpoints),
            Kind::Pod => self.read(problems).map(Object::Pod),
            Kind::Namespace => self.read(problems).map(Object::Namespace),
            Kind::Node => self.read(problems).map(Object::Node),
            Kind::Secret => self.read(problems).map(Object::Secret),
            Kind::ConfigMap => self.read(problems).map(Object::ConfigMap),
            Kind::Deployment => self.read(problems).map(Object::Deployment),
            Kind::Ingress => self.read(problems).map(Object::Ingress),
            Kind::IngressClass => self.read(problems).map(Object::IngressClass),
            Kind::MutatingWebhookConfiguration => self
                .read(problems)
                .map(Object::MutatingWebhookConfiguration),
            Kind::ValidatingWebhookConfiguration => self
                .read(problems)
                .map(Object::ValidatingWebhookConfiguration),
            Kind::CustomResourceDefinition => {
                self.read(problems).map(Object::CustomResourceDefinition)
            }
            Kind::GatewayClass
            | Kind::KubernetesGateway
            | Kind::ListenerSet
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::ReferenceGrant
            | Kind::BackendTlsPolicy => self.gateway_api(problems),
        }
    }

    #[cfg(feature = "gateway-api")]
    fn gateway_api(&self, problems: &mut Vec<Problem>) -> Option<Object> {
        use crate::resource::gateway_api::object::GatewayApiObject;

        let object = match self.kind {
            Kind::GatewayClass => self.read(problems).map(GatewayApiObject::GatewayClass),
            Kind::KubernetesGateway => self.read(problems).map(GatewayApiObject::KubernetesGateway),
            Kind::ListenerSet => self.read(problems).map(GatewayApiObject::ListenerSet),
            Kind::HttpRoute => self.read(problems).map(GatewayApiObject::HttpRoute),
            Kind::GrpcRoute => self.read(problems).map(GatewayApiObject::GrpcRoute),
            Kind::TlsRoute => self.read(problems).map(GatewayApiObject::TlsRoute),
            Kind::TcpRoute => self.read(problems).map(GatewayApiObject::TcpRoute),
            Kind::UdpRoute => self.read(problems).map(GatewayApiObject::UdpRoute),
            Kind::ReferenceGrant => self.read(problems).map(GatewayApiObject::ReferenceGrant),
            Kind::BackendTlsPolicy => self.read(problems).map(GatewayApiObject::BackendTlsPolicy),
            _ => None,
        };
        object.map(Object::GatewayApi)
    }

    #[cfg(not(feature = "gateway-api"))]
    fn gateway_api(&self, _: &mut Vec<Problem>) -> Option<Object> {
        None
    }

    fn read<S: Spec + DeserializeOwned>(
        &self,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<Resource<S>>> {
        let Element {
            node, nodes, file, ..
        } = self.element;
        let session = Session::new(self.kind.name(), file, nodes);
        let metadata = self.metadata(&session);
        let (spec, status) = if self.kind.has_spec() {
            self.check_fields(&session);
            (self.field("spec", &session), self.status(&session))
        } else {
            let session = Session::new(self.kind.name(), file, nodes).lenient();
            let content = deserialize::read(node, FieldPath::root(), &session);
            problems.extend(session.into_problems());
            (content, None)
        };
        problems.extend(session.into_problems());
        Some(Arc::new(Resource {
            metadata: metadata?,
            spec: spec?,
            status,
            source: node.source(file, nodes).in_version(self.version),
        }))
    }

    fn metadata(&self, session: &Session<'_>) -> Option<Metadata> {
        let metadata: Metadata = self.field("metadata", session)?;
        if metadata.name.is_empty() && metadata.generate_name.is_empty() {
            let node = self.element.node;
            let place = node.field("metadata").unwrap_or(node);
            let kind = ProblemKind::Missing {
                field: "metadata.name",
                of: self.kind.name().to_owned(),
            };
            session.report(place.position, &FieldPath::root(), kind);
        }
        Some(metadata)
    }

    /// The field `name` of the document as a `T`, which is one of no fields when it is absent.
    fn field<T: DeserializeOwned>(&self, name: &str, session: &Session<'_>) -> Option<T> {
        let node = self.element.node;
        let empty = Node::empty(node.position);
        let root = FieldPath::root();
        deserialize::read(
            node.field(name).unwrap_or(&empty),
            root.field(name),
            session,
        )
    }

    fn status(&self, session: &Session<'_>) -> Option<Value> {
        self.element.node.field("status")?;
        self.field("status", session)
    }

    fn check_fields(&self, session: &Session<'_>) {
        let entries = self.element.node.entries().iter();
        let unknown = entries.filter(|entry| !FIELDS.contains(&&*entry.key));
        for entry in unknown.take_while(|_| !session.is_full()) {
            let kind = ProblemKind::UnknownField {
                field: excerpt(&entry.key),
                parent: self.kind.name().to_owned(),
                nearest: nearest(&entry.key, FIELDS.iter().copied()).map(str::to_owned),
                known: FIELDS,
            };
            session.report(entry.position, &FieldPath::root(), kind);
        }
    }
}
