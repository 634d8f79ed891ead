//! What is laid over a pod: templates.
//!
//! Istio's own templates are code here, and so is that of a sidecar of ours: rendered from [`Values`](super::values::Values), the mesh
//! configuration and the pod; a template of one's own is a partial pod, as data. The language of
//! Go's templates is not evaluated.

mod environment;
mod gateway;
mod grpc;
mod iptables;
mod mesh_sidecar;
mod proxy;
mod render;
mod sidecar;
#[cfg(test)]
mod tests;
mod volumes;

use serde_json::Value;

pub(super) use self::render::Render;

/// A partial pod that is laid over the pods that ask for it.
///
/// # Example
///
/// ```
/// use mesh_policy::admission::Template;
///
/// let tuned = Template::overlay(serde_json::json!({"spec": {"priorityClassName": "mesh"}}));
/// assert_ne!(tuned, Template::Sidecar);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Template {
    /// Istio's gateway: the proxy is the application.
    Gateway,
    /// Istio's agent without Envoy, for applications that speak xDS themselves.
    GrpcAgent,
    /// Only the bootstrap for applications that speak xDS themselves.
    GrpcSimple,
    /// A sidecar without Envoy and istiod's xDS: the program of
    /// [`MeshSidecar::image`](super::values::MeshSidecar::image), with the configuration of a
    /// ConfigMap.
    MeshSidecar,
    /// A partial pod, the same for all.
    Overlay(Box<Value>),
    /// Istio's sidecar.
    Sidecar,
}

impl Template {
    /// A partial pod, the same for all that ask for it.
    pub fn overlay(pod: Value) -> Self {
        Self::Overlay(Box::new(pod))
    }

    pub(super) fn render(&self, render: &Render<'_>) -> Value {
        match self {
            Self::Gateway => gateway::render(render),
            Self::GrpcAgent => grpc::render_agent(render),
            Self::GrpcSimple => grpc::render_simple(render),
            Self::MeshSidecar => mesh_sidecar::render(render),
            Self::Overlay(pod) => (**pod).clone(),
            Self::Sidecar => sidecar::render(render),
        }
    }
}
