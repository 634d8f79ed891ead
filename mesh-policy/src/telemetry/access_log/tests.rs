use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mesh_core::attributes::{
    Attempts, ConnectionInfo, MatchedRoute, PeerIdentity, Progress, ResponseFlag, ResponseFlags,
    SelectedEndpoint, TlsInfo, TransportFailure, UpstreamConnection,
};
use mesh_core::format_string::Constants;
use mesh_core::model::cluster::{Endpoint, EndpointAddress};
use mesh_core::model::route::{Route, RouteMatch};
use mesh_core::resource::Value;
use mesh_core::service::ClusterName;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::clock::WallClock;

fn route() -> MatchedRoute {
    let cluster = ClusterName::outbound(9080, "v1", "reviews.shop.svc.cluster.local");
    MatchedRoute::new(
        Arc::new(Route::forward("reviews", RouteMatch::prefix("/"), cluster)),
        0,
    )
}

fn request() -> Request<Full<Bytes>> {
    Request::post("/api?x=1")
        .header("host", "reviews.example")
        .header("user-agent", "curl/8.0")
        .header("x-request-id", "7a2c")
        .extension(ConnectionInfo {
            peer: "10.0.0.7:51234".parse().unwrap(),
            local: "10.0.0.9:9080".parse().unwrap(),
            tls: Some(TlsInfo {
                server_name: Some("reviews.example".into()),
                ..TlsInfo::default()
            }),
        })
        .body(Full::from("hello"))
        .unwrap()
}

fn response() -> Response<Full<Bytes>> {
    let endpoint = Endpoint::new(EndpointAddress::Ip("10.0.0.20:9080".parse().unwrap()));
    let mut response = Response::builder()
        .header("x-envoy-upstream-service-time", "29")
        .extension(SelectedEndpoint(Arc::new(endpoint)))
        .extension(route())
        .body(Full::from("good day"))
        .unwrap();
    *response.version_mut() = http::Version::HTTP_11;
    response
}

fn noon() -> WallClock {
    let noon = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    WallClock::new(move || noon)
}

/// The lines that `loggers` write of an exchange that takes 30 ms.
async fn log(
    logger: impl FnOnce(ChannelSink) -> Vec<Logger>,
    request: Request<Full<Bytes>>,
    response: Response<Full<Bytes>>,
) -> Vec<String> {
    let (sink, mut lines) = channel(10);
    let inner = service_fn(move |request: Request<Uploaded<Full<Bytes>>>| {
        let response = response.clone();
        async move {
            request.into_body().collect().await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let service = AccessLogLayer::new(logger(sink))
        .with_clock(noon())
        .layer(inner);
    let response = service.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let mut written = Vec::new();
    while let Some(line) = lines.recv().await {
        written.push(String::from_utf8(line.to_vec()).unwrap());
    }
    written
}

fn one(format: LogFormat) -> impl FnOnce(ChannelSink) -> Vec<Logger> {
    move |sink| vec![Logger::new(format, sink)]
}

#[tokio::test(start_paused = true)]
async fn istios_text_is_written_byte_for_byte() {
    let lines = log(one(LogFormat::istio_text()), request(), response()).await;
    let expected = "[2023-11-14T22:13:20.123Z] \"POST /api?x=1 HTTP/1.1\" 200 - via_upstream - \
        \"-\" 5 8 30 29 \"-\" \"curl/8.0\" \"7a2c\" \"reviews.example\" \"10.0.0.20:9080\" \
        outbound|9080|v1|reviews.shop.svc.cluster.local - 10.0.0.9:9080 10.0.0.7:51234 \
        reviews.example reviews\n";
    assert_eq!(lines, [expected]);
}

#[tokio::test(start_paused = true)]
async fn istios_json_has_numbers_and_nulls() {
    let lines = log(one(LogFormat::istio_json()), request(), response()).await;
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = serde_json::json!({
        "start_time": "2023-11-14T22:13:20.123Z",
        "route_name": "reviews",
        "method": "POST",
        "path": "/api?x=1",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "response_flags": "-",
        "response_code_details": "via_upstream",
        "connection_termination_details": null,
        "bytes_received": 5,
        "bytes_sent": 8,
        "duration": 30,
        "upstream_service_time": "29",
        "x_forwarded_for": null,
        "user_agent": "curl/8.0",
        "request_id": "7a2c",
        "authority": "reviews.example",
        "upstream_host": "10.0.0.20:9080",
        "upstream_cluster": "outbound|9080|v1|reviews.shop.svc.cluster.local",
        "upstream_local_address": null,
        "downstream_local_address": "10.0.0.9:9080",
        "downstream_remote_address": "10.0.0.7:51234",
        "requested_server_name": "reviews.example",
        "upstream_transport_failure_reason": null,
    });
    assert_eq!(line, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_empty_can_be_left_out() {
    let labels = serde_json::json!({
        "a": "%BYTES_SENT%",
        "b": "%REQ(x-none)%",
        "c": "%REQ(x-none)%!",
        "d": ["%REQ(x-none)%"],
        "e": {"f": "%REQ(x-none)%"},
        "g": [7, 1.5, true],
        "h": null,
    });
    let labels = serde_json::from_value(labels).unwrap();
    let format = LogFormat::json(&labels).unwrap();
    // Observed from Envoy 1.40.
    for (omit, expected) in [
        (
            false,
            "{\"a\":8,\"b\":null,\"c\":\"-!\",\"d\":[null],\"e\":{\"f\":null},\"g\":[7,1.5,true],\"h\":null}\n",
        ),
        (true, "{\"a\":8,\"c\":\"!\",\"d\":[],\"g\":[7,1.5,true]}\n"),
    ] {
        let format = format.clone().with_empty_omitted(omit);
        assert_eq!(log(one(format), request(), response()).await, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_and_clients_that_go_away_are_told_by_their_flags() {
    let format =
        || LogFormat::text("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%").unwrap();
    let mut refused = Response::builder()
        .status(503)
        .body(Full::default())
        .unwrap();
    ResponseFlags::add(
        refused.extensions_mut(),
        ResponseFlag::UpstreamConnectionFailure,
    );
    ResponseFlags::add(
        refused.extensions_mut(),
        ResponseFlag::UpstreamRetryLimitExceeded,
    );
    let expected = "503 URX,UF upstream_reset_before_response_started{remote_connection_failure}\n";
    assert_eq!(log(one(format()), request(), refused).await, [expected]);

    let (sink, mut lines) = channel(10);
    let silent = service_fn(|_: Request<Uploaded<Full<Bytes>>>| async {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let mut service = AccessLogLayer::new(one(format())(sink)).layer(silent);
    drop(service.ready().await.unwrap().call(request()));
    drop(service);
    let line = lines.recv().await.unwrap();
    assert_eq!(line, "0 DC downstream_remote_disconnect\n");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_is_logged_with_where_it_was() {
    let format = LogFormat::text(
        "%RESPONSE_CODE% %ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% \
         %UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    );
    let format = format.unwrap();
    let (sink, mut lines) = channel(10);
    let silent = service_fn(|request: Request<Uploaded<Full<Bytes>>>| async move {
        let progress = request.extensions().get::<Progress>().unwrap();
        progress.routed_by(&route());
        for host in [19, 20] {
            let address = EndpointAddress::Ip(([10, 0, 0, host], 9080).into());
            progress.sent_to(SelectedEndpoint(Arc::new(Endpoint::new(address))));
        }
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = AccessLogLayer::new(one(format)(sink)).layer(silent);
    let wait = tokio::time::timeout(Duration::from_secs(1), service.oneshot(request()));
    assert!(wait.await.is_err());
    let line = lines.recv().await.unwrap();
    let expected = "0 reviews outbound|9080|v1|reviews.shop.svc.cluster.local 10.0.0.20:9080 2\n";
    assert_eq!(line, expected);
}

#[tokio::test(start_paused = true)]
async fn a_route_without_a_name_has_none() {
    let mut response = response();
    let cluster = ClusterName::from("cart");
    let nameless = Route::forward("", RouteMatch::prefix("/"), cluster);
    let nameless = MatchedRoute::new(Arc::new(nameless), 0);
    response.extensions_mut().insert(nameless);
    let text = LogFormat::text("%ROUTE_NAME% %UPSTREAM_CLUSTER%").unwrap();
    let lines = log(one(text), request(), response.clone()).await;
    assert_eq!(lines, ["- cart\n"]);
    let labels = [("a".to_owned(), Value::String("%ROUTE_NAME%".to_owned()))];
    let json = LogFormat::json(&labels.into()).unwrap();
    assert_eq!(
        log(one(json), request(), response).await,
        ["{\"a\":null}\n"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_off_is_told_from_one_that_ends() {
    let format = || LogFormat::text("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%").unwrap();
    let lost = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    for (is_failing, expected) in [
        (
            true,
            "UC upstream_reset_after_response_started{connection_termination}\n",
        ),
        (false, "DC downstream_remote_disconnect\n"),
    ] {
        let (sink, mut lines) = channel(10);
        let inner = service_fn(move |_: Request<Uploaded<Full<Bytes>>>| async move {
            let body = Full::new(Bytes::from_static(b"good")).map_err(|never| match never {});
            let body = body.with_trailers(std::future::ready(Some(lost())));
            Ok::<_, Infallible>(response().map(|_| Box::pin(body)))
        });
        let service = AccessLogLayer::new(one(format())(sink)).layer(inner);
        let mut body = service.oneshot(request()).await.unwrap().into_body();
        if is_failing {
            body.frame().await.unwrap().unwrap();
            body.frame().await.unwrap().unwrap_err();
        }
        drop(body);
        assert_eq!(lines.recv().await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_connections_and_the_proxy_know_is_written() {
    let format = "%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %REQUEST_DURATION% \
        %HOSTNAME% %ENVIRONMENT(ZONE)%";
    let constants = Constants {
        hostname: Some("pod-1".into()),
        environment: [("ZONE".into(), "eu-1".into())].into(),
        absent: None,
    };
    let labels = [("a".to_owned(), Value::String(format.to_owned()))].into();
    for (format, expected) in [
        (
            LogFormat::text_with(format, &constants).unwrap(),
            "10.0.0.9:4711 2 0 pod-1 eu-1\n",
        ),
        (
            LogFormat::json_with(&labels, &constants).unwrap(),
            "{\"a\":\"10.0.0.9:4711 2 0 pod-1 eu-1\"}\n",
        ),
    ] {
        let mut response = response();
        response.extensions_mut().insert(Attempts(2));
        response.extensions_mut().insert(UpstreamConnection {
            local: Some("10.0.0.9:4711".parse().unwrap()),
            ..UpstreamConnection::default()
        });
        assert_eq!(log(one(format), request(), response).await, [expected]);
    }
    assert!(LogFormat::text("%HOSTNAME%").is_err());
    // As an Envoy writes what its process does not have.
    let absent = Some("-".to_owned());
    let unknown = Constants {
        absent,
        ..Constants::default()
    };
    let format = LogFormat::text_with("%HOSTNAME% %ENVIRONMENT(ZONE)%", &unknown).unwrap();
    assert_eq!(log(one(format), request(), response()).await, ["- -\n"]);
}

#[tokio::test(start_paused = true)]
async fn each_logger_has_its_filter() {
    let format = |name: &str| LogFormat::text(name).unwrap();
    let loggers = |sink: ChannelSink| {
        let errors = "response.code >= 400".parse().unwrap();
        vec![
            Logger::new(format("all"), sink.clone()),
            Logger::new(format("errors"), sink).with_filter(errors),
        ]
    };
    assert_eq!(log(loggers, request(), response()).await, ["all\n"]);
    let failed = Response::builder()
        .status(500)
        .body(Full::default())
        .unwrap();
    assert_eq!(log(loggers, request(), failed).await, ["all\n", "errors\n"]);
}

#[tokio::test(start_paused = true)]
async fn filters_are_expressions_over_the_exchange() {
    for (expression, expected) in [
        ("response.code == 200", true),
        ("response.code != 200", false),
        ("response.code > 199 && response.code < 201", true),
        ("response.code <= 199 || response.code >= 200", true),
        ("connection.mtls", true),
        ("!connection.mtls", false),
        ("has(request.useragent)", true),
        ("!has(request.headers['x-none'])", true),
        ("request.method == 'POST'", true),
        ("request.url_path == \"/api\"", true),
        ("request.host != 'reviews.example'", false),
        ("request.headers['user-agent'] == 'curl/8.0'", true),
        ("request.headers['User-Agent'] == 'curl/8.0'", true),
        ("request.headers['x-two'] == '1,2'", true),
        ("request.headers[':path'] == '/api?x=1'", true),
        ("request.headers[':method'] != 'POST'", false),
        ("has(request.headers[':authority'])", true),
        ("request.headers['x-none'] != 'a'", false),
        ("response.flags == '-'", true),
    ] {
        let filter: LogFilter = expression.parse().unwrap();
        let format = LogFormat::text("line").unwrap();
        let mut request = request();
        for value in ["1", "2"] {
            let value = value.parse().unwrap();
            request.headers_mut().append("x-two", value);
        }
        let identity = "spiffe://cluster.local/ns/a/sa/b".parse().unwrap();
        request.extensions_mut().insert(PeerIdentity(identity));
        let logger = |sink| vec![Logger::new(format, sink).with_filter(filter)];
        let logged = log(logger, request, response()).await.len() == 1;
        assert_eq!(logged, expected, "{expression}");
    }
}

#[tokio::test(start_paused = true)]
async fn tls_is_mutual_if_the_client_presents_any_certificate() {
    // The second needs CEL, where it is there.
    for expression in ["connection.mtls", "connection.mtls && request.path != ''"] {
        let Ok(filter) = expression.parse::<LogFilter>() else {
            continue;
        };
        for (peer_fingerprint, expected) in [(Some([7; 32]), 1), (None, 0)] {
            let mut request = request();
            let connection = request.extensions_mut().get_mut::<ConnectionInfo>();
            connection.unwrap().tls.as_mut().unwrap().peer_fingerprint = peer_fingerprint;
            let format = LogFormat::text("line").unwrap();
            let logger = |sink| vec![Logger::new(format, sink).with_filter(filter.clone())];
            let lines = log(logger, request, response()).await;
            assert_eq!(lines.len(), expected, "{expression}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_without_a_response_has_no_code_to_compare() {
    for (expression, expected) in [
        ("response.code == 0", false),
        ("response.code < 500", false),
        ("response.code != 200 || response.flags == 'DC'", true),
        ("response.flags == 'DC'", true),
    ] {
        let (sink, mut lines) = channel(10);
        let silent = service_fn(|_: Request<Uploaded<Full<Bytes>>>| async {
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let logger = Logger::new(LogFormat::text("%RESPONSE_CODE%").unwrap(), sink);
        let logger = logger.with_filter(expression.parse().unwrap());
        let mut service = AccessLogLayer::new([logger]).layer(silent);
        drop(service.ready().await.unwrap().call(request()));
        drop(service);
        assert_eq!(lines.recv().await.is_some(), expected, "{expression}");
    }
}

#[test]
fn expressions_that_are_not_understood_are_refused() {
    for expression in [
        "",
        "response.code = 400",
        "request.headers['a' == 'b'",
        "response.code >",
        "(response.code > 1",
        "code > 1",
    ] {
        assert!(expression.parse::<LogFilter>().is_err(), "{expression}");
    }
}

#[cfg(feature = "cel")]
#[tokio::test(start_paused = true)]
async fn any_expression_over_attributes_filters() {
    for (expression, expected) in [
        (
            "(response.code > 100 && connection.mtls) || request.method == 'A'",
            false,
        ),
        (
            "response.code > 100 && request.path.startsWith('/api')",
            true,
        ),
        ("response.headers['x-none'] == 'a'", false),
        ("response.size == 8 && request.size == 5", true),
        ("upstream.port == 9080 && xds.route_name == 'reviews'", true),
        ("response.code", false),
    ] {
        let filter: LogFilter = expression.parse().unwrap();
        let format = LogFormat::text("line").unwrap();
        let logger = |sink| vec![Logger::new(format, sink).with_filter(filter)];
        let logged = log(logger, request(), response()).await.len() == 1;
        assert_eq!(logged, expected, "{expression}");
    }
}

#[test]
fn formats_that_cannot_be_written_are_refused() {
    let nested = (0..20).fold(Value::Integer(1), |inner, _| Value::List(vec![inner]));
    let error = LogFormat::json(&[("a".to_owned(), nested)].into()).unwrap_err();
    assert_eq!(error, FormatError::TooDeep { name: "a".into() });
    let unknown = [("a".to_owned(), Value::String("%NONSENSE%".into()))];
    assert!(matches!(
        LogFormat::json(&unknown.into()),
        Err(FormatError::Format(_))
    ));
}

fn connection_info() -> ConnectionInfo {
    ConnectionInfo {
        peer: "10.0.0.7:51234".parse().unwrap(),
        local: "10.0.0.9:27017".parse().unwrap(),
        tls: None,
    }
}

/// The lines that `loggers` write of a connection of which `tell` says something.
async fn lines_of_connection(
    format: LogFormat,
    filter: Option<&str>,
    tell: impl FnOnce(&LoggedConnection),
) -> Vec<String> {
    let (sink, mut lines) = channel(10);
    let mut logger = Logger::new(format, sink);
    if let Some(filter) = filter {
        logger = logger.with_filter(filter.parse().unwrap());
    }
    let log = AccessLogLayer::new([logger]).with_clock(noon());
    let cluster = ClusterName::outbound(27017, "", "mongo.shop.svc.cluster.local");
    let connection = log.connection(connection_info(), None, Some(cluster));
    tell(&connection);
    drop((connection, log));
    let mut found = Vec::new();
    while let Some(line) = lines.recv().await {
        found.push(String::from_utf8(line.to_vec()).unwrap());
    }
    found
}

fn mongo() -> SelectedEndpoint {
    let address = EndpointAddress::Ip("10.0.0.20:27017".parse().unwrap());
    SelectedEndpoint(Arc::new(Endpoint::new(address)))
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_logged_as_envoy_does() {
    // The shapes of lines of Envoy 1.40, with Istio's format.
    let start = "[2023-11-14T22:13:20.123Z] \"- - -\" 0";
    let end = "10.0.0.9:27017 10.0.0.7:51234 - -\n";
    let cluster = "outbound|27017||mongo.shop.svc.cluster.local";
    let line = lines_of_connection(LogFormat::istio_text(), None, |connection| {
        connection.sent_to(mongo());
        connection.connected(&UpstreamConnection {
            local: Some("10.0.0.9:40000".parse().unwrap()),
            ..UpstreamConnection::default()
        });
        connection.received(5);
        connection.sent(2);
        connection.sent(3);
    });
    let rest = "- - - \"-\" 5 5 0 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.20:27017\"";
    let expected = format!("{start} {rest} {cluster} 10.0.0.9:40000 {end}");
    assert_eq!(line.await, [expected]);

    let line = lines_of_connection(LogFormat::istio_text(), None, |connection| {
        connection.sent_to(mongo());
        connection.break_off(ResponseFlag::UpstreamConnectionFailure);
        connection.break_off(ResponseFlag::UpstreamRetryLimitExceeded);
        let why = "delayed_connect_error:_Connection_refused";
        connection.unreached(&TransportFailure(why.into()));
    });
    let rest =
        "UF,URX - - \"delayed_connect_error:_Connection_refused\" 0 0 0 - \"-\" \"-\" \"-\" \"-\"";
    let expected = format!("{start} {rest} \"10.0.0.20:27017\" {cluster} - {end}");
    assert_eq!(line.await, [expected]);

    let line = lines_of_connection(LogFormat::istio_text(), None, |connection| {
        connection.break_off(ResponseFlag::NoClusterFound);
    });
    let rest = "NC - - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" - -";
    assert_eq!(line.await, [format!("{start} {rest} {end}")]);

    let denied = "rbac_access_denied_matched_policy[none]";
    let line = lines_of_connection(LogFormat::istio_text(), None, |connection| {
        connection.terminate(denied);
    });
    let rest = format!("- - {denied} \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" {cluster} -");
    assert_eq!(line.await, [format!("{start} {rest} {end}")]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_lasts_from_when_it_was_accepted() {
    let (sink, mut lines) = channel(1);
    let format = LogFormat::text("%START_TIME% %DURATION%").unwrap();
    let log = AccessLogLayer::new([Logger::new(format, sink)]).with_clock(noon());
    let accepted = tokio::time::Instant::now();
    tokio::time::advance(Duration::from_millis(23)).await;
    let connection = log
        .connection(connection_info(), None, None)
        .since(accepted);
    tokio::time::advance(Duration::from_millis(7)).await;
    drop(connection);
    let line = lines.recv().await.unwrap();
    assert_eq!(line, "2023-11-14T22:13:20.100Z 30\n");
}

#[tokio::test(start_paused = true)]
async fn what_filters_ask_of_requests_is_not_true_of_a_connection() {
    let format = || LogFormat::text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%").unwrap();
    for (filter, expected) in [
        ("response.code >= 0", false),
        ("response.code != 200", false),
        ("request.method == 'GET'", false),
        ("request.method != 'GET'", false),
        ("request.url_path != '/'", false),
        ("request.host != 'a'", false),
        ("request.headers['a'] != 'b'", false),
        ("has(request.useragent)", false),
        ("!has(request.useragent)", true),
        ("connection.mtls", false),
        ("!connection.mtls", true),
        ("response.flags == 'DT'", true),
    ] {
        let lines = lines_of_connection(format(), Some(filter), |connection| {
            connection.break_off(ResponseFlag::DurationTimeout);
        });
        let lines = lines.await;
        let expected = if expected {
            &["DT DurationTimeout\n"][..]
        } else {
            &[]
        };
        assert_eq!(lines, expected, "{filter}");
    }
}

#[cfg(feature = "cel")]
#[tokio::test(start_paused = true)]
async fn expressions_are_asked_of_connections() {
    let format = || LogFormat::text("%BYTES_SENT%").unwrap();
    for (filter, expected) in [
        ("destination.port == 27017", true),
        ("destination.port == 27018", false),
        (
            "xds.cluster_name == 'outbound|27017||mongo.shop.svc.cluster.local'",
            true,
        ),
        ("has(xds.route_name) || request.size > 0", false),
        ("upstream.address.startsWith('10.0.0.20:')", true),
        (
            "source.address.startsWith('10.0.0.7:') && response.size < 0",
            false,
        ),
    ] {
        let lines = lines_of_connection(format(), Some(filter), |connection| {
            connection.sent_to(mongo());
            connection.sent(7);
        });
        let lines = lines.await;
        let expected = if expected { &["7\n"][..] } else { &[] };
        assert_eq!(lines, expected, "{filter}");
    }
}
