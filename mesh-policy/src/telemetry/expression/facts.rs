//! What expressions are evaluated about.

use std::borrow::Cow;
use std::time::Duration;

use cel::Value;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderName, Method, StatusCode, Uri, Version, request};
use mesh_core::attributes::{ResponseFlags, SelectedEndpoint};
use mesh_core::service::ClusterName;

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

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
    pub(super) headers: &'a HeaderMap,
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
        let head = Head {
            method: &request.method,
            uri: &request.uri,
            version: request.version,
            headers: &request.headers,
        };
        Self {
            request: Some(head),
            extensions: &request.extensions,
            cluster: None,
            answer: None,
        }
    }

    /// What is known when a request comes.
    pub(crate) fn of<B>(request: &'a http::Request<B>) -> Self {
        let head = Head {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
        };
        Self {
            request: Some(head),
            extensions: request.extensions(),
            cluster: None,
            answer: None,
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

impl Head<'_> {
    pub(super) fn text(&self, name: HeaderName) -> Option<Value> {
        let value = self.headers.get(name)?.as_bytes();
        Some((&*String::from_utf8_lossy(value)).into())
    }

    pub(super) fn host(&self) -> Option<Cow<'_, str>> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str().into()),
            None => Some(String::from_utf8_lossy(self.headers.get(HOST)?.as_bytes())),
        }
    }

    pub(super) fn path(&self) -> Option<&str> {
        self.uri.path_and_query().map(PathAndQuery::as_str)
    }

    /// The bytes of the headers, with those that HTTP/2 has for the first line.
    pub(super) fn bytes(&self, scheme: &str) -> u64 {
        let (path, host) = (self.path().unwrap_or_default(), self.host());
        let host = host.unwrap_or_default();
        let pseudo = [
            (":method", self.method.as_str()),
            (":path", path),
            (":scheme", scheme),
            (":authority", &*host),
        ];
        let pseudo = pseudo.iter().map(|(name, value)| name.len() + value.len());
        let own = self.headers.get_all(HOST).into_iter();
        let own: usize = own.map(|value| HOST.as_str().len() + value.len()).sum();
        let others = bytes(self.headers) - own as u64;
        others + pseudo.sum::<usize>() as u64
    }
}

/// The bytes of `headers`, as Envoy counts them: of names and values alone.
pub(super) fn bytes(headers: &HeaderMap) -> u64 {
    let fields = headers.iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    bytes as u64
}
