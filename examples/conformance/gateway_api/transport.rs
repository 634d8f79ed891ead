//! Steps that are about connections: of TCP, and of TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use super::steps::Steps;
use crate::case::{Outcome, list, text};
use crate::stage::lines::{Answer, Conversation};
use crate::stage::tls::Tls;

impl Steps<'_> {
    /// A conversation with the service behind a gateway.
    pub(super) fn tcp(&self, step: &Value) -> Outcome {
        let answer = self.conversation(step);
        let answer = answer.and_then(|tls| self.who(self.gateway(step)?, tls));
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return Outcome::Failed(format!("no answer: {why}")),
        };
        let Some(expected) = step.get("expected").filter(|value| value.is_object()) else {
            // That there is an answer is all that is expected.
            return Outcome::Passed;
        };
        let server_name = match self.host(expected.get("Hostname").unwrap_or(&Value::Null)) {
            Ok(name) => Some(name).filter(|name| !name.is_empty()),
            Err(why) => return Outcome::Unsupported(why),
        };
        let is_tls = expected.get("BackendIsTLS").and_then(Value::as_bool);
        let expected = (
            text(expected, "Namespace"),
            text(expected, "Backend"),
            is_tls.unwrap_or_default(),
            server_name.as_ref(),
        );
        let found = (
            answer.service.namespace.as_str(),
            answer.service.name.as_str(),
            answer.is_tls,
            server_name.as_ref().and(answer.server_name.as_ref()),
        );
        Outcome::equal(&expected, &found)
    }

    /// Who answers a connection.
    pub(super) fn who(&self, address: SocketAddr, tls: Option<Tls>) -> Result<Answer, String> {
        let conversation = Conversation {
            tls,
            greeted: true,
            lines: ["PING", "IS_TLS", "TEST"].map(str::to_owned).into(),
        };
        let answers = self.scene.converse(address, &conversation)?;
        match answers.as_slice() {
            [pong, is_tls, answer] if pong == "PONG" => {
                let answer: Answer =
                    serde_json::from_str(answer).map_err(|error| error.to_string())?;
                let agree = *is_tls == answer.is_tls.to_string();
                agree
                    .then_some(answer)
                    .ok_or_else(|| format!("IS_TLS was answered with {is_tls:?}"))
            }
            answers => Err(format!("PING was answered with {answers:?}")),
        }
    }

    /// A handshake that is not answered.
    pub(super) fn tls_connect(&self, step: &Value) -> Outcome {
        if text(step, "expect") != "connection_rejected" {
            return Outcome::unsupported("what becomes of the connection is not understood");
        }
        let name = self.host(step.get("sni").unwrap_or(&Value::Null));
        let handshake = name.and_then(|name| {
            let address = self.gateway(step)?;
            Ok(self.scene.handshake(address, &Tls::to(&name)))
        });
        match handshake {
            Ok(Ok(())) => Outcome::failed("the handshake was answered"),
            // An alert is an answer, too.
            Ok(Err(why)) if why.contains("alert") || why.contains("no handshake within") => {
                Outcome::Failed(why)
            }
            Ok(Err(_)) => Outcome::Passed,
            Err(why) => Outcome::Failed(why),
        }
    }

    /// The TLS of a step, if it has any.
    fn conversation(&self, step: &Value) -> Result<Option<Tls>, String> {
        if step.get("use_tls").and_then(Value::as_bool) != Some(true) {
            return Ok(None);
        }
        let name = self.host(step.get("server_name").unwrap_or(&Value::Null))?;
        self.tls(step, &name).map(Some)
    }

    /// TLS with the certificate that a step's client has, if it has one.
    pub(super) fn tls(&self, step: &Value, server_name: &str) -> Result<Tls, String> {
        let mut tls = Tls::to(server_name);
        let Some(written) = step.get("client_cert").filter(|value| value.is_object()) else {
            return Ok(tls);
        };
        let secret = written.pointer("/args/0").unwrap_or(&Value::Null);
        let (namespace, name) = (text(secret, "Namespace"), text(secret, "Name"));
        let issued = self.certificates.get(namespace, name);
        let issued = issued.ok_or_else(|| format!("there is no Secret {namespace}/{name}"))?;
        tls.credential = Some(Arc::clone(issued));
        Ok(tls)
    }

    /// A host name, or the Go expression for one of those of routes.
    fn host(&self, value: &Value) -> Result<String, String> {
        if value.is_null() {
            return Ok(String::new());
        }
        if let Some(name) = value.as_str() {
            return Ok(name.to_owned());
        }
        let not_known = || format!("the host is Go code: {value}");
        let [routes, index] = list(value, "args") else {
            return Err(not_known());
        };
        let (_, references) = list(routes, "args").split_first().ok_or_else(not_known)?;
        let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
        let mut hosts = references
            .iter()
            .flat_map(|route| self.hosts_of_route(route));
        let host = hosts.nth(index.unwrap_or_default());
        host.ok_or_else(not_known)
    }

    /// The hosts of a TLSRoute.
    fn hosts_of_route(&self, reference: &Value) -> Vec<String> {
        let routes = &self.scene.config().resources().gateway_api.tls_routes;
        let route = routes.iter().find(|route| {
            route.metadata.name == text(reference, "Name")
                && route.metadata.namespace == text(reference, "Namespace")
        });
        route.map_or_else(Vec::new, |route| route.spec.hostnames.clone())
    }
}
