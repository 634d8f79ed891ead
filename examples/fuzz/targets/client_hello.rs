//! The first bytes of a connection.

use mesh_tls::client_hello::{ClientHello, Detected, MAX_LEN, detect};
use rustls::server::Acceptor;

use super::{Target, hexadecimal};

pub(crate) const TARGET: Target = Target {
    name: "client-hello",
    // Of TLS 1.3 with the names of a mesh, the same in two records, and of TLS 1.2 with a server
    // name alone; all of OpenSSL, without padding.
    seeds: &[
        "1603010144010001400303ae580005a6e91943e0ab1d8eb48a2b1e1186a4a46aff1842e923be90fa7a300b\
         205487b4a568c8afba85e00ffe7b69c00b42f4b586d532833cbbe6f676f7ea4397000a130213031301c02b\
         00ff010000ed00000030002e00002b6f7574626f756e645f2e38305f2e5f2e636172742e73686f702e7376\
         632e636c75737465722e6c6f63616c000b000403000102000a00160014001d0017001e0019001801000101\
         0102010301040023000000100020001e0e697374696f2d687474702f312e3105697374696f08687474702f\
         312e310016000000170000000d002a0028040305030603080708080809080a080b08040805080604010501\
         0601030303010302040205020602002b00050403040303002d00020101003300260024001d00209ff49ef3\
         2c22f2226dfaef9d505358d7d57cd04419f30a12e8599f3d0b47944b",
        "1603010014010001400303ae580005a6e91943e0ab1d8eb48a16030101302b1e1186a4a46aff1842e923be\
         90fa7a300b205487b4a568c8afba85e00ffe7b69c00b42f4b586d532833cbbe6f676f7ea4397000a130213\
         031301c02b00ff010000ed00000030002e00002b6f7574626f756e645f2e38305f2e5f2e636172742e7368\
         6f702e7376632e636c75737465722e6c6f63616c000b000403000102000a00160014001d0017001e001900\
         18010001010102010301040023000000100020001e0e697374696f2d687474702f312e3105697374696f08\
         687474702f312e310016000000170000000d002a0028040305030603080708080809080a080b0804080508\
         06040105010601030303010302040205020602002b00050403040303002d00020101003300260024001d00\
         209ff49ef32c22f2226dfaef9d505358d7d57cd04419f30a12e8599f3d0b47944b",
        "16030100980100009403039067d63414296f511e580ade19d819bd27ede21727e115e88887437cb6d917b1\
         000004c02b00ff0100006700000011000f00000c73686f702e6578616d706c65000b000403000102000a00\
         0c000a001d0017001e00190018002300000016000000170000000d002a0028040305030603080708080809\
         080a080b080408050806040105010601030303010302040205020602",
    ],
    dictionary: &[
        "16", "1603", "0301", "0303", "0000", "0010", "002b", "ffff", "00", "01", "ff",
    ],
    start: || {
        Box::new(|input| {
            feed(input);
            feed(&hexadecimal(input));
        })
    },
};

fn feed(input: &[u8]) {
    let whole = detect(input);
    // As they arrive: what was said of fewer bytes is not taken back.
    let mut len = 0;
    while let Detected::Incomplete { needed } = detect(&input[..len]) {
        assert!(needed > len, "{needed} bytes are needed, and {len} there");
        assert!(needed <= MAX_LEN, "{needed} bytes are too many");
        if needed > input.len() {
            // Fewer may do to tell that it is none.
            let is_read = matches!(whole, Detected::ClientHello(_) | Detected::Malformed);
            assert!(!is_read, "{needed} bytes are not needed: {whole:?}");
            return;
        }
        len = needed;
    }
    assert_eq!(detect(&input[..len]), whole, "after {len} bytes");
    if let Detected::ClientHello(hello) = whole {
        compare(&hello, &input[..len]);
    }
}

/// Holds what was read to what rustls reads, if it accepts the bytes.
fn compare(hello: &ClientHello, bytes: &[u8]) {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        if acceptor.read_tls(&mut rest).is_err() {
            return;
        }
    }
    let Ok(Some(accepted)) = acceptor.accept() else {
        return;
    };
    let theirs = accepted.client_hello();
    if let Some(name) = theirs.server_name() {
        let name = name.to_ascii_lowercase();
        assert_eq!(hello.server_name(), Some(name.as_str()));
    }
    if let Some(alpn) = theirs.alpn() {
        assert!(hello.alpn().eq(alpn), "{hello:?}");
    }
}
