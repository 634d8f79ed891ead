//! Where endpoints are, and how far that counts.
//!
//! [`LocalityRules`] give each endpoint of a cluster its priority, and each locality its weight, as
//! istiod does when it writes an endpoint assignment for one client:
//!
//! - `distribute` gives weights to localities; endpoints elsewhere get nothing.
//! - Otherwise, if failing endpoints are ejected (or the service's `trafficDistribution` asks for
//!   it), near endpoints come first: by `failoverPriority`, by region, zone and subzone, by
//!   `failover` between regions.
//!
//! Source: Istio's [locality load balancing].
//!
//! [locality load balancing]: https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/
//!
//! # Example
//!
//! ```
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, LocalityBalancing};
//! use mesh_core::service::ClusterName;
//! use mesh_discovery::locality::{Client, LocalityRules};
//!
//! let mut cluster = Cluster::new(ClusterName::from("cart"));
//! cluster.policy.outlier_detection = Some(Box::default());
//! cluster.locality = LocalityBalancing::Locality { setting: Box::default(), force: false };
//! let client = Client { locality: "eu/a/1".parse().unwrap(), ..Client::default() };
//! let rules = LocalityRules::compile(&cluster, &client);
//!
//! let priority = |locality: &str| {
//!     let address = EndpointAddress::Unix("cart".into());
//!     let endpoint = Endpoint { locality: locality.into(), ..Endpoint::new(address) };
//!     rules.priority(&endpoint)
//! };
//! assert!(priority("eu/a/2") < priority("eu/b/1"));
//! assert!(priority("eu/b/1") < priority("us/a/1"));
//! ```

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use mesh_core::labels::Labels;
use mesh_core::model::Model;
use mesh_core::workload::Workload;

mod rules;

pub use rules::LocalityRules;

/// A place: `region/zone/subzone`. Parts that are not known are empty.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Locality {
    /// A large area: `eu-west1`.
    pub region: String,
    /// A failure domain within it: `eu-west1-b`.
    pub zone: String,
    /// A part of the zone.
    pub subzone: String,
}

impl Locality {
    /// Whether a locality as a DestinationRule writes it takes this one: parts that are `*`, and
    /// those left out after the region, take every value.
    pub fn is_matched_by(&self, rule: &str) -> bool {
        let mut parts = rule.splitn(3, '/');
        let region = parts.next().unwrap_or_default();
        let takes = |part: Option<&str>, own: &str| match part {
            None | Some("" | "*") => true,
            Some(part) => part == own,
        };
        (region == "*" || region == self.region)
            && takes(parts.next(), &self.zone)
            && takes(parts.next(), &self.subzone)
    }

    /// How far another place is: 0 is the same subzone, 1 the same zone, 2 the same region, 3
    /// another region.
    pub fn distance(&self, other: &Self) -> u32 {
        if self.region != other.region {
            3
        } else if self.zone != other.zone {
            2
        } else if self.subzone != other.subzone {
            1
        } else {
            0
        }
    }
}

impl FromStr for Locality {
    type Err = Infallible;

    /// Reads `region/zone/subzone`, or the first parts of it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Ok(Self {
            region: part(),
            zone: part(),
            subzone: part(),
        })
    }
}

impl From<&str> for Locality {
    fn from(text: &str) -> Self {
        match text.parse() {
            Ok(locality) => locality,
            Err(never) => match never {},
        }
    }
}

impl fmt::Display for Locality {
    /// Writes the parts that are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.region)?;
        for part in [&self.zone, &self.subzone] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        Ok(())
    }
}

/// Who balances: its place counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Client {
    /// Where it is.
    pub locality: Locality,
    /// The labels of its workload.
    pub labels: Labels,
    /// The network it is in; empty is the default one.
    pub network: String,
    /// Where its own replicas are, itself included, one entry each. Zone-aware balancing divides
    /// capacity among them; without entries zones do not count.
    pub replicas: Vec<Locality>,
}

impl From<&Workload> for Client {
    fn from(workload: &Workload) -> Self {
        Self {
            locality: Locality::from(workload.locality.as_str()),
            labels: workload.labels.clone(),
            network: workload.network.clone(),
            replicas: Vec::new(),
        }
    }
}

impl From<&Model> for Client {
    fn from(model: &Model) -> Self {
        let replicas = model.replicas.iter();
        Self {
            replicas: replicas.map(|place| Locality::from(&**place)).collect(),
            ..Self::from(&model.workload)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_takes_what_it_leaves_out() {
        let place = Locality::from("eu/a/1");
        for rule in [
            "eu", "eu/*", "eu/a", "eu/a/*", "eu/a/1", "*", "*/a", "eu/*/1",
        ] {
            assert!(place.is_matched_by(rule), "{rule}");
        }
        for rule in ["us", "us/*", "eu/b", "eu/b/*", "eu/a/2", ""] {
            assert!(!place.is_matched_by(rule), "{rule}");
        }
    }

    #[test]
    fn places_are_written_as_they_are_read() {
        for text in ["", "eu", "eu/a", "eu/a/1"] {
            assert_eq!(Locality::from(text).to_string(), text);
        }
    }
}
