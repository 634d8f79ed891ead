//! Handshakes that failed, and those by which the other end learned less than it could have: counted by
//! their cause, and told to who wants to know.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use mesh_core::service::ClusterName;
use mesh_tls::connect::ConnectError;
use mesh_tls::diagnose::{Diagnosis, Side};

use crate::serve::{Connection, Refused};

/// A handshake that there is something to say of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandshakeReport<'a> {
    /// Whether it failed; else the connection stands all the same.
    pub failed: bool,
    /// Which side the gateway was.
    pub side: Side,
    /// Who was at the other end: the address of a client, or the name of a cluster.
    pub peer: &'a str,
    /// The cause as a label; there are few.
    pub cause: &'static str,
    /// The cause in a sentence.
    pub sentence: &'a str,
}

impl fmt::Display for HandshakeReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            failed,
            side: _,
            peer,
            cause,
            sentence,
        } = self;
        let what = if *failed { "failed:" } else { "stands, but" };
        write!(
            f,
            "the connection with `{peer}` {what} {sentence} [{cause}]"
        )
    }
}

type Observe = dyn Fn(&HandshakeReport<'_>) + Send + Sync;

/// Is told of each handshake that there is something to say of, on the thread that serves the
/// connection: it has to return at once. Cheap to clone.
#[derive(Clone)]
pub struct HandshakeObserver(Arc<Observe>);

impl HandshakeObserver {
    /// Calls `observe`.
    pub fn new(observe: impl Fn(&HandshakeReport<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }
}

impl fmt::Debug for HandshakeObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeObserver").finish_non_exhaustive()
    }
}

/// How many handshakes have failed, or left something to be said, by side and cause. Cheap to clone;
/// clones count together.
#[derive(Clone, Debug, Default)]
pub struct Handshakes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<BTreeMap<Kind, u64>>,
    observer: Option<HandshakeObserver>,
}

/// What handshakes have in common that are counted together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Kind {
    failed: bool,
    side: &'static str,
    cause: &'static str,
}

impl Handshakes {
    /// There is nothing to say yet; `observer` is told when there is.
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
            Refused::Handshake(diagnosis) | Refused::Plaintext(diagnosis) => diagnosis.label(),
            Refused::NoChain { .. } => "no_filter_chain",
            Refused::NoListener(_) => "no_listener",
            Refused::NotRedirected(_) => "not_redirected",
            Refused::ProxyProtocol(_) => "proxy_protocol",
            _ => "not_served",
        };
        self.report(Side::Server, (true, cause), &connection.peer, why);
    }

    /// A handshake with an endpoint of a cluster has failed.
    pub(super) fn unreached(&self, cluster: &ClusterName, why: &ConnectError) {
        let cause = match why {
            ConnectError::Handshake(diagnosis) => diagnosis.label(),
            _ => "no_server_name",
        };
        self.report(Side::Client, (true, cause), cluster, why);
    }

    /// An endpoint of a cluster speaks with us, and does not know what it could.
    pub(super) fn unproven(&self, cluster: &ClusterName, why: &Diagnosis) {
        self.report(Side::Client, (false, why.label()), cluster, why);
    }

    fn report(
        &self,
        side: Side,
        (failed, cause): (bool, &'static str),
        peer: &dyn fmt::Display,
        sentence: &dyn fmt::Display,
    ) {
        let kind = Kind {
            failed,
            side: label(side),
            cause,
        };
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind).or_default() += 1;
        drop(counts);
        if let Some(HandshakeObserver(observe)) = &self.0.observer {
            observe(&HandshakeReport {
                failed,
                side,
                peer: &peer.to_string(),
                cause,
                sentence: &sentence.to_string(),
            });
        }
    }

    /// How many have failed, or left this to be said.
    pub fn count(&self, side: Side, cause: &str) -> u64 {
        let counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = counts.iter();
        let found = counts.find(|(kind, _)| kind.side == label(side) && kind.cause == cause);
        found.map_or(0, |(_, count)| *count)
    }

    /// The counts in the text format of Prometheus.
    pub fn encode(&self) -> String {
        let counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (wanted, name, help) in [
            (true, "failures", "Handshakes that failed, by cause"),
            (
                false,
                "warnings",
                "Handshakes that leave something to be desired, by what",
            ),
        ] {
            let name = format!("mesh_tls_handshake_{name}");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for (
                Kind {
                    failed,
                    side,
                    cause,
                },
                count,
            ) in counts.iter()
            {
                if *failed == wanted {
                    let _ = writeln!(
                        text,
                        "{name}_total{{side=\"{side}\",cause=\"{cause}\"}} {count}"
                    );
                }
            }
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
