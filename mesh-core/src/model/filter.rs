//! What happens to a request beside forwarding: header operations, CORS, faults and mirrors.
//!
//! # Example
//!
//! ```
//! use http::HeaderName;
//! use mesh_core::model::filter::{HeaderMutation, HeaderOption};
//!
//! # fn main() -> Result<(), mesh_core::format_string::ParseFormatError> {
//! let route = HeaderName::from_static("x-route");
//! let mutation = HeaderMutation {
//!     remove: vec![HeaderName::from_static("x-debug")],
//!     options: vec![HeaderOption::overwrite(route, "%ROUTE_NAME%".parse()?)],
//! };
//! assert!(!mutation.is_empty());
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

use crate::format_string::HeaderFormat;
use crate::matcher::StringMatch;
use crate::origin::Origin;
use crate::percent::Percent;
use crate::service::ClusterName;

/// Header operations for both directions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeaderMutations {
    /// For requests, before they are forwarded.
    #[serde(skip_serializing_if = "HeaderMutation::is_empty")]
    pub request: HeaderMutation,
    /// For responses, before they are sent.
    #[serde(skip_serializing_if = "HeaderMutation::is_empty")]
    pub response: HeaderMutation,
}

impl HeaderMutations {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

/// Header operations of one level for one direction.
///
/// As in Envoy, removals come first, then the options that overwrite, then those that append, each
/// in the order given. All values are evaluated before the first option is applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeaderMutation {
    /// Fields to remove.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_text_list")]
    pub remove: Vec<HeaderName>,
    /// Fields to write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<HeaderOption>,
}

impl HeaderMutation {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.options.is_empty()
    }
}

/// A header field to write.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeaderOption {
    /// The field.
    #[serde(serialize_with = "as_text")]
    pub name: HeaderName,
    /// The value, with Envoy's `%…%` operators. An empty value writes nothing.
    pub value: HeaderFormat,
    /// What happens to a field that is already there.
    pub action: AppendAction,
}

impl HeaderOption {
    /// Adds a field beside those of the same name.
    pub fn append(name: HeaderName, value: HeaderFormat) -> Self {
        let action = AppendAction::AppendIfExistsOrAdd;
        Self {
            name,
            value,
            action,
        }
    }

    /// Adds a field in place of those of the same name.
    pub fn overwrite(name: HeaderName, value: HeaderFormat) -> Self {
        let action = AppendAction::OverwriteIfExistsOrAdd;
        Self {
            name,
            value,
            action,
        }
    }
}

/// What writing a header field does where the field is already there (Envoy's
/// `HeaderAppendAction`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AppendAction {
    /// Adds it only where it is absent.
    AddIfAbsent,
    /// Adds another value.
    #[default]
    AppendIfExistsOrAdd,
    /// Replaces it, and does nothing where it is absent.
    OverwriteIfExists,
    /// Replaces it, and adds it where it is absent.
    OverwriteIfExistsOrAdd,
}

impl AppendAction {
    /// Whether anything is written where the field is there already, or is not.
    pub const fn applies(self, exists: bool) -> bool {
        match self {
            Self::AddIfAbsent => !exists,
            Self::OverwriteIfExists => exists,
            Self::AppendIfExistsOrAdd | Self::OverwriteIfExistsOrAdd => true,
        }
    }

    /// Whether it depends on the field whether anything is written.
    pub const fn is_conditional(self) -> bool {
        matches!(self, Self::AddIfAbsent | Self::OverwriteIfExists)
    }

    /// Whether what is written takes the place of what is there.
    pub const fn overwrites(self) -> bool {
        matches!(self, Self::OverwriteIfExists | Self::OverwriteIfExistsOrAdd)
    }

    /// Writes a field.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderName, HeaderValue};
    /// use mesh_core::model::filter::AppendAction;
    ///
    /// let name = HeaderName::from_static("x-a");
    /// let mut headers = HeaderMap::new();
    /// for value in ["first", "second"] {
    ///     let value = HeaderValue::from_static(value);
    ///     AppendAction::AddIfAbsent.write(name.clone(), value, &mut headers);
    /// }
    /// assert_eq!(headers["x-a"], "first");
    /// ```
    pub fn write(self, name: HeaderName, value: HeaderValue, headers: &mut HeaderMap) {
        if !self.applies(headers.contains_key(&name)) {
            return;
        }
        if self.overwrites() {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
}

/// Cross-origin rules, answered by the proxy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CorsPolicy {
    /// Origins that may call; any match allows.
    pub allow_origins: Vec<StringMatch>,
    /// Value of `access-control-allow-methods`; the field is left out if empty.
    pub allow_methods: String,
    /// Value of `access-control-allow-headers`; the field is left out if empty.
    pub allow_headers: String,
    /// Value of `access-control-expose-headers`; the field is left out if empty.
    pub expose_headers: String,
    /// Value of `access-control-max-age`, in seconds.
    pub max_age: Option<u64>,
    /// Whether `access-control-allow-credentials: true` is sent.
    pub allow_credentials: bool,
    /// Whether a preflight of an origin that is not allowed is forwarded. Otherwise the proxy
    /// answers it, without `access-control-allow-origin`.
    pub forward_unmatched_preflights: bool,
    /// What asked for it.
    pub origin: Origin,
}

impl CorsPolicy {
    /// A policy that allows no origin and forwards all requests, preflights too.
    pub fn new(origin: Origin) -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_methods: String::new(),
            allow_headers: String::new(),
            expose_headers: String::new(),
            max_age: None,
            allow_credentials: false,
            forward_unmatched_preflights: true,
            origin,
        }
    }
}

/// Injected failures. Delay and abort are drawn independently.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// Holds requests back.
    pub delay: Option<FaultDelay>,
    /// Answers requests in the application's place.
    pub abort: Option<FaultAbort>,
    /// What asked for it.
    pub origin: Origin,
}

/// A delay before a request is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FaultDelay {
    /// How long.
    pub duration: Duration,
    /// The share of requests.
    pub percent: Percent,
}

/// An answer in the application's place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FaultAbort {
    /// The answer.
    pub status: AbortStatus,
    /// The share of requests.
    pub percent: Percent,
}

/// The status of an injected answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AbortStatus {
    /// A gRPC status code, 0 to 16.
    Grpc(u8),
    /// An HTTP status code, 200 to 599.
    Http(u16),
}

/// A copy of the request, whose response is discarded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mirror {
    /// Where the copy goes.
    pub cluster: ClusterName,
    /// The share of requests that are copied.
    pub percent: Percent,
    /// What asked for it.
    pub origin: Origin,
}

pub(super) fn as_text<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn as_text_list<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}
