//! The keys of issuers: given, or fetched and kept fresh.
//!
//! Keys that are fetched are refreshed by a task of their own, [`RemoteKeys::keep_fresh`], and no
//! request waits for them. Until they have arrived, no token of the issuer is accepted, and they are tried again
//! soon, at least once a minute, while Istio tries them some times in a row; when they cannot be fetched again, the
//! last ones stay.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::resource::Value;
use mesh_core::watch::{self, Publisher, Watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::encoding;
use super::error::JwksError;
use super::jwks::Jwks;

/// Keys are fetched again after this time.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(20 * 60);
/// When keys that are known could not be fetched again, that is tried after this time, which doubles each time.
pub const FIRST_RETRY: Duration = Duration::from_secs(60);
/// When keys have never arrived, they are tried again after this time, which doubles each time up to
/// [`FIRST_RETRY`].
pub const EAGER_RETRY: Duration = Duration::from_secs(1);
/// The longest time between two tries of keys that are known.
pub const LAST_RETRY: Duration = Duration::from_secs(60 * 60);
/// The largest document that is read.
pub const MAX_DOCUMENT: usize = 1 << 20;

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Fetches documents over HTTP.
///
/// The libraries open no connections; a program passes a client of its choice.
pub trait Fetch: Send + Sync {
    /// The body of the answer to a GET of `uri`, which has to be a success.
    ///
    /// An implementation reads [`MAX_DOCUMENT`] bytes at most, and may be dropped at any time.
    fn fetch(&self, uri: &str) -> impl Future<Output = Result<Bytes, FetchError>> + Send;
}

/// A document was not fetched, for a reason that the client knows.
#[derive(Debug, thiserror::Error)]
#[error("the document was not fetched")]
pub struct FetchError {
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl FetchError {
    /// Takes the error of the client.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The configuration of the issuer names no key set.
    #[error("the configuration of the issuer has no `jwks_uri`")]
    Discovery,
    /// A document was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The document is no key set.
    #[error("the document is no key set")]
    Jwks(#[from] JwksError),
    /// It took too long.
    #[error("the keys did not arrive in {0:?}")]
    Timeout(Duration),
    /// The document is larger than [`MAX_DOCUMENT`].
    #[error("the document has {0} bytes")]
    TooLarge(usize),
}

/// Where keys are.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum KeyLocation {
    /// Where the OpenID configuration of this issuer says.
    Discovery(String),
    /// At this URI.
    Uri(String),
}

/// Keys that are fetched.
#[derive(Debug)]
pub struct RemoteKeys {
    location: KeyLocation,
    /// How long they may take to arrive.
    timeout: Mutex<Duration>,
    publisher: Publisher<Option<Arc<Jwks>>>,
    current: Watch<Option<Arc<Jwks>>>,
    /// Held by the task that keeps the keys fresh.
    schedule: tokio::sync::Mutex<Schedule>,
}

/// When keys are fetched next.
#[derive(Debug, Default)]
struct Schedule {
    // `None` is now.
    due: Option<Instant>,
    /// The pause after the last failure; none if it was a success.
    retry: Option<Duration>,
}

impl RemoteKeys {
    fn new(location: KeyLocation, timeout: Duration) -> Self {
        let (publisher, current) = watch::channel(None);
        Self {
            location,
            timeout: Mutex::new(timeout),
            publisher,
            current,
            schedule: tokio::sync::Mutex::default(),
        }
    }

    /// Where the keys are.
    pub fn location(&self) -> &KeyLocation {
        &self.location
    }

    /// The keys, once they have arrived.
    pub fn load(&self) -> Option<Arc<Jwks>> {
        Option::clone(&self.current.load())
    }

    /// Fetches the keys once.
    ///
    /// # Errors
    ///
    /// When they do not arrive in time, or are none. The last keys stay then.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed if the future is dropped.
    pub async fn refresh(&self, fetch: &impl Fetch) -> Result<(), KeysError> {
        let patience = *self.patience();
        let jwks = timeout(patience, self.fetch(fetch)).await;
        let jwks = jwks.map_err(|_| KeysError::Timeout(patience))??;
        // The same keys stay the same value, which caches of verified tokens go by.
        if self.load().is_none_or(|current| *current != jwks) {
            self.publisher.publish(Some(Arc::new(jwks)));
        }
        Ok(())
    }

    /// Fetches the keys now and from time to time, forever; `report` is told of each failure.
    ///
    /// Only one such future works at a time for the same keys; others wait until it is dropped, and go
    /// on as it would have: keys that are fresh are not fetched again, and failures do not follow each
    /// other sooner.
    pub async fn keep_fresh(&self, fetch: impl Fetch, mut report: impl FnMut(&KeysError)) {
        let mut schedule = self.schedule.lock().await;
        loop {
            if let Some(due) = schedule.due {
                sleep_until(due).await;
            }
            let pause = match self.refresh(&fetch).await {
                Ok(()) => {
                    schedule.retry = None;
                    REFRESH_INTERVAL
                }
                Err(error) => {
                    report(&error);
                    let pause = self.pause_after(schedule.retry);
                    schedule.retry = Some(pause);
                    pause
                }
            };
            schedule.due = Some(Instant::now() + pause);
        }
    }

    /// The pause after a failure; `earlier` is that after the failure before, if there was one.
    fn pause_after(&self, earlier: Option<Duration>) -> Duration {
        let (first, longest) = match self.load() {
            Some(_) => (FIRST_RETRY, LAST_RETRY),
            None => (EAGER_RETRY, FIRST_RETRY),
        };
        earlier.map_or(first, |earlier| (earlier * 2).min(longest))
    }

    fn patience(&self) -> MutexGuard<'_, Duration> {
        self.timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, fetch: &impl Fetch) -> Result<Jwks, KeysError> {
        let uri = match &self.location {
            KeyLocation::Uri(uri) => uri.clone(),
            KeyLocation::Discovery(issuer) => discover(issuer, fetch).await?,
        };
        let document = document(fetch, &uri).await?;
        Ok(Jwks::parse(&document)?)
    }
}

/// The location of the keys of an issuer (OpenID Connect Discovery 1.0 §4).
async fn discover(issuer: &str, fetch: &impl Fetch) -> Result<String, KeysError> {
    let uri = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
    let configuration = encoding::object(&document(fetch, &uri).await?);
    let configuration = configuration.ok_or(KeysError::Discovery)?;
    let uri = configuration.get("jwks_uri").and_then(Value::as_str);
    uri.map(str::to_owned).ok_or(KeysError::Discovery)
}

async fn document(fetch: &impl Fetch, uri: &str) -> Result<String, KeysError> {
    let body = fetch.fetch(uri).await?;
    if body.len() > MAX_DOCUMENT {
        return Err(KeysError::TooLarge(body.len()));
    }
    String::from_utf8(body.into()).map_err(|_| KeysError::Jwks(JwksError::ParseError))
}

/// Keys by location, so that a new configuration finds those that an earlier one has fetched.
///
/// Keys that no configuration uses any more are forgotten.
#[derive(Debug, Default)]
pub struct KeyStore {
    keys: Mutex<HashMap<KeyLocation, Weak<RemoteKeys>>>,
}

impl KeyStore {
    /// The keys at `location`, which are allowed `timeout` to arrive. That holds for those that are
    /// known already, too, from when they are fetched next.
    pub(super) fn keys(&self, location: KeyLocation, timeout: Duration) -> Arc<RemoteKeys> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = known.get(&location).and_then(Weak::upgrade) {
            *keys.patience() = timeout;
            return keys;
        }
        known.retain(|_, keys| keys.strong_count() > 0);
        let keys = Arc::new(RemoteKeys::new(location.clone(), timeout));
        known.insert(location, Arc::downgrade(&keys));
        keys
    }
}

/// The keys of a rule.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// Written in the rule; nothing if they are none.
    Inline(Option<Arc<Jwks>>),
    Remote(Arc<RemoteKeys>),
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const JWKS: &str = r#"{"keys": [{"kty": "oct", "k": "AA"}]}"#;

    /// Answers by URI, or never if there is no answer.
    #[derive(Debug, Default)]
    struct Web {
        pages: Mutex<HashMap<String, String>>,
        fetched: AtomicUsize,
    }

    impl Web {
        fn put(&self, uri: &str, page: &str) {
            self.pages
                .lock()
                .unwrap()
                .insert(uri.to_owned(), page.to_owned());
        }
    }

    impl Fetch for &Web {
        async fn fetch(&self, uri: &str) -> Result<Bytes, FetchError> {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            let page = self.pages.lock().unwrap().get(uri).cloned();
            match page {
                Some(page) => Ok(page.into()),
                None => std::future::pending().await,
            }
        }
    }

    fn remote(location: KeyLocation) -> Arc<RemoteKeys> {
        KeyStore::default().keys(location, Duration::from_secs(5))
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_discovered() {
        let web = Web::default();
        web.put(
            "https://a/.well-known/openid-configuration",
            r#"{"jwks_uri": "https://b"}"#,
        );
        web.put("https://b", JWKS);
        let keys = remote(KeyLocation::Discovery("https://a/".to_owned()));
        assert_eq!(keys.load(), None);
        keys.refresh(&&web).await.unwrap();
        assert_eq!(keys.load().map(|keys| keys.len()), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_key_set_changes_nothing() {
        let web = Web::default();
        web.put("https://a", JWKS);
        let keys = remote(KeyLocation::Uri("https://a".to_owned()));
        keys.refresh(&&web).await.unwrap();
        let before = keys.load().unwrap();
        for page in ["", "{}", &" ".repeat(MAX_DOCUMENT + 1)] {
            web.put("https://a", page);
            assert!(keys.refresh(&&web).await.is_err());
            assert!(Arc::ptr_eq(&before, &keys.load().unwrap()));
        }
    }

    /// How often `keys` are fetched in the next `seconds`.
    async fn count(keys: &RemoteKeys, web: &Web, seconds: u64) -> usize {
        let before = web.fetched.load(Ordering::Relaxed);
        let kept = timeout(Duration::from_secs(seconds), keys.keep_fresh(web, |_| ()));
        assert!(kept.await.is_err());
        web.fetched.load(Ordering::Relaxed) - before
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_retried_sooner_than_keys_are_refreshed() {
        let web = Web::default();
        let keys = remote(KeyLocation::Uri("https://a".to_owned()));
        // Nobody has got any yet: 5 s until the first timeout, 1 s pause, 5 s, 2 s pause, 5 s, 4 s pause.
        assert_eq!(count(&keys, &web, 5 + 1 + 5 + 2 + 5 + 3).await, 3);
        // However long it takes, the pause is one minute at most.
        count(&keys, &web, 3600).await;
        assert!(count(&keys, &web, 3600).await >= 55);

        web.put("https://a", JWKS);
        assert_eq!(count(&keys, &web, 3600).await, 3);

        // One second is left until they are fetched again; then 60 s pause and 120 s.
        web.put("https://a", "{}");
        assert_eq!(count(&keys, &web, 1 + 60 + 119).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_fetches_no_fresh_keys_and_no_sooner_after_failures() {
        let web = Web::default();
        let keys = remote(KeyLocation::Uri("https://a".to_owned()));
        let keep = |seconds| timeout(Duration::from_secs(seconds), keys.keep_fresh(&web, |_| ()));
        // Three times 5 s until the timeout, 1 s and 2 s pause between, and 4 s after, of which 2 s are left.
        assert!(keep(20).await.is_err());
        assert!(keep(1).await.is_err());
        assert_eq!(web.fetched.load(Ordering::Relaxed), 3);
        web.put("https://a", JWKS);
        assert!(keep(2).await.is_err());
        assert!(keep(20 * 60 - 2).await.is_err());
        assert_eq!(web.fetched.load(Ordering::Relaxed), 4);
        assert!(keep(2).await.is_err());
        assert_eq!(web.fetched.load(Ordering::Relaxed), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_that_changes_holds_for_keys_that_are_known() {
        let (web, store) = (Web::default(), KeyStore::default());
        let location = KeyLocation::Uri("https://a".to_owned());
        let keys = store.keys(location.clone(), Duration::from_secs(5));
        for seconds in [9, 2] {
            let patience = Duration::from_secs(seconds);
            let same = store.keys(location.clone(), patience);
            assert!(Arc::ptr_eq(&keys, &same));
            let start = Instant::now();
            let refreshed = keys.refresh(&&web).await;
            assert!(matches!(refreshed, Err(KeysError::Timeout(after)) if after == patience));
            assert_eq!(start.elapsed(), patience);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_fetches_for_all() {
        let web = Web::default();
        web.put("https://a", JWKS);
        let store = KeyStore::default();
        let location = KeyLocation::Uri("https://a".to_owned());
        let first = store.keys(location.clone(), Duration::from_secs(5));
        let second = store.keys(location, Duration::from_secs(5));
        assert!(Arc::ptr_eq(&first, &second));
        let both = async {
            tokio::join!(
                first.keep_fresh(&web, |_| {}),
                second.keep_fresh(&web, |_| {})
            )
        };
        assert!(timeout(Duration::from_secs(1), both).await.is_err());
        assert_eq!(web.fetched.load(Ordering::Relaxed), 1);
    }
}
