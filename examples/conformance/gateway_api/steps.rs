//! The steps of a test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use mesh_core::resource::kind::Kind;
use mesh_core::workload::Workload;
use serde_json::Value;

use super::certificates::Certificates;
use super::{expectation, manifests, mesh};
use crate::case::{Outcome, list, text};
use crate::stage::client::Call;
use crate::stage::echo::{SERVICE, SET_HEADER, SIMULATE, Seen, Simulation};
use crate::stage::scene::{Scene, runtime};

/// The address by which gateways are called.
const GATEWAY_HOST: &str = "192.0.2.1";
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// How many requests are sent to measure weights, and how far a share may be off.
const SAMPLES: u32 = 2000;
const TOLERANCE: f64 = 0.05;
/// How many requests are sent to measure mirroring, and by how many per cent it may be off. The
/// suite tolerates as much.
const COPIES: u32 = 200;
const MIRROR_TOLERANCE: f64 = 15.0;
/// An empty gRPC message.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// The configuration and the services of a test.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    pub(super) scene: Scene,
    pub(super) certificates: &'a Certificates,
}

impl<'a> Steps<'a> {
    /// Loads the manifests of `test`, without the resources of the kind `deleted`.
    pub(super) fn load(
        test: &Value,
        directory: &Path,
        certificates: &'a Certificates,
        deleted: Option<Kind>,
    ) -> Result<Self, String> {
        let (configuration, pods) = manifests::load(test, directory, certificates, deleted)?;
        Ok(Self {
            scene: Scene::new(runtime()?, configuration.build()?, pods)?,
            certificates,
        })
    }

    /// A request to a gateway.
    pub(super) fn http(&self, step: &Value) -> Outcome {
        let address = match self.gateway(step) {
            Ok(address) => address,
            Err(why) => return expectation::judge(step, &Err(why)),
        };
        let request = step.get("request").unwrap_or(&Value::Null);
        let call = match self.call(step, request) {
            Ok(call) => call,
            Err(why) => return Outcome::Unsupported(why),
        };
        let answer = self.scene.send(address, &call);
        let outcome = expectation::judge(step, &answer);
        let mirrors = list(step, "mirrored_to");
        if outcome != Outcome::Passed || mirrors.is_empty() {
            return outcome;
        }
        if mirrors
            .iter()
            .any(|mirror| mirror.get("percent").is_some_and(Value::is_number))
        {
            return self.mirrored_in_part(mirrors, address, request);
        }
        self.mirrored_to(mirrors, text(request, "path"))
    }

    /// The call of a step: within TLS, if the step is about that.
    fn call(&self, step: &Value, request: &Value) -> Result<Call, String> {
        let mut call = call(request, GATEWAY_HOST);
        if text(step, "kind") == "https" {
            let mut tls = self.tls(step, text(step, "sni"))?;
            let protocol = match text(request, "protocol") {
                "H2" => "h2",
                _ => "http/1.1",
            };
            tls.protocols = vec![protocol.to_owned()];
            call.tls = Some(tls);
        }
        if let Some(simulation) = step.get("backend_simulation") {
            let value = serde_json::to_string(&simulation_of(step, simulation));
            let value = value.map_err(|error| error.to_string())?;
            call.headers.push((SIMULATE.into(), value));
        }
        Ok(call)
    }

    /// Many requests, and the share of them that is copied to each mirror.
    fn mirrored_in_part(&self, mirrors: &[Value], address: SocketAddr, request: &Value) -> Outcome {
        let path = text(request, "path");
        let copies = |mirror: &Value| {
            let name = text(mirror, "name");
            self.scene
                .count(|seen| seen.service.name == name && seen.path == path)
        };
        let before: Vec<usize> = mirrors.iter().map(copies).collect();
        for _ in 0..COPIES {
            if let Err(why) = self.scene.send(address, &call(request, GATEWAY_HOST)) {
                return Outcome::Failed(format!("no answer: {why}"));
            }
        }
        for (mirror, before) in mirrors.iter().zip(before) {
            let percent = mirror
                .get("percent")
                .and_then(Value::as_f64)
                .unwrap_or(100.0);
            let copies = u32::try_from(copies(mirror).saturating_sub(before)).unwrap_or(u32::MAX);
            let share = 100.0 * f64::from(copies) / f64::from(COPIES);
            if (share - percent).abs() > MIRROR_TOLERANCE {
                return Outcome::Failed(format!("{share} % were copied, not {percent} %"));
            }
        }
        Outcome::Passed
    }

    /// A gRPC call to a gateway.
    pub(super) fn grpc(&self, step: &Value) -> Outcome {
        let address = match self.gateway(step) {
            Ok(address) => address,
            Err(why) => return expectation::judge(step, &Err(why)),
        };
        let request = step.get("request").unwrap_or(&Value::Null);
        let mut call = call(request, GATEWAY_HOST);
        call.path = text(request, "method").to_owned();
        call.method = "POST".into();
        call.body = Bytes::from_static(EMPTY_MESSAGE);
        call.http2 = true;
        call.headers
            .push(("content-type".into(), "application/grpc".into()));
        call.headers.push(("te".into(), "trailers".into()));
        let reply = match self.scene.send(address, &call) {
            Ok(reply) => reply,
            Err(why) => return Outcome::Failed(format!("no answer: {why}")),
        };
        let code = step
            .get("expect_code")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let found = reply
            .field("grpc-status")
            .unwrap_or_else(|| format!("HTTP {}", reply.status));
        if found != code.to_string() {
            return Outcome::Failed(format!("code: expected {code}, got {found}"));
        }
        match text(step, "backend") {
            "" => Outcome::Passed,
            name => Outcome::equal(&Some(name.to_owned()), &reply.field(SERVICE)),
        }
    }

    /// A request of a workload of the mesh.
    pub(super) fn mesh(&self, step: &Value) -> Outcome {
        let request = step.get("request").unwrap_or(&Value::Null);
        let address = self.mesh_address(step, request);
        let answer = address.and_then(|address| self.scene.send(address, &mesh_call(request)));
        expectation::judge_of_mesh(step, &answer)
    }

    /// Many requests, and the share of each service.
    pub(super) fn weights(&self, step: &Value) -> Outcome {
        let request = step.get("request");
        let address = match (step.get("gateway"), request) {
            (Some(_), _) => self.gateway(step),
            (None, request) => self.mesh_address(step, request.unwrap_or(&Value::Null)),
        };
        let mut counts = BTreeMap::<String, u32>::new();
        for _ in 0..SAMPLES {
            match address
                .clone()
                .and_then(|address| self.sample(address, request))
            {
                Ok(name) => *counts.entry(name).or_default() += 1,
                Err(why) => return Outcome::Failed(format!("no answer: {why}")),
            }
        }
        let weights = step.get("weights").and_then(Value::as_object);
        for (name, weight) in weights.into_iter().flatten() {
            let count = counts.get(name).copied().unwrap_or_default();
            let share = f64::from(count) / f64::from(SAMPLES);
            if (share - weight.as_f64().unwrap_or_default()).abs() > TOLERANCE {
                return Outcome::Failed(format!("{name}: expected {weight}, got {share}"));
            }
        }
        Outcome::Passed
    }

    /// Who answers a request, or a connection if there is no request.
    fn sample(&self, address: SocketAddr, request: Option<&Value>) -> Result<String, String> {
        let Some(request) = request else {
            return Ok(self.who(address, None)?.service.name);
        };
        let reply = self.scene.send(address, &mesh_call(request))?;
        let service = reply.service();
        service
            .map(|service| service.name)
            .ok_or_else(|| "the answer is not of a backend".into())
    }

    /// Whether the services that a step names got a request for its path.
    pub(super) fn mirrored(&self, step: &Value) -> Outcome {
        let [Value::Array(backends), Value::String(path)] = list(step, "args") else {
            return Outcome::unsupported("a step whose arguments are not understood");
        };
        self.mirrored_to(backends, path)
    }

    fn mirrored_to(&self, backends: &[Value], path: &str) -> Outcome {
        for backend in backends {
            let backend = backend.get("BackendRef").unwrap_or(backend);
            let either = |lower, upper| match text(backend, lower) {
                "" => text(backend, upper).to_owned(),
                name => name.to_owned(),
            };
            let (name, namespace) = (either("name", "Name"), either("namespace", "Namespace"));
            let got = |seen: &Seen| {
                seen.service.name == name
                    && seen.path.split('?').next() == Some(path)
                    && (namespace.is_empty() || seen.service.namespace == namespace)
            };
            if !self.scene.sees(got) {
                return Outcome::Failed(format!("{namespace}/{name} got no copy of {path}"));
            }
        }
        Outcome::Passed
    }

    /// Where the gateway of a step answers.
    pub(super) fn gateway(&self, step: &Value) -> Result<SocketAddr, String> {
        let gateway = step.get("gateway").unwrap_or(&Value::Null);
        let (name, namespace) = (text(gateway, "name"), text(gateway, "namespace"));
        let port = match step.get("port").and_then(port_number) {
            Some(port) => port,
            None => self.port(namespace, name, list(gateway, "listeners"))?,
        };
        let workload = Workload::gateway(namespace).with_label(GATEWAY_NAME, name);
        self.scene.gateway(&workload, port)
    }

    /// The port of the first of the named listeners of a Gateway, or of its first listener.
    fn port(&self, namespace: &str, name: &str, listeners: &[Value]) -> Result<u16, String> {
        let mut gateways = self.scene.config().resources().gateway_api.gateways.iter();
        let gateway = gateways.find(|gateway| {
            gateway.metadata.name == name && gateway.metadata.namespace == namespace
        });
        let gateway = gateway.ok_or_else(|| format!("there is no Gateway {namespace}/{name}"))?;
        let wanted = listeners.first().and_then(Value::as_str);
        let all = &gateway.spec.listeners;
        let named = all
            .iter()
            .find(|listener| Some(listener.name.as_str()) == wanted);
        let port = named.or_else(|| all.first()).map(|listener| listener.port);
        port.ok_or_else(|| format!("Gateway {namespace}/{name} has no listener"))
    }

    /// Where a request of a step's client arrives.
    fn mesh_address(&self, step: &Value, request: &Value) -> Result<SocketAddr, String> {
        let client = step.get("client").unwrap_or(&Value::Null);
        let namespace = match text(client, "namespace") {
            "" => "gateway-conformance-mesh",
            namespace => namespace,
        };
        let labels = client.get("app").and_then(Value::as_object);
        let workload = self.scene.pods().workload(|pod| {
            let mut labels = labels.into_iter().flatten();
            pod.sidecar
                && pod.service.namespace == namespace
                && labels
                    .all(|(key, value)| pod.labels.get(key).map(String::as_str) == value.as_str())
        });
        let workload = workload.ok_or("there is no such client")?;
        let host = text(request, "host");
        let (host, port) = host.split_once(':').unwrap_or((host, "80"));
        let host = if host.is_empty() { "echo" } else { host };
        let address = mesh::address(host, namespace);
        let address = address.ok_or_else(|| format!("there is no service `{host}`"))?;
        let port: u16 = port.parse().map_err(|_| format!("no port: `{port}`"))?;
        self.scene
            .sidecar(&workload, SocketAddr::from((address, port)))
    }
}

/// The failures that a step asks its backend for.
fn simulation_of(step: &Value, simulation: &Value) -> Simulation {
    let number = |name| text(simulation, name).parse().ok();
    Simulation {
        id: text(step, "case").to_owned(),
        status: number("responseCode").unwrap_or(500),
        failures: number("succeedAfter").map_or(0, u32::from),
        delay: match text(simulation, "delayRetry") {
            "" => None,
            delay => Some(delay.to_owned()),
        },
    }
}

fn port_number(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.and_then(|number| u16::try_from(number).ok())
}

/// The call of a request, to `host` unless it names another.
fn call(request: &Value, host: &str) -> Call {
    let or = |name, otherwise: &str| match text(request, name) {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    let mut call = Call {
        method: or("method", "GET"),
        path: or("path", "/"),
        host: or("host", host),
        headers: Vec::new(),
        body: Bytes::new(),
        http2: text(request, "protocol") == "H2C_PRIOR_KNOWLEDGE",
        tls: None,
    };
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
    let set = request
        .get("backend_sets_response_headers")
        .and_then(Value::as_object);
    for (name, value) in set.into_iter().flatten() {
        let value = format!("{name}:{}", value.as_str().unwrap_or_default());
        call.headers.push((SET_HEADER.into(), value));
    }
    call
}

fn mesh_call(request: &Value) -> Call {
    call(request, "echo")
}
