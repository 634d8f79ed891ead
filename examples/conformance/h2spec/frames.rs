//! Frames that are not what their type demands (RFC 9113 §6.1 – §6.8, §6.10, §7).

use super::block::{get, long, post, post_with};
use super::connection::interrupted;
use super::frame::{Frame, code, flag, kind, setting};
use super::peer::Peer;
use super::{Test, Verdict, test};

/// One more than a window may have (RFC 9113 §6.5.2).
const TOO_LARGE_WINDOW: u32 = 1 << 31;

pub(super) const TESTS: &[Test] = &[
    test(
        "http2/6.1",
        "Sends a DATA frame with 0x0 stream identifier",
        |peer| illegal(peer, &Frame::data(0, flag::END_STREAM, "test")),
    ),
    test(
        "http2/6.1",
        "Sends a DATA frame on the stream that is not in \"open\" or \"half-closed (local)\" state",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, post()));
            peer.write(&Frame::data(1, flag::END_STREAM, "test"));
            peer.expect_stream_error(&[code::STREAM_CLOSED])
        },
    ),
    test(
        "http2/6.1",
        "Sends a DATA frame with invalid pad length",
        |peer| {
            let head = post_with(&[("content-length", "4")]);
            peer.write(&Frame::headers(1, flag::END_HEADERS, head));
            let flags = flag::END_STREAM | flag::PADDED;
            illegal(peer, &Frame::data(1, flags, "\x06Test"))
        },
    ),
    test(
        "http2/6.2",
        "Sends a HEADERS frame without the END_HEADERS flag, and a PRIORITY frame",
        |peer| interrupted(peer, &Frame::priority(1, 0, 255)),
    ),
    test(
        "http2/6.2",
        "Sends a HEADERS frame to another stream while sending a HEADERS frame",
        |peer| interrupted(peer, &Frame::headers(3, flag::WHOLE, get())),
    ),
    test(
        "http2/6.2",
        "Sends a HEADERS frame with 0x0 stream identifier",
        |peer| illegal(peer, &Frame::headers(0, flag::WHOLE, get())),
    ),
    test(
        "http2/6.2",
        "Sends a HEADERS frame with invalid pad length",
        |peer| {
            let block = get();
            let padding = u8::try_from(block.len() + 2).map_err(|error| error.to_string())?;
            let payload = [vec![padding], block].concat();
            peer.write(&Frame::headers(1, flag::WHOLE | flag::PADDED, payload));
            peer.expect_stream_error(&[code::PROTOCOL_ERROR])
        },
    ),
    test(
        "http2/6.3",
        "Sends a PRIORITY frame with 0x0 stream identifier",
        |peer| illegal(peer, &Frame::priority(0, 0, 255)),
    ),
    test(
        "http2/6.3",
        "Sends a PRIORITY frame with a length other than 5 octets",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::new(kind::PRIORITY, flag::NONE, 1, *b"\x80\0\0\x01"));
            peer.expect_stream_error(&[code::FRAME_SIZE_ERROR])
        },
    ),
    test(
        "http2/6.4",
        "Sends a RST_STREAM frame with 0x0 stream identifier",
        |peer| illegal(peer, &Frame::rst_stream(0, code::CANCEL)),
    ),
    test(
        "http2/6.4",
        "Sends a RST_STREAM frame on a idle stream",
        |peer| illegal(peer, &Frame::rst_stream(1, code::CANCEL)),
    ),
    test(
        "http2/6.4",
        "Sends a RST_STREAM frame with a length other than 4 octets",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::new(kind::RST_STREAM, flag::NONE, 1, [0; 3]));
            peer.expect_stream_error(&[code::FRAME_SIZE_ERROR])
        },
    ),
    test(
        "http2/6.5",
        "Sends a SETTINGS frame with ACK flag and payload",
        |peer| wrong_size(peer, &Frame::new(kind::SETTINGS, flag::ACK, 0, [0])),
    ),
    test(
        "http2/6.5",
        "Sends a SETTINGS frame with a stream identifier other than 0x0",
        |peer| {
            let settings = Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 100)]);
            illegal(
                peer,
                &Frame {
                    stream: 1,
                    ..settings
                },
            )
        },
    ),
    test(
        "http2/6.5",
        "Sends a SETTINGS frame with a length other than a multiple of 6 octets",
        |peer| {
            peer.write(&Frame::new(kind::SETTINGS, flag::NONE, 0, *b"\0\x03\0"));
            peer.expect_stream_error(&[code::PROTOCOL_ERROR, code::FRAME_SIZE_ERROR])
        },
    ),
    test(
        "http2/6.5.2",
        "SETTINGS_ENABLE_PUSH (0x2): Sends the value other than 0 or 1",
        |peer| illegal(peer, &Frame::settings(&[(setting::ENABLE_PUSH, 2)])),
    ),
    test(
        "http2/6.5.2",
        "SETTINGS_INITIAL_WINDOW_SIZE (0x4): Sends the value above the maximum flow control window size",
        too_large_window,
    ),
    test(
        "http2/6.5.2",
        "SETTINGS_MAX_FRAME_SIZE (0x5): Sends the value below the initial value",
        |peer| illegal(peer, &Frame::settings(&[(setting::MAX_FRAME_SIZE, 16_383)])),
    ),
    test(
        "http2/6.5.2",
        "SETTINGS_MAX_FRAME_SIZE (0x5): Sends the value above the maximum allowed frame size",
        |peer| {
            illegal(
                peer,
                &Frame::settings(&[(setting::MAX_FRAME_SIZE, 1 << 24)]),
            )
        },
    ),
    test(
        "http2/6.5.2",
        "Sends a SETTINGS frame with unknown identifier",
        |peer| {
            peer.write(&Frame::settings(&[(setting::UNKNOWN, 1)]));
            peer.expect_alive()
        },
    ),
    test(
        "http2/6.5.3",
        "Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
        |peer| {
            let name = setting::INITIAL_WINDOW_SIZE;
            peer.write(&Frame::settings(&[(name, 100), (name, 1)]));
            peer.expect_settings_ack()?;
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.expect_data(1)
        },
    ),
    test(
        "http2/6.5.3",
        "Sends a SETTINGS frame without ACK flag",
        |peer| {
            peer.write(&Frame::settings(&[(setting::ENABLE_PUSH, 0)]));
            peer.expect_settings_ack()
        },
    ),
    test("http2/6.7", "Sends a PING frame", Peer::expect_alive),
    test("http2/6.7", "Sends a PING frame with ACK", |peer| {
        peer.write(&Frame::ping(flag::ACK, *b"unasked!"));
        peer.expect_alive()
    }),
    test(
        "http2/6.7",
        "Sends a PING frame with a stream identifier field value other than 0x0",
        |peer| illegal(peer, &Frame::new(kind::PING, flag::NONE, 1, [0; 8])),
    ),
    test(
        "http2/6.7",
        "Sends a PING frame with a length field value other than 8",
        |peer| wrong_size(peer, &Frame::new(kind::PING, flag::NONE, 0, [0; 6])),
    ),
    test(
        "http2/6.8",
        "Sends a GOAWAY frame with a stream identifier other than 0x0",
        |peer| illegal(peer, &Frame::new(kind::GOAWAY, flag::NONE, 1, [0; 8])),
    ),
    test(
        "http2/6.9.2",
        "Sends a SETTINGS_INITIAL_WINDOW_SIZE settings with an exceeded maximum window size value",
        too_large_window,
    ),
    test(
        "http2/6.10",
        "Sends multiple CONTINUATION frames preceded by a HEADERS frame",
        |peer| {
            peer.write(&Frame::headers(1, flag::END_STREAM, get()));
            peer.write(&Frame::continuation(1, flag::NONE, long(1)));
            peer.write(&Frame::continuation(1, flag::END_HEADERS, long(1)));
            peer.expect_response(1)
        },
    ),
    test(
        "http2/6.10",
        "Sends a CONTINUATION frame followed by any frame other than CONTINUATION",
        |peer| {
            peer.write(&Frame::headers(1, flag::NONE, post()));
            peer.write(&Frame::continuation(1, flag::NONE, long(1)));
            illegal(peer, &Frame::data(1, flag::END_STREAM, "test"))
        },
    ),
    test(
        "http2/6.10",
        "Sends a CONTINUATION frame with 0x0 stream identifier",
        |peer| {
            peer.write(&Frame::headers(1, flag::END_STREAM, get()));
            illegal(peer, &Frame::continuation(0, flag::END_HEADERS, long(1)))
        },
    ),
    test(
        "http2/6.10",
        "Sends a CONTINUATION frame preceded by a HEADERS frame with END_HEADERS flag",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            illegal(peer, &Frame::continuation(1, flag::END_HEADERS, long(1)))
        },
    ),
    test(
        "http2/6.10",
        "Sends a CONTINUATION frame preceded by a CONTINUATION frame with END_HEADERS flag",
        |peer| {
            peer.write(&Frame::headers(1, flag::END_STREAM, get()));
            peer.write(&Frame::continuation(1, flag::END_HEADERS, long(1)));
            illegal(peer, &Frame::continuation(1, flag::END_HEADERS, long(1)))
        },
    ),
    test(
        "http2/6.10",
        "Sends a CONTINUATION frame preceded by a DATA frame",
        |peer| {
            peer.write(&Frame::headers(1, flag::NONE, post()));
            peer.write(&Frame::data(1, flag::END_STREAM, "test"));
            peer.write(&Frame::continuation(1, flag::NONE, long(1)));
            illegal(peer, &Frame::continuation(0, flag::END_HEADERS, long(1)))
        },
    ),
    test(
        "http2/7",
        "Sends a GOAWAY frame with unknown error code",
        |peer| {
            peer.write(&Frame::goaway(code::UNKNOWN, b""));
            peer.expect_alive_or_closed()
        },
    ),
    test(
        "http2/7",
        "Sends a RST_STREAM frame with unknown error code",
        |peer| {
            peer.write(&Frame::headers(1, flag::END_HEADERS, post()));
            peer.write(&Frame::rst_stream(1, code::UNKNOWN));
            peer.expect_alive_or_closed()
        },
    ),
];

/// Sends a frame that may not be sent.
fn illegal(peer: &mut Peer, frame: &Frame) -> Verdict {
    peer.write(frame);
    peer.expect_connection_error(&[code::PROTOCOL_ERROR])
}

/// Sends a frame of a size that its type does not allow.
fn wrong_size(peer: &mut Peer, frame: &Frame) -> Verdict {
    peer.write(frame);
    peer.expect_connection_error(&[code::FRAME_SIZE_ERROR])
}

fn too_large_window(peer: &mut Peer) -> Verdict {
    let settings = [(setting::INITIAL_WINDOW_SIZE, TOO_LARGE_WINDOW)];
    peer.write(&Frame::settings(&settings));
    peer.expect_connection_error(&[code::FLOW_CONTROL_ERROR])
}
