//! Merging the rules of a delegate into the rule that refers to it
//! (`pilot/pkg/model/virtualservice.go`, `MergeHTTPRoutes`).
//!
//! A rule of the delegate may only narrow what the root matches, or it is dropped. What it does not
//! say it takes from the root.
//!
//! See the [module docs](super) for an example.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::MeshConfig;
use crate::host::resolve_gateway_name;
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::string_match::StringMatch;
use crate::resource::istio::virtual_service::{HttpMatchRequest, HttpRoute};

/// The rules of `delegate` that only narrow what `root` matches, completed by `root`.
pub fn merge_http_routes(root: &HttpRoute, delegate: &[HttpRoute]) -> Vec<HttpRoute> {
    let merged = delegate
        .iter()
        .filter_map(|rule| merge_http_route(root, rule));
    merged.map(|(rule, _)| rule).collect()
}

/// Each match block of `delegate` combined with each of `root` that it narrows. `None` if there is
/// one that narrows none. An empty list matches everything.
pub fn merge_http_matches(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
) -> Option<Vec<HttpMatchRequest>> {
    let merged = merge_matches(root, delegate)?;
    Some(merged.into_iter().map(|(merged, _)| merged).collect())
}

/// The rule, and for each of its match blocks the index of that of `delegate` it was made from.
pub(super) fn merge_http_route(
    root: &HttpRoute,
    delegate: &HttpRoute,
) -> Option<(HttpRoute, Vec<Option<usize>>)> {
    let (matches, indices) = merge_matches(&root.r#match, &delegate.r#match)?
        .into_iter()
        .unzip();
    let rule = delegate.clone();
    let root = root.clone();
    let merged = HttpRoute {
        name: joined(&root.name, &rule.name),
        r#match: matches,
        route: rule.route,
        redirect: rule.redirect,
        direct_response: rule.direct_response.or(root.direct_response),
        delegate: None,
        rewrite: rule.rewrite.or(root.rewrite),
        timeout: rule.timeout.or(root.timeout),
        retries: rule.retries.or(root.retries),
        fault: rule.fault.or(root.fault),
        mirror: rule.mirror.or(root.mirror),
        mirrors: if rule.mirrors.is_empty() {
            root.mirrors
        } else {
            rule.mirrors
        },
        mirror_percent: rule.mirror_percent.or(root.mirror_percent),
        mirror_percentage: rule.mirror_percentage.or(root.mirror_percentage),
        cors_policy: rule.cors_policy.or(root.cors_policy),
        headers: rule.headers.or(root.headers),
    };
    Some((merged, indices))
}

type MergedMatches = Vec<(HttpMatchRequest, Option<usize>)>;

fn merge_matches(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
) -> Option<MergedMatches> {
    if root.is_empty() {
        let own = delegate.iter().cloned().enumerate();
        return Some(own.map(|(index, block)| (block, Some(index))).collect());
    }
    if delegate.is_empty() {
        return Some(root.iter().cloned().map(|block| (block, None)).collect());
    }
    let mut merged = Vec::new();
    for (index, leaf) in delegate.iter().enumerate() {
        let before = merged.len();
        let narrowed = root.iter().filter(|root| !has_conflict(root, leaf));
        merged.extend(narrowed.map(|root| (merge_match(root, leaf), Some(index))));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

fn merge_match(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> HttpMatchRequest {
    HttpMatchRequest {
        name: joined(&root.name, &leaf.name),
        uri: leaf.uri.clone().or_else(|| root.uri.clone()),
        scheme: leaf.scheme.clone().or_else(|| root.scheme.clone()),
        method: leaf.method.clone().or_else(|| root.method.clone()),
        authority: leaf.authority.clone().or_else(|| root.authority.clone()),
        headers: joined_maps(&root.headers, &leaf.headers),
        port: if leaf.port == 0 { root.port } else { leaf.port },
        source_labels: joined_maps(&root.source_labels, &leaf.source_labels),
        gateways: match leaf.gateways.as_slice() {
            [] => root.gateways.clone(),
            own => own.to_vec(),
        },
        query_params: joined_maps(&root.query_params, &leaf.query_params),
        ignore_uri_case: leaf.ignore_uri_case,
        without_headers: joined_maps(&root.without_headers, &leaf.without_headers),
        source_namespace: first_written(&leaf.source_namespace, &root.source_namespace),
        stat_prefix: first_written(&leaf.stat_prefix, &root.stat_prefix),
    }
}

fn joined(root: &str, leaf: &str) -> String {
    match (root, leaf) {
        ("", name) | (name, "") => name.to_owned(),
        (root, leaf) => format!("{root}-{leaf}"),
    }
}

fn first_written(leaf: &str, root: &str) -> String {
    let written = if leaf.is_empty() { root } else { leaf };
    written.to_owned()
}

fn joined_maps<V: Clone>(
    root: &BTreeMap<String, V>,
    leaf: &BTreeMap<String, V>,
) -> BTreeMap<String, V> {
    let entries = root.iter().chain(leaf);
    entries
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Whether `leaf` asks for something that `root` excludes (`hasConflict`).
pub fn has_conflict(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> bool {
    let differ = |a: &Option<StringMatch>, b: &Option<StringMatch>| match (a, b) {
        (Some(a), Some(b)) => string_conflict(a, b),
        _ => false,
    };
    let maps_differ = |root: &BTreeMap<String, StringMatch>,
                       leaf: &BTreeMap<String, StringMatch>| {
        let mut common = leaf
            .iter()
            .filter_map(|(key, leaf)| Some((root.get(key)?, leaf)));
        common.any(|(root, leaf)| string_conflict(root, leaf))
    };
    let label_differs = |(key, leaf): (&String, &String)| {
        let root = root.source_labels.get(key);
        root.is_some_and(|root| root != leaf)
    };
    differ(&root.uri, &leaf.uri)
        || differ(&root.scheme, &leaf.scheme)
        || differ(&root.method, &leaf.method)
        || differ(&root.authority, &leaf.authority)
        || maps_differ(&root.headers, &leaf.headers)
        || maps_differ(&root.without_headers, &leaf.without_headers)
        || maps_differ(&root.query_params, &leaf.query_params)
        || root.ignore_uri_case != leaf.ignore_uri_case
        || (root.port != 0 && leaf.port != 0 && root.port != leaf.port)
        || leaf.source_labels.iter().any(label_differs)
        || (!root.source_namespace.is_empty() && root.source_namespace != leaf.source_namespace)
        || gateways_conflict(&root.gateways, &leaf.gateways)
}

fn gateways_conflict(root: &[String], leaf: &[String]) -> bool {
    if root.is_empty() || leaf.is_empty() {
        return false;
    }
    let known: BTreeSet<_> = root.iter().collect();
    root.len() < leaf.len() || leaf.iter().any(|gateway| !known.contains(gateway))
}

/// Whether strings that `leaf` matches are excluded by `root` (`stringMatchConflict`). Istio does
/// not look into expressions: with one on either side, anything on the other is a conflict.
fn string_conflict(root: &StringMatch, leaf: &StringMatch) -> bool {
    let written = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    let anything = |value: &StringMatch| {
        written(&value.exact) || written(&value.prefix) || written(&value.regex)
    };
    if (written(&root.regex) && anything(leaf)) || (written(&leaf.regex) && anything(root)) {
        return true;
    }
    let text = |value: &'_ Option<String>| value.clone().unwrap_or_default();
    let (exact, prefix) = (text(&leaf.exact), text(&leaf.prefix));
    match (&*text(&root.exact), &*text(&root.prefix)) {
        ("", "") => true,
        ("", root) if !prefix.is_empty() => !prefix.starts_with(root),
        ("", root) if !exact.is_empty() => !exact.starts_with(root),
        ("", _) => true,
        (root, _) => !prefix.is_empty() || exact != root,
    }
}

/// `route` of `owner`, with whole names of hosts and gateways, so that it means the same in
/// another VirtualService.
pub(super) fn with_whole_names(
    config: &MeshConfig,
    route: &HttpRoute,
    owner: &Resource<VirtualService>,
) -> HttpRoute {
    let namespace = &owner.metadata.namespace;
    let mut route = route.clone();
    let destinations = route
        .route
        .iter_mut()
        .filter_map(|to| to.destination.as_mut());
    let mirrors = route
        .mirrors
        .iter_mut()
        .filter_map(|to| to.destination.as_mut());
    for destination in destinations.chain(mirrors).chain(&mut route.mirror) {
        destination.host = config.resolve_host(&destination.host, namespace);
    }
    for gateway in route
        .r#match
        .iter_mut()
        .flat_map(|block| &mut block.gateways)
    {
        *gateway = resolve_gateway_name(gateway, namespace);
    }
    route
}
