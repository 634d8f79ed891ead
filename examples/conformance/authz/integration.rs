//! Requests of Istio's end-to-end security tests, through the layers of the workloads that they
//! come by.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use mesh_core::attributes::{ConnectionInfo, PeerIdentity, TlsInfo};
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::policy::MtlsMode;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_policy::authz::{Connection, Custom};
use mesh_routing::request::RequestHead;
use mesh_routing::table::{Lookup, RouteTable};
use serde_json::Value;

use super::backend::Backend;
use super::hop::{Arrival, Hop, KEYS, arrive};
use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::Configuration;

/// Where the tests put resources that name no namespace.
const NAMESPACE: &str = "echo1";
/// Label of the workloads of a Gateway API gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The client of gateways, which is outside of the mesh.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Sends the requests.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let to = case.get("to").map_or("", |to| text(to, "service"));
        let request = case.get("request").unwrap_or(&Value::Null);
        let parts = [
            text(case, "test"),
            text(case, "case"),
            text(case, "policies"),
            to,
            text(request, "port_name"),
            text(request, "method"),
            text(request, "path").trim_start_matches('/'),
        ];
        let outcome = Scene::new(document, case).and_then(|scene| scene.run());
        cases.push(id(&parts), outcome.unwrap_or_else(Outcome::Failed));
    }
    cases.into_vec()
}

/// A case and its configuration.
struct Scene<'a> {
    case: &'a Value,
    request: &'a Value,
    config: MeshConfig,
    jwks: String,
}

impl<'a> Scene<'a> {
    fn new(document: &'a Value, case: &'a Value) -> Result<Self, String> {
        let policies = document.get("policies");
        let policies = policies.map_or(&[][..], |all| list(all, text(case, "policies")));
        let mut configuration = Configuration::new(NAMESPACE);
        for policy in policies {
            let text = policy.to_string().replace("$JWKS_URI", KEYS);
            let mut policy: Value =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let metadata = policy.get_mut("metadata").and_then(Value::as_object_mut);
            if let Some(metadata) = metadata
                && metadata.get("namespace") == Some(&Value::Null)
            {
                metadata.remove("namespace");
            }
            configuration.add_value(&policy)?;
        }
        for service in services() {
            configuration.add_value(&service)?;
        }
        Ok(Self {
            case,
            request: case.get("request").unwrap_or(&Value::Null),
            config: configuration.build()?,
            jwks: document
                .get("jwks")
                .map(Value::to_string)
                .unwrap_or_default(),
        })
    }

    fn run(&self) -> Result<Outcome, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        if text(self.request, "protocol") == "TCP" {
            let hop = runtime.block_on(Hop::new(&self.model(&self.destination()), &self.jwks))?;
            return Ok(self.judge(self.connect(&hop), None, &Backend::default()));
        }
        let backend = Backend::default();
        let response = runtime.block_on(self.send(&backend))?;
        let is_allowed = backend.seen().is_some();
        Ok(self.judge(is_allowed, response.as_ref(), &backend))
    }

    fn model(&self, workload: &Workload) -> Model {
        resolve(&self.config, workload)
    }

    fn to(&self, field: &str) -> &str {
        self.case.get("to").map_or("", |to| text(to, field))
    }

    fn from(&self, field: &str) -> &str {
        self.case.get("from").map_or("", |from| text(from, field))
    }

    fn destination(&self) -> Workload {
        let mut workload =
            Workload::sidecar(self.to("namespace")).with_label("app", self.to("service"));
        let labels = self.case.get("to_labels").and_then(Value::as_object);
        for (name, value) in labels.into_iter().flatten() {
            workload = workload.with_label(name, value.as_str().unwrap_or_default());
        }
        workload
    }

    /// The gateway before the destination, with the identity that it calls by.
    fn gateway(&self) -> Option<(Workload, &'static str)> {
        let classic = |name: &str, kind: &str| {
            Workload::gateway("istio-system")
                .with_label("app", name)
                .with_label("istio", kind)
        };
        match text(self.case, "via") {
            "gateway-api-ingress" => Some((
                Workload::gateway(NAMESPACE).with_label(GATEWAY_NAME, "b-gateway"),
                "cluster.local/ns/echo1/sa/b-gateway-istio",
            )),
            "ingress" => Some((
                classic("istio-ingressgateway", "ingressgateway"),
                "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
            )),
            _ if self.request.get("address").is_some() => Some((
                classic("istio-egressgateway", "egressgateway"),
                "cluster.local/ns/istio-system/sa/istio-egressgateway-service-account",
            )),
            _ => None,
        }
    }

    fn is_plaintext(&self) -> bool {
        let from = self.case.get("from");
        from.and_then(|from| from.get("mtls"))
            .and_then(Value::as_bool)
            == Some(false)
    }

    /// Sends the request by all hops; nothing comes back if a connection is refused.
    async fn send(&self, backend: &Backend) -> Result<Option<Response<Bytes>>, String> {
        let mut request = self.http_request()?;
        let mut peer = (!self.is_plaintext()).then(|| self.from("principal"));
        if let Some((workload, principal)) = self.gateway() {
            let model = self.model(&workload);
            let routes = routes(&model, &request);
            let hop = Hop::new(&model, &self.jwks).await?;
            let hop = match routes {
                Some(routes) => hop.with_routes(routes),
                None => hop,
            };
            let arrival = self.arrival(peer.filter(|peer| !peer.is_empty()), 0)?;
            match hop.send(request, arrival).await {
                Ok(passed) => request = passed,
                Err(response) => return Ok(Some(response)),
            }
            request.extensions_mut().clear();
            peer = Some(principal);
        }
        let model = self.model(&self.destination());
        let port = self.port("workload_port");
        if peer.is_none() && model.policies.peer.mode_of(port) == MtlsMode::Strict {
            return Ok(None);
        }
        let hop = Hop::new(&model, &self.jwks).await?;
        match hop.send(request, self.arrival(peer, port)?).await {
            Ok(passed) => Ok(Some(arrive(backend, &passed))),
            Err(response) => Ok(Some(response)),
        }
    }

    fn port(&self, field: &str) -> u16 {
        let port = self.request.get(field).and_then(Value::as_u64);
        port.and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default()
    }

    fn arrival(&self, peer: Option<&str>, port: u16) -> Result<Arrival, String> {
        let source: IpAddr = self.from("ip").parse().unwrap_or_else(|_| OUTSIDE.into());
        let local: IpAddr = self.to("ip").parse().map_err(|error| format!("{error}"))?;
        let peer = peer.map(|peer| format!("spiffe://{peer}").parse());
        let peer = peer.transpose().map_err(|error| format!("{error}"))?;
        Ok(Arrival {
            connection: ConnectionInfo {
                peer: SocketAddr::new(source, 40_000),
                local: SocketAddr::new(local, port),
                tls: peer.as_ref().map(|_| TlsInfo::default()),
            },
            peer: peer.map(PeerIdentity),
        })
    }

    fn http_request(&self) -> Result<Request<()>, String> {
        let fields = self.request.get("headers").and_then(Value::as_object);
        let mut headers = HeaderMap::new();
        for (name, value) in fields.into_iter().flatten() {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let value = HeaderValue::try_from(value.as_str().unwrap_or_default());
            headers.append(name, value.map_err(|error| error.to_string())?);
        }
        if text(self.request, "protocol") == "GRPC" {
            let grpc = HeaderValue::from_static("application/grpc");
            headers.insert(http::header::CONTENT_TYPE, grpc);
        }
        let host = headers.remove(http::header::HOST);
        let host = host.as_ref().and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_else(|| self.to("service"));
        let request = Request::builder()
            .method(text(self.request, "method"))
            .uri(format!("http://{host}{}", text(self.request, "path")))
            .body(());
        let mut request = request.map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Whether a TCP connection is let through.
    fn connect(&self, hop: &Hop) -> bool {
        let peer = (!self.is_plaintext()).then(|| format!("spiffe://{}", self.from("principal")));
        let port = self.port("workload_port");
        let strict = self.model(&self.destination()).policies.peer.mode_of(port);
        if peer.is_none() && strict == MtlsMode::Strict {
            return false;
        }
        let address = |text: &str| text.parse().unwrap_or_else(|_| OUTSIDE.into());
        let connection = Connection {
            peer: peer.as_deref(),
            ..Connection::new(
                SocketAddr::new(address(self.from("ip")), 40_000),
                SocketAddr::new(address(self.to("ip")), port),
            )
        };
        // The authorizer of the tests allows the account `a`.
        let asked = match hop.policies().custom().evaluate_connection(&connection) {
            Custom::Pass => true,
            Custom::Ask { .. } => self.from("principal").ends_with("/sa/a"),
            Custom::Deny(_) => false,
        };
        asked && hop.policies().evaluate_connection(&connection).is_allowed()
    }

    fn judge(
        &self,
        is_allowed: bool,
        response: Option<&Response<Bytes>>,
        backend: &Backend,
    ) -> Outcome {
        let expect = self.case.get("expect").unwrap_or(&Value::Null);
        let status = response.map(|response| u64::from(response.status().as_u16()));
        let expected = |field| expect.get(field).and_then(Value::as_u64);
        if let Some(allow) = expect.get("allow").and_then(Value::as_bool)
            && allow != is_allowed
        {
            return Outcome::failed(format!("expected allow {allow}, got status {status:?}"));
        }
        if expected("status").is_some_and(|expected| Some(expected) != status) {
            return Outcome::failed(format!("got status {status:?}, expected {expect}"));
        }
        let not = expect.get("not_status").and_then(|not| match not {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        });
        if not.is_some() && not == status {
            return Outcome::failed(format!("got status {status:?}, expected another"));
        }
        let body = response.map(|response| String::from_utf8_lossy(response.body()));
        let contained = text(expect, "body_contains");
        if !contained.is_empty() && !body.is_some_and(|body| body.contains(contained)) {
            return Outcome::failed(format!("the body has not `{contained}`"));
        }
        let headers = backend.seen().unwrap_or_default();
        let wanted = expect
            .get("backend_request_headers")
            .and_then(Value::as_object);
        for (name, value) in wanted.into_iter().flatten() {
            let seen = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
            if seen != value.as_str().unwrap_or_default().as_bytes() {
                let seen = String::from_utf8_lossy(seen);
                return Outcome::failed(format!("`{name}` is `{seen}`, expected {value}"));
            }
        }
        Outcome::Passed
    }
}

/// The routes of a gateway that are for the request.
fn routes(model: &Model, request: &Request<()>) -> Option<RouteTable> {
    let tables = model.route_configurations.values();
    let mut tables = tables.filter_map(|routes| RouteTable::compile(routes).ok());
    tables.find(|table| {
        let head = RequestHead::from(request);
        matches!(table.lookup(&head, 0), Lookup::Matched(_))
    })
}

/// The services that gateways forward to.
fn services() -> [Value; 1] {
    [serde_json::json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "b", "namespace": NAMESPACE},
        "spec": {
            "clusterIP": "10.96.0.2",
            "ports": [{"name": "http", "port": 80, "targetPort": 18_080}],
        },
    })]
}
