//! Active probes: an endpoint is asked how it is.
//!
//! A [`Prober`] says when to ask and takes the answers. An endpoint that is well becomes unhealthy
//! after `unhealthy_threshold` failures in a row, except that an HTTP status which is not expected
//! makes it so at once, and healthy again after `healthy_threshold` successes in a row. The first
//! answer decides by itself. (Envoy's [health checking].)
//!
//! Istio does not configure probes of upstreams: this is for those who embed a balancer. What is
//! asked and what is expected is a [`Probe`]; sending it is left to the caller.
//!
//! [health checking]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/health_checking
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use mesh_discovery::health::probe::{Answer, Probe, ProbeSettings, Prober};
//!
//! let now = Instant::now();
//! let settings = ProbeSettings::new(Probe::http("/healthz"));
//! let mut prober = Prober::new(settings, now);
//! assert_eq!(prober.next_probe(), now);
//!
//! let answer = prober.settings().probe.evaluate_status(200);
//! assert_eq!(prober.handle_answer(answer, now), Some(true), "the first answer decides");
//! assert_eq!(prober.handle_answer(Answer::Failure, now), None, "three failures in a row do");
//! ```

use std::time::{Duration, Instant};

/// What is asked, and what is expected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// `grpc.health.v1.Health/Check` answers `SERVING` (1).
    Grpc {
        /// The service asked about; empty is the whole server.
        service: String,
    },
    /// `GET` answers with an expected status.
    Http {
        /// The path asked for.
        path: String,
        /// The host asked for; `None` is the cluster's name.
        host: Option<String>,
        /// Ranges of statuses that are expected, ends included.
        expected: Vec<(u16, u16)>,
    },
    /// A connection can be made.
    Tcp,
}

impl Probe {
    /// `GET path` answers 200.
    pub fn http(path: impl Into<String>) -> Self {
        Self::Http {
            path: path.into(),
            host: None,
            expected: vec![(200, 200)],
        }
    }

    /// What an HTTP status means for this probe. A gRPC probe needs 200; its body is judged by
    /// [`evaluate_serving`](Self::evaluate_serving).
    pub fn evaluate_status(&self, status: u16) -> Answer {
        let is_expected = match self {
            Self::Grpc { .. } => status == 200,
            Self::Http { expected, .. } => {
                let mut ranges = expected.iter();
                ranges.any(|(first, last)| (*first..=*last).contains(&status))
            }
            Self::Tcp => true,
        };
        match (is_expected, self) {
            (true, _) => Answer::Success,
            (false, Self::Http { .. }) => Answer::Unhealthy,
            (false, _) => Answer::Failure,
        }
    }

    /// What the status of a `HealthCheckResponse` means: 1 is `SERVING`.
    pub fn evaluate_serving(status: i32) -> Answer {
        if status == 1 {
            Answer::Success
        } else {
            Answer::Unhealthy
        }
    }
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// No connection, or none that lasted, or no answer in time.
    Failure,
    /// The endpoint is well.
    Success,
    /// The endpoint says itself that it is not well, which counts at once.
    Unhealthy,
}

/// How an endpoint is probed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProbeSettings {
    /// What is asked.
    pub probe: Probe,
    /// Time between an answer and the next probe. Default: 10 s.
    pub interval: Duration,
    /// How long an answer may take. Default: 1 s.
    pub timeout: Duration,
    /// Failures in a row that make an endpoint unhealthy. Default: 3.
    pub unhealthy_threshold: u32,
    /// Successes in a row that make it healthy. Default: 2.
    pub healthy_threshold: u32,
}

impl ProbeSettings {
    /// Asks every ten seconds.
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            unhealthy_threshold: 3,
            healthy_threshold: 2,
        }
    }
}

/// The probes of one endpoint.
#[derive(Clone, Debug)]
pub struct Prober {
    settings: ProbeSettings,
    next: Instant,
    /// `None` before the first answer.
    healthy: Option<bool>,
    /// Answers in a row that speak against `healthy`.
    against: u32,
}

impl Prober {
    /// An endpoint that has not answered yet; the first probe is due `now`.
    pub fn new(settings: ProbeSettings, now: Instant) -> Self {
        Self {
            settings,
            next: now,
            healthy: None,
            against: 0,
        }
    }

    /// How it is probed.
    pub fn settings(&self) -> &ProbeSettings {
        &self.settings
    }

    /// When the next probe is due.
    pub fn next_probe(&self) -> Instant {
        self.next
    }

    /// Whether the endpoint is well; `None` before the first answer.
    pub fn is_healthy(&self) -> Option<bool> {
        self.healthy
    }

    /// Takes an answer that came `now`. Says whether the endpoint is well, if that has changed.
    pub fn handle_answer(&mut self, answer: Answer, now: Instant) -> Option<bool> {
        self.next = now + self.settings.interval;
        let is_good = answer == Answer::Success;
        if self.healthy == Some(is_good) {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let threshold = match (self.healthy, answer) {
            (None, _) | (_, Answer::Unhealthy) => 1,
            (_, Answer::Success) => self.settings.healthy_threshold,
            (_, Answer::Failure) => self.settings.unhealthy_threshold,
        };
        if self.against < threshold {
            return None;
        }
        self.against = 0;
        self.healthy = Some(is_good);
        self.healthy
    }

    /// Waits for the interval, `now` that a probe came to nothing for reasons of our own: that says
    /// nothing of the endpoint.
    pub fn postpone(&mut self, now: Instant) {
        self.next = now + self.settings.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::now;

    const BAD: Answer = Answer::Failure;
    const GOOD: Answer = Answer::Success;

    #[test]
    fn thresholds_count_answers_in_a_row() {
        let cases: [(&str, &[Answer], Option<bool>); 7] = [
            ("no answer", &[], None),
            ("first success", &[GOOD], Some(true)),
            ("first failure", &[BAD], Some(false)),
            ("two failures", &[GOOD, BAD, BAD], Some(true)),
            ("three failures", &[GOOD, BAD, BAD, BAD], Some(false)),
            ("interrupted", &[GOOD, BAD, BAD, GOOD, BAD], Some(true)),
            ("one success", &[BAD, GOOD], Some(false)),
        ];
        for (name, answers, expected) in cases {
            assert_eq!(after(answers), expected, "{name}");
        }
        assert_eq!(after(&[BAD, GOOD, GOOD]), Some(true));
        assert_eq!(
            after(&[GOOD, Answer::Unhealthy]),
            Some(false),
            "it says so itself"
        );
    }

    #[test]
    fn the_next_probe_waits_for_the_interval() {
        let now = now();
        let mut prober = Prober::new(ProbeSettings::new(Probe::Tcp), now);
        prober.handle_answer(GOOD, now + Duration::from_secs(3));
        assert_eq!(prober.next_probe(), now + Duration::from_secs(13));
    }

    #[test]
    fn statuses_are_judged_by_kind() {
        let http = Probe::Http {
            path: "/".into(),
            host: None,
            expected: vec![(200, 299), (401, 401)],
        };
        let grpc = Probe::Grpc {
            service: String::new(),
        };
        let cases = [
            (&http, 204, GOOD),
            (&http, 401, GOOD),
            (&http, 503, Answer::Unhealthy),
            (&grpc, 200, GOOD),
            (&grpc, 503, BAD),
        ];
        for (probe, status, expected) in cases {
            assert_eq!(
                probe.evaluate_status(status),
                expected,
                "{probe:?} {status}"
            );
        }
        assert_eq!(Probe::evaluate_serving(2), Answer::Unhealthy);
    }

    fn after(answers: &[Answer]) -> Option<bool> {
        let mut prober = Prober::new(ProbeSettings::new(Probe::Tcp), now());
        for answer in answers {
            prober.handle_answer(*answer, now());
        }
        prober.is_healthy()
    }
}
