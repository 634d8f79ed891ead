//! Two sidecars that serve each other, on loopback: `productpage` calls `reviews`.
//!
//! Nothing redirects their connections, so that addresses stand for others. The one sidecar gets its
//! identity from an authority, the other one from files.

mod application;
mod authority;
mod scene;

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use mesh_tls::diagnose::Side;
use tokio::time::Instant;

use self::scene::Scene;

/// Who calls, as the application is told.
const CALLER: &str = "URI=spiffe://cluster.local/ns/bookstore/sa/productpage";
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

type Failure = Box<dyn Error>;

/// Takes each way once, and checks where it ends.
pub(crate) fn run() -> Result<(), Failure> {
    let scene = Scene::open()?;

    let answer = scene.call("/reviews/7")?;
    assert!(answer.ends_with("GET /v2/reviews/7"), "{answer}");
    assert!(answer.contains(CALLER), "{answer}");
    println!("a call is routed, and proves who makes it");

    let answer = scene.call("/admin")?;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    println!("a call that a policy denies is answered by the sidecar");

    assert_eq!(get(scene.callee(), "/reviews/7")?, "");
    let refused = scene.reviews.proxy.gateway().handshakes();
    assert_eq!(counted(|| refused.count(Side::Server, "plaintext")), 1);
    println!("a stranger is refused");

    assert_eq!(get(scene.redirected(), "/reviews/7")?, "");
    let refused = scene.productpage.proxy.gateway().handshakes();
    assert_eq!(counted(|| refused.count(Side::Server, "not_redirected")), 1);
    println!("a connection that nothing redirected does not come back");

    let (ready, well, unknown) = scene.ask_status()?;
    assert!(ready.starts_with("HTTP/1.1 200 OK\r\n"), "{ready}");
    assert!(well.ends_with("GET /healthz"), "{well}");
    assert!(unknown.starts_with("HTTP/1.1 400 "), "{unknown}");
    println!("the kubelet learns how the application is");
    Ok(())
}

/// A count once it is not zero: clients may know earlier that they are refused.
fn counted(count: impl Fn() -> u64) -> u64 {
    let begin = Instant::now();
    while count() == 0 && begin.elapsed() < PATIENCE {
        thread::yield_now();
    }
    count()
}

/// The answer; empty if the connection is closed without one.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: reviews\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let exchanged = client
        .write_all(request.as_bytes())
        .and_then(|()| client.read_to_string(&mut answer));
    match exchanged {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(answer),
    }
}
