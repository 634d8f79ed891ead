//! Runs cases that others wrote: Istio's, Envoy's, the Gateway API's and SPIFFE's own test suites,
//! as data.
//!
//! Each corpus is one JSON file. Its cases are run through the public API of the libraries, and each
//! is counted in exactly one column: passed, failed, or unsupported, which means refused with a clear
//! message. A corpus whose part of the mesh is not built yet is counted as unsupported; none is
//! skipped. C2SP's x509-limbo is run where its `limbo.json` lies in a directory `x509-limbo`.
//!
//! ```text
//! conformance ../shared/corpora
//! conformance ../shared/corpora --only envoy -v
//! conformance ../shared/corpora --json report.json
//! ```

mod analyzers;
mod authz;
mod case;
mod configuration;
mod corpora;
mod envoy;
mod gateway_api;
mod gateway_conversion;
mod h2spec;
mod injector;
mod jose;
mod report;
mod simulation;
mod spiffe;
mod stage;
mod tables;
mod traffic;
mod validation;
mod x509_limbo;
mod yaml;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use examples::help;

use crate::corpora::{CORPORA, Corpus};
use crate::report::Report;

/// Runs the cases in a directory and counts them.
#[derive(Debug, Parser)]
#[command(
    name = "conformance",
    after_help = help::after(
        &["cargo run --release --example conformance -- CORPORA --only envoy -v"],
        "It prints a line of counts for each corpus that is there, and ends: with 0, whatever the counts are,\n\
         or with 2 if nothing could be run.",
    )
)]
struct Arguments {
    /// Directory that holds the corpora.
    directory: PathBuf,
    /// Run one corpus, such as `envoy/route_cases`, or all below a name, such as `envoy`.
    #[arg(long, value_name = "CORPUS")]
    only: Option<String>,
    /// Write the counts, and the cases that did not pass, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the cases that did not pass, each with a reason.
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    // A wrong command line ends the program here, with 2.
    let done = run(&Arguments::parse(), &mut io::stdout().lock());
    if let Err(error) = &done {
        // Standard error may be closed; there is nobody else to tell.
        _ = writeln!(io::stderr(), "conformance: {error}");
    }
    ExitCode::from(status(&done))
}

/// What the program exits with.
fn status(done: &Result<(), Failure>) -> u8 {
    match done {
        Ok(()) => 0,
        Err(_) => 2,
    }
}

/// Runs the cases, and writes what became of them to `out`.
fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let selected = select(arguments.only.as_deref())?;
    let mut reports = BTreeMap::new();
    report::write_heading(out)?;
    for corpus in selected {
        let path = arguments.directory.join(corpus.name).with_extension("json");
        if !path.exists() {
            continue;
        }
        let report = Report::new((corpus.run)(&load(&path)?, &arguments.directory));
        report.write_row(out, corpus.name)?;
        if arguments.verbose {
            report.write_not_passed(out)?;
        }
        out.flush()?;
        reports.insert(corpus.name, report);
    }
    if reports.is_empty() {
        return Err(Failure::Empty(arguments.directory.clone()));
    }
    if let Some(path) = &arguments.json {
        let text =
            serde_json::to_vec_pretty(&reports).map_err(|source| Failure::json(path, source))?;
        fs::write(path, text).map_err(|source| Failure::file(path, source))?;
    }
    Ok(())
}

/// The corpora that `only` names: one, or those of a directory.
fn select(only: Option<&str>) -> Result<Vec<&'static Corpus>, Failure> {
    let Some(only) = only else {
        return Ok(CORPORA.iter().collect());
    };
    let below = format!("{}/", only.trim_end_matches('/'));
    let named = |corpus: &&Corpus| corpus.name == only || corpus.name.starts_with(&below);
    let selected: Vec<_> = CORPORA.iter().filter(named).collect();
    if selected.is_empty() {
        return Err(Failure::Unknown(only.into()));
    }
    Ok(selected)
}

fn load(path: &Path) -> Result<serde_json::Value, Failure> {
    let text = fs::read(path).map_err(|source| Failure::file(path, source))?;
    serde_json::from_slice(&text).map_err(|source| Failure::json(path, source))
}

/// Why nothing could be run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The directory holds no corpus.
    #[error("`{}` holds none of the selected corpora", .0.display())]
    Empty(PathBuf),
    /// A file cannot be read or written.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("`{}`: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The report cannot be printed.
    #[error("the report cannot be printed: {0}")]
    Print(#[from] io::Error),
    /// No corpus has this name.
    #[error("no corpus is called `{0}`; there are: {names}", names = names())]
    Unknown(String),
}

impl Failure {
    fn file(path: &Path, source: io::Error) -> Self {
        let path = path.into();
        Self::File { path, source }
    }

    fn json(path: &Path, source: serde_json::Error) -> Self {
        let path = path.into();
        Self::Json { path, source }
    }
}

fn names() -> String {
    CORPORA.map(|corpus| corpus.name).join(", ")
}

#[cfg(test)]
mod tests;
