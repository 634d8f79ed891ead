//! The header `x-forwarded-client-cert`: who called the proxies before us.
//!
//! A proxy that ends a TLS connection tells the next hop about the client's certificate in one
//! [`Element`] of this header. [`Xfcc`] parses and writes the whole header; [`ForwardClientCert`]
//! decides what a proxy does with the header of a request, by Envoy's
//! `forward_client_cert_details`.
//!
//! A value holding `,`, `;` or `=` is written in double quotes, with `"` as `\"`. Envoy itself
//! quotes only `Cert`, `Chain` and `Subject`, so that a certificate whose URI or DNS name holds a
//! comma could add an element of its own; here such names are quoted too. `Subject` is a
//! distinguished name in the form of RFC 2253, which has the same escapes, and is passed through
//! as it is.
//!
//! The header is text from the other end: nothing in it is proven, unless the proxy that sent it
//! is trusted to have replaced what clients send ([`ForwardClientCert::SanitizeSet`]).
//!
//! Source: Envoy, [HTTP header manipulation]; Istio, message `ProxyConfig.ProxyHeaders`.
//!
//! # Example
//!
//! ```
//! use mesh_tls::xfcc::Xfcc;
//!
//! let header = r#"By=spiffe://mesh/ns/a/sa/b;Hash=0c;Subject="CN=x,O=y";URI=spiffe://mesh/ns/c/sa/d"#;
//! let xfcc: Xfcc = header.parse()?;
//!
//! let client = xfcc.elements.last().ok_or("no element")?;
//! assert_eq!(client.subject.as_deref(), Some("CN=x,O=y"));
//! assert_eq!(client.uri, ["spiffe://mesh/ns/c/sa/d"]);
//! assert_eq!(xfcc.to_string(), header);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [HTTP header manipulation]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert

mod certificate;
mod details;
mod element;
mod forward;
#[cfg(feature = "tokio")]
pub mod layer;
mod parse;

pub use details::ClientCertDetails;
pub use element::{Element, Xfcc};
pub use forward::{ClientCert, ForwardClientCert, NotAHeaderValue, X_FORWARDED_CLIENT_CERT};
pub use parse::{MAX_ELEMENTS, MAX_LEN, ParseXfccError};
