//! Where requests are redirected to. The tests check it in Go.

use http::Uri;
use mesh_core::resource::istio::virtual_service::{HttpRedirect, RedirectPortSelection};
use serde_json::Value;

use super::check::Answer;
use super::request::{Exchange, Request};
use crate::case::{Outcome, list, text};
use crate::stage::scene::Scene;

/// Whether a case compares locations: a rule of it redirects, and what is checked in Go comes after
/// the status of that.
pub(super) fn is_compared(case: &Value) -> bool {
    text(case, "config").contains(" redirect:")
        && list(case, "calls").iter().all(|call| {
            let check = call.get("check").unwrap_or(&Value::Null);
            let [status, location] = list(check, "args") else {
                return false;
            };
            let statuses = list(status, "args");
            text(check, "fn") == "And"
                && text(status, "fn") == "Status"
                && statuses
                    .first()
                    .and_then(Value::as_u64)
                    .map(|code| code / 100)
                    == Some(3)
                && text(location, "fn") == "Each"
        })
}

/// The location is what the redirect of the case says of it, and the request's where that says
/// nothing.
pub(super) fn compare(scene: &Scene, request: &Request, answers: &[Answer]) -> Outcome {
    let services = &scene.config().resources().virtual_services;
    let mut rules = services.iter().flat_map(|service| &service.spec.http);
    let Some(redirect) = rules.find_map(|rule| rule.redirect.as_ref()) else {
        return Outcome::failed("no rule redirects");
    };
    for answer in answers {
        let location = match answer {
            Ok(reply) if reply.status / 100 == 3 => reply.field("location").unwrap_or_default(),
            Ok(reply) => return Outcome::Failed(format!("not redirected, but {}", reply.status)),
            Err(why) => return Outcome::Failed(format!("no answer: {why}")),
        };
        let expected = expected(redirect, request);
        if read(&location).as_ref() != Some(&expected) {
            return Outcome::Failed(format!("expected {expected:?}, got {location:?}"));
        }
    }
    Outcome::Passed
}

/// A location: scheme, host, port, path.
type Location = (String, String, u16, String);

fn expected(redirect: &HttpRedirect, request: &Request) -> Location {
    let or = |written: &str, otherwise: &str| match written {
        "" => otherwise.to_owned(),
        written => written.to_owned(),
    };
    let (host, path) = match &request.exchange {
        Exchange::Http(call) => (call.host.as_str(), call.path.as_str()),
        Exchange::Lines(_) | Exchange::Name(_) => ("", ""),
    };
    let scheme = or(&redirect.scheme, "http");
    let written = redirect.port.and_then(|port| u16::try_from(port).ok());
    let port = match (written, redirect.derive_port) {
        (Some(port), _) => port,
        (None, Some(RedirectPortSelection::FromRequestPort)) => request.port,
        (None, Some(RedirectPortSelection::FromProtocolDefault) | None) => default_port(&scheme),
    };
    let host = or(&redirect.authority, host);
    (scheme, host, port, or(&redirect.uri, path))
}

fn read(location: &str) -> Option<Location> {
    let uri: Uri = location.parse().ok()?;
    let scheme = uri.scheme_str()?.to_owned();
    let port = uri.port_u16().unwrap_or_else(|| default_port(&scheme));
    Some((scheme, uri.host()?.to_owned(), port, uri.path().to_owned()))
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}
