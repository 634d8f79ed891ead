use std::net::SocketAddr;

use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;
use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn decoded(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    decode(bytes, &Limits::default())
}

/// A binary header of these parts.
fn binary(version_and_command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let fixed = [version_and_command, family, length[0], length[1]];
    [SIGNATURE, &fixed, content].concat()
}

fn header(bytes: &[u8]) -> Header {
    match decoded(bytes) {
        Ok(Decoded::Header { header, length }) => {
            assert_eq!(length, bytes.len());
            header
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_of_the_specification_are_read() {
    let tcp = |source: &str, destination: &str| {
        Header::tcp(source.parse().unwrap(), destination.parse().unwrap())
    };
    let unknown = || Header::from(Addresses::Unknown);
    let longest = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
    let cases = [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            tcp("192.168.0.1:56324", "192.168.0.11:443"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            tcp("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 0 1\r\n",
            tcp("[2001:db8::1]:0", "[::1]:1"),
        ),
        ("PROXY UNKNOWN\r\n", unknown()),
        (longest, unknown()),
    ];
    for (line, expected) in cases {
        assert_eq!(header(line.as_bytes()), expected, "{line}");
    }
}

#[test]
fn lines_that_the_specification_does_not_allow_are_refused() {
    let lines = [
        "PROXY \r\n",
        "PROXY\r\n",
        "PROXYTCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
        "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n",
    ];
    for line in lines {
        assert_eq!(
            decoded(line.as_bytes()),
            Err(DecodeError::MalformedLine),
            "{line}"
        );
    }
    let endless = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(decoded(endless.as_bytes()), Err(DecodeError::LineTooLong));
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!(longest.len(), 107);
    assert_eq!(header(longest.as_bytes()), Header::from(Addresses::Unknown));
}

#[test]
fn a_binary_header_has_addresses_of_all_families() {
    let v4 = [192, 0, 2, 1, 192, 0, 2, 9, 0x12, 0x34, 1, 0xbb];
    let (source, destination): (SocketAddr, SocketAddr) = (
        "192.0.2.1:4660".parse().unwrap(),
        "192.0.2.9:443".parse().unwrap(),
    );
    assert_eq!(
        header(&binary(0x21, 0x11, &v4)),
        Header::tcp(source, destination)
    );
    let udp = Addresses::Udp {
        source,
        destination,
    };
    assert_eq!(header(&binary(0x21, 0x12, &v4)).addresses, udp);

    let mut unix = vec![0; 216];
    unix[..4].copy_from_slice(b"/a/b");
    unix[108..111].copy_from_slice(b"\0xy");
    let expected = Addresses::Unix {
        source: b"/a/b".to_vec(),
        destination: b"\0xy".to_vec(),
        is_stream: true,
    };
    assert_eq!(header(&binary(0x21, 0x31, &unix)).addresses, expected);
    assert_eq!(
        header(&binary(0x21, 0x00, &[])).addresses,
        Addresses::Unknown
    );
}

#[test]
fn a_local_header_is_skipped_whatever_it_has() {
    for content in [&[][..], &[1, 2, 3]] {
        for family in [0x00, 0x11, 0xff] {
            let found = header(&binary(0x20, family, content));
            assert_eq!(found, Header::from(Addresses::Local));
        }
    }
}

#[test]
fn values_are_read_in_their_order() {
    let mut content = vec![192, 0, 2, 1, 192, 0, 2, 9, 0, 1, 0, 2];
    content.extend([0x01, 0, 2, b'h', b'2', 0x02, 0, 4]);
    content.extend(b"shop");
    content.extend([0xea, 0, 0]);
    let found = header(&binary(0x21, 0x11, &content));
    assert_eq!(found.tlv(TlvKind::ALPN), Some(&b"h2"[..]));
    assert_eq!(found.authority(), Some("shop"));
    assert_eq!(found.tlvs[2].kind, TlvKind(0xea));
}

#[test]
fn binary_headers_that_are_wrong_are_refused() {
    let v4 = [192, 0, 2, 1, 192, 0, 2, 9, 0, 1, 0, 2];
    let with = |more: &[u8]| binary(0x21, 0x11, &[&v4, more].concat());
    let cases = [
        (
            binary(0x11, 0x11, &v4),
            DecodeError::UnsupportedVersion { version: 1 },
        ),
        (
            binary(0x22, 0x11, &v4),
            DecodeError::UnknownCommand { command: 2 },
        ),
        (
            binary(0x21, 0x13, &v4),
            DecodeError::UnknownFamily { value: 0x13 },
        ),
        (binary(0x21, 0x11, &v4[..11]), DecodeError::Truncated),
        (binary(0x21, 0x21, &v4), DecodeError::Truncated),
        (with(&[1]), DecodeError::Truncated),
        (with(&[1, 0, 1]), DecodeError::Truncated),
        (with(&[3, 0, 4, 1, 2, 3, 4]), DecodeError::WrongChecksum),
        (with(&[3, 0, 2, 1, 2]), DecodeError::WrongChecksum),
        (
            binary(0x21, 0x00, &[4; 4097]),
            DecodeError::TooLong {
                length: 4097,
                limit: 4096,
            },
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decoded(&bytes), Err(expected), "{bytes:02x?}");
    }
}

#[test]
fn a_checksum_covers_the_whole_header() {
    // CRC-32C of "123456789" (RFC 3720 appendix B.4 and every catalogue of checksums).
    assert_eq!(v2::crc32c(*b"123456789"), 0xe306_9283);
    let mut checked = Header::tcp(
        "192.0.2.1:1".parse().unwrap(),
        "192.0.2.9:2".parse().unwrap(),
    );
    for (kind, value) in [
        (TlvKind::AUTHORITY, "shop"),
        (TlvKind::CRC32C, "    "),
        (TlvKind::ALPN, "h2"),
    ] {
        let value = value.as_bytes().to_vec();
        checked.tlvs.push(Tlv { kind, value });
    }
    let bytes = encode(ProxyProtocolVersion::V2, &checked);
    assert_eq!(header(&bytes).authority(), Some("shop"));
    // What makes the checksum something else is not found out.
    let kind_of_checksum = 16 + 12 + 7;
    for place in (16..bytes.len()).filter(|place| *place != kind_of_checksum) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(decoded(&changed).is_err(), "byte {place}");
    }
}

#[test]
fn addresses_of_two_families_are_written_as_one() {
    let mixed = Header::tcp(
        "192.0.2.1:1".parse().unwrap(),
        "[2001:db8::9]:2".parse().unwrap(),
    );
    let line = encode(ProxyProtocolVersion::V1, &mixed);
    assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::9 1 2\r\n");
    let (source, _) = header(&encode(ProxyProtocolVersion::V2, &mixed))
        .tcp_addresses()
        .unwrap();
    assert_eq!(
        source.ip().to_canonical(),
        mixed.tcp_addresses().unwrap().0.ip()
    );
}

fn socket(v4: bool) -> BoxedStrategy<SocketAddr> {
    match v4 {
        true => any::<([u8; 4], u16)>().prop_map(SocketAddr::from).boxed(),
        false => any::<([u8; 16], u16)>().prop_map(SocketAddr::from).boxed(),
    }
}

fn any_header() -> impl Strategy<Value = Header> {
    let sockets = any::<bool>().prop_flat_map(|v4| (socket(v4), socket(v4)));
    let path = proptest::collection::vec(1..=u8::MAX, 0..108);
    let addresses = prop_oneof![
        (sockets, any::<bool>()).prop_map(|((source, destination), tcp)| match tcp {
            true => Addresses::Tcp {
                source,
                destination
            },
            false => Addresses::Udp {
                source,
                destination
            },
        }),
        (path.clone(), path, any::<bool>()).prop_map(|(source, destination, is_stream)| {
            Addresses::Unix {
                source,
                destination,
                is_stream,
            }
        }),
        Just(Addresses::Unknown),
    ];
    // The value of a checksum is not kept.
    let kind = any::<u8>().prop_filter("a checksum", |kind| TlvKind(*kind) != TlvKind::CRC32C);
    let value = proptest::collection::vec(any::<u8>(), 0..40);
    let tlv = (kind, value).prop_map(|(kind, value)| Tlv {
        kind: TlvKind(kind),
        value,
    });
    let tlvs = proptest::collection::vec(tlv, 0..4);
    (addresses, tlvs).prop_map(|(addresses, tlvs)| Header { addresses, tlvs })
}

proptest! {
    #[test]
    fn a_header_is_read_back_whatever_part_of_it_arrives_first(
        written in any_header(),
        rest in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        for version in [ProxyProtocolVersion::V1, ProxyProtocolVersion::V2] {
            let mut bytes = encode(version, &written);
            let length = bytes.len();
            for split in 0..length {
                prop_assert_eq!(decoded(&bytes[..split]), Ok(Decoded::Incomplete));
            }
            bytes.extend(&rest);
            let Ok(Decoded::Header { header, length: found }) = decoded(&bytes) else {
                return Err(TestCaseError::fail("no header"));
            };
            prop_assert_eq!(found, length);
            match version {
                ProxyProtocolVersion::V2 => prop_assert_eq!(&header, &written),
                ProxyProtocolVersion::V1 => {
                    prop_assert_eq!(header.tcp_addresses(), written.tcp_addresses());
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        prefix in prop_oneof![Just(&b""[..]), Just(SIGNATURE), Just(&b"PROXY "[..])],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [prefix, &bytes].concat();
        if let Ok(Decoded::Header { length, .. }) = decoded(&bytes) {
            prop_assert!(length <= bytes.len());
        }
    }
}
