//! What the example programs share: help, configuration files, moving HTTP, the gateway, how proxies are
//! run, explanations, and identities.

pub mod authority;
pub mod body;
pub mod config;
pub mod connection_info;
pub mod explain;
pub mod gateway;
pub mod headers;
pub mod help;
pub mod local;
pub mod maybe_tls;
pub mod member;
pub mod once;
pub mod program;
pub mod serve;
pub mod tokens;
pub mod upstream;
