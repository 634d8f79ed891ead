//! An Istio ingress gateway in one process: the servers of the Gateways that select it, by the
//! VirtualServices and the routes of the Gateway API that bind to them.
//!
//! ```sh
//! cargo run --release --example ingress-gateway -- --config mesh.yaml --map-port 80=8080
//! ```
//!
//! Files are watched: a good change takes effect at once, a bad one is refused with its diagnostics
//! while the last good one serves.

mod options;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use examples::gateway::KeysObserver;
use examples::program::report::chain;
use examples::program::{Proxy, admin, identity, log, questions, terminated};

use crate::options::Options;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let files = options.files();
    let generation = files.load_first()?;
    let mut settings = options.settings(log::open(options.serving.access_log.as_deref())?);
    settings.handshakes = Some(log::handshakes()?);
    settings.keys = Some(KeysObserver::new(|failed| eprintln!("{failed}")));
    if let Some(directory) = &options.identity {
        settings.identity = Some(identity::of_directory(directory)?);
    }
    // Whoever else has this address is told before any port is taken.
    let admin = questions::bind(options.admin, "--admin")?;
    let mut proxy = Proxy::start(files, generation, settings)?;
    eprintln!("questions are answered at http://{}", admin.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let statistics = proxy.gateway().statistics();
        let admin = admin::serve(admin, proxy.current(), statistics);
        tokio::select! {
            result = admin => result,
            () = proxy.follow() => Ok(()),
            result = terminated() => result,
        }
    })?;
    eprintln!("draining");
    proxy.drain(options.drain());
    Ok(())
}
