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

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
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

/// Print the services of a cluster, or of a directory, and what changes in them.
#[derive(Debug, Parser)]
#[command(name = "kubernetes-watch")]
struct Arguments {
    /// Files or directories to read in place of a cluster.
    #[arg(long, value_name = "PATH")]
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
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.check {
        return check().await;
    }
    let registry = Registry::new(MeshConfig::builder())
        .with_settings_from_config_map()
        .with_vips(Vips::default());
    let mut driver = Driver::new(registry);
    if arguments.directory.is_empty() {
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
        driver.add_cluster("cluster", Kubernetes::new(connect(&cluster).await?));
    } else {
        driver.add_source("files", Files::new(arguments.directory));
    }
    let mut told = Vec::new();
    loop {
        match timeout(LOOK, driver.next()).await {
            Ok(Some(change)) => print(&change),
            Ok(None) => return Ok(()),
            Err(_) => {}
        }
        let lines = status_lines(&driver.registry().status());
        if lines != told {
            lines.iter().for_each(|line| println!("{line}"));
            told = lines;
        }
    }
}

/// How each source is, and what is wrong with it.
fn status_lines(sources: &[SourceStatus]) -> Vec<String> {
    let lines = sources.iter().flat_map(|source| {
        let (name, objects) = (&source.name, source.objects);
        let freshness = match source.freshness {
            Freshness::Live => format!("{name}: live, {objects} objects"),
            Freshness::Stale { .. } => format!("{name}: stale, {objects} objects as they were"),
            Freshness::Unknown => format!("{name}: not known yet"),
        };
        let diagnostics = source.diagnostics.iter();
        let diagnostics = diagnostics.map(move |diagnostic| format!("{name}: {diagnostic}"));
        std::iter::once(freshness).chain(diagnostics)
    });
    lines.collect()
}

fn print(change: &Change) {
    match change {
        Change::Config(config) => {
            println!("configuration {}", config.version());
            config
                .services()
                .iter()
                .for_each(|service| print_service(service));
        }
        Change::Endpoints(updates) => {
            println!("endpoints");
            updates
                .iter()
                .for_each(|update| print_service(update.service()));
        }
    }
}

fn print_service(service: &Service) {
    for port in &service.ports {
        let endpoints = service.endpoints(port);
        let healthy = endpoints.iter().filter(|endpoint| endpoint.healthy).count();
        let (host, number) = (&service.hostname, port.number);
        println!(
            "  {host}:{number} {healthy} of {} endpoints healthy",
            endpoints.len()
        );
    }
}

const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
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
    let mut driver = Driver::new(Registry::new(MeshConfig::builder()));
    driver.add_source("files", Files::new([directory]));
    assert_eq!(
        status_lines(&driver.registry().status()),
        ["files: not known yet"]
    );
    let first = driver.next().await.ok_or("the files ended")?;
    print(&first);
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
    print(&second);
    let Change::Endpoints(updates) = second else {
        return Err("more than endpoints changed".into());
    };
    let cart = updates[0].service();
    assert_eq!(cart.endpoints(&cart.ports[0]).len(), 2);

    fs::write(directory.join("slice.yaml"), "kind: [broken")?;
    wait_for(&mut driver, "files: stale, 2 objects as they were").await?;
    fs::write(directory.join("slice.yaml"), slice)?;
    wait_for(&mut driver, "files: live, 2 objects").await?;
    println!("checked");
    Ok(())
}

/// Waits until the first source is as `expected` says, while nothing that it has changes.
async fn wait_for(driver: &mut Driver, expected: &str) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let lines = status_lines(&driver.registry().status());
        if lines.first().is_some_and(|line| line == expected) {
            lines.iter().for_each(|line| println!("{line}"));
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
