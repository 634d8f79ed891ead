//! YAML as JSON values.

use mesh_core::parse::{self, Limits};
use serde_json::Value;

use crate::configuration::joined;

/// The one document of `text`.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    match parse::parse_as::<Value>("case.yaml", text, &Limits::default()) {
        Ok((value, _)) => Ok(value),
        Err(problems) => Err(joined(&problems)),
    }
}
