//! Where the requests of a rule go (`applyHTTPRouteDestination`).

use std::sync::Arc;
use std::time::Duration;

use crate::duration::Duration as WrittenDuration;
use crate::matcher::RegexRewrite;
use crate::model::Notice;
use crate::model::filter::{HeaderMutations, Mirror};
use crate::model::route::{Forward, PathRewrite, Rewrite, WeightedDestination};
use crate::percent::Percent;
use crate::resolve::place::Place;
use crate::resolve::proxy_headers::append_forwarded_host;
use crate::resolve::virtual_service::context::RouteContext;
use crate::resolve::virtual_service::rules::Rule;
use crate::resolve::virtual_service::{hash, headers, retry};
use crate::resource::istio::percent::Percent as WrittenPercent;
use crate::resource::istio::virtual_service::{
    Destination, HttpRewrite, HttpRoute, HttpRouteDestination,
};

/// The forwarding of a rule. Header operations of an only destination go to those of the route,
/// `mutations`. One of several that no others get requests beside is not an only one.
pub(super) fn translate(
    context: &RouteContext<'_>,
    rule: &Rule<'_>,
    place: &Place<'_>,
    mutations: &mut HeaderMutations,
    notices: &mut Vec<Notice>,
) -> Result<Forward, Notice> {
    let written = &*rule.route;
    let namespace = &rule.owner.metadata.namespace;
    let routes = place.field("route");
    let mut forward = Forward::to(destinations(context, rule, &routes, notices)?);
    if let ([_], [only]) = (&*written.route, forward.destinations.as_mut_slice()) {
        headers::append(mutations, std::mem::take(&mut only.headers));
    }
    for (_, to) in chosen(&written.route) {
        let to = to.destination.iter();
        let policies = to.filter_map(|to| hash::of_destination(context, to, namespace));
        forward.hash_policies.extend(policies);
    }
    if let Some(rewrite) = &written.rewrite {
        forward.rewrite = self::rewrite(rewrite, &place.field("rewrite"))?;
        forward.rewrite.append_forwarded_host = append_forwarded_host(context.config);
    }
    forward.mirrors = mirrors(context, rule, place)?;
    let timeout = written.timeout;
    let timeout = timeout.map(|timeout| duration(timeout, &place.field("timeout")));
    forward.timeout = timeout.transpose()?;
    if let Some(retries) = &written.retries {
        retry::validate(retries, &place.field("retries"))?;
    }
    // With several destinations Istio does not look at their load balancers.
    let hashed = written.route.len() == 1 && !forward.hash_policies.is_empty();
    let retries = written.retries.as_ref();
    let retries = retries.or_else(|| context.config.options().default_http_retry_policy());
    forward.retry = retry::policy(retries, hashed).map(Arc::new);
    Ok(forward)
}

/// Drops the authority that an only destination of those `written` has where the route has one
/// already, and else makes it that of the route.
pub(super) fn prefer_route_authority(written: &[HttpRouteDestination], forward: &mut Forward) {
    if let ([_], [only]) = (written, forward.destinations.as_mut_slice()) {
        let own = only.authority.take();
        let route = &mut forward.rewrite.authority;
        *route = route.take().or(own);
    }
}

/// The destinations that get requests: the only one, or those of several with a weight.
fn chosen(
    written: &[HttpRouteDestination],
) -> impl Iterator<Item = (usize, &HttpRouteDestination)> {
    let only = written.len() == 1;
    let written = written.iter().enumerate();
    written.filter(move |(_, to)| only || to.weight != 0)
}

fn destinations(
    context: &RouteContext<'_>,
    rule: &Rule<'_>,
    place: &Place<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Vec<WeightedDestination>, Notice> {
    let namespace = &rule.owner.metadata.namespace;
    let mut destinations = Vec::with_capacity(rule.route.route.len());
    let mut total: u32 = 0;
    for (index, to) in chosen(&rule.route.route) {
        let place = place.index(index);
        let destination = to.destination.as_ref();
        let destination = known(destination, &place.field("destination"))?;
        let mut weighted = WeightedDestination::new(context.http_cluster(destination, namespace));
        weighted.origin = place.origin();
        weighted.weight = u32::try_from(to.weight).map_err(|_| {
            place
                .field("weight")
                .notice("the rule answers 500: negative weight")
        })?;
        total = total.checked_add(weighted.weight).ok_or_else(|| {
            let message = "the rule answers 500: the sum of the weights is too large";
            place.field("weight").notice(message)
        })?;
        if let Some(headers) = &to.headers {
            let translated = headers::translate(headers, &place.field("headers"), notices)?;
            (weighted.headers, weighted.authority) = translated;
        }
        destinations.push(weighted);
    }
    match destinations.as_mut_slice() {
        [] => Err(place.notice("the rule answers 500: no destination gets requests")),
        [only] => {
            only.weight = 1;
            Ok(destinations)
        }
        _ => Ok(destinations),
    }
}

/// The destination, if it names a host.
fn known<'d>(
    destination: Option<&'d Destination>,
    place: &Place<'_>,
) -> Result<&'d Destination, Notice> {
    match destination {
        Some(destination) if destination.host == "*" => {
            Err(place.notice("the rule answers 500: `*` is not a destination"))
        }
        Some(destination) if !destination.host.is_empty() => {
            let port = destination.port.as_ref().map_or(0, |port| port.number);
            if port > u32::from(u16::MAX) {
                return Err(place.notice("the rule answers 500: the port is not from 1 to 65535"));
            }
            Ok(destination)
        }
        _ => Err(place.notice("the rule answers 500: the destination has no host")),
    }
}

fn rewrite(written: &HttpRewrite, place: &Place<'_>) -> Result<Rewrite, Notice> {
    let HttpRewrite {
        uri,
        authority,
        uri_regex_rewrite,
    } = written;
    let path = match uri_regex_rewrite {
        Some(regex) => {
            let place = place.field("uriRegexRewrite");
            let refuse = |error| place.notice(format_args!("the rule answers 500: {error}"));
            let rewrite = RegexRewrite::parse(&regex.r#match, &regex.rewrite).map_err(refuse)?;
            Some(PathRewrite::Regex(rewrite))
        }
        None if uri.is_empty() => None,
        None => Some(PathRewrite::Prefix(uri.clone())),
    };
    let authority = Some(authority.clone()).filter(|authority| !authority.is_empty());
    Ok(Rewrite {
        path,
        authority,
        ..Rewrite::default()
    })
}

fn mirrors(
    context: &RouteContext<'_>,
    rule: &Rule<'_>,
    place: &Place<'_>,
) -> Result<Vec<Mirror>, Notice> {
    let written = &*rule.route;
    let namespace = &rule.owner.metadata.namespace;
    let mut mirrors = Vec::new();
    let mut push = |destination: &Destination, percent: Percent, place: &Place<'_>| {
        if percent > Percent::ZERO {
            let destination = known(Some(destination), place)?;
            mirrors.push(Mirror {
                cluster: context.http_cluster(destination, namespace),
                percent,
                origin: place.origin(),
            });
        }
        Ok::<(), Notice>(())
    };
    if let Some(mirror) = &written.mirror {
        let percent = mirror_percent(written, place)?;
        push(mirror, percent, &place.field("mirror"))?;
    }
    let list = place.field("mirrors");
    for (index, mirror) in written.mirrors.iter().enumerate() {
        let place = list.index(index);
        let share = mirror.percentage.as_ref();
        let share = share.map(|share| percent(share, &place.field("percentage")));
        let share = share.transpose()?.unwrap_or(Percent::HUNDRED);
        if let Some(destination) = &mirror.destination {
            push(destination, share, &place)?;
        }
    }
    Ok(mirrors)
}

/// The share of `mirror`: everything if it is not written (`MirrorPercent`).
fn mirror_percent(written: &HttpRoute, place: &Place<'_>) -> Result<Percent, Notice> {
    if let Some(share) = &written.mirror_percentage {
        return percent(share, &place.field("mirrorPercentage"));
    }
    match written.mirror_percent {
        Some(share) => {
            let value = f64::from(share);
            percent(&WrittenPercent { value }, &place.field("mirrorPercent"))
        }
        None => Ok(Percent::HUNDRED),
    }
}

/// A percentage of a rule.
pub(in crate::resolve) fn percent(
    written: &WrittenPercent,
    place: &Place<'_>,
) -> Result<Percent, Notice> {
    let refuse = |error| place.notice(format_args!("the rule answers 500: {error}"));
    Percent::new(written.value).map_err(refuse)
}

/// A duration of a rule: at least a millisecond, and nothing finer.
pub(in crate::resolve) fn duration(
    written: WrittenDuration,
    place: &Place<'_>,
) -> Result<Duration, Notice> {
    let refuse = |error| place.notice(format_args!("the rule answers 500: {error}"));
    written.validate().map_err(refuse)?;
    Ok(written.as_std().unwrap_or_default())
}
