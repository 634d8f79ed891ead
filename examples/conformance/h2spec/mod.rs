//! Tests of an HTTP/2 server, by frames that a client may or may not send.
//!
//! They ask of the gateway what h2spec asks of a server, one function for each of its tests, by the
//! sections of RFC 9113 and RFC 7541 (h2spec numbers those of RFC 7540). Every test has a connection
//! of its own.

mod block;
mod compression;
mod connection;
mod expect;
mod flow_control;
mod frame;
mod frames;
mod generic;
mod messages;
mod peer;
mod server;
mod streams;

use std::path::Path;

use serde_json::Value;

use self::peer::Peer;
use self::server::Server;
use crate::case::{Case, Cases, Outcome, id, list, text};

/// Nothing, or what is wrong.
type Verdict = Result<(), String>;

/// Sends frames and says whether the answers are right.
type Run = fn(&mut Peer) -> Verdict;

/// A test of h2spec.
struct Test {
    section: &'static str,
    name: &'static str,
    begin: Begin,
    run: Run,
}

/// How the connection of a test begins.
enum Begin {
    /// With settings, exchanged before the test.
    Settled,
    /// The test does it.
    Untouched,
}

/// A test on a connection whose settings are exchanged.
const fn test(section: &'static str, name: &'static str, run: Run) -> Test {
    Test {
        section,
        name,
        begin: Begin::Settled,
        run,
    }
}

/// A test of how a connection begins.
const fn beginning(section: &'static str, name: &'static str, run: Run) -> Test {
    Test {
        section,
        name,
        begin: Begin::Untouched,
        run,
    }
}

const TESTS: [&[Test]; 7] = [
    generic::TESTS,
    connection::TESTS,
    streams::TESTS,
    frames::TESTS,
    flow_control::TESTS,
    messages::TESTS,
    compression::TESTS,
];

/// Runs the tests that the corpus names.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let server = Server::start();
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let (section, name) = (text(case, "id"), text(case, "name"));
        let outcome = match (&server, find(section, name)) {
            (Err(why), _) => Outcome::failed(why),
            (_, None) => Outcome::unsupported("no such test here"),
            (Ok(server), Some(test)) => match test.judge(server) {
                Ok(()) => Outcome::Passed,
                Err(why) => Outcome::Failed(why),
            },
        };
        cases.push(id(&[section, name]), outcome);
    }
    cases.into_vec()
}

fn find(section: &str, name: &str) -> Option<&'static Test> {
    let mut tests = TESTS.into_iter().flatten();
    tests.find(|test| test.section == section && test.name == name)
}

impl Test {
    fn judge(&self, server: &Server) -> Verdict {
        let address = server.address().ok_or("nothing is served")?;
        let mut peer = Peer::connect(address).map_err(|error| error.to_string())?;
        if let Begin::Settled = self.begin {
            peer.handshake()?;
        }
        (self.run)(&mut peer)
    }
}
