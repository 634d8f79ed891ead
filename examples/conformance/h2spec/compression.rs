//! Header blocks that cannot be decoded (RFC 7541).

use super::block::{get, push_table_size};
use super::frame::{Frame, code, flag, setting};
use super::peer::Peer;
use super::{Test, Verdict, test};

/// The size of the dynamic table where nobody says (RFC 9113 §6.5.2).
const DEFAULT_TABLE_SIZE: u32 = 4096;

pub(super) const TESTS: &[Test] = &[
    test(
        "hpack/2.3.3",
        "Sends a indexed header field representation with invalid index",
        |peer| followed_by(peer, b"\xc6"),
    ),
    test(
        "hpack/2.3.3",
        "Sends a literal header field representation with invalid index",
        |peer| followed_by(peer, b"\x7f\x07\x00"),
    ),
    test(
        "hpack/4.2",
        "Sends a dynamic table size update at the end of header block",
        |peer| followed_by(peer, b"\x21"),
    ),
    test(
        "hpack/5.2",
        "Sends a Huffman-encoded string literal representation with padding longer than 7 bits",
        |peer| followed_by(peer, b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
    ),
    test(
        "hpack/5.2",
        "Sends a Huffman-encoded string literal representation padded by zero",
        |peer| followed_by(peer, b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
    ),
    test(
        "hpack/5.2",
        "Sends a Huffman-encoded string literal representation containing the EOS symbol",
        |peer| {
            let field = b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f";
            followed_by(peer, field)
        },
    ),
    test(
        "hpack/6.1",
        "Sends a indexed header field representation with index 0",
        |peer| followed_by(peer, b"\x80"),
    ),
    test(
        "hpack/6.3",
        "Sends a dynamic table size update larger than the value of SETTINGS_HEADER_TABLE_SIZE",
        |peer| {
            let size = peer.setting(setting::HEADER_TABLE_SIZE);
            let size = size.unwrap_or(DEFAULT_TABLE_SIZE) + 1;
            let mut block = Vec::new();
            let size = usize::try_from(size).map_err(|error| error.to_string())?;
            push_table_size(&mut block, size);
            block.extend(get());
            undecodable(peer, block)
        },
    ),
];

/// Sends a request with more bytes after its fields.
fn followed_by(peer: &mut Peer, bytes: &[u8]) -> Verdict {
    undecodable(peer, [&get()[..], bytes].concat())
}

fn undecodable(peer: &mut Peer, block: Vec<u8>) -> Verdict {
    peer.write(&Frame::headers(1, flag::WHOLE, block));
    peer.expect_connection_error(&[code::COMPRESSION_ERROR])
}
