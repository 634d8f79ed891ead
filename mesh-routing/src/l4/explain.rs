//! The choice of a filter chain, explained.

use std::sync::Arc;

use mesh_core::decision::{Decision, Step};
use mesh_core::model::listener::FilterChain;

use crate::l4::criteria::Criterion;
use crate::l4::{Connection, FilterChainTable};

impl FilterChainTable {
    /// Says what [`lookup`](Self::lookup) says, and why: for each chain that lost, what it demands
    /// that the connection has not, or that another chain demands more exactly.
    ///
    /// ```
    /// use mesh_core::model::listener::{
    ///     FilterChain, FilterChainMatch, Listener, NetworkFilter, Transport,
    /// };
    /// use mesh_routing::l4::{Connection, FilterChainTable};
    ///
    /// let tls = FilterChain {
    ///     name: "tls".into(),
    ///     matches: FilterChainMatch {
    ///         transport: Some(Transport::Tls),
    ///         ..FilterChainMatch::default()
    ///     },
    ///     ..FilterChain::new(NetworkFilter::SniCluster)
    /// };
    /// let table = FilterChainTable::compile(&Listener::new("0.0.0.0_443", 443, [tls]))?;
    /// let decision = table.explain(&Connection::to("10.0.0.1:443".parse().unwrap()));
    /// assert!(decision.outcome.is_none());
    /// assert_eq!(
    ///     decision.steps[0].to_string(),
    ///     "filter chain `tls`: no, it takes TLS  [filter chain]",
    /// );
    /// # Ok::<(), mesh_routing::error::CompileErrors>(())
    /// ```
    pub fn explain(&self, connection: &Connection<'_>) -> Decision<Option<Arc<FilterChain>>> {
        let mut narrowing = Narrowing {
            left: self.criteria.iter().collect(),
            reasons: vec![String::new(); self.chains.len()],
        };
        narrowing.by("the destination port", |criterion| {
            port(criterion, connection)
        });
        narrowing.by("the destination network", |criterion| {
            network(criterion, connection)
        });
        narrowing.by("the server name", |criterion| {
            server_name(criterion, connection)
        });
        narrowing.by("the transport", |criterion| {
            transport(criterion, connection)
        });
        narrowing.by("the application protocol", |criterion| {
            protocol(criterion, connection)
        });

        let winner = narrowing.left.first().map(|(_, chain)| *chain);
        for (_, chain) in &narrowing.left {
            narrowing.reasons[*chain] = "an earlier chain takes the same".into();
        }
        let chains = self.chains.iter().zip(narrowing.reasons).enumerate();
        let mut steps: Vec<Step> = chains
            .map(|(index, (chain, reason))| match winner == Some(index) {
                true => Step::matched(subject(chain), chain.origin.clone()),
                false => Step::failed(subject(chain), chain.origin.clone(), reason),
            })
            .collect();
        let outcome = match winner {
            Some(winner) => self.chains.get(winner),
            None => self.default.as_ref(),
        };
        if let (None, Some(default)) = (winner, outcome) {
            steps.push(Step::matched(
                "default filter chain",
                default.origin.clone(),
            ));
        }
        Decision {
            outcome: outcome.cloned(),
            steps,
        }
    }
}

fn subject(chain: &FilterChain) -> String {
    match chain.name.as_str() {
        "" => "filter chain".to_owned(),
        name => format!("filter chain `{name}`"),
    }
}

/// The combinations that are left, and why the others are not.
struct Narrowing<'a> {
    left: Vec<&'a (Criterion, usize)>,
    reasons: Vec<String>,
}

impl Narrowing<'_> {
    /// Keeps the combinations of the highest rank; those without a rank do not take the
    /// connection.
    fn by(&mut self, what: &str, rank: impl Fn(&Criterion) -> Option<usize>) {
        let highest = self
            .left
            .iter()
            .filter_map(|(criterion, _)| rank(criterion))
            .max();
        self.left.retain(|(criterion, chain)| {
            let own = rank(criterion);
            let keep = own.is_some() && own == highest;
            if !keep {
                self.reasons[*chain] = match own {
                    Some(_) => format!("another chain demands {what} more exactly"),
                    None => format!("it takes {criterion}"),
                };
            }
            keep
        });
    }
}

fn port(criterion: &Criterion, connection: &Connection<'_>) -> Option<usize> {
    match criterion.port {
        Some(port) => (port == connection.destination.port()).then_some(1),
        None => Some(0),
    }
}

fn network(criterion: &Criterion, connection: &Connection<'_>) -> Option<usize> {
    let contains = criterion.network.contains(&connection.address());
    contains.then_some(criterion.network.prefix_len().into())
}

fn server_name(criterion: &Criterion, connection: &Connection<'_>) -> Option<usize> {
    let (demanded, name) = (criterion.server_name.as_str(), connection.server_name());
    let below =
        demanded.starts_with('.') && name.len() > demanded.len() && name.ends_with(demanded);
    if demanded == name {
        Some(usize::MAX)
    } else {
        (demanded.is_empty() || below).then_some(demanded.len())
    }
}

fn transport(criterion: &Criterion, connection: &Connection<'_>) -> Option<usize> {
    match criterion.transport {
        Some(transport) => (transport == connection.transport).then_some(1),
        None => Some(0),
    }
}

fn protocol(criterion: &Criterion, connection: &Connection<'_>) -> Option<usize> {
    if criterion.protocol.is_empty() {
        return Some(0);
    }
    let offered = connection.application_protocols;
    let position = offered
        .iter()
        .position(|protocol| *protocol == criterion.protocol)?;
    Some(offered.len() - position)
}
