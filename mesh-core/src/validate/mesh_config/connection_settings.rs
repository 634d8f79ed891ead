//! Limits on connections from clients.

use crate::duration::Duration;
use crate::resource::istio::mesh_config::ConnectionSettings;
use crate::validate::At;

/// The smallest window of HTTP/2 (RFC 9113 section 6.9.2).
const MIN_WINDOW: i32 = 65_535;

/// Checks limits on connections from clients (`validateConnectionSettings`).
pub fn validate_connection_settings(settings: &ConnectionSettings, at: At<'_>) {
    validate_durations(settings, at);
    let buffers = [
        (
            "listenerPerConnectionBufferLimitBytes",
            settings.listener_per_connection_buffer_limit_bytes,
        ),
        (
            "clusterPerConnectionBufferLimitBytes",
            settings.cluster_per_connection_buffer_limit_bytes,
        ),
    ];
    let counts = [
        (
            "httpMaxConcurrentStreams",
            settings.http_max_concurrent_streams,
        ),
        (
            "listenerConnectionLimit",
            settings.listener_connection_limit,
        ),
        (
            "globalDownstreamConnectionLimit",
            settings.global_downstream_connection_limit,
        ),
    ];
    let windows = [
        (
            "http2InitialStreamWindowSize",
            settings.http2_initial_stream_window_size,
        ),
        (
            "http2InitialConnectionWindowSize",
            settings.http2_initial_connection_window_size,
        ),
    ];
    validate_minimum(0, &buffers, at);
    validate_minimum(1, &counts, at);
    validate_minimum(MIN_WINDOW, &windows, at);
}

fn validate_minimum(min: i32, fields: &[(&str, Option<i32>)], at: At<'_>) {
    for (field, value) in fields {
        if let Some(value) = value.filter(|value| *value < min) {
            at.field(field)
                .error(format_args!("`{value}` is below {min}"));
        }
    }
}

fn validate_durations(settings: &ConnectionSettings, at: At<'_>) {
    for (field, duration) in [
        ("httpIdleTimeout", settings.http_idle_timeout),
        (
            "httpMaxConnectionDuration",
            settings.http_max_connection_duration,
        ),
        ("httpDrainTimeout", settings.http_drain_timeout),
        ("httpRequestTimeout", settings.http_request_timeout),
        (
            "httpRequestHeadersTimeout",
            settings.http_request_headers_timeout,
        ),
        ("httpStreamIdleTimeout", settings.http_stream_idle_timeout),
        ("httpMaxStreamDuration", settings.http_max_stream_duration),
    ] {
        if let Some(duration) = duration.filter(|duration: &Duration| duration.is_negative()) {
            at.field(field)
                .error(format_args!("duration `{duration}` is negative"));
        }
    }
}
