//! The application at the end, which notes what it gets.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

/// What the application has got.
#[derive(Clone, Debug, Default)]
pub(super) struct Backend {
    headers: Arc<Mutex<Option<HeaderMap>>>,
}

impl Backend {
    /// Notes a request, and answers with its headers.
    pub(super) fn answer(&self, request: &Request<()>) -> Result<Response<Bytes>, Infallible> {
        let headers = request.headers();
        let body: String = headers
            .iter()
            .map(|(name, value)| format!("{name}={}\n", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        *self.headers.lock().unwrap_or_else(PoisonError::into_inner) = Some(headers.clone());
        Ok(Response::new(body.into()))
    }

    /// The headers of the request, if it has arrived.
    pub(super) fn seen(&self) -> Option<HeaderMap> {
        let headers = self.headers.lock();
        headers.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
