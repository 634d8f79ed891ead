//! Labels of Istio's metrics, and what they are filled in from.

use std::borrow::Cow;

use mesh_core::attributes::{ResponseFlag, ResponseFlags, UpstreamConnection};
use mesh_core::identity::SpiffeId;
use mesh_core::service::ClusterName;

use super::peer::{Peer, Property};
use crate::cut::cut;
use crate::telemetry::workload::PeerWorkload;

/// What a label says where nothing is known.
const UNKNOWN: &str = "unknown";

/// How many bytes there are at most of what strangers can put into a label.
pub(super) const MAX_VALUE: usize = 256;

/// What the revision of a canonical service is where no label says it.
const LATEST: &str = "latest";

/// Istio's clusters of what has no service.
const WITHOUT_SERVICE: [&str; 4] = [
    "BlackHoleCluster",
    "InboundPassthroughCluster",
    "InboundPassthroughClusterIpv4",
    "PassthroughCluster",
];

/// Which end reports an exchange.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reporter {
    /// The server.
    Destination,
    /// The client, or a gateway.
    Source,
}

/// An end of an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Destination,
    Source,
}

/// What a standard label says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    DestinationService,
    DestinationServiceName,
    DestinationServiceNamespace,
    GrpcStatus,
    Of(End, Property),
    Protocol,
    Reporter,
    ResponseCode,
    ResponseFlags,
    SecurityPolicy,
}

/// The standard labels, in the order in which Istio writes them.
const STANDARD: [(&str, Source); 25] = {
    use End::{Destination, Source as Client};
    use Source::Of;
    [
        ("reporter", Source::Reporter),
        ("source_workload", Of(Client, Property::Workload)),
        (
            "source_canonical_service",
            Of(Client, Property::CanonicalService),
        ),
        (
            "source_canonical_revision",
            Of(Client, Property::CanonicalRevision),
        ),
        ("source_workload_namespace", Of(Client, Property::Namespace)),
        ("source_principal", Of(Client, Property::Principal)),
        ("source_app", Of(Client, Property::App)),
        ("source_version", Of(Client, Property::Version)),
        ("source_cluster", Of(Client, Property::Cluster)),
        ("destination_workload", Of(Destination, Property::Workload)),
        (
            "destination_workload_namespace",
            Of(Destination, Property::Namespace),
        ),
        (
            "destination_principal",
            Of(Destination, Property::Principal),
        ),
        ("destination_app", Of(Destination, Property::App)),
        ("destination_version", Of(Destination, Property::Version)),
        ("destination_service", Source::DestinationService),
        (
            "destination_canonical_service",
            Of(Destination, Property::CanonicalService),
        ),
        (
            "destination_canonical_revision",
            Of(Destination, Property::CanonicalRevision),
        ),
        ("destination_service_name", Source::DestinationServiceName),
        (
            "destination_service_namespace",
            Source::DestinationServiceNamespace,
        ),
        ("destination_cluster", Of(Destination, Property::Cluster)),
        ("request_protocol", Source::Protocol),
        ("response_code", Source::ResponseCode),
        ("grpc_response_status", Source::GrpcStatus),
        ("response_flags", Source::ResponseFlags),
        ("connection_security_policy", Source::SecurityPolicy),
    ]
};

/// What is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Grpc,
    Http,
    Tcp,
}

/// What labels are filled in from.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) reporter: Reporter,
    pub(super) local: &'a PeerWorkload,
    pub(super) peer: Option<&'a Peer>,
    /// The cluster of the destination.
    pub(super) cluster: Option<&'a ClusterName>,
    /// The host that the client asked for, if that may be said.
    pub(super) host: Option<&'a str>,
    /// The connection to the destination, where the client reports.
    pub(super) upstream: Option<&'a UpstreamConnection>,
    pub(super) protocol: Protocol,
    pub(super) is_mutual_tls: bool,
    pub(super) code: u16,
    pub(super) grpc_status: Option<&'a str>,
    pub(super) flags: ResponseFlags,
    /// Values of custom labels, by their place.
    pub(super) custom: &'a [String],
}

/// The values of labels, in their order.
pub(super) type Values = Box<[Box<str>]>;

/// The labels of a metric.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Plan {
    labels: Vec<(String, Filled)>,
}

/// How a label is filled in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Filled {
    /// By the custom value at a place.
    Custom(usize),
    Standard(Source),
}

impl Plan {
    /// The standard labels of HTTP metrics.
    pub(super) fn http() -> Self {
        Self::standard(|_| true)
    }

    /// The standard labels of TCP metrics, which have no statuses.
    pub(super) fn tcp() -> Self {
        Self::standard(|source| !matches!(source, Source::ResponseCode | Source::GrpcStatus))
    }

    fn standard(keep: impl Fn(Source) -> bool) -> Self {
        let labels = STANDARD.into_iter().filter(|(_, source)| keep(*source));
        let labels = labels.map(|(name, source)| (name.to_owned(), Filled::Standard(source)));
        Self {
            labels: labels.collect(),
        }
    }

    /// Leaves a label out.
    pub(super) fn remove(&mut self, name: &str) {
        self.labels.retain(|(label, _)| label != name);
    }

    /// Fills a label, which is added if it is not there, with the custom value at `place`.
    pub(super) fn upsert(&mut self, name: &str, place: usize) {
        let filled = Filled::Custom(place);
        match self.labels.iter_mut().find(|(label, _)| label == name) {
            Some((_, known)) => *known = filled,
            None => self.labels.push((name.to_owned(), filled)),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|(name, _)| name.as_str())
    }

    /// How each label is filled in.
    pub(super) fn filled(&self) -> impl Iterator<Item = Filled> {
        self.labels.iter().map(|(_, filled)| *filled)
    }

    /// The values of the labels.
    pub(super) fn values(&self, facts: &Facts<'_>) -> Values {
        let values = self.filled().map(|filled| match filled {
            Filled::Custom(place) => facts.custom(place).into(),
            Filled::Standard(source) => facts.value(source).into(),
        });
        values.collect()
    }

    /// The values of the series that takes what is too much: all are `other`, but the reporter.
    pub(super) fn rest(&self, reporter: Reporter) -> Values {
        let values = self.filled().map(|filled| match filled {
            Filled::Standard(Source::Reporter) => reporter.as_str().into(),
            Filled::Standard(_) | Filled::Custom(_) => "other".into(),
        });
        values.collect()
    }
}

impl Reporter {
    /// Whether it reports for the workload at this end.
    pub(super) fn is_at(self, end: End) -> bool {
        match self {
            Self::Destination => end == End::Destination,
            Self::Source => end == End::Source,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Source => "source",
        }
    }
}

impl Facts<'_> {
    /// What a standard label says.
    fn value(&self, source: Source) -> Cow<'_, str> {
        Cow::Borrowed(match source {
            Source::DestinationService => self.service(),
            Source::DestinationServiceName => self.service_name(),
            Source::DestinationServiceNamespace => self.service_namespace(),
            Source::GrpcStatus => self.grpc_status.unwrap_or_default(),
            Source::Of(end, property) => self.property(end, property),
            Source::Protocol => match self.protocol {
                Protocol::Grpc => "grpc",
                Protocol::Http => "http",
                Protocol::Tcp => "tcp",
            },
            Source::Reporter => self.reporter.as_str(),
            Source::ResponseCode => return self.code.to_string().into(),
            Source::ResponseFlags => return self.response_flags().into(),
            Source::SecurityPolicy => match (self.reporter, self.is_mutual_tls) {
                // Only the server knows.
                (Reporter::Source, _) => UNKNOWN,
                (Reporter::Destination, true) => "mutual_tls",
                (Reporter::Destination, false) => "none",
            },
        })
    }

    /// The flags, as access logs have them: what is last of a connection is that it may not be tried
    /// again.
    fn response_flags(&self) -> String {
        const LAST: ResponseFlag = ResponseFlag::UpstreamRetryLimitExceeded;
        if self.protocol != Protocol::Tcp || !self.flags.contains(LAST) {
            return self.flags.to_string();
        }
        let others = self.flags.iter().filter(|flag| *flag != LAST);
        let names = others.chain([LAST]).map(ResponseFlag::as_str);
        names.collect::<Vec<_>>().join(",")
    }

    /// The value of a custom label, of limited length.
    pub(super) fn custom(&self, place: usize) -> &str {
        let value = self.custom.get(place).map_or("", String::as_str);
        or_unknown(cut(value, MAX_VALUE))
    }

    /// What is said of the workload at an end.
    pub(super) fn property(&self, end: End, property: Property) -> &str {
        let known = match property {
            Property::Principal => self.principal(end),
            _ if self.reporter.is_at(end) => self.local.property(property),
            _ => self.peer.map_or("", |peer| peer.property(property)),
        };
        match property {
            Property::CanonicalRevision if known.is_empty() => LATEST,
            _ => or_unknown(known),
        }
    }

    /// Who an end is. Neither has proven it without mutual TLS: a server knows it of its own
    /// connection, a client of that to the destination.
    pub(super) fn principal(&self, end: End) -> &str {
        let own = self.local.property(Property::Principal);
        let is_own = self.reporter.is_at(end);
        match (self.reporter, self.upstream) {
            (Reporter::Destination, _) if !self.is_mutual_tls => "",
            (Reporter::Destination, _) if is_own => own,
            (Reporter::Destination, _) => self
                .peer
                .map_or("", |peer| peer.property(Property::Principal)),
            (Reporter::Source, None) => "",
            (Reporter::Source, Some(upstream)) => {
                let proven = if is_own {
                    &upstream.identity
                } else {
                    &upstream.peer
                };
                let own = if is_own && upstream.peer.is_some() {
                    own
                } else {
                    ""
                };
                proven.as_ref().map_or(own, SpiffeId::as_str)
            }
        }
    }

    /// The service by its cluster, else the host that the client asked for; a server is its own
    /// canonical service.
    pub(super) fn service(&self) -> &str {
        let of_cluster = self.cluster.and_then(ClusterName::host);
        let of_cluster = of_cluster.filter(|host| !host.is_empty());
        match of_cluster.or(self.host) {
            Some(service) => or_unknown(service),
            None if self.reporter == Reporter::Destination => {
                self.property(End::Destination, Property::CanonicalService)
            }
            None => UNKNOWN,
        }
    }

    /// The first label of a service of Kubernetes, else the whole name. Istio names the clusters of
    /// what has no service by themselves.
    pub(super) fn service_name(&self) -> &str {
        let cluster = self.cluster.map(ClusterName::as_str);
        if let Some(cluster) = cluster.filter(|name| WITHOUT_SERVICE.contains(name)) {
            return cluster;
        }
        let service = self.service();
        match service.split_once('.') {
            Some((name, rest)) if is_kubernetes(rest) => name,
            _ => service,
        }
    }

    /// The second label of a service of Kubernetes, else the namespace of the workload; that of a
    /// server is its own.
    fn service_namespace(&self) -> &str {
        if self.reporter == Reporter::Destination {
            return self.property(End::Destination, Property::Namespace);
        }
        let rest = self.service().split_once('.').map(|(_, rest)| rest);
        match rest
            .filter(|rest| is_kubernetes(rest))
            .and_then(|rest| rest.split('.').next())
        {
            Some(namespace) => namespace,
            None => self.property(End::Destination, Property::Namespace),
        }
    }
}

/// Whether `rest` is what follows the name of a service: `namespace.svc.domain`.
fn is_kubernetes(rest: &str) -> bool {
    rest.split('.').nth(1) == Some("svc")
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { UNKNOWN } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(plan: &Plan, facts: &Facts<'_>) -> Vec<(String, String)> {
        let values = plan.values(facts).into_iter().map(String::from);
        plan.names().map(str::to_owned).zip(values).collect()
    }

    fn workload(name: &str) -> PeerWorkload {
        PeerWorkload {
            workload: format!("{name}-v1"),
            namespace: "shop".into(),
            principal: format!("spiffe://cluster.local/ns/shop/sa/{name}"),
            app: name.into(),
            version: "v1".into(),
            cluster: "Kubernetes".into(),
            canonical_service: name.into(),
            canonical_revision: "v1".into(),
        }
    }

    #[test]
    fn a_server_reports_istios_labels_in_istios_order() {
        let local = workload("reviews");
        let peer = Peer::Workload(Box::new(workload("productpage")));
        let cluster = ClusterName::outbound(9080, "", "reviews.shop.svc.cluster.local");
        let facts = Facts {
            reporter: Reporter::Destination,
            local: &local,
            peer: Some(&peer),
            cluster: Some(&cluster),
            host: None,
            upstream: None,
            protocol: Protocol::Http,
            is_mutual_tls: true,
            code: 200,
            grpc_status: None,
            flags: ResponseFlags::default(),
            custom: &[],
        };
        let expected = [
            ("reporter", "destination"),
            ("source_workload", "productpage-v1"),
            ("source_canonical_service", "productpage"),
            ("source_canonical_revision", "v1"),
            ("source_workload_namespace", "shop"),
            (
                "source_principal",
                "spiffe://cluster.local/ns/shop/sa/productpage",
            ),
            ("source_app", "productpage"),
            ("source_version", "v1"),
            ("source_cluster", "Kubernetes"),
            ("destination_workload", "reviews-v1"),
            ("destination_workload_namespace", "shop"),
            (
                "destination_principal",
                "spiffe://cluster.local/ns/shop/sa/reviews",
            ),
            ("destination_app", "reviews"),
            ("destination_version", "v1"),
            ("destination_service", "reviews.shop.svc.cluster.local"),
            ("destination_canonical_service", "reviews"),
            ("destination_canonical_revision", "v1"),
            ("destination_service_name", "reviews"),
            ("destination_service_namespace", "shop"),
            ("destination_cluster", "Kubernetes"),
            ("request_protocol", "http"),
            ("response_code", "200"),
            ("grpc_response_status", ""),
            ("response_flags", "-"),
            ("connection_security_policy", "mutual_tls"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(labels(&Plan::http(), &facts), expected);
    }

    #[test]
    fn what_is_not_known_is_unknown_and_the_service_falls_back_on_what_is_known() {
        let (source, destination) = (Reporter::Source, Reporter::Destination);
        let passthrough = ClusterName::from("PassthroughCluster");
        for (reporter, host, cluster, (service, name, policy)) in [
            (
                source,
                Some("httpbin.org"),
                None,
                ("httpbin.org", "httpbin.org", "unknown"),
            ),
            (source, None, None, ("unknown", "unknown", "unknown")),
            (
                source,
                Some("httpbin.org"),
                Some(&passthrough),
                ("httpbin.org", "PassthroughCluster", "unknown"),
            ),
            (destination, None, None, ("sleep", "sleep", "none")),
        ] {
            let local = workload("sleep");
            let facts = Facts {
                reporter,
                local: &local,
                peer: None,
                cluster,
                host,
                upstream: None,
                protocol: Protocol::Grpc,
                is_mutual_tls: false,
                code: 0,
                grpc_status: Some("14"),
                flags: ResponseFlags::default().with(ResponseFlag::UpstreamConnectionFailure),
                custom: &[],
            };
            let labels = labels(&Plan::http(), &facts);
            let value = |name: &str| {
                labels
                    .iter()
                    .find(|(label, _)| label == name)
                    .unwrap()
                    .1
                    .as_str()
            };
            assert_eq!(value("destination_service"), service);
            assert_eq!(value("destination_service_name"), name);
            let other = match reporter {
                Reporter::Destination => "source_canonical_revision",
                Reporter::Source => "destination_canonical_revision",
            };
            assert_eq!(value(other), "latest");
            assert_eq!(value("connection_security_policy"), policy);
            assert_eq!(value("source_principal"), "unknown");
            assert_eq!(value("request_protocol"), "grpc");
            assert_eq!(
                (value("response_code"), value("grpc_response_status")),
                ("0", "14")
            );
            assert_eq!(value("response_flags"), "UF");
        }
    }

    #[test]
    fn what_strangers_put_into_a_label_is_cut_after_a_whole_character() {
        let (local, custom) = (workload("reviews"), ["\u{e4}".repeat(200), "a".repeat(255)]);
        let facts = Facts {
            reporter: Reporter::Source,
            local: &local,
            peer: None,
            cluster: None,
            host: None,
            upstream: None,
            protocol: Protocol::Http,
            is_mutual_tls: false,
            code: 200,
            grpc_status: None,
            flags: ResponseFlags::default(),
            custom: &custom,
        };
        assert_eq!(facts.custom(0), "\u{e4}".repeat(128));
        assert_eq!(facts.custom(1), custom[1]);
        assert_eq!(facts.custom(2), "unknown");
    }

    #[test]
    fn labels_can_be_removed_added_and_replaced() {
        let mut plan = Plan::tcp();
        let all: Vec<_> = plan.names().map(str::to_owned).collect();
        assert!(
            !all.iter()
                .any(|name| name == "response_code" || name == "grpc_response_status")
        );
        plan.remove("source_app");
        plan.upsert("reporter", 0);
        plan.upsert("user", 1);
        let names: Vec<_> = plan.names().collect();
        assert_eq!(
            (names.len(), names[0], names[names.len() - 1]),
            (all.len(), "reporter", "user")
        );
        assert!(!names.contains(&"source_app"));
    }
}
