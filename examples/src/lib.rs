//! What the large example programs share: configuration files, moving HTTP, and the gateway.

pub mod body;
pub mod config;
pub mod gateway;
pub mod headers;
pub mod local;
pub mod serve;
pub mod upstream;
