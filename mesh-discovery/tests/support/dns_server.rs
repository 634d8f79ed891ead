//! A DNS server on loopback, over UDP and TCP, whose answers a test decides on.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub(crate) struct DnsServer {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Zone {
    records: HashMap<String, Vec<Record>>,
    /// What negative answers come with.
    authority: Option<Record>,
    failure: Option<ResponseCode>,
    queries: Vec<String>,
    asked: Arc<Notify>,
}

impl DnsServer {
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // The port may be taken for UDP; another will not be.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&zone)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&zone)));
        Self {
            address,
            zone,
            _tasks: tasks,
        }
    }

    /// Gives `name` these addresses, in place of all its records.
    pub(crate) fn set(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let owner = Name::from_ascii(name).unwrap();
        let records = addresses.iter().map(|address| {
            let data = match address.parse::<IpAddr>() {
                Ok(IpAddr::V4(v4)) => RData::A(A(v4)),
                Ok(IpAddr::V6(v6)) => RData::AAAA(AAAA(v6)),
                Err(_) => RData::CNAME(CNAME(Name::from_ascii(address).unwrap())),
            };
            Record::from_rdata(owner.clone(), ttl, data)
        });
        let records = records.collect();
        self.zone
            .lock()
            .unwrap()
            .records
            .insert(name.into(), records);
    }

    /// Adds a target to the service `name`, for 30 s.
    pub(crate) fn add_srv(&self, name: &str, numbers: (u16, u16, u16), target: &str) {
        let record = srv_record(name, 30, numbers, target);
        let mut zone = self.zone.lock().unwrap();
        zone.records.entry(name.into()).or_default().push(record);
    }

    /// Gives the service `name` these targets, in place of all that it has: priority, weight and port.
    pub(crate) fn set_srv(&self, name: &str, ttl: u32, targets: &[((u16, u16, u16), &str)]) {
        let targets = targets.iter();
        let records = targets.map(|(numbers, target)| srv_record(name, ttl, *numbers, target));
        let records = records.collect();
        let mut zone = self.zone.lock().unwrap();
        zone.records.insert(name.into(), records);
    }

    /// Knows nothing of `name` any more.
    pub(crate) fn remove(&self, name: &str) {
        self.zone.lock().unwrap().records.remove(name);
    }

    /// Says how long negative answers are good, by the start of authority of the zone `name`.
    pub(crate) fn set_authority(&self, name: &str, ttl: u32, minimum: u32) {
        let name = Name::from_ascii(name).unwrap();
        let soa = SOA::new(name.clone(), name.clone(), 1, 60, 60, 60, minimum);
        let record = Record::from_rdata(name, ttl, RData::SOA(soa));
        self.zone.lock().unwrap().authority = Some(record);
    }

    /// Answers every query with `failure`, if it is one.
    pub(crate) fn fail(&self, failure: Option<ResponseCode>) {
        self.zone.lock().unwrap().failure = failure;
    }

    /// The queries since the last call, as `udp A name.`.
    pub(crate) fn queries(&self) -> Vec<String> {
        std::mem::take(&mut self.zone.lock().unwrap().queries)
    }
}

/// Waits until `server` has been asked `count` more times.
pub(crate) async fn wait_for_queries(server: &DnsServer, count: usize) {
    let asked = Arc::clone(&server.zone.lock().unwrap().asked);
    server.queries();
    let mut seen = 0;
    while seen < count {
        asked.notified().await;
        seen += server.queries().len();
    }
}

fn srv_record(
    name: &str,
    ttl: u32,
    (priority, weight, port): (u16, u16, u16),
    target: &str,
) -> Record {
    let srv = SRV::new(priority, weight, port, Name::from_ascii(target).unwrap());
    Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, RData::SRV(srv))
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        if let Some(answer) = answer(&buffer[..length], "udp", &zone) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut clients = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        clients.spawn(serve_client(stream, Arc::clone(&zone)));
    }
}

async fn serve_client(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await?;
        let Some(answer) = answer(&query, "tcp", &zone) else {
            return Ok(());
        };
        stream.write_u16(answer.len().try_into().unwrap()).await?;
        stream.write_all(&answer).await?;
    }
}

fn answer(query: &[u8], transport: &str, zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let question = query.queries.first()?;
    let (name, kind) = (
        question.name().to_lowercase().to_ascii(),
        question.query_type(),
    );
    let mut zone = zone.lock().unwrap();
    zone.queries.push(format!("{transport} {kind} {name}"));
    zone.asked.notify_one();
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_query(question.clone());
    if let Some(failure) = zone.failure {
        message.metadata.response_code = failure;
        return message.to_vec().ok();
    }
    let mut next = Some(name.clone());
    while let Some(name) = next.take() {
        for record in zone.records.get(&name).into_iter().flatten() {
            if let RData::CNAME(alias) = &record.data {
                next = Some(alias.to_ascii());
                message.add_answer(record.clone());
            } else if record.record_type() == kind {
                message.add_answer(record.clone());
            }
        }
    }
    if !zone.records.contains_key(&name) {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    if message.answers.is_empty() {
        message.add_authorities(zone.authority.clone());
    }
    let bytes = message.to_vec().ok()?;
    let most = if transport == "udp" {
        usize::from(query.max_payload()).max(512)
    } else {
        65_535
    };
    match bytes.len() <= most {
        true => Some(bytes),
        false => message.truncate().to_vec().ok(),
    }
}
