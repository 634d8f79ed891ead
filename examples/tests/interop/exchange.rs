//! One raw HTTP/1.1 request on one connection, and its answer.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Where requests come from. Envoy writes its own address in `x-forwarded-for` for clients at
/// 127.0.0.1, and takes all others as they are.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The values of each field in their order, by lower-case name.
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: String,
}

/// Sends the bytes of a request, and reads until its answer is whole.
pub(crate) fn send(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((CLIENT, 0)).into())?;
    socket.connect(&address.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let is_head = request.starts_with(b"HEAD ");
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(answer) = parse(&bytes, is_head, read == 0) {
            return Ok(answer);
        }
        if read == 0 {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
}

/// The answer in `bytes`, if it is whole.
fn parse(bytes: &[u8], is_head: bool, is_closed: bool) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else {
        return None;
    };
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for field in head.headers.iter() {
        let value = String::from_utf8_lossy(field.value).into_owned();
        let values = headers.entry(field.name.to_ascii_lowercase()).or_default();
        values.push(value);
    }
    let status = head.code?;
    let body = &bytes[length..];
    // How the body is framed is a matter of the connection.
    let size = headers.remove("content-length");
    let is_chunked = headers.remove("transfer-encoding").is_some();
    let body = match size {
        _ if is_head || matches!(status, 204 | 304) => Vec::new(),
        _ if is_chunked => unchunk(body)?,
        Some(size) => body.get(..size.first()?.parse().ok()?)?.to_vec(),
        None if is_closed => body.to_vec(),
        None => return None,
    };
    Some(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn unchunk(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(chunks).ok()?
        else {
            return None;
        };
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(start..start + size)?);
        chunks = chunks.get(start + size + 2..)?;
    }
}
