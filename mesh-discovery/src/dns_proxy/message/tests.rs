use mesh_core::config::MeshConfig;
use mesh_core::parse::{Limits, parse};
use mesh_core::workload::Workload;

use super::*;

const MESH: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIPs: [10.96.0.7, 'fd00::7'], ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: books, namespace: shop }
spec:
  hosts: ['*.books.example', plain.example]
  addresses: [192.0.2.1, 192.0.2.2, 192.0.2.3]
  resolution: STATIC
  ports: [{ name: http, number: 80, protocol: HTTP }]
";

fn table(search: &str) -> NameTable {
    let parsed = parse("mesh.yaml", MESH, &Limits::default());
    let config = MeshConfig::builder()
        .extend(parsed.objects)
        .build(1)
        .unwrap();
    let workload = Workload::sidecar("shop");
    let builder = NameTable::builder(&workload);
    builder.with_search_domain(search).build(&config)
}

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn answered(query: &[u8], table: &NameTable, random: u64) -> Message {
    match reply(query, Some(table), Transport::Udp, random) {
        Reply::Answer(answer) => Message::from_vec(&answer).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The records of an answer as text.
fn records(message: &Message) -> Vec<String> {
    let records = message.answers.iter();
    records
        .map(|record| {
            assert_eq!(record.ttl, 30);
            format!("{} {}", record.name, record.data)
        })
        .collect()
}

#[test]
fn a_known_host_is_answered_with_the_family_that_was_asked_for() {
    let table = table("");
    let answer = answered(&query("cart.shop.", RecordType::A), &table, 0);
    assert_eq!(answer.metadata.id, 7);
    assert!(answer.metadata.authoritative && answer.metadata.recursion_desired);
    assert_eq!(records(&answer), ["cart.shop. 10.96.0.7"]);
    let answer = answered(
        &query("CART.shop.svc.Cluster.local.", RecordType::AAAA),
        &table,
        0,
    );
    assert_eq!(records(&answer), ["CART.shop.svc.Cluster.local. fd00::7"]);
}

#[test]
fn a_known_host_without_the_family_has_no_records_and_is_no_unknown_name() {
    let answer = answered(&query("plain.example.", RecordType::AAAA), &table(""), 0);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(answer.answers.is_empty());
}

#[test]
fn other_names_and_other_types_are_forwarded() {
    let table = table("");
    for (name, kind) in [
        ("elsewhere.example.", RecordType::A),
        ("books.example.", RecordType::A),
        ("cart.shop.", RecordType::SRV),
        ("cart.shop.", RecordType::TXT),
    ] {
        let forwarded = reply(&query(name, kind), Some(&table), Transport::Udp, 0);
        assert_eq!(forwarded, Reply::Forward, "{name} {kind}");
    }
}

#[test]
fn a_wildcard_answers_in_the_name_that_was_asked_for() {
    let table = table("");
    let answer = answered(&query("a.b.books.example.", RecordType::A), &table, 0);
    assert_eq!(answer.answers.len(), 3);
    assert!(records(&answer).contains(&"a.b.books.example. 192.0.2.1".to_owned()));
}

#[test]
fn a_name_with_the_search_domain_is_an_alias() {
    let table = table("shop.svc.cluster.local");
    let asked = "plain.example.shop.svc.cluster.local.";
    let answer = answered(&query(asked, RecordType::A), &table, 0);
    let found = records(&answer);
    assert_eq!(found[0], format!("{asked} plain.example."));
    assert_eq!(found.len(), 4);
    assert!(
        found[1..]
            .iter()
            .all(|record| record.starts_with("plain.example. 192.0.2."))
    );

    let asked = "x.books.example.shop.svc.cluster.local.";
    let answer = answered(&query(asked, RecordType::A), &table, 0);
    assert_eq!(records(&answer)[0], format!("{asked} x.books.example."));

    // `cart` with the search domain is the whole name of the service.
    let asked = "cart.shop.svc.cluster.local.";
    let answer = answered(&query(asked, RecordType::A), &table, 0);
    assert_eq!(records(&answer), ["cart.shop.svc.cluster.local. 10.96.0.7"]);
}

#[test]
fn addresses_come_in_every_order() {
    let table = table("");
    let query = query("plain.example.", RecordType::A);
    let orders: std::collections::BTreeSet<Vec<String>> = (0..200)
        .map(|random| records(&answered(&query, &table, random)))
        .collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn without_a_table_there_is_an_answer_of_failure() {
    let Reply::Answer(answer) = reply(&query("a.", RecordType::A), None, Transport::Udp, 0) else {
        panic!();
    };
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn what_is_no_query_is_refused_or_ignored() {
    let table = table("");
    let good = query("cart.shop.", RecordType::A);
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let code = |bytes: &[u8]| match reply(bytes, Some(&table), Transport::Udp, 0) {
        Reply::Answer(answer) => Some(answer[3] & 0xf),
        Reply::Ignore => None,
        Reply::Forward => panic!(),
    };
    assert_eq!(code(&good[..11]), None, "too short");
    assert_eq!(code(&with(2, 0x80)), None, "a response");
    assert_eq!(code(&with(2, 0x28)), Some(4), "an update: NOTIMP");
    assert_eq!(code(&with(5, 0)), Some(1), "no question: FORMERR");
    assert_eq!(code(&with(5, 2)), Some(1), "two questions");
    assert_eq!(code(&with(12, 0xff)), Some(1), "a name that points nowhere");
}

#[test]
fn an_answer_that_is_too_long_for_udp_is_cut_and_says_so() {
    let addresses: Vec<IpAddr> = (0..200_u8).map(|last| [192, 0, 2, last].into()).collect();
    let question = Query::query(Name::from_ascii("many.example.").unwrap(), RecordType::A);
    let mut asked = Message::new(7, MessageType::Query, OpCode::Query);
    asked.add_query(question.clone());
    for (payload, most) in [(0, 512), (1232, 1232), (100, 512)] {
        let mut edns = hickory_proto::op::Edns::new();
        edns.set_max_payload(payload);
        asked.edns = (payload > 0).then_some(edns);
        let limit = limit(&asked, Transport::Udp);
        let bytes = answer(
            &asked,
            &question,
            answers(&question, None, &addresses),
            limit,
        );
        assert!(
            bytes.len() <= most && bytes.len() > most - 40,
            "{}",
            bytes.len()
        );
        assert!(Message::from_vec(&bytes).unwrap().metadata.truncation);
    }
    let limit = limit(&asked, Transport::Tcp);
    let bytes = answer(
        &asked,
        &question,
        answers(&question, None, &addresses),
        limit,
    );
    let whole = Message::from_vec(&bytes).unwrap();
    assert_eq!(whole.answers.len(), 200);
    assert!(!whole.metadata.truncation);
}

#[test]
fn no_bytes_make_it_panic() {
    let table = table("shop.svc.cluster.local");
    let mut random = fastrand::Rng::with_seed(7);
    let seeds = [
        query("cart.shop.", RecordType::A),
        query("a.books.example.shop.svc.cluster.local.", RecordType::AAAA),
        query("elsewhere.", RecordType::TXT),
    ];
    let mut answers = 0;
    for round in 0..100_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] ^= 1 << random.u8(..8),
                1 => bytes[at] = random.u8(..),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, random.u8(..)),
            }
        }
        let transport = if random.bool() {
            Transport::Udp
        } else {
            Transport::Tcp
        };
        if let Reply::Answer(answer) = reply(&bytes, Some(&table), transport, random.u64(..)) {
            assert!(answer.len() >= 12 && answer[2] & 0x80 != 0, "{bytes:02x?}");
            assert_eq!(answer[..2], bytes[..2], "{bytes:02x?}");
            answers += 1;
        }
    }
    assert!(answers > 10_000, "{answers}");
}
