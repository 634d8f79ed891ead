//! The same policies in both: authorization, tokens, faults, rate limits and retries.

pub(crate) mod backend;
pub(crate) mod configuration;
pub(crate) mod encode;
mod issuers;
mod request;

use fastrand::Rng;

use self::issuers::Issuers;
use crate::agreement::Tally;
use crate::scene::Scene;

const CONFIGURATIONS: u64 = 40;
const REQUESTS: usize = 60;

/// What has to have been answered often enough for the comparison to be worth something.
const STATUSES: [u16; 7] = [200, 203, 401, 403, 404, 429, 503];

#[test]
#[ignore = "needs envoy"]
fn envoy_enforces_generated_policies_as_we_do() {
    let mut tally = Tally::default();
    let (issuers, backend) = (Issuers::new(), backend::start());
    for seed in 0..CONFIGURATIONS {
        let mut rng = Rng::with_seed(seed);
        let resources = configuration::generate(&mut rng, backend, &issuers);
        let limits = encode::limits(&resources);
        let scene = Scene::of(&resources, |model| encode::filters(model, &limits));
        for _ in 0..REQUESTS {
            let request = request::generate(&mut rng, &issuers);
            let (ours, theirs) = scene.send(&request);
            tally.compare(seed, &request, ours, theirs);
        }
    }
    eprintln!("{tally}");
    for status in STATUSES {
        assert!(tally.statuses(status) >= 20, "too few of {status}: {tally}");
    }
    assert_eq!(tally.disagreements(), 0, "{tally}");
}
