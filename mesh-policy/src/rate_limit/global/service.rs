//! The rate limit service: what is asked, and what the answer means.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::HeaderValue as WireHeader;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tonic::{Response, Status};

use crate::rate_limit::descriptor::Descriptor;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What the service says of a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) is_over_limit: bool,
    pub(super) request_headers: HeaderMap,
    pub(super) response_headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends questions to a rate limit service.
pub(super) trait Ask: Send + Sync {
    /// Sends one.
    fn send(&self, request: RateLimitRequest) -> Sending;
}

/// A question on its way, and then its answer. Boxed, for it crosses the network.
pub(super) type Sending =
    Pin<Box<dyn Future<Output = Result<Response<RateLimitResponse>, Status>> + Send>>;

impl<C> Ask for C
where
    C: GrpcService<Body> + Clone + Send + Sync + 'static,
    C::Error: Into<StdError>,
    C::Future: Send,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    fn send(&self, request: RateLimitRequest) -> Sending {
        let mut client = RateLimitServiceClient::new(self.clone());
        Box::pin(async move { client.should_rate_limit(request).await })
    }
}

/// A service that cannot be asked.
#[derive(Debug)]
pub(super) struct NoService;

impl Ask for NoService {
    fn send(&self, _: RateLimitRequest) -> Sending {
        let status = Status::unavailable("there is no such cluster");
        Box::pin(std::future::ready(Err(status)))
    }
}

impl fmt::Debug for dyn Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask")
    }
}

/// Asks the service. `None` if it fails, or says nothing that is understood, within `timeout`.
pub(super) async fn ask(
    service: Arc<dyn Ask>,
    domain: String,
    descriptors: Vec<Descriptor>,
    (timeout, with_limits): (Duration, bool),
) -> Option<Answer> {
    let request = RateLimitRequest {
        domain,
        descriptors: descriptors.into_iter().map(wire).collect(),
        ..RateLimitRequest::default()
    };
    let asking = service.send(request);
    let response = tokio::time::timeout(timeout, asking).await.ok()?.ok()?;
    understand(response.into_inner(), with_limits)
}

fn wire(descriptor: Descriptor) -> RateLimitDescriptor {
    let entries = descriptor.entries.into_iter().map(|entry| Entry {
        key: entry.key,
        value: entry.value,
    });
    RateLimitDescriptor {
        entries: entries.collect(),
        ..RateLimitDescriptor::default()
    }
}

fn understand(response: RateLimitResponse, with_limits: bool) -> Option<Answer> {
    let is_over_limit = match Code::try_from(response.overall_code).ok()? {
        Code::Ok => false,
        Code::OverLimit => true,
        Code::Unknown => return None,
    };
    let mut response_headers = headers(response.response_headers_to_add);
    if with_limits {
        tell(&response.statuses, &mut response_headers);
    }
    Some(Answer {
        is_over_limit,
        request_headers: headers(response.request_headers_to_add),
        response_headers,
        body: response.raw_body.into(),
    })
}

/// Headers that the service adds; those that are none are left out.
fn headers(fields: Vec<WireHeader>) -> HeaderMap {
    let fields = fields.into_iter().filter_map(|field| {
        let name: HeaderName = field.key.parse().ok()?;
        let raw = if field.value.is_empty() {
            field.raw_value
        } else {
            field.value.into_bytes()
        };
        Some((name, HeaderValue::from_bytes(&raw).ok()?))
    });
    fields.collect()
}

/// Tells what is left of the limit that is nearest, and all limits.
fn tell(statuses: &[DescriptorStatus], headers: &mut HeaderMap) {
    let limited = statuses
        .iter()
        .filter(|status| status.current_limit.is_some());
    let Some(nearest) = limited.clone().min_by_key(|status| status.limit_remaining) else {
        return;
    };
    let limit = nearest.current_limit.as_ref();
    let mut text = limit.map_or(0, |limit| limit.requests_per_unit).to_string();
    for limit in limited.filter_map(|status| status.current_limit.as_ref()) {
        if let Some(window) = seconds(limit.unit) {
            text.push_str(&format!(", {};w={window}", limit.requests_per_unit));
            if !limit.name.is_empty() {
                text.push_str(&format!(";name=\"{}\"", limit.name));
            }
        }
    }
    let reset = nearest.duration_until_reset.as_ref();
    let reset = reset.map_or(0, |reset| reset.seconds);
    if let Ok(text) = HeaderValue::from_str(&text) {
        headers.append(LIMIT, text);
        headers.append(REMAINING, HeaderValue::from(nearest.limit_remaining));
        headers.append(RESET, HeaderValue::from(reset));
    }
}

fn seconds(unit: i32) -> Option<u32> {
    const DAY: u32 = 86_400;
    Some(match Unit::try_from(unit).ok()? {
        Unit::Second => 1,
        Unit::Minute => 60,
        Unit::Hour => 3600,
        Unit::Day => DAY,
        Unit::Week => 7 * DAY,
        Unit::Month => 30 * DAY,
        Unit::Year => 365 * DAY,
        Unit::Unknown => return None,
    })
}
