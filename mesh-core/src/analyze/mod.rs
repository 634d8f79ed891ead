//! What a configuration means as a whole: what is probably wrong, and what is acted on.
//!
//! [`validate`](crate::validate) looks at one resource, and says whether it may be written.
//! Analysis looks at all of them together.
//!
//! - [`analyze`] finds what `istioctl analyze` finds, by the same [codes](Code): references to what
//!   does not exist, rules that contradict each other or have no effect, workloads that miss their
//!   sidecar. It needs the feature `yaml`, since some objects hold text of their own.
//! - [`fidelity`] says of every field that is set what becomes of it in the data plane that the
//!   caller has composed.
//! - `status` (feature `gateway-api`) says what a controller would write under `status` of the
//!   resources of the Gateway API.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::analyze::{Code, Inputs, Options, analyze};
//! use mesh_core::parse::{Limits, parse};
//!
//! let yaml = "
//! apiVersion: networking.istio.io/v1
//! kind: VirtualService
//! metadata: { name: cart, namespace: shop }
//! spec:
//!   hosts: [cart]
//!   http: [{ route: [{ destination: { host: cart } }] }]
//! ";
//! let parsed = parse("cart.yaml", yaml, &Limits::default());
//! let messages = analyze(&Inputs::new(parsed.objects), &Options::default());
//! assert_eq!(messages[0].code, Code::ReferencedResourceNotFound);
//! assert_eq!(
//!     messages[0].to_string(),
//!     "Error [IST0101] (VirtualService shop/cart cart.yaml:7) Referenced host not found: \"cart\"",
//! );
//! # }
//! ```

pub mod fidelity;
#[cfg(feature = "gateway-api")]
pub mod status;

#[cfg(feature = "yaml")]
mod messages;

#[cfg(feature = "yaml")]
pub use self::messages::{
    ANALYZERS, Analyzer, Code, Inputs, Message, Options, ParseSuppressionError, Suppression,
    analyze,
};
