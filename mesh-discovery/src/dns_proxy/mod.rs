//! Answers DNS queries for the hosts of the mesh, as the agent beside a sidecar does.
//!
//! Applications find services by DNS, and only some of a mesh's hosts are in anybody's zone. A
//! [`NameTable`] has the addresses of those that a workload imports; [`reply`] answers a query from it, or
//! says that somebody else has to be asked; `DnsProxy` does both for clients over UDP and TCP. The
//! behaviour is that of Istio's agent (`pkg/dns/client/dns.go`, `pkg/dns/server/name_table.go`):
//!
//! - A Kubernetes Service is found by its whole name, as `name.namespace.svc`, as `name.namespace`, and
//!   in its own namespace as `name`. Its addresses are its cluster IPs, or those of its ready pods if
//!   it is headless; such a pod with a subdomain has a name of its own.
//! - A ServiceEntry is found by its hosts. Its addresses are those written, of both families, or those
//!   [allocated](crate::vip); those of the workloads that it selects, if it is not resolved. Entries of one
//!   host have the addresses of all of them. A host with a wildcard stands for all names below it.
//! - What a VirtualService leads to is not found, unless the workload's Sidecar imports it as well: nothing
//!   listens at its address.
//! - A name that the client's resolver has made longer by its first search domain is an alias of the
//!   name that was meant, and answered with it.
//! - Addresses are answered in another order each time, and are good for 30 s. A known host without an
//!   address of the family asked for has no records; it is not an unknown name.
//! - Queries for other types, and for other names, are forwarded.
//!
//! A table is built of one configuration. If endpoints alone change, a headless service is answered
//! with new addresses once the table is built with
//! [`with_updates`](NameTableBuilder::with_updates).
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::config::MeshConfig;
//! use mesh_core::parse::{Limits, parse};
//! use mesh_core::workload::Workload;
//! use mesh_discovery::dns_proxy::NameTable;
//!
//! let text = "
//! apiVersion: v1
//! kind: Service
//! metadata: { name: cart, namespace: shop }
//! spec: { clusterIP: 10.96.0.7, ports: [{ name: http, port: 80 }] }
//! ";
//! let objects = parse("mesh.yaml", text, &Limits::default()).objects;
//! let config = MeshConfig::builder().extend(objects).build(1).unwrap();
//! let table = NameTable::builder(&Workload::sidecar("shop")).build(&config);
//! for name in ["cart.shop.svc.cluster.local.", "cart.shop.svc.", "cart.shop.", "cart."] {
//!     assert_eq!(table.lookup(name).unwrap().addresses()[0].to_string(), "10.96.0.7", "{name}");
//! }
//! assert!(table.lookup("elsewhere.").is_none());
//! # }
//! ```

mod message;
mod name_table;
mod server;
mod upstream;

pub use self::message::{Reply, Transport, reply};
pub use self::name_table::{Found, NameTable, NameTableBuilder};
pub use self::server::{DnsProxy, DnsProxyOptions};
