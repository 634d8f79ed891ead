//! A sidecar in one process: what comes to an application and what it calls is secured, judged,
//! routed and recorded, as Istio's sidecar does by Envoy.
//!
//! In a pod, iptables or a plugin redirect the connections, as they do for Istio. The injector of
//! [`mesh_policy::admission`] adds all of that, and the arguments, to pods with the annotation
//! `inject.istio.io/templates: mesh-sidecar`.
//!
//! Anywhere else, addresses stand for others. Here whoever calls port 9080 of this machine calls the
//! service `reviews`, and whoever calls port 8080 is let to the application at port 80 if the policies
//! are for it:
//!
//! ```sh
//! cargo run --release --example sidecar -- --config mesh.yaml --namespace shop --labels app=cart \
//!   --addresses 127.0.0.1 --identity ./cart --status-port 0 \
//!   --capture outbound:10.0.0.7:9080=127.0.0.1:9080 --capture inbound:127.0.0.1:80=0.0.0.0:8080
//! cargo run --example sidecar -- --check   # two sidecars serve each other
//! ```
//!
//! Files are watched: a good change takes effect at once, a bad one is refused with its diagnostics
//! while the last good one serves. The identity in the mesh is watched, too, or renewed in time.

#![expect(clippy::print_stdout, reason = "a check is told")]

mod arguments;
mod check;
mod options;
mod probes;
mod status;
#[cfg(test)]
mod tests;
mod wait;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use examples::program::report::chain;
use examples::program::{Generation, Proxy, admin, identity, log, questions, terminated};
use examples::upstream::sidecar_source;
use mesh_core::identity::{ServiceAccount, SpiffeId};
use mesh_tls::resolve::LiveIdentity;

use crate::options::{Identity, Options};
use crate::probes::Prober;
use crate::status::Status;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match (options.check, options.wait) {
        (true, _) => check::run(),
        (false, true) => wait::run(options.first_status_port()),
        (false, false) => run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    // Whoever else has these addresses is told before any port is taken.
    let admin = questions::bind(options.admin, "--admin")?;
    let status: Vec<_> = options
        .status_addresses()
        .map(|address| questions::bind(address, "--status-port"))
        .collect::<Result<_, _>>()?;
    let mut sidecar = Sidecar::start(options)?;
    eprintln!("questions are answered at http://{}", admin.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let statistics = sidecar.proxy.gateway().statistics();
        let admin = admin::serve(admin, sidecar.proxy.current(), statistics);
        let status = status::serve(status, &sidecar.status);
        tokio::select! {
            result = admin => result,
            result = status => result,
            () = sidecar.proxy.follow() => Ok(()),
            result = terminated() => result,
        }
    })?;
    eprintln!("draining");
    sidecar.proxy.drain(options.drain());
    Ok(())
}

/// A sidecar that serves.
pub(crate) struct Sidecar {
    pub(crate) proxy: Proxy,
    pub(crate) status: Status,
}

impl Sidecar {
    /// Serves as the options say.
    pub(crate) fn start(options: &Options) -> Result<Self, Box<dyn Error>> {
        let files = options.files()?;
        let generation = files.load_first()?;
        let mut settings = options.settings(log::open(options.serving.access_log.as_deref())?);
        settings.handshakes = Some(log::handshakes()?);
        settings.identity = live_identity(options, &generation.0)?;
        let (identity, captures) = (settings.identity.clone(), settings.captures.clone());
        let proxy = Proxy::start(files, generation, settings)?;
        for (index, capture) in captures.iter().enumerate() {
            if let Some(address) = proxy.gateway().captured(index) {
                let direction = capture.direction;
                eprintln!("{direction:?} connections are served at {address}");
            }
        }
        let application = options.probe_address();
        let source = options.are_callers_redirected();
        let prober = Prober {
            application,
            source: source.then(|| sidecar_source(application)),
            ports: options.status_port.clone(),
            probes: options.probes.clone(),
        };
        let status = Status::new(&proxy, identity, prober);
        Ok(Self { proxy, status })
    }
}

/// Who the workload is, if it is to be somebody.
fn live_identity(
    options: &Options,
    generation: &Generation,
) -> Result<Option<LiveIdentity>, Box<dyn Error>> {
    let authority = match options.identity() {
        None => return Ok(None),
        Some(Identity::Directory(directory)) => {
            return identity::of_directory(&directory).map(Some);
        }
        Some(Identity::Authority(authority)) => authority,
    };
    let domains = generation.wide.options.trust_domains()?;
    let (domain, is_other) = options.trust_domain(domains.local());
    if is_other {
        let configured = domains.local();
        eprintln!(
            "warning: the identity is of `{domain}`, and the mesh is `{configured}`: set \
             meshConfig.trustDomain in the ConfigMap `istio`, or leave out --trust-domain"
        );
    }
    let workload = &generation.model.workload;
    let account = ServiceAccount {
        namespace: &workload.namespace,
        name: &workload.service_account,
    };
    let id = SpiffeId::from_service_account(&domain, account)?;
    identity::of_authority(&authority, id).map(Some)
}
