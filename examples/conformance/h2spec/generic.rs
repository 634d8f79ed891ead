//! What every endpoint has to accept.

use super::block::{block, get, get_as, post, post_with, push_table_size};
use super::connection::settings_come_first;
use super::frame::{Frame, code, dependency, flag, kind, setting};
use super::peer::Peer;
use super::{Test, Verdict, beginning, test};

/// Compressed fields `user-agent: h2spec` and `x-test: h2spec`, without their first byte, which says
/// whether they are indexed. Two of each: with Huffman coding, and without.
const USER_AGENT: &[u8] =
    b"\x0a\x75\x73\x65\x72\x2d\x61\x67\x65\x6e\x74\x06\x68\x32\x73\x70\x65\x63";
const USER_AGENT_HUFFMAN: &[u8] = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4";
const X_TEST: &[u8] = b"\x06\x78\x2d\x74\x65\x73\x74\x06\x68\x32\x73\x70\x65\x63";
const X_TEST_HUFFMAN: &[u8] = b"\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4";

/// First bytes of literal fields (RFC 7541 §6.2).
const INDEXED: u8 = 0x40;
const NOT_INDEXED: u8 = 0x00;
const NEVER_INDEXED: u8 = 0x10;

pub(super) const TESTS: &[Test] = &[
    beginning(
        "generic/1",
        "Sends a client connection preface",
        settings_come_first,
    ),
    test(
        "generic/2",
        "Sends a PRIORITY frame on idle stream",
        |peer| {
            peer.write(&Frame::priority(1, 0, 255));
            peer.expect_alive()
        },
    ),
    test(
        "generic/2",
        "Sends a WINDOW_UPDATE frame on half-closed (remote) stream",
        |peer| {
            hold_response(peer);
            peer.write(&Frame::window_update(1, 1));
            peer.expect(kind::DATA).map(drop)
        },
    ),
    test(
        "generic/2",
        "Sends a PRIORITY frame on half-closed (remote) stream",
        |peer| {
            hold_response(peer);
            peer.write(&Frame::priority(1, 0, 255));
            peer.write(&Frame::window_update(1, 1));
            peer.expect(kind::DATA).map(drop)
        },
    ),
    test(
        "generic/2",
        "Sends a RST_STREAM frame on half-closed (remote) stream",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::rst_stream(1, code::CANCEL));
            peer.expect_alive_or_closed()
        },
    ),
    test(
        "generic/2",
        "Sends a PRIORITY frame on closed stream",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.expect_stream_end()?;
            peer.write(&Frame::priority(1, 0, 255));
            peer.expect_alive()
        },
    ),
    test("generic/3.1", "Sends a DATA frame", |peer| {
        upload(peer, &[Frame::data(1, flag::END_STREAM, "test")])
    }),
    test("generic/3.1", "Sends multiple DATA frames", |peer| {
        let frames = [flag::NONE, flag::END_STREAM].map(|flags| Frame::data(1, flags, "test"));
        upload(peer, &frames)
    }),
    test("generic/3.1", "Sends a DATA frame with padding", |peer| {
        let flags = flag::END_STREAM | flag::PADDED;
        upload(peer, &[Frame::data(1, flags, "\x05test\0\0\0\0\0")])
    }),
    test("generic/3.2", "Sends a HEADERS frame", |peer| {
        ask(peer, get())
    }),
    test(
        "generic/3.2",
        "Sends a HEADERS frame with padding",
        |peer| {
            let payload = [vec![8], get(), vec![0; 8]].concat();
            peer.write(&Frame::headers(1, flag::WHOLE | flag::PADDED, payload));
            peer.expect_response(1)
        },
    ),
    test(
        "generic/3.2",
        "Sends a HEADERS frame with priority",
        |peer| {
            let payload = [dependency(0, 255), get()].concat();
            peer.write(&Frame::headers(1, flag::WHOLE | flag::PRIORITY, payload));
            peer.expect_response(1)
        },
    ),
    test(
        "generic/3.3",
        "Sends a PRIORITY frame with priority 1",
        |peer| after(peer, &Frame::priority(1, 0, 0)),
    ),
    test(
        "generic/3.3",
        "Sends a PRIORITY frame with priority 256",
        |peer| after(peer, &Frame::priority(1, 0, 255)),
    ),
    test(
        "generic/3.3",
        "Sends a PRIORITY frame with stream dependency",
        |peer| after(peer, &Frame::priority(3, 1, 0)),
    ),
    test(
        "generic/3.3",
        "Sends a PRIORITY frame with exclusive",
        |peer| after(peer, &Frame::priority(1, 0x8000_0000, 0)),
    ),
    test(
        "generic/3.3",
        "Sends a PRIORITY frame for an idle stream, then send a HEADER frame for a lower stream ID",
        |peer| after(peer, &Frame::priority(3, 0, 255)),
    ),
    test("generic/3.4", "Sends a RST_STREAM frame", |peer| {
        peer.write(&Frame::headers(1, flag::END_HEADERS, get()));
        peer.write(&Frame::rst_stream(1, code::CANCEL));
        peer.expect_alive_or_closed()
    }),
    test("generic/3.5", "Sends a SETTINGS frame", |peer| {
        peer.write(&Frame::settings(&[
            (setting::HEADER_TABLE_SIZE, 4096),
            (setting::ENABLE_PUSH, 1),
            (setting::MAX_CONCURRENT_STREAMS, 100),
            (setting::INITIAL_WINDOW_SIZE, 65_535),
            (setting::MAX_FRAME_SIZE, 16_384),
            (setting::MAX_HEADER_LIST_SIZE, 100),
        ]));
        peer.expect_settings_ack()
    }),
    test("generic/3.7", "Sends a PING frame", Peer::expect_alive),
    test("generic/3.8", "Sends a GOAWAY frame", |peer| {
        peer.write(&Frame::goaway(code::NO_ERROR, b"going"));
        peer.expect_alive_or_closed()
    }),
    test(
        "generic/3.9",
        "Sends a WINDOW_UPDATE frame with stream ID 0",
        |peer| {
            peer.write(&Frame::window_update(0, 1));
            peer.expect_alive()
        },
    ),
    test(
        "generic/3.9",
        "Sends a WINDOW_UPDATE frame with stream ID 1",
        |peer| {
            peer.write(&Frame::headers(1, flag::WHOLE, get()));
            peer.write(&Frame::window_update(1, 1));
            peer.expect_response(1)
        },
    ),
    test("generic/3.10", "Sends a CONTINUATION frame", |peer| {
        ask_in_parts(peer, &[5])
    }),
    test(
        "generic/3.10",
        "Sends multiple CONTINUATION frames",
        |peer| ask_in_parts(peer, &[5, 10]),
    ),
    test("generic/4", "Sends a GET request", |peer| ask(peer, get())),
    test("generic/4", "Sends a HEAD request", |peer| {
        ask(peer, get_as("HEAD"))
    }),
    test("generic/4", "Sends a POST request", |peer| {
        upload(peer, &[Frame::data(1, flag::END_STREAM, "test")])
    }),
    test("generic/4", "Sends a POST request with trailers", |peer| {
        let head = post_with(&[("trailer", "x-test")]);
        peer.write(&Frame::headers(1, flag::END_HEADERS, head));
        peer.write(&Frame::data(1, flag::NONE, "test"));
        let trailers = block(&[("x-test", "ok")]);
        peer.write(&Frame::headers(1, flag::WHOLE, trailers));
        peer.expect_response(1)
    }),
    test(
        "generic/5",
        "Sends a indexed header field representation",
        |peer| ask(peer, [get(), vec![0xba]].concat()),
    ),
    test(
        "generic/5",
        "Sends a literal header field with incremental indexing - indexed name",
        |peer| literal(peer, INDEXED, USER_AGENT_HUFFMAN),
    ),
    test(
        "generic/5",
        "Sends a literal header field with incremental indexing - indexed name (with Huffman coding)",
        |peer| literal(peer, INDEXED, USER_AGENT),
    ),
    test(
        "generic/5",
        "Sends a literal header field with incremental indexing - new name",
        |peer| literal(peer, INDEXED, X_TEST),
    ),
    test(
        "generic/5",
        "Sends a literal header field with incremental indexing - new name (with Huffman coding)",
        |peer| literal(peer, INDEXED, X_TEST_HUFFMAN),
    ),
    test(
        "generic/5",
        "Sends a literal header field without indexing - indexed name",
        |peer| literal(peer, NOT_INDEXED, USER_AGENT),
    ),
    test(
        "generic/5",
        "Sends a literal header field without indexing - indexed name (with Huffman coding)",
        |peer| literal(peer, NOT_INDEXED, USER_AGENT_HUFFMAN),
    ),
    test(
        "generic/5",
        "Sends a literal header field without indexing - new name",
        |peer| literal(peer, NOT_INDEXED, X_TEST),
    ),
    test(
        "generic/5",
        "Sends a literal header field without indexing - new name (huffman encoded)",
        |peer| literal(peer, NOT_INDEXED, X_TEST_HUFFMAN),
    ),
    test(
        "generic/5",
        "Sends a literal header field never indexed - indexed name",
        |peer| literal(peer, NEVER_INDEXED, USER_AGENT),
    ),
    test(
        "generic/5",
        "Sends a literal header field never indexed - indexed name (huffman encoded)",
        |peer| literal(peer, NEVER_INDEXED, USER_AGENT_HUFFMAN),
    ),
    test(
        "generic/5",
        "Sends a literal header field never indexed - new name",
        |peer| literal(peer, NEVER_INDEXED, X_TEST),
    ),
    test(
        "generic/5",
        "Sends a literal header field never indexed - new name (huffman encoded)",
        |peer| literal(peer, NEVER_INDEXED, X_TEST_HUFFMAN),
    ),
    test("generic/5", "Sends a dynamic table size update", |peer| {
        resized(peer, &[128])
    }),
    test(
        "generic/5",
        "Sends multiple dynamic table size update",
        |peer| resized(peer, &[128, 4096]),
    ),
];

/// Sends a request and expects a response.
fn ask(peer: &mut Peer, block: Vec<u8>) -> Verdict {
    peer.write(&Frame::headers(1, flag::WHOLE, block));
    peer.expect_response(1)
}

/// Sends a request after `frame`.
fn after(peer: &mut Peer, frame: &Frame) -> Verdict {
    peer.write(frame);
    ask(peer, get())
}

/// Sends a request whose body is `frames`.
fn upload(peer: &mut Peer, frames: &[Frame]) -> Verdict {
    peer.write(&Frame::headers(1, flag::END_HEADERS, post()));
    for frame in frames {
        peer.write(frame);
    }
    peer.expect_response(1)
}

/// Sends a request whose fields are cut at `cuts`, which are in order.
fn ask_in_parts(peer: &mut Peer, cuts: &[usize]) -> Verdict {
    let block = get();
    let mut start = 0;
    let mut parts = Vec::new();
    for cut in cuts {
        parts.push(&block[start..*cut]);
        start = *cut;
    }
    let last = &block[start..];
    for (index, part) in parts.into_iter().enumerate() {
        peer.write(&match index {
            0 => Frame::headers(1, flag::END_STREAM, part),
            _ => Frame::continuation(1, flag::NONE, part),
        });
    }
    peer.write(&Frame::continuation(1, flag::END_HEADERS, last));
    peer.expect_response(1)
}

/// Sends a request with one more field.
fn literal(peer: &mut Peer, first: u8, field: &[u8]) -> Verdict {
    ask(peer, [&get()[..], &[first], field].concat())
}

/// Sends a request after changes of the size of the dynamic table.
fn resized(peer: &mut Peer, sizes: &[usize]) -> Verdict {
    let mut block = Vec::new();
    for size in sizes {
        push_table_size(&mut block, *size);
    }
    block.extend(get());
    ask(peer, block)
}

/// Sends a request to whose response no byte of body may be sent yet.
fn hold_response(peer: &mut Peer) {
    peer.write(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]));
    peer.write(&Frame::headers(1, flag::WHOLE, get()));
}
