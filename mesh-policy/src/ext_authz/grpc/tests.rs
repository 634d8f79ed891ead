use std::time::{Duration, SystemTime};

use envoy_types::pb::envoy::config::core::v3::{HeaderValue as PbHeader, QueryParameter};
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::pb::google::rpc::Status as PbStatus;
use http::Request;
use http_body_util::Full;
use mesh_core::attributes::{ConnectionInfo, PeerIdentity, TlsInfo};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Channel;

use super::question::{PARTIAL_BODY, SERVICE_CLUSTER, of_request};
use super::*;
use crate::ext_authz::tests::{asked, body, check, send};
use crate::ext_authz::{BodySettings, Provider, Settings};

const PEER: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const OURS: &str = "spiffe://cluster.local/ns/shop/sa/stock";

fn option(action: i32) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(PbHeader {
            key: "x-a".to_owned(),
            value: "1".to_owned(),
            ..PbHeader::default()
        }),
        append_action: action,
        ..HeaderValueOption::default()
    }
}

#[test]
#[expect(deprecated, reason = "it is what authorizers send")]
fn the_action_of_a_header_is_that_of_envoy() {
    use AppendAction::{
        AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists, OverwriteIfExistsOrAdd,
    };

    // Observed from Envoy 1.40: `append` decides where it is there, an action that is not known
    // overwrites, and requests know no other.
    let cases = [
        (None, 0, AppendIfExistsOrAdd),
        (None, 1, AddIfAbsent),
        (None, 2, OverwriteIfExistsOrAdd),
        (None, 3, OverwriteIfExists),
        (None, 9, OverwriteIfExistsOrAdd),
        (Some(true), 2, AppendIfExistsOrAdd),
        (Some(false), 0, OverwriteIfExistsOrAdd),
    ];
    for (append, number, expected) in cases {
        let option = HeaderValueOption {
            append: append.map(|value| BoolValue { value }),
            ..option(number)
        };
        let allowed = OkHttpResponse {
            headers: vec![option.clone()],
            response_headers_to_add: vec![option],
            ..OkHttpResponse::default()
        };
        let changes = changes_of(&allowed);
        assert_eq!(changes.response[0].action, expected, "{append:?} {number}");
        if append == Some(true) {
            assert_eq!((changes.request.len(), changes.extend.len()), (0, 1));
        } else {
            assert_eq!(changes.request[0].action, OverwriteIfExistsOrAdd);
            assert!(changes.extend.is_empty(), "{append:?} {number}");
        }
    }
}

#[test]
fn headers_of_a_response_are_written_in_the_order_of_envoy() {
    let options = [3, 1, 2, 0, 2].map(option);
    let allowed = OkHttpResponse {
        response_headers_to_add: options.to_vec(),
        ..OkHttpResponse::default()
    };
    let actions = changes_of(&allowed).response.into_iter();
    let actions: Vec<_> = actions.map(|change| change.action).collect();
    assert_eq!(
        actions,
        [
            AppendAction::AppendIfExistsOrAdd,
            AppendAction::OverwriteIfExistsOrAdd,
            AppendAction::OverwriteIfExistsOrAdd,
            AppendAction::AddIfAbsent,
            AppendAction::OverwriteIfExists,
        ]
    );
}

#[test]
fn parameters_of_the_query_are_written_and_removed() {
    let allowed = OkHttpResponse {
        query_parameters_to_set: vec![QueryParameter {
            key: "user".to_owned(),
            value: "ann".to_owned(),
        }],
        query_parameters_to_remove: vec!["token".to_owned()],
        ..OkHttpResponse::default()
    };
    let changes = changes_of(&allowed);
    assert_eq!(changes.set_query, [("user".to_owned(), "ann".to_owned())]);
    assert_eq!(changes.remove_query, ["token"]);
}

#[test]
#[expect(deprecated, reason = "it is what authorizers send")]
fn headers_of_a_denial_are_all_there_but_those_that_are_to_be_appended() {
    let mut appended = HeaderValueOption {
        append: Some(BoolValue { value: true }),
        ..option(0)
    };
    appended.header.as_mut().unwrap().value = "2".to_owned();
    let denied = DeniedHttpResponse {
        headers: vec![option(0), appended, option(0)],
        ..DeniedHttpResponse::default()
    };
    let values = |headers: &HeaderMap| {
        let values = headers.get_all("x-a").iter();
        let values = values.map(|value| value.to_str().unwrap().to_owned());
        values.collect::<Vec<_>>()
    };
    assert_eq!(values(&denial_of(denied.clone()).headers), ["1", "1"]);
    // Observed from Envoy 1.40: who failed may append, and does so after the others.
    assert_eq!(values(&failure_of(denied).headers), ["1", "1", "2"]);
}

#[test]
fn an_authorizer_that_failed_says_how_to_answer() {
    let response = |code| CheckResponse {
        status: Some(PbStatus {
            code: 13,
            ..PbStatus::default()
        }),
        http_response: Some(HttpResponse::ErrorResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code }),
            headers: vec![option(2), option(2)],
            body: "later".to_owned(),
        })),
        ..CheckResponse::default()
    };
    // Without a status of its own, it is that of the settings.
    for (code, expected) in [
        (0, StatusCode::BAD_GATEWAY),
        (503, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let error = answer(response(code)).unwrap_err();
        let denial = error.into_denial(StatusCode::BAD_GATEWAY);
        assert_eq!(denial.status, expected);
        // As in Envoy, nothing that it says takes the place of something else.
        assert_eq!(denial.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(denial.body, "later");
    }
}

fn told(peer: Option<PeerIdentity>) -> Check {
    let tls = TlsInfo {
        server_name: Some("shop.example".into()),
        ..TlsInfo::default()
    };
    let connection = ConnectionInfo {
        peer: ([10, 0, 0, 1], 1).into(),
        local: ([10, 0, 0, 2], 2).into(),
        tls: Some(tls),
    };
    let mut request = Request::get("/asked?q")
        .extension(connection)
        .header("host", "shop.example")
        .header("x-b", "1")
        .header("x-b", "2")
        .header("x-c", HeaderValue::from_bytes(b"a\xff\xfe").unwrap())
        .header(PARTIAL_BODY, "false")
        .header(SERVICE_CLUSTER, "cart")
        .body(Full::default())
        .unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    Check {
        time: SystemTime::UNIX_EPOCH + Duration::new(7, 5),
        ..check(request)
    }
}

#[test]
fn an_authorizer_is_told_what_envoy_tells_it() {
    let ours: SpiffeId = OURS.parse().unwrap();
    let peer = PeerIdentity(PEER.parse().unwrap());
    let attributes = of_request(told(Some(peer)), false, Some(&ours));
    let attributes = attributes.attributes.unwrap();
    let (source, destination) = (attributes.source.unwrap(), attributes.destination.unwrap());
    assert_eq!(source.principal, PEER);
    assert_eq!(source.service, "cart");
    assert_eq!(destination.principal, OURS);
    let request = attributes.request.unwrap();
    let time = request.time.unwrap();
    assert_eq!((time.seconds, time.nanos), (7, 5));
    let mut headers: Vec<_> = request.http.unwrap().headers.into_iter().collect();
    headers.sort_unstable();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let expected = [
        (":authority", "shop.example"),
        (":method", "GET"),
        (":path", "/asked?q"),
        (":scheme", "https"),
        ("x-b", "1,2"),
        ("x-c", "a!!"),
        ("x-envoy-downstream-service-cluster", "cart"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn an_authorizer_is_told_the_scheme_that_the_client_named() {
    let mut asked = told(None);
    asked.scheme = http::uri::Scheme::HTTP;
    let attributes = of_request(asked, false, None).attributes.unwrap();
    assert!(attributes.tls_session.is_some());
    let request = attributes.request.unwrap().http.unwrap();
    assert_eq!(
        (&*request.scheme, &*request.headers[":scheme"]),
        ("http", "http")
    );
}

#[test]
fn whom_nobody_has_proven_anything_to_has_no_principal() {
    let ours: SpiffeId = OURS.parse().unwrap();
    let attributes = of_request(told(None), false, Some(&ours));
    let attributes = attributes.attributes.unwrap();
    assert_eq!(attributes.destination.unwrap().principal, "");
}

/// Decides by the header `x-a`, and answers with what it was asked.
#[derive(Debug)]
struct Grpc;

#[tonic::async_trait]
impl Authorization for Grpc {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        let attributes = request.into_inner().attributes.unwrap();
        let Some(request) = attributes.request else {
            // A connection, of which the account `a` may have one.
            let is_allowed = attributes.source.unwrap().principal.ends_with("/sa/a");
            return Ok(tonic::Response::new(CheckResponse {
                status: Some(PbStatus {
                    code: if is_allowed { 0 } else { 7 },
                    ..PbStatus::default()
                }),
                ..CheckResponse::default()
            }));
        };
        let http = request.http.unwrap();
        let option = |key: &str, value: String| HeaderValueOption {
            header: Some(PbHeader {
                key: key.to_owned(),
                value,
                ..PbHeader::default()
            }),
            ..HeaderValueOption::default()
        };
        let asked = format!("{} {} {} {}", http.method, http.host, http.path, http.body);
        let (code, response) = match http.headers.get("x-a").map(String::as_str) {
            Some("1") => {
                let allowed = OkHttpResponse {
                    headers: vec![option("x-asked", asked)],
                    headers_to_remove: vec!["x-a".to_owned()],
                    response_headers_to_add: vec![option("x-checked", "yes".to_owned())],
                    ..OkHttpResponse::default()
                };
                (0, HttpResponse::OkResponse(allowed))
            }
            Some("2") => return Err(tonic::Status::unavailable("busy")),
            _ => {
                let denied = DeniedHttpResponse {
                    status: Some(HttpStatus { code: 401 }),
                    headers: vec![option("x-why", "no".to_owned())],
                    body: "not you".to_owned(),
                };
                (16, HttpResponse::DeniedResponse(denied))
            }
        };
        Ok(tonic::Response::new(CheckResponse {
            status: Some(PbStatus {
                code,
                ..PbStatus::default()
            }),
            http_response: Some(response),
            ..CheckResponse::default()
        }))
    }
}

/// Serves the authorizer, and gives a channel to it.
async fn serve() -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_service(AuthorizationServer::new(Grpc));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let endpoint = tonic::transport::Endpoint::from_shared(uri);
    endpoint.unwrap().connect_lazy()
}

#[tokio::test]
async fn a_server_of_grpc_decides() {
    let settings = Settings {
        body: Some(BodySettings {
            max_bytes: 4,
            allow_partial: true,
        }),
        status_on_error: StatusCode::SERVICE_UNAVAILABLE,
        ..Settings::default()
    };
    let provider = Provider::new(GrpcAuthorizer::new(serve().await), settings);

    let response = send(provider.clone(), asked()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["x-asked"],
        "POST shop.example /asked?q 0123"
    );
    assert_eq!(response.headers()["x-checked"], "yes");
    assert!(!response.headers().contains_key("x-a"));
    assert_eq!(body(response).await, "0123456789");

    let with = |value: &'static str| {
        let mut request = asked();
        request
            .headers_mut()
            .insert("x-a", HeaderValue::from_static(value));
        request
    };
    let response = send(provider.clone(), with("2")).await;
    assert_eq!(response.status(), 503);

    let response = send(provider, with("3")).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["x-why"], "no");
    assert_eq!(body(response).await, "not you");
}

#[tokio::test]
async fn a_server_of_grpc_decides_about_connections() {
    let authorizer = GrpcAuthorizer::new(serve().await);
    let connection = ConnectionInfo {
        peer: ([10, 0, 0, 1], 1).into(),
        local: ([10, 0, 0, 2], 2).into(),
        tls: None,
    };
    for (account, expected) in [("a", true), ("b", false)] {
        let id = format!("spiffe://cluster.local/ns/shop/sa/{account}");
        let check = ConnectionCheck {
            connection: connection.clone(),
            peer: Some(PeerIdentity(id.parse().unwrap())),
            server_name: None,
        };
        let answer = authorizer.check_connection(check).await.unwrap();
        let is_allowed = matches!(answer, Answer::Allow(_));
        assert_eq!(is_allowed, expected, "{account}");
    }
}
