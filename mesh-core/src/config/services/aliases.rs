//! Services that are other names of services (`type: ExternalName`).

use std::collections::HashMap;

use crate::config::services::Service;

/// Another name of a service.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Alias {
    /// Namespace of the Kubernetes Service that declares the name.
    pub namespace: String,
    /// The host name.
    pub hostname: String,
}

/// Follows aliases of aliases to the end, and tells each service its aliases. One that leads back
/// to itself is left as written: no service has that name.
pub(super) fn resolve(services: &mut [Service]) {
    let written: HashMap<String, String> = services
        .iter()
        .filter_map(|service| Some((service.hostname.clone(), service.alias_of.clone()?)))
        .collect();
    if written.is_empty() {
        return;
    }
    let mut aliases: HashMap<String, Vec<Alias>> = HashMap::new();
    for service in services
        .iter_mut()
        .filter(|service| service.alias_of.is_some())
    {
        let Some(end) = follow(&service.hostname, &written) else {
            continue;
        };
        aliases.entry(end.to_owned()).or_default().push(Alias {
            namespace: service.namespace.clone(),
            hostname: service.hostname.clone(),
        });
        service.alias_of = Some(end.to_owned());
    }
    for service in services {
        if let Some(aliases) = aliases.get(&service.hostname) {
            service.aliases.clone_from(aliases);
            service.aliases.sort();
        }
    }
}

/// The host at the end of the chain that begins at `hostname`, unless the chain is a ring.
fn follow<'a>(hostname: &str, written: &'a HashMap<String, String>) -> Option<&'a str> {
    let mut end = written.get(hostname)?;
    for _ in 0..written.len() {
        match written.get(end) {
            Some(next) => end = next,
            None => return Some(end),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_followed_to_its_end_and_a_ring_is_not() {
        let written: HashMap<String, String> = [
            ("a", "b"),
            ("b", "end"),
            ("ring", "ring.2"),
            ("ring.2", "ring"),
            ("self", "self"),
        ]
        .map(|(alias, host)| (alias.to_owned(), host.to_owned()))
        .into();
        for (alias, end) in [
            ("a", Some("end")),
            ("b", Some("end")),
            ("ring", None),
            ("self", None),
        ] {
            assert_eq!(follow(alias, &written), end, "{alias}");
        }
    }
}
