//! Names that are looked up when a request asks for them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use super::{Answer, Resolve};

/// Resolves the hosts that requests name (`resolution: DYNAMIC_DNS`, Envoy's dynamic forward proxy).
///
/// Answers are kept until they expire, at most for a minute and at least for a second, and requests
/// for one name wait for one look-up. If a name cannot be looked up again, what was known of it is
/// used for as long as it is asked for. There is a limit on names, so that requests cannot fill the
/// memory: one more is refused, as by Envoy's `max_hosts`, unless another has not been asked for in
/// five minutes (`host_ttl`).
///
/// ```
/// use std::future::{Future, ready};
/// use std::pin::Pin;
/// use std::time::Duration;
///
/// use mesh_discovery::source::dns::{Answer, DynamicDns, DynamicDnsError, Resolve};
///
/// struct Loopback;
///
/// impl Resolve for Loopback {
///     fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
///         let ttl = Duration::from_secs(30);
///         Box::pin(ready(match host {
///             "a.example" => Answer::Addresses { addresses: vec![[127, 0, 0, 1].into()], ttl },
///             _ => Answer::NoAddress,
///         }))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let dns = DynamicDns::new(Loopback);
/// assert_eq!(dns.resolve("a.example").await.unwrap()[0].to_string(), "127.0.0.1");
/// assert_eq!(dns.resolve("b.example").await, Err(DynamicDnsError::NoAddress));
/// # }
/// ```
pub struct DynamicDns<R> {
    resolver: R,
    max_hosts: usize,
    hosts: Mutex<HashMap<String, Host>>,
}

/// How long a name that nobody asks for is kept.
const HOST_TTL: Duration = Duration::from_secs(300);
/// How long an answer is used at most, and one without time to live.
const MAX_TTL: Duration = Duration::from_secs(60);
const MIN_TTL: Duration = Duration::from_secs(1);

type Pending = Shared<BoxFuture<'static, Answer>>;

#[derive(Debug)]
struct Host {
    addresses: Arc<[IpAddr]>,
    // `None` if it was never answered.
    expires: Option<Instant>,
    used: Instant,
    // Only those who wait for a look-up keep it: without them it would stand still.
    pending: Option<WeakShared<BoxFuture<'static, Answer>>>,
}

impl<R: Resolve> DynamicDns<R> {
    /// Asks `resolver`, for at most 1,024 names.
    pub fn new(resolver: R) -> Self {
        Self {
            resolver,
            max_hosts: 1024,
            hosts: Mutex::new(HashMap::new()),
        }
    }

    /// The most names that are known at a time. Default: 1,024.
    #[must_use]
    pub fn with_max_hosts(mut self, max_hosts: usize) -> Self {
        self.max_hosts = max_hosts;
        self
    }

    /// The addresses of `host`, at least one. An IP address is its own.
    ///
    /// # Errors
    ///
    /// There is no such name, it has no address, it could not be looked up, or there are too many
    /// names.
    ///
    /// # Cancel safety
    ///
    /// The look-up goes on as long as another waits for it.
    pub async fn resolve(&self, host: &str) -> Result<Arc<[IpAddr]>, DynamicDnsError> {
        if let Ok(ip) = host.parse() {
            return Ok(Arc::new([ip]));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let pending = match self.find(&host, Instant::now())? {
            Known::Addresses(addresses) => return Ok(addresses),
            Known::Nothing => return Err(DynamicDnsError::NoAddress),
            Known::Pending(pending) => pending,
        };
        let answer = pending.clone().await;
        self.handle_answer(&host, &pending, &answer, Instant::now())
    }

    fn find(&self, host: &str, now: Instant) -> Result<Known, DynamicDnsError> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if !hosts.contains_key(host) && hosts.len() >= self.max_hosts {
            hosts.retain(|_, known| now - known.used < HOST_TTL);
            if hosts.len() >= self.max_hosts {
                return Err(DynamicDnsError::TooManyNames);
            }
        }
        let known = hosts.entry(host.to_owned()).or_insert_with(|| Host {
            addresses: Arc::new([]),
            expires: None,
            used: now,
            pending: None,
        });
        known.used = now;
        if known.expires.is_some_and(|expires| now < expires) {
            return Ok(match known.addresses.is_empty() {
                true => Known::Nothing,
                false => Known::Addresses(Arc::clone(&known.addresses)),
            });
        }
        let pending = known.pending().unwrap_or_else(|| {
            let pending = self.resolver.resolve(host).boxed().shared();
            known.pending = pending.downgrade();
            pending
        });
        Ok(Known::Pending(pending))
    }

    /// Takes note of an answer. Of all who waited for it, the first does.
    fn handle_answer(
        &self,
        host: &str,
        pending: &Pending,
        answer: &Answer,
        now: Instant,
    ) -> Result<Arc<[IpAddr]>, DynamicDnsError> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hosts.get_mut(host);
        let known = known.filter(|known| known.pending().is_some_and(|p| p.ptr_eq(pending)));
        if let Some(known) = known {
            known.pending = None;
            known.handle_answer(answer, now);
            return match (known.addresses.is_empty(), answer) {
                (false, _) => Ok(Arc::clone(&known.addresses)),
                (true, Answer::Failed) => Err(DynamicDnsError::Failed),
                (true, _) => Err(DynamicDnsError::NoAddress),
            };
        }
        match answer {
            Answer::Addresses { addresses, .. } => Ok(addresses.as_slice().into()),
            Answer::Failed => Err(DynamicDnsError::Failed),
            Answer::NoAddress => Err(DynamicDnsError::NoAddress),
        }
    }
}

impl Host {
    /// The look-up that is under way.
    fn pending(&self) -> Option<Pending> {
        self.pending.as_ref().and_then(WeakShared::upgrade)
    }

    fn handle_answer(&mut self, answer: &Answer, now: Instant) {
        match answer {
            Answer::Addresses { addresses, ttl } => {
                self.addresses = addresses.as_slice().into();
                let ttl = if ttl.is_zero() { MAX_TTL } else { *ttl };
                self.expires = Some(now + ttl.clamp(MIN_TTL, MAX_TTL));
            }
            Answer::NoAddress => {
                self.addresses = Arc::new([]);
                self.expires = Some(now + MIN_TTL);
            }
            // What is known is used on, and the next request asks again, but not at once.
            Answer::Failed if !self.addresses.is_empty() => self.expires = Some(now + MIN_TTL),
            Answer::Failed => self.expires = None,
        }
    }
}

impl<R> fmt::Debug for DynamicDns<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicDns")
            .field("max_hosts", &self.max_hosts)
            .finish_non_exhaustive()
    }
}

enum Known {
    Addresses(Arc<[IpAddr]>),
    Nothing,
    Pending(Pending),
}

/// A name that a request asks for has no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DynamicDnsError {
    /// It could not be looked up.
    #[error("the host cannot be looked up")]
    Failed,
    /// There is no such name, or it has no address.
    #[error("the host has no address")]
    NoAddress,
    /// As many names as there may be are known.
    #[error("too many hosts are known")]
    TooManyNames,
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicU8, Ordering};

    use tokio::time::{sleep, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_nobody_waits_for_any_more_is_begun_anew() {
        let dns = DynamicDns::new(Counting::default());
        let given_up = timeout(SECOND / 2, dns.resolve("a.example")).await;
        assert!(given_up.is_err());
        sleep(300 * SECOND).await;
        let begin = Instant::now();
        let addresses = dns.resolve("a.example").await.unwrap();
        assert_eq!(addresses[..], [IpAddr::from([192, 0, 2, 2])]);
        assert_eq!(begin.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_goes_on_while_another_waits_for_it() {
        let dns = DynamicDns::new(Counting::default());
        let given_up = timeout(SECOND / 2, dns.resolve("a.example"));
        let (given_up, found) = tokio::join!(given_up, dns.resolve("a.example"));
        assert!(given_up.is_err());
        let first = [IpAddr::from([192, 0, 2, 1])];
        assert_eq!(found.unwrap()[..], first);
        assert_eq!(
            dns.resolve("a.example").await.unwrap()[..],
            first,
            "it is known"
        );
    }

    /// Takes a second, and finds an address that tells how many look-ups there were.
    #[derive(Default)]
    struct Counting(AtomicU8);

    impl Resolve for Counting {
        fn resolve(&self, _: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
            let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            Box::pin(async move {
                sleep(SECOND).await;
                let addresses = vec![[192, 0, 2, count].into()];
                Answer::Addresses {
                    addresses,
                    ttl: 30 * SECOND,
                }
            })
        }
    }
}
