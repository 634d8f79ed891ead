//! Which endpoint of several is picked.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::destination_rule::LoadBalancerSettings;
//! use mesh_discovery::balance::policy::Policy;
//!
//! let settings = r#"{"consistentHash": {"httpHeaderName": "x-user", "maglev": {}}}"#;
//! let settings: LoadBalancerSettings = serde_json::from_str(settings)?;
//! let policy = Policy::compile(Some(&settings)).unwrap();
//! assert_eq!(policy, Policy::Maglev { table_size: 65_537 });
//! assert_eq!(policy.to_string(), "MAGLEV");
//! assert!(policy.is_hash());
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;

use mesh_core::resource::istio::destination_rule::{
    ConsistentHashLb, LoadBalancerSettings, SimpleLb,
};

use crate::balance::least_request::DEFAULT_CHOICES;
use crate::balance::maglev::{self, TableSizeError};
use crate::balance::ring_hash::{DEFAULT_MINIMUM_RING_SIZE, MAX_RING_SIZE};

/// How an endpoint is picked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    /// See [`least_request`](mod@crate::balance::least_request).
    LeastRequest {
        /// How many endpoints are drawn.
        choices: u32,
    },
    /// See [`maglev`](mod@crate::balance::maglev).
    Maglev {
        /// Entries of the table, a prime number.
        table_size: u64,
    },
    /// The address that the client connected to.
    Passthrough,
    /// See [`peak_ewma`](crate::balance::peak_ewma).
    PeakEwma,
    /// See [`random`](crate::balance::random).
    Random,
    /// See [`ring_hash`](crate::balance::ring_hash).
    RingHash {
        /// Fewest positions of the ring.
        minimum_ring_size: u64,
    },
    /// See [`round_robin`](crate::balance::round_robin).
    RoundRobin,
}

impl Policy {
    /// What a DestinationRule's `loadBalancer` asks for.
    ///
    /// # Errors
    ///
    /// - It asks for `backendUtilization`, which needs load reports.
    /// - The size of the Maglev table is not prime.
    /// - The ring would be too large.
    pub fn compile(settings: Option<&LoadBalancerSettings>) -> Result<Self, PolicyError> {
        let Some(settings) = settings else {
            return Ok(Self::default());
        };
        let LoadBalancerSettings {
            simple,
            consistent_hash,
            backend_utilization,
            // Compiled by `LocalityRules` and `SlowStart`.
            locality_lb_setting: _,
            zone_aware_lb_setting: _,
            warmup_duration_secs: _,
            warmup: _,
        } = settings;
        if backend_utilization.is_some() {
            return Err(PolicyError::BackendUtilization);
        }
        if let Some(hash) = consistent_hash {
            return Self::of_hash(hash);
        }
        Ok(match simple {
            None | Some(SimpleLb::Unspecified | SimpleLb::LeastConn | SimpleLb::LeastRequest) => {
                Self::default()
            }
            Some(SimpleLb::Passthrough) => Self::Passthrough,
            Some(SimpleLb::Random) => Self::Random,
            Some(SimpleLb::RoundRobin) => Self::RoundRobin,
        })
    }

    fn of_hash(settings: &ConsistentHashLb) -> Result<Self, PolicyError> {
        let ConsistentHashLb {
            // What is hashed, the route says.
            http_header_name: _,
            http_cookie: _,
            use_source_ip: _,
            http_query_parameter_name: _,
            ring_hash,
            maglev,
            minimum_ring_size,
        } = settings;
        if let Some(maglev) = maglev {
            let table_size = match maglev.table_size {
                0 => maglev::DEFAULT_TABLE_SIZE,
                size => size,
            };
            let policy = Self::Maglev { table_size };
            return policy.validate().map(|()| policy);
        }
        let size = match ring_hash {
            Some(ring) => ring.minimum_ring_size,
            None => *minimum_ring_size,
        };
        let policy = Self::RingHash {
            minimum_ring_size: match size {
                0 => DEFAULT_MINIMUM_RING_SIZE,
                size => size,
            },
        };
        policy.validate().map(|()| policy)
    }

    /// Whether a table or ring can have the size that it is to have.
    pub(super) fn validate(self) -> Result<(), PolicyError> {
        match self {
            Self::Maglev { table_size } => Ok(maglev::validate_table_size(table_size)?),
            Self::RingHash { minimum_ring_size } if minimum_ring_size > MAX_RING_SIZE => {
                let size = minimum_ring_size;
                Err(PolicyError::RingSize { size })
            }
            _ => Ok(()),
        }
    }

    /// Whether it picks by a hash of the request.
    pub fn is_hash(self) -> bool {
        matches!(self, Self::Maglev { .. } | Self::RingHash { .. })
    }

    /// Whether new endpoints are warmed up.
    pub fn warms_up(self) -> bool {
        matches!(self, Self::LeastRequest { .. } | Self::RoundRobin)
    }
}

impl Default for Policy {
    /// Istio's default: the less busy of two.
    fn default() -> Self {
        Self::LeastRequest {
            choices: DEFAULT_CHOICES,
        }
    }
}

impl fmt::Display for Policy {
    /// Writes Envoy's name of the policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeastRequest { .. } => "LEAST_REQUEST",
            Self::Maglev { .. } => "MAGLEV",
            Self::Passthrough => "CLUSTER_PROVIDED",
            Self::PeakEwma => "PEAK_EWMA",
            Self::Random => "RANDOM",
            Self::RingHash { .. } => "RING_HASH",
            Self::RoundRobin => "ROUND_ROBIN",
        })
    }
}

/// Why the settings cannot be followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Endpoints report no load.
    #[error("`backendUtilization` needs load reports of the endpoints, which are not read")]
    BackendUtilization,
    /// The ring would be too large.
    #[error("minimum ring size `{size}` is above {MAX_RING_SIZE}")]
    RingSize {
        /// The size as given.
        size: u64,
    },
    /// The table cannot have this size.
    #[error(transparent)]
    TableSize(#[from] TableSizeError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_istios_defaults() {
        let ring = |minimum_ring_size| Policy::RingHash { minimum_ring_size };
        let cases = [
            ("{}", Policy::LeastRequest { choices: 2 }),
            (
                r#"{"simple": "LEAST_CONN"}"#,
                Policy::LeastRequest { choices: 2 },
            ),
            (r#"{"simple": "ROUND_ROBIN"}"#, Policy::RoundRobin),
            (r#"{"simple": "RANDOM"}"#, Policy::Random),
            (r#"{"simple": "PASSTHROUGH"}"#, Policy::Passthrough),
            (r#"{"consistentHash": {"useSourceIp": true}}"#, ring(1024)),
            (r#"{"consistentHash": {"minimumRingSize": 7}}"#, ring(7)),
            (
                r#"{"consistentHash": {"ringHash": {"minimumRingSize": 9}}}"#,
                ring(9),
            ),
            (r#"{"consistentHash": {"ringHash": {}}}"#, ring(1024)),
            (
                r#"{"consistentHash": {"maglev": {"tableSize": 251}}}"#,
                Policy::Maglev { table_size: 251 },
            ),
        ];
        for (text, expected) in cases {
            let settings = serde_json::from_str(text).unwrap();
            assert_eq!(Policy::compile(Some(&settings)), Ok(expected), "{text}");
        }
        assert_eq!(Policy::compile(None), Ok(Policy::default()));
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let cases = [
            (
                r#"{"backendUtilization": {}}"#,
                PolicyError::BackendUtilization,
            ),
            (
                r#"{"consistentHash": {"minimumRingSize": 8388609}}"#,
                PolicyError::RingSize { size: 8_388_609 },
            ),
            (
                r#"{"consistentHash": {"maglev": {"tableSize": 10}}}"#,
                maglev::validate_table_size(10).unwrap_err().into(),
            ),
        ];
        for (text, expected) in cases {
            let settings = serde_json::from_str(text).unwrap();
            assert_eq!(Policy::compile(Some(&settings)), Err(expected), "{text}");
        }
    }
}
