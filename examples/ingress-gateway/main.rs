//! An Istio ingress gateway in one process: the servers of the Gateways that select it, by the
//! VirtualServices and the routes of the Gateway API that bind to them.
//!
//! ```sh
//! cargo run --release --example ingress-gateway -- --config mesh.yaml --map-port 80=8080
//! ```
//!
//! Files are watched: a good change takes effect at once, a bad one is refused with its diagnostics
//! while the last good one serves.

mod admin;
mod identity;
mod log;
mod options;
mod reload;
mod report;

use std::process::ExitCode;

use clap::Parser;
use examples::config::{self, Diagnostics};
use examples::gateway::{self, Gateway, KeysObserver, MeshWide};
use mesh_core::analyze::fidelity::{Fidelity, fidelity};
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::watch;

use crate::options::Options;
use crate::report::{Report, chain};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let (generation, diagnostics) = load(options, 1).map_err(|found| found.to_string())?;
    eprint!("{diagnostics}");
    let access_log = log::open(options.access_log.as_deref())?;
    let mut settings = options.settings(access_log);
    settings.handshakes = Some(log::handshakes()?);
    settings.keys = Some(KeysObserver::new(|failed| eprintln!("{failed}")));
    if let Some(directory) = &options.identity {
        settings.identity = Some(identity::keep(directory)?);
    }
    // Whoever else has this address is told before any port is taken.
    let admin = admin::bind(options.admin)?;
    let mut gateway = Gateway::start(settings)?;
    let mut report = Report::default();
    let unserved = gateway.publish_in(&generation.model, &generation.wide)?;
    report.warn(&generation.model, unserved);
    report.ports(&gateway, &generation.model);
    eprintln!("questions are answered at http://{}", admin.local_addr()?);
    let (publisher, current) = watch::channel(generation);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let admin = admin::serve(admin, current, gateway.statistics());
        let files = reload::changes(&options.config)?;
        let changes = async {
            let mut version = 1;
            let mut files = files;
            files.look_at(gateway.files());
            while files.changed().await {
                version += 1;
                apply((options, version), &mut gateway, &publisher, &mut report);
                files.look_at(gateway.files());
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
    (options, version): (&Options, u64),
    gateway: &mut Gateway,
    publisher: &watch::Publisher<Generation>,
    report: &mut Report,
) {
    let (generation, diagnostics) = match load(options, version) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            eprintln!("{diagnostics}generation {version} is refused");
            return;
        }
    };
    eprint!("{diagnostics}");
    match gateway.publish_in(&generation.model, &generation.wide) {
        Ok(unserved) => {
            report.warn(&generation.model, unserved);
            report.ports(gateway, &generation.model);
            publisher.publish(generation);
            eprintln!("generation {version} is served");
        }
        Err(error) => eprintln!("generation {version} is refused: {}", chain(&error)),
    }
}

/// What is served, and what becomes of each field of the configuration.
#[derive(Debug)]
struct Generation {
    model: Model,
    wide: MeshWide,
    fidelity: Fidelity,
}

/// Reads the files. What is not enforced is a warning, or refused if it guards something.
fn load(options: &Options, version: u64) -> Result<(Generation, Diagnostics), Diagnostics> {
    let loaded = config::load(&options.config);
    let (config, mut diagnostics) = loaded.build(MeshConfig::builder(), version)?;
    let workload = options.workload();
    let fidelity = fidelity(&config, Some(&workload), &gateway::capabilities());
    diagnostics.extend(fidelity.unsupported());
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let generation = Generation {
        model: resolve(&config, &workload),
        wide: MeshWide::of(&config),
        fidelity,
    };
    Ok((generation, diagnostics))
}

async fn terminated() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}
