use std::fmt;
use std::sync::Arc;

use http::{Response, request, response};
use mesh_core::attributes::{MatchedRoute, Progress, ResponseFlags, SelectedEndpoint};
use mesh_core::format_string::{Completion, Exchange as Filled};
use mesh_core::model::cluster::EndpointAddress;
use tokio::time::Instant;

use super::span::{Span, SpanSink};
use super::tag::Tag;
use crate::telemetry::body::{Counts, End, OnEnd};
use crate::telemetry::heads;
use crate::telemetry::observe::Observed;

/// What is known of the span of an exchange that is under way. Most have none.
pub struct Exchange(Option<Box<Open>>);

/// A span that has not ended.
pub(super) struct Open {
    sink: Arc<dyn SpanSink>,
    span: Span,
    progress: Progress,
    late: Option<Late>,
    start: Instant,
    counts: Arc<Counts>,
}

/// The tags of a span that are known at its end, and what they are read from.
pub(super) struct Late {
    tags: Arc<[(Arc<str>, Tag)]>,
    request: request::Parts,
    response: Option<response::Parts>,
}

impl Late {
    /// What `tags` are read from at the end; `None` if all are known before.
    pub(super) fn of(
        tags: &Arc<[(Arc<str>, Tag)]>,
        request: impl FnOnce() -> request::Parts,
    ) -> Option<Self> {
        let is_late = tags.iter().any(|(_, tag)| tag.is_late());
        is_late.then(|| Self {
            tags: Arc::clone(tags),
            request: request(),
            response: None,
        })
    }

    fn answer<B>(&mut self, response: &Response<B>) {
        if let Some(matched) = response.extensions().get::<MatchedRoute>() {
            self.request.extensions.insert(matched.clone());
        }
        self.response = Some(heads::of_response(response));
    }

    fn tags(&mut self, span: &Span, end: End<'_>) -> Tags {
        let completion = Completion {
            bytes_received: span.request_bytes,
            bytes_sent: span.response_bytes,
            duration: span.duration,
            flags: span.flags,
            trailers: end.trailers().cloned(),
            ..Completion::default()
        };
        let mut exchange = Filled::of_request(&self.request, span.start);
        if let Some(response) = &mut self.response {
            if let Some(flag) = end.flag() {
                ResponseFlags::add(&mut response.extensions, flag);
            }
            exchange = exchange.with_response(response);
        }
        let exchange = exchange.with_completion(&completion);
        let tags = self.tags.iter();
        let tags = tags
            .filter_map(|(name, tag)| Some((Arc::clone(name), tag.of(&self.request, &exchange)?)));
        tags.collect()
    }
}

type Tags = Vec<(Arc<str>, Arc<str>)>;

impl Exchange {
    /// One with a span, or without.
    pub(super) fn new(span: Option<Open>) -> Self {
        Self(span.map(Box::new))
    }
}

impl Observed for Exchange {
    fn counts(&self) -> Option<&Arc<Counts>> {
        self.0.as_ref().map(|open| &open.counts)
    }

    fn has_messages(&self) -> bool {
        false
    }

    fn answer<B>(&mut self, response: &Response<B>) {
        if let Some(open) = &mut self.0 {
            open.answer(response);
        }
    }
}

impl OnEnd for Exchange {
    fn end(self, end: End<'_>) {
        if let Some(open) = self.0 {
            open.end(end);
        }
    }
}

impl Open {
    /// A span that begins now, and is handed to `sink` when it ends.
    pub(super) fn new(
        sink: Arc<dyn SpanSink>,
        span: Span,
        (progress, late): (Progress, Option<Late>),
    ) -> Self {
        Self {
            sink,
            span,
            progress,
            late,
            start: Instant::now(),
            counts: Arc::default(),
        }
    }

    fn answer<B>(&mut self, response: &Response<B>) {
        let extensions = response.extensions();
        self.span.code = response.status().as_u16();
        self.span.flags = ResponseFlags::of(extensions);
        self.span.grpc.answer(response.headers());
        if let Some(late) = &mut self.late {
            late.answer(response);
        }
        self.routed_by(extensions.get());
        self.sent_to(extensions.get());
    }

    /// Takes the route of the request, which routing below found.
    fn routed_by(&mut self, matched: Option<&MatchedRoute>) {
        let Some(cluster) = matched.and_then(MatchedRoute::cluster) else {
            return;
        };
        if let (Some(host), Some(port)) = (cluster.host(), cluster.port()) {
            self.span.operation = format!("{host}:{port}/*");
        }
        self.span.cluster = Some(cluster.clone());
    }

    /// Takes the endpoint, which balancing below picked.
    fn sent_to(&mut self, endpoint: Option<&SelectedEndpoint>) {
        if let Some(SelectedEndpoint(endpoint)) = endpoint
            && let EndpointAddress::Ip(address) = endpoint.address
        {
            self.span.upstream = Some(address);
        }
    }

    fn end(mut self, end: End<'_>) {
        self.span.duration = self.start.elapsed();
        self.span.request_bytes = self.counts.received.bytes();
        self.span.response_bytes = self.counts.sent.bytes();
        if let Some(flag) = end.flag() {
            self.span.flags = self.span.flags.with(flag);
        }
        if let Some(trailers) = end.trailers() {
            self.span.grpc.answer(trailers);
        }
        let progress = self.progress.clone();
        if self.span.cluster.is_none() {
            self.routed_by(progress.route());
        }
        if self.span.upstream.is_none() {
            self.sent_to(progress.endpoint());
        }
        if let Some(mut late) = self.late.take() {
            self.span.tags = late.tags(&self.span, end);
        }
        self.sink.record(self.span);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.0.as_ref().map(|open| &open.span);
        f.debug_tuple("Exchange").field(&span).finish()
    }
}
