use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::model::Model;
use mesh_core::model::listener::{Direction, FilterChain, Listener, NetworkFilter};
use mesh_routing::error::CompileErrors;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::TlsCompiler;

use super::mesh_wide::MeshWide;
use super::served::Served;
use crate::serve::{Connection, Ending, FilterChains};

/// A listener that is served.
#[derive(Debug)]
pub(super) struct Listening {
    /// By the name of their routes.
    served: BTreeMap<String, Served>,
    /// The routes of all connections, if there is nothing to choose.
    plain: Option<String>,
    /// Among which connections choose, if there is.
    chains: Option<Arc<FilterChains>>,
    /// Whether connections begin with a header that says whose they are.
    proxy_protocol: bool,
    /// Whether they come to the workload that is served.
    is_inbound: bool,
}

impl Listening {
    /// A listener whose connections all carry plaintext HTTP.
    pub(super) fn plain(name: &str, served: Served) -> Self {
        Self {
            is_inbound: served.is_guarded,
            served: BTreeMap::from([(name.to_owned(), served)]),
            plain: Some(name.to_owned()),
            chains: None,
            proxy_protocol: false,
        }
    }

    /// Compiles the chains of a listener, and says what of them is not served. `None` if that is
    /// everything.
    pub(super) fn compile(
        (model, wide): (&Model, &MeshWide),
        listener: &Listener,
        compiler: &TlsCompiler,
    ) -> Result<(Option<Self>, Vec<String>), CompileErrors> {
        let (mut served, mut warnings) = (BTreeMap::new(), Vec::new());
        let compiler = compiler.clone().for_listener(&listener.name);
        let mut endings = Vec::new();
        for chain in chains(listener) {
            let ending = ending(listener, chain, &compiler, &mut warnings);
            if let NetworkFilter::Http(connection) = &chain.filter
                && !matches!(ending, Ending::Unserved)
            {
                let (compiled, found) = Served::compile((model, wide), listener, connection)?;
                warnings.extend(found);
                served.insert(connection.route_configuration.clone(), compiled);
            }
            endings.push(ending);
        }
        if endings
            .iter()
            .all(|ending| matches!(ending, Ending::Unserved))
        {
            return Ok((None, warnings));
        }
        let plain = only_plaintext_http(listener).map(str::to_owned);
        let chains = match plain {
            Some(_) => None,
            None => Some(FilterChains::compile(listener, endings)?),
        };
        if let Some(chains) = &chains {
            warnings.extend(chains.shadowed().iter().map(ToString::to_string));
        }
        let listening = Self {
            served,
            plain,
            chains: chains.map(Arc::new),
            proxy_protocol: listener.proxy_protocol,
            is_inbound: listener.direction == Direction::Inbound,
        };
        Ok((Some(listening), warnings))
    }

    /// Takes connections to be made to the port that they were made to, as those that are redirected.
    pub(super) fn of_any_port(self) -> Self {
        let chains = self.chains.map(|chains| match Arc::try_unwrap(chains) {
            Ok(chains) => Arc::new(chains.of_any_port()),
            Err(shared) => shared,
        });
        Self { chains, ..self }
    }

    /// What is served to connections that a chain with these routes has taken.
    pub(super) fn served(&self, routes: Option<&str>) -> Option<&Served> {
        self.served.get(routes.or(self.plain.as_deref())?)
    }

    /// Whether a connection that stands, and whose bytes are taken as they come, still would be taken: by
    /// the chain that passes it on, or else as HTTP.
    pub(super) fn takes(&self, connection: &Connection, passed_on: Option<&FilterChain>) -> bool {
        let has_routes = self.served(connection.routes.as_deref()).is_some();
        let is_served = passed_on.is_some() || has_routes;
        is_served
            && match &self.chains {
                Some(chains) => chains.takes(connection, passed_on),
                None => passed_on.is_none(),
            }
    }

    /// All that is served, for it to be completed.
    pub(super) fn all_served(&mut self) -> impl Iterator<Item = &mut Served> {
        self.served.values_mut()
    }

    /// Whether connections begin with a header of the PROXY protocol.
    pub(super) fn proxy_protocol(&self) -> bool {
        self.proxy_protocol
    }

    /// Whether connections come to the workload that is served.
    pub(super) fn is_inbound(&self) -> bool {
        self.is_inbound
    }

    /// Among which filter chains connections choose.
    pub(super) fn chains(&self) -> Option<&Arc<FilterChains>> {
        self.chains.as_ref()
    }
}

/// The chains of a listener, the default one last.
fn chains(listener: &Listener) -> impl Iterator<Item = &FilterChain> {
    let default = listener.default_filter_chain.as_deref();
    listener.filter_chains.iter().chain(default)
}

/// The routes of a listener whose connections all carry plaintext HTTP.
fn only_plaintext_http(listener: &Listener) -> Option<&str> {
    let mut chains = chains(listener);
    let (only, None) = (chains.next()?, chains.next()) else {
        return None;
    };
    match &only.filter {
        NetworkFilter::Http(http) if only.tls.is_none() && only.matches.is_empty() => {
            Some(&http.route_configuration)
        }
        _ => None,
    }
}

/// What becomes of the connections of a chain.
fn ending(
    listener: &Listener,
    chain: &FilterChain,
    compiler: &TlsCompiler,
    warnings: &mut Vec<String>,
) -> Ending {
    let mut unserved = |why: &str| {
        let name = &listener.name;
        warnings.push(format!(
            "a filter chain of listener `{name}` is not served: {why} [{}]",
            chain.origin
        ));
        Ending::Unserved
    };
    match compiler.server(chain) {
        Ok(Some(server)) => {
            warnings.extend(server.notices().iter().map(ToString::to_string));
            Ending::Tls(Box::new(TlsAcceptor::new(server)))
        }
        Ok(None) if chain.tls.is_some() && matches!(chain.filter, NetworkFilter::Http(_)) => {
            unserved("it carries HTTP inside of TLS that does not end here")
        }
        Ok(None) => Ending::Plain,
        Err(errors) => unserved(&errors.to_string()),
    }
}
