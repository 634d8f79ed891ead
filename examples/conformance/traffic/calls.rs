//! The calls of a case.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use mesh_core::workload::Workload;
use serde_json::Value;

use super::check::{self, Answer};
use super::shares;
use super::world::{NAMESPACE, Port, World};
use crate::case::{Outcome, text};
use crate::stage::client::Call;
use crate::stage::proxy::listener_of;
use crate::stage::scene::Scene;

/// Where the ingress gateway is called.
const GATEWAY: [u8; 4] = [192, 0, 2, 1];
/// How many redirects are followed.
const REDIRECTS: usize = 10;
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// Sends calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    scene: &'a Scene,
    world: &'a World,
}

impl<'a> Caller<'a> {
    /// Calls the services of `world` in `scene`.
    pub(super) fn new(scene: &'a Scene, world: &'a World) -> Self {
        Self { scene, world }
    }

    /// Sends a call as often as it says, and checks the answers; or their shares, if the test
    /// `shifts` requests between services.
    pub(super) fn call(self, case: &Value, shifts: bool) -> Outcome {
        let request = case.get("request").unwrap_or(&Value::Null);
        let is_gateway = case.get("from").and_then(Value::as_str) == Some("ingress");
        let destination = if is_gateway {
            self.through_gateway(request)
        } else {
            self.through_sidecar(case, request)
        };
        let (address, call) = match destination {
            Ok(destination) => destination,
            Err(why) if why.starts_with("needs ") => return Outcome::Unsupported(why),
            Err(why) => return Outcome::Failed(why),
        };
        let count = request.get("count").and_then(Value::as_u64).unwrap_or(1);
        let follow = request
            .get("follow_redirects")
            .and_then(Value::as_bool)
            .unwrap_or_default();
        let count = if shifts { shares::SAMPLES } else { count };
        let answers: Vec<Answer> = (0..count)
            .map(|_| self.answer(address, call.clone(), follow))
            .collect();
        if shifts {
            return shares::compare(self.scene, &answers);
        }
        check::evaluate(case.get("check").unwrap_or(&Value::Null), &answers)
    }

    fn through_gateway(self, request: &Value) -> Result<(SocketAddr, Call), String> {
        let workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
        let port = request.get("port").unwrap_or(&Value::Null);
        let number = port
            .get("service_port")
            .and_then(Value::as_u64)
            .unwrap_or(80);
        let number = u16::try_from(number).map_err(|error| error.to_string())?;
        let destination = SocketAddr::from((GATEWAY, number));
        let address = self.scene.proxy(&workload, destination, |model| {
            model
                .listeners
                .iter()
                .find(|listener| listener.declared_port == number)
        })?;
        Ok((address, call(request, "192.0.2.1", None)))
    }

    fn through_sidecar(self, case: &Value, request: &Value) -> Result<(SocketAddr, Call), String> {
        let from = case.get("from").unwrap_or(&Value::Null);
        let to = case.get("to").map_or("", |to| text(to, "service"));
        let port = request.get("port").unwrap_or(&Value::Null);
        let number = port.get("service_port").and_then(Value::as_u64);
        let known = self.world.port(text(port, "name"), number);
        let number = match (known, number.and_then(|number| u16::try_from(number).ok())) {
            (Some(known), _) => known.number,
            (None, Some(number)) => number,
            (None, None) => return Err(format!("there is no port {port}")),
        };
        if known.is_some_and(|port| !port.is_plain_http) {
            return Err("needs a proxy of TCP".into());
        }
        let called = match text(request, "address") {
            "" => to,
            address => address,
        };
        let destination = SocketAddr::new(self.address(called)?, number);
        let workload = Workload::sidecar(NAMESPACE)
            .with_label("app", text(from, "service"))
            .with_label("version", "v1");
        let address = self.scene.proxy(&workload, destination, |model| {
            listener_of(model, destination)
        })?;
        let host = if called == to {
            format!("{to}.{NAMESPACE}.svc.cluster.local")
        } else {
            called.to_owned()
        };
        Ok((address, call(request, &host, known)))
    }

    /// The address that a name stands for.
    fn address(self, name: &str) -> Result<IpAddr, String> {
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        let services = self.scene.config().services();
        let host = self.scene.config().resolve_host(name, NAMESPACE);
        let service = services.lookup(&host, NAMESPACE);
        let service = service.ok_or_else(|| format!("there is no service `{name}`"))?;
        let address = service.addresses.first().map(|network| network.addr());
        Ok(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }

    /// The answer to a call, or to what it is redirected to.
    fn answer(self, address: SocketAddr, mut call: Call, follow: bool) -> Answer {
        for _ in 0..REDIRECTS {
            let reply = self.scene.send(address, &call)?;
            let location = reply
                .field("location")
                .filter(|_| follow && reply.status / 100 == 3);
            let Some(location) = location else {
                return Ok(reply);
            };
            let uri: http::Uri = location
                .parse()
                .map_err(|_| format!("location {location:?}"))?;
            call.path = uri
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default();
            if let Some(host) = uri.authority() {
                call.host = host.to_string();
            }
        }
        Err(format!("redirected more than {REDIRECTS} times"))
    }
}

fn call(request: &Value, host: &str, port: Option<Port>) -> Call {
    let or = |name, otherwise: &str| match text(request, name) {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    let is_grpc = port.is_some_and(|port| port.is_grpc) || text(request, "scheme") == "grpc";
    let http2 = request
        .get("http2")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    let mut call = Call {
        method: or("method", "GET"),
        path: or("path", "/"),
        host: host.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
        http2: http2 || is_grpc,
    };
    if is_grpc {
        call.method = "POST".into();
        call.path = "/proto.EchoTestService/Echo".into();
        call.body = Bytes::from_static(EMPTY_MESSAGE);
        call.headers
            .push(("content-type".into(), "application/grpc".into()));
        call.headers.push(("te".into(), "trailers".into()));
    }
    for (name, value) in request
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default().to_owned();
        if name.eq_ignore_ascii_case("host") {
            call.host = value;
        } else {
            call.headers.push((name.clone(), value));
        }
    }
    call
}
