//! Queries and their answers, without IO.

use std::mem;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::name_table::NameTable;

/// How long answers are good, in seconds.
const TTL: u32 = 30;
/// The longest message over UDP, unless the client says that it takes longer ones.
const MIN_PAYLOAD: usize = 512;
/// Bytes of the header of a message.
const HEADER: usize = 12;

/// How a query came, which says how long an answer may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Over TCP: any length.
    Tcp,
    /// Over UDP: 512 bytes, or what the client says.
    Udp,
}

/// What is to be done with a query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It is answered with this message.
    Answer(Vec<u8>),
    /// Somebody else has to be asked.
    Forward,
    /// It is no query; there is no answer.
    Ignore,
}

/// Answers a query from `table`, or says what else to do with it.
///
/// Without a table, as before the first one is built, the answer is `SERVFAIL`. `random`, uniform over
/// all values, decides on the order of addresses.
///
/// ```
/// use mesh_discovery::dns_proxy::{NameTable, Reply, Transport, reply};
///
/// // A query of `example.` for an address.
/// let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
/// query.extend(b"\x07example\0\0\x01\0\x01");
/// let table = NameTable::default();
/// assert_eq!(reply(&query, Some(&table), Transport::Udp, 0), Reply::Forward);
///
/// let Reply::Answer(answer) = reply(&query, None, Transport::Udp, 0) else { panic!() };
/// assert_eq!(answer[..2], [0, 7], "the same number");
/// assert_eq!(answer[3] & 0xf, 2, "SERVFAIL");
/// ```
pub fn reply(query: &[u8], table: Option<&NameTable>, transport: Transport, random: u64) -> Reply {
    if let Some(reply) = refuse(query) {
        return reply;
    }
    let Ok(message) = Message::from_vec(query) else {
        return Reply::Answer(error(query, ResponseCode::FormErr));
    };
    let Some(question) = message.queries.first() else {
        return Reply::Answer(error(query, ResponseCode::FormErr));
    };
    let Some(table) = table else {
        return Reply::Answer(error(query, ResponseCode::ServFail));
    };
    let kind = question.query_type();
    if !matches!(kind, RecordType::A | RecordType::AAAA) {
        return Reply::Forward;
    }
    let name = question.name().to_lowercase().to_ascii();
    let Some(found) = table.lookup(&name) else {
        return Reply::Forward;
    };
    let is_v4 = kind == RecordType::A;
    let mut addresses: Vec<IpAddr> = found.addresses().to_vec();
    addresses.retain(|ip| ip.is_ipv4() == is_v4);
    fastrand::Rng::with_seed(random).shuffle(&mut addresses);
    let answers = answers(question, found.alias_of(), &addresses);
    let limit = limit(&message, transport);
    Reply::Answer(answer(&message, question, answers, limit))
}

/// What becomes of bytes that are not looked into: those that are no query, and those that no client
/// sends in earnest.
fn refuse(query: &[u8]) -> Option<Reply> {
    let Some(header) = query.get(..HEADER) else {
        return Some(Reply::Ignore);
    };
    let is_response = header[2] & 0x80 != 0;
    if is_response {
        return Some(Reply::Ignore);
    }
    let opcode = (header[2] >> 3) & 0xf;
    if opcode != 0 {
        return Some(Reply::Answer(error(query, ResponseCode::NotImp)));
    }
    let count = |at| u16::from_be_bytes([header[at], header[at + 1]]);
    let (questions, answers, authorities, additionals) = (count(4), count(6), count(8), count(10));
    let odd = questions != 1 || answers > 1 || authorities > 1 || additionals > 2;
    odd.then(|| Reply::Answer(error(query, ResponseCode::FormErr)))
}

/// An answer that is an error and nothing else.
pub(super) fn error(query: &[u8], code: ResponseCode) -> Vec<u8> {
    let byte = |at: usize| query.get(at).copied().unwrap_or_default();
    let code = u8::try_from(u16::from(code) & 0xf).unwrap_or_default();
    let is_desired = byte(2) & 1;
    let mut answer = vec![byte(0), byte(1), 0x80 | (byte(2) & 0x78) | is_desired, code];
    answer.resize(HEADER, 0);
    answer
}

/// The records of an answer: first the alias, if the name is one.
fn answers(question: &Query, alias_of: Option<&str>, addresses: &[IpAddr]) -> Vec<Record> {
    let mut name = question.name().clone();
    let mut records = Vec::with_capacity(addresses.len() + 1);
    if addresses.is_empty() {
        return records;
    }
    if let Some(canonical) = alias_of.and_then(|canonical| expand(canonical, &name)) {
        let alias = RData::CNAME(CNAME(canonical.clone()));
        records.push(Record::from_rdata(name, TTL, alias));
        name = canonical;
    }
    records.extend(addresses.iter().map(|address| {
        let data = match address {
            IpAddr::V4(v4) => RData::A(A(*v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(*v6)),
        };
        Record::from_rdata(name.clone(), TTL, data)
    }));
    records
}

/// The name that `canonical` stands for, which may be a wildcard: then the first labels of the name
/// that was asked for take the place of its star.
fn expand(canonical: &str, asked: &Name) -> Option<Name> {
    let Some(suffix) = canonical.strip_prefix("*.") else {
        return Name::from_ascii(canonical).ok();
    };
    let asked = asked.to_ascii();
    let end = asked.to_ascii_lowercase().find(&format!(".{suffix}"))?;
    Name::from_ascii(format!("{}.{suffix}", &asked[..end])).ok()
}

/// The most bytes that the client takes.
pub(super) fn limit(query: &Message, transport: Transport) -> usize {
    match transport {
        Transport::Tcp => usize::from(u16::MAX),
        Transport::Udp => {
            let said = query.edns.as_ref().map_or(0, |edns| edns.max_payload());
            usize::from(said).max(MIN_PAYLOAD)
        }
    }
}

fn answer(query: &Message, question: &Query, answers: Vec<Record>, limit: usize) -> Vec<u8> {
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.checking_disabled = query.metadata.checking_disabled;
    message.metadata.authoritative = true;
    message.add_query(question.clone());
    message.add_answers(answers);
    fit(&mut message, limit).unwrap_or_default()
}

/// The message in at most `limit` bytes, without the last records and marked as truncated if it is
/// longer. `None` if it cannot be written.
pub(super) fn fit(message: &mut Message, limit: usize) -> Option<Vec<u8>> {
    let whole = message.to_vec().ok()?;
    if whole.len() <= limit {
        return Some(whole);
    }
    message.metadata.truncation = true;
    message.additionals.clear();
    message.authorities.clear();
    let all = mem::take(&mut message.answers);
    let mut best = message.to_vec().ok().filter(|bytes| bytes.len() <= limit)?;
    let (mut fits, mut too_many) = (0, all.len() + 1);
    while too_many - fits > 1 {
        let middle = usize::midpoint(fits, too_many);
        message.answers = all[..middle].to_vec();
        let bytes = message.to_vec().ok()?;
        if bytes.len() <= limit {
            (fits, best) = (middle, bytes);
        } else {
            too_many = middle;
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests;
