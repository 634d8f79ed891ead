//! Hashes, Maglev tables and hash rings.

use mesh_discovery::balance::hash::{murmur2, xxhash64};
use mesh_discovery::balance::maglev::Maglev;
use mesh_discovery::balance::ring_hash::RingHash;
use serde_json::Value;

use crate::case::{Outcome, list, text};

const HOSTS: &str = "the vector does not say which hosts there are";

/// Runs a vector of a group.
pub(crate) fn run(group: &str, vector: &Value) -> Outcome {
    match group {
        "xxhash64" => hash(vector, xxhash64),
        "murmur2" => hash(vector, murmur2),
        "maglev" => maglev(vector),
        "ring_hash" => ring(vector),
        _ => Outcome::Unsupported(format!("there is no `{group}`")),
    }
}

fn hash(vector: &Value, hash: fn(&[u8]) -> u64) -> Outcome {
    let actual = hash(text(vector, "in").as_bytes()).to_string();
    Outcome::equal(&text(vector, "out"), &&*actual)
}

/// The key of each host, and its share of all weight.
fn hosts(vector: &Value) -> Vec<(String, f64)> {
    let hosts = list(vector, "hosts");
    let weight = |host: &Value| host.get("weight").and_then(Value::as_f64).unwrap_or(1.0);
    let total: f64 = hosts.iter().map(weight).sum();
    let by_name = vector.get("use_hostname_for_hashing") == Some(&Value::Bool(true));
    let key = |host: &Value| {
        let names = [text(host, "key"), text(host, "hostname_or_key")];
        let address = text(host, "address");
        let address = address.strip_prefix("tcp://").unwrap_or(address);
        let mut names = names.into_iter().filter(|name| by_name && !name.is_empty());
        names.next().unwrap_or(address).to_owned()
    };
    hosts
        .iter()
        .map(|host| (key(host), weight(host) / total))
        .collect()
}

fn number(vector: &Value, field: &str) -> u64 {
    let value = vector.get(field).unwrap_or(&Value::Null);
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or_else(|| value.as_u64()).unwrap_or_default()
}

fn maglev(vector: &Value) -> Outcome {
    let hosts = hosts(vector);
    if hosts.is_empty() {
        return Outcome::unsupported(HOSTS);
    }
    let expected: Vec<u64> = list(vector, "assignments")
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    match Maglev::new(hosts, number(vector, "table_size")) {
        Ok(table) => {
            let entries = table.entries().iter();
            Outcome::equal(&expected, &entries.map(|host| u64::from(*host)).collect())
        }
        Err(error) => Outcome::Failed(format!("refused: {error}")),
    }
}

/// A ring and picks from it. Where a vector has the rings of several sets of hosts, the first is
/// that of the hosts it lists.
fn ring(vector: &Value) -> Outcome {
    let hosts = hosts(vector);
    if hosts.is_empty() {
        return Outcome::unsupported(HOSTS);
    }
    let is_murmur = vector.get("murmur2") == Some(&Value::Bool(true));
    let hash = if is_murmur { murmur2 } else { xxhash64 };
    let size = number(vector, "minimum_ring_size");
    let ring = RingHash::with_hash(hosts.clone(), size, hash);
    let actual: Vec<(u64, &str)> = ring
        .positions()
        .map(|position| (position.hash, &*hosts[position.host as usize].0))
        .collect();
    let expected = list(vector, "ring").iter();
    let expected: Vec<(u64, &str)> = expected
        .map(|entry| (number(entry, "hash"), text(entry, "host")))
        .collect();
    if expected.len() < actual.len() {
        return Outcome::equal(&expected, &actual);
    }
    for (expected, actual) in expected.iter().zip(&actual) {
        // The vector writes some hosts by their last characters.
        if expected.0 != actual.0 || !actual.1.ends_with(expected.1) {
            return Outcome::equal(expected, actual);
        }
    }
    for pick in list(vector, "picks") {
        let picked = ring.pick(number(pick, "hash"), 0).map(|host| host as u64);
        let expected = Some(number(pick, "host_index"));
        if picked != expected {
            return Outcome::equal(&expected, &picked);
        }
    }
    Outcome::Passed
}
