//! Which filter chain takes a connection, and where its bytes go.
//!
//! Envoy's [algorithm]: of the chains of a listener the most specific one takes a connection, and
//! what is more specific is decided one criterion after the other: destination port, destination
//! address (longest network), server name (exact, then longest suffix, then any), transport
//! protocol, application protocols (the connection's, in its order). A chain that loses at one
//! criterion is not considered again, even if no other chain is left; the default chain takes what
//! is left then.
//!
//! Of two chains that take the same connections the first does, and the second is told of by
//! [`FilterChainTable::shadowed`]. Envoy refuses the listener; but the servers of a Gateway that some
//! team adds must not take those of all others from the net.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::listener::{
//!     FilterChain, FilterChainMatch, Listener, NetworkFilter, Transport,
//! };
//! use mesh_routing::l4::{Connection, FilterChainTable};
//!
//! let chain = |name: &str, server_name: &str| FilterChain {
//!     name: name.into(),
//!     matches: FilterChainMatch {
//!         server_names: vec![server_name.into()],
//!         ..FilterChainMatch::default()
//!     },
//!     ..FilterChain::new(NetworkFilter::SniCluster)
//! };
//! let chains = [chain("wildcard", "*.example"), chain("shop", "shop.example")];
//! let table = FilterChainTable::compile(&Listener::new("0.0.0.0_443", 443, chains))?;
//!
//! let connection = Connection {
//!     transport: Transport::Tls,
//!     server_name: Some("Shop.example"),
//!     ..Connection::to("10.0.0.1:443".parse().unwrap())
//! };
//! assert_eq!(table.lookup(&connection).unwrap().name, "shop");
//! # Ok::<(), mesh_routing::error::CompileErrors>(())
//! ```
//!
//! [algorithm]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener_components.proto#config-listener-v3-filterchainmatch

mod criteria;
mod explain;
mod index;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_core::model::listener::{FilterChain, Listener, NetworkFilter, TcpProxy, Transport};
use mesh_core::model::route::WeightedDestination;

use crate::destination;
use crate::error::{CompileError, CompileErrorKind, CompileErrors};
use crate::l4::criteria::{Criterion, criteria};
use crate::l4::index::ChainIndex;

/// The longest server name, in bytes (RFC 1035 section 2.3.4). BoringSSL accepts no longer one.
const MAX_NAME_LEN: usize = 255;

/// What is known of a connection when its filter chain is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The address that the client connected to.
    pub destination: SocketAddr,
    /// Whether the first bytes are a ClientHello.
    pub transport: Transport,
    /// The server name of the ClientHello. One of more than 255 bytes, the most that DNS has, counts
    /// as none.
    pub server_name: Option<&'a str>,
    /// The application protocols of the ClientHello, or those that were detected.
    pub application_protocols: &'a [&'a str],
}

impl Connection<'_> {
    /// A plaintext connection to `destination`, of which nothing else is known.
    pub fn to(destination: SocketAddr) -> Self {
        Self {
            destination,
            transport: Transport::Plaintext,
            server_name: None,
            application_protocols: &[],
        }
    }

    /// The destination address. An IPv4 address that is mapped into IPv6 (RFC 4291, section
    /// 2.5.5.2) is an IPv4 address.
    fn address(&self) -> IpAddr {
        self.destination.ip().to_canonical()
    }

    /// The server name in lower case, as Envoy's TLS inspection reports it; empty if unknown. What is
    /// longer than any name is none: the lookup takes a hash of all that follows each dot.
    fn server_name(&self) -> String {
        let name = self.server_name.filter(|name| name.len() <= MAX_NAME_LEN);
        name.unwrap_or_default().to_ascii_lowercase()
    }
}

/// The filter chains of a listener, compiled for lookup. Immutable.
#[derive(Clone, Debug)]
pub struct FilterChainTable {
    chains: Box<[Arc<FilterChain>]>,
    default: Option<Arc<FilterChain>>,
    // What each chain takes, with the chain's index.
    criteria: Box<[(Criterion, usize)]>,
    index: ChainIndex,
    shadowed: Box<[CompileError]>,
}

impl FilterChainTable {
    /// Compiles the filter chains of `listener`.
    ///
    /// # Errors
    ///
    /// All at once: server names with a wildcard elsewhere than as the first label, and several
    /// destinations without any weight. Envoy refuses the same.
    pub fn compile(listener: &Listener) -> Result<Self, CompileErrors> {
        let chains: Box<[_]> = listener
            .filter_chains
            .iter()
            .cloned()
            .map(Arc::new)
            .collect();
        let default = listener
            .default_filter_chain
            .clone()
            .map(|chain| Arc::new(*chain));
        let (mut table, mut errors) = (Vec::new(), Vec::new());
        let (mut index, mut shadowed) = (ChainIndex::default(), Vec::new());
        for (position, chain) in chains.iter().enumerate() {
            match criteria(&chain.matches) {
                Ok(each) => table.extend(each.into_iter().map(|criterion| (criterion, position))),
                Err(kind) => errors.push(CompileError::new(&chain.origin, kind)),
            }
        }
        for (criterion, chain) in &table {
            if let Err(first) = index.insert(criterion, *chain) {
                let kind = CompileErrorKind::DuplicateChain {
                    chain: chains[*chain].name.clone(),
                    first: chains[first].name.clone(),
                    criteria: criterion.to_string(),
                };
                let error = CompileError::new(&chains[*chain].origin, kind);
                // A chain for any address takes two networks, and is reported once.
                if shadowed.last() != Some(&error) {
                    shadowed.push(error);
                }
            }
        }
        errors.extend(
            chains
                .iter()
                .chain(&default)
                .filter_map(|chain| weightless(chain)),
        );
        CompileErrors::check(errors)?;
        Ok(Self {
            chains,
            default,
            criteria: table.into(),
            index,
            shadowed: shadowed.into(),
        })
    }

    /// The filter chains in the order of the listener, the default one last: those that
    /// [`lookup`](Self::lookup) finds.
    pub fn chains(&self) -> impl Iterator<Item = &Arc<FilterChain>> {
        self.chains.iter().chain(&self.default)
    }

    /// The chains that an earlier one takes connections from, because it demands the same.
    pub fn shadowed(&self) -> &[CompileError] {
        &self.shadowed
    }

    /// The filter chain that takes `connection`. `None` closes it.
    pub fn lookup(&self, connection: &Connection<'_>) -> Option<&Arc<FilterChain>> {
        match self.index.lookup(connection) {
            Some(chain) => self.chains.get(chain),
            None => self.default.as_ref(),
        }
    }
}

fn weightless(chain: &FilterChain) -> Option<CompileError> {
    let NetworkFilter::Tcp(proxy) = &chain.filter else {
        return None;
    };
    let total = destination::total_weight(&proxy.destinations);
    let allowed = 1..=u32::MAX.into();
    if proxy.destinations.len() < 2 || allowed.contains(&total) {
        return None;
    }
    let name = chain.name.clone();
    Some(CompileError::new(
        &chain.origin,
        CompileErrorKind::TotalWeight { name, total },
    ))
}

/// Draws where a connection goes by `random`, uniform over all values. `None` closes it.
pub fn tcp_destination(proxy: &TcpProxy, random: u64) -> Option<&WeightedDestination> {
    proxy
        .destinations
        .get(destination::draw(&proxy.destinations, random)?)
}

#[cfg(test)]
mod tests;
