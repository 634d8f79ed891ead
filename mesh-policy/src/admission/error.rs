//! Why a pod is not injected.

use mesh_core::parse::Problem;

/// Why a pod cannot get its sidecar. It is not admitted without one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// Annotations hold values that cannot be meant.
    #[error("{}", listed(.0))]
    Annotations(Vec<AnnotationError>),
    /// The containers kept by an earlier injection cannot be read.
    #[error("the annotation `proxy.istio.io/overrides` is no JSON of containers")]
    Overrides,
    /// A port to be scraped by the agent is none, or is the mesh's own.
    #[error("`{port}` cannot be scraped: {why}")]
    Prometheus {
        /// The port, as written.
        port: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The proxy's configuration does not fit the pod's annotation.
    #[error("{}", listed(.0))]
    ProxyConfig(Vec<Problem>),
    /// No template has the name that the pod asks for.
    #[error("there is no template `{name}`; there are: {}", known.join(", "))]
    UnknownTemplate {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// An object that holds pods has none.
    #[error("`{kind}` has no pod template at `{path}`")]
    NoPodTemplate {
        /// The kind of the object.
        kind: String,
        /// Where its pod template should be, as a JSON pointer.
        path: &'static str,
    },
}

/// An annotation whose value cannot be meant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid value `{value}` for the annotation `{name}`")]
pub struct AnnotationError {
    /// The annotation.
    pub name: String,
    /// Its value.
    pub value: String,
}

fn listed<E: std::fmt::Display>(errors: &[E]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
