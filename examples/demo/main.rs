//! A bookstore on loopback: a gateway, and behind it `productpage`, which asks `details` and
//! `reviews`, which asks `ratings`. They call each other through the routing layers, by the same
//! YAML (`examples/config`) that the gateway serves; there is no other process.
//!
//! ```sh
//! cargo run --release --example demo              # serves until it is interrupted
//! cargo run --release --example demo -- --check   # takes the tour itself, and exits
//! ```

#![expect(clippy::print_stdout, reason = "a tour is told")]

mod services;
mod tour;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use examples::config;
use examples::gateway::{Gateway, Settings};
use mesh_core::config::MeshConfig;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::services::Bookstore;

/// A bookstore behind a gateway, in one process.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Options {
    /// Take the tour, check every station, and exit.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let bookstore = Bookstore::open()?;
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut loaded = config::load(&[files]);
    loaded.add("endpoints", bookstore.endpoints());
    let (config, _) = loaded
        .build(MeshConfig::builder(), 1)
        .map_err(|diagnostics| diagnostics.to_string())?;

    bookstore.publish(&resolve(&config, &Workload::sidecar("bookstore")))?;
    let workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    let mut gateway = start(if options.check { 0 } else { 8080 })?;
    for warning in gateway.publish(&resolve(&config, &workload))? {
        eprintln!("warning: {warning}");
    }
    let address = gateway.address(80).ok_or("the gateway does not listen")?;
    if options.check {
        return tour::take(address, &bookstore).map_err(Into::into);
    }
    print!("{}", tour::invitation(address));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    Ok(())
}

/// Starts the gateway on `port`, or on another if that one is taken.
fn start(port: u16) -> std::io::Result<Gateway> {
    let is_free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut settings = Settings {
        bind: [127, 0, 0, 1].into(),
        ..Settings::default()
    };
    settings.ports.insert(80, if is_free { port } else { 0 });
    Gateway::start(settings)
}
