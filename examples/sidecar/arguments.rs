//! Values of the command line.

use std::convert::Infallible;
use std::net::SocketAddr;

use examples::gateway::Capture;
use examples::program::arguments::label;
use mesh_core::model::listener::Direction;

/// A capture, `DIRECTION:DESTINATION=BIND`.
pub(crate) fn capture(text: &str) -> Result<Capture, String> {
    let parse = || {
        let (direction, addresses) = text.split_once(':')?;
        let (destination, bind) = addresses.split_once('=')?;
        let direction = match direction {
            "inbound" => Direction::Inbound,
            "outbound" => Direction::Outbound,
            _ => return None,
        };
        let (destination, bind): (SocketAddr, SocketAddr) =
            (destination.parse().ok()?, bind.parse().ok()?);
        Some(Capture::fixed(direction, destination, bind))
    };
    parse().ok_or_else(|| {
        format!(
            "`{text}` is not of the form inbound:ADDRESS:PORT=ADDRESS:PORT, or outbound:…, where \
             the first address is the one that is meant, and the second the one to listen at"
        )
    })
}

/// A text, or none if it is a reference to a variable that is not set: Kubernetes leaves such a
/// `$(NAME)` as it is.
pub(crate) fn if_expanded(text: &str) -> Result<String, Infallible> {
    let is_reference = text.starts_with("$(") && text.ends_with(')');
    Ok(if is_reference { "" } else { text }.to_owned())
}

/// The labels of a pod, as the downward API writes them to a file: `KEY="VALUE"` a line. Their values
/// have no characters that would be escaped.
pub(crate) fn labels_of_pod(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let labels = lines.map(|line| {
        let (key, value) = label(line.trim())?;
        Ok((key, value.trim_matches('"').to_owned()))
    });
    labels.collect()
}
