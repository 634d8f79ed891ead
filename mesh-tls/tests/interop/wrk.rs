//! wrk, as the load.

use std::process::{Child, Command, Stdio};

/// Calls again and again, by four connections, for a minute at most.
pub(crate) struct Wrk(Child);

impl Wrk {
    pub(crate) fn start(port: u16) -> Self {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", "4"]);
        wrk.args(["--duration", "60s", "--timeout", "10s"]);
        wrk.arg(format!("http://127.0.0.1:{port}/"));
        let process = wrk.stdout(Stdio::piped()).spawn();
        Self(process.expect("`wrk` is in PATH: see .ci/install"))
    }

    /// Ends it, and tells how many requests failed.
    pub(crate) fn end(self) -> u64 {
        // It reports when it is interrupted.
        let pid = self.0.id().to_string();
        let interrupted = Command::new("kill").args(["-INT", &pid]).status();
        assert!(interrupted.unwrap().success());
        let output = self.0.wait_with_output().unwrap();
        failures(&String::from_utf8(output.stdout).unwrap())
    }
}

/// How many requests failed by the report of wrk, which has lines such as `Non-2xx or 3xx responses: 7`
/// and `Socket errors: connect 0, read 7, write 0, timeout 0` if any did.
fn failures(report: &str) -> u64 {
    assert!(report.contains("requests in"), "{report}");
    let lines = report
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let failures =
        lines.filter(|(what, _)| ["Non-2xx or 3xx responses", "Socket errors"].contains(what));
    let counts = failures.flat_map(|(_, counts)| counts.split([' ', ',']));
    counts.filter_map(|count| count.parse::<u64>().ok()).sum()
}
