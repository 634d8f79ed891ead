use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Response, request};
use mesh_core::attributes::{MatchedRoute, Progress, ResponseFlags};
use mesh_core::format_string::Exchange;
use tokio::time::Instant;

use super::span::{Span, SpanSink};
use super::tag::Tag;
use crate::telemetry::heads;

/// A span that has not ended.
pub(super) struct Open {
    sink: Arc<dyn SpanSink>,
    start: Instant,
    span: Span,
    progress: Progress,
    late: Option<Late>,
}

/// The tags of a span, and the head of the request that they are read from.
pub(super) struct Late {
    tags: Arc<[(Arc<str>, Tag)]>,
    request: request::Parts,
}

impl Late {
    /// What `tags` are read from when the response is there; `None` if all are known before.
    pub(super) fn of(tags: &Arc<[(Arc<str>, Tag)]>, request: &request::Parts) -> Option<Self> {
        let is_late = tags.iter().any(|(_, tag)| tag.is_late());
        is_late.then(|| Self {
            tags: Arc::clone(tags),
            request: request.clone(),
        })
    }

    fn tags<B>(mut self, start: SystemTime, response: &Response<B>) -> Tags {
        if let Some(matched) = response.extensions().get::<MatchedRoute>() {
            self.request.extensions.insert(matched.clone());
        }
        let response = heads::of_response(response);
        let exchange = Exchange::of_request(&self.request, start).with_response(&response);
        let tags = self.tags.iter();
        let tags = tags
            .filter_map(|(name, tag)| Some((Arc::clone(name), tag.of(&self.request, &exchange)?)));
        tags.collect()
    }
}

type Tags = Vec<(Arc<str>, Arc<str>)>;

impl Open {
    /// A span that begins now, and is handed to `sink` when it ends.
    pub(super) fn new(
        sink: Arc<dyn SpanSink>,
        span: Span,
        (progress, late): (Progress, Option<Late>),
    ) -> Self {
        Self {
            sink,
            start: Instant::now(),
            span,
            progress,
            late,
        }
    }

    /// Takes what the head of the response says.
    pub(super) fn answer<B>(&mut self, response: &Response<B>) {
        self.span.code = response.status().as_u16();
        self.span.flags = ResponseFlags::of(response.extensions());
        if let Some(late) = self.late.take() {
            self.span.tags = late.tags(self.span.start, response);
        }
        self.routed_by(response.extensions().get());
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

    pub(super) fn end(mut self) {
        self.span.duration = self.start.elapsed();
        if self.span.cluster.is_none() {
            let progress = self.progress.clone();
            self.routed_by(progress.route());
        }
        self.sink.record(self.span);
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.span.fmt(f)
    }
}
