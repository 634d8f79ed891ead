//! A certificate authority for a mesh: Istio's certificate service over TLS.
//!
//! The authority is a root that it makes and keeps in a directory, or is given as files in the
//! layout of Istio's secret `cacerts`. Callers prove who they are by a certificate of the authority
//! or by a token; a connection ends when the certificate that its client has presented counts no more. A
//! root that it has made is renewed in time, with its key, and at the start if it expired while nobody
//! looked; files that somebody else replaces, `ca-crl.pem` among them, are followed within seconds. While
//! one root follows another, a day and more, what a restart needs to know of it is kept beside them, in
//! `overlap.json`, the key of the old one included. An old signer that has expired meanwhile is not waited
//! for.
//!
//! ```sh
//! cargo run --example ca-server -- --state ./ca --tokens tokens.txt --bundle 127.0.0.1:15080
//! cargo run --example ca-server -- --check   # issues to itself, rotates the root, and exits
//! ```

#![expect(clippy::print_stdout, reason = "a server says where it listens")]

mod authority;
mod bundle;
mod check;
mod client;
mod overlap;
mod serve;
mod state;
mod tokens;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use mesh_core::identity::TrustDomain;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::DefaultTimeProvider;
use tokio::net::TcpListener;

use crate::authority::MeshAuthority;
use crate::serve::Server;
use crate::tokens::Tokens;

/// Issue certificates to the workloads of a mesh.
#[derive(Debug, Parser)]
#[command(name = "ca-server")]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:15012")]
    listen: SocketAddr,
    /// Directory of the authority: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem, ca-crl.pem. A
    /// root is made if it is empty.
    #[arg(long, required_unless_present = "check")]
    state: Option<PathBuf>,
    /// File of tokens, one a line: the token, a space, and the SPIFFE ID that it proves.
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// Trust domain of the mesh.
    #[arg(long, default_value = "cluster.local")]
    trust_domain: TrustDomain,
    /// Name of the server in its certificate, by which agents know it: istiod.istio-system.svc, say.
    #[arg(long = "dns-name", default_value = "localhost")]
    dns_names: Vec<String>,
    /// Address that gives out the roots to trust, by plain HTTP at /root-cert.pem.
    #[arg(long)]
    bundle: Option<SocketAddr>,
    /// Issue to itself, rotate the root, and exit.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(Options::parse())),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let Some(state) = options.state.filter(|_| !options.check) else {
        return check::run(provider).await;
    };
    let authority = MeshAuthority::open(&state, options.trust_domain, provider)?;
    let tokens = match &options.tokens {
        Some(file) => Tokens::parse(&std::fs::read_to_string(file)?)?,
        None => Tokens::default(),
    };
    let clock = Arc::new(DefaultTimeProvider);
    let server = Server::new(&authority, tokens, &options.dns_names, clock)?;
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    println!("roots to trust: {}", state.join("root-cert.pem").display());
    // It serves until it is dropped.
    let mut _bundle = None;
    if let Some(address) = options.bundle {
        let (workers, address) = bundle::serve(address, authority.issuer())?;
        println!("roots to trust: http://{address}{}", bundle::PATH);
        _bundle = Some(workers);
    }
    tokio::select! {
        never = server.run(listener) => match never {},
        never = authority.keep() => match never {},
    }
}

#[cfg(test)]
mod tests;
