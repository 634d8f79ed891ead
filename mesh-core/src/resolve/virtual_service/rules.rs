//! The HTTP rules of a VirtualService, with those of its delegates in place.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::config::MeshConfig;
use crate::config::visibility::Visibility;
use crate::model::Notice;
use crate::resolve::place::Place;
use crate::resolve::virtual_service::context::RouteContext;
use crate::resolve::virtual_service::delegate;
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::virtual_service::HttpRoute;

/// The VirtualServices without hosts, to which rules of others refer.
#[derive(Debug, Default)]
pub(in crate::resolve) struct Delegates<'a> {
    by_name: HashMap<(&'a str, &'a str), &'a Resource<VirtualService>>,
}

impl<'a> Delegates<'a> {
    pub(in crate::resolve) fn new(config: &'a MeshConfig) -> Self {
        let all = config.resources().virtual_services.iter();
        let delegates = all.filter(|vs| vs.spec.hosts.is_empty());
        let by_name = delegates.map(|vs| {
            let metadata = &vs.metadata;
            ((&*metadata.namespace, &*metadata.name), &**vs)
        });
        Self {
            by_name: by_name.collect(),
        }
    }
}

/// A rule, and where it was written.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    /// What it says. Names are as written, relative to the namespace of `owner`.
    pub(super) route: Cow<'a, HttpRoute>,
    /// The VirtualService that has it.
    pub(super) owner: &'a Resource<VirtualService>,
    /// Its index in `spec.http` of `owner`.
    pub(super) index: usize,
    /// For each match block of `route` its index in the list of `owner`; `None` if it is not there.
    matches: Option<Vec<Option<usize>>>,
}

impl<'a> Rule<'a> {
    fn new(owner: &'a Resource<VirtualService>, index: usize) -> Self {
        Self {
            route: Cow::Borrowed(&owner.spec.http[index]),
            owner,
            index,
            matches: None,
        }
    }

    /// Where the match block `index` of `route` was written in `owner`.
    pub(super) fn match_index(&self, index: usize) -> Option<usize> {
        match &self.matches {
            Some(matches) => matches.get(index).copied().flatten(),
            None => Some(index),
        }
    }
}

/// The rules of `vs` in order. A rule with a delegate is replaced by the delegate's.
pub(super) fn rules<'a>(
    context: &RouteContext<'a>,
    vs: &'a Resource<VirtualService>,
    notices: &mut Vec<Notice>,
) -> Vec<Rule<'a>> {
    let mut rules = Vec::with_capacity(vs.spec.http.len());
    for (index, route) in vs.spec.http.iter().enumerate() {
        if route.delegate.is_none() {
            rules.push(Rule::new(vs, index));
            continue;
        }
        match delegate_of(context, vs, route) {
            Ok(found) => merge(
                context.config,
                &Rule::new(vs, index),
                found,
                &mut rules,
                notices,
            ),
            Err(reason) => {
                let origin = vs.origin();
                let root = Place::root(&origin, &vs.source);
                let spec = root.field("spec");
                let http = spec.field("http");
                notices.push(http.index(index).field("delegate").notice(reason));
            }
        }
    }
    rules
}

fn delegate_of<'a>(
    context: &RouteContext<'a>,
    vs: &Resource<VirtualService>,
    route: &HttpRoute,
) -> Result<&'a Resource<VirtualService>, String> {
    let delegate = route.delegate.as_ref().map(|delegate| {
        let namespace = match delegate.namespace.as_str() {
            "" => &vs.metadata.namespace,
            written => written,
        };
        (namespace, &*delegate.name)
    });
    let (namespace, name) = delegate.unwrap_or_default();
    let found = context.delegates.by_name.get(&(namespace, name));
    let found = found.ok_or_else(|| {
        format!("the rule is left out: there is no delegate `{namespace}/{name}` without hosts")
    })?;
    let default = context.config.options().default_virtual_service_export_to();
    let written = match found.spec.export_to.as_slice() {
        [] => default,
        written => written,
    };
    if !Visibility::parse(written, namespace).admits(&vs.metadata.namespace) {
        return Err(format!(
            "the rule is left out: the delegate `{namespace}/{name}` is not exported to `{}`",
            vs.metadata.namespace
        ));
    }
    Ok(found)
}

/// Adds the rules of `owner`, a delegate, narrowed by `root`.
fn merge<'a>(
    config: &MeshConfig,
    root: &Rule<'_>,
    owner: &'a Resource<VirtualService>,
    rules: &mut Vec<Rule<'a>>,
    notices: &mut Vec<Notice>,
) {
    let root_route = delegate::with_whole_names(config, &root.route, root.owner);
    for (index, route) in owner.spec.http.iter().enumerate() {
        let route = delegate::with_whole_names(config, route, owner);
        match delegate::merge_http_route(&root_route, &route) {
            Some((route, matches)) => rules.push(Rule {
                route: Cow::Owned(route),
                owner,
                index,
                matches: Some(matches),
            }),
            None => {
                let origin = owner.origin();
                let place = Place::root(&origin, &owner.source);
                let spec = place.field("spec");
                let http = spec.field("http");
                notices.push(http.index(index).notice(format_args!(
                    "the rule is left out: it matches more than the rule of `{}/{}` that \
                     delegates to it",
                    root.owner.metadata.namespace, root.owner.metadata.name
                )));
            }
        }
    }
}
