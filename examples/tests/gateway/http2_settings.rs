//! What the gateway tells clients of HTTP/2 before they ask.

use std::io::{Read, Write};

use crate::scene::Scene;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The settings of a client that leaves all as they are by default.
const NO_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const FRAME_SETTINGS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

#[test]
fn a_connection_may_carry_as_much_at_once_as_one_to_an_envoy() {
    let scene = Scene::new("\n  - directResponse: { status: 200 }\n");
    let mut client = scene.connect();
    client.write_all(PREFACE).unwrap();
    client.write_all(&NO_SETTINGS).unwrap();
    let settings = settings(&mut client);
    let of = |wanted| {
        let found = settings.iter().find(|(id, _)| *id == wanted);
        found.map(|(_, value)| *value)
    };
    assert_eq!(of(MAX_CONCURRENT_STREAMS), Some(1024), "{settings:?}");
    assert_eq!(of(INITIAL_WINDOW_SIZE), Some(16 << 20), "{settings:?}");
}

/// The settings that a server begins with (RFC 9113 §6.5.1).
fn settings(server: &mut impl Read) -> Vec<(u16, u32)> {
    let mut head = [0; 9];
    server.read_exact(&mut head).unwrap();
    assert_eq!(head[3], FRAME_SETTINGS, "a server begins with its settings");
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    server.read_exact(&mut payload).unwrap();
    let settings = payload.chunks_exact(6);
    let setting = |bytes: &[u8]| {
        let id = u16::from_be_bytes([bytes[0], bytes[1]]);
        let value = u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
        (id, value)
    };
    settings.map(setting).collect()
}
