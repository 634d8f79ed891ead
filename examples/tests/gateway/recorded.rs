//! What access logs say of requests that no endpoint answers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use mesh_policy::telemetry::access_log::LogLines;
use serde_json::json;
use tokio::runtime::Builder;

use crate::policies::{CART, NO_ADMIN};
use crate::policies_asked::{documents, mesh};
use crate::scene::{Scene, settings};

const RULES: &str = "
  - name: told
    match: [{ uri: { prefix: /told } }]
    directResponse: { status: 418 }
  - name: gone
    match: [{ uri: { prefix: /gone } }]
    route: [{ destination: { host: gone.example } }]
  - name: late
    match: [{ uri: { prefix: /late } }]
    timeout: 0.1s
    route: [{ destination: { host: silent.example } }]
  - name: tried
    match: [{ uri: { prefix: /tried } }]
    retries: { attempts: 1, perTryTimeout: 0.1s, retryOn: connect-failure }
    route: [{ destination: { host: silent.example } }]
  - name: patient
    match: [{ uri: { prefix: /patient } }]
    route: [{ destination: { host: silent.example } }]
  - name: admin
    match: [{ uri: { prefix: /admin } }]
    route: [{ destination: { host: cart.example } }]
  - route: [{ destination: { host: cart.example } }]
";

const FORMAT: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% \
    %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %HOSTNAME% \
    %ENVIRONMENT(NONE)%";

const TELEMETRY: &str = "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: all, namespace: istio-system }
spec: { accessLogging: [{ providers: [{ name: mine }] }] }
";

/// A service at a port of this machine.
fn entry(host: &str, port: u16) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {host}, namespace: shop }}
spec:
  hosts: [{host}]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
"
    )
}

/// A gateway of which each request is logged, before a service that never answers and one that is
/// not there.
struct Recorded {
    scene: Scene,
    lines: LogLines,
    silent: TcpListener,
    gone: u16,
}

impl Recorded {
    fn start() -> Self {
        let mut settings = settings();
        settings.constants.hostname = Some("pod-1".to_owned());
        settings.metrics = true;
        let (mut scene, lines) = Scene::logging(settings, CART);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = gone.local_addr().unwrap().port();
        let log = json!({"logFormat": {"text": FORMAT}});
        let provider = mesh(&json!({"name": "mine", "envoyFileAccessLog": log}));
        let others = documents(&[
            &entry("silent.example", silent.local_addr().unwrap().port()),
            &entry("gone.example", gone),
            NO_ADMIN,
            &provider,
            TELEMETRY,
        ]);
        assert_eq!(scene.publish(RULES, &others), [""; 0]);
        Self {
            scene,
            lines,
            silent,
            gone,
        }
    }

    fn line(&mut self) -> String {
        line(&mut self.lines)
    }
}

/// The next line of an access log.
pub(crate) fn line(lines: &mut LogLines) -> String {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let line = lines.recv();
    let line = runtime.block_on(async { tokio::time::timeout(PATIENCE, line).await });
    let line = String::from_utf8(line.unwrap().unwrap().into()).unwrap();
    line.trim_end().to_owned()
}

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn requests_that_are_refused_before_a_route_is_looked_for_are_logged_and_counted() {
    let mut recorded = Recorded::start();
    for (request, expected) in [
        ("GET / HTTP/1.0\r\n", "426 DPE low_version"),
        ("FOO / HTTP/1.1\r\n", "400 DPE http1.codec_error"),
        ("CONNECT a:80 HTTP/1.1\r\n", "404 NR route_not_found"),
        (
            "GET https://a/ HTTP/1.1\r\n",
            "403 DPE http1.https_url_on_plaintext_connection",
        ),
        ("GET /%00 HTTP/1.1\r\n", "400 - path_normalization_failed"),
    ] {
        let mut client = recorded.scene.connect();
        let request = format!("{request}host: shop.example\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let line = recorded.line();
        assert_eq!(line, format!("{expected} - - - 0 pod-1 -"), "{answer}");
        let text = recorded.scene.gateway.metrics().unwrap().encode();
        let code = expected.split(' ').next().unwrap();
        assert!(
            text.contains(&format!("response_code=\"{code}\"")),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_answered_by_an_endpoint_is_logged_with_where_it_was_to_go() {
    let mut recorded = Recorded::start();
    let silent = recorded.silent.local_addr().unwrap();
    let gone = recorded.gone;
    let refused = "delayed_connect_error:_Connection_refused";
    let denied = "ns[istio-system]-policy[no-admin]-rule[0]";
    for (path, expected) in [
        ("/told", "418 - direct_response told - - 0".to_owned()),
        (
            "/gone",
            format!(
                "503 URX,UF upstream_reset_before_response_started{{remote_connection_failure|{refused}}} \
                 gone outbound|80||gone.example 127.0.0.1:{gone} 3"
            ),
        ),
        (
            "/late",
            format!("504 UT response_timeout late outbound|80||silent.example {silent} 1"),
        ),
        (
            "/tried",
            format!("504 UT upstream_per_try_timeout tried outbound|80||silent.example {silent} 1"),
        ),
        (
            "/admin",
            format!(
                "403 - rbac_access_denied_matched_policy[{denied}] admin \
                 outbound|80||cart.example - 0"
            ),
        ),
    ] {
        recorded.scene.get(path, "");
        assert_eq!(recorded.line(), format!("{expected} pod-1 -"), "{path}");
    }
    recorded.scene.get("/", "");
    let line = recorded.line();
    let served = "200 - via_upstream - outbound|80||cart.example 127.0.0.1:";
    assert!(line.starts_with(served), "{line}");
}

#[test]
fn a_client_that_goes_away_is_logged_with_the_endpoint_that_it_did_not_wait_for() {
    let mut recorded = Recorded::start();
    let mut client = recorded.scene.connect();
    client
        .write_all(b"GET /patient HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        .unwrap();
    // Once it is there, the client is gone.
    let (upstream, _) = recorded.silent.accept().unwrap();
    drop(client);
    let silent = recorded.silent.local_addr().unwrap();
    let expected = format!(
        "0 DC downstream_remote_disconnect patient outbound|80||silent.example {silent} 1 pod-1 -"
    );
    assert_eq!(recorded.line(), expected);
    drop(upstream);
}
