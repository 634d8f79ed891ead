//! VirtualServices: delegates and mirrors, and the order of routes of the Gateway API.

use mesh_core::matcher::{Regex, StringMatch};
use mesh_core::model::Model;
use mesh_core::model::route::{HeaderMatch, PathMatch, QueryParamMatch, RouteAction, RouteMatch};
use mesh_core::resolve::virtual_service::delegate::{
    has_conflict, merge_http_matches, merge_http_routes,
};
use mesh_core::resource::istio::virtual_service::{HttpMatchRequest, HttpRoute};
use mesh_core::workload::Workload;
use serde_json::{Map, Value, json};

use super::world::{NAMESPACE, World};
use super::{Row, Run, go};
use crate::case::Outcome;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("virtualservice_test.go", "TestHasConflict") => Some(conflicts),
        ("virtualservice_test.go", "TestMergeHTTPMatchRequests") => Some(merged_matches),
        ("virtualservice_test.go", "TestMergeHttpRoutes") => Some(merged_routes),
        ("route_internal_test.go", "TestIsCatchAllRoute") => Some(catch_all),
        ("route_internal_test.go", "TestMirrorPercent") => Some(mirror),
        ("conversion_test.go", "TestSortHTTPRoutes") => Some(order),
        _ => None,
    }
}

fn conflicts(row: &Row<'_>) -> Option<Outcome> {
    let block = |name| go::read_optional::<HttpMatchRequest>(row.field(name));
    let (root, leaf) = (
        block("root")?.unwrap_or_default(),
        block("leaf")?.unwrap_or_default(),
    );
    Some(Outcome::equal(
        &row.flag("expected")?,
        &has_conflict(&root, &leaf),
    ))
}

/// A conflict leaves no block.
fn merged_matches(row: &Row<'_>) -> Option<Outcome> {
    let blocks = |name| go::read_list::<HttpMatchRequest>(row.field(name));
    let merged = merge_http_matches(&blocks("root")?, &blocks("delegate")?);
    Some(Outcome::equal(
        &blocks("expected")?,
        &merged.unwrap_or_default(),
    ))
}

fn merged_routes(row: &Row<'_>) -> Option<Outcome> {
    let root: HttpRoute = go::read(row.field("root")?)?;
    let routes = |name| go::read_list::<HttpRoute>(row.field(name));
    let merged = merge_http_routes(&root, &routes("delegate")?);
    Some(Outcome::equal(&routes("expected")?, &merged))
}

/// A condition of Envoy's. What headers and parameters have to be makes no difference.
fn catch_all(row: &Row<'_>) -> Option<Outcome> {
    let written = Row(row.field("route")?.get("Match")?);
    let (kind, path) = written.field("PathSpecifier")?.as_object()?.iter().next()?;
    let path = match kind.as_str() {
        "Path" => PathMatch::Exact(path.as_str()?.to_owned()),
        "PathSeparatedPrefix" => PathMatch::PathSeparatedPrefix(path.as_str()?.to_owned()),
        "Prefix" => PathMatch::Prefix(path.as_str()?.to_owned()),
        "SafeRegex" => PathMatch::Regex(Regex::parse(path.get("Regex")?.as_str()?).ok()?),
        _ => return None,
    };
    let names = |field| match written.field(field) {
        None => Some(Vec::new()),
        Some(list) => list
            .as_array()?
            .iter()
            .map(|one| Row(one).text("Name").map(str::to_owned))
            .collect(),
    };
    let headers = names("Headers")?.into_iter().map(|name| HeaderMatch {
        name,
        value: StringMatch::Present,
        invert: false,
        missing_as_empty: false,
    });
    let parameters = names("QueryParameters")?.into_iter();
    let parameters = parameters.map(|name| QueryParamMatch {
        name,
        value: StringMatch::Present,
    });
    let condition = RouteMatch {
        headers: headers.collect(),
        query_params: parameters.collect(),
        ..RouteMatch::path(path)
    };
    Some(Outcome::equal(
        &row.flag("want")?,
        &condition.is_catch_all(),
    ))
}

/// The share of a mirror, in parts of a million.
fn mirror(row: &Row<'_>) -> Option<Outcome> {
    let expected = match row.field("want") {
        None => None,
        Some(want) => Some(parts_per_million(want.get("DefaultValue")?)?),
    };
    let mut route = go::json(row.field("route")?);
    if route.get("mirror")? == &json!({}) {
        route["mirror"] = json!({"host": "mirror.example"});
    }
    route["route"] = json!([{"destination": {"host": "svc.example"}}]);
    let rules = json!({"hosts": ["svc.example"], "http": [route]});
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    let model = World::default()
        .with_service("svc.example", &ports)
        .with_service("mirror.example", &ports)
        .with("VirtualService", "svc", &rules)
        .resolve(&Workload::sidecar(NAMESPACE));
    let found = model.and_then(|model| first_mirror(&model));
    Some(match found {
        Ok(found) => Outcome::equal(&expected, &found),
        Err(why) => Outcome::Failed(why),
    })
}

fn parts_per_million(fraction: &Value) -> Option<u64> {
    let numerator = fraction.get("Numerator")?.as_u64()?;
    let denominator = match fraction.get("Denominator") {
        None => "HUNDRED",
        Some(symbol) => symbol.as_str()?,
    };
    let parts = [("MILLION", 1), ("TEN_THOUSAND", 100), ("HUNDRED", 10_000)];
    let (_, factor) = parts.iter().find(|(name, _)| denominator.contains(name))?;
    Some(numerator * factor)
}

fn first_mirror(model: &Model) -> Result<Option<u64>, String> {
    let routes = model.route_configurations.get("80").ok_or("no routes")?;
    let mut hosts = routes.virtual_hosts.iter();
    let host = hosts.find(|host| host.domains.iter().any(|domain| domain == "svc.example"));
    let route = host
        .and_then(|host| host.routes.first())
        .ok_or("no route")?;
    let forward = route.forward_to().ok_or("the route forwards nothing")?;
    let mirror = forward.mirrors.first();
    Ok(mirror.map(|mirror| mirror.percent.parts_per_million().into()))
}

/// The rules as those of an HTTPRoute, told apart by where they redirect.
///
/// A match of an HTTPRoute without a path is one of the prefix `/`. Rules that differ in that only
/// cannot be written.
fn order(row: &Row<'_>) -> Option<Outcome> {
    let (before, after) = (row.field("in")?.as_array()?, row.field("out")?.as_array()?);
    let paths: Vec<Option<&Value>> = before.iter().flat_map(paths).collect();
    if paths.contains(&None) && paths.contains(&Some(&json!({"prefix": "/"}))) {
        return None;
    }
    let rules: Option<Vec<Value>> = before.iter().enumerate().map(rule).collect();
    let world = World::default()
        .with_object(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": NAMESPACE},
            "spec": {
                "gatewayClassName": "istio",
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        }))
        .with_object(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "rules", "namespace": NAMESPACE},
            "spec": {"parentRefs": [{"name": "edge"}], "rules": rules?},
        }));
    let workload =
        Workload::gateway(NAMESPACE).with_label("gateway.networking.k8s.io/gateway-name", "edge");
    let found = match world.resolve(&workload) {
        Ok(model) => redirects(&model),
        Err(why) => return Some(Outcome::Failed(why)),
    };
    // What is the same is the same rule, and nobody can tell in which order.
    let sorted: Option<Vec<&Value>> = found
        .iter()
        .map(|host| before.get(host.split('.').next()?.parse::<usize>().ok()?))
        .collect();
    let sorted = sorted?;
    // What is behind a rule that takes everything is never asked.
    let takes_all = json!([{"uri": {"prefix": "/"}}]);
    let last = sorted.last()?.get("match");
    let is_behind = last.is_none_or(|blocks| *blocks == takes_all);
    let kept = if is_behind { sorted.len() } else { after.len() };
    let after: Vec<&Value> = after.iter().take(kept).collect();
    Some(Outcome::equal(&after, &sorted))
}

/// The path of each block of a rule; one that is absent if there is no block.
fn paths(rule: &Value) -> Vec<Option<&Value>> {
    match rule.get("match").and_then(Value::as_array) {
        None => vec![None],
        Some(blocks) => blocks.iter().map(|block| block.get("uri")).collect(),
    }
}

fn rule((index, written): (usize, &Value)) -> Option<Value> {
    let filter = json!({
        "type": "RequestRedirect",
        "requestRedirect": {"hostname": format!("{index}.example")},
    });
    let mut rule = json!({"filters": [filter]});
    if let Some(blocks) = written.get("match") {
        let blocks: Option<Vec<Value>> = blocks.as_array()?.iter().map(block).collect();
        rule["matches"] = blocks?.into();
    }
    Some(rule)
}

fn block(written: &Value) -> Option<Value> {
    let mut block = Map::new();
    for (field, value) in written.as_object()? {
        match field.as_str() {
            "uri" => {
                let (kind, text) = text_match(value)?;
                let kind = match kind {
                    "exact" => "Exact",
                    "prefix" => "PathPrefix",
                    _ => "RegularExpression",
                };
                block.insert("path".into(), json!({"type": kind, "value": text}));
            }
            "method" => {
                block.insert("method".into(), value.get("exact")?.clone());
            }
            "headers" | "queryParams" => {
                let fields = value.as_object()?.iter();
                let fields: Option<Vec<Value>> = fields
                    .map(|(name, value)| {
                        let (kind, text) = text_match(value)?;
                        let kind = match kind {
                            "exact" => "Exact",
                            "regex" => "RegularExpression",
                            _ => return None,
                        };
                        Some(json!({"type": kind, "name": name, "value": text}))
                    })
                    .collect();
                block.insert(field.clone(), fields?.into());
            }
            _ => return None,
        }
    }
    Some(Value::Object(block))
}

fn text_match(value: &Value) -> Option<(&str, &str)> {
    let (kind, text) = value.as_object()?.iter().next()?;
    Some((kind, text.as_str()?))
}

fn redirects(model: &Model) -> Vec<String> {
    let hosts = model.route_configurations.values();
    let hosts = hosts.flat_map(|routes| &routes.virtual_hosts);
    let routes = hosts.flat_map(|host| &host.routes);
    let targets = routes.filter_map(|route| match &route.action {
        RouteAction::Redirect(redirect) => redirect.host.clone(),
        RouteAction::Forward(_) | RouteAction::DirectResponse(_) => None,
    });
    targets.collect()
}
