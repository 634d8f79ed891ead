//! The policy as a layer.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, SERVER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use mesh_core::attributes::UpstreamConnection;
use pin_project_lite::pin_project;
use tower::ServiceExt;
use tower::util::Oneshot;
use tower_layer::Layer;
use tower_service::Service;

use super::forwarded::{Peer, Trust};
use super::hop_by_hop;
use super::policy::{HeaderPolicy, Scheme};
use super::refusal::Refusal;
use crate::body::Body;

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Layer that applies a [`HeaderPolicy`] to the requests of one connection.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct HeaderPolicyLayer<R = Refuse> {
    policy: Rc<HeaderPolicy>,
    peer: Rc<Peer>,
    scheme: Scheme,
    refused: Rc<R>,
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
            refused: Rc::new(Refuse),
        }
    }
}

impl<R> HeaderPolicyLayer<R> {
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

    /// Has requests that are refused answered by `service`, in place of [`Refuse`] alone: they have
    /// the [`Refusal`] in their extensions. Where they are recorded, it is [`Refuse`] below what
    /// records.
    #[must_use]
    pub fn with_refused<N>(self, service: N) -> HeaderPolicyLayer<N> {
        HeaderPolicyLayer {
            policy: self.policy,
            peer: self.peer,
            scheme: self.scheme,
            refused: Rc::new(service),
        }
    }
}

impl<S, R> Layer<S> for HeaderPolicyLayer<R>
where
    R: Clone,
{
    type Service = HeaderPolicyService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        HeaderPolicyService {
            inner,
            layer: self.clone(),
        }
    }
}

/// Answers requests as the [`Refusal`] in their extensions says. One without is refused as if it had
/// no valid host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refuse;

impl<B> Service<Request<B>> for Refuse {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let refusal = request.extensions().get::<Refusal>();
        let refusal = refusal.copied().unwrap_or(Refusal::Authority);
        ready(Ok(refusal.to_response()))
    }
}

/// Middleware that applies a [`HeaderPolicy`].
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct HeaderPolicyService<S, R = Refuse> {
    inner: S,
    layer: HeaderPolicyLayer<R>,
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for HeaderPolicyService<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: http_body::Body + Default,
    R: Service<Request<ReqBody>, Response = S::Response, Error = S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Oneshot<R, Request<ReqBody>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let HeaderPolicyLayer {
            policy,
            peer,
            scheme,
            refused,
        } = &self.layer;
        let random = || fastrand::u128(..);
        let head = (*request.method() == Method::HEAD).then(|| request.version());
        let state = match policy.admit(&mut request, peer, *scheme, random) {
            Ok(()) => State::Admitted {
                response: self.inner.call(request),
            },
            Err(refusal) => {
                request.extensions_mut().insert(refusal);
                // It waits for the service to be ready.
                let response = R::clone(refused).oneshot(request);
                State::Refused {
                    response: Box::pin(response),
                }
            }
        };
        ResponseFuture {
            state,
            server: policy.server.clone(),
            head,
        }
    }
}

pin_project! {
    /// Response future of [`HeaderPolicyService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F, G> {
        #[pin]
        state: State<F, G>,
        server: Option<HeaderValue>,
        // By which version a `HEAD` came; `None` for other methods.
        head: Option<Version>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProject]
    enum State<F, G> {
        Admitted {
            #[pin]
            response: F,
        },
        // Apart, for it is rare and large.
        Refused {
            response: Pin<Box<G>>,
        },
    }
}

impl<F, G, ResBody, E> Future for ResponseFuture<F, G>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    G: Future<Output = F::Output>,
    ResBody: http_body::Body + Default,
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
            StateProject::Refused { response } => ready!(response.as_mut().poll(cx))?,
        };
        // An HTTP/1.0 upstream says nothing about how the client is answered.
        *response.version_mut() = Version::HTTP_11;
        if let Some(version) = *this.head
            && response.extensions().get::<UpstreamConnection>().is_none()
        {
            response = without_text(response, version);
        }
        if let Some(server) = this.server.take() {
            response.headers_mut().insert(SERVER, server);
        }
        Poll::Ready(Ok(response))
    }
}

/// An answer of the gateway's own to `HEAD`: without its text, and without a message of gRPC in its place.
fn without_text<B>(mut response: Response<B>, version: Version) -> Response<B>
where
    B: http_body::Body + Default,
{
    response.headers_mut().remove(GRPC_MESSAGE);
    // By HTTP/1.1 hyper sends none, and says how long it would be.
    if version < Version::HTTP_2 || response.body().is_end_stream() {
        return response;
    }
    if let Some(length) = response.body().size_hint().exact() {
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(|_| B::default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use hyper::ext::Protocol;
    use mesh_core::identity::TrustDomains;
    use mesh_core::matcher::StringMatch;
    use mesh_core::model::route::{Route, RouteConfiguration, RouteMatch, VirtualHost};
    use mesh_core::resource::Resource;
    use mesh_core::resource::istio::AuthorizationPolicy;
    use mesh_core::service::ClusterName;
    use mesh_policy::authz::PolicySet;
    use mesh_policy::authz::layer::AuthorizationLayer;
    use mesh_routing::layer::RoutingLayer;
    use mesh_routing::table::RouteTable;
    use tower::{ServiceBuilder, service_fn};

    use super::*;

    /// Denies every `GET` below `/denied`.
    fn denying() -> AuthorizationLayer {
        let mut policy = Resource::<AuthorizationPolicy>::default();
        let operation = serde_json::json!({"methods": ["GET"], "paths": ["/denied/*"]});
        policy.spec = serde_json::from_value(serde_json::json!({
            "action": "DENY",
            "rules": [{"to": [{"operation": operation}]}],
        }))
        .unwrap();
        let domains = TrustDomains::new("cluster.local".parse().unwrap());
        AuthorizationLayer::new(PolicySet::compile(&[Arc::new(policy)], &domains))
    }

    /// Routes every `GET`, and nothing else.
    fn routing() -> RoutingLayer {
        let matches = RouteMatch {
            method: Some(StringMatch::exact("GET")),
            ..RouteMatch::prefix("/")
        };
        let route = Route::forward("get", matches, ClusterName::from("cart"));
        let routes = RouteConfiguration {
            virtual_hosts: vec![VirtualHost::new("all", ["*"], [route])],
            ..RouteConfiguration::default()
        };
        RoutingLayer::new(RouteTable::compile(&routes).unwrap())
    }

    #[tokio::test]
    async fn extended_connect_is_judged_and_routed_as_the_get_that_it_becomes() {
        for (path, status) in [
            ("/chat", StatusCode::OK),
            ("/denied/x", StatusCode::FORBIDDEN),
        ] {
            let upstream = service_fn(|request: Request<()>| {
                assert_eq!(request.method(), Method::GET);
                ready(Ok::<_, Infallible>(Response::new(Body::from("hello"))))
            });
            let policy = Rc::new(HeaderPolicy::default());
            let service = ServiceBuilder::new()
                .layer(HeaderPolicyLayer::new(
                    policy,
                    [192, 0, 2, 1].into(),
                    Scheme::Https,
                ))
                .layer(denying())
                .layer(routing())
                .service(upstream);
            let request = Request::connect(format!("https://a.example{path}"))
                .version(Version::HTTP_2)
                .extension(Protocol::from_static("websocket"));
            let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
        }
    }

    #[tokio::test]
    async fn an_answer_to_head_says_how_long_its_text_would_be_and_has_none_by_http2() {
        for (version, is_sent) in [(Version::HTTP_2, false), (Version::HTTP_11, true)] {
            let own = service_fn(|_: Request<()>| {
                ready(Ok::<_, Infallible>(Response::new(Body::from("hello"))))
            });
            let policy = Rc::new(HeaderPolicy::default());
            let layer = HeaderPolicyLayer::new(policy, [192, 0, 2, 1].into(), Scheme::Http);
            let request = Request::head("/").version(version).header("host", "a");
            let request = request.body(()).unwrap();
            let response = layer.layer(own).oneshot(request).await.unwrap();
            // The server of HTTP/1.1 counts the text, and leaves it out.
            let length = response.headers().get(CONTENT_LENGTH);
            assert_eq!(length.is_none(), is_sent, "{version:?}");
            assert!(length.is_none_or(|length| length == "5"), "{version:?}");
            let text = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(!text.is_empty(), is_sent, "{version:?}");
        }
    }
}
