//! Fields of Istio's resources.

mod destination_rule;
mod extensions;
mod gateway;
mod load_balancer;
mod security;
mod service_entry;
mod sidecar;
mod telemetry;
mod traffic_policy;
mod virtual_service;
