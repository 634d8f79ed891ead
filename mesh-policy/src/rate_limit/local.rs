//! Rate limits in process: Envoy's local rate limit filter.
//!
//! A [`LocalRateLimit`] has a default bucket, and buckets for the requests that its rules make
//! certain [`Descriptor`]s of. A request takes a token of each bucket whose descriptor it makes, the
//! slowest first, and then, unless told otherwise, of the default one. The first that is empty
//! refuses it.
//!
//! Source: Envoy's [local rate limit filter], `LocalRateLimiterImpl`.
//!
//! [local rate limit filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/local_rate_limit_filter
//!
//! # Example
//!
//! ```
//! # use tokio::time::Instant as Clock;
//! use std::time::Duration;
//!
//! use mesh_policy::rate_limit::local::LocalRateLimit;
//! use mesh_policy::rate_limit::token_bucket::TokenBucketSettings;
//!
//! # fn main() -> Result<(), mesh_policy::rate_limit::token_bucket::TokenBucketError> {
//! let settings = TokenBucketSettings::new(1, 1, Duration::from_secs(1))?;
//! let now = Clock::now().into_std();
//! let limit = LocalRateLimit::new(settings, now);
//!
//! assert!(limit.check(&[], now).is_allowed);
//! let refused = limit.check(&[], now);
//! assert!(!refused.is_allowed);
//! assert_eq!((refused.limit, refused.remaining, refused.reset_seconds), (1, 0, 1));
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::time::Instant;

use http::{StatusCode, request};
use mesh_core::model::filter::HeaderOption;
use mesh_core::percent::Percent;

use super::descriptor::{Descriptor, RateLimitRule};
use super::token_bucket::{TokenBucket, TokenBucketSettings};

/// A local rate limit, with the tokens that are left.
///
/// See the [module docs](self) for an example.
#[derive(Debug)]
pub struct LocalRateLimit {
    bucket: Option<TokenBucket>,
    buckets: HashMap<Descriptor, TokenBucket>,
    settings: LocalRateLimitSettings,
    source: Option<LimitSource>,
}

/// The patch of an EnvoyFilter that a limit is of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LimitSource {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) patch: usize,
}

/// What a local rate limit does beside counting.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalRateLimitSettings {
    /// The share of requests that are counted. Default: all. (Envoy's is none, which a configuration
    /// that means it says.)
    pub enabled: Percent,
    /// The share of requests over the limit that are refused. Default: all.
    pub enforced: Percent,
    /// The status of a refusal, 400 or more. Default: 429.
    pub status: StatusCode,
    /// Whether a gRPC client that is refused gets `RESOURCE_EXHAUSTED` and not `UNAVAILABLE`. Default:
    /// no.
    pub as_resource_exhausted: bool,
    /// Headers of refusals.
    pub response_headers: Vec<HeaderOption>,
    /// Headers of requests over the limit that pass because they are not enforced.
    pub request_headers_when_not_enforced: Vec<HeaderOption>,
    /// Whether responses say what is left in `x-ratelimit-limit`, `-remaining` and `-reset`. Default:
    /// no.
    pub rate_limit_headers: bool,
    /// Whether a request that took a token of a descriptor's bucket takes one of the default bucket,
    /// too. Default: yes.
    pub always_consume_default: bool,
    /// The rules that make descriptors of requests. Empty: those of the route.
    pub rules: Vec<RateLimitRule>,
    /// The stage of the route's rules that count here. Default: 0.
    pub stage: u32,
}

impl Default for LocalRateLimitSettings {
    fn default() -> Self {
        Self {
            enabled: Percent::HUNDRED,
            enforced: Percent::HUNDRED,
            status: StatusCode::TOO_MANY_REQUESTS,
            as_resource_exhausted: false,
            response_headers: Vec::new(),
            request_headers_when_not_enforced: Vec::new(),
            rate_limit_headers: false,
            always_consume_default: true,
            rules: Vec::new(),
            stage: 0,
        }
    }
}

/// Whether a request is within a limit, and what is left of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Check {
    /// Whether there was a token.
    pub is_allowed: bool,
    /// The size of the bucket that decided.
    pub limit: u32,
    /// Tokens left in it.
    pub remaining: u32,
    /// Seconds until there is one again.
    pub reset_seconds: u64,
}

impl LocalRateLimit {
    /// A limit on all requests, whose bucket is full at `now`.
    pub fn new(settings: TokenBucketSettings, now: Instant) -> Self {
        Self {
            bucket: Some(TokenBucket::new(settings, now)),
            ..Self::unlimited()
        }
    }

    /// A limit on no request but those of the descriptors that are added.
    pub fn unlimited() -> Self {
        Self {
            bucket: None,
            buckets: HashMap::new(),
            settings: LocalRateLimitSettings::default(),
            source: None,
        }
    }

    /// Sets what it does beside counting.
    #[must_use]
    pub fn with_settings(mut self, settings: LocalRateLimitSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Adds a bucket, full at `now`, for the requests that `descriptor` is made of. Of two for the
    /// same descriptor the later counts.
    #[must_use]
    pub fn with_descriptor(
        mut self,
        descriptor: Descriptor,
        settings: TokenBucketSettings,
        now: Instant,
    ) -> Self {
        self.buckets
            .insert(descriptor, TokenBucket::new(settings, now));
        self
    }

    pub(super) fn of_source(mut self, source: LimitSource) -> Self {
        self.source = Some(source);
        self
    }

    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Whether it is the same limit as `other`, however many tokens each has left.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let settings = |bucket: &TokenBucket| *bucket.settings();
        let is_there = |(descriptor, bucket): (&Descriptor, &TokenBucket)| {
            other.buckets.get(descriptor).map(settings) == Some(settings(bucket))
        };
        self.source == other.source
            && self.bucket.as_ref().map(settings) == other.bucket.as_ref().map(settings)
            && self.buckets.len() == other.buckets.len()
            && self.buckets.iter().all(is_there)
            && self.settings == other.settings
    }

    /// What it does beside counting.
    pub fn settings(&self) -> &LocalRateLimitSettings {
        &self.settings
    }

    /// The descriptors of `request` that have a bucket here. `of_route` are the rules of its route,
    /// which count if the limit has none of its own.
    pub fn descriptors(
        &self,
        request: &request::Parts,
        of_route: &[RateLimitRule],
    ) -> Vec<Descriptor> {
        if self.buckets.is_empty() {
            return Vec::new();
        }
        let (rules, stage) = match self.settings.rules.as_slice() {
            [] => (of_route, self.settings.stage),
            rules => (rules, 0),
        };
        let rules = rules.iter().filter(|rule| {
            // Rules of its own have no stage.
            !self.settings.rules.is_empty() || rule.stage() == stage
        });
        rules.filter_map(|rule| rule.descriptor(request)).collect()
    }

    /// Takes tokens for a request that `descriptors` were made of.
    pub fn check(&self, descriptors: &[Descriptor], now: Instant) -> Check {
        let mut matched: Vec<&TokenBucket> = Vec::new();
        if !self.buckets.is_empty() {
            matched.extend(descriptors.iter().filter_map(|made| self.buckets.get(made)));
            let rate = |bucket: &&TokenBucket| bucket.settings().fill_rate();
            matched.sort_by(|one, other| rate(one).total_cmp(&rate(other)));
        }
        if let Some(empty) = matched.iter().find(|bucket| !bucket.take(now)) {
            return Check::of(empty, false, now);
        }
        let consumes = matched.is_empty() || self.settings.always_consume_default;
        if let Some(bucket) = self.bucket.as_ref().filter(|_| consumes)
            && !bucket.take(now)
        {
            return Check::of(bucket, false, now);
        }
        match matched.first().copied().or(self.bucket.as_ref()) {
            Some(bucket) => Check::of(bucket, true, now),
            None => Check {
                is_allowed: true,
                limit: u32::MAX,
                remaining: u32::MAX,
                reset_seconds: 0,
            },
        }
    }

    /// Whether requests are told from each other by descriptors.
    pub(super) fn has_descriptors(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// Whether anything is counted at all.
    pub fn is_limited(&self) -> bool {
        self.bucket.is_some() || !self.buckets.is_empty()
    }
}

impl Check {
    fn of(bucket: &TokenBucket, is_allowed: bool, now: Instant) -> Self {
        let next = bucket.next_token(now);
        Self {
            is_allowed,
            limit: bucket.settings().max_tokens(),
            remaining: bucket.remaining(now),
            // Whole seconds, rounded up as Envoy does.
            reset_seconds: next.as_secs() + u64::from(next.subsec_nanos() > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::super::descriptor::{Action, Entry};
    use super::*;

    fn settings(tokens: u32) -> TokenBucketSettings {
        TokenBucketSettings::new(tokens, tokens, Duration::from_secs(60)).unwrap()
    }

    fn descriptor(user: &str) -> Descriptor {
        let entries = vec![Entry::new("user", user)];
        Descriptor { entries }
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn a_descriptor_has_a_bucket_of_its_own_and_the_default_one() {
        for (always, others) in [(true, 1), (false, 3)] {
            let now = now();
            let limit = LocalRateLimit::new(settings(3), now)
                .with_descriptor(descriptor("jason"), settings(2), now)
                .with_settings(LocalRateLimitSettings {
                    always_consume_default: always,
                    ..LocalRateLimitSettings::default()
                });
            let count = |made: &[Descriptor]| {
                let allowed = (0..10).filter(|_| limit.check(made, now).is_allowed);
                allowed.count()
            };
            assert_eq!(count(&[descriptor("jason")]), 2);
            assert_eq!(
                count(&[descriptor("other")]),
                others,
                "what is left of the default"
            );
        }
    }

    #[test]
    fn the_slowest_bucket_refuses_first_and_the_others_keep_their_tokens() {
        let now = now();
        let limit = LocalRateLimit::unlimited()
            .with_descriptor(descriptor("fast"), settings(5), now)
            .with_descriptor(descriptor("slow"), settings(1), now);
        let both = [descriptor("fast"), descriptor("slow")];
        assert!(limit.check(&both, now).is_allowed);
        let refused = limit.check(&both, now);
        assert_eq!(
            (refused.is_allowed, refused.limit, refused.remaining),
            (false, 1, 0)
        );
        assert_eq!(refused.reset_seconds, 60);
        assert_eq!(limit.check(&both[..1], now).remaining, 3);
        let later = limit.check(&both, now + Duration::from_millis(500));
        assert_eq!(later.reset_seconds, 60, "half a second counts as a whole");
    }

    #[test]
    fn rules_of_the_limit_replace_those_of_the_route() {
        let rule = |value: &str| {
            RateLimitRule::new([Action::GenericKey {
                key: "user".into(),
                value: value.into(),
            }])
        };
        let (request, ()) = Request::get("/").body(()).unwrap().into_parts();
        let of_route = [rule("route"), rule("staged").with_stage(1)];
        for (rules, stage, expected) in [
            (vec![], 0, "route"),
            (vec![], 1, "staged"),
            (vec![rule("own")], 0, "own"),
        ] {
            let limit = LocalRateLimit::unlimited()
                .with_descriptor(descriptor("jason"), settings(1), now())
                .with_settings(LocalRateLimitSettings {
                    rules,
                    stage,
                    ..LocalRateLimitSettings::default()
                });
            let made = limit.descriptors(&request, &of_route);
            assert_eq!(made, [descriptor(expected)]);
        }
    }
}
