//! Values of command lines.
//!
//! # Example
//!
//! ```
//! use examples::program::arguments::label;
//!
//! assert_eq!(label("app=cart"), Ok(("app".to_owned(), "cart".to_owned())));
//! assert!(label("cart").is_err());
//! ```

use std::fs;
use std::path::PathBuf;
use std::thread;

use clap::Args;
use mesh_core::format_string::Constants;
use mesh_policy::telemetry::access_log::ChannelSink;

use crate::gateway::Settings;

/// How a proxy serves, and what it records.
#[derive(Clone, Debug, Args)]
pub struct Serving {
    /// Threads that serve; one for each core by default.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Count requests, though neither meshConfig.defaultProviders nor a Telemetry asks for it.
    #[arg(long)]
    pub metrics: bool,
    /// Log all requests to a file, or to standard output if it is `-`. Without it, those that
    /// meshConfig or a Telemetry asks for are logged to standard output. On SIGUSR1 the file is opened
    /// again, so that it can be renamed before.
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<PathBuf>,
}

impl Serving {
    /// Settings that say so, where lines of the access log go to `access_log`.
    pub fn settings(&self, access_log: ChannelSink) -> Settings {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        Settings {
            threads: self.threads.unwrap_or_else(cores),
            metrics: self.metrics,
            access_log: Some(access_log),
            constants: constants(),
            log_all: self.access_log.is_some(),
            ..Settings::default()
        }
    }
}

/// A label, `KEY=VALUE`.
///
/// # Errors
///
/// It is none. The error is for whoever wrote it.
pub fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.ok_or_else(|| format!("`{text}` is not of the form KEY=VALUE"))?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

/// What this process and its host are called, as an Envoy reads it from its own: what has no value is
/// written as `-`.
fn constants() -> Constants {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    Constants {
        hostname: hostname.map(|name| name.trim().to_owned()),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        absent: Some("-".to_owned()),
    }
}

/// A locality, `REGION`, `REGION/ZONE` or `REGION/ZONE/SUBZONE`; empty if it is not known.
///
/// # Errors
///
/// It is none. The error is for whoever wrote it.
pub fn locality(text: &str) -> Result<String, String> {
    let mut parts = text.split('/');
    let is_whole =
        text.is_empty() || (parts.clone().count() <= 3 && parts.all(|part| !part.is_empty()));
    match is_whole {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not of the form REGION/ZONE/SUBZONE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locality_has_one_to_three_parts() {
        for text in ["", "eu", "eu/a", "eu/a/rack"] {
            assert_eq!(locality(text).as_deref(), Ok(text));
        }
        for text in ["/a", "eu/", "eu//rack", "eu/a/rack/7"] {
            assert!(locality(text).is_err(), "{text}");
        }
    }
}
