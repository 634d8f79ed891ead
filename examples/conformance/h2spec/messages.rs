//! Requests that are malformed (RFC 9113 §8.1, §8.2, §8.3), and pushes by a client (§8.4).

use super::block::{Fields, block, get_fields, get_with, post, post_with};
use super::frame::{Frame, code, flag, kind};
use super::peer::Peer;
use super::{Test, Verdict, test};

pub(super) const TESTS: &[Test] = &[
    test(
        "http2/8.1",
        "Sends a second HEADERS frame without the END_STREAM flag",
        |peer| malformed_trailers(peer, &[("x-test", "ok")]),
    ),
    test(
        "http2/8.1.2",
        "Sends a HEADERS frame that contains the header field name in uppercase letters",
        |peer| malformed(peer, get_with(&[("X-TEST", "ok")])),
    ),
    test(
        "http2/8.1.2.1",
        "Sends a HEADERS frame that contains a unknown pseudo-header field",
        |peer| malformed(peer, get_with(&[(":test", "ok")])),
    ),
    test(
        "http2/8.1.2.1",
        "Sends a HEADERS frame that contains the pseudo-header field defined for response",
        |peer| malformed(peer, get_with(&[(":status", "200")])),
    ),
    test(
        "http2/8.1.2.1",
        "Sends a HEADERS frame that contains a pseudo-header field as trailers",
        |peer| malformed_trailers(peer, &[(":method", "POST")]),
    ),
    test(
        "http2/8.1.2.1",
        "Sends a HEADERS frame that contains a pseudo-header field that appears in a header block \
         after a regular header field",
        |peer| {
            let mut fields = get_fields();
            fields.insert(0, ("x-test", "ok"));
            malformed(peer, block(&fields))
        },
    ),
    test(
        "http2/8.1.2.2",
        "Sends a HEADERS frame that contains the connection-specific header field",
        |peer| malformed(peer, get_with(&[("connection", "keep-alive")])),
    ),
    test(
        "http2/8.1.2.2",
        "Sends a HEADERS frame that contains the TE header field with any value other than \
         \"trailers\"",
        |peer| {
            let fields = [("trailers", "test"), ("te", "trailers, deflate")];
            malformed(peer, get_with(&fields))
        },
    ),
    test(
        "http2/8.1.2.3",
        "Sends a HEADERS frame with empty \":path\" pseudo-header field",
        |peer| {
            let fields = changed(|(name, value)| match name {
                ":path" => Some((name, "")),
                _ => Some((name, value)),
            });
            malformed(peer, block(&fields))
        },
    ),
    test(
        "http2/8.1.2.3",
        "Sends a HEADERS frame that omits \":method\" pseudo-header field",
        |peer| without(peer, ":method"),
    ),
    test(
        "http2/8.1.2.3",
        "Sends a HEADERS frame that omits \":scheme\" pseudo-header field",
        |peer| without(peer, ":scheme"),
    ),
    test(
        "http2/8.1.2.3",
        "Sends a HEADERS frame that omits \":path\" pseudo-header field",
        |peer| without(peer, ":path"),
    ),
    test(
        "http2/8.1.2.3",
        "Sends a HEADERS frame with duplicated \":method\" pseudo-header field",
        |peer| twice(peer, ":method"),
    ),
    test(
        "http2/8.1.2.3",
        "Sends a HEADERS frame with duplicated \":scheme\" pseudo-header field",
        |peer| twice(peer, ":scheme"),
    ),
    test(
        "http2/8.1.2.3",
        "Sends a HEADERS frame with duplicated \":path\" pseudo-header field",
        |peer| twice(peer, ":path"),
    ),
    test(
        "http2/8.1.2.6",
        "Sends a HEADERS frame with the \"content-length\" header field which does not equal the DATA \
         frame payload length",
        |peer| longer_than_declared(peer, &[flag::END_STREAM]),
    ),
    test(
        "http2/8.1.2.6",
        "Sends a HEADERS frame with the \"content-length\" header field which does not equal the sum \
         of the multiple DATA frames payload length",
        |peer| longer_than_declared(peer, &[flag::NONE, flag::END_STREAM]),
    ),
    test("http2/8.2", "Sends a PUSH_PROMISE frame", |peer| {
        let payload = [3_u32.to_be_bytes().to_vec(), block(&get_fields())].concat();
        peer.write(&Frame::new(
            kind::PUSH_PROMISE,
            flag::END_HEADERS,
            1,
            payload,
        ));
        peer.expect_connection_error(&[code::PROTOCOL_ERROR])
    }),
];

fn malformed(peer: &mut Peer, block: Vec<u8>) -> Verdict {
    peer.write(&Frame::headers(1, flag::WHOLE, block));
    peer.expect_stream_error(&[code::PROTOCOL_ERROR])
}

/// Sends trailers that do not end the stream.
fn malformed_trailers(peer: &mut Peer, trailers: &[(&str, &str)]) -> Verdict {
    peer.write(&Frame::headers(1, flag::END_HEADERS, post()));
    peer.write(&Frame::data(1, flag::NONE, "test"));
    peer.write(&Frame::headers(1, flag::END_HEADERS, block(trailers)));
    peer.expect_stream_error(&[code::PROTOCOL_ERROR])
}

type Field = (&'static str, &'static str);

/// The fields of a request, changed or left out.
fn changed(change: impl FnMut(Field) -> Option<Field>) -> Fields<'static> {
    get_fields().into_iter().filter_map(change).collect()
}

fn without(peer: &mut Peer, left_out: &str) -> Verdict {
    let fields = changed(|field| (field.0 != left_out).then_some(field));
    malformed(peer, block(&fields))
}

fn twice(peer: &mut Peer, name: &str) -> Verdict {
    let mut fields = get_fields();
    let field = changed(|field| (field.0 == name).then_some(field));
    fields.extend(field);
    malformed(peer, block(&fields))
}

/// Sends a body of frames of four bytes, and declares one byte.
fn longer_than_declared(peer: &mut Peer, frames: &[u8]) -> Verdict {
    let head = post_with(&[("content-length", "1")]);
    peer.write(&Frame::headers(1, flag::END_HEADERS, head));
    for flags in frames {
        peer.write(&Frame::data(1, *flags, "test"));
    }
    peer.expect_stream_error(&[code::PROTOCOL_ERROR])
}
