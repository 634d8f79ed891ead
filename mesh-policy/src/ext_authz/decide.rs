//! One question to an authorizer, from the body that it wants to the changes that it makes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Version};
use http_body::Body;
use mesh_core::attributes::TargetScheme;
use tokio::time::timeout;

use super::body::{PrefixedBody, Read, Reading};
use super::changes::{self, HeaderChange, is_protected};
use super::check::{Answer, AuthorizeError, Changes, Check, CheckBody};
use super::denied::ExtAuthzDenied;
use super::query;
use super::settings::Provider;
use crate::authz::RuleName;

/// Whom is asked, and because of which rule.
pub(super) struct Question {
    provider: Provider,
    rule: Arc<RuleName>,
    time: SystemTime,
}

impl Question {
    pub(super) fn new(provider: Provider, rule: Arc<RuleName>, time: SystemTime) -> Self {
        Self {
            provider,
            rule,
            time,
        }
    }
}

/// A request that an authorizer is asked about.
pub(super) struct Asking<B: Body> {
    question: Question,
    head: Parts,
    body: Reading<B>,
    // `None` until as much of the body is there as is wanted.
    checking: Option<Checking>,
}

/// The answer of an authorizer, which is awaited. Boxed, for it comes from elsewhere.
type Checking = Pin<Box<dyn Future<Output = Result<Answer, AuthorizeError>> + Send>>;

/// What is to be done with a request.
pub(super) type Decision = Result<Box<Changes>, ExtAuthzDenied>;

/// A request that passes.
pub(super) struct Passed<B: Body> {
    pub(super) request: Request<PrefixedBody<B>>,
    /// What is written into the headers of its response.
    pub(super) response: Vec<HeaderChange>,
}

impl<B> Asking<B>
where
    B: Body<Data = Bytes>,
{
    pub(super) fn new(question: Question, request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        let settings = question.provider.settings.body;
        let settings = settings.filter(|_| !body.is_end_stream() && !opens_tunnel(&head));
        Self {
            body: Reading::new(body, settings),
            question,
            head,
            checking: None,
        }
    }

    /// Reads what is wanted of the body, and asks.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decision>
    where
        B: Unpin,
    {
        let settings = self.question.provider.settings;
        let failed = |error: AuthorizeError| {
            let denial = error.into_denial(settings.status_on_error);
            Err(ExtAuthzDenied::ProviderFailed(Box::new(denial)))
        };
        let checking = match &mut self.checking {
            Some(checking) => checking,
            None => {
                let read = match ready!(self.body.poll(cx)) {
                    Ok(Read::Enough(read)) => read,
                    Ok(Read::TooLong) => return Poll::Ready(Err(ExtAuthzDenied::BodyTooLarge)),
                    // The client went away, so that nobody waits for the answer.
                    Err(_) => return Poll::Ready(failed(AuthorizeError::Timeout)),
                };
                self.checking.insert(self.question.check(&self.head, read))
            }
        };
        Poll::Ready(match ready!(checking.as_mut().poll(cx)) {
            Ok(Answer::Allow(changes)) => {
                let Changes {
                    set_query,
                    remove_query,
                    ..
                } = &*changes;
                match query::changed(&self.head.uri, set_query, remove_query) {
                    Some(uri) => {
                        self.head.uri = uri;
                        Ok(changes)
                    }
                    None => failed(AuthorizeError::Query),
                }
            }
            Ok(Answer::Deny(denial)) => Err(ExtAuthzDenied::Provider(denial)),
            Err(_) if settings.fail_open => Ok(Box::default()),
            Err(error) => failed(error),
        })
    }

    /// The request, changed.
    pub(super) fn pass(self, changes: Changes) -> Passed<B> {
        let mut head = self.head;
        let response = apply(changes, &mut head.headers);
        Passed {
            request: Request::from_parts(head, self.body.into_body()),
            response,
        }
    }
}

impl Question {
    fn check(&self, head: &Parts, body: Option<CheckBody>) -> Checking {
        let scheme = TargetScheme::of(&head.uri, &head.extensions);
        let check = Check {
            method: head.method.clone(),
            uri: head.uri.clone(),
            scheme: Scheme::try_from(scheme).unwrap_or(Scheme::HTTP),
            version: head.version,
            headers: head.headers.clone(),
            body,
            connection: head.extensions.get().cloned(),
            peer: head.extensions.get().cloned(),
            rule: Arc::clone(&self.rule),
            time: self.time,
        };
        let Provider {
            authorizer,
            settings,
        } = self.provider.clone();
        Box::pin(async move {
            let asked = timeout(settings.timeout, authorizer.check(check)).await;
            asked.unwrap_or(Err(AuthorizeError::Timeout))
        })
    }
}

/// Whether what follows a head is a connection and no body: its client waits for the answer before it
/// sends anything. By HTTP/1.1, what opens a WebSocket has an end, or a body that has one.
fn opens_tunnel(head: &Parts) -> bool {
    let has = |name, token| {
        let lines = head.headers.get_all(name).iter();
        let mut tokens = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        tokens.any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
    };
    let is_websocket = || has(CONNECTION, b"upgrade") && has(UPGRADE, b"websocket");
    head.method == Method::CONNECT || (head.version >= Version::HTTP_2 && is_websocket())
}

/// Changes the headers of a request as Envoy does, and gives the changes of its response.
fn apply(changes: Changes, headers: &mut HeaderMap) -> Vec<HeaderChange> {
    let Changes {
        request,
        extend,
        remove,
        set_query: _,
        remove_query: _,
        response,
    } = changes;
    for change in request {
        change.apply(headers);
    }
    for (name, value) in extend {
        changes::extend(&name, &value, headers);
    }
    for name in remove.iter().filter(|name| !is_protected(name)) {
        headers.remove(name);
    }
    response
}
