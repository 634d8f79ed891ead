//! Connections that go on in another protocol.

use hyper::upgrade::Upgraded;

use super::*;
use crate::cluster::Upstream;
use crate::service::Balance;

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_switched_is_counted_until_it_is_closed() {
    let mut mesh = Mesh::new(r#"{"tcp": {"maxConnections": 1}}"#, Protocol::Http);
    let upstream = upstream(&mut mesh);
    let switched = switch(&mesh, &upstream).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for resource in [Resource::Connections, Resource::Requests] {
        assert_eq!(upstream.breakers().used(resource), 1, "{resource:?}");
    }
    let host = {
        let now = tokio::time::Instant::now().into_std();
        let request = crate::balance::PickRequest::new(now);
        upstream.balancer().pick(&request, || 0).unwrap()
    };
    assert_eq!(host.state().active(), 1);
    let mut other = tokio_test::task::spawn(mesh.send());
    assert!(other.poll().is_pending(), "there may be one connection");

    drop(switched);
    assert_eq!(host.state().active(), 0);
    assert_eq!(upstream.breakers().used(Resource::Requests), 0);
    assert!(other.is_woken());
    assert_eq!(text(other.await).await, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_nobody_takes_up_is_over() {
    let mut mesh = Mesh::new("{}", Protocol::Http);
    let upstream = upstream(&mut mesh);
    drop(response(&mesh, &upstream).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for resource in [Resource::Connections, Resource::Requests] {
        assert_eq!(upstream.breakers().used(resource), 0, "{resource:?}");
    }
}

/// The cluster of the mesh, which counts what is under way to it from now on.
fn upstream<S>(mesh: &mut Mesh<S>) -> Arc<Upstream> {
    let mut cluster = Cluster::clone(&mesh.target.cluster);
    cluster.endpoints = vec![endpoint(1)];
    let now = tokio::time::Instant::now().into_std();
    let upstream = Upstream::new(Arc::new(cluster), Default::default(), now, 0);
    mesh.target.cluster = upstream.cluster();
    mesh.target.endpoint = upstream.balancer().endpoints()[0].clone();
    mesh.target.breakers = Arc::clone(upstream.breakers());
    Arc::new(upstream)
}

async fn switch(mesh: &Mesh<Endpoint>, upstream: &Arc<Upstream>) -> Upgraded {
    let response = response(mesh, upstream).await;
    hyper::upgrade::on(response.map(drop)).await.unwrap()
}

async fn response(
    mesh: &Mesh<Endpoint>,
    upstream: &Arc<Upstream>,
) -> Response<impl http_body::Body> {
    let service = mesh.service.clone();
    let balance = Balance::new(Arc::clone(upstream), move |target: &Target| {
        let (service, target) = (service.clone(), target.clone());
        service_fn(move |request| service.clone().oneshot((target.clone(), request)))
    });
    let request = Request::get("http://cart.example/7")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(Full::default());
    let response = balance.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    response
}
