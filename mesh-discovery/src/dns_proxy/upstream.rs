//! Who is asked about names of others.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{Transport, error, fit, limit};

/// Asks `servers` one after the other, as the query came, until one answers. `SERVFAIL` if none does.
pub(super) async fn forward(
    query: &[u8],
    servers: &[SocketAddr],
    transport: Transport,
    patience: Duration,
) -> Vec<u8> {
    for server in servers {
        let asked = ask(query, *server, transport);
        if let Ok(Ok(answer)) = timeout(patience, asked).await {
            return answer;
        }
    }
    error(query, ResponseCode::ServFail)
}

async fn ask(query: &[u8], server: SocketAddr, transport: Transport) -> io::Result<Vec<u8>> {
    let asked = Message::from_vec(query).map_err(io::Error::other)?;
    // A number of our own, so that nobody who knows the client's can answer in the server's place.
    let id = fastrand::u16(..);
    let mut question = query.to_vec();
    question[..2].copy_from_slice(&id.to_be_bytes());
    let is_answer = |answer: &[u8]| {
        let message = Message::from_vec(answer).ok()?;
        let is_own = message.metadata.id == id && message.queries == asked.queries;
        is_own.then_some(message)
    };
    let (mut answer, mut message) = match transport {
        Transport::Udp => ask_udp(&question, server, is_answer).await?,
        Transport::Tcp => {
            let answer = ask_tcp(&question, server).await?;
            let message = is_answer(&answer).ok_or(io::ErrorKind::InvalidData)?;
            (answer, message)
        }
    };
    let limit = limit(&asked, transport);
    if answer.len() > limit {
        answer = fit(&mut message, limit).ok_or(io::ErrorKind::InvalidData)?;
    }
    answer[..2].copy_from_slice(&query[..2]);
    Ok(answer)
}

/// Waits for the answer among all that arrives at a port that only `server` sends to.
async fn ask_udp(
    question: &[u8],
    server: SocketAddr,
    is_answer: impl Fn(&[u8]) -> Option<Message>,
) -> io::Result<(Vec<u8>, Message)> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(message) = is_answer(&buffer[..length]) {
            buffer.truncate(length);
            return Ok((buffer, message));
        }
    }
}

async fn ask_tcp(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), question].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
