//! States of streams, their identifiers, and dependencies between them (RFC 9113 §5.1, RFC 7540
//! §5.3.1).

use super::block::{get, long};
use super::frame::{Frame, code, dependency, flag, setting};
use super::peer::Peer;
use super::{Test, Verdict, test};

const STREAM_CLOSED_OR_PROTOCOL_ERROR: &[u32] = &[code::STREAM_CLOSED, code::PROTOCOL_ERROR];

pub(super) const TESTS: &[Test] = &[
    test("http2/5.1", "idle: Sends a DATA frame", |peer| {
        peer.write(&Frame::data(1, flag::END_STREAM, "test"));
        peer.expect_stream_error(STREAM_CLOSED_OR_PROTOCOL_ERROR)
    }),
    test("http2/5.1", "idle: Sends a RST_STREAM frame", |peer| {
        peer.write(&Frame::rst_stream(1, code::CANCEL));
        peer.expect_connection_error(&[code::PROTOCOL_ERROR])
    }),
    test("http2/5.1", "idle: Sends a WINDOW_UPDATE frame", |peer| {
        peer.write(&Frame::window_update(1, 100));
        peer.expect_connection_error(&[code::PROTOCOL_ERROR])
    }),
    test("http2/5.1", "idle: Sends a CONTINUATION frame", |peer| {
        peer.write(&Frame::continuation(1, flag::END_HEADERS, get()));
        peer.expect_connection_error(&[code::PROTOCOL_ERROR])
    }),
    test(
        "http2/5.1",
        "half closed (remote): Sends a DATA frame",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::data(1, flag::END_STREAM, "test"));
            peer.expect_stream_error(&[code::STREAM_CLOSED])
        },
    ),
    test(
        "http2/5.1",
        "half closed (remote): Sends a HEADERS frame",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.expect_stream_error(&[code::STREAM_CLOSED])
        },
    ),
    test(
        "http2/5.1",
        "half closed (remote): Sends a CONTINUATION frame",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::continuation(1, flag::END_HEADERS, get()));
            peer.expect_stream_error(STREAM_CLOSED_OR_PROTOCOL_ERROR)
        },
    ),
    test(
        "http2/5.1",
        "closed: Sends a DATA frame after sending RST_STREAM frame",
        |peer| {
            cancel(peer);
            peer.write(&Frame::data(1, flag::END_STREAM, "test"));
            peer.expect_stream_error(&[code::STREAM_CLOSED])
        },
    ),
    test(
        "http2/5.1",
        "closed: Sends a HEADERS frame after sending RST_STREAM frame",
        |peer| {
            cancel(peer);
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.expect_stream_error(&[code::STREAM_CLOSED])
        },
    ),
    test(
        "http2/5.1",
        "closed: Sends a CONTINUATION frame after sending RST_STREAM frame",
        |peer| {
            cancel(peer);
            peer.write(&Frame::continuation(1, flag::END_HEADERS, long(1)));
            peer.expect_stream_error(STREAM_CLOSED_OR_PROTOCOL_ERROR)
        },
    ),
    test("http2/5.1", "closed: Sends a DATA frame", |peer| {
        complete(peer)?;
        peer.write(&Frame::data(1, flag::END_STREAM, "test"));
        peer.expect_stream_error(&[code::STREAM_CLOSED])
    }),
    test("http2/5.1", "closed: Sends a HEADERS frame", |peer| {
        complete(peer)?;
        peer.write(&Frame::headers(1, flag::WHOLE, get()));
        peer.expect_connection_error(&[code::STREAM_CLOSED])
    }),
    test("http2/5.1", "closed: Sends a CONTINUATION frame", |peer| {
        complete(peer)?;
        peer.write(&Frame::continuation(1, flag::END_HEADERS, long(1)));
        peer.expect_connection_error(STREAM_CLOSED_OR_PROTOCOL_ERROR)
    }),
    test(
        "http2/5.1.1",
        "Sends even-numbered stream identifier",
        |peer| {
            peer.write(&Frame::headers(2, flag::WHOLE, get()));
            peer.expect_connection_error(&[code::PROTOCOL_ERROR])
        },
    ),
    test(
        "http2/5.1.1",
        "Sends stream identifier that is numerically smaller than previous",
        |peer| {
            peer.write(&Frame::headers(5, flag::WHOLE, get()));
            peer.write(&Frame::headers(3, flag::WHOLE, get()));
            peer.expect_connection_error(&[code::PROTOCOL_ERROR])
        },
    ),
    test(
        "http2/5.1.2",
        "Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
        too_many_streams,
    ),
    test(
        "http2/5.3.1",
        "Sends HEADERS frame that depends on itself",
        |peer| {
            let payload = [dependency(1, 255), get()].concat();
            peer.write(&Frame::headers(1, flag::WHOLE | flag::PRIORITY, payload));
            peer.expect_stream_error(&[code::PROTOCOL_ERROR])
        },
    ),
    test(
        "http2/5.3.1",
        "Sends PRIORITY frame that depend on itself",
        |peer| {
            peer.write(&Frame::priority(1, 1, 255));
            peer.expect_stream_error(&[code::PROTOCOL_ERROR])
        },
    ),
];

/// Opens a stream and cancels it.
fn cancel(peer: &mut Peer) {
    peer.write(&Frame::headers(1, flag::END_HEADERS, get()));
    peer.write(&Frame::rst_stream(1, code::CANCEL));
}

/// Opens a stream and waits until it is closed.
fn complete(peer: &mut Peer) -> Verdict {
    peer.write(&Frame::headers(1, flag::WHOLE, get()));
    peer.expect_stream_end()
}

/// Opens a stream more than the server allows, none of which can end.
fn too_many_streams(peer: &mut Peer) -> Verdict {
    let limit = peer.setting(setting::MAX_CONCURRENT_STREAMS);
    let limit = limit.ok_or("the server limits no streams")?;
    peer.write(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]));
    for number in 0..=limit {
        peer.write(&Frame::headers(2 * number + 1, flag::WHOLE, get()));
    }
    peer.expect_stream_error(&[code::PROTOCOL_ERROR, code::REFUSED_STREAM])
}
