//! The values of `Host` by which a service is called (`generateVirtualHostDomains`,
//! `GenerateAltVirtualHosts`).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::services::{Provider, Service};
use crate::model::cluster::Discovery;
use crate::workload::Workload;

/// The domains of a service.
#[derive(Debug, Default)]
pub(super) struct Domains {
    /// All of them, the whole name first.
    pub(super) all: Vec<String>,
    /// Those that are short forms of names. They give way to the whole names of other services.
    pub(super) short: Vec<String>,
}

/// The domains by which `workload` calls `service`: its names and their short forms, and its
/// addresses. With a port, each is also there with it.
pub(super) fn of_service(service: &Service, workload: &Workload, port: Option<u16>) -> Domains {
    let mut domains = Domains::default();
    let aliases = service.aliases.iter().map(|alias| &*alias.hostname);
    for hostname in std::iter::once(&*service.hostname).chain(aliases) {
        push(&mut domains.all, hostname, port);
        if hostname.contains('.') {
            push(&mut domains.all, &format!("{hostname}."), port);
        }
        for short in short_forms(hostname, workload) {
            push(&mut domains.all, &short, port);
            push(&mut domains.short, &short, port);
        }
    }
    let is_headless = service.provider == Provider::Kubernetes
        && service.discovery == Discovery::OriginalDestination;
    if is_headless {
        let names = domains.all.iter().map(|domain| format!("*.{domain}"));
        let names: Vec<_> = names.collect();
        domains.all.extend(names);
    }
    for address in workload.addresses_of(service).iter() {
        if let Some(address) = single_address(address) {
            push(&mut domains.all, &bracketed(address), port);
        }
    }
    domains
}

/// The short forms of a Kubernetes name: `name.namespace`, `name.namespace.svc`, and `name` for
/// workloads of the same namespace. Other names have none.
pub(super) fn short_forms(hostname: &str, workload: &Workload) -> Vec<String> {
    let suffix = format!(".svc.{}", workload.domain);
    let Some(names) = hostname.strip_suffix(&suffix) else {
        return Vec::new();
    };
    let Some((name, namespace)) = names.split_once('.') else {
        return Vec::new();
    };
    let with_namespace = [names.to_owned(), format!("{names}.svc")];
    let alone = (namespace == workload.namespace).then(|| name.to_owned());
    alone.into_iter().chain(with_namespace).collect()
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn with_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => format!("{}:{port}", bracketed(address)),
        Err(_) => format!("{host}:{port}"),
    }
}

/// A host as it stands in a `Host` header.
pub(super) fn in_header(host: &str) -> String {
    match host.parse() {
        Ok(address) => bracketed(address),
        Err(_) => host.to_owned(),
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn push(domains: &mut Vec<String>, domain: &str, port: Option<u16>) {
    domains.push(domain.to_owned());
    domains.extend(port.map(|port| format!("{domain}:{port}")));
}

/// The address of a network of one.
pub(super) fn single_address(network: &IpNet) -> Option<IpAddr> {
    (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_form_depends_on_the_caller_s_namespace() {
        let workload = Workload::sidecar("shop");
        for (hostname, expected) in [
            (
                "cart.shop.svc.cluster.local",
                &["cart", "cart.shop", "cart.shop.svc"][..],
            ),
            (
                "cart.bank.svc.cluster.local",
                &["cart.bank", "cart.bank.svc"],
            ),
            ("cart.svc.cluster.local", &[]),
            ("cart.shop.svc.other.local", &[]),
            ("cart.example", &[]),
        ] {
            assert_eq!(short_forms(hostname, &workload), expected, "{hostname}");
        }
    }
}
