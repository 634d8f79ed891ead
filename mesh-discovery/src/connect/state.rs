//! What is known of an endpoint and of the connections to it.

use std::sync::{Arc, Weak};

use mesh_core::model::cluster::Endpoint;

use super::attempt::Attempts;
use super::backoff::Failures;
use super::connection::{Connection, Sender};
use super::host::Compiled;
use super::transport::{Current, Generation, Transport};
use crate::service::Target;

/// What the requests to an endpoint share.
pub(super) struct State<B> {
    /// That of the request before, if it is known when it has gone.
    endpoint: Option<Weak<Endpoint>>,
    pub(super) current: Current,
    /// HTTP/1.1 connections without a request, the one used last at the end; all HTTP/2 connections
    /// that take requests.
    pub(super) available: Vec<Connection<B>>,
    /// Connections that are there or being made.
    pub(super) open: usize,
    pub(super) attempts: Attempts<B>,
    pub(super) failures: Failures,
}

impl<B> State<B> {
    pub(super) fn new() -> Self {
        Self {
            endpoint: None,
            current: Current::new(),
            available: Vec::new(),
            open: 0,
            attempts: Attempts::new(),
            failures: Failures::default(),
        }
    }

    /// Requests go by `transport` from now on: connections by another take none any more, and what was
    /// not reached by it may be reached now.
    fn enter(&mut self, transport: &Arc<Transport>) {
        if self.current.changes_to(transport) {
            self.available.clear();
            self.failures.end();
        }
    }

    /// Is seen by who goes by `target` now: connections that take no further requests are gone.
    pub(super) fn enter_for(&mut self, target: &Target, compiled: &Compiled) {
        self.enter(&compiled.transport);
        self.follow(target, compiled.is_listed);
        let is_usable =
            |connection: &Connection<B>| !connection.is_closed() && !connection.usage.is_retired();
        self.available.retain(is_usable);
    }

    /// Notes who has to be there for connections to be kept: of endpoints that are not listed, each
    /// request has another.
    fn follow(&mut self, target: &Target, is_listed: bool) {
        let known = self.endpoint.as_ref().map(Weak::as_ptr);
        if known != Some(Arc::as_ptr(&target.endpoint)) {
            self.endpoint = is_listed.then(|| Arc::downgrade(&target.endpoint));
        }
    }

    /// Whether what is of `generation` is of use.
    pub(super) fn is_current(&self, generation: Generation) -> bool {
        self.current.generation() == generation
    }

    /// Whether nobody has the endpoint any more that requests went to.
    pub(super) fn has_endpoint_gone(&self) -> bool {
        let endpoint = self.endpoint.as_ref();
        endpoint.is_some_and(|endpoint| endpoint.strong_count() == 0)
    }
}

impl<B> Connection<B> {
    /// The same connection for another request, if it takes several at a time.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                usage: Arc::clone(&self.usage),
            }),
        }
    }
}
