//! What a call sends.

use bytes::Bytes;
use serde_json::Value;

use super::world::{NAMESPACE, World};
use crate::case::{list, text};
use crate::stage::client::Call;
use crate::stage::dns::Over;
use crate::stage::lines::Conversation;
use crate::stage::scene::Scene;
use crate::stage::tls::Tls;

const EMPTY_MESSAGE: &[u8] = &[0; 5];
/// The address of the ingress gateway, which is the host of requests that name none.
const GATEWAY: &str = "192.0.2.1";

/// What a call sends, and to where.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) exchange: Exchange,
    pub(super) port: u16,
    /// A name or an address.
    pub(super) address: String,
    pub(super) count: u64,
    pub(super) follows_redirects: bool,
    /// How the answer to a line begins.
    pub(super) expected_line: Option<String>,
}

/// What is spoken.
#[derive(Debug)]
pub(super) enum Exchange {
    Http(Call),
    Lines(Conversation),
    Name(Lookup),
}

/// A name whose addresses are asked for.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) host: String,
    pub(super) over: Over,
}

impl Request {
    /// Reads a call. The error is why it cannot be sent.
    pub(super) fn read(case: &Value, world: &World, scene: &Scene) -> Result<Self, String> {
        let reader = Reader {
            request: case.get("request").unwrap_or(&Value::Null),
            to: case.get("to").map_or("", |to| text(to, "service")),
            is_gateway: case.get("from").and_then(Value::as_str) == Some("ingress"),
            world,
            scene,
        };
        reader.read()
    }
}

struct Reader<'a> {
    request: &'a Value,
    to: &'a str,
    is_gateway: bool,
    world: &'a World,
    scene: &'a Scene,
}

impl Reader<'_> {
    fn read(&self) -> Result<Request, String> {
        if text(self.request, "scheme") == "dns" {
            return self.lookup();
        }
        let (port, protocol, greets) = self.port()?;
        let scheme = match (text(self.request, "scheme"), protocol.as_str()) {
            ("", "HTTP") => "http",
            ("", "GRPC") => "grpc",
            ("", "HTTPS") => "https",
            ("", "TCP") => "tcp",
            (scheme @ ("http" | "grpc" | "https" | "tcp"), _) => scheme,
            ("", protocol) => return Err(format!("the protocol `{protocol}` is not called")),
            (scheme, _) => return Err(format!("the scheme `{scheme}` is not called")),
        };
        let host = self.host()?;
        let tls = (scheme == "https").then(|| self.tls(&host)).transpose()?;
        let message = match text(self.request, "message") {
            "" => "hello",
            message => message,
        };
        let exchange = match scheme {
            "tcp" => Exchange::Lines(Conversation {
                tls,
                greeted: greets,
                lines: vec![message.to_owned()],
            }),
            _ => Exchange::Http(self.call(host, scheme == "grpc", tls)?),
        };
        let expected = self.request.pointer("/tcp/ExpectedResponse/Value");
        let get = |name: &str| self.request.get(name);
        Ok(Request {
            exchange,
            port,
            address: self.address()?.unwrap_or_else(|| self.fqdn()),
            count: get("count").and_then(Value::as_u64).unwrap_or(1),
            follows_redirects: get("follow_redirects").and_then(Value::as_bool) == Some(true),
            expected_line: expected.and_then(Value::as_str).map(str::to_owned),
        })
    }

    fn lookup(&self) -> Result<Request, String> {
        let address = self.address()?.unwrap_or_default();
        let (host, options) = address.split_once('?').unwrap_or((&address, ""));
        let option = |name: &str| options.split('&').find_map(|pair| pair.strip_prefix(name));
        if let Some(server) = option("server=") {
            return Err(format!("the server {server} is not that of a sidecar"));
        }
        let over = match option("protocol=") {
            Some("tcp") => Over::Tcp,
            Some("udp") | None => Over::Udp,
            Some(protocol) => return Err(format!("DNS over `{protocol}` is not spoken")),
        };
        Ok(Request {
            exchange: Exchange::Name(Lookup {
                host: host.to_owned(),
                over,
            }),
            port: 53,
            address: host.to_owned(),
            count: 1,
            follows_redirects: false,
            expected_line: None,
        })
    }

    /// The port that is called, what is spoken there, and whether the server speaks first.
    fn port(&self) -> Result<(u16, String, bool), String> {
        let port = self.request.get("port").unwrap_or(&Value::Null);
        let number = port.get("service_port").and_then(Value::as_u64);
        let number = number.and_then(|number| u16::try_from(number).ok());
        let name = text(port, "name");
        let known = self.world.port(self.to, name, number);
        let protocol = match (text(port, "protocol"), &known) {
            ("", Some(known)) => known.protocol.clone(),
            ("", None) => "HTTP".into(),
            (protocol, _) => protocol.to_owned(),
        };
        let greets = known
            .as_ref()
            .is_some_and(|known| known.name.ends_with("tcp-server"));
        let number = match (self.is_gateway, number, known) {
            (_, Some(number), _) => number,
            // The gateway has Istio's own ports.
            (true, None, _) if protocol == "HTTPS" => 443,
            (true, None, _) => 80,
            (false, None, Some(known)) => known.number,
            (false, None, None) => return Err(format!("there is no port {port}")),
        };
        Ok((number, protocol, greets))
    }

    /// What is called, if it is not the destination itself.
    fn address(&self) -> Result<Option<String>, String> {
        match self.request.get("address") {
            None | Some(Value::Null) => Ok(None),
            Some(address) => self.evaluated(address).map(Some),
        }
    }

    fn fqdn(&self) -> String {
        format!("{}.{NAMESPACE}.svc.cluster.local", self.to)
    }

    /// The host of the request (`CallOptions.GetHost`).
    fn host(&self) -> Result<String, String> {
        let headers = self.request.get("headers").and_then(Value::as_object);
        let mut headers = headers.into_iter().flatten();
        let host = headers.find(|(name, _)| name.eq_ignore_ascii_case("host"));
        if let Some((_, host)) = host {
            return self.evaluated(host);
        }
        if self.is_gateway {
            return Ok(GATEWAY.into());
        }
        Ok(self.address()?.unwrap_or_else(|| self.fqdn()))
    }

    /// A text, or what the Go expression that stands for it amounts to: the address of a workload of
    /// a service, alone or with a port.
    fn evaluated(&self, value: &Value) -> Result<String, String> {
        if let Some(text) = value.as_str() {
            return Ok(text.to_owned());
        }
        let arguments = list(value, "args");
        match (text(value, "$call"), arguments) {
            ("fmt.Sprintf", [Value::String(format), address, Value::Number(port)])
                if format == "%s:%d" =>
            {
                Ok(format!("{}:{port}", self.evaluated(address)?))
            }
            (".Address", [workload]) => {
                let service = workload.pointer("/args/0/args/0/service");
                let service = service.and_then(Value::as_str);
                let pod = service.and_then(|service| {
                    let pods = self.scene.pods();
                    pods.workload(|pod| pod.service.name == service)
                });
                let address = pod.and_then(|pod| pod.addresses.first().copied());
                address
                    .map(|address| address.to_string())
                    .ok_or_else(|| "the call is Go code".into())
            }
            ("+=" | "binary+", parts) => parts.iter().map(|part| self.evaluated(part)).collect(),
            (".ClusterLocalFQDN", [config]) => {
                let service = service_in(config).ok_or("the call is Go code")?;
                Ok(format!("{service}.{NAMESPACE}.svc.cluster.local"))
            }
            _ => Err("the call is Go code".into()),
        }
    }

    fn tls(&self, host: &str) -> Result<Tls, String> {
        let Some(written) = self.request.get("tls") else {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            return Ok(Tls::to(name));
        };
        let written = written
            .as_object()
            .ok_or("the TLS of the call is Go code")?;
        let mut tls = Tls::default();
        for (name, value) in written {
            match (name.as_str(), value) {
                ("ServerName", Value::String(name)) => tls.server_name.clone_from(name),
                ("Alpn", Value::Array(protocols)) => {
                    let protocols = protocols.iter().filter_map(Value::as_str);
                    tls.protocols = protocols.map(str::to_owned).collect();
                }
                ("Alpn", Value::Null) | ("InsecureSkipVerify", _) => {}
                _ => return Err(format!("`{name}` of the call's TLS is not known")),
            }
        }
        Ok(tls)
    }

    fn call(&self, host: String, is_grpc: bool, tls: Option<Tls>) -> Result<Call, String> {
        let or = |name, otherwise: &str| match text(self.request, name) {
            "" => otherwise.to_owned(),
            text => text.to_owned(),
        };
        let http2 = self.request.get("http2").and_then(Value::as_bool);
        let mut call = Call {
            method: or("method", "GET"),
            path: or("path", "/"),
            host,
            headers: Vec::new(),
            body: Bytes::new(),
            http2: http2.unwrap_or_default() || is_grpc,
            tls,
        };
        if is_grpc {
            call.method = "POST".into();
            call.path = "/proto.EchoTestService/Echo".into();
            call.body = Bytes::from_static(EMPTY_MESSAGE);
            let content_type = ("content-type", "application/grpc");
            let own = [content_type, ("te", "trailers")];
            let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
            call.headers.extend(own);
        }
        let headers = self.request.get("headers").and_then(Value::as_object);
        for (name, value) in headers.into_iter().flatten() {
            if !name.eq_ignore_ascii_case("host") {
                call.headers.push((name.clone(), self.evaluated(value)?));
            }
        }
        Ok(call)
    }
}

/// The name of the service that a Go expression is about.
fn service_in(value: &Value) -> Option<&str> {
    if let Some(name) = value.get("service").and_then(Value::as_str) {
        return Some(name);
    }
    list(value, "args").iter().find_map(service_in)
}
