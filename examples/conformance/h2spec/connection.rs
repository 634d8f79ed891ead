//! How a connection begins, and how frames and header blocks are framed (RFC 9113 §3.4, §4, §5.4.1,
//! §5.5).

use super::block::{get, long, post};
use super::frame::{Frame, code, flag, kind, setting};
use super::peer::{Event, Peer};
use super::{Test, Verdict, beginning, test};

/// The size of frames that every endpoint accepts (RFC 9113 §4.2).
const DEFAULT_FRAME_SIZE: u32 = 16_384;

/// Flags that nobody defined for PING.
const UNDEFINED: u8 = 0x16;

pub(super) const TESTS: &[Test] = &[
    beginning(
        "http2/3.5",
        "Sends client connection preface",
        settings_come_first,
    ),
    beginning("http2/3.5", "Sends invalid connection preface", |peer| {
        peer.send(b"INVALID CONNECTION PREFACE\r\n\r\n");
        peer.expect_connection_error(&[code::PROTOCOL_ERROR])
    }),
    test(
        "http2/4.1",
        "Sends a frame with unknown type",
        unknown_frame,
    ),
    test("http2/4.1", "Sends a frame with undefined flag", |peer| {
        peer.write(&Frame::ping(UNDEFINED, [0; 8]));
        peer.expect(kind::PING).map(drop)
    }),
    test(
        "http2/4.1",
        "Sends a frame with reserved field bit",
        |peer| {
            peer.write(&Frame::new(kind::PING, UNDEFINED, 0x8000_0000, [0; 8]));
            peer.expect(kind::PING).map(drop)
        },
    ),
    test(
        "http2/4.2",
        "Sends a DATA frame with 2^14 octets in length",
        |peer| {
            post_data_of(peer, 0)?;
            peer.expect_response(1)
        },
    ),
    test(
        "http2/4.2",
        "Sends a large size DATA frame that exceeds the SETTINGS_MAX_FRAME_SIZE",
        |peer| {
            post_data_of(peer, 1)?;
            peer.expect_stream_error(&[code::FRAME_SIZE_ERROR])
        },
    ),
    test(
        "http2/4.2",
        "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE",
        |peer| {
            let block = [get(), long(5)].concat();
            peer.write(&Frame::headers(1, flag::WHOLE, block));
            peer.expect_connection_error(&[code::FRAME_SIZE_ERROR])
        },
    ),
    test("http2/4.3", "Sends invalid header block fragment", |peer| {
        // A literal field that ends after its first byte.
        peer.write(&Frame::headers(1, flag::WHOLE, [0x40]));
        peer.expect_connection_error(&[code::COMPRESSION_ERROR])
    }),
    test(
        "http2/4.3",
        "Sends a PRIORITY frame while sending the header blocks",
        |peer| interrupted(peer, &Frame::priority(1, 0, 255)),
    ),
    test(
        "http2/4.3",
        "Sends a HEADERS frame to another stream while sending the header blocks",
        |peer| interrupted(peer, &Frame::headers(3, flag::WHOLE, get())),
    ),
    test(
        "http2/5.4.1",
        "Sends an invalid PING frame for connection close",
        |peer| {
            peer.write(&Frame::new(kind::PING, flag::NONE, 3, [0; 8]));
            peer.expect_close()
        },
    ),
    test(
        "http2/5.5",
        "Sends an unknown extension frame",
        unknown_frame,
    ),
    test(
        "http2/5.5",
        "Sends an unknown extension frame in the middle of a header block",
        |peer| {
            peer.write(&Frame::headers(1, flag::END_STREAM, get()));
            peer.write(&Frame::new(kind::UNKNOWN, flag::NONE, 0, [0; 8]));
            peer.expect_connection_error(&[code::PROTOCOL_ERROR])
        },
    ),
];

/// The first thing that comes from the server is its settings.
pub(super) fn settings_come_first(peer: &mut Peer) -> Verdict {
    peer.begin();
    match peer.next() {
        Event::Frame(frame) if frame.kind == kind::SETTINGS && !frame.has(flag::ACK) => Ok(()),
        event => Err(format!("expected settings, got {event}")),
    }
}

fn unknown_frame(peer: &mut Peer) -> Verdict {
    peer.write(&Frame::new(kind::UNKNOWN, flag::NONE, 0, [0; 8]));
    peer.expect_alive()
}

/// Sends a body in one frame that is `more` bytes larger than the server takes.
fn post_data_of(peer: &mut Peer, more: u32) -> Verdict {
    let size = peer.setting(setting::MAX_FRAME_SIZE);
    let size = size.unwrap_or(DEFAULT_FRAME_SIZE) + more;
    let size = usize::try_from(size).map_err(|error| error.to_string())?;
    peer.write(&Frame::headers(1, flag::END_HEADERS, post()));
    peer.write(&Frame::data(1, flag::END_STREAM, vec![b'x'; size]));
    Ok(())
}

/// Sends a frame between those of a header block.
pub(super) fn interrupted(peer: &mut Peer, frame: &Frame) -> Verdict {
    peer.write(&Frame::headers(1, flag::NONE, get()));
    peer.write(frame);
    peer.write(&Frame::continuation(1, flag::END_HEADERS, long(1)));
    peer.expect_connection_error(&[code::PROTOCOL_ERROR])
}
