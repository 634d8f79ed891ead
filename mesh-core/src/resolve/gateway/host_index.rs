//! Which of many VirtualServices have hosts in common with a server.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::host::HostPattern;

/// Hosts, each of something with a number.
///
/// Hosts are kept backwards, so that those with a common suffix are neighbours, and what a host
/// matches is found without looking at the others.
#[derive(Debug, Default)]
pub(super) struct HostIndex {
    names: BTreeMap<String, Vec<usize>>,
    // Without the `*`.
    wildcards: BTreeMap<String, Vec<usize>>,
}

impl HostIndex {
    /// Adds a host of the thing with the number `owner`.
    pub(super) fn insert(&mut self, host: &HostPattern, owner: usize) {
        let hosts = match host.suffix() {
            Some(_) => &mut self.wildcards,
            None => &mut self.names,
        };
        hosts.entry(backwards(host)).or_default().push(owner);
    }

    /// The owners of hosts that [match](HostPattern::matches) `host`.
    pub(super) fn matching(&self, host: &HostPattern) -> BTreeSet<usize> {
        let text = backwards(host);
        let mut owners = BTreeSet::new();
        let ends = text.char_indices().map(|(end, _)| end).chain([text.len()]);
        for end in ends {
            owners.extend(self.wildcards.get(&text[..end]).into_iter().flatten());
        }
        if host.is_wildcard() {
            owners.extend(within(&self.names, &text));
            owners.extend(within(&self.wildcards, &text));
        } else {
            owners.extend(self.names.get(&text).into_iter().flatten());
        }
        owners
    }

    /// All owners.
    pub(super) fn owners(&self) -> BTreeSet<usize> {
        let hosts = self.names.values().chain(self.wildcards.values());
        hosts.flatten().copied().collect()
    }
}

fn backwards(host: &HostPattern) -> String {
    let text = host.suffix().unwrap_or(host.as_str());
    text.chars().rev().collect()
}

/// The owners of the hosts that begin with `start`.
fn within<'a>(
    hosts: &'a BTreeMap<String, Vec<usize>>,
    start: &'a str,
) -> impl Iterator<Item = &'a usize> {
    let hosts = hosts.range::<str, _>((Bound::Included(start), Bound::Unbounded));
    hosts
        .take_while(move |(host, _)| host.starts_with(start))
        .flat_map(|(_, owners)| owners)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_index_finds_what_comparing_with_each_host_finds(
            hosts in prop::collection::vec("\\*?[ab.]{0,4}", 0..20),
            host in "\\*?[ab.]{0,4}",
        ) {
            let host = HostPattern::new(&host);
            let hosts: Vec<_> = hosts.iter().map(|host| HostPattern::new(host)).collect();
            let mut index = HostIndex::default();
            for (owner, host) in hosts.iter().enumerate() {
                index.insert(host, owner);
            }
            let naive = (0..hosts.len()).filter(|&owner| hosts[owner].matches(&host));
            prop_assert_eq!(index.matching(&host), naive.collect::<BTreeSet<_>>());
        }
    }
}
