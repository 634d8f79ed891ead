//! Queries to the DNS proxy.

use examples::config::Loaded;
use mesh_core::config::MeshConfig;
use mesh_core::workload::Workload;
use mesh_discovery::dns_proxy::{NameTable, Reply, Transport, reply};

use super::{Feed, Target};

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIP: 10.0.0.7, ports: [{ name: http, port: 80 }] }
";

/// Most bytes of an answer by UDP: what a client may ask for.
const MAX_DATAGRAM: usize = 65_535;

pub(crate) const TARGET: Target = Target {
    name: "dns-queries",
    seeds: &[
        "\0\x07\x01\0\0\x01\0\0\0\0\0\0\x04cart\x04shop\x03svc\x07cluster\x05local\0\0\x01\0\x01",
        "\0\x07\x01\0\0\x01\0\0\0\0\0\x01\x04cart\x04shop\0\0\x1c\0\x01\0\0\x29\x10\0\0\0\0\0\0\0",
        "\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01*\x07example\0\0\x0f\0\x01",
        "\0\x07\x01\0\0\x02\0\0\0\0\0\0\x01a\0\0\x01\0\x01\x01b\0\0\x01\0\x01",
    ],
    dictionary: &[
        "\x04cart",
        "\x04shop",
        "\x03svc",
        "\x07cluster\x05local",
        "\0\0\x01\0\x01",
        "\0\x1c\0\x01",
        "\0\0\x29",
        "\x3f",
        "\x40",
    ],
    start,
};

fn start() -> Feed {
    let mut loaded = Loaded::default();
    loaded.add("services.yaml", SERVICES.to_owned());
    let built = loaded.build(MeshConfig::builder(), 1);
    let (config, _) = built.expect("the services are valid");
    let table = NameTable::builder(&Workload::sidecar("shop")).build(&config);
    assert!(!table.is_empty());
    Box::new(move |input| {
        for transport in [Transport::Udp, Transport::Tcp] {
            for table in [Some(&table), None] {
                if let Reply::Answer(answer) = reply(input, table, transport, 7) {
                    check(input, &answer, transport);
                }
            }
        }
    })
}

fn check(query: &[u8], answer: &[u8], transport: Transport) {
    assert!(answer.len() >= 12, "an answer has a header");
    assert_eq!(answer[..2], query[..2], "the number is that of the query");
    assert_ne!(answer[2] & 0x80, 0, "it is an answer");
    assert!(transport == Transport::Tcp || answer.len() <= MAX_DATAGRAM);
}
