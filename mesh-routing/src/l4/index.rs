//! Filter chains by their criteria, a map for each: the form that Envoy gives them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use mesh_core::model::listener::Transport;

use crate::l4::Connection;
use crate::l4::criteria::Criterion;

/// Filter chains by destination port; `None` is any.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainIndex(HashMap<Option<u16>, Networks>);

#[derive(Clone, Debug, Default)]
struct Networks {
    by_network: HashMap<IpNet, Names>,
    // Those that occur, longest first.
    prefix_lengths: Vec<Reverse<u8>>,
}

/// By server name: exact, `.suffix`, or empty for any.
type Names = HashMap<String, Transports>;

#[derive(Clone, Debug, Default)]
struct Transports {
    plaintext: Option<Protocols>,
    tls: Option<Protocols>,
    any: Option<Protocols>,
}

/// By application protocol; empty is any.
type Protocols = HashMap<String, usize>;

impl ChainIndex {
    /// Adds a chain, unless another takes the same: then that is returned.
    pub(super) fn insert(&mut self, criterion: &Criterion, chain: usize) -> Result<(), usize> {
        let networks = self.0.entry(criterion.port).or_default();
        let names = networks.insert(criterion.network);
        let transports = names.entry(criterion.server_name.clone()).or_default();
        let protocols = match criterion.transport {
            Some(Transport::Plaintext) => &mut transports.plaintext,
            Some(Transport::Tls) => &mut transports.tls,
            None => &mut transports.any,
        };
        let protocols = protocols.get_or_insert_default();
        match *protocols.entry(criterion.protocol.clone()).or_insert(chain) {
            own if own == chain => Ok(()),
            first => Err(first),
        }
    }

    /// The most specific chain that takes `connection`.
    pub(super) fn lookup(&self, connection: &Connection<'_>) -> Option<usize> {
        let port = Some(connection.destination.port());
        let networks = self.0.get(&port).or_else(|| self.0.get(&None))?;
        let names = networks.lookup(connection.address())?;
        let transports = by_server_name(names, &connection.server_name())?;
        let protocols = match connection.transport {
            Transport::Plaintext => transports.plaintext.as_ref(),
            Transport::Tls => transports.tls.as_ref(),
        };
        let protocols = protocols.or(transports.any.as_ref())?;
        let mut offered = connection.application_protocols.iter();
        let chain = offered.find_map(|protocol| protocols.get(*protocol));
        chain.or_else(|| protocols.get("")).copied()
    }
}

impl Networks {
    fn insert(&mut self, network: IpNet) -> &mut Names {
        let length = Reverse(network.prefix_len());
        if let Err(position) = self.prefix_lengths.binary_search(&length) {
            self.prefix_lengths.insert(position, length);
        }
        self.by_network.entry(network).or_default()
    }

    fn lookup(&self, address: IpAddr) -> Option<&Names> {
        self.prefix_lengths.iter().find_map(|Reverse(length)| {
            // Lengths beyond 32 do not fit an IPv4 address.
            let network = IpNet::new(address, *length).ok()?;
            self.by_network.get(&network.trunc())
        })
    }
}

fn by_server_name<'a>(names: &'a Names, server_name: &str) -> Option<&'a Transports> {
    if let Some(exact) = names.get(server_name) {
        return Some(exact);
    }
    let dots = server_name.match_indices('.').filter(|(at, _)| *at > 0);
    let mut suffixes = dots.map(|(at, _)| &server_name[at..]);
    suffixes
        .find_map(|suffix| names.get(suffix))
        .or_else(|| names.get(""))
}
