//! Windows (RFC 9113 §6.9).

use super::block::get;
use super::frame::{Frame, code, flag, kind, setting};
use super::peer::Peer;
use super::{Test, Verdict, test};

/// The largest window (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

pub(super) const TESTS: &[Test] = &[
    test(
        "http2/6.9",
        "Sends a WINDOW_UPDATE frame with a flow control window increment of 0",
        |peer| {
            peer.write(&Frame::window_update(0, 0));
            peer.expect_connection_error(&[code::PROTOCOL_ERROR])
        },
    ),
    test(
        "http2/6.9",
        "Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a stream",
        |peer| {
            peer.write(&Frame::headers(1, flag::END_HEADERS, get()));
            peer.write(&Frame::window_update(1, 0));
            peer.expect_stream_error(&[code::PROTOCOL_ERROR])
        },
    ),
    test(
        "http2/6.9",
        "Sends a WINDOW_UPDATE frame with a length other than 4 octets",
        |peer| {
            let frame = Frame::new(kind::WINDOW_UPDATE, flag::NONE, 0, *b"\0\0\x01");
            peer.write(&frame);
            peer.expect_connection_error(&[code::FRAME_SIZE_ERROR])
        },
    ),
    test(
        "http2/6.9.1",
        "Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame",
        |peer| {
            set_window(peer, 1)?;
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.expect_data(1)
        },
    ),
    test(
        "http2/6.9.1",
        "Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1",
        |peer| {
            peer.write(&Frame::window_update(0, MAX_WINDOW));
            peer.write(&Frame::window_update(0, MAX_WINDOW));
            peer.expect_error_frame(kind::GOAWAY, 0, code::FLOW_CONTROL_ERROR)
        },
    ),
    test(
        "http2/6.9.1",
        "Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a \
         stream",
        |peer| {
            peer.write(&Frame::headers(1, flag::END_HEADERS, get()));
            peer.write(&Frame::window_update(1, MAX_WINDOW));
            peer.write(&Frame::window_update(1, MAX_WINDOW));
            peer.expect_error_frame(kind::RST_STREAM, 1, code::FLOW_CONTROL_ERROR)
        },
    ),
    test(
        "http2/6.9.2",
        "Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame",
        |peer| {
            set_window(peer, 0)?;
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]));
            peer.expect_data(1)
        },
    ),
    test(
        "http2/6.9.2",
        "Sends a SETTINGS frame for window size to be negative",
        |peer| {
            set_window(peer, 3)?;
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.expect_data(3)?;
            set_window(peer, 2)?;
            // The window was -1.
            peer.write(&Frame::window_update(1, 2));
            peer.expect_data(1)
        },
    ),
];

/// Sets how much may be sent on a new stream.
fn set_window(peer: &mut Peer, size: u32) -> Verdict {
    peer.write(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, size)]));
    peer.expect_settings_ack()
}
