//! What spans say of gRPC, beside what they say of HTTP.

use std::borrow::Cow;

use http::header::{AsHeaderName, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, request};
use mesh_core::reply::Caller;

use crate::telemetry::head::Head;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What gRPC says of a call, as the tags of Envoy's spans have it.
///
/// Source: `addGrpcRequestTags` and `addGrpcResponseTags` in Envoy's `HttpTracerUtility`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GrpcCall {
    /// The method that is called (`grpc.path`), if the request is one of gRPC.
    pub path: Option<String>,
    /// The host that is asked for (`grpc.authority`).
    pub authority: Option<String>,
    /// What the request carries (`grpc.content_type`).
    pub content_type: Option<String>,
    /// How long the caller waits (`grpc.timeout`).
    pub timeout: Option<String>,
    /// The status that the response says, in its trailers or its head (`grpc.status_code`).
    pub status: Option<String>,
    /// What it says of it (`grpc.message`).
    pub message: Option<String>,
}

impl GrpcCall {
    /// The [status](Self::status) as a number, if it is one.
    pub fn code(&self) -> Option<u32> {
        self.status.as_deref()?.trim().parse().ok()
    }

    /// What a request says; nothing if it is none of gRPC.
    pub(super) fn of_request(request: &request::Parts) -> Self {
        let headers = &request.headers;
        if Caller::of(headers) != Caller::Grpc {
            return Self::default();
        }
        let head = Head::of_parts(request);
        Self {
            path: head.path().map(str::to_owned),
            authority: head.host().map(Cow::into_owned),
            content_type: text(headers, CONTENT_TYPE),
            timeout: text(headers, TIMEOUT),
            ..Self::default()
        }
    }

    /// Takes what the head or the trailers of the response say, if they say a status.
    pub(super) fn answer(&mut self, fields: &HeaderMap) {
        if let Some(status) = text(fields, STATUS) {
            self.status = Some(status);
            self.message = text(fields, MESSAGE).or_else(|| self.message.take());
        }
    }
}

fn text(fields: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    let value = fields.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
