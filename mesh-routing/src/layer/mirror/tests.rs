use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use mesh_core::model::filter::Mirror;
use mesh_core::model::route::{Forward, VirtualHost};
use mesh_core::model::route::{PathRewrite, Route, RouteAction, RouteConfiguration, RouteMatch};
use mesh_core::origin::Origin;
use mesh_core::percent::Percent;
use mesh_core::service::ClusterName;
use tokio::sync::mpsc;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

use super::*;
use crate::layer::router::RouterLayer;
use crate::table::RouteTable;

type Client = mock::Mock<Request<MirrorBody>, Response<Full<Bytes>>>;
type Copies = mock::Handle<Request<MirrorBody>, Response<Full<Bytes>>>;

fn mirror(subset: &str, percent: f64) -> Mirror {
    Mirror {
        cluster: ClusterName::outbound(80, subset, "cart.example"),
        percent: Percent::new(percent).unwrap(),
        origin: Origin::synthetic("mirror"),
    }
}

fn route(change: impl FnOnce(&mut Forward)) -> Route {
    let cluster = ClusterName::outbound(80, "v1", "cart.example");
    let mut route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
    let RouteAction::Forward(forward) = &mut route.action else {
        panic!("the route forwards");
    };
    change(forward);
    route
}

fn request(mirrors: Vec<Mirror>) -> Request<Full<Bytes>> {
    let route = route(|forward| forward.mirrors = mirrors);
    let request = Request::post("/cart").header("host", "a.example:80");
    let request = request.extension(MatchedRoute::new(Arc::new(route), 0));
    request.body(Full::from("item")).unwrap()
}

/// Answers with the body of the request.
async fn echo(request: Request<TeeBody<Full<Bytes>>>) -> Result<Response<Bytes>, Infallible> {
    let body = request.into_body().collect().await?;
    Ok(Response::new(body.to_bytes()))
}

async fn send<E>(layer: MirrorLayer<Client, E>, request: Request<Full<Bytes>>) -> Bytes
where
    E: Executor<
            MirroredRequest<
                Client,
                mock::future::ResponseFuture<Response<Full<Bytes>>>,
                Full<Bytes>,
            >,
        > + Clone,
{
    let service = layer.layer(service_fn(echo));
    service.oneshot(request).await.unwrap().into_body()
}

fn client() -> (Client, Copies) {
    mock::pair()
}

#[tokio::test]
async fn every_mirror_drawn_gets_the_request_and_its_body() {
    let (client, mut copies) = client();
    let layer = MirrorLayer::new(client).with_random(|| 500_000);
    let mirrors = vec![mirror("v2", 100.0), mirror("v3", 50.0), mirror("v4", 51.0)];
    assert_eq!(send(layer.clone(), request(mirrors)).await, "item");

    let mut seen = Vec::new();
    for _ in 0..2 {
        let (copy, reply) = copies.next_request().await.unwrap();
        reply.send_response(Response::default());
        let (head, body) = copy.into_parts();
        let route: &MatchedRoute = head.extensions.get().unwrap();
        seen.push(route.cluster().unwrap().subset().unwrap().to_owned());
        assert_eq!(head.uri, "/cart");
        assert_eq!(head.headers["host"], "a.example:80");
        assert_eq!(body.collect().await.unwrap().to_bytes(), "item");
    }
    seen.sort_unstable();
    assert_eq!(seen, ["v2", "v4"]);
}

#[tokio::test]
async fn the_request_does_not_wait_for_a_client_that_is_never_ready() {
    let (client, mut copies) = client();
    copies.allow(0);
    let layer = MirrorLayer::new(client);
    assert_eq!(
        send(layer, request(vec![mirror("v2", 100.0)])).await,
        "item"
    );
}

#[tokio::test]
async fn the_errors_of_a_copy_are_its_own() {
    let (client, mut copies) = client();
    let layer = MirrorLayer::new(client);
    let sent = request(vec![mirror("v2", 100.0)]);
    let (body, ()) = tokio::join!(send(layer.clone(), sent), async {
        copies.next_request().await.unwrap().1.send_error("broken");
    });
    assert_eq!(body, "item");
}

#[tokio::test]
async fn copies_end_when_the_layer_is_gone() {
    let (client, mut copies) = client();
    let layer = MirrorLayer::new(client);
    send(layer.clone(), request(vec![mirror("v2", 100.0)])).await;
    let _unanswered = copies.next_request().await.unwrap();
    drop(layer);
    assert!(
        copies.next_request().await.is_none(),
        "no clone of the client is left"
    );
}

#[tokio::test]
async fn the_suffix_is_added_on_demand() {
    let (client, mut copies) = client();
    let layer = MirrorLayer::new(client).with_shadow_suffix(true);
    send(layer.clone(), request(vec![mirror("v2", 100.0)])).await;
    let (copy, _) = copies.next_request().await.unwrap();
    assert_eq!(copy.headers()["host"], "a.example-shadow:80");
}

#[tokio::test]
async fn requests_that_have_no_mirror_are_not_copied() {
    let (client, mut copies) = client();
    let layer = MirrorLayer::new(client);
    let mut upgrade = request(vec![mirror("v2", 100.0)]);
    upgrade
        .headers_mut()
        .insert("upgrade", "websocket".parse().unwrap());
    let without_route = Request::new(Full::from("item"));
    for request in [request(Vec::new()), upgrade, without_route] {
        assert_eq!(send(layer.clone(), request).await, "item");
    }
    tokio::task::yield_now().await;
    assert!(copies.poll_request().is_pending());
}

#[tokio::test]
async fn a_copy_is_of_the_request_as_it_is_forwarded() {
    let route = route(|forward| {
        forward.mirrors = vec![mirror("v2", 100.0)];
        forward.rewrite.path = Some(PathRewrite::Full("/rewritten".into()));
        forward.rewrite.authority = Some("new.example".into());
    });
    let table = RouteTable::compile(&RouteConfiguration {
        virtual_hosts: vec![VirtualHost::new("shop", ["*"], [route])],
        ..RouteConfiguration::default()
    });
    let (seen, mut copies) = mpsc::unbounded_channel();
    let client = service_fn(move |copy: Request<MirrorBody>| {
        let host = copy.headers()["host"].to_str().unwrap().to_owned();
        seen.send((host, copy.uri().to_string())).unwrap();
        async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())) }
    });
    let service = ServiceBuilder::new()
        .layer(RouterLayer::new(table.unwrap()))
        .layer(MirrorLayer::new(client))
        .service(service_fn(echo));
    let request = Request::get("/")
        .header("host", "a.example")
        .body(Full::default());
    service.clone().oneshot(request.unwrap()).await.unwrap();
    let expected = ("new.example".to_owned(), "/rewritten".to_owned());
    assert_eq!(copies.recv().await, Some(expected));
}
