use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use mesh_core::attributes::{
    ConnectionInfo, MatchedRoute, PeerIdentity, Progress, ResponseFlag, SelectedEndpoint, TlsInfo,
    UpstreamConnection,
};
use mesh_core::identity::SpiffeId;
use mesh_core::model::cluster::{Endpoint, EndpointAddress};
use mesh_core::model::route::{Route, RouteMatch};
use mesh_core::service::ClusterName;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use super::*;

fn local() -> PeerWorkload {
    PeerWorkload {
        workload: "cart-v1".into(),
        namespace: "shop".into(),
        ..PeerWorkload::default()
    }
}

/// Sends `request` past `metrics` to a service that answers with `response` after 30 ms.
async fn send(
    metrics: &Arc<IstioMetrics>,
    request: Request<Full<Bytes>>,
    response: Response<Full<Bytes>>,
) -> Response<Recorded<Full<Bytes>>> {
    let inner = service_fn(move |request: Request<Uploaded<Full<Bytes>>>| {
        let response = response.clone();
        async move {
            request.into_body().collect().await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new(Arc::clone(metrics)))
        .service(inner);
    service.oneshot(request).await.unwrap()
}

/// The lines of a metric, without its labels but those of `names`.
fn lines(metrics: &IstioMetrics, metric: &str, names: &[&str]) -> Vec<String> {
    let text = metrics.encode();
    let of_metric = text
        .lines()
        .filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
    of_metric
        .map(|line| {
            let (labels, value) = line.rsplit_once("} ").unwrap();
            let kept = labels.split("\",").filter_map(|label| {
                let (name, value) = label.split_once("=\"")?;
                names
                    .contains(&name)
                    .then(|| value.trim_end_matches('"').to_owned())
            });
            format!("{} {value}", kept.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_recorded_when_the_body_of_its_response_has_ended() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
    let request = Request::post("/a")
        .header("a", "bc")
        .body(Full::from("hello"))
        .unwrap();
    let response = send(&metrics, request, Response::new(Full::from("good day"))).await;
    assert_eq!(metrics.encode(), "");
    response.into_body().collect().await.unwrap();

    let requests = lines(
        &metrics,
        "istio_requests_total",
        &["destination_workload", "response_code"],
    );
    assert_eq!(requests, ["cart-v1 200 1"]);
    let duration = lines(
        &metrics,
        "istio_request_duration_milliseconds_bucket",
        &["le"],
    );
    assert_eq!(
        duration[..7],
        ["0.5 0", "1 0", "5 0", "10 0", "25 0", "50 1", "100 1"]
    );
    assert_eq!(duration.last().unwrap(), "+Inf 1");
    assert_eq!(
        lines(&metrics, "istio_request_duration_milliseconds_sum", &[]),
        [" 30"]
    );
    // The path, the method, the header, and the body.
    assert_eq!(lines(&metrics, "istio_request_bytes_sum", &[]), [" 14"]);
    assert_eq!(lines(&metrics, "istio_response_bytes_sum", &[]), [" 8"]);
    assert_eq!(
        lines(&metrics, "istio_request_messages_total", &[]),
        Vec::<String>::new()
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_is_recorded_so() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
    let silent = service_fn(|_: Request<Uploaded<Full<Bytes>>>| async {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let mut service = MetricsLayer::new(Arc::clone(&metrics)).layer(silent);
    drop(
        service
            .ready()
            .await
            .unwrap()
            .call(Request::new(Full::default())),
    );
    let requests = lines(
        &metrics,
        "istio_requests_total",
        &["response_code", "response_flags"],
    );
    assert_eq!(requests, ["0 DC 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_grpc_has_a_grpc_status_whoever_answers() {
    for (content_type, written, code, expected) in [
        ("application/grpc", Some("4"), 200, "4 1"),
        ("application/grpc", None, 503, "14 1"),
        ("application/grpc", None, 200, "2 1"),
        ("application/grpc", Some("99"), 200, "-1 1"),
        ("application/grpc", Some("anything"), 200, "-1 1"),
        ("application/json", Some("4"), 200, " 1"),
    ] {
        let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
        let inner = service_fn(|_: Request<Uploaded<Full<Bytes>>>| async move {
            let mut response = Response::builder().status(code);
            if let Some(written) = written {
                response = response.header("grpc-status", written);
            }
            Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
        });
        let request = Request::post("/").header("content-type", content_type);
        let service = MetricsLayer::new(Arc::clone(&metrics)).layer(inner);
        let response = service.oneshot(request.body(Full::default()).unwrap());
        response.await.unwrap().into_body().collect().await.unwrap();
        let labels = lines(&metrics, "istio_requests_total", &["grpc_response_status"]);
        assert_eq!(labels, [expected], "{content_type} {written:?} {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_messages_and_the_status_in_the_trailers_are_recorded() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
    let two_messages = Bytes::from_static(&[0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0]);
    let inner = service_fn(|request: Request<Uploaded<Full<Bytes>>>| async move {
        request.into_body().collect().await.unwrap();
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "5".parse().unwrap())]);
        let message = Full::new(Bytes::from_static(&[0, 0, 0, 0, 0]));
        let body = message.with_trailers(std::future::ready(Some(Ok(trailers))));
        Ok::<_, Infallible>(Response::new(Box::pin(body)))
    });
    let request = Request::post("/").header("content-type", "application/grpc");
    let service = MetricsLayer::new(Arc::clone(&metrics)).layer(inner);
    let response = service
        .oneshot(request.body(Full::new(two_messages)).unwrap())
        .await
        .unwrap();
    response.into_body().collect().await.unwrap();

    let labels = ["request_protocol", "grpc_response_status"];
    assert_eq!(
        lines(&metrics, "istio_requests_total", &labels),
        ["grpc 5 1"]
    );
    assert_eq!(lines(&metrics, "istio_request_messages_total", &[]), [" 2"]);
    assert_eq!(
        lines(&metrics, "istio_response_messages_total", &[]),
        [" 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_names_the_client_by_its_proven_identity() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
    let address: SocketAddr = "192.0.2.7:1".parse().unwrap();
    for (tls, expected) in [
        (
            Some(TlsInfo::default()),
            "web spiffe://cluster.local/ns/web/sa/page mutual_tls 1",
        ),
        (None, "web unknown none 1"),
    ] {
        let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
        let request = Request::get("/")
            .extension(PeerIdentity(
                "spiffe://cluster.local/ns/web/sa/page".parse().unwrap(),
            ))
            .extension(ConnectionInfo {
                peer: address,
                local: address,
                tls,
            });
        let request = request.body(Full::default()).unwrap();
        drop(send(&metrics, request, Response::new(Full::default())).await);
        let labels = [
            "source_workload_namespace",
            "source_principal",
            "connection_security_policy",
        ];
        assert_eq!(lines(&metrics, "istio_requests_total", &labels), [expected]);
    }
    assert_eq!(metrics.encode(), "");
}

#[tokio::test(start_paused = true)]
async fn a_client_names_the_service_by_its_route_and_the_workload_by_its_endpoint() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Source, local()));
    let cluster = ClusterName::outbound(80, "", "reviews.books.svc.cluster.local");
    let route = Arc::new(Route::forward("r", RouteMatch::prefix("/"), cluster));
    let request = Request::get("/").extension(MatchedRoute::new(route, 0));
    let mut endpoint = Endpoint::new(EndpointAddress::Ip("10.0.0.1:80".parse().unwrap()));
    endpoint.namespace = "books".into();
    endpoint.labels.insert("app", "reviews");
    endpoint.labels.insert("version", "v3");
    let mut response = Response::builder()
        .status(503)
        .body(Full::default())
        .unwrap();
    response
        .extensions_mut()
        .insert(SelectedEndpoint(Arc::new(endpoint)));
    response
        .extensions_mut()
        .insert(ResponseFlag::UpstreamRemoteReset);
    drop(send(&metrics, request.body(Full::default()).unwrap(), response).await);
    let labels = [
        "source_workload",
        "destination_app",
        "destination_version",
        "destination_service",
        "destination_service_name",
        "destination_service_namespace",
        "response_code",
        "response_flags",
    ];
    let expected = "cart-v1 reviews v3 reviews.books.svc.cluster.local reviews books 503 UR 1";
    assert_eq!(lines(&metrics, "istio_requests_total", &labels), [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_client_names_both_ends_as_the_connection_to_the_endpoint_has_proven_them() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Source, local()));
    let id = |name| {
        format!("spiffe://cluster.local/ns/shop/sa/{name}")
            .parse()
            .unwrap()
    };
    let mut response = Response::new(Full::default());
    response.extensions_mut().insert(UpstreamConnection {
        local: None,
        identity: Some(id("web")),
        peer: Some(id("cart")),
    });
    drop(send(&metrics, Request::new(Full::default()), response).await);
    let labels = [
        "source_principal",
        "destination_principal",
        "connection_security_policy",
    ];
    let (web, cart) = (
        "spiffe://cluster.local/ns/shop/sa/web",
        "spiffe://cluster.local/ns/shop/sa/cart",
    );
    let requests = lines(&metrics, "istio_requests_total", &labels);
    assert_eq!(requests, [format!("{web} {cart} unknown 1")]);
}

#[tokio::test(start_paused = true)]
async fn a_client_names_the_destination_that_it_waited_for_in_vain() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Source, local()));
    let late = service_fn(|request: Request<Uploaded<Full<Bytes>>>| async move {
        let progress = request.extensions().get::<Progress>().unwrap();
        let cluster = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
        let route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
        progress.routed_by(&MatchedRoute::new(Arc::new(route), 0));
        let address = EndpointAddress::Ip("10.0.0.20:9080".parse().unwrap());
        let mut endpoint = Endpoint::new(address);
        endpoint.labels.insert("app", "cart");
        progress.sent_to(SelectedEndpoint(Arc::new(endpoint)));
        // As a timeout answers, which knows nothing of it.
        Ok::<_, Infallible>(
            Response::builder()
                .status(504)
                .body(Full::<Bytes>::default())
                .unwrap(),
        )
    });
    let service = MetricsLayer::new(Arc::clone(&metrics)).layer(late);
    drop(
        service
            .oneshot(Request::new(Full::default()))
            .await
            .unwrap(),
    );
    let labels = ["destination_app", "destination_service", "response_code"];
    let requests = lines(&metrics, "istio_requests_total", &labels);
    assert_eq!(requests, ["cart cart.shop.svc.cluster.local 504 1"]);
}

#[tokio::test]
async fn a_request_is_followed_only_where_something_is_left_to_be_said() {
    let cluster = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
    let route = Arc::new(Route::forward("cart", RouteMatch::prefix("/"), cluster));
    for (reporter, is_routed, expected) in [
        (Reporter::Destination, true, false),
        (Reporter::Destination, false, true),
        (Reporter::Source, true, true),
    ] {
        let metrics = Arc::new(IstioMetrics::new(reporter, local()));
        let inner = service_fn(move |request: Request<Uploaded<Full<Bytes>>>| async move {
            let is_followed = request.extensions().get::<Progress>().is_some();
            assert_eq!(is_followed, expected, "{reporter:?} {is_routed}");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let mut request = Request::new(Full::default());
        if is_routed {
            let matched = MatchedRoute::new(Arc::clone(&route), 0);
            request.extensions_mut().insert(matched);
        }
        let service = MetricsLayer::new(Arc::clone(&metrics)).layer(inner);
        drop(service.oneshot(request).await.unwrap());
        // Either way, what is known is told.
        let service = if is_routed {
            "cart.shop.svc.cluster.local"
        } else {
            "unknown"
        };
        let requests = lines(&metrics, "istio_requests_total", &["destination_service"]);
        assert_eq!(requests, [format!("{service} 1")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_makes_no_series_by_the_hosts_it_asks_for() {
    for (falls_back, expected) in [
        (false, &["unknown 9"][..]),
        (true, &["a.example 3", "b.example 3", "c.example 3"]),
    ] {
        let metrics = IstioMetrics::new(Reporter::Source, local()).with_host_fallback(falls_back);
        let metrics = Arc::new(metrics);
        for host in ["a.example", "b.example", "c.example"]
            .into_iter()
            .cycle()
            .take(9)
        {
            let request = Request::get("/").header("host", host).body(Full::default());
            drop(send(&metrics, request.unwrap(), Response::new(Full::default())).await);
        }
        let services = lines(&metrics, "istio_requests_total", &["destination_service"]);
        assert_eq!(services, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_recorded_so() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
    let response = Response::new(Full::from("good day"));
    drop(send(&metrics, Request::new(Full::default()), response).await);
    let labels = ["response_code", "response_flags"];
    assert_eq!(
        lines(&metrics, "istio_requests_total", &labels),
        ["200 DC 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_sidecar_sends_and_gets_is_written_as_one() {
    let gets = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
    let sends = IstioMetrics::new(Reporter::Source, local()).written_with(Arc::clone(&gets));
    let sends = Arc::new(sends);
    for metrics in [&gets, &sends] {
        let (request, response) = (
            Request::new(Full::default()),
            Response::new(Full::default()),
        );
        drop(send(metrics, request, response).await);
    }
    let requests = lines(&sends, "istio_requests_total", &["reporter"]);
    assert_eq!(requests, ["source 1", "destination 1"]);
    let text = sends.encode();
    assert_eq!(
        text.matches("# TYPE istio_requests_total").count(),
        1,
        "{text}"
    );
}

/// Metrics with tags of these values.
#[cfg(feature = "cel")]
fn tagged(tags: &[(&str, &str)]) -> (Arc<IstioMetrics>, Vec<Notice>) {
    let tags = tags.iter();
    let tags: serde_json::Map<_, _> = tags
        .map(|(name, value)| ((*name).to_owned(), serde_json::json!({"value": value})))
        .collect();
    let spec = serde_json::json!({"metrics": [
        {"providers": [{"name": "prometheus"}], "overrides": [{"tagOverrides": tags}]},
    ]});
    let resource = Resource {
        metadata: mesh_core::resource::Metadata::default(),
        spec: serde_json::from_value(spec).unwrap(),
        status: None,
        source: mesh_core::origin::Source::unknown(),
    };
    let resources = [Arc::new(resource)];
    let mesh = MeshOptions::default();
    let (metrics, notices) =
        IstioMetrics::compile(&resources, &mesh, Reporter::Destination, local());
    (Arc::new(metrics.unwrap()), notices)
}

#[cfg(feature = "cel")]
#[tokio::test(start_paused = true)]
async fn tags_are_read_when_the_exchange_has_ended_and_of_connections_too() {
    let (metrics, notices) = tagged(&[
        // As in Istio's task.
        ("destination_port", "string(destination.port)"),
        ("request_host", "request.host"),
        ("failed", "response.code >= 500 ? 'yes' : 'no'"),
        ("bytes", "string(response.size)"),
        ("fixed", "'a'"),
        ("received", "request.size"),
    ]);
    assert_eq!(notices, []);
    let connection = ConnectionInfo {
        peer: "192.0.2.7:1".parse().unwrap(),
        local: "192.0.2.1:8080".parse().unwrap(),
        tls: None,
    };
    let request = Request::get("/")
        .header("host", "shop")
        .extension(connection.clone());
    let response = Response::builder().status(503).body(Full::from("sorry"));
    let request = request.body(Full::from("please")).unwrap();
    let response = send(&metrics, request, response.unwrap()).await;
    response.into_body().collect().await.unwrap();
    // New labels are in the order of their names.
    let labels = [
        "bytes",
        "destination_port",
        "failed",
        "fixed",
        "received",
        "request_host",
    ];
    let requests = lines(&metrics, "istio_requests_total", &labels);
    assert_eq!(requests, ["5 8080 yes a 6 shop 1"]);

    drop(metrics.tcp_connection(connection, None, None));
    let opened = lines(
        &metrics,
        "istio_tcp_connections_opened_total",
        &["destination_port", "fixed"],
    );
    assert_eq!(opened, ["8080 a 1"]);
}

#[tokio::test(start_paused = true)]
async fn buckets_are_those_that_are_set_whatever_the_limit() {
    let metrics = IstioMetrics::new(Reporter::Destination, local());
    let bounds = [100.0, 20.0, f64::INFINITY, 100.0];
    let metrics = Arc::new(metrics.with_buckets(bounds).with_series_limit(5));
    let (request, response) = (
        Request::new(Full::default()),
        Response::new(Full::default()),
    );
    drop(send(&metrics, request, response).await);
    let buckets = lines(
        &metrics,
        "istio_request_duration_milliseconds_bucket",
        &["le"],
    );
    assert_eq!(buckets, ["20 0", "100 1", "+Inf 1"]);
}

#[tokio::test(start_paused = true)]
async fn open_metrics_has_the_same_series() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Destination, local()));
    drop(
        send(
            &metrics,
            Request::new(Full::default()),
            Response::new(Full::default()),
        )
        .await,
    );
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Arc::clone(&metrics)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("# TYPE istio_requests counter"), "{text}");
    assert!(
        text.contains("\nistio_requests_total{reporter=\"destination\""),
        "{text}"
    );
    let all = text.lines().find(|line| line.contains("le=\"+Inf\""));
    assert!(all.is_some_and(|line| line.ends_with(" 1")), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

fn info() -> ConnectionInfo {
    ConnectionInfo {
        peer: "192.0.2.7:1".parse().unwrap(),
        local: "192.0.2.1:27017".parse().unwrap(),
        tls: None,
    }
}

fn mongo() -> ClusterName {
    ClusterName::outbound(27017, "", "mongo.shop.svc.cluster.local")
}

#[test]
fn connections_are_counted_as_they_open_carry_and_close() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Source, local()));
    let connection = metrics.tcp_connection(info(), None, Some(mongo()));
    let count = |metric: &str| {
        let labels = [
            "destination_service_name",
            "request_protocol",
            "response_flags",
        ];
        lines(&metrics, metric, &labels)
    };
    let opened = "istio_tcp_connections_opened_total";
    assert_eq!(count(opened), [""; 0], "no endpoint is reached");
    connection.connected(&UpstreamConnection::default());
    connection.received(5);
    connection.sent(7);
    assert_eq!(count(opened), ["mongo tcp - 1"]);
    assert_eq!(
        count("istio_tcp_connections_closed_total"),
        ["mongo tcp - 0"]
    );
    // What comes after it was opened is not in the labels.
    connection.break_off(ResponseFlag::DurationTimeout);
    drop(connection);
    assert_eq!(count(opened), ["mongo tcp - 1"]);
    assert_eq!(
        count("istio_tcp_connections_closed_total"),
        ["mongo tcp - 1"]
    );
    assert_eq!(count("istio_tcp_received_bytes_total"), ["mongo tcp - 5"]);
    assert_eq!(count("istio_tcp_sent_bytes_total"), ["mongo tcp - 7"]);
}

#[test]
fn connections_that_reach_no_endpoint_are_counted_with_the_flags_that_say_why() {
    let metrics = Arc::new(IstioMetrics::new(Reporter::Source, local()));
    let unreached = metrics.tcp_connection(info(), None, Some(mongo()));
    unreached.break_off(ResponseFlag::UpstreamRetryLimitExceeded);
    unreached.break_off(ResponseFlag::UpstreamConnectionFailure);
    drop(unreached);
    // As one that a policy denies.
    drop(metrics.tcp_connection(info(), None, Some(mongo())));
    for metric in ["opened", "closed"] {
        let metric = format!("istio_tcp_connections_{metric}_total");
        let counted = lines(&metrics, &metric, &["response_flags"]);
        assert_eq!(counted, ["- 1", "UF,URX 1"]);
    }
}

#[test]
fn connections_tell_who_came_and_where_they_went() {
    let labels = [
        "source_principal",
        "destination_principal",
        "destination_app",
        "connection_security_policy",
    ];
    let identity = |name: &str| -> SpiffeId {
        let text = format!("spiffe://cluster.local/ns/shop/sa/{name}");
        text.parse().unwrap()
    };
    let mut endpoint = Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 7], 27017).into()));
    endpoint.labels.insert("app", "mongo");
    for (reporter, expected) in [
        (
            Reporter::Source,
            "spiffe://cluster.local/ns/shop/sa/us spiffe://cluster.local/ns/shop/sa/mongo mongo \
             unknown 1",
        ),
        (
            Reporter::Destination,
            "spiffe://cluster.local/ns/shop/sa/cart unknown unknown mutual_tls 1",
        ),
    ] {
        let metrics = Arc::new(IstioMetrics::new(reporter, PeerWorkload::default()));
        let info = ConnectionInfo {
            tls: Some(TlsInfo::default()),
            ..info()
        };
        let client = PeerIdentity(identity("cart"));
        let connection = metrics.tcp_connection(info, Some(client), Some(mongo()));
        connection.sent_to(SelectedEndpoint(Arc::new(endpoint.clone())));
        connection.connected(&UpstreamConnection {
            identity: Some(identity("us")),
            peer: Some(identity("mongo")),
            ..UpstreamConnection::default()
        });
        let opened = lines(&metrics, "istio_tcp_connections_opened_total", &labels);
        assert_eq!(opened, [expected], "{reporter:?}");
    }
}

#[test]
fn values_of_labels_are_escaped() {
    let local = PeerWorkload {
        workload: "a\"b\\c\nd".into(),
        ..PeerWorkload::default()
    };
    let metrics = Arc::new(IstioMetrics::new(Reporter::Source, local));
    drop(metrics.tcp_connection(info(), None, None));
    assert!(metrics.encode().contains(r#"source_workload="a\"b\\c\nd""#));
}
