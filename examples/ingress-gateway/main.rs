//! An Istio ingress gateway in one process: the HTTP servers of the Gateways that select it, by the
//! VirtualServices and HTTPRoutes that bind to them.
//!
//! ```sh
//! cargo run --release --example ingress-gateway -- --config mesh.yaml --map-port 80=8080
//! ```
//!
//! Files are watched: a good change takes effect at once, a bad one is refused with its diagnostics
//! while the last good one serves.

mod admin;
mod options;
mod reload;

use std::process::ExitCode;

use clap::Parser;
use examples::config::{self, Diagnostics};
use examples::gateway::Gateway;
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::watch;

use crate::options::Options;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let (model, diagnostics) = load(options, 1).map_err(|found| found.to_string())?;
    eprint!("{diagnostics}");
    let mut gateway = Gateway::start(options.settings())?;
    report(&gateway.publish(&model)?);
    for (declared, address) in gateway.addresses() {
        eprintln!("port {declared} is served at {address}");
    }
    let (publisher, current) = watch::channel(model);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let admin = admin::serve(options.admin, current);
        let files = reload::changes(&options.config)?;
        let changes = async {
            let mut version = 1;
            let mut files = files;
            while files.changed().await {
                version += 1;
                apply(options, version, &mut gateway, &publisher);
            }
        };
        tokio::select! {
            result = admin => result,
            () = changes => Ok(()),
            result = terminated() => result,
        }
    })?;
    eprintln!("draining");
    gateway.drain(options.drain());
    Ok(())
}

/// Lets a change of the files take effect, or says why it does not.
fn apply(
    options: &Options,
    version: u64,
    gateway: &mut Gateway,
    publisher: &watch::Publisher<Model>,
) {
    match load(options, version) {
        Ok((model, diagnostics)) => {
            eprint!("{diagnostics}");
            match gateway.publish(&model) {
                Ok(warnings) => {
                    report(&warnings);
                    publisher.publish(model);
                    eprintln!("generation {version} is served");
                }
                Err(error) => eprintln!("generation {version} is refused: {error}"),
            }
        }
        Err(diagnostics) => eprintln!("{diagnostics}generation {version} is refused"),
    }
}

fn load(options: &Options, version: u64) -> Result<(Model, Diagnostics), Diagnostics> {
    let loaded = config::load(&options.config);
    let (config, diagnostics) = loaded.build(MeshConfig::builder(), version)?;
    Ok((resolve(&config, &options.workload()), diagnostics))
}

fn report(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

async fn terminated() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}
