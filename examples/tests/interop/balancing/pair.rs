//! An Envoy and a balancer, over the same endpoints.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_core::decision::Verdict;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, LocalityBalancing};
use mesh_core::service::ClusterName;
use mesh_discovery::balance::{Balancer, PickRequest};
use mesh_discovery::health::outlier::Outcome;
use mesh_discovery::locality::Client;
use serde_json::{Value, json};

use super::INTERVAL;
use super::fleet::{Fleet, number};
use super::judge::Judge;

/// How long is waited for what has to happen.
const PATIENCE: Duration = Duration::from_secs(5);

/// An endpoint of both.
pub(super) struct Member {
    pub(super) weight: u32,
    pub(super) zone: &'static str,
    pub(super) zone_weight: u32,
}

impl Member {
    pub(super) fn weighing(weight: u32) -> Self {
        Self {
            weight,
            zone: "a",
            zone_weight: 1,
        }
    }

    pub(super) fn at(zone: &'static str, zone_weight: u32) -> Self {
        Self {
            weight: 1,
            zone,
            zone_weight,
        }
    }
}

/// The settings of both, each in its own words.
pub(super) struct Setting {
    /// A DestinationRule's `loadBalancer`.
    pub(super) balancer: Value,
    /// A DestinationRule's `outlierDetection`.
    pub(super) outlier: Value,
    pub(super) locality: LocalityBalancing,
    /// Fields of Envoy's cluster.
    pub(super) cluster: Value,
}

impl Setting {
    pub(super) fn round_robin() -> Self {
        Self {
            balancer: json!({ "simple": "ROUND_ROBIN" }),
            outlier: Value::Null,
            locality: LocalityBalancing::Off,
            cluster: json!({}),
        }
    }

    /// Ejects endpoints that fail so often in a row, so many percent of them, for so long at first;
    /// and picks regardless of health where fewer percent than `panic` are well.
    pub(super) fn ejecting(errors: u32, percent: u32, panic: u32, ejection: Duration) -> Self {
        let time = |time: Duration| format!("{}s", time.as_secs_f64());
        Self {
            outlier: json!({
                "consecutive5xxErrors": errors, "interval": time(INTERVAL),
                "baseEjectionTime": time(ejection), "maxEjectionPercent": percent,
                "minHealthPercent": panic,
            }),
            cluster: json!({
                // Envoy's workers would learn of an ejection up to a second after it was made.
                "common_lb_config": {
                    "healthy_panic_threshold": { "value": panic }, "update_merge_window": "0s",
                },
                "outlier_detection": {
                    "consecutive_5xx": errors, "enforcing_consecutive_5xx": 100,
                    "enforcing_success_rate": 0, "interval": time(INTERVAL),
                    "base_ejection_time": time(ejection), "max_ejection_time": time(Duration::from_secs(600)),
                    "max_ejection_percent": percent,
                },
            }),
            ..Self::round_robin()
        }
    }
}

/// Both, over a fleet of their own.
pub(super) struct Pair {
    fleet: Fleet,
    judge: Judge,
    balancer: Balancer,
}

impl Pair {
    pub(super) fn start(setting: &Setting, members: &[Member]) -> Self {
        let fleet = Fleet::start();
        let judge = Judge::start(&fleet, members, &setting.cluster);
        let mut cluster = Cluster::new(ClusterName::from("fleet"));
        let policy = &mut cluster.policy;
        policy.load_balancer = serde_json::from_value(setting.balancer.clone()).expect("it is one");
        policy.outlier_detection =
            serde_json::from_value(setting.outlier.clone()).expect("it is one");
        cluster.locality = setting.locality.clone();
        cluster.endpoints = endpoints(&fleet, members);
        let client = Client {
            locality: "eu/a/".into(),
            ..Client::default()
        };
        let balancer = Balancer::new(Arc::new(cluster), client, now(), fastrand::u64(..));
        Self {
            fleet,
            judge,
            balancer,
        }
    }

    /// Replaces the endpoints of both.
    pub(super) fn replace(&self, members: &[Member]) {
        self.judge.replace(&self.fleet, members);
        let endpoints = endpoints(&self.fleet, members);
        self.balancer.replace_endpoints(endpoints, now());
    }

    /// Has endpoints fail, or be well.
    pub(super) fn fail(&self, numbers: &[usize], fails: bool) {
        for number in numbers {
            self.fleet.fail(*number, fails);
        }
    }

    /// The endpoints that so many requests go to by Envoy.
    pub(super) fn theirs(&self, count: usize) -> Vec<usize> {
        self.judge.picks(count)
    }

    /// The endpoints that so many requests go to by the balancer, which is told what they answer.
    pub(super) fn ours(&self, count: usize) -> Vec<usize> {
        let pick = |_| {
            let now = now();
            let host = self
                .balancer
                .pick(&PickRequest::new(now), || fastrand::u64(..));
            let host = host.expect("an endpoint can be picked");
            let EndpointAddress::Ip(address) = host.endpoint().address else {
                panic!("endpoints have IP addresses");
            };
            let number = number(address.ip());
            let outcome = Outcome::Status(self.fleet.status(number));
            self.balancer.record(&host, outcome, now);
            number
        };
        (0..count).map(pick).collect()
    }

    pub(super) fn ejected_by_envoy(&self) -> Vec<usize> {
        self.judge.ejected()
    }

    pub(super) fn ejected_by_us(&self) -> Vec<usize> {
        let decision = self.balancer.explain(&PickRequest::new(now()), || 0);
        let is_ejected = |verdict: &Verdict| matches!(verdict, Verdict::Failed(why) if why.starts_with("ejected"));
        let steps = decision.steps.iter();
        let ejected = steps.filter(|step| is_ejected(&step.verdict));
        let number = |subject: &str| {
            let address = subject
                .trim_start_matches("endpoint `")
                .trim_end_matches('`');
            let address: std::net::SocketAddr = address.parse().expect("it is an address");
            number(address.ip())
        };
        ejected.map(|step| number(&step.subject)).collect()
    }

    /// Sends requests until both have ejected these and nobody else.
    pub(super) fn until_ejected(&self, expected: &[usize]) {
        let until = now() + PATIENCE;
        while self.ejected_by_us() != expected || self.ejected_by_envoy() != expected {
            self.ours(1);
            self.theirs(1);
            assert!(now() < until, "{expected:?} should be ejected");
        }
    }

    /// Compares the share of each endpoint of so many requests.
    pub(super) fn compare_shares(&self, count: usize, tolerance: f64) {
        let (ours, theirs) = (self.ours(count), self.theirs(count));
        let last = ours.iter().chain(&theirs).max().copied().unwrap_or(0);
        for number in 0..=last {
            let share = |picks: &[usize]| {
                let own = picks.iter().filter(|pick| **pick == number).count();
                own as f64 / count as f64
            };
            let (ours, theirs) = (share(&ours), share(&theirs));
            let apart = (ours - theirs).abs();
            assert!(apart <= tolerance, "{number}: {ours}, Envoy's {theirs}");
        }
    }
}

fn endpoints(fleet: &Fleet, members: &[Member]) -> Vec<Endpoint> {
    let endpoint = |(number, member): (usize, &Member)| Endpoint {
        weight: member.weight,
        locality: format!("eu/{}/", member.zone),
        ..Endpoint::new(EndpointAddress::Ip(fleet.address(number)))
    };
    members.iter().enumerate().map(endpoint).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "Envoy has no other clock than that of the machine"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
