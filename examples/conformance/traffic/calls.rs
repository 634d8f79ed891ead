//! The calls of a case.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use mesh_core::workload::Workload;
use serde_json::Value;

use super::check::{self, Answer, Judgement};
use super::request::{Exchange, Lookup, Request};
use super::world::{NAMESPACE, World};
use crate::case::{Outcome, text};
use crate::stage::client::{Call, Reply};
use crate::stage::lines::Conversation;
use crate::stage::pods::{Pod, Pods};
use crate::stage::scene::Scene;

/// How many redirects are followed.
const REDIRECTS: usize = 10;

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

    /// Sends a call as often as it says, and judges the answers.
    pub(super) fn call(self, case: &Value, judgement: Judgement) -> Outcome {
        let request = match Request::read(case, self.world, self.scene) {
            Ok(request) => request,
            Err(why) => return Outcome::Unsupported(why),
        };
        if let Exchange::Name(lookup) = &request.exchange {
            let answers = [self.look_up(case, lookup)];
            return check::judge(case, judgement, self.scene, (&request, &answers));
        }
        let is_gateway = case.get("from").and_then(Value::as_str) == Some("ingress");
        let address = match is_gateway {
            true => self.through_gateway(&request),
            false => self.through_pod(case, &request),
        };
        let count = judgement.samples().unwrap_or(request.count);
        let answers: Vec<Answer> = (0..count)
            .map(|_| self.answer(address.clone()?, &request))
            .collect();
        let outcome = check::judge(case, judgement, self.scene, (&request, &answers));
        self.scene.explained(outcome)
    }

    fn through_gateway(self, request: &Request) -> Result<SocketAddr, String> {
        let workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
        self.scene.gateway(&workload, request.port)
    }

    fn through_pod(self, case: &Value, request: &Request) -> Result<SocketAddr, String> {
        let destination = SocketAddr::new(self.address(request)?, request.port);
        let is_meant = |pod: &Pod| self.is_caller(case, pod);
        let caller = self.pods().workload(is_meant);
        let caller = caller.ok_or("there is no such caller")?;
        let has_sidecar = self.pods().workload(|pod| is_meant(pod) && pod.sidecar);
        if has_sidecar.is_none() {
            return Ok(self.scene.socket(destination));
        }
        self.scene.sidecar(&caller, destination)
    }

    /// The addresses that a pod finds for a name, as the body of an answer.
    fn look_up(self, case: &Value, lookup: &Lookup) -> Answer {
        let caller = self.pods().workload(|pod| self.is_caller(case, pod));
        let caller = caller.ok_or("there is no such caller")?;
        let found = self.scene.look_up(&caller, &lookup.host, lookup.over)?;
        let body = serde_json::to_vec(&found).map_err(|error| error.to_string())?;
        Ok(answer_of(body))
    }

    fn pods(self) -> &'a Pods {
        self.scene.pods()
    }

    fn is_caller(self, case: &Value, pod: &Pod) -> bool {
        let from = case.get("from").unwrap_or(&Value::Null);
        pod.service.name == text(from, "service")
            && pod.service.namespace == text(from, "namespace")
    }

    /// The address that is called.
    fn address(self, request: &Request) -> Result<IpAddr, String> {
        let name = request.address.as_str();
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        let config = self.scene.config();
        let host = config.resolve_host(name, NAMESPACE);
        let service = config.services().lookup(&host, NAMESPACE);
        let mut service = service.ok_or_else(|| format!("there is no service `{name}`"))?;
        if let Some(alias_of) = &service.alias_of {
            service = config
                .services()
                .lookup(alias_of, NAMESPACE)
                .unwrap_or(service);
        }
        let own = service.addresses.first().map(|network| network.addr());
        let endpoint = self.scene.resolve(&service.hostname, request.port);
        let endpoint = endpoint.filter(|_| service.headless);
        let address = own.or_else(|| endpoint.map(|endpoint| endpoint.ip()));
        Ok(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }

    fn answer(self, address: SocketAddr, request: &Request) -> Answer {
        match &request.exchange {
            Exchange::Http(call) => self.follow(address, call.clone(), request.follows_redirects),
            Exchange::Lines(conversation) => self.converse(address, conversation, request),
            Exchange::Name(_) => Err("a name is asked for elsewhere".into()),
        }
    }

    /// The answer to a call, or to what it is redirected to.
    fn follow(self, address: SocketAddr, mut call: Call, follows: bool) -> Answer {
        for _ in 0..REDIRECTS {
            let reply = self.scene.send(address, &call)?;
            let location = reply
                .field("location")
                .filter(|_| follows && reply.status / 100 == 3);
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

    /// The answer to the lines of a connection, as if it were one of HTTP.
    fn converse(
        self,
        address: SocketAddr,
        conversation: &Conversation,
        request: &Request,
    ) -> Answer {
        let answers = self.scene.converse(address, conversation)?;
        let answer = answers.into_iter().next().unwrap_or_default();
        match &request.expected_line {
            Some(expected) if !answer.starts_with(expected) => {
                Err(format!("expected {expected:?}, got {answer:?}"))
            }
            _ => Ok(answer_of(answer.into_bytes())),
        }
    }
}

/// An answer of something else than HTTP, as if it were one.
fn answer_of(body: Vec<u8>) -> Reply {
    Reply {
        status: 200,
        headers: http::HeaderMap::new(),
        body: Bytes::from(body),
    }
}
