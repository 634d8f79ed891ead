//! A client of HTTP/2 that sees each frame (RFC 9113 §4.1).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::scene::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

/// `GET http://a/`, by HPACK's table (RFC 7541 appendix A): method, scheme, path; and a host.
const GET: [u8; 6] = [0x82, 0x86, 0x84, 0x01, 1, b'a'];

pub(crate) struct Frame {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) payload: Vec<u8>,
}

/// A connection.
pub(crate) struct Frames {
    stream: TcpStream,
}

impl Frames {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut frames = Self { stream };
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        frames.stream.write_all(preface).unwrap();
        frames.write((SETTINGS, 0), 0, &[]);
        frames
    }

    /// Asks on the first stream.
    pub(crate) fn get(&mut self) {
        self.write((HEADERS, END_STREAM_AND_HEADERS), 1, &GET);
    }

    /// The next frame that says something about requests, or about the end of the connection; what the
    /// others ask for is done. `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read()?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.write((SETTINGS, ACK), 0, &[]),
                PING if frame.flags & ACK == 0 => self.write((PING, ACK), 0, &frame.payload),
                SETTINGS | PING | WINDOW_UPDATE => {}
                _ => return Some(frame),
            }
        }
    }

    fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
            Err(error) => panic!("no frame: {error}"),
        }
        let [a, b, c, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).unwrap();
        Some(Frame {
            kind,
            flags,
            payload,
        })
    }

    fn write(&mut self, (kind, flags): (u8, u8), stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).unwrap();
    }
}
