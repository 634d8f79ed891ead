use std::time::SystemTime;

use examples::explain::{Explained, explain};
use examples::gateway::MeshWide;
use mesh_core::model::Model;

use crate::request::RequestArguments;
use crate::{Answer, Output, json};

/// Says what `model`, of the mesh `wide`, does with a request.
pub(crate) fn answer(
    (model, wide): (&Model, &MeshWide),
    request: &RequestArguments,
    output: Output,
) -> Result<Answer, String> {
    let asked = request.asked();
    #[expect(clippy::disallowed_methods, reason = "a command asks at some time")]
    let now = SystemTime::now();
    let Explained { decision, is_good } = explain((model, wide), &asked, request.random, now)?;
    let text = match output {
        Output::Json => json(&decision),
        Output::Text => format!("{decision}\n"),
    };
    Ok(Answer { text, is_good })
}
