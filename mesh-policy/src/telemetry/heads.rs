//! Copies of the heads of responses, for what is told of an exchange when it is over.

use http::{Extensions, Response, response};
use mesh_core::attributes::{
    Attempts, ResponseDetails, ResponseFlag, ResponseFlags, SelectedEndpoint,
};

/// A copy of the head of `response`, with the extensions that telemetry reads: not all can be cloned
/// cheaply.
pub(super) fn of_response<B>(response: &Response<B>) -> response::Parts {
    let (mut copy, ()) = Response::new(()).into_parts();
    (copy.status, copy.version) = (response.status(), response.version());
    copy.headers = response.headers().clone();
    let (from, to) = (response.extensions(), &mut copy.extensions);
    keep::<Attempts>(from, to);
    keep::<ResponseDetails>(from, to);
    keep::<ResponseFlag>(from, to);
    keep::<ResponseFlags>(from, to);
    keep::<SelectedEndpoint>(from, to);
    copy
}

/// Copies one extension, if it is there.
pub(super) fn keep<T: Clone + Send + Sync + 'static>(from: &Extensions, to: &mut Extensions) {
    if let Some(value) = from.get::<T>() {
        to.insert(value.clone());
    }
}
