//! Names of servers to connect to.

use rustls_pki_types::ServerName;

use super::error::ServerNameError;

/// The name that settings give.
pub(super) fn of_settings(name: &str) -> Result<ServerName<'static>, ServerNameError> {
    let invalid = |_| ServerNameError::Invalid { host: name.into() };
    ServerName::try_from(name.to_owned()).map_err(invalid)
}

/// The name in the host of a request.
pub(super) fn of_request(host: Option<&str>) -> Result<ServerName<'static>, ServerNameError> {
    let host = host.ok_or(ServerNameError::Missing)?;
    let invalid = |_| ServerNameError::Invalid { host: host.into() };
    ServerName::try_from(without_port(host).to_owned()).map_err(invalid)
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}
