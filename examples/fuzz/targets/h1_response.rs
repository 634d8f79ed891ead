//! HTTP/1.1 responses of upstreams, through a connection pool.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use examples::upstream::{Endpoint, Pool, PoolSettings, Protocol};
use http::Request;
use http_body_util::{BodyExt, Empty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::{Feed, Target};

/// How long a response that is cut off is waited for: not at all, once the connection is closed.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) const TARGET: Target = Target {
    name: "h1-response",
    seeds: &[
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nt: 1\r\n\r\n",
        "HTTP/1.0 404 \r\nconnection: keep-alive\r\n\r\nuntil the end",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nbytes",
    ],
    dictionary: &[
        "HTTP/1.1 ",
        "\r\n",
        "\r\n\r\n",
        "content-length: ",
        "transfer-encoding: chunked",
        "gzip",
        "0\r\n\r\n",
        "ffffffffffffffff",
        "connection: close",
        ": ",
        "\t",
    ],
    start,
};

fn start() -> Feed {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime can be built");
    let listener = runtime
        .block_on(TcpListener::bind(("127.0.0.1", 0)))
        .expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    Box::new(move |input| feed(&runtime, &listener, address, input))
}

fn feed(runtime: &LocalRuntime, listener: &TcpListener, address: SocketAddr, input: &[u8]) {
    runtime.block_on(async {
        // A pool of its own: a connection that was kept would get the next input.
        let pool = Pool::new(PoolSettings::default());
        let endpoint = Endpoint::new(address, Protocol::Http1);
        let request = Request::get("/").body(Empty::<Bytes>::new());
        let sending = pool.send(&endpoint, request.expect("it is one"));
        let asking = async {
            if let Ok(response) = sending.await {
                let _ = response.into_body().collect().await;
            }
        };
        let answering = async {
            let (mut stream, _) = listener.accept().await.expect("it is dialled");
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(input).await;
            let _ = stream.shutdown().await;
        };
        let both = async { tokio::join!(asking, answering) };
        let ended = tokio::time::timeout(PATIENCE, both).await;
        assert!(
            ended.is_ok(),
            "the connection is closed, and the answer waited for"
        );
    });
}
