//! Lines of text over TCP: applications that answer each line with one, and their clients.
//!
//! They stand for the TCP servers of the suites: `PING` and `IS_TLS` are answered as the Gateway
//! API's does, everything else with who answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::application::Answering;
use super::client;
use super::echo::ServiceName;
use super::tls::Tls;

/// What those that speak first say.
const GREETING: &str = "welcome";
/// How long a line is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Who answered a line.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Answer {
    pub(crate) service: ServiceName,
    pub(crate) is_tls: bool,
    pub(crate) server_name: Option<String>,
}

/// Answers the lines of a connection.
pub(super) async fn serve<IO>(io: IO, answering: &Answering, greets: bool) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite,
{
    let (read, mut write) = tokio::io::split(io);
    let mut lines = BufReader::new(read).lines();
    if greets {
        write.write_all(format!("{GREETING}\n").as_bytes()).await?;
    }
    while let Some(line) = lines.next_line().await? {
        let answer = match line.as_str() {
            "PING" => "PONG".to_owned(),
            "IS_TLS" => answering.tls.is_some().to_string(),
            _ => serde_json::to_string(&answer(answering))?,
        };
        write.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

fn answer(answering: &Answering) -> Answer {
    Answer {
        service: answering.service.clone(),
        is_tls: answering.tls.is_some(),
        server_name: answering
            .tls
            .as_ref()
            .and_then(|tls| tls.server_name.clone()),
    }
}

/// A conversation to have.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    /// TLS around it.
    pub(crate) tls: Option<Tls>,
    /// Whether the server speaks first.
    pub(crate) greeted: bool,
    /// What is said.
    pub(crate) lines: Vec<String>,
}

/// Says each line when the one before it is answered, and returns the answers. The error is why
/// there is none.
pub(crate) async fn converse(
    address: SocketAddr,
    conversation: &Conversation,
) -> Result<Vec<String>, String> {
    match tokio::time::timeout(TIMEOUT, talk(address, conversation)).await {
        Ok(answers) => answers,
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
    }
}

async fn talk(address: SocketAddr, conversation: &Conversation) -> Result<Vec<String>, String> {
    let connected = client::connect(address, conversation.tls.as_ref()).await?;
    let (read, mut write) = tokio::io::split(connected.io);
    let mut heard = BufReader::new(read).lines();
    let mut hear = async || -> Result<String, String> {
        let line = heard.next_line().await.map_err(|error| error.to_string())?;
        line.ok_or_else(|| "the connection was closed".to_owned())
    };
    if conversation.greeted {
        let greeting = hear().await?;
        if greeting != GREETING {
            return Err(format!("greeted with {greeting:?}"));
        }
    }
    let mut answers = Vec::new();
    for line in &conversation.lines {
        let written = write.write_all(format!("{line}\n").as_bytes()).await;
        written.map_err(|error| error.to_string())?;
        answers.push(hear().await?);
    }
    Ok(answers)
}
