//! Real peers as judges: the same model goes to an Envoy and to our gateway, the same requests to
//! both, and the answers have to agree.
//!
//! The tests need programs that `.ci/install` brings, and fail without them:
//! `PATH="$(bash .ci/install):$PATH" cargo test -p examples --test interop -- --ignored`.

mod agreement;
mod backend;
mod balancing;
mod envoy;
mod exchange;
mod foreign;
mod generate;
#[path = "../../../mesh-tls/tests/interop/lines.rs"]
mod lines;
mod policies;
mod scene;

use fastrand::Rng;

use crate::agreement::{Kind, Tally};
use crate::scene::Scene;

const CONFIGURATIONS: u64 = 32;
const REQUESTS: usize = 64;

#[test]
#[ignore = "needs envoy"]
fn envoy_answers_generated_requests_by_generated_routes_as_we_do() {
    let mut tally = Tally::default();
    for seed in 0..CONFIGURATIONS {
        let mut rng = Rng::with_seed(seed);
        let scene = Scene::new(&mut rng);
        for _ in 0..REQUESTS {
            let request = generate::request(&mut rng);
            let (ours, theirs) = scene.send(&request);
            tally.compare(seed, &request, ours, theirs);
        }
    }
    eprintln!("{tally}");
    // What is compared has to be worth comparing.
    for kind in Kind::ALL {
        assert!(tally.count(kind) >= 20, "too few of {kind:?}: {tally}");
    }
    assert_eq!(tally.disagreements(), 0, "{tally}");
}
