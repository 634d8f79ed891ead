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
#[cfg(test)]
mod tests;

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::gateway::KeysObserver;
use examples::program::report::chain;
use examples::program::{Proxy, admin, identity, log, questions, terminated};

use crate::options::Options;

fn main() -> ExitCode {
    exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let gateway = IngressGateway::start(options)?;
    let admin = gateway.admin.local_addr()?;
    eprintln!("questions are answered at http://{admin}");
    gateway.serve(terminated())
}

/// Tells why a program fails that does.
fn exit_code(done: Result<(), Box<dyn Error>>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// A gateway that serves.
struct IngressGateway {
    /// Where it answers questions, once it [serves](Self::serve).
    admin: TcpListener,
    proxy: Proxy,
    drain: Duration,
}

impl IngressGateway {
    /// Serves as the options say.
    fn start(options: &Options) -> Result<Self, Box<dyn Error>> {
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
        Ok(Self {
            admin,
            proxy: Proxy::start(files, generation, settings)?,
            drain: options.drain(),
        })
    }

    /// Follows the files and answers questions until it is `told_to_end`; then no connection is taken
    /// any more, and those that there are may end.
    fn serve(
        self,
        told_to_end: impl Future<Output = io::Result<()>>,
    ) -> Result<(), Box<dyn Error>> {
        let Self {
            admin,
            mut proxy,
            drain,
        } = self;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let statistics = proxy.gateway().statistics();
            let admin = admin::serve(admin, proxy.current(), statistics);
            tokio::select! {
                result = admin => result,
                () = proxy.follow() => Ok(()),
                result = told_to_end => result,
            }
        })?;
        eprintln!("draining");
        proxy.drain(drain);
        Ok(())
    }
}
