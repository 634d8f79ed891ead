use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request, Response, request};
use proptest::prelude::*;

use super::*;
use crate::attributes::{
    Attempts, ClientAddress, ConnectionInfo, MatchedRoute, ResponseDetails, ResponseFlag,
    SelectedEndpoint, TargetScheme, TlsInfo,
};
use crate::model::cluster::{Endpoint, EndpointAddress};
use crate::model::route::{Route, RouteMatch};
use crate::service::ClusterName;

fn request() -> request::Parts {
    let request = Request::get("https://shop.example:8443/cart?item=1")
        .header("user-agent", "curl/8")
        .header("x-twice", "first")
        .header("x-twice", "second")
        .header("x-envoy-original-path", "/before?q")
        .extension(ConnectionInfo {
            peer: "10.0.0.7:4711".parse().unwrap(),
            local: "[::1]:8443".parse().unwrap(),
            tls: Some(TlsInfo {
                server_name: Some("shop.example".into()),
                ..TlsInfo::default()
            }),
        })
        .extension(MatchedRoute::new(
            Arc::new(Route::forward(
                "cart",
                RouteMatch::prefix("/"),
                ClusterName::outbound(80, "", "cart.shop.svc.cluster.local"),
            )),
            0,
        ));
    request.body(()).unwrap().into_parts().0
}

fn evaluated(format: &str) -> String {
    let request = request();
    let response = Response::builder()
        .status(503)
        .header("x-up", "yes")
        .extension(ResponseFlag::NoHealthyUpstream);
    let response = response.body(()).unwrap().into_parts().0;
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let exchange = Exchange::of_request(&request, start).with_response(&response);
    let format: FormatString = format.parse().unwrap();
    String::from_utf8(format.evaluate(&exchange, "-")).unwrap()
}

#[test]
fn operators_are_filled_in() {
    let cases = [
        ("", ""),
        ("100%% plain", "100% plain"),
        ("%REQ(:method)% %REQ(:PATH)%", "GET /cart?item=1"),
        ("%QUERY_PARAMS%", "item=1"),
        (
            "%REQ(:authority)% %REQ(host)% %REQ(:scheme)%",
            "shop.example:8443 shop.example:8443 https",
        ),
        ("%REQ(User-Agent):4%", "curl"),
        ("%REQ(x-twice)%", "first"),
        ("%REQ(x-absent?user-agent)%", "curl/8"),
        ("%REQ(x-absent?x-absent-too)%", "-"),
        ("%RESP(x-up)%%RESP(x-down)%", "yes-"),
        (
            "%REQUEST_HEADER(x-twice)% %RESPONSE_HEADER(x-up):2%",
            "first ye",
        ),
        (
            "%REQ_WITHOUT_QUERY(:path)% %REQ_WITHOUT_QUERY(x-envoy-original-path?:path):4%",
            "/cart /bef",
        ),
        ("%REQ_WITHOUT_QUERY(x-absent?user-agent)%", "curl/8"),
        ("%REQ_WITHOUT_QUERY(x-absent)%", "-"),
        (
            "%PATH%|%PATH(NQ)%|%PATH(NQ:PATH)%|%PATH(WQ:ORIG)%",
            "/before?q|/before|/cart|/before?q",
        ),
        ("%PROTOCOL%", "HTTP/1.1"),
        ("%RESPONSE_CODE% %RESPONSE_FLAGS%", "503 UH"),
        ("%START_TIME%", "1970-01-01T00:00:01.000Z"),
        ("%START_TIME(%Y (%s))%", "1970 (1)"),
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "10.0.0.7:4711"),
        (
            "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
            "10.0.0.7",
        ),
        (
            "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%",
            "[::1]:8443 8443",
        ),
        ("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "::1"),
        ("%DOWNSTREAM_PEER_URI_SAN%", "-"),
        ("%REQUESTED_SERVER_NAME%", "shop.example"),
        ("%ROUTE_NAME%", "cart"),
        (
            "%UPSTREAM_CLUSTER%",
            "outbound|80||cart.shop.svc.cluster.local",
        ),
    ];
    for (format, expected) in cases {
        assert_eq!(evaluated(format), expected, "{format}");
    }
}

#[test]
fn the_client_behind_a_trusted_proxy_is_the_remote_end() {
    let mut request = request();
    let client = ClientAddress([192, 0, 2, 7].into());
    request.extensions.insert(client);
    let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
    for (format, expected) in [
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "192.0.2.7:0"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "192.0.2.7"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.0.0.7:4711"),
        ("%DOWNSTREAM_LOCAL_ADDRESS%", "[::1]:8443"),
    ] {
        let format: FormatString = format.parse().unwrap();
        let evaluated = String::from_utf8(format.evaluate(&exchange, "-")).unwrap();
        assert_eq!(evaluated, expected, "{format:?}");
    }
}

#[test]
fn the_scheme_is_the_one_that_is_kept_where_the_uri_has_none() {
    let format: FormatString = "%REQ(:scheme)%".parse().unwrap();
    for kept in [http::uri::Scheme::HTTP, http::uri::Scheme::HTTPS] {
        let mut request = request();
        request.uri = "/".parse().unwrap();
        request.extensions.insert(TargetScheme(kept.clone()));
        let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
        assert_eq!(format.evaluate(&exchange, "-"), kept.as_str().as_bytes());
    }
}

#[test]
fn an_answer_of_the_proxy_has_no_status_yet() {
    let request = request();
    let response = Response::builder().status(503).header("x-up", "yes");
    let response = response.body(()).unwrap().into_parts().0;
    let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
    let format: FormatString = "%RESPONSE_CODE% %RESP(x-up)%".parse().unwrap();
    for (exchange, expected) in [
        (exchange, "503 yes"),
        (exchange.answered_locally(), "0 yes"),
    ] {
        let value = format.evaluate(&exchange.with_response(&response), "-");
        assert_eq!(String::from_utf8(value).unwrap(), expected);
    }
}

#[test]
fn a_cluster_that_does_not_exist_has_no_name() {
    let request = request();
    let response = Response::builder().extension(ResponseFlag::NoClusterFound);
    let response = response.body(()).unwrap().into_parts().0;
    let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
    let format: FormatString = "%UPSTREAM_CLUSTER%".parse().unwrap();
    for exchange in [
        exchange.without_cluster(),
        exchange.with_response(&response),
    ] {
        assert_eq!(format.evaluate(&exchange, "-"), b"-");
    }
}

#[test]
fn what_nobody_on_the_way_answered_was_sent_once() {
    let matched = || {
        let cluster = ClusterName::from("cart");
        let route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
        MatchedRoute::new(Arc::new(route), 0)
    };
    let routed = Request::get("/").extension(matched()).body(()).unwrap();
    let unrouted = Request::get("/").body(()).unwrap();
    let upstream = Response::new(());
    let mut local = Response::new(());
    local
        .extensions_mut()
        .insert(ResponseFlag::NoHealthyUpstream);
    let format: FormatString = "%UPSTREAM_REQUEST_ATTEMPT_COUNT%".parse().unwrap();
    let mut denied = Response::new(());
    let details = ResponseDetails::new("rbac_access_denied");
    denied.extensions_mut().insert(details);
    for (request, response, expected) in [
        (routed.clone(), upstream.clone(), "1"),
        (routed.clone(), local, "0"),
        (routed, denied, "0"),
        (unrouted, upstream, "0"),
    ] {
        let ((request, ()), (response, ())) = (request.into_parts(), response.into_parts());
        let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
        let exchange = exchange.with_response(&response);
        assert_eq!(format.evaluate(&exchange, "-"), expected.as_bytes());
    }
}

#[test]
fn what_a_proxy_observes_is_filled_in() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let tls = TlsInfo {
        version: Some("TLSv1.3"),
        cipher_suite: Some("TLS_AES_128_GCM_SHA256"),
        peer_fingerprint: Some([0xab; 32]),
        ..TlsInfo::default()
    };
    let address = "10.0.0.7:4711".parse().unwrap();
    let connection = ConnectionInfo {
        peer: address,
        local: address,
        tls: Some(tls),
    };
    let request = Request::get("/a?x=1&y&x=2")
        .header("host", "shop")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("x-request-id", "7")
        .extension(connection);
    let (request, ()) = request.body(()).unwrap().into_parts();
    let response = Response::builder()
        .header("x-up", "yes")
        .extension(Attempts(3))
        .extension(ResponseFlag::OverloadManager);
    let (response, ()) = response.body(()).unwrap().into_parts();
    let before = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
    let after = before.with_response(&response);
    let fingerprint = "ab".repeat(32);
    // `:method` GET, `:scheme` https, `:path` /a?x=1&y&x=2, `:authority` shop, and two fields.
    let size = (10 + 12 + 17 + 14) + (11 + 55) + (12 + 1);
    let size = size.to_string();
    for (format, at_first, at_last) in [
        ("%QUERY_PARAM(x)% %QUERY_PARAM(y)%", "1 ", "1 "),
        ("%QUERY_PARAM(z)%", "-", "-"),
        (
            "%STREAM_ID% %TRACE_ID%",
            &*format!("7 {trace}"),
            &*format!("7 {trace}"),
        ),
        ("%DOWNSTREAM_TLS_VERSION%", "TLSv1.3", "TLSv1.3"),
        (
            "%DOWNSTREAM_TLS_CIPHER%",
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256",
        ),
        (
            "%DOWNSTREAM_PEER_FINGERPRINT_256%",
            &fingerprint,
            &fingerprint,
        ),
        ("%REQUEST_HEADERS_BYTES%", &size, &size),
        // `:status` 200, and a field.
        ("%RESPONSE_HEADERS_BYTES%", "0", "17"),
        ("%RESPONSE_FLAGS_LONG%", "-", "OverloadManagerTerminated"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "0", "3"),
    ] {
        let parsed: FormatString = format.parse().unwrap();
        for (exchange, expected) in [(&before, at_first), (&after, at_last)] {
            let value = String::from_utf8(parsed.evaluate(exchange, "-")).unwrap();
            assert_eq!(value, expected, "{format}");
        }
    }
}

#[test]
fn the_trace_is_that_of_b3_where_there_is_no_other() {
    let id = "a3ce929d0e0e4736";
    for (name, value, expected) in [
        ("b3", "a3ce929d0e0e4736-00f067aa0ba902b7-1", id),
        ("b3", "0", "-"),
        ("x-b3-traceid", id, id),
        ("traceparent", "nonsense", "-"),
    ] {
        let request = Request::get("/").header(name, value).body(()).unwrap();
        let (request, ()) = request.into_parts();
        let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
        let format: FormatString = "%TRACE_ID%".parse().unwrap();
        let found = String::from_utf8(format.evaluate(&exchange, "-")).unwrap();
        assert_eq!(found, expected, "{name}: {value}");
    }
}

#[test]
fn a_format_that_cannot_be_filled_in_is_refused() {
    let cases = [
        ("100%", "no operator begins at `%`"),
        ("%REQ(x-a%", "no operator begins at `%REQ(x-a%`"),
        ("%req(x-a)%", "no operator begins at `%req(x-a)%`"),
        ("%REQ(x-a):x%", "no operator begins at `%REQ(x-a):x%`"),
        ("%NONSENSE%", "unknown operator `NONSENSE`"),
        ("%REQ%", "operator `REQ` cannot have the argument ``"),
        (
            "%QUERY_PARAM()%",
            "operator `QUERY_PARAM` cannot have the argument ``",
        ),
        (
            "%TRACE_ID(x)%",
            "operator `TRACE_ID` cannot have the argument `x`",
        ),
        (
            "%REQ(a?b?c)%",
            "operator `REQ` cannot have the argument `a?b?c`",
        ),
        (
            "%REQ(x a)%",
            "operator `REQ` cannot have the argument `x a`",
        ),
        (
            "%PROTOCOL(x)%",
            "operator `PROTOCOL` cannot have the argument `x`",
        ),
        (
            "%START_TIME(%n)%",
            "operator `START_TIME` cannot have the argument `%n`",
        ),
        (
            "%PATH(XQ)%",
            "operator `PATH` cannot have the argument `XQ`",
        ),
        (
            "%DYNAMIC_METADATA(a:b)%",
            "operator `DYNAMIC_METADATA` is not supported",
        ),
        (
            "%PER_REQUEST_STATE(k)%",
            "operator `PER_REQUEST_STATE` is not supported",
        ),
        (
            "%UPSTREAM_PEER_ISSUER%",
            "operator `UPSTREAM_PEER_ISSUER` is not supported",
        ),
        ("%HOSTNAME%", "no value is given for `HOSTNAME`"),
        (
            "%ENVIRONMENT(POD)%",
            "no value is given for `ENVIRONMENT(POD)`",
        ),
    ];
    for (format, expected) in cases {
        let error = format.parse::<FormatString>().unwrap_err();
        assert_eq!(error.to_string(), expected, "{format}");
    }
}

#[test]
fn constants_become_text() {
    let constants = Constants {
        hostname: Some("pod-1".into()),
        environment: [("ZONE".into(), "eu-1".into())].into(),
        absent: None,
    };
    let format = HeaderFormat::parse("%HOSTNAME% %ENVIRONMENT(ZONE):2%", &constants).unwrap();
    assert_eq!(format.fixed().unwrap(), "pod-1 eu");
}

#[test]
fn a_header_is_not_written_when_its_value_is_empty() {
    let request = request();
    let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
    for (format, expected) in [
        ("", None),
        ("%REQ(x-absent)%", None),
        ("<%REQ(x-absent)%>", Some("<>")),
    ] {
        let format: HeaderFormat = format.parse().unwrap();
        let value = format.evaluate(&exchange);
        assert_eq!(
            value.as_ref().map(|value| value.as_bytes()),
            expected.map(str::as_bytes)
        );
    }
}

#[test]
fn a_header_cannot_hold_a_line_break() {
    for text in ["a\nb", "%REQ(x)%\r"] {
        let error = text.parse::<HeaderFormat>().unwrap_err();
        assert!(
            matches!(error, ParseFormatError::IllegalCharacter { .. }),
            "{text:?}"
        );
    }
}

#[test]
fn formats_of_the_response_alone_do_not_need_the_request() {
    for (format, needs) in [
        ("fixed", false),
        ("%RESP(x)% %RESPONSE_CODE%", false),
        ("%RESP(x)% %REQ(x)%", true),
        ("%START_TIME%", true),
    ] {
        assert_eq!(
            format.parse::<HeaderFormat>().unwrap().needs_request(),
            needs,
            "{format}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_can_be_written_with_doubled_percent_signs(text in "[ -~]{0,40}") {
        let format: FormatString = text.replace('%', "%%").parse().unwrap();
        prop_assert_eq!(format.literal().unwrap(), text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[%():?A-Z0-9_äRESPQ]{0,30}") {
        let _ = text.parse::<FormatString>();
    }
}

#[test]
fn what_is_known_at_the_end_is_filled_in_at_the_end() {
    let format: FormatString = "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESPONSE_DURATION% \
        %RESPONSE_TX_DURATION% %REQUEST_DURATION% %RESPONSE_CODE_DETAILS% \
        %TRAILER(x-sum)%%RESPONSE_TRAILER(x-none?x-sum)% \
        %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER% %UPSTREAM_HOST%"
        .parse()
        .unwrap();
    let request = Request::get("/").header("content-type", "application/grpc");
    let (request, ()) = request.body(()).unwrap().into_parts();
    let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
    assert_eq!(format.evaluate(&exchange, "-"), b"- - - - - - - -- - - - -");

    let trailers = [("x-sum", "7"), ("grpc-status", "4")];
    let trailers = trailers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let completion = Completion {
        bytes_received: 3,
        bytes_sent: 5,
        duration: Duration::from_millis(50),
        response_duration: Some(Duration::from_millis(20)),
        trailers: Some(HeaderMap::from_iter(trailers)),
        response_code_details: Some("via_upstream".into()),
        ..Completion::default()
    };
    let exchange = exchange.with_completion(&completion);
    let expected = "3 5 50 20 30 - via_upstream 77 DeadlineExceeded DEADLINE_EXCEEDED 4 -";
    let evaluated = String::from_utf8(format.evaluate(&exchange, "-")).unwrap();
    assert_eq!(evaluated, expected);
}

#[test]
fn requests_of_grpc_have_a_grpc_status_whoever_answers() {
    let format: FormatString = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%"
        .parse()
        .unwrap();
    for (content_type, written, code, expected) in [
        ("application/grpc", Some("1"), 200, "Canceled CANCELLED 1"),
        ("application/grpc", Some("99"), 200, "99 99 99"),
        ("application/grpc", Some("x"), 200, "-1 -1 -1"),
        (
            "application/grpc+proto",
            None,
            503,
            "Unavailable UNAVAILABLE 14",
        ),
        ("application/grpc", None, 200, "Unknown UNKNOWN 2"),
        ("application/json", Some("1"), 200, "- - -"),
        ("application/json", None, 503, "- - -"),
    ] {
        let request = Request::post("/").header("content-type", content_type);
        let (request, ()) = request.body(()).unwrap().into_parts();
        let mut response = Response::builder().status(code);
        if let Some(written) = written {
            response = response.header("grpc-status", written);
        }
        let (response, ()) = response.body(()).unwrap().into_parts();
        let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
        let exchange = exchange.with_response(&response);
        let evaluated = String::from_utf8(format.evaluate(&exchange, "-")).unwrap();
        assert_eq!(evaluated, expected, "{content_type} {written:?} {code}");
    }
}

#[test]
fn the_ends_of_the_connection_to_the_upstream_are_there_once_it_is() {
    // As of Envoy 1.40, also with an endpoint that cannot be connected to.
    let format: FormatString = "%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% \
        %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %UPSTREAM_LOCAL_ADDRESS% \
        %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%"
        .parse()
        .unwrap();
    let address = EndpointAddress::Ip("[::1]:8080".parse().unwrap());
    let request = Request::get("/").extension(SelectedEndpoint(Arc::new(Endpoint::new(address))));
    let (request, ()) = request.body(()).unwrap().into_parts();
    for (local, expected) in [
        (None, "[::1]:8080 - - - - - -"),
        (
            Some("127.0.0.1:4000"),
            "[::1]:8080 [::1]:8080 ::1 8080 127.0.0.1:4000 127.0.0.1 4000",
        ),
    ] {
        let completion = Completion {
            upstream_local_address: local.map(Into::into),
            ..Completion::default()
        };
        let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
        let exchange = exchange.with_completion(&completion);
        let evaluated = String::from_utf8(format.evaluate(&exchange, "-")).unwrap();
        assert_eq!(evaluated, expected);
    }
}

#[test]
fn an_operator_alone_keeps_its_type() {
    let (request, ()) = Request::get("/").body(()).unwrap().into_parts();
    let completion = Completion::default();
    let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
    let exchange = exchange.with_completion(&completion);
    for (format, expected) in [
        ("%BYTES_SENT%", Some(Alone::Number(b"0".to_vec()))),
        ("%UPSTREAM_PEER_URI_SAN%", Some(Alone::Absent)),
        ("%REQ(:method)%", Some(Alone::Text(b"GET".to_vec()))),
        ("%ROUTE_NAME%", Some(Alone::Absent)),
        ("%BYTES_SENT%b", None),
        ("fixed", None),
    ] {
        let parsed: FormatString = format.parse().unwrap();
        assert_eq!(parsed.evaluate_alone(&exchange), expected, "{format}");
    }
}

#[test]
fn a_header_holds_nothing_that_is_known_only_at_the_end() {
    for (format, operator) in [("%DURATION%", "DURATION"), ("a%TRAILER(x)%", "TRAILER")] {
        let error = format.parse::<HeaderFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("operator `{operator}` is not supported")
        );
    }
}
