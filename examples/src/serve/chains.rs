//! Which filter chain takes a connection, and what it makes of the bytes.

mod standing;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::model::listener::{FilterChain, Listener, NetworkFilter, Transport};
use mesh_core::model::route::ClusterSpecifier;
use mesh_discovery::proxy_protocol::AcceptError;
use mesh_routing::error::{CompileError, CompileErrors};
use mesh_routing::l4::{self, FilterChainTable};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::client_hello::Detected;
use mesh_tls::connection::TlsPeer;
use mesh_tls::diagnose::{Cause, Diagnosis, Side};
use mesh_tls::drain::Tracked;
use mesh_tls::peek::{Peeked, peek_until};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::inspected::Inspected;
use super::sniff;

/// How long a handshake may take, with the wait for the first byte, where nothing but TLS is taken.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// What becomes of the connections of a filter chain.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The bytes are taken as they come.
    Plain,
    /// TLS ends here.
    Tls(Box<TlsAcceptor>),
    /// They are closed: the chain cannot be served.
    Unserved,
}

/// The filter chains of a listener, and how their TLS ends.
#[derive(Debug)]
pub struct FilterChains {
    table: FilterChainTable,
    /// By the address of the chain in the table.
    endings: HashMap<usize, (Ending, Option<Arc<str>>)>,
    /// The port that is declared, in place of the one that is bound.
    port: Option<u16>,
    /// By the destination port of chains; `None` is for ports that no chain names.
    looks: HashMap<Option<u16>, Looks>,
    /// How long it may take to tell TLS and HTTP from other protocols; `None` is for ever, as in Istio.
    detection: Option<Duration>,
}

/// What is looked at before a chain is chosen.
#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    for_tls: bool,
    for_http: bool,
    /// Whether a client may speak something else than TLS.
    takes_plaintext: bool,
}

/// Until when is waited; `None` is for ever.
#[derive(Debug, Eq, PartialEq)]
struct Deadlines {
    /// For the first bytes.
    detection: Option<Instant>,
    /// For the handshake, where it begins with the connection.
    handshake: Option<Instant>,
}

/// A connection that a chain has taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) chain: Arc<FilterChain>,
    /// The name of the chain's routes, if it carries HTTP.
    pub(super) routes: Option<Arc<str>>,
    pub(super) stream: Inspected,
    pub(super) tls: Option<TlsPeer>,
    /// Says when it has to end, if its TLS ended here.
    pub(super) tracked: Option<Tracked>,
    /// The server name that a client asked for.
    pub(super) server_name: Option<Arc<str>>,
}

/// Why a connection is closed before it is served.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The client has closed it without a word, as those do who only look whether a port is open.
    #[error("the client closed the connection before it said anything")]
    Gone,
    /// TLS ends here, and the handshake failed.
    #[error(transparent)]
    Handshake(#[from] Diagnosis),
    /// No filter chain takes it.
    #[error("no filter chain takes the connection")]
    NoChain {
        /// The server name that the client asked for by TLS.
        server_name: Option<Arc<str>>,
    },
    /// No filter chain takes it, since it does not begin with TLS, as those of the others do.
    #[error(transparent)]
    Plaintext(Diagnosis),
    /// No listener serves the address that it was made to.
    #[error("nothing is served at `{0}`")]
    NoListener(SocketAddr),
    /// It came to a socket for redirected connections by itself; it would come back for ever.
    #[error(
        "nothing redirected the connection to `{0}`: connect to the service itself, and let \
         iptables or a plugin redirect that"
    )]
    NotRedirected(SocketAddr),
    /// It does not say whose it is, and has to.
    #[error("the connection does not begin as the PROXY protocol does")]
    ProxyProtocol(#[source] Arc<AcceptError>),
    /// The chain that takes it cannot be served.
    #[error("the filter chain of the connection is not served")]
    Unserved,
}

impl FilterChains {
    /// The chains of `listener`, in whose order `endings` are, that of the default chain last.
    ///
    /// Connections have been made to the port that the listener declares, unless
    /// [`of_any_port`](Self::of_any_port) says otherwise.
    ///
    /// # Errors
    ///
    /// The criteria of a chain cannot be compiled.
    pub fn compile(
        listener: &Listener,
        endings: impl IntoIterator<Item = Ending>,
    ) -> Result<Self, CompileErrors> {
        let table = FilterChainTable::compile(listener)?;
        let looks = looks(listener);
        let endings = table.chains().zip(endings).map(|(chain, ending)| {
            let routes = match &chain.filter {
                NetworkFilter::Http(http) => Some(http.route_configuration.as_str().into()),
                NetworkFilter::SniCluster | NetworkFilter::Tcp(_) => None,
            };
            (address_of(chain), (ending, routes))
        });
        Ok(Self {
            endings: endings.collect(),
            table,
            port: Some(listener.declared_port),
            looks,
            detection: listener.protocol_detection_timeout,
        })
    }

    /// Takes connections to be made to the port that they were made to.
    #[must_use]
    pub fn of_any_port(self) -> Self {
        Self { port: None, ..self }
    }

    /// The chains that an earlier one takes connections from, because it demands the same.
    pub fn shadowed(&self) -> &[CompileError] {
        self.table.shadowed()
    }

    /// Chooses the chain of a connection to `destination`, and ends its TLS.
    ///
    /// The first bytes are waited for as long as the listener says (`protocolDetectionTimeout`), by
    /// default for ever, as in Istio. Where only TLS is taken, both they and the handshake have to be
    /// there within 15 seconds.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost if this is dropped before it returns.
    pub(super) async fn take(
        &self,
        io: TcpStream,
        destination: SocketAddr,
    ) -> Result<Taken, Refused> {
        let io_failed = |error| Diagnosis::of_io(Side::Server, &error, None);
        let destination = self.destination(destination);
        let looks = self.looks(destination.port());
        let Deadlines {
            detection,
            handshake,
        } = self.deadlines(looks, Instant::now());
        let mut io = peek_until(io, detection).await.map_err(io_failed)?;
        let is_plaintext = matches!(io.detected(), Detected::Plaintext);
        let http = match looks.for_http && is_plaintext {
            true => sniff::http(&mut io, detection).await.map_err(io_failed)?,
            false => None,
        };
        let chain = self.chain(&io, http, destination)?;
        let none = Refused::NoChain { server_name: None };
        let (ending, routes) = self.ending(chain).ok_or(none)?;
        let server_name = match io.detected() {
            Detected::ClientHello(hello) => hello.server_name().map(Into::into),
            _ => None,
        };
        let (stream, tls, tracked) = match ending {
            Ending::Unserved => return Err(Refused::Unserved),
            Ending::Plain => (Inspected::Plain(io), None, None),
            Ending::Tls(acceptor) => {
                let accepted = match looks.takes_plaintext {
                    true => acceptor.accept_peeked(io).await?,
                    false => acceptor.accept_peeked_until(io, handshake).await?,
                };
                let stream = Inspected::Tls(Box::new(accepted.stream));
                (stream, Some(accepted.peer), accepted.tracked)
            }
        };
        Ok(Taken {
            chain: Arc::clone(chain),
            routes: routes.clone(),
            stream,
            tls,
            tracked,
            server_name,
        })
    }

    /// The destination of a connection to `address`, as the chains know it.
    fn destination(&self, address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip(), self.port.unwrap_or_else(|| address.port()))
    }

    /// What becomes of the connections of `chain`, and its routes.
    fn ending(&self, chain: &Arc<FilterChain>) -> Option<&(Ending, Option<Arc<str>>)> {
        self.endings.get(&address_of(chain))
    }

    fn deadlines(&self, looks: Looks, start: Instant) -> Deadlines {
        let handshake = start.checked_add(HANDSHAKE);
        let detection = match self.detection {
            _ if !looks.for_tls => Some(start),
            Some(timeout) => start.checked_add(timeout),
            None if looks.takes_plaintext => None,
            None => handshake,
        };
        Deadlines {
            detection,
            handshake,
        }
    }

    /// What is looked at of connections to `port`: what its chains ask for, or those of no port.
    fn looks(&self, port: u16) -> Looks {
        let own = self.looks.get(&Some(port));
        own.or_else(|| self.looks.get(&None))
            .copied()
            .unwrap_or_default()
    }

    fn chain(
        &self,
        peeked: &Peeked<TcpStream>,
        http: Option<&'static str>,
        destination: SocketAddr,
    ) -> Result<&Arc<FilterChain>, Refused> {
        let mut connection = l4::Connection::to(destination);
        let offered: Vec<&str> = match peeked.detected() {
            Detected::ClientHello(hello) => {
                connection.transport = Transport::Tls;
                connection.server_name = hello.server_name();
                hello.alpn_texts().collect()
            }
            Detected::Malformed => {
                connection.transport = Transport::Tls;
                Vec::new()
            }
            Detected::Incomplete { .. } | Detected::Plaintext => http.into_iter().collect(),
        };
        connection.application_protocols = &offered;
        let taken = self.table.lookup(&connection);
        taken.ok_or_else(|| match peeked.detected() {
            Detected::Plaintext if self.looks(destination.port()).for_tls => plaintext(),
            _ if peeked.has_ended() && peeked.first_bytes().is_empty() => Refused::Gone,
            _ => Refused::NoChain {
                server_name: connection.server_name.map(Arc::from),
            },
        })
    }
}

/// What is wrong with a client that no chain takes, where those that speak TLS are told apart.
fn plaintext() -> Refused {
    Refused::Plaintext(Diagnosis::new(Side::Server, Cause::Plaintext))
}

fn address_of(chain: &Arc<FilterChain>) -> usize {
    Arc::as_ptr(chain).addr()
}

/// What the chains of each destination port ask for.
fn looks(listener: &Listener) -> HashMap<Option<u16>, Looks> {
    let mut looks: HashMap<Option<u16>, Looks> = HashMap::new();
    for chain in &listener.filter_chains {
        let matches = &chain.matches;
        let by_protocol = !matches.application_protocols.is_empty();
        let by_hello = !matches.server_names.is_empty() || matches.transport.is_some();
        let looks = looks.entry(matches.destination_port).or_default();
        let by_name = goes_by_name(chain);
        looks.for_tls |= by_hello || by_protocol || by_name || chain.tls.is_some();
        looks.for_http |= by_protocol && matches.transport != Some(Transport::Tls);
        looks.takes_plaintext |= chain.tls.is_none()
            && !by_name
            && matches.server_names.is_empty()
            && matches.transport != Some(Transport::Tls);
    }
    let default = listener.default_filter_chain.as_deref();
    if let Some(chain) = default {
        looks.entry(None).or_default().for_tls |= chain.tls.is_some();
        let all = looks.values_mut();
        all.for_each(|looks| looks.takes_plaintext |= chain.tls.is_none());
    }
    looks
}

/// Whether where the connections of a chain go depends on the server name that they give: they are for
/// any host of a wildcard (`DYNAMIC_DNS`), or the name is that of a cluster.
fn goes_by_name(chain: &FilterChain) -> bool {
    let is_wildcard = |cluster: &ClusterSpecifier| match cluster {
        ClusterSpecifier::Name(name) => name.host().is_some_and(|host| host.starts_with('*')),
        ClusterSpecifier::Header(_) | ClusterSpecifier::Refused(_) => false,
    };
    match &chain.filter {
        NetworkFilter::Http(_) => false,
        NetworkFilter::SniCluster => true,
        NetworkFilter::Tcp(proxy) => {
            let mut destinations = proxy.destinations.iter();
            destinations.any(|destination| is_wildcard(&destination.cluster))
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::model::listener::{FilterChainMatch, TcpProxy};
    use mesh_core::model::route::WeightedDestination;
    use mesh_core::service::ClusterName;

    use super::*;

    #[test]
    fn silence_is_borne_as_long_as_istio_bears_it_and_where_only_tls_is_taken_for_a_handshake() {
        let start = Instant::now();
        let in_seconds = |seconds| Some(start + Duration::from_secs(seconds));
        let cases = [
            ("TLS only", Some(Transport::Tls), None, in_seconds(15)),
            ("both", Some(Transport::Plaintext), None, None),
            (
                "limited",
                Some(Transport::Plaintext),
                Some(5),
                in_seconds(5),
            ),
            (
                "TLS only, limited",
                Some(Transport::Tls),
                Some(5),
                in_seconds(5),
            ),
            ("not looked at", None, None, Some(start)),
        ];
        for (name, transport, timeout, detection) in cases {
            let chain = FilterChain {
                matches: FilterChainMatch {
                    transport,
                    ..FilterChainMatch::default()
                },
                ..FilterChain::new(NetworkFilter::Tcp(TcpProxy::to([])))
            };
            let mut listener = Listener::new("virtualInbound", 15006, [chain]);
            listener.protocol_detection_timeout = timeout.map(Duration::from_secs);
            let chains = FilterChains::compile(&listener, [Ending::Plain]).unwrap();
            let expected = Deadlines {
                detection,
                handshake: in_seconds(15),
            };
            assert_eq!(
                chains.deadlines(chains.looks(80), start),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn only_ports_whose_chains_ask_for_the_first_bytes_are_looked_at() {
        let chain = |destination_port, transport| FilterChain {
            matches: FilterChainMatch {
                destination_port,
                transport,
                ..FilterChainMatch::default()
            },
            ..FilterChain::new(NetworkFilter::Tcp(TcpProxy::to([])))
        };
        let chains = [
            chain(Some(25), None),
            chain(Some(443), Some(Transport::Tls)),
            chain(None, Some(Transport::Plaintext)),
        ];
        let listener = Listener::new("virtualInbound", 15006, chains);
        let chains =
            FilterChains::compile(&listener, [Ending::Plain, Ending::Plain, Ending::Plain])
                .unwrap();
        for (port, is_looked_at) in [(25, false), (443, true), (80, true)] {
            assert_eq!(chains.looks(port).for_tls, is_looked_at, "port {port}");
        }
    }
    #[test]
    fn a_connection_that_goes_where_its_server_name_says_is_asked_for_it() {
        let to = |host: &str| {
            let cluster = ClusterName::outbound(443, "", host);
            NetworkFilter::Tcp(TcpProxy::to([WeightedDestination::new(cluster)]))
        };
        for (filter, is_looked_at) in [
            (to("*.example"), true),
            (to("db.example"), false),
            (NetworkFilter::SniCluster, true),
        ] {
            let listener = Listener::new("tls", 443, [FilterChain::new(filter)]);
            let chains = FilterChains::compile(&listener, [Ending::Plain]).unwrap();
            let looks = chains.looks(443);
            let found = (looks.for_tls, looks.takes_plaintext);
            assert_eq!(found, (is_looked_at, !is_looked_at));
        }
    }
}
