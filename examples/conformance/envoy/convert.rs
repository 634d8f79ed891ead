//! Envoy's route configuration as the mesh's model.
//!
//! A configuration that Envoy refuses is refused. A route of which the model has no word for some
//! part is kept with the parts that it has words for, and noted: a request that reaches it can not
//! be judged, every other request can.

use std::sync::Arc;

use mesh_core::model::route as model;
use serde_json::Value;

use super::headers::{filter_settings, mutations, operations_of};
use super::matches::Condition;
use super::refusal::{Refusal, header_safe};
use super::{action, config, matches};

/// A converted configuration.
#[derive(Debug)]
pub(super) struct Converted {
    /// The configuration. Each route's name is an index into `notes`.
    pub(super) routes: model::RouteConfiguration,
    /// What the model does not say of each route.
    pub(super) notes: Vec<Note>,
}

/// What the model does not say of a route.
#[derive(Debug)]
pub(super) struct Note {
    /// The name of the virtual host.
    pub(super) virtual_host: String,
    /// Why a request that matches the route cannot be judged.
    pub(super) inexpressible: Option<String>,
}

/// Reads a whole configuration.
pub(super) fn read(document: &Value) -> Result<config::RouteConfiguration, Refusal> {
    serde_json::from_value(document.clone()).map_err(|error| Refusal::Invalid(error.to_string()))
}

/// Converts a whole configuration.
pub(super) fn convert(configuration: &config::RouteConfiguration) -> Result<Converted, Refusal> {
    whole(configuration)?;
    let mut converted = Converted {
        routes: model::RouteConfiguration {
            name: configuration.name.clone(),
            ignore_port: configuration.ignore_port_in_host_matching,
            headers: mutations(operations_of!(configuration))?,
            virtual_hosts: Vec::new(),
        },
        notes: Vec::new(),
    };
    for host in &configuration.virtual_hosts {
        let host = converted.virtual_host(host, configuration)?;
        converted.routes.virtual_hosts.push(host);
    }
    Ok(converted)
}

/// Checks what concerns the configuration as a whole.
fn whole(configuration: &config::RouteConfiguration) -> Result<(), Refusal> {
    filter_settings(&configuration.typed_per_filter_config)?;
    for mirror in &configuration.request_mirror_policies {
        action::mirror_policy(mirror)?;
    }
    let unknown = [
        ("virtual host discovery", configuration.vhds.is_some()),
        (
            "list of clusters to validate against",
            configuration.validate_clusters == Some(true),
        ),
        (
            "order of header operations by the least specific",
            configuration.most_specific_header_mutations_wins,
        ),
        (
            "path parameters",
            configuration.ignore_path_parameters_in_path_matching,
        ),
        (
            "cluster specifier plugins",
            !configuration.cluster_specifier_plugins.is_empty(),
        ),
    ];
    match unknown.iter().find(|(_, is_set)| *is_set) {
        Some((what, _)) => Err(Refusal::inexpressible(what)),
        None => Ok(()),
    }
}

impl Converted {
    fn virtual_host(
        &mut self,
        host: &config::VirtualHost,
        configuration: &config::RouteConfiguration,
    ) -> Result<model::VirtualHost, Refusal> {
        let inexpressible = virtual_host_as_a_whole(host)?;
        let mut routes = Vec::new();
        for route in &host.routes {
            routes.extend(self.route(route, host, configuration)?);
        }
        if let Some(what) = inexpressible {
            let everything = self.unjudged(host, Condition::anything(what));
            routes.insert(0, everything);
        }
        let mut converted = model::VirtualHost::new(&host.name, &host.domains, routes);
        converted.require_tls = host.require_tls == config::TlsRequirement::All;
        converted.headers = mutations(operations_of!(host))?;
        Ok(converted)
    }

    /// The route, unless it takes no request.
    fn route(
        &mut self,
        route: &config::Route,
        host: &config::VirtualHost,
        configuration: &config::RouteConfiguration,
    ) -> Result<Option<model::Route>, Refusal> {
        let Some(condition) = &route.matches else {
            return Err(Refusal::invalid("`match` is required"));
        };
        let mut condition = matches::convert(condition)?;
        let settings = filter_settings(&route.typed_per_filter_config);
        let action = settings.and_then(|()| action::convert(route, configuration));
        let action = match action {
            Ok(action) => action,
            Err(Refusal::Inexpressible(what)) => {
                condition.inexpressible.get_or_insert(what);
                return Ok(Some(self.unjudged(host, condition)));
            }
            Err(invalid) => return Err(invalid),
        };
        let headers = mutations(operations_of!(route))?;
        if condition.is_never_met {
            return Ok(None);
        }
        let name = self.note(host, condition.inexpressible);
        let mut converted = model::Route::new(name, condition.matches, action);
        converted.headers = headers;
        Ok(Some(converted))
    }

    /// A route whose requests cannot be judged.
    fn unjudged(&mut self, host: &config::VirtualHost, condition: Condition) -> model::Route {
        let name = self.note(host, condition.inexpressible);
        let nothing = model::DirectResponse {
            status: 501,
            body: None,
        };
        let action = model::RouteAction::DirectResponse(Box::new(nothing));
        model::Route::new(name, condition.matches, action)
    }

    fn note(&mut self, host: &config::VirtualHost, inexpressible: Option<String>) -> String {
        self.notes.push(Note {
            virtual_host: host.name.clone(),
            inexpressible,
        });
        (self.notes.len() - 1).to_string()
    }

    /// What is noted of `route`.
    pub(super) fn note_of(&self, route: &Arc<model::Route>) -> Option<&Note> {
        self.notes.get(route.name.parse::<usize>().ok()?)
    }
}

/// Checks what concerns a virtual host as a whole, and says why none of its requests can be judged.
fn virtual_host_as_a_whole(host: &config::VirtualHost) -> Result<Option<String>, Refusal> {
    if host.name.is_empty() {
        return Err(Refusal::invalid("`virtual_hosts.name` is empty"));
    }
    if host.domains.is_empty() {
        return Err(Refusal::Invalid(format!(
            "virtual host `{}` has no domains",
            host.name
        )));
    }
    for domain in &host.domains {
        header_safe("domains", domain)?;
    }
    if host.matcher.is_some() && !host.routes.is_empty() {
        return Err(Refusal::invalid("both `routes` and `matcher` are set"));
    }
    for cluster in &host.virtual_clusters {
        if cluster
            .get("headers")
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty)
        {
            return Err(Refusal::invalid("a virtual cluster must define `headers`"));
        }
    }
    for mirror in &host.request_mirror_policies {
        action::mirror_policy(mirror)?;
    }
    if let Some(policy) = &host.retry_policy {
        action::retry_policy(policy)?;
    }
    let unknown = [
        ("matcher trees", host.matcher.is_some()),
        (
            "redirects of external requests alone",
            host.require_tls == config::TlsRequirement::ExternalOnly,
        ),
        ("deprecated `cors`", host.cors.is_some()),
        (
            "attempt counts",
            host.include_request_attempt_count || host.include_attempt_count_in_response,
        ),
    ];
    let unknown = unknown.iter().find(|(_, is_set)| *is_set);
    let unknown = unknown.map(|(what, _)| format!("the model has no {what}"));
    match filter_settings(&host.typed_per_filter_config) {
        Err(Refusal::Inexpressible(what)) => Ok(unknown.or(Some(what))),
        Err(invalid) => Err(invalid),
        Ok(()) => Ok(unknown),
    }
}
