//! Handshakes that failed: counted by their cause, and told to who wants to know.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use mesh_core::service::ClusterName;
use mesh_tls::connect::ConnectError;
use mesh_tls::diagnose::Side;

use crate::serve::{Connection, Refused};

/// A handshake that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedHandshake<'a> {
    /// Which side the gateway was.
    pub side: Side,
    /// Who was at the other end: the address of a client, or the name of a cluster.
    pub peer: &'a str,
    /// The cause as a label; there are few.
    pub cause: &'static str,
    /// The cause in a sentence.
    pub sentence: &'a str,
}

impl fmt::Display for FailedHandshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            side: _,
            peer,
            cause,
            sentence,
        } = self;
        write!(
            f,
            "the connection with `{peer}` failed: {sentence} [{cause}]"
        )
    }
}

type Observe = dyn Fn(&FailedHandshake<'_>) + Send + Sync;

/// Is told of each handshake that fails, on the thread that serves the connection: it has to return
/// at once. Cheap to clone.
#[derive(Clone)]
pub struct HandshakeObserver(Arc<Observe>);

impl HandshakeObserver {
    /// Calls `observe`.
    pub fn new(observe: impl Fn(&FailedHandshake<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }
}

impl fmt::Debug for HandshakeObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeObserver").finish_non_exhaustive()
    }
}

/// How many handshakes have failed, by side and cause. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Handshakes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    observer: Option<HandshakeObserver>,
}

impl Handshakes {
    /// None has failed yet; `observer` is told of each that does.
    pub(super) fn new(observer: Option<HandshakeObserver>) -> Self {
        Self(Arc::new(Shared {
            observer,
            ..Shared::default()
        }))
    }

    /// A client's handshake has failed, or its connection was closed before.
    pub(super) fn refused(&self, connection: &Connection, why: &Refused) {
        let cause = match why {
            Refused::Gone => return,
            Refused::Handshake(diagnosis) => diagnosis.label(),
            Refused::NoChain => "no_filter_chain",
            Refused::NoListener(_) => "no_listener",
            Refused::NotRedirected(_) => "not_redirected",
            Refused::ProxyProtocol(_) => "proxy_protocol",
            _ => "not_served",
        };
        self.failed(Side::Server, cause, &connection.peer, why);
    }

    /// A handshake with an endpoint of a cluster has failed.
    pub(super) fn unreached(&self, cluster: &ClusterName, why: &ConnectError) {
        let cause = match why {
            ConnectError::Handshake(diagnosis) => diagnosis.label(),
            _ => "no_server_name",
        };
        self.failed(Side::Client, cause, cluster, why);
    }

    fn failed(
        &self,
        side: Side,
        cause: &'static str,
        peer: &dyn fmt::Display,
        sentence: &dyn fmt::Display,
    ) {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((label(side), cause)).or_default() += 1;
        drop(counts);
        if let Some(HandshakeObserver(observe)) = &self.0.observer {
            observe(&FailedHandshake {
                side,
                peer: &peer.to_string(),
                cause,
                sentence: &sentence.to_string(),
            });
        }
    }

    /// How many have failed of this cause.
    pub fn count(&self, side: Side, cause: &str) -> u64 {
        let counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = counts.iter();
        let found = counts.find(|((of, why), _)| *of == label(side) && *why == cause);
        found.map_or(0, |(_, count)| *count)
    }

    /// The counts in the text format of Prometheus.
    pub fn encode(&self) -> String {
        let counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from(
            "# HELP mesh_tls_handshake_failures Handshakes that failed, by cause\n\
             # TYPE mesh_tls_handshake_failures counter\n",
        );
        for ((side, cause), count) in counts.iter() {
            let _ = writeln!(
                text,
                "mesh_tls_handshake_failures_total{{side=\"{side}\",cause=\"{cause}\"}} {count}"
            );
        }
        text
    }
}

fn label(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}
