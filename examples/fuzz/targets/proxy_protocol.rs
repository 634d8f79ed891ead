//! Headers of the PROXY protocol, of both versions.

use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;
use mesh_discovery::proxy_protocol::{Decoded, Limits, decode, encode};

use super::Target;

pub(crate) const TARGET: Target = Target {
    name: "proxy-protocol",
    seeds: &[
        "PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\nGET / HTTP/1.1\r\n",
        "PROXY TCP6 2001:db8::1 2001:db8::9 1 65535\r\n",
        "PROXY UNKNOWN\r\n",
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x02\x1f\x40\0\x50",
        "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x28\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
         \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x1f\x40\0\x50\x02\0\x01x",
        "\r\n\r\n\0\r\nQUIT\n\x20\0\0\x07\x04\0\x04abcd",
    ],
    dictionary: &[
        "PROXY ",
        "TCP4 ",
        "TCP6 ",
        "UNKNOWN",
        "\r\n",
        "\r\n\r\n\0\r\nQUIT\n",
        "\x21",
        "\x20",
        "\x11",
        "\x12",
        "\x21\x21",
        "\0\x0c",
        "\0\x24",
        "\x03\0\x04",
        "::ffff:1.2.3.4",
    ],
    start: || Box::new(feed),
};

fn feed(input: &[u8]) {
    let limits = Limits::default();
    let whole = decode(input, &limits);
    if let Ok(Decoded::Header { header, length }) = &whole {
        assert!(*length <= input.len(), "the header is in the input");
        // What follows does not change what was read, and less is not enough.
        assert_eq!(decode(&input[..*length], &limits), whole);
        let less = decode(&input[..*length - 1], &limits);
        assert_eq!(less, Ok(Decoded::Incomplete), "{header:?}");
        for version in [ProxyProtocolVersion::V1, ProxyProtocolVersion::V2] {
            let encoded = encode(version, header);
            let Ok(Decoded::Header { header: again, .. }) = decode(&encoded, &limits) else {
                panic!("`{header:?}` is not read back");
            };
            assert_eq!(again.tcp_addresses(), header.tcp_addresses());
        }
    }
}
