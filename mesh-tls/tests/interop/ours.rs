//! Our side of the connections.

use std::io;
use std::process::Command;

use mesh_tls::accept::TlsAcceptor;
use mesh_tls::connect::{ConnectError, TlsConnector};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request of HTTP, for a host that all servers have.
pub(crate) const REQUEST: &str =
    "GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// A server of ours that takes one connection.
pub(crate) struct OneConnection {
    pub(crate) port: u16,
    serving: JoinHandle<String>,
}

impl OneConnection {
    pub(crate) async fn accept(acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(serve_one(acceptor, listener));
        Self { port, serving }
    }

    /// What became of the connection: `ok`, with the identity of the client if it has proven one;
    /// `no request`; or the label of why there was no handshake.
    pub(crate) async fn outcome(self) -> String {
        self.serving.await.unwrap()
    }
}

async fn serve_one(acceptor: TlsAcceptor, listener: TcpListener) -> String {
    let (io, _) = listener.accept().await.unwrap();
    let mut accepted = match acceptor.accept(io).await {
        Ok(accepted) => accepted,
        Err(diagnosis) => return diagnosis.label().to_owned(),
    };
    let received = accepted.stream.read(&mut [0; 1024]).await;
    if received.map_or(true, |length| length == 0) {
        return "no request".to_owned();
    }
    // The client may be content with less than all of it.
    let _ = accepted.stream.write_all(ANSWER.as_bytes()).await;
    let _ = accepted.stream.shutdown().await;
    match accepted.peer.identity {
        Some(identity) => format!("ok {}", identity.0),
        None => "ok".to_owned(),
    }
}

/// Runs a client against our server: whether the client was content, what it wrote, and what became
/// of the connection.
pub(crate) async fn against_our_server(
    acceptor: TlsAcceptor,
    client: impl FnOnce(u16) -> Command,
) -> (bool, String, String) {
    let server = OneConnection::accept(acceptor).await;
    let mut command = client(server.port);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let written = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success(), written, server.outcome().await)
}

/// The beginning of a server's answer to `request`, or the label of why there is none.
pub(crate) async fn call(connector: &TlsConnector, port: u16, request: &str) -> String {
    let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    call_on(connector, io, request).await
}

/// [`call`] on a connection that is already made.
pub(crate) async fn call_on<IO>(connector: &TlsConnector, io: IO, request: &str) -> String
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut connected = match connector.connect(io, Some("shop.example")).await {
        Ok(connected) => connected,
        Err(ConnectError::Handshake(diagnosis)) => return diagnosis.label().to_owned(),
        Err(error) => return error.to_string(),
    };
    // The server may have closed the connection; what it has said before can be read.
    let _ = connected.stream.write_all(request.as_bytes()).await;
    let mut answer = [0; 4096];
    match connected.stream.read(&mut answer).await {
        Ok(0) => connector
            .diagnose(&io::ErrorKind::UnexpectedEof.into())
            .label()
            .to_owned(),
        Ok(length) => String::from_utf8_lossy(&answer[..length]).into_owned(),
        Err(error) => connector.diagnose(&error).label().to_owned(),
    }
}

/// The status in an answer of HTTP; anything else as it is.
pub(crate) fn status(answer: &str) -> &str {
    let status = answer.strip_prefix("HTTP/1.1 ");
    status.and_then(|rest| rest.get(..3)).unwrap_or(answer)
}
