//! What a server has to answer with.
//!
//! Frames that nothing is said about are passed over. Closing the connection is an answer to every
//! error (RFC 9113 §5.4.1).

use super::Verdict;
use super::frame::{Frame, code, flag, kind};
use super::peer::{Event, Peer};

impl Peer {
    /// The head of a response on `stream`.
    pub(super) fn expect_response(&mut self, stream: u32) -> Verdict {
        let frame = self.expect(kind::HEADERS)?;
        met(frame.stream == stream, "a response on the stream", &frame)
    }

    /// The connection is closed, or about to be for one of `codes`.
    pub(super) fn expect_connection_error(&mut self, codes: &[u32]) -> Verdict {
        self.until("a connection error", |event| match event {
            Event::Closed => true,
            Event::Frame(frame) if frame.kind == kind::GOAWAY => has_code(frame, codes),
            _ => false,
        })
    }

    /// A stream or the connection ends for one of `codes`.
    pub(super) fn expect_stream_error(&mut self, codes: &[u32]) -> Verdict {
        self.until("a stream error", |event| match event {
            Event::Closed => true,
            Event::Frame(frame) => has_code(frame, codes),
            Event::Nothing(_) => false,
        })
    }

    /// The connection is closed.
    pub(super) fn expect_close(&mut self) -> Verdict {
        self.until("the end of the connection", |event| {
            matches!(event, Event::Closed)
        })
    }

    /// A stream ends without an error.
    pub(super) fn expect_stream_end(&mut self) -> Verdict {
        self.until("the end of a stream", |event| {
            let Event::Frame(frame) = event else {
                return false;
            };
            match frame.kind {
                kind::DATA | kind::HEADERS => frame.has(flag::END_STREAM),
                kind::RST_STREAM => has_code(frame, &[code::NO_ERROR]),
                _ => false,
            }
        })
    }

    /// The settings that were sent are acknowledged.
    pub(super) fn expect_settings_ack(&mut self) -> Verdict {
        let frame = self.expect(kind::SETTINGS)?;
        met(frame.has(flag::ACK), "settings acknowledged", &frame)
    }

    /// A ping is answered: the connection has survived what came before.
    pub(super) fn expect_alive(&mut self) -> Verdict {
        const DATA: [u8; 8] = *b"is-alive";
        self.write(&Frame::ping(flag::NONE, DATA));
        self.expect_pong(DATA)
    }

    /// The answer to a ping with `data`.
    pub(super) fn expect_pong(&mut self, data: [u8; 8]) -> Verdict {
        let frame = self.expect(kind::PING)?;
        met(is_pong(&frame, data), "the answer to a ping", &frame)
    }

    /// A ping is answered, or the connection is closed.
    pub(super) fn expect_alive_or_closed(&mut self) -> Verdict {
        const DATA: [u8; 8] = *b"is-alive";
        self.write(&Frame::ping(flag::NONE, DATA));
        self.until(
            "the answer to a ping, or the end of the connection",
            |event| match event {
                Event::Closed => true,
                Event::Frame(frame) => is_pong(frame, DATA),
                Event::Nothing(_) => false,
            },
        )
    }

    /// A DATA frame of `length` bytes.
    pub(super) fn expect_data(&mut self, length: usize) -> Verdict {
        let frame = self.expect(kind::DATA)?;
        met(frame.payload.len() == length, "that much data", &frame)
    }

    /// A frame of the type `kind` with an error code: closing the connection is not enough.
    pub(super) fn expect_error_frame(&mut self, kind: u8, stream: u32, code: u32) -> Verdict {
        let frame = self.expect(kind)?;
        let is_right = frame.stream == stream && has_code(&frame, &[code]);
        met(is_right, "an error frame", &frame)
    }

    /// The next frame of the type `kind`.
    pub(super) fn expect(&mut self, kind: u8) -> Result<Frame, String> {
        let mut last = String::new();
        while !self.is_over() {
            match self.next() {
                Event::Frame(frame) if frame.kind == kind => return Ok(frame),
                event => last = event.to_string(),
            }
        }
        Err(format!(
            "expected a frame of type {kind}, the last was {last}"
        ))
    }

    fn until(&mut self, what: &str, is_met: impl Fn(&Event) -> bool) -> Verdict {
        let mut last = String::new();
        while !self.is_over() {
            let event = self.next();
            if is_met(&event) {
                return Ok(());
            }
            last = event.to_string();
        }
        Err(format!("expected {what}, the last was {last}"))
    }
}

fn met(is_met: bool, what: &str, frame: &Frame) -> Verdict {
    if is_met {
        return Ok(());
    }
    Err(format!("expected {what}, got {frame:?}"))
}

fn has_code(frame: &Frame, codes: &[u32]) -> bool {
    let code = frame.error_code();
    code.is_some_and(|code| codes.contains(&code))
}

fn is_pong(frame: &Frame, data: [u8; 8]) -> bool {
    frame.kind == kind::PING && frame.has(flag::ACK) && frame.payload == data
}
