//! Whether connections that stand would be taken by the chains of now.

use mesh_core::model::listener::{FilterChain, NetworkFilter, Transport};

use super::super::accept::Connection;
use super::{Ending, FilterChains};

impl FilterChains {
    /// Whether a connection whose bytes are taken as they come, by the chain that `passed_on` is or as HTTP,
    /// still would be: there is a chain that does the same with connections to its port. Those for the port
    /// are asked before those for all.
    ///
    /// What only the first bytes tell is not asked again.
    pub fn takes(&self, connection: &Connection, passed_on: Option<&FilterChain>) -> bool {
        let port = Some(self.destination(connection.local).port());
        let is_own = |chain: &FilterChain| chain.matches.destination_port == port;
        let has_own = self.table.chains().any(|chain| is_own(chain));
        let transport = match passed_on {
            Some(chain) => chain.matches.transport,
            None => Some(Transport::Plaintext),
        };
        self.table
            .chains()
            .filter(|chain| !has_own || is_own(chain))
            .filter(|chain| matches!(self.ending(chain), Some((Ending::Plain, _))))
            .filter(|chain| is_http(chain) == passed_on.is_none())
            .any(|chain| is_for(chain, connection, transport))
    }
}

fn is_http(chain: &FilterChain) -> bool {
    matches!(chain.filter, NetworkFilter::Http(_))
}

/// Whether connections like one that `transport` has been told of would be taken by `chain`.
fn is_for(chain: &FilterChain, connection: &Connection, transport: Option<Transport>) -> bool {
    let is_of_transport = match (chain.matches.transport, transport) {
        (Some(own), Some(told)) => own == told,
        // Nobody looked at its bytes.
        (_, None) | (None, _) => true,
    };
    let names = &chain.matches.server_names;
    let asked = connection.server_name.as_deref().unwrap_or_default();
    is_of_transport && (names.is_empty() || names.iter().any(|name| is_name(name, asked)))
}

/// Whether `name`, exact or `*.suffix`, is that of `asked`.
fn is_name(name: &str, asked: &str) -> bool {
    match name.strip_prefix('*') {
        Some(suffix) => asked
            .len()
            .checked_sub(suffix.len())
            .and_then(|start| asked.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
        None => name.eq_ignore_ascii_case(asked),
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::model::listener::{FilterChainMatch, HttpConnection, Listener, TcpProxy};
    use tokio::time::Instant;

    use super::*;

    fn to_port(port: u16) -> Connection {
        Connection {
            listener: 0,
            peer: ([10, 0, 0, 7], 4711).into(),
            local: ([10, 0, 0, 9], port).into(),
            routes: None,
            tls: None,
            server_name: None,
            accepted: Instant::now(),
        }
    }

    fn passing(port: Option<u16>, transport: Option<Transport>, names: &[&str]) -> FilterChain {
        FilterChain {
            matches: FilterChainMatch {
                destination_port: port,
                transport,
                server_names: names.iter().map(ToString::to_string).collect(),
                ..FilterChainMatch::default()
            },
            ..FilterChain::new(NetworkFilter::Tcp(TcpProxy::to([])))
        }
    }

    fn compile(chains: Vec<(FilterChain, Ending)>) -> FilterChains {
        let (chains, endings): (Vec<_>, Vec<_>) = chains.into_iter().unzip();
        let listener = Listener::new("virtualInbound", 15006, chains);
        let chains = FilterChains::compile(&listener, endings).unwrap();
        chains.of_any_port()
    }

    const PLAIN: Option<Transport> = Some(Transport::Plaintext);

    #[tokio::test]
    async fn bytes_are_passed_on_as_long_as_a_chain_for_their_port_does() {
        let any = (passing(None, PLAIN, &[]), Ending::Plain);
        let own = passing(Some(80), None, &[]);
        let plain = passing(Some(80), PLAIN, &[]);
        for (case, chains, expected) in [
            ("the same", vec![(own.clone(), Ending::Plain)], true),
            ("one for all ports", vec![any.clone()], true),
            (
                "its own is not served",
                vec![any, (own.clone(), Ending::Unserved)],
                false,
            ),
            ("none", vec![], false),
            ("TLS may come as well", vec![(plain, Ending::Plain)], true),
        ] {
            let found = compile(chains).takes(&to_port(80), Some(&own));
            assert_eq!(found, expected, "{case}");
        }
    }

    #[tokio::test]
    async fn the_port_of_a_connection_is_the_one_that_its_listener_declares() {
        let own = passing(Some(80), None, &[]);
        let other = passing(None, None, &[]);
        let chains = [other, own.clone()];
        let listener = Listener::new("0.0.0.0_80", 80, chains);
        let endings = [Ending::Plain, Ending::Unserved];
        let chains = FilterChains::compile(&listener, endings).unwrap();
        assert!(!chains.takes(&to_port(8080), Some(&own)));
        assert!(chains.of_any_port().takes(&to_port(8080), Some(&own)));
    }

    #[tokio::test]
    async fn what_is_passed_on_by_its_name_goes_on_while_there_is_a_chain_for_that_name() {
        let of_chain = passing(None, Some(Transport::Tls), &["a.example", "b.example"]);
        let connection = Connection {
            server_name: Some("b.example".into()),
            ..to_port(443)
        };
        for (names, expected) in [
            (&["b.example", "c.example"][..], true),
            (&["*.example"], true),
            (&[], true),
            (&["a.example"], false),
        ] {
            let chain = passing(None, Some(Transport::Tls), names);
            let chains = compile(vec![(chain, Ending::Plain)]);
            let found = chains.takes(&connection, Some(&of_chain));
            assert_eq!(found, expected, "{names:?}");
        }
    }

    #[tokio::test]
    async fn plaintext_http_needs_a_chain_that_reads_it() {
        let http = |port, transport| FilterChain {
            matches: passing(port, transport, &[]).matches,
            ..FilterChain::new(NetworkFilter::Http(HttpConnection::new("inbound")))
        };
        let tls = Some(Transport::Tls);
        for (case, chains, expected) in [
            ("plaintext", vec![(http(None, PLAIN), Ending::Plain)], true),
            (
                "TLS alone",
                vec![(http(None, tls), Ending::Unserved)],
                false,
            ),
            (
                "bytes",
                vec![(passing(None, None, &[]), Ending::Plain)],
                false,
            ),
            (
                "not at its port",
                vec![
                    (http(None, PLAIN), Ending::Plain),
                    (http(Some(9999), tls), Ending::Unserved),
                ],
                false,
            ),
        ] {
            let found = compile(chains).takes(&to_port(9999), None);
            assert_eq!(found, expected, "{case}");
        }
    }
}
