//! Clients over UDP and TCP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::watch::Watch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::message::{Reply, Transport, reply};
use super::name_table::NameTable;
use super::upstream::forward;

/// How long a TCP client may take for its next query.
const IDLE: Duration = Duration::from_secs(10);
/// How long no TCP client is accepted after one could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// Whom a [`DnsProxy`] asks, and how much it does at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsProxyOptions {
    /// Servers that are asked about names that are not in the table, one after the other
    /// (`nameserver` of `/etc/resolv.conf`). Without any, the answer is `SERVFAIL`.
    pub upstream: Vec<SocketAddr>,
    /// How long one server may take. Default: 5 s.
    pub timeout: Duration,
    /// Whether queries are forwarded before there is a table, instead of being answered with
    /// `SERVFAIL`. Default: no.
    pub forward_before_table: bool,
    /// The most queries over UDP that are forwarded at a time, and the most TCP clients. What comes
    /// beyond is dropped, as if it had been lost. Default: 1,024.
    pub max_concurrent: usize,
}

impl Default for DnsProxyOptions {
    fn default() -> Self {
        Self {
            upstream: Vec::new(),
            timeout: Duration::from_secs(5),
            forward_before_table: false,
            max_concurrent: 1024,
        }
    }
}

/// Answers the queries of clients from a [`NameTable`] that is replaced while it is used, and forwards
/// the others.
///
/// It binds no sockets: Istio's agent listens at 127.0.0.1:15053.
#[derive(Clone, Debug)]
pub struct DnsProxy {
    table: Watch<Option<NameTable>>,
    options: Arc<DnsProxyOptions>,
}

impl DnsProxy {
    /// Answers from `table`; `None` as long as there is none yet.
    pub fn new(table: impl Into<Watch<Option<NameTable>>>, options: DnsProxyOptions) -> Self {
        Self {
            table: table.into(),
            options: Arc::new(options),
        }
    }

    /// Answers queries over UDP, for ever.
    ///
    /// # Errors
    ///
    /// The socket fails. That a client cannot be reached is no failure.
    ///
    /// # Cancel safety
    ///
    /// Queries that are being forwarded get no answer.
    pub async fn serve_udp(&self, socket: UdpSocket) -> io::Result<()> {
        let socket = Arc::new(socket);
        let places = Arc::new(Semaphore::new(self.options.max_concurrent));
        let mut forwards = JoinSet::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let (length, client) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // What a client that is gone makes the system say about an earlier answer.
                Err(error) if is_about_a_client(&error) => continue,
                Err(error) => return Err(error),
            };
            while forwards.try_join_next().is_some() {}
            let query = &buffer[..length];
            match self.reply(query, Transport::Udp) {
                Reply::Ignore => {}
                Reply::Answer(answer) => {
                    // UDP promises nothing; the client asks again.
                    let _ = socket.send_to(&answer, client).await;
                }
                Reply::Forward => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                        continue;
                    };
                    let (proxy, socket) = (self.clone(), Arc::clone(&socket));
                    let query = query.to_vec();
                    forwards.spawn(async move {
                        let answer = proxy.forward(&query, Transport::Udp).await;
                        let _ = socket.send_to(&answer, client).await;
                        drop(place);
                    });
                }
            }
        }
    }

    /// Answers queries over TCP, for ever.
    ///
    /// Where no client can be accepted for lack of something, such as file descriptors, that is tried
    /// again after a tenth of a second. Needs a tokio runtime with a timer.
    ///
    /// # Errors
    ///
    /// The socket is no listener. That a client fails is no failure.
    ///
    /// # Cancel safety
    ///
    /// The connections of clients end.
    pub async fn serve_tcp(&self, listener: TcpListener) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(self.options.max_concurrent));
        let mut clients = JoinSet::new();
        loop {
            let (stream, _) = next_client(|| listener.accept()).await?;
            while clients.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                continue;
            };
            let proxy = self.clone();
            clients.spawn(async move {
                // Nobody but the client is to be told, and it knows.
                let _ = proxy.serve_client(stream).await;
                drop(place);
            });
        }
    }

    async fn serve_client(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let query = match timeout(IDLE, read_query(&mut stream)).await {
                Ok(query) => query?,
                Err(_) => return Ok(()),
            };
            let answer = match self.reply(&query, Transport::Tcp) {
                Reply::Ignore => return Ok(()),
                Reply::Answer(answer) => answer,
                Reply::Forward => self.forward(&query, Transport::Tcp).await,
            };
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
            match timeout(IDLE, stream.write_all(&framed)).await {
                Ok(written) => written?,
                Err(_) => return Ok(()),
            }
        }
    }

    fn reply(&self, query: &[u8], transport: Transport) -> Reply {
        let table = self.table.load();
        let table = Option::as_ref(&**table);
        let empty = NameTable::default();
        let table = table.or_else(|| self.options.forward_before_table.then_some(&empty));
        reply(query, table, transport, fastrand::u64(..))
    }

    async fn forward(&self, query: &[u8], transport: Transport) -> Vec<u8> {
        let options = &self.options;
        forward(query, &options.upstream, transport, options.timeout).await
    }
}

/// Accepts until there is a client, with pauses where the system has no room for one.
async fn next_client<T, F>(mut accept: impl FnMut() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        let error = match accept().await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => return Err(error),
            _ if is_about_a_client(&error) => {}
            _ => sleep(PAUSE).await,
        }
    }
}

async fn read_query(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut query = vec![0; length.into()];
    stream.read_exact(&mut query).await?;
    Ok(query)
}

fn is_about_a_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clients_are_accepted_again_when_there_is_room() {
        const EMFILE: i32 = 24;
        let start = Instant::now();
        let mut results = vec![
            Ok("client"),
            Err(io::Error::from_raw_os_error(EMFILE)),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Err(io::Error::from_raw_os_error(EMFILE)),
        ];
        let client = next_client(|| std::future::ready(results.pop().unwrap())).await;
        assert_eq!(client.unwrap(), "client");
        assert_eq!(start.elapsed(), 2 * PAUSE);
    }

    #[tokio::test]
    async fn a_socket_that_is_no_listener_is_an_error() {
        let failure = || std::future::ready(Err::<(), _>(io::ErrorKind::InvalidInput.into()));
        assert!(next_client(failure).await.is_err());
    }
}
