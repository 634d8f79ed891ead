//! A client of HTTP/2 that sends what it is told to, and never corrects it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Verdict;
use super::frame::{Frame, flag, kind, setting};

/// What a client sends first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long something from the server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came from the server.
///
/// Text that is no frame, as a server of HTTP/1.1 may say before it closes, is the beginning of one
/// that never ends.
#[derive(Debug)]
pub(super) enum Event {
    Frame(Frame),
    /// It closed the connection.
    Closed,
    /// Nothing came in time, or nothing that is a frame.
    Nothing(io::Error),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(frame) => write!(f, "{frame:?}"),
            Self::Closed => f.write_str("the end of the connection"),
            Self::Nothing(error) => write!(f, "nothing: {error}"),
        }
    }
}

/// A connection to the server.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    settings: BTreeMap<u16, u32>,
    is_over: bool,
}

impl Peer {
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            settings: BTreeMap::new(),
            is_over: false,
        })
    }

    /// Sends the preface and exchanges settings.
    pub(super) fn handshake(&mut self) -> Verdict {
        self.begin();
        let (mut got_settings, mut got_ack) = (false, false);
        while !(got_settings && got_ack) {
            match self.next() {
                Event::Frame(frame) if frame.kind != kind::SETTINGS => {}
                Event::Frame(frame) if frame.has(flag::ACK) => got_ack = true,
                Event::Frame(frame) => {
                    got_settings = true;
                    self.settings = read_settings(&frame.payload);
                    self.write(&Frame::new(kind::SETTINGS, flag::ACK, 0, Vec::new()));
                }
                event => return Err(format!("the settings are not exchanged: {event}")),
            }
        }
        Ok(())
    }

    /// Sends the preface and settings.
    pub(super) fn begin(&mut self) {
        self.send(PREFACE);
        self.write(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 65_535)]));
    }

    /// A setting of the server, if it sent one.
    pub(super) fn setting(&self, name: u16) -> Option<u32> {
        self.settings.get(&name).copied()
    }

    /// Sends bytes. A server that has closed the connection is noticed by [`next`](Self::next).
    pub(super) fn send(&mut self, bytes: &[u8]) {
        _ = self.stream.write_all(bytes);
    }

    pub(super) fn write(&mut self, frame: &Frame) {
        self.send(&frame.encode());
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next thing that comes from the server.
    pub(super) fn next(&mut self) -> Event {
        match self.read_frame() {
            Ok(frame) => Event::Frame(frame),
            Err(error) => {
                self.is_over = true;
                match error.kind() {
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Event::Closed,
                    _ => Event::Nothing(error),
                }
            }
        }
    }

    fn read_frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u64::from(u32::from_be_bytes([0, a, b, c]));
        let mut payload = Vec::new();
        (&self.stream).take(length).read_to_end(&mut payload)?;
        if u64::try_from(payload.len()) != Ok(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        Ok(Frame::new(kind, flags, stream, payload))
    }
}

fn read_settings(payload: &[u8]) -> BTreeMap<u16, u32> {
    let entries = payload.chunks_exact(6).filter_map(|entry| {
        let (name, value) = entry.split_at(2);
        let name = u16::from_be_bytes(name.try_into().ok()?);
        Some((name, u32::from_be_bytes(value.try_into().ok()?)))
    });
    entries.collect()
}
