//! Who is asked.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};

use super::Answer;
use super::srv::{SrvAnswer, SrvTarget};

/// Looks names up.
///
/// [`Resolver`] is the implementation that speaks DNS. Tests, and programs with a way of their own,
/// bring another.
pub trait Resolve: Send + Sync {
    /// Looks up the addresses of `host`.
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

/// Looks services up, and the names of their targets.
pub trait ResolveSrv: Resolve {
    /// Looks up the targets of `service`, such as `_sip._tcp.example.com`.
    fn resolve_srv(&self, service: &str) -> Pin<Box<dyn Future<Output = SrvAnswer> + Send>>;
}

/// Which addresses of a name are used (Envoy's `DnsLookupFamily`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AddressFamily {
    /// Those of both families, IPv4 first.
    #[default]
    All,
    /// Those of IPv6, or those of IPv4 if there are none.
    Auto,
    /// Those of IPv4.
    V4Only,
    /// Those of IPv4, or those of IPv6 if there are none.
    V4Preferred,
    /// Those of IPv6.
    V6Only,
}

/// Looks names up by DNS, over UDP and, if an answer does not fit, TCP.
///
/// Needs a tokio runtime. Answers are not cached: [`DnsClusters`](super::DnsClusters) knows when to ask
/// again.
#[derive(Clone)]
pub struct Resolver {
    resolver: TokioResolver,
    family: AddressFamily,
}

impl Resolver {
    /// A resolver that asks the servers, and knows the search domains and hosts, that the system is
    /// configured with now (`/etc/resolv.conf`, `/etc/hosts`). Where no server is named, it asks that of
    /// the machine itself (resolv.conf(5)).
    ///
    /// # Errors
    ///
    /// The configuration of the system cannot be read.
    pub fn system() -> Result<Self, ResolverError> {
        Self::build(match TokioResolver::builder_tokio() {
            Ok(builder) => builder,
            Err(NetError::Io(error)) if names_no_server(&error) => {
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                let config = ResolverConfig::from_name_servers(vec![local]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            Err(error) => return Err(ResolverError(error)),
        })
    }

    /// A resolver that asks `servers`, in this order.
    ///
    /// # Errors
    ///
    /// No resolver can be made, as on a system without entropy.
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Result<Self, ResolverError> {
        let servers = servers.into_iter().map(|server| {
            let at = |mut connection: ConnectionConfig| {
                connection.port = server.port();
                connection
            };
            let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
            NameServerConfig::new(server.ip(), true, connections)
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        Self::build(builder)
    }

    fn build(
        mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
    ) -> Result<Self, ResolverError> {
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.timeout = Duration::from_secs(5);
        Ok(Self {
            resolver: builder.build().map_err(ResolverError)?,
            family: AddressFamily::default(),
        })
    }

    /// Which addresses are used. Default: those of both families.
    #[must_use]
    pub fn with_family(mut self, family: AddressFamily) -> Self {
        self.family = family;
        self
    }

    /// Looks up the targets of a service, such as `_sip._tcp.example.com`, and how long they are good
    /// for; zero if the answer does not say. No targets if there is no such service, which is good for
    /// as long as the zone says (RFC 2308 §5), or it is declared to be none (RFC 2782).
    ///
    /// # Errors
    ///
    /// Nobody could be asked, or nobody knows.
    pub async fn lookup_srv(
        &self,
        service: &str,
    ) -> Result<(Vec<SrvTarget>, Duration), ResolverError> {
        match self.resolver.lookup(service, RecordType::SRV).await {
            Ok(lookup) => Ok((targets(&lookup), ttl(&lookup))),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let ttl = none.negative_ttl.unwrap_or_default();
                Ok((Vec::new(), Duration::from_secs(ttl.into())))
            }
            Err(error) => Err(ResolverError(error)),
        }
    }

    async fn lookup(&self, host: &str) -> Answer {
        let of = |kind| {
            let resolver = self.resolver.clone();
            let host = host.to_owned();
            async move { answer(resolver.lookup(host, kind).await) }
        };
        match self.family {
            AddressFamily::V4Only => of(RecordType::A).await,
            AddressFamily::V6Only => of(RecordType::AAAA).await,
            AddressFamily::All => {
                let (v4, v6) = join(of(RecordType::A), of(RecordType::AAAA)).await;
                both(v4, v6)
            }
            AddressFamily::V4Preferred => or_else(of(RecordType::A), of(RecordType::AAAA)).await,
            AddressFamily::Auto => or_else(of(RecordType::AAAA), of(RecordType::A)).await,
        }
    }
}

/// Whether the system's configuration is there but for servers, or not there at all.
fn names_no_server(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Other)
}

impl Resolve for Resolver {
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let resolver = self.clone();
        let host = host.to_owned();
        Box::pin(async move { resolver.lookup(&host).await })
    }
}

impl ResolveSrv for Resolver {
    fn resolve_srv(&self, service: &str) -> Pin<Box<dyn Future<Output = SrvAnswer> + Send>> {
        let resolver = self.clone();
        let service = service.to_owned();
        Box::pin(async move {
            match resolver.lookup_srv(&service).await {
                Ok((targets, ttl)) => SrvAnswer::Targets { targets, ttl },
                Err(_) => SrvAnswer::Failed,
            }
        })
    }
}

impl<R: Resolve + ?Sized> Resolve for Arc<R> {
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        (**self).resolve(host)
    }
}

impl<R: ResolveSrv + ?Sized> ResolveSrv for Arc<R> {
    fn resolve_srv(&self, service: &str) -> Pin<Box<dyn Future<Output = SrvAnswer> + Send>> {
        (**self).resolve_srv(service)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// A resolver could not be made, or a look-up failed.
#[derive(Debug, thiserror::Error)]
#[error("DNS fails")]
pub struct ResolverError(#[source] NetError);

fn answer(found: Result<Lookup, NetError>) -> Answer {
    let lookup = match found {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return Answer::NoAddress,
        Err(_) => return Answer::Failed,
    };
    let records = lookup.answers().iter();
    let addresses: Vec<IpAddr> = records
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        })
        .collect();
    if addresses.is_empty() {
        return Answer::NoAddress;
    }
    Answer::Addresses {
        addresses,
        ttl: ttl(&lookup),
    }
}

/// How long the answer as a whole is good: the least of all records, aliases included.
fn ttl(lookup: &Lookup) -> Duration {
    let least = lookup.answers().iter().map(|record| record.ttl).min();
    Duration::from_secs(least.unwrap_or_default().into())
}

fn targets(lookup: &Lookup) -> Vec<SrvTarget> {
    let records = lookup.answers().iter();
    let targets = records.filter_map(|record| match &record.data {
        // A target of `.` says that there is no such service.
        RData::SRV(srv) if !srv.target.is_root() => Some(SrvTarget {
            host: srv.target.to_utf8().trim_end_matches('.').to_owned(),
            port: srv.port,
            priority: srv.priority,
            weight: srv.weight,
        }),
        _ => None,
    });
    targets.collect()
}

/// The addresses of both answers. One that failed does not spoil the other.
fn both(first: Answer, second: Answer) -> Answer {
    match (first, second) {
        (
            Answer::Addresses { mut addresses, ttl },
            Answer::Addresses {
                addresses: more,
                ttl: other,
            },
        ) => {
            addresses.extend(more);
            let ttl = ttl.min(other);
            Answer::Addresses { addresses, ttl }
        }
        (first, second) => either(first, second),
    }
}

/// The first answer if it has addresses; else another is looked for, as by Envoy.
async fn or_else(
    first: impl Future<Output = Answer>,
    second: impl Future<Output = Answer>,
) -> Answer {
    match first.await {
        found @ Answer::Addresses { .. } => found,
        first => either(first, second.await),
    }
}

/// The first answer if it has addresses, else the second if it has. If neither has, the name has
/// none only if both say so.
fn either(first: Answer, second: Answer) -> Answer {
    match (first, second) {
        (found @ Answer::Addresses { .. }, _) | (_, found @ Answer::Addresses { .. }) => found,
        (Answer::NoAddress, Answer::NoAddress) => Answer::NoAddress,
        (Answer::Failed, _) | (_, Answer::Failed) => Answer::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(last: u8, seconds: u64) -> Answer {
        Answer::Addresses {
            addresses: vec![[192, 0, 2, last].into()],
            ttl: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn two_answers_are_joined_and_a_failure_spoils_none() {
        let joined = Answer::Addresses {
            addresses: vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()],
            ttl: Duration::from_secs(3),
        };
        let none = || Answer::NoAddress;
        let cases = [
            (found(1, 5), found(2, 3), joined),
            (found(1, 5), Answer::Failed, found(1, 5)),
            (none(), found(2, 3), found(2, 3)),
            (none(), none(), none()),
            (none(), Answer::Failed, Answer::Failed),
            (Answer::Failed, Answer::Failed, Answer::Failed),
        ];
        for (first, second, expected) in cases {
            let case = format!("{first:?} {second:?}");
            assert_eq!(both(first, second), expected, "{case}");
        }
        assert_eq!(either(found(1, 5), found(2, 3)), found(1, 5));
    }

    #[tokio::test]
    async fn the_other_family_is_asked_for_only_where_the_preferred_one_has_no_address() {
        use std::future::{pending, ready};

        let found = || found(1, 5);
        assert_eq!(or_else(ready(found()), pending()).await, found());
        for first in [Answer::Failed, Answer::NoAddress] {
            assert_eq!(or_else(ready(first), ready(found())).await, found());
        }
    }

    #[tokio::test]
    async fn the_system_knows_localhost_though_nobody_can_be_asked() {
        let resolver = Resolver::system().unwrap();
        let resolver = resolver.with_family(AddressFamily::V4Preferred);
        let Answer::Addresses { addresses, .. } = resolver.resolve("localhost").await else {
            panic!()
        };
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }
}
