use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use mesh_core::watch::Watch;
use tower_service::Service;

/// Serves each request by a service that is made from the current value, and made again when the
/// value is replaced.
///
/// A request that was called keeps what it was called with. A value is kept, after it was replaced,
/// until the next request of each service that it made.
pub(super) struct Current<T, F, S> {
    value: Watch<T>,
    make: F,
    made_from: Arc<T>,
    service: S,
}

impl<T, F, S> Current<T, F, S>
where
    F: Fn(&Arc<T>) -> S,
{
    /// Serves by what `make` makes of each value of `value`.
    pub(super) fn new(value: Watch<T>, make: F) -> Self {
        let made_from = value.load_full();
        let service = make(&made_from);
        Self {
            value,
            make,
            made_from,
            service,
        }
    }
}

impl<T, F, S, R> Service<R> for Current<T, F, S>
where
    F: Fn(&Arc<T>) -> S,
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let is_current = Arc::ptr_eq(&self.value.load(), &self.made_from);
        if !is_current {
            self.made_from = self.value.load_full();
            self.service = (self.make)(&self.made_from);
        }
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}

impl<T, F: Clone, S: Clone> Clone for Current<T, F, S> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            make: self.make.clone(),
            made_from: Arc::clone(&self.made_from),
            service: self.service.clone(),
        }
    }
}

impl<T, F, S: fmt::Debug> fmt::Debug for Current<T, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use mesh_core::watch;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_request_is_served_by_the_value_that_is_current_when_it_arrives() {
        let (publisher, watch) = watch::channel("first");
        let mut service = Current::new(watch, |value: &Arc<&'static str>| {
            let value = **value;
            service_fn(move |(): ()| async move { Ok::<_, Infallible>(value) })
        });
        let under_way = service.ready().await.unwrap().call(());
        publisher.publish("second");

        let next = service.ready().await.unwrap().call(());
        assert_eq!(next.await, Ok("second"));
        assert_eq!(under_way.await, Ok("first"));
    }
}
