//! What expressions are evaluated about.

use std::time::Duration;

use http::header::HOST;
use http::{Extensions, HeaderMap, StatusCode, request};
use mesh_core::attributes::{ResponseFlags, SelectedEndpoint};
use mesh_core::service::ClusterName;

use crate::telemetry::head::Head;

/// What is known of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// `None` if there are no requests.
    pub(super) request: Option<Head<'a>>,
    pub(super) extensions: &'a Extensions,
    /// Where a connection goes that carries no requests.
    pub(super) cluster: Option<&'a ClusterName>,
    pub(super) answer: Option<&'a Answer<'a>>,
}

/// What is known of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer<'a> {
    /// The status, if there is a response.
    pub(crate) status: Option<StatusCode>,
    /// Why it is as it is.
    pub(crate) details: Option<&'a str>,
    /// The flags.
    pub(crate) flags: ResponseFlags,
    /// The headers, if there is a response.
    pub(crate) headers: Option<&'a HeaderMap>,
    /// The trailers, if there are any.
    pub(crate) trailers: Option<&'a HeaderMap>,
    /// The endpoint, if one was picked.
    pub(crate) endpoint: Option<&'a SelectedEndpoint>,
    /// The bytes of both bodies, that of the request first.
    pub(crate) sizes: (u64, u64),
    /// How long it all took, if that is known.
    pub(crate) duration: Option<Duration>,
    /// Why the client's connection ended.
    pub(crate) termination: Option<&'a str>,
    /// Why the connection to the upstream failed.
    pub(crate) transport_failure: Option<&'a str>,
    /// Our address of the connection to the upstream.
    pub(crate) upstream_local: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// What is known when a request comes.
    pub(crate) fn of_request(request: &'a request::Parts) -> Self {
        Self {
            request: Some(Head::of_parts(request)),
            ..Self::of_connection(&request.extensions, None)
        }
    }

    /// What is known when a request comes.
    pub(crate) fn of<B>(request: &'a http::Request<B>) -> Self {
        Self {
            request: Some(Head::of(request)),
            ..Self::of_connection(request.extensions(), None)
        }
    }

    /// What is known of a connection that carries no requests, and goes to `cluster`.
    pub(crate) fn of_connection(
        extensions: &'a Extensions,
        cluster: Option<&'a ClusterName>,
    ) -> Self {
        Self {
            request: None,
            extensions,
            cluster,
            answer: None,
        }
    }

    /// Adds what is known at the end.
    pub(crate) fn with_answer(self, answer: &'a Answer<'a>) -> Self {
        let answer = Some(answer);
        Self { answer, ..self }
    }
}

/// The bytes of the headers of a request, with those that HTTP/2 has for the first line.
pub(super) fn head_bytes(head: Head<'_>) -> u64 {
    let (path, host) = (head.path().unwrap_or_default(), head.host());
    let host = host.unwrap_or_default();
    let pseudo = [
        (":method", head.method.as_str()),
        (":path", path),
        (":scheme", head.scheme()),
        (":authority", &*host),
    ];
    let pseudo = pseudo.iter().map(|(name, value)| name.len() + value.len());
    let own = head.headers.get_all(HOST).into_iter();
    let own: usize = own.map(|value| HOST.as_str().len() + value.len()).sum();
    let others = bytes(head.headers) - own as u64;
    others + pseudo.sum::<usize>() as u64
}

/// The bytes of `headers`, as Envoy counts them: of names and values alone.
pub(super) fn bytes(headers: &HeaderMap) -> u64 {
    let fields = headers.iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    bytes as u64
}
