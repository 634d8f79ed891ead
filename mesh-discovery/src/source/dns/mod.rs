//! The addresses behind the names in clusters.
//!
//! A ServiceEntry that is resolved by DNS makes a cluster of names. [`DnsClusters`] is the machine that
//! knows when each name is to be looked up and what an answer makes of the clusters; [`DnsDriver`]
//! asks a [`Resolve`], of which [`Resolver`] is the one that speaks DNS. As Envoy does
//! (`strict_dns_cluster.cc`, `logical_dns_cluster.cc`) with what Istio configures:
//!
//! | resolution | endpoints | no records, or no such name |
//! |---|---|---|
//! | `DNS` (strict) | every address of every name, each once | none |
//! | `DNS_ROUND_ROBIN` (logical) | the first address | the last one known |
//! | `DYNAMIC_DNS` | looked up for each request: [`DynamicDns`] | |
//!
//! What Istio has no word for, a service of which DNS says the targets (SRV, RFC 2782), is the machine
//! [`SrvCluster`], and [`SrvDriver`] for it.
//!
//! A name is looked up again when its answer expires, or after
//! [`refresh`](RefreshSettings::refresh) if that has no time to live. An answer that could not be had
//! changes nothing; the next attempt is made after [`refresh`](RefreshSettings::refresh), or with the
//! [`backoff`](RefreshSettings::backoff) that was asked for.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mesh_core::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress};
//! use mesh_core::service::ClusterName;
//! use mesh_discovery::source::dns::{Answer, DnsClusters, RefreshSettings};
//!
//! let name = ClusterName::outbound(80, "", "books.example");
//! let mut cluster = Cluster::new(name.clone());
//! cluster.discovery = Discovery::StrictDns;
//! let address = EndpointAddress::Dns { host: "books.example".into(), port: 80 };
//! cluster.endpoints = vec![Endpoint::new(address)];
//!
//! # let now = tokio::time::Instant::now().into_std();
//! let mut clusters = DnsClusters::new(RefreshSettings::default());
//! clusters.replace(&BTreeMap::from([(name, Arc::new(cluster))]), now);
//! assert_eq!(clusters.take_due(now), ["books.example"]);
//!
//! let ttl = Duration::from_secs(30);
//! let answer = Answer::Addresses { addresses: vec![[192, 0, 2, 7].into()], ttl };
//! let changed = clusters.handle_answer("books.example", answer, now, 0);
//! assert_eq!(changed[0].endpoints[0].address, EndpointAddress::Ip("192.0.2.7:80".parse().unwrap()));
//! assert_eq!(clusters.deadline(), Some(now + ttl));
//! ```

mod clusters;
mod driver;
mod dynamic;
mod refresh;
mod resolver;
mod srv;

use std::net::IpAddr;
use std::time::Duration;

pub use self::clusters::DnsClusters;
pub use self::driver::DnsDriver;
pub use self::dynamic::{DynamicDns, DynamicDnsError};
pub use self::refresh::{Backoff, NameStatus, RefreshSettings};
pub use self::resolver::{AddressFamily, Resolve, ResolveSrv, Resolver, ResolverError};
pub use self::srv::{SrvAnswer, SrvCluster, SrvDriver, SrvLookup, SrvTarget, by_priority};

/// What a name resolves to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// These addresses, in the order of the answer.
    Addresses {
        /// At least one.
        addresses: Vec<IpAddr>,
        /// How long the answer is good. Zero if it does not say.
        ttl: Duration,
    },
    /// Nobody could be asked, or nobody knows.
    Failed,
    /// There is no such name, or it has no address.
    NoAddress,
}
