//! A bookstore on loopback: a gateway, and behind it `productpage`, which asks `details` and
//! `reviews`, which asks `ratings`. They call each other through the routing layers, by the same
//! YAML (`examples/config`) that the gateway serves; there is no other process.
//!
//! The mesh is `STRICT`: an authority in the process gives the gateway and each service an identity,
//! they prove it to each other by mutual TLS, and whoever cannot is refused.
//!
//! ```sh
//! cargo run --release --example demo              # serves until it is interrupted
//! cargo run --release --example demo -- --check   # takes the tour itself, and exits
//! ```

#![expect(clippy::print_stdout, reason = "a tour is told")]

mod members;
mod services;
mod strangers;
mod tour;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use examples::gateway::{Gateway, Settings};
use examples::program::{Generation, admin, questions};
use examples::tokens::TokenIssuer;
use examples::{config, help};
use mesh_core::config::MeshConfig;
use mesh_core::watch;
use mesh_core::workload::Workload;

use crate::members::{Failure, id};
use crate::services::Bookstore;

/// Who tells the bookstore who its customers are.
const ISSUER: &str = "https://login.bookstore.example";
/// The service account of the gateway, as Istio calls it.
const GATEWAY: &str = "istio-ingressgateway-service-account";
/// In 2100, in seconds since 1970.
const NEXT_CENTURY: u64 = 4_102_444_800;

/// A bookstore behind a gateway, in one process.
#[derive(Debug, Parser)]
#[command(
    name = "demo",
    after_help = help::after(
        &["cargo run --release --example demo", "cargo run --example demo -- --check"],
        "It prints requests to try, and serves until it is interrupted. With --check it tries them itself,\n\
         says what became of each, and ends: with 0 if all was as it should be.",
    )
)]
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

fn run(options: &Options) -> Result<(), Failure> {
    let bookstore = Bookstore::open()?;
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut loaded = config::load(&[files]);
    loaded.add("endpoints", bookstore.endpoints());
    let issuer = TokenIssuer::new(ISSUER)?;
    loaded.add("tokens", tokens(&issuer));
    let (config, _) = loaded
        .build(MeshConfig::builder(), 1)
        .map_err(|diagnostics| diagnostics.to_string())?;

    let mut warnings = bookstore.members().publish(&config)?;
    let mut workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    workload.locality = "us-west/a".to_owned();
    let mut settings = settings(if options.check { 0 } else { 8080 });
    settings.identity = Some(bookstore.members().identity(&id("istio-system", GATEWAY))?);
    let mut gateway = Gateway::start(settings)?;
    let generation = Generation::new(&config, &workload);
    warnings.extend(gateway.publish_in(&generation.model, &generation.wide)?);
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let address = gateway.address(80).ok_or("the gateway does not listen")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let port = if options.check { 0 } else { free_or_any(15000) };
    let questions = questions::bind(([127, 0, 0, 1], port).into(), "questions")?;
    let admin = questions.local_addr()?;
    let (_, current) = watch::channel(generation);
    runtime.spawn(admin::serve(questions, current, gateway.statistics()));
    let token = issuer.token("jason", NEXT_CENTURY)?;
    let entrances = tour::Entrances {
        gateway: address,
        admin,
    };
    if options.check {
        return tour::take(entrances, &bookstore, &token).map_err(Into::into);
    }
    let ratings = bookstore.address("ratings").ok_or("nobody rates")?;
    print!("{}", tour::invitation(entrances, ratings, &token));
    runtime.block_on(tokio::signal::ctrl_c())?;
    Ok(())
}

/// Whose tokens count at the gateway.
fn tokens(issuer: &TokenIssuer) -> String {
    let jwks = issuer.jwks();
    format!(
        "apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: login, namespace: istio-system }}
spec:
  selector: {{ matchLabels: {{ istio: ingressgateway }} }}
  jwtRules: [{{ issuer: '{ISSUER}', jwks: '{jwks}' }}]
"
    )
}

/// A gateway on `port`, or on another if that one is taken.
fn settings(port: u16) -> Settings {
    let mut settings = Settings {
        bind: [127, 0, 0, 1].into(),
        metrics: true,
        ..Settings::default()
    };
    settings.ports.insert(80, free_or_any(port));
    settings
}

/// The port if it is free, or else one of the system's choice.
fn free_or_any(port: u16) -> u16 {
    let is_free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    if is_free { port } else { 0 }
}
