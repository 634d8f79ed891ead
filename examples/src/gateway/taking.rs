//! Whether connections that stand would be taken by the chains of now.

use mesh_core::model::listener::{FilterChain, FilterChainMatch, NetworkFilter, Transport};

use crate::serve::Connection;

/// What a filter chain takes, and what it does with it.
#[derive(Debug)]
pub(super) struct Taking {
    matches: FilterChainMatch,
    is_http: bool,
    /// Whether it takes the bytes as they come.
    is_plain: bool,
}

impl Taking {
    pub(super) fn new(chain: &FilterChain, is_plain: bool) -> Self {
        Self {
            matches: chain.matches.clone(),
            is_http: matches!(chain.filter, NetworkFilter::Http(_)),
            is_plain,
        }
    }

    /// Whether connections like one that `transport` has been told of would be taken here.
    fn is_for(&self, connection: &Connection, transport: Option<Transport>) -> bool {
        let is_of_transport = match (self.matches.transport, transport) {
            (Some(own), Some(told)) => own == told,
            // Nobody looked at its bytes.
            (_, None) | (None, _) => true,
        };
        let names = &self.matches.server_names;
        let asked = connection.server_name.as_deref().unwrap_or_default();
        is_of_transport && (names.is_empty() || names.iter().any(|name| is_name(name, asked)))
    }
}

/// Whether a connection whose bytes are taken as they come, by a chain that passes them on or as HTTP,
/// still would be: there is one that does the same with connections to its port. Those for the port are
/// asked before those for all.
///
/// What only the first bytes tell is not asked again.
pub(super) fn is_taken(
    chains: &[Taking],
    connection: &Connection,
    passed_on: Option<&FilterChain>,
) -> bool {
    let port = Some(connection.local.port());
    let has_own = chains
        .iter()
        .any(|one| one.matches.destination_port == port);
    let transport = match passed_on {
        Some(chain) => chain.matches.transport,
        None => Some(Transport::Plaintext),
    };
    chains
        .iter()
        .filter(|one| !has_own || one.matches.destination_port == port)
        .filter(|one| one.is_plain && one.is_http == passed_on.is_none())
        .any(|one| one.is_for(connection, transport))
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
    use mesh_core::model::listener::{HttpConnection, TcpProxy};
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

    const PLAIN: Option<Transport> = Some(Transport::Plaintext);

    #[tokio::test]
    async fn bytes_are_passed_on_as_long_as_a_chain_for_their_port_does() {
        let any = || Taking::new(&passing(None, PLAIN, &[]), true);
        let own = |is_plain| Taking::new(&passing(Some(80), None, &[]), is_plain);
        let of_chain = passing(Some(80), None, &[]);
        for (case, chains, expected) in [
            ("the same", vec![own(true)], true),
            ("one for all ports", vec![any()], true),
            ("its own ends TLS", vec![any(), own(false)], false),
            ("none", vec![], false),
            (
                "TLS may come as well",
                vec![Taking::new(&passing(Some(80), PLAIN, &[]), true)],
                true,
            ),
        ] {
            let found = is_taken(&chains, &to_port(80), Some(&of_chain));
            assert_eq!(found, expected, "{case}");
        }
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
            let chains = [Taking::new(
                &passing(None, Some(Transport::Tls), names),
                true,
            )];
            let found = is_taken(&chains, &connection, Some(&of_chain));
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
            ("plaintext", vec![(http(None, PLAIN), true)], true),
            ("TLS alone", vec![(http(None, tls), false)], false),
            ("bytes", vec![(passing(None, None, &[]), true)], false),
            (
                "not at its port",
                vec![(http(None, PLAIN), true), (http(Some(9999), tls), false)],
                false,
            ),
        ] {
            let chains: Vec<Taking> = chains
                .iter()
                .map(|(chain, is_plain)| Taking::new(chain, *is_plain))
                .collect();
            assert_eq!(is_taken(&chains, &to_port(9999), None), expected, "{case}");
        }
    }
}
