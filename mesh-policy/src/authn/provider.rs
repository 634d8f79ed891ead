//! What a rule of a RequestAuthentication asks, compiled.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request};
use mesh_core::attributes::RequestPrincipal;
use mesh_core::resource::Value;
use mesh_core::resource::istio::request_authentication::{JwtRule, TokenPresence};
use rustls_pki_types::UnixTime;

use super::algorithm::Algorithms;
use super::cache::{TokenCache, VerifiedToken};
use super::claims;
use super::error::TokenError;
use super::jwks::Jwks;
use super::keys::{KeyLocation, KeyStore, Keys};
use super::location::{Locations, Place};
use super::token::Token;

/// How long keys may take to arrive unless the rule says otherwise.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Claims that always hold a list with spaces between.
const LISTS: [&str; 2] = ["permission", "scope"];

/// The tokens of one issuer.
#[derive(Debug)]
pub(super) struct Provider {
    /// Empty: any issuer.
    pub(super) issuer: String,
    audiences: Vec<String>,
    pub(super) keys: Keys,
    pub(super) locations: Locations,
    pub(super) is_required: bool,
    forward: bool,
    payload_header: Option<HeaderName>,
    claim_headers: Vec<(HeaderName, String)>,
    lists: Vec<String>,
    cache: TokenCache,
}

/// What of a rule has to be there, and is not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum InvalidRule {
    #[error("a header has no valid name")]
    Header,
    #[error("`{0}` of `fromHeaders` is not a header name; no token is looked for there")]
    Location(Box<str>),
    #[error("the key set is not valid: {0}; no token of the rule is accepted")]
    Jwks(super::error::JwksError),
    #[error("the rule has neither issuer nor keys; no token of the rule is accepted")]
    NoKeys,
}

impl Provider {
    /// Compiles a rule. What is invalid is pushed to `faults`; tokens are not accepted by it then,
    /// while what the rule requires of requests, and which headers it alone writes, holds all the
    /// same.
    pub(super) fn new(
        rule: &JwtRule,
        store: &KeyStore,
        cache: usize,
        faults: &mut Vec<InvalidRule>,
    ) -> Self {
        let JwtRule {
            issuer,
            audiences,
            jwks_uri: _,
            jwks: _,
            from_headers: _,
            from_params: _,
            from_cookies: _,
            output_payload_to_header,
            forward_original_token,
            output_claim_to_headers,
            timeout: _,
            space_delimited_claims,
            presence,
        } = rule;
        let locations = Locations::of(rule, |name| {
            faults.push(InvalidRule::Location(name.into()));
        });
        let mut header = |name: &str| {
            let name = HeaderName::try_from(name);
            name.map_err(|_| faults.push(InvalidRule::Header)).ok()
        };
        let payload_header = match output_payload_to_header.as_str() {
            "" => None,
            name => header(name),
        };
        let claim_headers = output_claim_to_headers.iter();
        let claim_headers = claim_headers
            .filter_map(|output| Some((header(&output.header)?, output.claim.clone())))
            .collect();
        let lists = LISTS.map(str::to_owned).into_iter();
        Self {
            issuer: issuer.clone().unwrap_or_default(),
            audiences: audiences.clone(),
            keys: keys(rule, store, faults),
            locations,
            is_required: *presence == TokenPresence::Required,
            forward: *forward_original_token,
            payload_header,
            claim_headers,
            lists: lists
                .chain(space_delimited_claims.iter().cloned())
                .collect(),
            cache: TokenCache::new(cache),
        }
    }

    /// The headers that only this layer may write.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &HeaderName> {
        let claims = self.claim_headers.iter().map(|(name, _)| name);
        self.payload_header.iter().chain(claims)
    }

    /// Verifies a token: issuer, time, audience and signature, in Envoy's order.
    pub(super) fn verify(
        &self,
        text: &str,
        now: UnixTime,
        algorithms: Algorithms,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        let keys = self.current_keys();
        if let Ok(keys) = &keys
            && let Some(verified) = self.cache.find(text, keys)
        {
            verified.times.verify(now)?;
            return Ok(verified);
        }
        let token = Token::parse(text)?;
        if !self.issuer.is_empty() && self.issuer != token.issuer() {
            return Err(TokenError::UnknownIssuer);
        }
        token.verify_time(now)?;
        if !self.is_audience(&token) {
            return Err(TokenError::AudienceNotAllowed);
        }
        let keys = keys?;
        token.verify_signature(&keys, algorithms)?;
        let verified = Arc::new(VerifiedToken {
            text: text.into(),
            times: token.times(),
            outputs: self.outputs_of(&token),
            principal: self.principal(token),
            keys,
        });
        self.cache.insert(Arc::clone(&verified));
        Ok(verified)
    }

    /// Envoy compares audiences without scheme and trailing slash.
    fn is_audience(&self, token: &Token<'_>) -> bool {
        self.audiences.is_empty()
            || token.audiences().any(|audience| {
                let audience = plain_audience(audience);
                self.audiences
                    .iter()
                    .any(|allowed| plain_audience(allowed) == audience)
            })
    }

    fn current_keys(&self) -> Result<Arc<Jwks>, TokenError> {
        match &self.keys {
            Keys::Inline(keys) => keys.clone().ok_or(TokenError::NoValidKeys),
            Keys::Remote(keys) => keys.load().ok_or(TokenError::KeysNotFetched),
        }
    }

    fn principal(&self, token: Token<'_>) -> RequestPrincipal {
        let (issuer, subject) = (token.issuer(), token.subject());
        let principal = if issuer.is_empty() || subject.is_empty() {
            "".into()
        } else {
            format!("{issuer}/{subject}").into()
        };
        let mut claims = token.into_claims();
        claims::split_lists(&mut claims, &self.lists);
        RequestPrincipal {
            principal,
            claims: Arc::new(Value::Map(claims)),
        }
    }

    /// The headers that pass payload and claims on.
    fn outputs_of(&self, token: &Token<'_>) -> Box<[(HeaderName, HeaderValue)]> {
        let payload = self.payload_header.as_ref();
        let payload = payload.map(|name| (name, token.payload().to_owned()));
        let claims = self.claim_headers.iter();
        let claims = claims.filter_map(|(name, path)| {
            let text = claims::header_text(token.claims(), path)?;
            Some((name, text))
        });
        let texts = payload.into_iter().chain(claims);
        // A claim that no header may hold is not passed on.
        let outputs = texts
            .filter_map(|(name, text)| Some((name.clone(), HeaderValue::try_from(text).ok()?)));
        outputs.collect()
    }

    /// Does to the request what the rule says when a token is verified.
    pub(super) fn accept<B>(
        &self,
        place: &Place,
        verified: &VerifiedToken,
        request: &mut Request<B>,
    ) {
        for (name, value) in &verified.outputs {
            request.headers_mut().append(name, value.clone());
        }
        if !self.forward {
            place.remove(request);
        }
        request.extensions_mut().insert(verified.principal.clone());
    }
}

fn keys(rule: &JwtRule, store: &KeyStore, faults: &mut Vec<InvalidRule>) -> Keys {
    let none = Keys::Inline(None);
    if let Some(jwks) = rule.jwks.as_deref().filter(|jwks| !jwks.is_empty()) {
        return match Jwks::parse(jwks) {
            Ok(jwks) => Keys::Inline(Some(Arc::new(jwks))),
            Err(error) => {
                faults.push(InvalidRule::Jwks(error));
                none
            }
        };
    }
    let uri = rule.jwks_uri.as_deref().filter(|uri| !uri.is_empty());
    let issuer = rule.issuer.as_deref().filter(|issuer| !issuer.is_empty());
    let location = match (uri, issuer) {
        (Some(uri), _) => KeyLocation::Uri(uri.to_owned()),
        (None, Some(issuer)) => KeyLocation::Discovery(issuer.to_owned()),
        (None, None) => {
            faults.push(InvalidRule::NoKeys);
            return none;
        }
    };
    let timeout = rule
        .timeout
        .and_then(|timeout| timeout.as_std())
        .unwrap_or(FETCH_TIMEOUT);
    Keys::Remote(store.keys(location, timeout))
}

fn plain_audience(audience: &str) -> &str {
    let schemes = ["https://", "http://"];
    let without = schemes
        .iter()
        .find_map(|scheme| audience.strip_prefix(scheme));
    let audience = without.unwrap_or(audience);
    audience.strip_suffix('/').unwrap_or(audience)
}
