//! Protocols of ports.

use mesh_core::service::{PortNumber, Protocol, Transport};
use serde_json::Value;

use super::{Row, Run};
use crate::case::Outcome;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("conversion_test.go", "TestConvertProtocol") => Some(select),
        ("instance_test.go", "TestParse") => Some(parse),
        _ => None,
    }
}

fn parse(row: &Row<'_>) -> Option<Outcome> {
    let protocol = Protocol::parse(row.text("name")?);
    Some(Outcome::equal(&row.text("out")?, &protocol.as_str()))
}

fn select(row: &Row<'_>) -> Option<Outcome> {
    // The rows leave the port out where it does not matter.
    let port = PortNumber::new(u32::try_from(row.number("port")?).ok()?.max(1)).ok()?;
    let transport = match row.text("proto")? {
        "UDP" => Transport::Udp,
        _ => Transport::Tcp,
    };
    let application = row.field("appProto").and_then(Value::as_str);
    let protocol = Protocol::select(port, row.text("portName")?, transport, application);
    Some(Outcome::equal(
        &row.text("expectedProto")?,
        &protocol.as_str(),
    ))
}
