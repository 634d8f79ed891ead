//! One question to an authorizer, from the body that it wants to the changes that it makes.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body::Body;
use tokio::time::timeout;

use super::body::{self, ReplayBody};
use super::check::{Answer, AuthorizeError, Changes, Check, CheckBody};
use super::layer::ExtAuthzDenied;
use super::settings::Provider;
use crate::authz::RuleName;

/// Whom is asked, and because of which rule.
pub(super) struct Question {
    provider: Provider,
    rule: Arc<RuleName>,
}

/// A request that passes.
pub(super) struct Passed<B: Body> {
    pub(super) request: Request<ReplayBody<B>>,
    /// Headers that its response gets.
    pub(super) response: HeaderMap,
}

pub(super) type Decided<B> = Result<Passed<B>, ExtAuthzDenied>;

impl Question {
    pub(super) fn new(provider: Provider, rule: Arc<RuleName>) -> Self {
        Self { provider, rule }
    }

    /// Reads what is wanted of the body, asks, and changes the request.
    pub(super) async fn decide<B>(self, request: Request<B>) -> Decided<B>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut head, body) = request.into_parts();
        let settings = self.provider.settings;
        let (body, read) = match settings.body {
            None => (ReplayBody::new(body), None),
            Some(wanted) => match body::read(body, wanted).await {
                Ok((body, Some(read))) => (body, Some(read)),
                Ok((_, None)) => return Err(ExtAuthzDenied::BodyTooLarge),
                // The client went away, so that nobody waits for the answer.
                Err(_) => return Err(ExtAuthzDenied::ProviderFailed(settings.status_on_error)),
            },
        };
        let check = self.check(&head, read);
        let asked = timeout(settings.timeout, self.provider.authorizer.check(check)).await;
        let response = match asked.unwrap_or(Err(AuthorizeError::Timeout)) {
            Ok(Answer::Allow(changes)) => apply(*changes, &mut head.headers),
            Ok(Answer::Deny(denial)) => return Err(ExtAuthzDenied::Provider(denial)),
            Err(_) if settings.fail_open => HeaderMap::new(),
            Err(_) => return Err(ExtAuthzDenied::ProviderFailed(settings.status_on_error)),
        };
        Ok(Passed {
            request: Request::from_parts(head, body),
            response,
        })
    }

    fn check(&self, head: &Parts, body: Option<CheckBody>) -> Check {
        Check {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body,
            connection: head.extensions.get().cloned(),
            peer: head.extensions.get().cloned(),
            rule: Arc::clone(&self.rule),
        }
    }
}

/// Changes the headers of a request, and gives those of its response.
fn apply(changes: Changes, headers: &mut HeaderMap) -> HeaderMap {
    let Changes {
        remove,
        set,
        append,
        response,
    } = changes;
    for name in remove.iter().chain(set.keys()) {
        headers.remove(name);
    }
    for (name, value) in set.iter().chain(&append) {
        headers.append(name, value.clone());
    }
    response
}
