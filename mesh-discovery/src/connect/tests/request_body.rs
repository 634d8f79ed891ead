//! Bodies of requests that fail.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use mesh_core::attributes::{ResetReason, ResponseFlag, UpstreamReset};
use mesh_core::model::cluster::Cluster;
use mesh_core::service::{ClusterName, Protocol};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tower::{ServiceExt, service_fn};

use crate::balance::testing::endpoint;
use crate::circuit_breaker::{Breakers, Limits};
use crate::connect::Pools;
use crate::service::{NewService, Target};

/// Five bodies that clients did not finish are nothing that an endpoint could be ejected for.
#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_not_blamed_on_the_endpoint() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        cluster.protocol = protocol;
        let target = Target {
            endpoint: Arc::new(endpoint(1)),
            cluster: Arc::new(cluster),
            breakers: Arc::new(Breakers::new(Limits::default())),
            downstream: None,
        };
        let pools = Pools::new(service_fn(|_: Target| async {
            let (ours, theirs) = tokio::io::duplex(1024);
            tokio::spawn(read_all(theirs));
            Ok::<_, io::Error>(ours)
        }));
        let first = Ok(Frame::data(Bytes::from_static(b"begun")));
        let body =
            futures_util::stream::iter([first, Err(io::Error::from(io::ErrorKind::UnexpectedEof))]);
        let request = Request::post("http://cart.example/").body(StreamBody::new(body));
        let sending = pools.new_service(&target).oneshot(request.unwrap());
        let response = sending.await.unwrap();
        let reset = response.extensions().get::<UpstreamReset>().unwrap();
        assert_eq!(reset.reason, ResetReason::LocalReset, "{protocol:?}");
        let flag = response.extensions().get();
        let expected = Some(&ResponseFlag::DownstreamConnectionTermination);
        assert_eq!(flag, expected, "{protocol:?}");
    }
}

/// An endpoint may have answered before it was told everything.
#[tokio::test(start_paused = true)]
async fn a_connection_is_in_use_until_the_body_of_its_request_has_been_sent() {
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    let pool = r#"{"http": {"idleTimeout": "10s"}}"#;
    cluster.policy.connection_pool = Some(serde_json::from_str(pool).unwrap());
    let target = Target {
        endpoint: Arc::new(endpoint(1)),
        cluster: Arc::new(cluster),
        breakers: Arc::new(Breakers::new(Limits::default())),
        downstream: None,
    };
    let (read, mut reads) = mpsc::unbounded_channel();
    let pools = Pools::new(service_fn(move |_: Target| {
        let (ours, theirs) = tokio::io::duplex(1024);
        tokio::spawn(answer_early(theirs, read.clone()));
        std::future::ready(Ok::<_, io::Error>(ours))
    }));
    let (rest, body) = mpsc::unbounded_channel();
    let body = futures_util::stream::unfold(body, async |mut body| {
        let data: Bytes = body.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(data)), body))
    });
    let request = Request::post("http://cart.example/").body(StreamBody::new(Box::pin(body)));
    let sending = pools.new_service(&target).oneshot(request.unwrap());
    let response = sending.await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "early"
    );

    tokio::time::sleep(Duration::from_secs(30)).await;
    rest.send(Bytes::from_static(b"late")).unwrap();
    drop(rest);
    assert_eq!(reads.recv().await.unwrap().unwrap(), "late");
}

/// Serves a connection, answers at once, and tells what it read of the request.
async fn answer_early(
    stream: DuplexStream,
    read: mpsc::UnboundedSender<Result<Bytes, hyper::Error>>,
) {
    let answer = hyper::service::service_fn(|request: Request<Incoming>| {
        let read = read.clone();
        tokio::spawn(async move {
            let body = request.into_body().collect().await;
            read.send(body.map(Collected::to_bytes))
        });
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            "early",
        ))))
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
}

/// Serves a connection, and answers once a request has been read, whose client goes on.
async fn read_all(stream: DuplexStream) {
    let answer = hyper::service::service_fn(|request: Request<Incoming>| async {
        request.into_body().collect().await?;
        Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::default()))
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
}
