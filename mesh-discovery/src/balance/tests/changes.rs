//! Changes beside picks, and beside each other.

use super::*;

#[test]
fn a_pick_does_not_wait_for_a_change_though_an_ejection_is_over() {
    let start = now();
    let mut cluster = cluster("{}", &[endpoint(1), endpoint(2)]);
    eject_after(&mut cluster, 1);
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    let failed = pick(&balancer, start);
    balancer.record(&failed, FAILURE, start);
    let later = start + Duration::from_secs(60);
    let changing = balancer.state();
    std::thread::scope(|scope| {
        let (sender, picked) = std::sync::mpsc::channel();
        let balancer = &balancer;
        scope.spawn(move || sender.send(pick(balancer, later)));
        let picked = picked.recv_timeout(Duration::from_secs(10));
        drop(changing);
        assert_ne!(
            picked.unwrap().id(),
            failed.id(),
            "it returns by the next pick"
        );
    });
    pick(&balancer, later);
    let state = balancer.state();
    let member = state.members.get(&failed.endpoint().address).unwrap();
    assert!(!member.is_ejected);
}

#[test]
fn an_ejection_keeps_the_policy_that_came_in_meanwhile() {
    let start = now();
    let mut before = cluster(r#"{"simple": "RANDOM"}"#, &[endpoint(1), endpoint(2)]);
    let outlier = r#"{"consecutiveGatewayErrors": 1, "maxEjectionPercent": 100}"#;
    before.policy.outlier_detection = Some(serde_json::from_str(outlier).unwrap());
    let mut after = before.clone();
    after.policy.load_balancer =
        Some(serde_json::from_str(r#"{"simple": "ROUND_ROBIN"}"#).unwrap());
    let balancer = Balancer::new(Arc::new(before), Client::default(), start, 0);
    let host = pick(&balancer, start);
    let errors = || format!("{:?}", host.state().monitor());
    let none = errors();
    let mut state = balancer.state();
    std::thread::scope(|scope| {
        let ejecting = scope.spawn(|| balancer.record(&host, FAILURE, start));
        while errors() == none {
            std::thread::yield_now();
        }
        balancer.put(&mut state, Arc::new(after), start);
        drop(state);
        assert!(ejecting.join().unwrap().is_some());
    });
    assert_eq!(
        balancer.snapshot().settings.policy.to_string(),
        "ROUND_ROBIN"
    );
}

#[test]
fn a_policy_of_the_program_stays_when_the_cluster_is_replaced() {
    use policy::{Policy, PolicyError};

    let round_robin = || Arc::new(cluster(r#"{"simple": "ROUND_ROBIN"}"#, &[endpoint(1)]));
    let made = || Balancer::new(round_robin(), Client::default(), now(), 0);
    let balancer = made().with_policy(Policy::PeakEwma, now()).unwrap();
    balancer.replace(round_robin(), now());
    assert_eq!(balancer.snapshot().settings.policy, Policy::PeakEwma);

    let refused = made().with_policy(Policy::Maglev { table_size: 10 }, now());
    assert!(matches!(refused, Err(PolicyError::TableSize(_))));
}
