//! What layers are asked, and what they are seen to do.

use std::fmt;

use axum::body::Body;
use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode, request, response};
use http_body_util::BodyExt;
use mesh_core::reply::{self, Caller};
use tokio::sync::mpsc::UnboundedReceiver;

use super::app::Answer;
use super::witness::Witness;
use crate::strict::OwnBody;

/// What a layer is asked, and what it is to do about it.
pub(super) struct Deed {
    /// Its extensions are what the connection, and layers above, say of it.
    pub(super) request: request::Parts,
    pub(super) has_body: bool,
    pub(super) answer: Answer,
    /// How often it is asked the same.
    pub(super) times: usize,
    is_done: Box<dyn FnOnce(&Seen) -> bool>,
    record: Option<(UnboundedReceiver<String>, &'static str)>,
}

impl Deed {
    /// Something that `is_done` about `request`.
    pub(super) fn seen(
        request: Request<OwnBody>,
        is_done: impl FnOnce(&Seen) -> bool + 'static,
    ) -> Self {
        Self {
            request: request.into_parts().0,
            has_body: true,
            answer: Answer::AtOnce,
            times: 1,
            is_done: Box::new(is_done),
            record: None,
        }
    }

    /// `request` is answered with `status`, and nothing below gets it.
    pub(super) fn refuses(request: Request<OwnBody>, status: u16) -> Self {
        Self::seen(request, move |seen| {
            seen.has_status(status) && seen.passed.is_empty()
        })
    }

    /// `request` is given up, and answered with `status`.
    pub(super) fn gives_up(request: Request<OwnBody>, status: u16) -> Self {
        let deed = Self::seen(request, move |seen| seen.has_status(status));
        deed.below(Answer::Never)
    }

    /// A record that has `text` is made of `request`, which is served.
    pub(super) fn records(
        request: Request<OwnBody>,
        records: UnboundedReceiver<String>,
        text: &'static str,
    ) -> Self {
        let deed = Self::seen(request, |seen| seen.has_status(200));
        let record = Some((records, text));
        Self { record, ..deed }
    }

    /// The service below passes the request on with a header like this.
    pub(super) fn passes(
        request: Request<OwnBody>,
        name: &'static str,
        value: &'static str,
    ) -> Self {
        Self::seen(request, move |seen| {
            let field = seen.passed[0].headers.get(name);
            field.is_some_and(|field| field == value)
        })
    }

    /// The application answers like this.
    pub(super) fn below(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    pub(super) fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Without a body, and so never by gRPC.
    pub(super) fn without_body(self) -> Self {
        let has_body = false;
        Self { has_body, ..self }
    }

    /// Holds what was seen to this.
    pub(super) async fn assert_seen(self, seen: Seen) {
        assert!((self.is_done)(&seen), "{seen:?}");
        if let Some((mut records, text)) = self.record {
            let record = records.recv().await.unwrap();
            assert!(record.contains(text), "{record}");
        }
    }
}

/// What was seen of a request.
pub(super) struct Seen {
    /// The response, as the client got it.
    head: response::Parts,
    /// `None` if it broke off.
    pub(super) body: Option<Bytes>,
    /// What the layer said of the response to those above it.
    pub(super) told: Extensions,
    /// The heads that the layer let pass.
    pub(super) passed: Vec<request::Parts>,
}

impl Seen {
    pub(super) async fn of(response: Response<Body>, witness: &Witness) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok();
        Self {
            head,
            body: body.map(|body| body.to_bytes()),
            told: witness.told(),
            passed: witness.passed(),
        }
    }

    /// Whether the client got `status`, or what stands for it in gRPC.
    pub(super) fn has_status(&self, status: u16) -> bool {
        let headers = &self.head.headers;
        match (Caller::of(headers), headers.get("grpc-status")) {
            (Caller::Http, _) | (_, None) => self.head.status.as_u16() == status,
            (Caller::Grpc, Some(told)) => {
                let status = StatusCode::from_u16(status).unwrap();
                told == reply::grpc_status(status).to_string().as_str()
            }
        }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("head", &self.head)
            .field("body", &self.body)
            .field("passed", &self.passed)
            .finish_non_exhaustive()
    }
}
