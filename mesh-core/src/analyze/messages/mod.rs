//! The messages of `istioctl analyze`.

mod analyzers;
mod code;
mod context;
mod hosts;
mod inputs;
mod message;
mod options;

use std::collections::{BTreeMap, BTreeSet};

pub use self::analyzers::{ANALYZERS, Analyzer};
pub use self::code::Code;
pub use self::inputs::Inputs;
pub use self::message::Message;
pub use self::options::{Options, ParseSuppressionError, Suppression};

use self::context::{Context, Report};

/// Finds what is probably wrong with the objects of a mesh.
///
/// Messages come once each, errors first, then by code and resource. None of them keeps a
/// configuration from being resolved.
pub fn analyze(inputs: &Inputs, options: &Options) -> Vec<Message> {
    let context = Context::new(inputs, options.now);
    let mut report = Report::default();
    let is_wanted = |analyzer: &&Analyzer| match options.only.as_slice() {
        [] => analyzer.runs_by_default(),
        only => only.iter().any(|name| name == analyzer.name()),
    };
    for analyzer in ANALYZERS.iter().filter(is_wanted) {
        analyzer.run(&context, &mut report);
    }
    let suppressed = context.suppressed();
    let mut messages = report.messages;
    messages.retain(|message| {
        let resource = message.resource();
        let mut suppressions = options.suppressions.iter();
        let by_annotation = suppressed.get(&resource);
        options.is_about(message.namespace())
            && !suppressions.any(|suppression| suppression.covers(message.code, &resource))
            && by_annotation.is_none_or(|codes| !is_suppressed(codes, message.code))
    });
    in_order(messages)
}

/// Whether the annotation of a resource suppresses `code`.
fn is_suppressed(codes: &BTreeSet<String>, code: Code) -> bool {
    codes.contains("*") || codes.contains(code.as_str())
}

/// Sorts messages, and drops those that repeat an earlier one.
fn in_order(messages: Vec<Message>) -> Vec<Message> {
    let mut sorted = BTreeMap::new();
    for message in messages {
        let key = (
            std::cmp::Reverse(message.level()),
            message.code,
            message.resource(),
            message.to_string(),
        );
        sorted.entry(key).or_insert(message);
    }
    sorted.into_values().collect()
}

#[cfg(test)]
mod tests;
