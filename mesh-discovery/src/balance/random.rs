//! Any host, whatever its weight. (Envoy's [`random`].)
//!
//! [`random`]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers#random
//!
//! # Example
//!
//! ```
//! use mesh_discovery::balance::random;
//!
//! assert_eq!(random::pick(3, 7), Some(1));
//! assert_eq!(random::pick(0, 7), None);
//! ```

/// The index of one of `count` hosts, by a number uniform over all values. `None` if there are none.
pub fn pick(count: usize, random: u64) -> Option<usize> {
    random.checked_rem(count as u64).map(|index| index as usize)
}
