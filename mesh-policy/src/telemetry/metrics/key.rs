//! What tells the series of a group of metrics from each other.

use super::labels::{End, Facts, Filled, Plan, Protocol, Reporter, Source};
use super::peer::{Peer, Property};

/// Ends a text in a key. No UTF-8 text has it.
const END: u8 = 0xff;

/// What the labels of a plan depend on, and exchanges differ in.
///
/// Exchanges with equal keys have equal labels. Most labels depend on little, or on nothing but who
/// reports, so that a key is much shorter than they are.
#[derive(Debug)]
pub(super) struct Key {
    parts: Vec<Part>,
    /// What is said of the workload at the other end.
    peer: Vec<Property>,
}

/// A part of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Code,
    Custom(usize),
    Flags,
    GrpcStatus,
    MutualTls,
    Principal(End),
    Protocol,
    Service,
    ServiceName,
}

impl Key {
    /// The key of `plan`, where `reporter` reports.
    pub(super) fn compile(plan: &Plan, reporter: Reporter) -> Self {
        let (mut parts, mut peer) = (Vec::new(), Vec::new());
        for (part, property) in plan.filled().map(|filled| depends_on(filled, reporter)) {
            if let Some(part) = part.filter(|part| !parts.contains(part)) {
                parts.push(part);
            }
            if let Some(property) = property.filter(|property| !peer.contains(property)) {
                peer.push(property);
            }
        }
        Self { parts, peer }
    }

    /// Writes the key of an exchange to `key`, in place of what is there.
    pub(super) fn write(&self, facts: &Facts<'_>, key: &mut Vec<u8>) {
        key.clear();
        for part in &self.parts {
            match *part {
                Part::Code => key.extend(facts.code.to_ne_bytes()),
                Part::Custom(place) => write_text(facts.custom(place), key),
                Part::Flags if facts.flags.is_empty() => write_text("", key),
                Part::Flags => write_text(&facts.flags.to_string(), key),
                Part::GrpcStatus => write_text(facts.grpc_status.unwrap_or_default(), key),
                Part::MutualTls => key.push(facts.is_mutual_tls.into()),
                Part::Principal(end) => write_text(facts.principal(end), key),
                Part::Protocol => key.push(match facts.protocol {
                    Protocol::Grpc => 0,
                    Protocol::Http => 1,
                    Protocol::Tcp => 2,
                }),
                Part::Service => write_text(facts.service(), key),
                Part::ServiceName => write_text(facts.service_name(), key),
            }
        }
        // At the end, for how it is read depends on what is before it.
        self.write_peer(facts, key);
    }

    fn write_peer(&self, facts: &Facts<'_>, key: &mut Vec<u8>) {
        // It has not been proven without mutual TLS.
        let is_written =
            |property: &&Property| **property != Property::Principal || facts.is_mutual_tls;
        match facts.peer {
            None => key.push(0),
            // Who has only an identity is told by it.
            Some(Peer::Identity(identity))
                if facts.is_mutual_tls && self.peer.contains(&Property::Principal) =>
            {
                key.push(1);
                write_text(identity.as_str(), key);
            }
            // And without mutual TLS, by its namespace.
            Some(peer @ Peer::Identity(_)) if !facts.is_mutual_tls => {
                key.push(2);
                if self.peer.contains(&Property::Namespace) {
                    write_text(peer.property(Property::Namespace), key);
                }
            }
            Some(peer) => {
                key.push(3);
                for property in self.peer.iter().filter(is_written) {
                    write_text(peer.property(*property), key);
                }
            }
        }
    }
}

fn write_text(text: &str, key: &mut Vec<u8>) {
    key.extend_from_slice(text.as_bytes());
    key.push(END);
}

/// What a label depends on: a part of the key, and what is said of the workload at the other end.
fn depends_on(filled: Filled, reporter: Reporter) -> (Option<Part>, Option<Property>) {
    let of = |end, property| (!reporter.is_at(end)).then_some(property);
    let source = match filled {
        Filled::Custom(place) => return (Some(Part::Custom(place)), None),
        Filled::Standard(source) => source,
    };
    match source {
        Source::DestinationService => (Some(Part::Service), None),
        Source::DestinationServiceName => (Some(Part::ServiceName), None),
        // A server is in its own namespace.
        Source::DestinationServiceNamespace if reporter == Reporter::Destination => (None, None),
        Source::DestinationServiceNamespace => {
            let namespace = of(End::Destination, Property::Namespace);
            (Some(Part::Service), namespace)
        }
        Source::GrpcStatus => (Some(Part::GrpcStatus), None),
        Source::Of(end, Property::Principal) if reporter == Reporter::Source => {
            (Some(Part::Principal(end)), None)
        }
        // Not known without mutual TLS.
        Source::Of(end, Property::Principal) => {
            (Some(Part::MutualTls), of(end, Property::Principal))
        }
        Source::Of(end, property) => (None, of(end, property)),
        Source::Protocol => (Some(Part::Protocol), None),
        Source::Reporter => (None, None),
        Source::ResponseCode => (Some(Part::Code), None),
        Source::ResponseFlags => (Some(Part::Flags), None),
        Source::SecurityPolicy => (Some(Part::MutualTls), None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesh_core::attributes::{ResponseFlag, ResponseFlags, UpstreamConnection};
    use mesh_core::identity::SpiffeId;
    use mesh_core::service::ClusterName;
    use proptest::prelude::*;

    use super::super::series::Measures;
    use super::super::series::tests::{counted, table};
    use super::*;
    use crate::telemetry::workload::PeerWorkload;

    /// What one exchange may differ in from another.
    #[derive(Clone, Debug)]
    struct Exchange {
        peer: Option<Peer>,
        cluster: Option<ClusterName>,
        host: Option<&'static str>,
        upstream: Option<UpstreamConnection>,
        protocol: Protocol,
        is_mutual_tls: bool,
        code: u16,
        grpc_status: Option<&'static str>,
        flags: ResponseFlags,
        custom: Vec<String>,
    }

    fn identities() -> impl Strategy<Value = SpiffeId> {
        "[ab]".prop_map(|name| {
            let text = format!("spiffe://cluster.local/ns/{name}/sa/{name}");
            text.parse().unwrap()
        })
    }

    fn upstreams() -> impl Strategy<Value = Option<UpstreamConnection>> {
        let both = (
            prop::option::of(identities()),
            prop::option::of(identities()),
        );
        prop::option::of(both.prop_map(|(identity, peer)| UpstreamConnection {
            identity,
            peer,
            local: None,
        }))
    }

    fn exchanges() -> impl Strategy<Value = Exchange> {
        let peers = prop_oneof![
            Just(None),
            identities().prop_map(|identity| Some(Peer::Identity(identity))),
            ("[ab]?", "[ab]?").prop_map(|(app, namespace)| {
                let workload = PeerWorkload {
                    app,
                    namespace,
                    ..PeerWorkload::default()
                };
                Some(Peer::Workload(Box::new(workload)))
            }),
        ];
        let hosts = prop::sample::select(vec!["", "a", "a.b", "a.b.svc.local", "b.b.svc.local"]);
        let clusters = prop_oneof![
            hosts
                .clone()
                .prop_map(|host| ClusterName::outbound(80, "", host)),
            Just(ClusterName::from("PassthroughCluster")),
        ];
        let clusters = prop::option::of(clusters);
        let protocols = prop::sample::select(vec![Protocol::Grpc, Protocol::Http]);
        let flags = prop::option::of(Just(ResponseFlag::NoRouteFound)).prop_map(|flag| {
            flag.map_or_else(ResponseFlags::default, |flag| {
                ResponseFlags::default().with(flag)
            })
        });
        let grpc_statuses = prop::option::of(prop::sample::select(vec!["", "0", "14"]));
        let codes = prop::sample::select(vec![0_u16, 200, 0xffff]);
        let custom = prop::collection::vec("[ab]?", 2);
        (
            (
                peers,
                clusters,
                prop::option::of(hosts),
                protocols,
                any::<bool>(),
            ),
            (codes, grpc_statuses, flags, custom, upstreams()),
        )
            .prop_map(|((peer, cluster, host, protocol, is_mutual_tls), rest)| {
                let (code, grpc_status, flags, custom, upstream) = rest;
                Exchange {
                    peer,
                    cluster,
                    host,
                    upstream,
                    protocol,
                    is_mutual_tls,
                    code,
                    grpc_status,
                    flags,
                    custom,
                }
            })
    }

    proptest! {
        #[test]
        fn exchanges_are_counted_by_their_labels(
            exchanges in prop::collection::vec(exchanges(), 1..30),
            is_client: bool,
            kept in prop::collection::vec(any::<bool>(), Plan::http().names().count()),
        ) {
            let reporter = if is_client { Reporter::Source } else { Reporter::Destination };
            let mut plan = Plan::http();
            plan.upsert("first", 0);
            plan.upsert("request_protocol", 1);
            for (name, is_kept) in Plan::http().names().zip(kept) {
                if !is_kept {
                    plan.remove(name);
                }
            }
            let local = PeerWorkload { namespace: "a".to_owned(), ..PeerWorkload::default() };
            let (key_of, table) = (Key::compile(&plan, reporter), table(100));
            let (mut key, mut naive) = (Vec::new(), BTreeMap::<String, u64>::new());
            for exchange in &exchanges {
                let facts = Facts {
                    reporter,
                    local: &local,
                    peer: exchange.peer.as_ref(),
                    cluster: exchange.cluster.as_ref(),
                    host: exchange.host.filter(|_| is_client),
                    upstream: exchange.upstream.as_ref().filter(|_| is_client),
                    protocol: exchange.protocol,
                    is_mutual_tls: exchange.is_mutual_tls,
                    code: exchange.code,
                    grpc_status: exchange.grpc_status,
                    flags: exchange.flags,
                    custom: &exchange.custom,
                };
                key_of.write(&facts, &mut key);
                let labels = (|| plan.values(&facts), || plan.rest(reporter));
                table.record(&key, labels, &Measures::default());
                *naive.entry(plan.values(&facts).join("/")).or_default() += 1;
            }
            let counted: BTreeMap<String, u64> = counted(&table).into_iter().collect();
            prop_assert_eq!(&counted, &naive);
            prop_assert_eq!(table.series().len(), naive.len());
        }
    }
}
