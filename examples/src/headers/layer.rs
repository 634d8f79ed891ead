//! The policy as a layer.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::SERVER;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use mesh_core::attributes::UpstreamConnection;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::forwarded::{Peer, Trust};
use super::hop_by_hop;
use super::policy::{HeaderPolicy, Scheme};
use super::refusal::Refusal;

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Layer that applies a [`HeaderPolicy`] to the requests of one connection.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct HeaderPolicyLayer {
    policy: Rc<HeaderPolicy>,
    peer: Rc<Peer>,
    scheme: Scheme,
}

impl HeaderPolicyLayer {
    /// Applies `policy` to what comes from `address` by `scheme`.
    pub fn new(policy: Rc<HeaderPolicy>, address: IpAddr, scheme: Scheme) -> Self {
        let believe_nobody = Trust::default();
        let trust = policy.forwarded.as_ref().unwrap_or(&believe_nobody);
        let peer = Rc::new(Peer::new(address, scheme, trust));
        Self {
            policy,
            peer,
            scheme,
        }
    }

    /// Says which port the connection was made to, for policies that tell it.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        let trust = self.policy.forwarded.as_ref();
        let Some(trust) = trust.filter(|trust| trust.tells_port) else {
            return self;
        };
        let peer = Peer::clone(&self.peer).connected_to(port, trust);
        let peer = Rc::new(peer);
        Self { peer, ..self }
    }
}

impl<S> Layer<S> for HeaderPolicyLayer {
    type Service = HeaderPolicyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HeaderPolicyService {
            inner,
            layer: self.clone(),
        }
    }
}

/// Middleware that applies a [`HeaderPolicy`].
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct HeaderPolicyService<S> {
    inner: S,
    layer: HeaderPolicyLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for HeaderPolicyService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let HeaderPolicyLayer {
            policy,
            peer,
            scheme,
        } = &self.layer;
        let random = || fastrand::u128(..);
        let is_head = *request.method() == Method::HEAD;
        let state = match policy.admit(&mut request, peer, *scheme, random) {
            Ok(()) => State::Admitted {
                response: self.inner.call(request),
            },
            Err(refusal) => State::Refused { refusal },
        };
        ResponseFuture {
            state,
            server: policy.server.clone(),
            is_head,
        }
    }
}

pin_project! {
    /// Response future of [`HeaderPolicyService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
        server: Option<HeaderValue>,
        is_head: bool,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProject]
    enum State<F> {
        Admitted {
            #[pin]
            response: F,
        },
        Refused {
            refusal: Refusal,
        },
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            StateProject::Admitted { response } => {
                let mut response = ready!(response.poll(cx))?;
                let switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                hop_by_hop::remove_from_response(response.headers_mut(), switch);
                response
            }
            StateProject::Refused { refusal } => refusal.to_response(),
        };
        // An HTTP/1.0 upstream says nothing about how the client is answered.
        *response.version_mut() = Version::HTTP_11;
        // An answer to HEAD has no text, and no message of gRPC in its place.
        let is_of_upstream = response.extensions().get::<UpstreamConnection>().is_some();
        if *this.is_head && !is_of_upstream {
            response.headers_mut().remove(GRPC_MESSAGE);
        }
        if let Some(server) = this.server.take() {
            response.headers_mut().insert(SERVER, server);
        }
        Poll::Ready(Ok(response))
    }
}
