//! What answers on the ports of pods.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;

use super::echo::{self, Log, ServiceName};
use super::lines;

/// What answers on a port of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) spoken: Spoken,
    /// TLS around it.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) reach: Reach,
}

impl Application {
    /// Speaks plaintext to everybody.
    pub(crate) fn new(spoken: Spoken) -> Self {
        Self {
            spoken,
            tls: None,
            reach: Reach::Any,
        }
    }
}

/// What an application speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spoken {
    /// HTTP/1 or HTTP/2, whichever the client begins with.
    Http,
    /// Lines of text; one that greets sends the first.
    Lines { greets: bool },
}

/// The addresses of its pod that an application listens at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// All of them.
    Any,
    /// That of the pod.
    Pod,
    /// That of the loopback interface.
    Loopback,
}

impl Reach {
    /// Whether what listens at `self` is found at `at`.
    pub(crate) fn is_at(self, at: Self) -> bool {
        self == Self::Any || self == at
    }
}

/// Who answers, and to what connection.
#[derive(Clone, Debug)]
pub(crate) struct Answering {
    pub(crate) service: ServiceName,
    pub(crate) log: Log,
    /// What the client negotiated, if it spoke TLS to the application.
    pub(crate) tls: Option<Negotiated>,
}

/// What the client of a TLS connection asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Negotiated {
    pub(crate) protocol: Option<String>,
    pub(crate) server_name: Option<String>,
}

/// Binds a port of the system's choice.
pub(crate) fn bind() -> io::Result<(StdTcpListener, SocketAddr)> {
    let listener = StdTcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Starts an application. It runs as long as the runtime.
pub(crate) fn start(
    handle: &Handle,
    application: Application,
    service: ServiceName,
    log: Log,
) -> io::Result<SocketAddr> {
    let (listener, address) = bind()?;
    let answering = Answering {
        service,
        log,
        tls: None,
    };
    handle.spawn(async move {
        let Ok(listener) = TcpListener::from_std(listener) else {
            return;
        };
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(accept(stream, application.clone(), answering.clone()));
        }
    });
    Ok(address)
}

async fn accept(stream: TcpStream, application: Application, mut answering: Answering) {
    let Some(tls) = application.tls else {
        return speak(stream, application.spoken, answering).await;
    };
    // Why a handshake failed is the client's to tell.
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    let connection = stream.get_ref().1;
    let protocol = connection.alpn_protocol();
    answering.tls = Some(Negotiated {
        protocol: protocol.map(|name| String::from_utf8_lossy(name).into_owned()),
        server_name: connection.server_name().map(str::to_owned),
    });
    speak(stream, application.spoken, answering).await;
}

async fn speak<IO>(io: IO, spoken: Spoken, answering: Answering)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match spoken {
        Spoken::Http => echo::serve(io, answering).await,
        // A client that went away is no concern of the application.
        Spoken::Lines { greets } => _ = lines::serve(io, &answering, greets).await,
    }
}
