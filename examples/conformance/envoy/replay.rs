//! Requests through the compiled configuration.

use std::net::SocketAddr;
use std::time::SystemTime;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Method, Request, Response};
use mesh_core::attributes::{ClientAddress, ConnectionInfo, MatchedRoute};
use mesh_core::format_string::Exchange;
use mesh_core::model::route::{ClusterSpecifier, RouteAction};
use mesh_routing::filter::{self, direct_response, headers, redirect, rewrite};
use mesh_routing::request::RequestHead;
use mesh_routing::table::{Lookup, RouteTable};
use serde_json::Value;

use super::config::RouteConfiguration;
use super::convert::{Converted, convert, read};
use super::expectation::{self, Answer, Upstream};
use super::refusal::Refusal;
use crate::case::{Outcome, text};

/// Where the tests' requests come from.
const CLIENT: ([u8; 4], u16) = ([127, 0, 0, 1], 40_000);
const PROXY: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// A configuration that requests can be replayed through.
#[derive(Debug)]
pub(super) struct Table {
    converted: Converted,
    table: RouteTable,
}

impl Table {
    /// Compiles a configuration.
    pub(super) fn compile(document: &Value) -> Result<Self, Refusal> {
        Self::new(&read(document)?)
    }

    /// Compiles the configuration of a suite that replaces parts of Envoy: weights that runtime may
    /// override are not those of the configuration, and requests may have metadata and filter state.
    pub(super) fn compile_with_mocks(document: &Value) -> Result<Self, Refusal> {
        let mut configuration = read(document)?;
        let hosts = configuration.virtual_hosts.iter_mut();
        for route in hosts.flat_map(|host| &mut host.routes) {
            let action = route.route.as_mut();
            if let Some(weighted) = action.and_then(|action| action.weighted_clusters.as_mut()) {
                weighted.is_replaced = !weighted.runtime_key_prefix.is_empty();
            }
            if let Some(matches) = &mut route.matches {
                matches.is_mocked = true;
            }
        }
        Self::new(&configuration)
    }

    fn new(configuration: &RouteConfiguration) -> Result<Self, Refusal> {
        let converted = convert(configuration)?;
        let table = RouteTable::compile(&converted.routes)
            .map_err(|errors| Refusal::Invalid(errors.to_string()))?;
        for route in converted
            .routes
            .virtual_hosts
            .iter()
            .flat_map(|host| &host.routes)
        {
            filter::validate(route).map_err(|error| Refusal::Invalid(error.to_string()))?;
        }
        Ok(Self { converted, table })
    }

    /// The first part that the model has no word for.
    pub(super) fn first_inexpressible(&self) -> Option<&str> {
        let mut notes = self.converted.notes.iter();
        notes.find_map(|note| note.inexpressible.as_deref())
    }

    /// Sends a test's request and judges the answer.
    pub(super) fn replay(&self, test: &Value) -> Outcome {
        if let Some(why) = expectation::inexpressible(test) {
            return Outcome::unsupported(why);
        }
        let request = test.get("request").unwrap_or(&Value::Null);
        let parts = match parts(request) {
            Ok(parts) => parts,
            Err(why) => return Outcome::unsupported(why),
        };
        let random = random(test).or_else(|| random(request)).unwrap_or_default();
        match self.answer(parts, random) {
            Err(why) => Outcome::Unsupported(why),
            Ok(answer) => match expectation::mismatch(test, &answer) {
                Some(why) => Outcome::Failed(why),
                None => Outcome::Passed,
            },
        }
    }

    /// The answer to a request; an error if it cannot be told.
    fn answer(&self, parts: Parts, random: u64) -> Result<Answer, String> {
        let head = RequestHead::from(&parts);
        match self.table.lookup(&head, random) {
            Lookup::NoRoute | Lookup::NoVirtualHost => Ok(answered(404, HeaderMap::new(), None)),
            Lookup::TlsRedirect => {
                let response: Response<()> = redirect::respond_tls_required(&head);
                let host = self.table.virtual_host(head.authority()).map(str::to_owned);
                Ok(answered(
                    response.status().as_u16(),
                    response.into_parts().0.headers,
                    host,
                ))
            }
            Lookup::Matched(matched) => self.matched(&matched, parts),
        }
    }

    fn matched(&self, matched: &MatchedRoute, parts: Parts) -> Result<Answer, String> {
        let note = self.converted.note_of(matched.route());
        if let Some(why) = note.and_then(|note| note.inexpressible.clone()) {
            return Err(why);
        }
        let host = note.map(|note| note.virtual_host.clone());
        let head = RequestHead::from(&parts);
        let response: Response<bytes::Bytes> = match &matched.route().action {
            RouteAction::Forward(_) => return Ok(forwarded(matched, parts, host)),
            RouteAction::Redirect(action) => {
                redirect::respond(action, &matched.route().matches, &head)
            }
            RouteAction::DirectResponse(action) => direct_response::respond(action, &head),
        };
        let (mut response, _) = response.into_parts();
        let exchange = Exchange::of_request(&parts, SystemTime::UNIX_EPOCH).answered_locally();
        headers::apply_to_response(matched, &exchange, &mut response);
        Ok(answered(response.status.as_u16(), response.headers, host))
    }
}

fn random(value: &Value) -> Option<u64> {
    value.get("random_value").and_then(Value::as_u64)
}

fn answered(status: u16, headers: HeaderMap, virtual_host: Option<String>) -> Answer {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    Answer {
        status: Some(status),
        location: location.map(str::to_owned),
        headers,
        virtual_host,
        upstream: None,
    }
}

fn forwarded(matched: &MatchedRoute, mut parts: Parts, virtual_host: Option<String>) -> Answer {
    let cluster = match matched
        .destination()
        .map(|destination| &destination.cluster)
    {
        Some(ClusterSpecifier::Name(name)) => Some(name.to_string()),
        Some(ClusterSpecifier::Header(name)) => named_by(name, &parts),
        Some(ClusterSpecifier::Refused(_)) | None => None,
    };
    let Some(cluster) = cluster else {
        return answered(503, HeaderMap::new(), virtual_host);
    };
    headers::apply_to_request(matched, &mut parts, SystemTime::UNIX_EPOCH);
    if rewrite::apply(matched, &mut parts).is_err() {
        return answered(500, HeaderMap::new(), virtual_host);
    }
    let head = RequestHead::from(&parts);
    let upstream = Upstream {
        cluster,
        path: head.path_and_query().to_owned(),
        host: head.authority().to_owned(),
        method: parts.method.to_string(),
        headers: parts.headers.clone(),
    };
    Answer {
        status: None,
        location: None,
        headers: HeaderMap::new(),
        virtual_host,
        upstream: Some(upstream),
    }
}

/// The value of the header field that names the cluster.
fn named_by(name: &str, parts: &Parts) -> Option<String> {
    if name == ":authority" || name == "host" {
        return Some(RequestHead::from(parts).authority().to_owned());
    }
    let value = parts.headers.get(name)?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// The request of a test.
fn parts(request: &Value) -> Result<Parts, String> {
    let mut parts = Request::new(()).into_parts().0;
    let path = text(request, "path");
    parts.uri = path
        .parse()
        .map_err(|_| format!("no request target: {path:?}"))?;
    if parts.uri.path_and_query().is_none() {
        return Err(format!("no request target: {path:?}"));
    }
    let method = text(request, "method");
    parts.method = method
        .parse::<Method>()
        .map_err(|error| error.to_string())?;
    let authority = HeaderValue::from_str(text(request, "authority"));
    parts
        .headers
        .insert(HOST, authority.map_err(|error| error.to_string())?);
    let pairs = request
        .get("headers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for pair in pairs.filter_map(Value::as_array) {
        let [Value::String(name), Value::String(value)] = pair.as_slice() else {
            return Err("a header that is not a pair of texts".into());
        };
        let name: HeaderName = name
            .parse()
            .map_err(|_| format!("no header field: {name:?}"))?;
        let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        parts.headers.append(name, value);
    }
    let scheme = if text(request, "scheme") == "https" {
        "https"
    } else {
        "http"
    };
    parts
        .headers
        .entry("x-forwarded-proto")
        .or_insert(HeaderValue::from_static(scheme));
    // What the field says is believed.
    parts.extensions.insert(ClientAddress(CLIENT.0.into()));
    parts.extensions.insert(ConnectionInfo {
        peer: SocketAddr::from(CLIENT),
        local: SocketAddr::from(PROXY),
        tls: None,
    });
    Ok(parts)
}
