//! Which endpoint is picked: by an Envoy, and by the balancer with the same settings at the same
//! moments.

mod fleet;
mod judge;
mod pair;

use std::time::Duration;

use mesh_core::model::cluster::LocalityBalancing;
use serde_json::json;

use self::pair::{Member, Pair, Setting, now};

/// Requests of which the shares of endpoints are compared.
const MANY: usize = 100_000;

/// How far shares may be apart, in parts of one.
const TOLERANCE: f64 = 0.01;

/// What Istio has outlier detection do unless something else is written, but faster.
const INTERVAL: Duration = Duration::from_millis(500);
const EJECTION: Duration = Duration::from_millis(1500);

#[test]
#[ignore = "needs envoy"]
fn weights_give_endpoints_the_turns_and_the_shares_that_envoy_gives() {
    // Deadlines of these weights are exact in floating point, so that the turns are the same from
    // wherever they begin.
    let weights = [1, 2, 4, 8];
    let members: Vec<Member> = weights.map(Member::weighing).into();
    let pair = Pair::start(&Setting::round_robin(), &members);
    let period: usize = 15;
    let (ours, theirs) = (pair.ours(4 * period), pair.theirs(4 * period));
    // The first round depends on where it begins.
    let (ours, theirs) = (&ours[period..], &theirs[period..3 * period]);
    let is_found = (0..period).any(|start| &ours[start..start + 2 * period] == theirs);
    assert!(is_found, "ours {ours:?}, Envoy's {theirs:?}");

    let members: Vec<Member> = [1, 2, 3, 5, 7].map(Member::weighing).into();
    let pair = Pair::start(&Setting::round_robin(), &members);
    pair.compare_shares(MANY, TOLERANCE);
}

#[test]
#[ignore = "needs envoy"]
fn places_get_the_shares_that_envoy_gives_them_whole_or_in_part_ejected() {
    let setting = Setting {
        locality: LocalityBalancing::Locality {
            setting: serde_json::from_value(json!({
                "distribute": [{ "from": "eu/*", "to": { "eu/a/*": 70, "eu/b/*": 30 } }],
            }))
            .expect("it is one"),
            force: false,
        },
        outlier: json!({
            "consecutive5xxErrors": 1, "baseEjectionTime": "600s", "maxEjectionPercent": 100,
        }),
        cluster: json!({
            "common_lb_config": {
                "locality_weighted_lb_config": {}, "healthy_panic_threshold": { "value": 0 },
                "update_merge_window": "0s",
            },
            "outlier_detection": {
                "consecutive_5xx": 1, "base_ejection_time": "600s", "max_ejection_percent": 100,
                "max_ejection_time": "600s", "enforcing_success_rate": 0,
            },
        }),
        ..Setting::round_robin()
    };
    let places = [("a", 70), ("a", 70), ("b", 30), ("b", 30)];
    let members: Vec<Member> = places.map(|(zone, weight)| Member::at(zone, weight)).into();
    let pair = Pair::start(&setting, &members);
    pair.compare_shares(MANY / 2, TOLERANCE);
    // Half of the endpoints of a place can take 70 % of what is meant for it.
    pair.fail(&[0], true);
    pair.until_ejected(&[0]);
    pair.compare_shares(MANY / 2, TOLERANCE);
}

#[test]
#[ignore = "needs envoy"]
fn a_new_endpoint_is_warmed_up_as_by_envoy() {
    let window = 6;
    let setting = Setting {
        balancer: json!({
            "simple": "ROUND_ROBIN",
            "warmup": { "duration": format!("{window}s"), "minimumPercent": 10, "aggression": 2.0 },
        }),
        cluster: json!({
            "round_robin_lb_config": { "slow_start_config": {
                "slow_start_window": format!("{window}s"),
                "min_weight_percent": { "value": 10 },
                "aggression": { "default_value": 2.0, "runtime_key": "aggression" },
            } },
        }),
        ..Setting::round_robin()
    };
    let members: Vec<Member> = [1, 1, 1].map(Member::weighing).into();
    let pair = Pair::start(&setting, &members[..2]);
    // Those that are there from the beginning are warmed up together, and have even shares meanwhile.
    let (ours, theirs) = shares_of(&pair, 1, Duration::from_secs(window + 1));
    for share in [ours, theirs] {
        assert!((share - 0.5).abs() <= TOLERANCE, "{ours}, Envoy's {theirs}");
    }
    pair.replace(&members);
    for second in 0..=window {
        let (ours, theirs) = shares_of(&pair, 2, Duration::from_secs(1));
        let apart = (ours - theirs).abs();
        assert!(apart <= TOLERANCE, "{second} s: {ours}, Envoy's {theirs}");
    }
}

/// An endpoint's share of the requests of so long: by the balancer, and by Envoy.
fn shares_of(pair: &Pair, endpoint: usize, time: Duration) -> (f64, f64) {
    let until = now() + time;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    while now() < until {
        theirs.extend(pair.theirs(20));
        ours.extend(pair.ours(20));
    }
    let share = |picks: &[usize]| {
        let own = picks.iter().filter(|pick| **pick == endpoint).count();
        own as f64 / picks.len() as f64
    };
    (share(&ours), share(&theirs))
}

#[test]
#[ignore = "needs envoy"]
fn endpoints_are_ejected_and_return_when_envoy_ejects_them_and_has_them_return() {
    let setting = Setting::ejecting(3, 40, 0, EJECTION);
    let members: Vec<Member> = [1; 5].map(Member::weighing).into();
    let pair = Pair::start(&setting, &members);
    // Endpoints that fail from some moment on, until another; in milliseconds.
    let script = [
        // It is ejected twice, and is well when it returns for the second time.
        (0, 0..4_000),
        // There is room for two of these.
        (1, 6_500..8_000),
        (2, 6_500..8_000),
        (3, 6_500..8_000),
    ];
    let begin = now();
    let (mut ours, mut theirs) = (History::default(), History::default());
    loop {
        let elapsed = begin.elapsed();
        let millis = elapsed.as_millis();
        if millis > 10_000 {
            break;
        }
        for (endpoint, failing) in &script {
            pair.fail(&[*endpoint], failing.contains(&millis));
        }
        // As many requests for the one as for the other.
        pair.theirs(5);
        pair.ours(5);
        ours.observe(elapsed, pair.ejected_by_us());
        theirs.observe(elapsed, pair.ejected_by_envoy());
    }
    eprintln!("ours {:?}\nEnvoy's {:?}", ours.0, theirs.0);
    ours.compare(&theirs);
    let (total, other) = (ours.total(), theirs.total());
    // Four ejections end, each at an interval.
    assert!(
        total.abs_diff(other) <= 4 * INTERVAL,
        "{total:?}, Envoy's {other:?}"
    );
    assert_eq!(theirs.times_of(0).len(), 2, "it is ejected twice");
    assert_eq!(ours.most(), 2, "40 % of five");
    assert_eq!(theirs.most(), 2, "40 % of five");
}

#[test]
#[ignore = "needs envoy"]
fn in_panic_everybody_is_picked_as_by_envoy() {
    let setting = Setting::ejecting(1, 100, 50, Duration::from_secs(600));
    let members: Vec<Member> = [1; 4].map(Member::weighing).into();
    let pair = Pair::start(&setting, &members);
    let mut failing = Vec::new();
    for (endpoint, is_panic) in [(0, false), (1, false), (2, true)] {
        failing.push(endpoint);
        pair.fail(&[endpoint], true);
        pair.until_ejected(&failing);
        // Nothing more is to be ejected.
        pair.fail(&failing, false);
        let (ours, theirs) = (pair.ours(400), pair.theirs(400));
        for picks in [&ours, &theirs] {
            let to_ejected = picks.iter().any(|pick| failing.contains(pick));
            assert_eq!(to_ejected, is_panic, "{failing:?}: {picks:?}");
        }
    }
}

/// Who was ejected when.
#[derive(Debug, Default)]
struct History(Vec<(Duration, Vec<usize>)>);

impl History {
    fn observe(&mut self, at: Duration, ejected: Vec<usize>) {
        if self.0.last().is_none_or(|(_, last)| *last != ejected) {
            self.0.push((at, ejected));
        }
    }

    /// When the endpoint was ejected, and when it returned.
    fn times_of(&self, endpoint: usize) -> Vec<(Duration, Duration)> {
        let (mut times, mut since) = (Vec::new(), None);
        for (at, ejected) in &self.0 {
            match (ejected.contains(&endpoint), since) {
                (true, None) => since = Some(*at),
                (false, Some(begin)) => {
                    times.push((begin, *at));
                    since = None;
                }
                _ => {}
            }
        }
        times
    }

    fn most(&self) -> usize {
        let counts = self.0.iter().map(|(_, ejected)| ejected.len());
        counts.max().unwrap_or(0)
    }

    /// Whether the same was ejected as in another, at the same times but for an interval; of
    /// endpoints that fail together it is chance which are ejected.
    fn compare(&self, theirs: &Self) {
        let (ours, theirs) = (self.times_of(0), theirs.times_of(0));
        assert_eq!(ours.len(), theirs.len(), "{ours:?}, Envoy's {theirs:?}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(
                ours.0.abs_diff(theirs.0) <= INTERVAL,
                "{ours:?}, Envoy's {theirs:?}"
            );
            let (length, other) = (ours.1 - ours.0, theirs.1 - theirs.0);
            assert!(
                length.abs_diff(other) <= INTERVAL,
                "{length:?}, Envoy's {other:?}"
            );
        }
    }

    /// How long endpoints were ejected, all together.
    fn total(&self) -> Duration {
        let steps = self.0.iter().zip(self.0.iter().skip(1));
        let times = steps.map(|((begin, ejected), (end, _))| {
            let count = u32::try_from(ejected.len()).expect("there are few");
            (*end - *begin) * count
        });
        times.sum()
    }
}
