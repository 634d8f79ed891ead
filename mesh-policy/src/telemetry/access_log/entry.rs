use std::time::SystemTime;

use bytes::Bytes;
use http::header::HOST;
use http::{Extensions, request, response};
use mesh_core::attributes::ResponseFlags;
use mesh_core::format_string::{Completion, Exchange as Filled};
use mesh_core::service::ClusterName;

use super::layer::{AccessLogLayer, Logger};

/// What lines are written of: an exchange, or a connection that carries no requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// The head of the request; `None` is a connection.
    pub(super) request: Option<&'a request::Parts>,
    pub(super) extensions: &'a Extensions,
    pub(super) response: Option<&'a response::Parts>,
    /// Where a connection goes.
    pub(super) cluster: Option<&'a ClusterName>,
    pub(super) completion: &'a Completion,
    pub(super) started: SystemTime,
}

impl<'a> Entry<'a> {
    /// The flags; none if the application answered.
    pub(super) fn flags(&self) -> ResponseFlags {
        match self.response {
            Some(response) => ResponseFlags::of(&response.extensions),
            None => self.completion.flags,
        }
    }

    pub(super) fn host(&self) -> Option<&'a str> {
        let request = self.request?;
        match request.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => request.headers.get(HOST)?.to_str().ok(),
        }
    }

    fn filled(&self) -> Filled<'a> {
        let mut filled = match self.request {
            Some(request) => Filled::of_request(request, self.started),
            None => Filled::of_connection(self.extensions, self.started),
        };
        if let Some(response) = self.response {
            filled = filled.with_response(response);
        }
        if let Some(cluster) = self.cluster {
            filled = filled.with_cluster(cluster);
        }
        filled.with_completion(self.completion)
    }
}

impl AccessLogLayer {
    /// Writes the lines of an entry.
    pub(super) fn write(&self, entry: &Entry<'_>) {
        let filled = entry.filled();
        for Logger {
            format,
            filter,
            sink,
        } in self.loggers()
        {
            if filter.as_ref().is_none_or(|filter| filter.includes(entry)) {
                sink.write(Bytes::from(format.line(&filled)));
            }
        }
    }
}
