//! One destination of several, in proportion to their weights.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::route::WeightedDestination;
//! use mesh_core::service::ClusterName;
//! use mesh_routing::destination;
//!
//! let destinations = [("v1", 90), ("v2", 10)].map(|(subset, weight)| WeightedDestination {
//!     weight,
//!     ..WeightedDestination::new(ClusterName::outbound(80, subset, "cart.example"))
//! });
//! assert_eq!(destination::draw(&destinations, 189), Some(0), "189 is 89 of 100");
//! assert_eq!(destination::draw(&destinations, 190), Some(1), "190 is 90 of 100");
//! ```

use mesh_core::model::route::WeightedDestination;

/// Draws the index of a destination by `random`, uniform over all values.
///
/// Envoy's arithmetic: `random` modulo the sum of the weights falls into the share of one
/// destination, shares being laid out in order. The weight of a single destination does not matter.
/// `None` if there is no destination, or several without any weight.
pub fn draw(destinations: &[WeightedDestination], random: u64) -> Option<usize> {
    if destinations.len() == 1 {
        return Some(0);
    }
    let mut left = random.checked_rem(total_weight(destinations))?;
    for (index, destination) in destinations.iter().enumerate() {
        match left.checked_sub(destination.weight.into()) {
            Some(rest) => left = rest,
            None => return Some(index),
        }
    }
    None
}

/// Sum of the weights.
pub(crate) fn total_weight(destinations: &[WeightedDestination]) -> u64 {
    destinations
        .iter()
        .map(|destination| u64::from(destination.weight))
        .sum()
}

#[cfg(test)]
mod tests {
    use mesh_core::service::ClusterName;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_choice_the_weight_does_not_matter() {
        assert_eq!(draw(&weighted(&[]), 7), None);
        assert_eq!(draw(&weighted(&[0]), 7), Some(0));
        assert_eq!(draw(&weighted(&[0, 0]), 7), None);
    }

    proptest! {
        #[test]
        fn each_destination_is_drawn_as_often_as_its_weight_says(
            weights in prop::collection::vec(0_u32..20, 2..6),
        ) {
            let destinations = weighted(&weights);
            let total = u64::from(weights.iter().sum::<u32>());
            let mut drawn = vec![0; weights.len()];
            for random in 0..total {
                drawn[draw(&destinations, random).unwrap()] += 1;
            }
            prop_assert_eq!(drawn, weights);
        }
    }

    fn weighted(weights: &[u32]) -> Vec<WeightedDestination> {
        let destination = |weight: &u32| WeightedDestination {
            weight: *weight,
            ..WeightedDestination::new(ClusterName::from("cart"))
        };
        weights.iter().map(destination).collect()
    }
}
