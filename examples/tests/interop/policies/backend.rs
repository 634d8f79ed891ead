//! A service that fails as requests ask it to, and else answers with the request that it saw.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

/// Names what becomes of each attempt, the first first: a status, `grpc:` and a status of gRPC, or
/// `reset`. What it does not name is answered with `200`.
pub(super) const SCRIPT: &str = "x-script";

/// Starts the service, which runs as long as the test does.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || stream.and_then(serve));
        }
    });
    address
}

/// A request, as the service sees it.
struct Seen {
    line: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Seen {
    /// `None` at the end of the connection.
    fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let line = lines.next().unwrap_or_default();
        let fields: Vec<(String, String)> = lines
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        let mut seen = Self {
            line,
            fields,
            body: String::new(),
        };
        let length = seen
            .field("content-length")
            .and_then(|text| text.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body)?;
        seen.body = String::from_utf8_lossy(&body).into_owned();
        Ok(Some(seen))
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(own, _)| own == name)?;
        Some(value)
    }

    /// What becomes of it.
    fn act(&self) -> &str {
        let attempt = self.field("x-envoy-attempt-count");
        let attempt = attempt.and_then(|text| text.parse::<usize>().ok());
        let mut acts = self.field(SCRIPT).unwrap_or_default().split(',');
        acts.nth(attempt.unwrap_or(1) - 1).unwrap_or_default()
    }

    fn report(&self) -> Value {
        let (method, rest) = self.line.split_once(' ').unwrap_or_default();
        let (path, _) = rest.split_once(' ').unwrap_or_default();
        json!({
            "backend": 0,
            "method": method,
            "path": path,
            "headers": self.fields,
            "body": self.body,
        })
    }
}

fn serve(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = Seen::read(&mut reader)? {
        let (status, extra) = match seen.act() {
            "reset" => return Ok(()),
            act => match act.strip_prefix("grpc:") {
                Some(code) => (
                    "200".to_owned(),
                    format!("content-type: application/grpc\r\ngrpc-status: {code}\r\n"),
                ),
                None if act.is_empty() => ("200".to_owned(), String::new()),
                None => (act.to_owned(), String::new()),
            },
        };
        let mut body = seen.report().to_string();
        let length = body.len();
        if seen.line.starts_with("HEAD ") {
            body.clear();
        }
        let answer =
            format!("HTTP/1.1 {status} Scripted\r\n{extra}content-length: {length}\r\n\r\n{body}");
        reader.get_mut().write_all(answer.as_bytes())?;
    }
    Ok(())
}
