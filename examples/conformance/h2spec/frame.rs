//! Frames of HTTP/2, well formed or not (RFC 9113 §4, §6).

/// Types of frames (RFC 9113 §6).
pub(super) mod kind {
    pub(in crate::h2spec) const DATA: u8 = 0x0;
    pub(in crate::h2spec) const HEADERS: u8 = 0x1;
    pub(in crate::h2spec) const PRIORITY: u8 = 0x2;
    pub(in crate::h2spec) const RST_STREAM: u8 = 0x3;
    pub(in crate::h2spec) const SETTINGS: u8 = 0x4;
    pub(in crate::h2spec) const PUSH_PROMISE: u8 = 0x5;
    pub(in crate::h2spec) const PING: u8 = 0x6;
    pub(in crate::h2spec) const GOAWAY: u8 = 0x7;
    pub(in crate::h2spec) const WINDOW_UPDATE: u8 = 0x8;
    pub(in crate::h2spec) const CONTINUATION: u8 = 0x9;
    /// A type that nobody defined.
    pub(in crate::h2spec) const UNKNOWN: u8 = 0x16;
}

/// Flags of frames. The same bit means other things on other types.
pub(super) mod flag {
    pub(in crate::h2spec) const NONE: u8 = 0x0;
    /// Of SETTINGS and PING.
    pub(in crate::h2spec) const ACK: u8 = 0x1;
    /// Of DATA and HEADERS.
    pub(in crate::h2spec) const END_STREAM: u8 = 0x1;
    /// Of HEADERS, PUSH_PROMISE and CONTINUATION.
    pub(in crate::h2spec) const END_HEADERS: u8 = 0x4;
    /// Of DATA and HEADERS.
    pub(in crate::h2spec) const PADDED: u8 = 0x8;
    /// Of HEADERS.
    pub(in crate::h2spec) const PRIORITY: u8 = 0x20;
    /// Of a HEADERS frame that is a whole request.
    pub(in crate::h2spec) const WHOLE: u8 = END_STREAM | END_HEADERS;
}

/// Error codes (RFC 9113 §7).
pub(super) mod code {
    pub(in crate::h2spec) const NO_ERROR: u32 = 0x0;
    pub(in crate::h2spec) const PROTOCOL_ERROR: u32 = 0x1;
    pub(in crate::h2spec) const FLOW_CONTROL_ERROR: u32 = 0x3;
    pub(in crate::h2spec) const STREAM_CLOSED: u32 = 0x5;
    pub(in crate::h2spec) const FRAME_SIZE_ERROR: u32 = 0x6;
    pub(in crate::h2spec) const REFUSED_STREAM: u32 = 0x7;
    pub(in crate::h2spec) const CANCEL: u32 = 0x8;
    pub(in crate::h2spec) const COMPRESSION_ERROR: u32 = 0x9;
    /// A code that nobody defined.
    pub(in crate::h2spec) const UNKNOWN: u32 = 0xff;
}

/// Identifiers of settings (RFC 9113 §6.5.2).
pub(super) mod setting {
    pub(in crate::h2spec) const HEADER_TABLE_SIZE: u16 = 0x1;
    pub(in crate::h2spec) const ENABLE_PUSH: u16 = 0x2;
    pub(in crate::h2spec) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(in crate::h2spec) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(in crate::h2spec) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(in crate::h2spec) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    /// A setting that nobody defined.
    pub(in crate::h2spec) const UNKNOWN: u16 = 0xff;
}

/// A frame, with whatever its author put into it.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        Self {
            kind,
            flags,
            stream,
            payload,
        }
    }

    pub(super) fn data(stream: u32, flags: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::DATA, flags, stream, payload)
    }

    pub(super) fn headers(stream: u32, flags: u8, block: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::HEADERS, flags, stream, block)
    }

    pub(super) fn continuation(stream: u32, flags: u8, block: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::CONTINUATION, flags, stream, block)
    }

    /// `weight` is one less than the weight that it means.
    pub(super) fn priority(stream: u32, depends_on: u32, weight: u8) -> Self {
        let payload = dependency(depends_on, weight);
        Self::new(kind::PRIORITY, flag::NONE, stream, payload)
    }

    pub(super) fn rst_stream(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, flag::NONE, stream, code.to_be_bytes())
    }

    pub(super) fn settings(settings: &[(u16, u32)]) -> Self {
        let entries = settings.iter().flat_map(|(name, value)| {
            let (name, value) = (name.to_be_bytes(), value.to_be_bytes());
            name.into_iter().chain(value)
        });
        Self::new(kind::SETTINGS, flag::NONE, 0, entries.collect::<Vec<u8>>())
    }

    pub(super) fn ping(flags: u8, data: [u8; 8]) -> Self {
        Self::new(kind::PING, flags, 0, data)
    }

    pub(super) fn goaway(code: u32, debug: &[u8]) -> Self {
        let mut payload = vec![0; 4];
        payload.extend(code.to_be_bytes());
        payload.extend(debug);
        Self::new(kind::GOAWAY, flag::NONE, 0, payload)
    }

    pub(super) fn window_update(stream: u32, increment: u32) -> Self {
        let payload = increment.to_be_bytes();
        Self::new(kind::WINDOW_UPDATE, flag::NONE, stream, payload)
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The error code that the frame carries, if it is of a type that has one.
    pub(super) fn error_code(&self) -> Option<u32> {
        let start = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(start..start + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// The bytes of the frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

/// Stream dependency and weight, as PRIORITY and HEADERS carry them.
pub(super) fn dependency(depends_on: u32, weight: u8) -> Vec<u8> {
    let mut payload = depends_on.to_be_bytes().to_vec();
    payload.push(weight);
    payload
}
