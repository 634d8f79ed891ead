//! Prints the services of a cluster, or of a directory, what changes in them, and whether that is known
//! as of now.
//!
//! ```sh
//! cargo run -p examples --features kubernetes --example kubernetes-watch
//! cargo run -p examples --features kubernetes --example kubernetes-watch -- --directory examples/config
//! cargo run -p examples --features kubernetes --example kubernetes-watch -- --check
//! ```
//!
//! The cluster is that of `kubectl`. With `--check`, a directory is written, watched and changed, and
//! what is found is compared with what was written.

#![expect(clippy::print_stderr, reason = "an example tells why it ends")]

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mesh_core::config::MeshConfig;
use mesh_core::config::services::Service;
use mesh_discovery::registry::{Change, Driver, Freshness, Registry, SourceStatus};
use mesh_discovery::source::file::Files;
use mesh_discovery::source::kubernetes::{Cluster, Kubernetes, connect};
use mesh_discovery::vip::Vips;
use tokio::time::{Instant, timeout, timeout_at};

/// How often is looked whether a source has failed or returned, which is no change of what it has.
const LOOK: Duration = Duration::from_secs(1);

const HELP: &str = "\
Run it:
  cargo run -p examples --features kubernetes --example kubernetes-watch -- --directory examples/config

It prints each service with how many of its endpoints are healthy, whether each source is known as of now, and
why there is no configuration if it cannot be built; and again whatever of that changes. Press Ctrl-C to end.";

/// Print the services of a cluster, or of a directory, and what changes in them.
#[derive(Debug, Parser)]
#[command(name = "kubernetes-watch", after_help = HELP)]
struct Arguments {
    /// Files or directories to read in place of a cluster.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["kubeconfig", "context"])]
    directory: Vec<PathBuf>,
    /// Configuration of `kubectl`; default as `kubectl` finds it.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in it; default its current one.
    #[arg(long, requires = "kubeconfig")]
    context: Option<String>,
    /// Write a directory, watch it, and check what is found.
    #[arg(long, conflicts_with_all = ["directory", "kubeconfig"])]
    check: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.check {
        true => check().await,
        false => watch(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads on, as below `head`.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn watch(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let registry = Registry::new(MeshConfig::builder())
        .with_settings_from_config_map()
        .with_vips(Vips::default());
    let mut driver = Driver::new(registry);
    if arguments.directory.is_empty() {
        let kubernetes = kubernetes(arguments).await.inspect_err(|_| {
            eprintln!("hint: --kubeconfig FILE names a cluster, --directory PATH reads files in place of one");
        });
        driver.add_cluster("cluster", kubernetes?);
    } else {
        driver.add_source("files", Files::new(arguments.directory));
    }
    let mut told = Vec::new();
    loop {
        match timeout(LOOK, driver.next()).await {
            Ok(Some(change)) => tell(&change_lines(&change))?,
            Ok(None) => return Ok(()),
            Err(_) => {}
        }
        let lines = status_lines(driver.registry());
        if lines != told {
            tell(&lines)?;
            told = lines;
        }
    }
}

async fn kubernetes(arguments: Arguments) -> Result<Kubernetes, Box<dyn Error>> {
    // Which cryptography TLS uses is for programs to decide.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .install_default()
        .map_err(|_| "another was installed")?;
    let (path, context) = (arguments.kubeconfig, arguments.context);
    let cluster = path.map_or(Cluster::Inferred, |path| Cluster::Kubeconfig {
        path,
        context,
    });
    Ok(Kubernetes::new(connect(&cluster).await?))
}

fn tell(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// How each source is, and what is wrong with it and with the configuration of all.
fn status_lines(registry: &Registry) -> Vec<String> {
    let sources = registry.status();
    let lines = sources.iter().flat_map(source_lines);
    let problems = registry.problems().iter();
    lines.chain(problems.map(ToString::to_string)).collect()
}

fn source_lines(source: &SourceStatus) -> impl Iterator<Item = String> {
    let (name, objects) = (&source.name, source.objects);
    let freshness = match source.freshness {
        Freshness::Live => format!("{name}: live, {objects} objects"),
        Freshness::Stale { .. } => format!("{name}: stale, {objects} objects as they were"),
        Freshness::Unknown => format!("{name}: not known yet"),
    };
    let diagnostics = source.diagnostics.iter();
    let diagnostics = diagnostics.map(move |diagnostic| format!("{name}: {diagnostic}"));
    std::iter::once(freshness).chain(diagnostics)
}

fn change_lines(change: &Change) -> Vec<String> {
    match change {
        Change::Config(config) => {
            let services = config.services().iter();
            let services = services.flat_map(|service| service_lines(service));
            let first = format!("configuration {}", config.version());
            std::iter::once(first).chain(services).collect()
        }
        Change::Endpoints(updates) => {
            let services = updates.iter().map(|update| update.service());
            let services = services.flat_map(|service| service_lines(service));
            std::iter::once("endpoints".to_owned())
                .chain(services)
                .collect()
        }
    }
}

fn service_lines(service: &Service) -> Vec<String> {
    let line = |port| {
        let endpoints = service.endpoints(port);
        let healthy = endpoints.iter().filter(|endpoint| endpoint.healthy).count();
        let (host, number, all) = (&service.hostname, port.number, endpoints.len());
        format!("  {host}:{number} {healthy} of {all} endpoints healthy")
    };
    service.ports.iter().map(line).collect()
}

const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
";

const SETTINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: 'trustDomian: shop.example' }
";

/// Writes a directory, watches it, changes it, and checks what is found.
async fn check() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("kubernetes-watch-{}", std::process::id()));
    fs::create_dir(&directory)?;
    let checked = check_in(&directory).await;
    fs::remove_dir_all(&directory)?;
    checked
}

async fn check_in(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::write(directory.join("cart.yaml"), CART)?;
    let registry = Registry::new(MeshConfig::builder()).with_settings_from_config_map();
    let mut driver = Driver::new(registry);
    driver.add_source("files", Files::new([directory]));
    assert_eq!(status_lines(driver.registry()), ["files: not known yet"]);
    let first = driver.next().await.ok_or("the files ended")?;
    tell(&change_lines(&first))?;
    let Change::Config(config) = first else {
        return Err("the first change is no configuration".into());
    };
    let host = "cart.shop.svc.cluster.local";
    let cart = config.services().lookup(host, "shop").ok_or("no cart")?;
    assert!(cart.endpoints(&cart.ports[0]).is_empty());

    let slice = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: cart-1, namespace: shop, labels: { kubernetes.io/service-name: cart } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.0.0.7] }, { addresses: [10.0.0.8] }]
";
    fs::write(directory.join("slice.yaml"), slice)?;
    let second = driver.next().await.ok_or("the files ended")?;
    tell(&change_lines(&second))?;
    let Change::Endpoints(updates) = second else {
        return Err("more than endpoints changed".into());
    };
    let cart = updates[0].service();
    assert_eq!(cart.endpoints(&cart.ports[0]).len(), 2);

    fs::write(directory.join("slice.yaml"), "kind: [broken")?;
    wait_for(&mut driver, "files: stale, 2 objects as they were").await?;
    fs::write(directory.join("slice.yaml"), slice)?;
    wait_for(&mut driver, "files: live, 2 objects").await?;

    // Settings that are wrong keep the configuration as it was, and are told.
    fs::write(directory.join("mesh.yaml"), SETTINGS)?;
    wait_for(&mut driver, "unknown field `trustDomian`").await?;
    tell(&["checked".to_owned()])?;
    Ok(())
}

/// Waits until a line says what is `expected`, while nothing changes that there is.
async fn wait_for(driver: &mut Driver, expected: &str) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let lines = status_lines(driver.registry());
        if lines.iter().any(|line| line.contains(expected)) {
            tell(&lines)?;
            return Ok(());
        }
        let next = Instant::now() + LOOK;
        match timeout_at(next.min(deadline), driver.next()).await {
            Ok(change) => return Err(format!("{change:?} in place of `{expected}`").into()),
            Err(_) if next > deadline => return Err(format!("not `{expected}`: {lines:?}").into()),
            Err(_) => {}
        }
    }
}
