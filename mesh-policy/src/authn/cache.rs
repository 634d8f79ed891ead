//! Tokens that were verified lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue};
use mesh_core::attributes::RequestPrincipal;

use super::jwks::Jwks;
use super::token::Times;

/// How many bytes at the end of a token it is filed under: a part of its signature.
const TAIL: usize = 16;
/// Longer tokens are verified each time.
const MAX_TOKEN: usize = 8192;
/// The most shards.
const MAX_SHARDS: usize = 16;
/// The fewest tokens that are worth a shard of their own.
const MIN_SHARD: usize = 64;

type Tail = [u8; TAIL];
type Generation = HashMap<Tail, Arc<VerifiedToken>>;

/// Tokens that were verified, by their text.
///
/// Only valid tokens get in, so that nobody but issuers can fill it. It consists of shards with a lock
/// each, so that threads seldom wait for each other. A shard holds two generations of half its size:
/// when the young one is full, the old one is dropped, and what is still used moves to the young one.
#[derive(Debug)]
pub(super) struct TokenCache {
    /// Of the tokens of a shard.
    half: usize,
    shards: Box<[Mutex<Generations>]>,
}

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

/// A token whose signature was verified.
#[derive(Debug)]
pub(super) struct VerifiedToken {
    pub(super) text: Box<str>,
    /// Which keys have verified it; with other keys it is verified again.
    pub(super) keys: Arc<Jwks>,
    pub(super) times: Times,
    pub(super) principal: RequestPrincipal,
    /// Headers that pass payload and claims on.
    pub(super) outputs: Box<[(HeaderName, HeaderValue)]>,
}

impl TokenCache {
    /// Holds about `capacity` tokens; none, if that is less than two.
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (capacity / MIN_SHARD).clamp(1, MAX_SHARDS);
        Self {
            half: capacity / shards / 2,
            shards: std::iter::repeat_with(Mutex::default)
                .take(shards)
                .collect(),
        }
    }

    /// The token, if these keys have verified it. Whether its time is over is not looked at.
    pub(super) fn find(&self, text: &str, keys: &Arc<Jwks>) -> Option<Arc<VerifiedToken>> {
        let tail = tail(text)?;
        let mut generations = self.lock(tail);
        let mut dropped = None;
        let found = match generations.young.get(tail) {
            Some(found) => Arc::clone(found),
            None => {
                let found = generations.old.remove(tail)?;
                dropped = self.push(&mut generations, *tail, Arc::clone(&found));
                found
            }
        };
        drop(generations);
        drop(dropped);
        (*found.text == *text && Arc::ptr_eq(&found.keys, keys)).then_some(found)
    }

    pub(super) fn insert(&self, token: Arc<VerifiedToken>) {
        if token.text.len() > MAX_TOKEN {
            return;
        }
        if let Some(&tail) = tail(&token.text) {
            let dropped = self.push(&mut self.lock(&tail), tail, token);
            drop(dropped);
        }
    }

    /// Adds a token, and gives the generation that makes way, to be dropped without the lock.
    fn push(
        &self,
        generations: &mut Generations,
        tail: Tail,
        token: Arc<VerifiedToken>,
    ) -> Option<Generation> {
        if self.half == 0 {
            return None;
        }
        let is_full = generations.young.len() >= self.half;
        let dropped = is_full.then(|| {
            let young = std::mem::take(&mut generations.young);
            std::mem::replace(&mut generations.old, young)
        });
        generations.young.insert(tail, token);
        dropped
    }

    /// The shard of the tokens with this tail, whose first letter is as good as random.
    fn lock(&self, tail: &Tail) -> MutexGuard<'_, Generations> {
        let shard = usize::from(tail[0]) % self.shards.len();
        let generations = self.shards[shard].lock();
        generations.unwrap_or_else(PoisonError::into_inner)
    }
}

fn tail(text: &str) -> Option<&Tail> {
    text.as_bytes().last_chunk()
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::Value;

    use super::*;

    fn keys() -> Arc<Jwks> {
        let json = r#"{"keys": [{"kty": "oct", "k": "AA"}]}"#;
        Arc::new(Jwks::parse(json).unwrap())
    }

    fn token(text: &str, keys: &Arc<Jwks>) -> Arc<VerifiedToken> {
        Arc::new(VerifiedToken {
            text: text.into(),
            keys: Arc::clone(keys),
            times: Times::default(),
            principal: RequestPrincipal {
                principal: "i/s".into(),
                claims: Arc::new(Value::Null),
            },
            outputs: Box::default(),
        })
    }

    fn text(number: usize) -> String {
        format!("header.payload.signature-{number:08}")
    }

    #[test]
    fn a_token_is_found_by_its_whole_text_and_its_keys() {
        let (cache, ours, others) = (TokenCache::new(8), keys(), keys());
        cache.insert(token(&text(1), &ours));
        assert!(cache.find(&text(1), &ours).is_some());
        assert!(
            cache.find(&text(1), &others).is_none(),
            "the keys were replaced"
        );
        assert!(cache.find(&text(2), &ours).is_none());
        let forged = text(1).replace("payload", "PAYLOAD");
        assert!(cache.find(&forged, &ours).is_none(), "the same signature");
        assert!(cache.find("short", &ours).is_none());
    }

    #[test]
    fn it_stays_small_and_keeps_what_is_used() {
        let (cache, ours) = (TokenCache::new(8), keys());
        cache.insert(token(&text(0), &ours));
        for number in 1..1000 {
            cache.insert(token(&text(number), &ours));
            assert!(cache.find(&text(0), &ours).is_some(), "{number}");
            let generations = cache.lock(tail(&text(0)).unwrap());
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        assert!(cache.find(&text(1), &ours).is_none());
        let none = TokenCache::new(1);
        none.insert(token(&text(0), &ours));
        assert!(none.find(&text(0), &ours).is_none());
    }
    #[test]
    fn a_large_one_is_in_shards_and_no_larger_than_it_may_be() {
        let (cache, ours) = (TokenCache::new(1024), keys());
        assert_eq!(cache.shards.len(), MAX_SHARDS);
        let letters = ["A", "B", "C", "a", "b", "c", "0", "-"];
        let text = |number: usize| {
            let letter = letters[number % letters.len()];
            format!("header.payload.{letter}{number:015}")
        };
        for number in 0..10_000 {
            cache.insert(token(&text(number), &ours));
            assert!(cache.find(&text(number), &ours).is_some(), "{number}");
        }
        let lengths = cache.shards.iter().map(|shard| {
            let generations = shard.lock().unwrap();
            generations.young.len() + generations.old.len()
        });
        assert!(lengths.sum::<usize>() <= 1024);
    }
}
