//! Virtual addresses for ServiceEntries that have none.
//!
//! A client that finds a service by DNS needs an address, even if none was written. istiod's
//! controller gives each host one IPv4 address of 240.240.0.0/16 and one IPv6 address of 2001:2::/48
//! and writes them to `.status.addresses`; [`Vips`] does the same to objects in memory
//! (`pilot/pkg/controllers/ipallocate`):
//!
//! - Entries with addresses, with `resolution: NONE`, or with the label
//!   `networking.istio.io/enable-autoallocate-ip: "false"` get none, nor does a wildcard host unless
//!   its resolution is `DYNAMIC_DNS`.
//! - An address that a host has, by its status or by an earlier allocation, stays. If two entries
//!   claim one, a user's own claim stands before a status, the older entry before the younger, and
//!   the host of the other entry gets a new one.
//! - Addresses are given in ascending order and are not given again while the allocator lives, so
//!   that a client does not reach another service by an answer that it remembers.
//!
//! istiod orders entries by the events of its watch; here they are ordered by age, name and
//! namespace, so that equal configurations have equal addresses.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::ServiceEntry;
//! use mesh_core::resource::istio::service_entry::Resolution;
//! use mesh_core::resource::{Object, Resource};
//! use mesh_discovery::vip::{Vips, addresses};
//!
//! let mut entry = Resource::<ServiceEntry>::default();
//! entry.metadata.name = "books".into();
//! entry.spec.hosts = vec!["books.example".into()];
//! entry.spec.resolution = Resolution::Dns;
//! let mut objects = vec![Object::from(entry)];
//!
//! assert!(Vips::default().allocate(&mut objects).is_empty());
//! let Object::ServiceEntry(entry) = &objects[0] else { unreachable!() };
//! let given: Vec<_> = addresses(entry).map(|(host, ip)| format!("{host} {ip}")).collect();
//! assert_eq!(given, ["books.example 240.240.0.1", "books.example 2001:2::1"]);
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use mesh_core::config::resources::cmp_by_age;
use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::resource::istio::ServiceEntry;
use mesh_core::resource::istio::service_entry::Resolution;
use mesh_core::resource::{Object, Resource, Value};

/// Label of an entry that wants no addresses.
const ENABLE: &str = "networking.istio.io/enable-autoallocate-ip";

/// Gives virtual addresses, and remembers to whom.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Vips {
    ranges: [Range; 2],
}

type Owner = (String, String);

/// A range of addresses, and who has which.
#[derive(Clone, Debug)]
struct Range {
    net: IpNet,
    owners: HashMap<IpAddr, Owner>,
    // What each host of an entry was given.
    given: BTreeMap<(Owner, String), IpAddr>,
    next: Option<IpAddr>,
}

impl Default for Vips {
    /// Addresses of istiod's ranges.
    fn default() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::new(240, 240, 0, 0), 16);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48);
        Self::new(v4, v6)
    }
}

impl Vips {
    /// Addresses of these ranges (`PILOT_IP_AUTOALLOCATE_IPV4_PREFIX` and its sibling for IPv6).
    pub fn new(v4: Ipv4Net, v6: Ipv6Net) -> Self {
        Self {
            ranges: [Range::new(v4.into()), Range::new(v6.into())],
        }
    }

    /// Gives addresses to the ServiceEntries among `objects` that need some, by writing their
    /// status. Returns a warning for each host that a range had no address left for.
    pub fn allocate(&mut self, objects: &mut [Object]) -> Vec<Diagnostic> {
        let mut entries: Vec<&mut Arc<Resource<ServiceEntry>>> = objects
            .iter_mut()
            .filter_map(|object| match object {
                Object::ServiceEntry(entry) => Some(entry),
                _ => None,
            })
            .collect();
        entries.sort_by(|a, b| cmp_by_age(&a.metadata, &b.metadata));
        for entry in &entries {
            self.claim_written(entry);
        }
        let mut conflicts = Vec::new();
        for entry in &entries {
            let keeps = !wants_addresses(entry) || self.claim_status(entry);
            conflicts.push(!keeps);
        }
        let mut warnings = Vec::new();
        for (entry, conflict) in entries.into_iter().zip(conflicts) {
            if wants_addresses(entry) {
                self.complete(entry, conflict, &mut warnings);
            }
        }
        warnings
    }

    /// Keeps the addresses that users wrote from being given to others.
    fn claim_written(&mut self, entry: &Resource<ServiceEntry>) {
        let written = entry.spec.addresses.iter();
        for address in written.filter_map(|text| text.parse().ok()) {
            for range in &mut self.ranges {
                range.claim(address, &owner(entry));
            }
        }
    }

    /// Claims the addresses of an entry's status. Whether none of them is another's.
    fn claim_status(&mut self, entry: &Resource<ServiceEntry>) -> bool {
        let owner = owner(entry);
        let mut all = true;
        for (host, address) in addresses(entry) {
            for range in &mut self.ranges {
                if range.claim(address, &owner) {
                    range.remember(&owner, host, address);
                } else {
                    all = false;
                }
            }
        }
        all
    }

    /// Writes the addresses of all hosts of `entry`, where any is missing or in conflict.
    fn complete(
        &mut self,
        entry: &mut Arc<Resource<ServiceEntry>>,
        conflict: bool,
        warnings: &mut Vec<Diagnostic>,
    ) {
        let hosts = allocated_hosts(&entry.spec);
        let present: BTreeMap<&str, Vec<IpAddr>> =
            addresses(entry).fold(BTreeMap::new(), |mut all, (host, address)| {
                all.entry(host).or_insert_with(Vec::new).push(address);
                all
            });
        let is_complete =
            present.len() == hosts.len() && hosts.iter().all(|host| present.contains_key(host));
        if is_complete && !conflict {
            return;
        }
        let owner = owner(entry);
        let mut written = Vec::new();
        for host in hosts {
            let own = present.get(host).filter(|_| !conflict).cloned();
            let own = own.unwrap_or_else(|| self.give(&owner, host, conflict));
            if own.is_empty() {
                let message = format!("no virtual address is left for the host `{host}`");
                let file = Arc::clone(entry.source.file());
                warnings.push(Diagnostic::new(Severity::Warning, file, message));
            }
            written.extend(own.into_iter().map(|address| (host.to_owned(), address)));
        }
        write(entry, written);
    }

    fn give(&mut self, owner: &Owner, host: &str, anew: bool) -> Vec<IpAddr> {
        let ranges = self.ranges.iter_mut();
        ranges
            .filter_map(|range| range.give(owner, host, anew))
            .collect()
    }
}

impl Range {
    fn new(net: IpNet) -> Self {
        Self {
            net,
            owners: HashMap::new(),
            given: BTreeMap::new(),
            next: next(net.network()),
        }
    }

    /// Whether `owner` may have `address`: it is nobody's yet, its own, or none of this range.
    fn claim(&mut self, address: IpAddr, owner: &Owner) -> bool {
        if !self.net.contains(&address) {
            return true;
        }
        let entry = self.owners.entry(address);
        entry.or_insert_with(|| owner.clone()) == owner
    }

    fn remember(&mut self, owner: &Owner, host: &str, address: IpAddr) {
        if self.net.contains(&address) {
            let key = (owner.clone(), host.to_owned());
            self.given.entry(key).or_insert(address);
        }
    }

    /// The address that `host` has already, unless it wants one `anew`; else the next free one.
    fn give(&mut self, owner: &Owner, host: &str, anew: bool) -> Option<IpAddr> {
        let key = (owner.clone(), host.to_owned());
        let known = self
            .given
            .get(&key)
            .filter(|address| !anew || self.owners.get(address) == Some(owner));
        if let Some(known) = known {
            return Some(*known);
        }
        let address = self.take_free()?;
        self.owners.insert(address, owner.clone());
        self.given.insert(key, address);
        Some(address)
    }

    /// The next address that nobody has; the range is gone through once more from its beginning.
    fn take_free(&mut self) -> Option<IpAddr> {
        let net = self.net;
        let first = next(net.network()).filter(|address| net.contains(address))?;
        let start = self.next.filter(|address| net.contains(address));
        let mut address = start.unwrap_or(first);
        let mut looped = start.is_none();
        while self.owners.contains_key(&address) {
            address = match next(address).filter(|address| net.contains(address)) {
                Some(address) => address,
                None if looped => return None,
                None => {
                    looped = true;
                    first
                }
            };
        }
        self.next = next(address);
        Some(address)
    }
}

/// Whether an entry gets addresses (`ShouldV2AutoAllocateIP`).
fn wants_addresses(entry: &Resource<ServiceEntry>) -> bool {
    let refused = entry.metadata.labels.get(ENABLE);
    let refused = refused.is_some_and(|value| value.eq_ignore_ascii_case("false"));
    let spec = &entry.spec;
    !refused && spec.resolution != Resolution::None && spec.addresses.is_empty()
}

/// The hosts that get addresses, once each.
fn allocated_hosts(spec: &ServiceEntry) -> Vec<&str> {
    let dynamic = spec.resolution == Resolution::DynamicDns;
    let mut hosts: Vec<&str> = Vec::new();
    for host in &spec.hosts {
        let is_wildcard = host.starts_with('*');
        if (dynamic || !is_wildcard) && !hosts.contains(&&**host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The addresses in the status of an entry, each with its host, which is empty if an old controller
/// wrote it.
pub fn addresses(entry: &Resource<ServiceEntry>) -> impl Iterator<Item = (&str, IpAddr)> {
    let status = entry.status.as_ref();
    let written = match status.and_then(|status| status.field("addresses")) {
        Some(Value::List(written)) => written.as_slice(),
        _ => &[],
    };
    written.iter().filter_map(|written| {
        let value = written.field("value")?.as_str()?.parse().ok()?;
        let host = written.field("host").and_then(Value::as_str);
        Some((host.unwrap_or_default(), value))
    })
}

fn write(entry: &mut Arc<Resource<ServiceEntry>>, addresses: Vec<(String, IpAddr)>) {
    let addresses = addresses.into_iter().map(|(host, address)| {
        let fields = [
            ("host".to_owned(), Value::String(host)),
            ("value".to_owned(), Value::String(address.to_string())),
        ];
        Value::Map(fields.into())
    });
    let addresses = Value::List(addresses.collect());
    let mut fields = match &entry.status {
        Some(Value::Map(fields)) => fields.clone(),
        _ => BTreeMap::new(),
    };
    fields.insert("addresses".to_owned(), addresses);
    Arc::make_mut(entry).status = Some(Value::Map(fields));
}

fn owner(entry: &Resource<ServiceEntry>) -> Owner {
    let metadata = &entry.metadata;
    (metadata.namespace.clone(), metadata.name.clone())
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(Ipv4Addr::from_bits(v4.to_bits().checked_add(1)?).into()),
        IpAddr::V6(v6) => Some(Ipv6Addr::from_bits(v6.to_bits().checked_add(1)?).into()),
    }
}

#[cfg(test)]
mod tests;
