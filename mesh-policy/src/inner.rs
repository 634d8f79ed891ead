//! Access to the service that a middleware wraps.

/// Gives a middleware whose field `inner` is an `S` access to it, as the services of tower-http have.
macro_rules! inner_service {
    () => {
        /// The service that is wrapped.
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// The service that is wrapped, to change it.
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// The service that is wrapped, alone.
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mesh_core::config::options::MeshOptions;
    use tower::Layer;

    use crate::authn::layer::AuthenticationLayer;
    use crate::authn::{Algorithms, Authenticator, KeyStore};
    use crate::authz::PolicySet;
    use crate::authz::layer::AuthorizationLayer;
    use crate::circuit_breaker::{CircuitBreakerLayer, CircuitBreakers};
    use crate::fault::FaultLayer;
    use crate::retry::RetryLayer;
    use crate::telemetry::PeerWorkload;
    use crate::telemetry::access_log::AccessLogLayer;
    use crate::telemetry::metrics::{IstioMetrics, MetricsLayer, Reporter};
    use crate::telemetry::route::RecordRouteLayer;
    use crate::telemetry::trace::TraceLayer;
    use crate::timeout::TimeoutLayer;
    use crate::timeout::idle::IdleTimeoutLayer;
    use crate::timeout::stream::StreamTimeoutLayer;

    /// Asserts that the service under a layer can be seen, changed and taken out.
    macro_rules! assert_inner {
        ($($layer:expr),* $(,)?) => {$(
            let mut service = $layer.layer(1);
            assert_eq!(*service.get_ref(), 1);
            *service.get_mut() = 2;
            assert_eq!(service.into_inner(), 2);
        )*};
    }

    #[test]
    fn the_service_under_a_layer_can_be_seen_changed_and_taken_out() {
        let tokens = Authenticator::compile(&[], &KeyStore::default(), Algorithms::new(&[]));
        let domains = MeshOptions::default().trust_domains().unwrap();
        let allowed = PolicySet::compile(&[], &domains);
        let metrics = IstioMetrics::new(Reporter::Source, PeerWorkload::default());
        assert_inner!(
            AccessLogLayer::new([]),
            AuthenticationLayer::new(tokens),
            AuthorizationLayer::new(allowed),
            CircuitBreakerLayer::new(CircuitBreakers::default()),
            FaultLayer::new(),
            IdleTimeoutLayer::new(Duration::from_secs(1)),
            MetricsLayer::new(Arc::new(metrics)),
            RecordRouteLayer::new(),
            RetryLayer::<()>::new(),
            StreamTimeoutLayer::new(),
            TimeoutLayer::new(),
            TraceLayer::new(),
        );
    }
}
