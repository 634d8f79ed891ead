//! All rules of a workload, compiled.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request};
use mesh_core::model::Notice;
use mesh_core::origin::{FieldPath, Origin};
use mesh_core::resource::Resource;
use mesh_core::resource::istio::RequestAuthentication;
use rustls_pki_types::UnixTime;

use super::algorithm::Algorithms;
use super::error::TokenError;
use super::keys::{KeyLocation, KeyStore, Keys, RemoteKeys};
use super::provider::Provider;

/// How many verified tokens each rule remembers.
const CACHED_TOKENS: usize = 1024;

/// Verifies the tokens of requests by the RequestAuthentications of a workload.
///
/// See the [module docs](super) for an example.
#[derive(Debug)]
pub struct Authenticator {
    /// By issuer, which is the order in which they are tried, each with the place of its rule.
    providers: Vec<(Provider, Origin)>,
    algorithms: Algorithms,
    notices: Vec<Notice>,
}

impl Authenticator {
    /// Compiles the policies that are attached to a workload:
    /// `model.policies.request_authentication`.
    ///
    /// Keys that have to be fetched are those of `keys`; see [`remote_keys`](Self::remote_keys). A
    /// rule whose keys are invalid accepts no token, one with an invalid place finds none there; both
    /// still require tokens where they say so, guard the headers that they write, and are told in
    /// [`notices`](Self::notices).
    pub fn compile(
        policies: &[Arc<Resource<RequestAuthentication>>],
        keys: &KeyStore,
        algorithms: Algorithms,
    ) -> Self {
        let mut authenticator = Self {
            providers: Vec::new(),
            algorithms,
            notices: Vec::new(),
        };
        for policy in policies {
            authenticator.add(policy, keys);
        }
        authenticator
            .providers
            .sort_by(|(a, _), (b, _)| a.issuer.cmp(&b.issuer));
        authenticator
    }

    fn add(&mut self, policy: &Resource<RequestAuthentication>, keys: &KeyStore) {
        let root = FieldPath::root();
        let spec = root.field("spec");
        let list = spec.field("jwtRules");
        for (index, rule) in policy.spec.jwt_rules.iter().enumerate() {
            let mut faults = Vec::new();
            let provider = Provider::new(rule, keys, CACHED_TOKENS, &mut faults);
            let origin = policy.origin().at(&list.index(index), &policy.source);
            self.notices.extend(faults.into_iter().map(|fault| Notice {
                origin: origin.clone(),
                message: fault.to_string(),
            }));
            self.providers.push((provider, origin));
        }
    }

    /// What of the policies is enforced in another way than it is written.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The keys that have to be fetched.
    ///
    /// Spawn [`keep_fresh`](RemoteKeys::keep_fresh) of each; until they have arrived, tokens of
    /// their issuers are not accepted.
    pub fn remote_keys(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.rules_of_remote_keys().map(|(keys, _)| keys)
    }

    fn rules_of_remote_keys(&self) -> impl Iterator<Item = (&Arc<RemoteKeys>, &Origin)> {
        let providers = self.providers.iter();
        providers.filter_map(|(provider, origin)| match &provider.keys {
            Keys::Inline(_) => None,
            Keys::Remote(keys) => Some((keys, origin)),
        })
    }

    /// Tells of each rule whose keys nobody has fetched yet.
    pub fn unfetched(&self) -> impl Iterator<Item = Notice> {
        let rules = self.rules_of_remote_keys();
        let unfetched = rules.filter(|(keys, _)| keys.load().is_none());
        unfetched.map(|(keys, origin)| {
            let (KeyLocation::Discovery(place) | KeyLocation::Uri(place)) = keys.location();
            Notice {
                origin: origin.clone(),
                message: format!(
                    "the keys of `{place}` have not been fetched; until they are, no token of the \
                     rule is accepted"
                ),
            }
        })
    }

    /// Verifies the tokens of a request.
    ///
    /// The rules are tried in the order of their issuers, and the first that accepts is enough:
    /// what it says is done to the request, which gets a
    /// [`RequestPrincipal`](mesh_core::attributes::RequestPrincipal). A rule accepts if there are
    /// tokens at its places and all of them are valid. A request that has no token at any place of
    /// any rule passes as it is, unless a rule requires one; so does a CORS preflight.
    ///
    /// Headers that rules write are removed first, so that no client can write them.
    ///
    /// # Errors
    ///
    /// What is wrong with the token of the first rule that found one. If that is for another issuer: of the
    /// last rule that is for this one, or that none is. As Envoy has it, for whom a token is refused first by
    /// one rule after the other, and then by all.
    pub fn verify<B>(&self, request: &mut Request<B>, now: UnixTime) -> Result<(), TokenError> {
        let providers = || self.providers.iter().map(|(provider, _)| provider);
        for name in providers().flat_map(Provider::outputs) {
            request.headers_mut().remove(name);
        }
        if is_preflight(request) {
            return Ok(());
        }
        let mut failures = None;
        for provider in providers() {
            match self.verify_by(provider, request, now) {
                Ok(()) => return Ok(()),
                Err(TokenError::Missed) if !provider.is_required => {}
                Err(error) => failures = Some(Failures::and(failures, error)),
            }
        }
        failures.map_or(Ok(()), |failures| Err(failures.told()))
    }

    fn verify_by<B>(
        &self,
        provider: &Provider,
        request: &mut Request<B>,
        now: UnixTime,
    ) -> Result<(), TokenError> {
        let found = provider.locations.find(request);
        if found.is_empty() {
            return Err(TokenError::Missed);
        }
        // Envoy begins with the last one.
        let verified = found.into_iter().rev().map(|found| {
            let verified = provider.verify(&found.text, now, self.algorithms)?;
            Ok((found.place, verified))
        });
        for (place, verified) in verified.collect::<Result<Vec<_>, _>>()? {
            provider.accept(&place, &verified, request);
        }
        Ok(())
    }
}

/// Why rules do not accept a request.
#[derive(Clone, Copy)]
struct Failures {
    first: TokenError,
    /// Of rules that are for the issuer.
    last: Option<TokenError>,
}

impl Failures {
    fn and(earlier: Option<Self>, error: TokenError) -> Self {
        let is_for_issuer = !matches!(error, TokenError::Missed | TokenError::UnknownIssuer);
        let last = earlier.and_then(|earlier| earlier.last);
        Self {
            first: earlier.map_or(error, |earlier| earlier.first),
            last: Some(error).filter(|_| is_for_issuer).or(last),
        }
    }

    fn told(self) -> TokenError {
        match self.first {
            TokenError::UnknownIssuer => self.last.unwrap_or(self.first),
            first => first,
        }
    }
}

/// Whether a browser asks if it may send a request; it sends no token then.
fn is_preflight<B>(request: &Request<B>) -> bool {
    let has = |name| {
        request
            .headers()
            .get(name)
            .is_some_and(|value| !value.is_empty())
    };
    *request.method() == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}
