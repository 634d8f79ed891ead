//! What a filter chain takes, one combination at a time.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use mesh_core::model::listener::{FilterChainMatch, Transport};

use crate::error::CompileErrorKind;

/// One combination of a filter chain's criteria.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Criterion {
    /// `None` is any.
    pub(super) port: Option<u16>,
    /// The whole address space of a family is any.
    pub(super) network: IpNet,
    /// Exact, or `.suffix`. Empty is any.
    pub(super) server_name: String,
    /// `None` is any.
    pub(super) transport: Option<Transport>,
    /// Empty is any.
    pub(super) protocol: String,
}

/// The combinations that `matches` takes.
pub(super) fn criteria(matches: &FilterChainMatch) -> Result<Vec<Criterion>, CompileErrorKind> {
    let networks = match &matches.destination_networks[..] {
        [] => vec![
            IpNet::new_assert(Ipv4Addr::UNSPECIFIED.into(), 0),
            IpNet::new_assert(Ipv6Addr::UNSPECIFIED.into(), 0),
        ],
        networks => networks.iter().map(IpNet::trunc).collect(),
    };
    let server_names = matches.server_names.iter().map(|name| server_name(name));
    let server_names = or_any(server_names.collect::<Result<_, _>>()?);
    let protocols = or_any(matches.application_protocols.clone());

    let mut criteria = Vec::new();
    for network in networks {
        for server_name in &server_names {
            criteria.extend(protocols.iter().map(|protocol| Criterion {
                port: matches.destination_port,
                network,
                server_name: server_name.clone(),
                transport: matches.transport,
                protocol: protocol.clone(),
            }));
        }
    }
    Ok(criteria)
}

fn or_any(names: Vec<String>) -> Vec<String> {
    if names.is_empty() {
        vec![String::new()]
    } else {
        names
    }
}

fn server_name(name: &str) -> Result<String, CompileErrorKind> {
    let suffix = name
        .strip_prefix('*')
        .filter(|suffix| suffix.starts_with('.'));
    let key = suffix.unwrap_or(name);
    if key.contains('*') {
        return Err(CompileErrorKind::ServerName { name: name.into() });
    }
    Ok(key.to_ascii_lowercase())
}

/// Names what is demanded; `everything` if nothing is.
impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut demands = Vec::new();
        if let Some(port) = self.port {
            demands.push(format!("port {port}"));
        }
        if self.network.prefix_len() > 0 {
            demands.push(format!("network {}", self.network));
        }
        if !self.server_name.is_empty() {
            let wildcard = if self.server_name.starts_with('.') {
                "*"
            } else {
                ""
            };
            demands.push(format!("server name `{wildcard}{}`", self.server_name));
        }
        match self.transport {
            Some(Transport::Plaintext) => demands.push("plaintext".into()),
            Some(Transport::Tls) => demands.push("TLS".into()),
            None => {}
        }
        if !self.protocol.is_empty() {
            demands.push(format!("application protocol `{}`", self.protocol));
        }
        if demands.is_empty() {
            demands.push("everything".into());
        }
        f.write_str(&demands.join(", "))
    }
}
