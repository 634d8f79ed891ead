//! Checks configuration, and says what it does.
//!
//! ```sh
//! cargo run --example meshctl -- validate examples/config
//! cargo run --example meshctl -- analyze examples/config
//! cargo run --example meshctl -- fidelity --workload bookstore/productpage examples/config
//! cargo run --example meshctl -- status edge.yaml
//! cargo run --example meshctl -- routes --workload bookstore/productpage examples/config
//! cargo run --example meshctl -- explain --request 'GET http://reviews:9080/reviews/0' \
//!   -H 'end-user: jason' --workload bookstore/productpage examples/config
//! ```
//!
//! Exits with 0 if all is well, with 1 if the configuration has errors or the request has no
//! answer, and with 2 if the command line is wrong.

#![expect(clippy::print_stdout, reason = "printing is what a command is for")]

mod analyze;
mod explain;
mod fidelity;
mod request;
mod routes;
mod status;
mod validate;
mod words;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{fmt, io};

use clap::{Args, Parser, Subcommand, ValueEnum};
use examples::config::{self, Diagnostics, Loaded};
use examples::gateway::{self, MeshWide};
use examples::help;
use mesh_core::analyze::fidelity::Capabilities;
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::parse::render::Style;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::workload::WorkloadName;

/// Check configuration of Istio and the Gateway API, and say what it does.
#[derive(Debug, Parser)]
#[command(
    name = "meshctl",
    after_help = help::after(
        &[
            "cargo run --example meshctl -- validate examples/config",
            "cargo run --example meshctl -- routes --workload bookstore/productpage examples/config",
        ],
        "It prints what it finds, and ends: with 0 if all is well, with 1 if the configuration has errors or\n\
         the request has no answer, and with 2 if the command line is wrong.",
    )
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report all problems of the files at once.
    Validate(Input),
    /// Find what is probably wrong, as `istioctl analyze` does.
    Analyze(analyze::AnalyzeArguments),
    /// Say what becomes of each field that is set: enforced, differently, not applicable,
    /// unsupported. Fails if the configuration must not be served.
    Fidelity(FidelityArguments),
    /// Say what a controller would write under `status` of the resources of the Gateway API. Fails
    /// if one is not accepted, or refers to what is missing.
    Status(status::StatusArguments),
    /// List the virtual hosts and routes of a workload, in the order in which they are tried.
    Routes {
        #[command(flatten)]
        workload: WorkloadArguments,
        #[command(flatten)]
        input: Input,
    },
    /// Say what happens to a request, and which rules were considered.
    Explain {
        #[command(flatten)]
        request: Box<request::RequestArguments>,
        #[command(flatten)]
        workload: WorkloadArguments,
        #[command(flatten)]
        input: Input,
    },
}

#[derive(Args, Debug)]
struct FidelityArguments {
    /// Only what concerns this workload: namespace/name, and its labels.
    #[arg(long, short)]
    workload: Option<WorkloadName>,
    /// By all that the libraries enforce, rather than by what the ingress gateway does.
    #[arg(long)]
    all: bool,
    /// Leave out what is enforced as in Istio, and what says nothing to a data plane.
    #[arg(long)]
    problems: bool,
    /// Print the table of all fields there are, for the README, and read no files.
    #[arg(long, exclusive = true)]
    table: bool,
    /// Files, directories of .yaml, .yml and .json files, or `-` for standard input.
    #[arg(required_unless_present = "table")]
    files: Vec<PathBuf>,
    /// How the answer is written.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What every command reads.
#[derive(Args, Debug)]
struct Input {
    /// Files, directories of .yaml, .yml and .json files, or `-` for standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How the answer is written.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// For whom the configuration is resolved.
#[derive(Args, Debug)]
struct WorkloadArguments {
    /// The workload: namespace/name, and its labels: `shop/cart:app=cart,version=v1`.
    #[arg(long, short)]
    workload: WorkloadName,
    /// Take the workload for a gateway, even if no Gateway selects it.
    #[arg(long, conflicts_with = "sidecar")]
    gateway: bool,
    /// Take the workload for a service, even if a Gateway selects it.
    #[arg(long)]
    sidecar: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

fn main() -> ExitCode {
    // A wrong command line ends the program here, with 2.
    let done = run(Arguments::parse());
    match &done {
        Ok(answer) => print!("{}", answer.text),
        Err(error) => eprint!("{error}"),
    }
    ExitCode::from(status(&done))
}

/// What the program exits with.
fn status(done: &Result<Answer, Failure>) -> u8 {
    let is_good = done.as_ref().is_ok_and(|answer| answer.is_good);
    u8::from(!is_good)
}

/// What a command has to say.
#[derive(Debug)]
struct Answer {
    text: String,
    is_good: bool,
}

impl Answer {
    fn good(text: String) -> Self {
        let is_good = true;
        Self { text, is_good }
    }
}

/// Why a command has nothing to say.
#[derive(Debug)]
enum Failure {
    Configuration(Diagnostics),
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(diagnostics) => write!(f, "{diagnostics}"),
            Self::Other(message) => writeln!(f, "error: {message}"),
        }
    }
}

fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.command {
        Command::Validate(input) => Ok(validate::report(load(&input)?, input.output)),
        Command::Analyze(arguments) => analyze::report(load(&arguments.input)?, &arguments),
        Command::Fidelity(arguments) => fidelity(arguments),
        Command::Status(arguments) => status::report(load(&arguments.input)?, arguments),
        Command::Routes { workload, input } => {
            let (model, _) = model(&workload, &input)?;
            let mut text = routes::list(&model, input.output);
            if input.output == Output::Text && !workload.sidecar && !workload.gateway {
                text += routes::hint(&model);
            }
            Ok(Answer::good(text))
        }
        Command::Explain {
            request,
            workload,
            input,
        } => {
            let (model, wide) = model(&workload, &input)?;
            explain::answer((&model, &wide), &request, input.output).map_err(Failure::Other)
        }
    }
}

fn fidelity(arguments: FidelityArguments) -> Result<Answer, Failure> {
    let FidelityArguments {
        workload,
        all,
        problems,
        table,
        files,
        output,
    } = arguments;
    if table {
        return Ok(Answer::good(fidelity::table()));
    }
    let capabilities = match all {
        true => Capabilities::all(),
        false => gateway::capabilities(),
    };
    let loaded = load(&Input { files, output })?;
    let listing = fidelity::Listing { problems, output };
    fidelity::report(loaded, workload.as_ref(), &capabilities, listing)
}

fn load(input: &Input) -> Result<Loaded, Failure> {
    let (stdin, files): (Vec<_>, Vec<_>) = input
        .files
        .iter()
        .cloned()
        .partition(|file| file.as_os_str() == "-");
    let mut loaded = config::load(&files);
    if !stdin.is_empty() {
        let text = io::read_to_string(io::stdin())
            .map_err(|error| Failure::Other(format!("standard input cannot be read: {error}")))?;
        loaded.add("stdin", text);
    }
    Ok(loaded)
}

fn model(arguments: &WorkloadArguments, input: &Input) -> Result<(Model, MeshWide), Failure> {
    let built = load(input)?.build(MeshConfig::builder(), 1);
    let (config, _) = built.map_err(Failure::Configuration)?;
    let model = resolve(&config, &arguments.resolve(&config));
    Ok((model, MeshWide::of(&config)))
}

impl WorkloadArguments {
    fn resolve(&self, config: &MeshConfig) -> Workload {
        let is_gateway = self.gateway || !self.sidecar && self.workload.is_gateway(config);
        self.workload.to_workload(is_gateway)
    }
}

/// JSON for programs, with a final newline.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    match serde_json::to_string_pretty(value) {
        Ok(text) => text + "\n",
        Err(error) => format!("{{\"error\": \"{error}\"}}\n"),
    }
}

/// Colours for a terminal only.
fn style() -> Style {
    match io::IsTerminal::is_terminal(&io::stdout()) {
        true => Style::Coloured,
        false => Style::Plain,
    }
}

#[cfg(test)]
mod tests;
