//! The ends of the connection to the upstream.

use std::io::Write;
use std::net::SocketAddr;

use super::Exchange;
use super::operator::Part;
use crate::model::cluster::EndpointAddress;

/// An end of the connection to the upstream, or a part of its address. Without a connection there is
/// none, though an endpoint may have been picked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Upstream {
    name: &'static str,
    is_remote: bool,
    pub(super) part: Part,
}

impl Upstream {
    const ALL: [Self; 5] = [
        Self::local("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Part::Ip),
        Self::local("UPSTREAM_LOCAL_PORT", Part::Port),
        Self::remote("UPSTREAM_REMOTE_ADDRESS", Part::Both),
        Self::remote("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Part::Ip),
        Self::remote("UPSTREAM_REMOTE_PORT", Part::Port),
    ];

    const fn local(name: &'static str, part: Part) -> Self {
        Self {
            name,
            is_remote: false,
            part,
        }
    }

    const fn remote(name: &'static str, part: Part) -> Self {
        Self {
            name,
            is_remote: true,
            part,
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name == name)
    }

    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Appends it to `out`, or returns `false` if there is none.
    pub(super) fn write(self, exchange: &Exchange<'_>, out: &mut Vec<u8>) -> bool {
        self.address(exchange)
            .is_some_and(|address| self.part.write(address, out))
    }

    fn address(self, exchange: &Exchange<'_>) -> Option<SocketAddr> {
        let completion = exchange.completion?;
        let local = completion.upstream_local_address.as_deref()?;
        if !self.is_remote {
            return local.parse().ok();
        }
        match exchange.endpoint()?.0.address {
            EndpointAddress::Ip(address) => Some(address),
            EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => None,
        }
    }
}

impl Part {
    /// Appends this part of `address` to `out`.
    pub(super) fn write(self, address: SocketAddr, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Both => write!(out, "{address}"),
            Self::Ip => write!(out, "{}", address.ip()),
            Self::Port => write!(out, "{}", address.port()),
        }
        .is_ok()
    }
}
