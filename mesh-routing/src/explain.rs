//! Lookups, explained.

use mesh_core::attributes::MatchedRoute;
use mesh_core::decision::{Decision, Step};
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::origin::Origin;

use crate::destination::total_weight;
use crate::host_index::DomainPattern;
use crate::request::RequestHead;
use crate::table::{HostTable, Lookup, RouteName, RouteTable};

impl RouteTable {
    /// Says what [`lookup`](Self::lookup) says, and why: the virtual hosts that could serve the
    /// authority, most specific first, each route that was tried with the first condition that it
    /// fails, and the destination drawn.
    ///
    /// It tries all routes in order, as the index does not, so it is slower by far.
    ///
    /// ```
    /// use http::Request;
    /// use mesh_routing::request::RequestHead;
    /// use mesh_routing::table::RouteTable;
    ///
    /// let table = RouteTable::builder()
    ///     .exact("health", "shop.example", "/healthz")
    ///     .prefix("cart", "shop.example", "/cart")
    ///     .compile()?;
    /// let request = Request::get("http://shop.example/cart/7").body(()).unwrap();
    /// let decision = table.explain(&RequestHead::from(&request), 0);
    /// assert_eq!(
    ///     decision.to_string(),
    ///     "virtual host `shop.example` by domain `shop.example`: matched  [virtual host]\n\
    ///      route `health`: no, path `/cart/7` is not `/healthz`  [route]\n\
    ///      route `cart`: matched  [route]\n\
    ///      destination `cart`: the only one  [destination]\n\
    ///      => route `cart` to `cart`",
    /// );
    /// # Ok::<(), mesh_routing::error::CompileErrors>(())
    /// ```
    pub fn explain(&self, head: &RequestHead<'_>, random: u64) -> Decision<Lookup> {
        let mut steps = Vec::new();
        let outcome = self.explain_host(head, random, &mut steps);
        Decision { outcome, steps }
    }

    fn explain_host(&self, head: &RequestHead<'_>, random: u64, steps: &mut Vec<Step>) -> Lookup {
        let name = self.host_name(head.authority());
        let mut considered = self.serving(name);
        considered.sort_by_key(|(domain, _)| DomainPattern::parse(domain).precedence());
        let Some((domain, host)) = considered.first() else {
            let subject = format!("route configuration `{}`", self.name());
            let why = format!("no domain of its virtual hosts takes `{name}`");
            steps.push(Step::failed(
                subject,
                Origin::synthetic("route configuration"),
                why,
            ));
            return Lookup::NoVirtualHost;
        };
        steps.push(Step::matched(subject(host, domain), host.origin.clone()));
        for (other, host) in &considered[1..] {
            let why = format!("domain `{domain}` is more specific");
            steps.push(Step::failed(subject(host, other), host.origin.clone(), why));
        }
        host.explain(head, random, steps)
    }

    /// The domains that take `name`, with their virtual hosts.
    fn serving(&self, name: &str) -> Vec<(&str, &HostTable)> {
        let hosts = self.virtual_hosts().iter();
        let domains = hosts.flat_map(|host| {
            host.domains
                .iter()
                .map(move |domain| (domain.as_str(), host))
        });
        domains
            .filter(|(domain, _)| DomainPattern::parse(domain).is_match(name))
            .collect()
    }
}

fn subject(host: &HostTable, domain: &str) -> String {
    format!("virtual host `{}` by domain `{domain}`", host.name)
}

impl HostTable {
    fn explain(&self, head: &RequestHead<'_>, random: u64, steps: &mut Vec<Step>) -> Lookup {
        if self.redirects(head) {
            let subject = format!("virtual host `{}`", self.name);
            let what = "plaintext requests are redirected to https";
            steps.push(Step::applied(subject, self.origin.clone(), what));
            return Lookup::TlsRedirect;
        }
        if head.path().is_empty() {
            let subject = format!("virtual host `{}`", self.name);
            let why = "a request without a path has no route";
            steps.push(Step::failed(subject, self.origin.clone(), why));
            return Lookup::NoRoute;
        }
        for entry in &self.routes {
            let subject = RouteName(&entry.route.name).to_string();
            let origin = entry.route.origin.clone();
            let outcome = entry.evaluate(head);
            match outcome {
                Ok(()) => {
                    steps.push(Step::matched(subject, origin));
                    let matched = self.matched(entry, random);
                    steps.extend(drawn(&matched));
                    return Lookup::Matched(matched);
                }
                Err(mismatch) => steps.push(Step::failed(subject, origin, mismatch.to_string())),
            }
        }
        Lookup::NoRoute
    }
}

/// The destination drawn, if the route forwards.
fn drawn(matched: &MatchedRoute) -> Option<Step> {
    let destination = matched.destination()?;
    let destinations = &matched.forward()?.destinations;
    let subject = match (&destination.cluster, &destination.unresolved) {
        (ClusterSpecifier::Header(name), _) => format!("destination named by header `{name}`"),
        (ClusterSpecifier::Name(cluster), _) => format!("destination `{cluster}`"),
        (ClusterSpecifier::Refused(status), Some(cluster)) => {
            format!("destination `{cluster}` refused with `{status}`")
        }
        (ClusterSpecifier::Refused(status), None) => {
            format!("destination refused with `{status}`")
        }
    };
    let what = match destinations.len() {
        1 => "the only one".to_owned(),
        _ => format!(
            "drawn by weight {} of {}",
            destination.weight,
            total_weight(destinations)
        ),
    };
    Some(Step::applied(subject, destination.origin.clone(), what))
}
