use std::fmt::Write;

use clap::Args;
use examples::config::{Diagnostics, Loaded};
use mesh_core::analyze::{ANALYZERS, Inputs, Message, Options, Suppression, analyze};
use mesh_core::diagnostic::Severity;

use crate::{Answer, Failure, Input, Output, json};

#[derive(Args, Debug)]
pub(crate) struct AnalyzeArguments {
    /// Report about this namespace alone. All resources are looked at all the same.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Run this analyzer alone, such as `gateway.SecretAnalyzer`. May be repeated.
    #[arg(long, value_name = "ANALYZER", value_parser = analyzer)]
    only: Vec<String>,
    /// Leave messages out: CODE=RESOURCE, such as `IST0102=Namespace shop`, with `*` for any text.
    #[arg(long, short = 'S')]
    suppress: Vec<Suppression>,
    /// Take the resources for all that there are; otherwise Istio's ingress gateway is taken for
    /// granted.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    pub(crate) input: Input,
}

fn analyzer(name: &str) -> Result<String, String> {
    match ANALYZERS.iter().any(|analyzer| analyzer.name() == name) {
        true => Ok(name.to_owned()),
        false => {
            let names: Vec<_> = ANALYZERS.iter().map(|analyzer| analyzer.name()).collect();
            Err(format!("the analyzers are: {}", names.join(", ")))
        }
    }
}

/// What analysis says about files that can be read. It is not good if anything is an error.
pub(crate) fn report(loaded: Loaded, arguments: &AnalyzeArguments) -> Result<Answer, Failure> {
    let unread = unread(&loaded.diagnostics);
    if unread.has_errors() {
        return Err(Failure::Configuration(loaded.diagnostics));
    }
    let mut options = Options::default().only(&arguments.only);
    if let Some(namespace) = &arguments.namespace {
        options = options.namespace(namespace);
    }
    for suppression in &arguments.suppress {
        options = options.suppress(suppression.clone());
    }
    let mut inputs = Inputs::new(loaded.objects);
    if arguments.live {
        inputs = inputs.live();
    }
    let messages = analyze(&inputs, &options);
    let text = match arguments.input.output {
        Output::Json => json(&messages),
        Output::Text => list(&messages),
    };
    let is_good = messages
        .iter()
        .all(|message| message.level() < Severity::Error);
    Ok(Answer { text, is_good })
}

/// The problems that keep a resource from being read. What validation says is among the messages.
fn unread(diagnostics: &Diagnostics) -> Diagnostics {
    let mut unread = Diagnostics::default();
    unread.extend(
        diagnostics
            .iter()
            .filter(|found| found.code.is_empty())
            .cloned(),
    );
    unread
}

fn list(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{message}");
    }
    let of = |level| {
        messages
            .iter()
            .filter(|message| message.level() == level)
            .count()
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    text + &format!(
        "{errors} errors, {warnings} warnings, {} hints\n",
        of(Severity::Info)
    )
}
