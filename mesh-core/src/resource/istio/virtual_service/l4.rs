//! Rules for TLS and TCP. Source: messages `TLSRoute`, `TCPRoute`, `TLSMatchAttributes`,
//! `L4MatchAttributes` and `RouteDestination`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Destination;
use crate::resource::istio::is_default;

/// A rule for TLS that is passed on without being terminated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Conditions, any of which is enough. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Vec<TlsMatchAttributes>,
    /// Destinations among which connections are divided by weight.
    #[serde(skip_serializing_if = "is_default")]
    pub route: Vec<RouteDestination>,
}

/// A rule for TCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    /// Conditions, any of which is enough. Empty: the rule matches every connection.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Vec<L4MatchAttributes>,
    /// Destinations among which connections are divided by weight.
    #[serde(skip_serializing_if = "is_default")]
    pub route: Vec<RouteDestination>,
}

/// Conditions on a TLS connection, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsMatchAttributes {
    /// Server names that the client asks for; `*.example.com` matches at any depth. Each has to
    /// lie within a host of the virtual service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub sni_hosts: Vec<String>,
    /// Addresses or subnets that the connection was made to. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub destination_subnets: Vec<String>,
    /// Port of the listener. Default: every port.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Labels of the client workload.
    #[serde(skip_serializing_if = "is_default")]
    pub source_labels: BTreeMap<String, String>,
    /// Gateways that get this match. Default: those of the virtual service.
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    /// Namespace of the client workload.
    #[serde(skip_serializing_if = "is_default")]
    pub source_namespace: String,
}

/// Conditions on a connection, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L4MatchAttributes {
    /// Addresses or subnets that the connection was made to. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub destination_subnets: Vec<String>,
    /// Port of the listener. Default: every port.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Address or subnet of the client. Istio hides it and does nothing with it.
    #[serde(skip_serializing_if = "is_default")]
    pub source_subnet: String,
    /// Labels of the client workload.
    #[serde(skip_serializing_if = "is_default")]
    pub source_labels: BTreeMap<String, String>,
    /// Gateways that get this match. Default: those of the virtual service.
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    /// Namespace of the client workload.
    #[serde(skip_serializing_if = "is_default")]
    pub source_namespace: String,
}

/// A destination and its share of the connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteDestination {
    /// Where the connections go. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub destination: Option<Destination>,
    /// Share of the connections, relative to the sum of all weights. Default: 0, which with a
    /// single destination still means all of them.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: i32,
}
