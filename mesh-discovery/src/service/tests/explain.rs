//! What is said of picks, and what is done.

use super::*;

#[tokio::test]
async fn what_is_explained_is_what_is_done_with_the_same_request() {
    let policy = r#"{"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}"#;
    let upstream = upstream(policy, 20);
    let service = Balance::new(upstream, |_: &Target| answering(200)).with_random(|| 7);
    let mut forward = Forward::to([WeightedDestination::new(ClusterName::from("cart"))]);
    forward.hash_policies = vec![HashPolicy::Header("x-user".into())];
    for user in 0..50 {
        let request = Request::get("/")
            .header("x-user", user)
            .extension(matched(forward.clone()))
            .body(())
            .unwrap();
        let decision = service.explain(&request);
        let response = service.clone().oneshot(request).await.unwrap();
        let selected = response.extensions().get::<SelectedEndpoint>().unwrap();
        let picked = Choice::Endpoint(selected.0.address.clone());
        assert_eq!(decision.outcome, picked, "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_explanation_names_who_is_ejected_and_until_when() {
    let policy = r#"{"outlierDetection": {"consecutive5xxErrors": 1, "maxEjectionPercent": 50}}"#;
    let upstream = upstream(policy, 2);
    send(&upstream, Request::new(()), 500).await;
    let service = Balance::new(upstream, |_: &Target| answering(200));
    let text = service.explain(&Request::new(())).to_string();
    let ejected = "no, ejected for consecutive5xxErrors, for 30 s more";
    assert!(text.contains(ejected), "{text}");
}

#[tokio::test]
async fn a_destination_that_is_none_is_explained() {
    let service = Dispatch::new(clusters(&["a"]), |_: &Target| answering(200));
    let cases = [
        (
            Some(ClusterSpecifier::Name("a".into())),
            "endpoint `10.0.0.1:1`",
        ),
        (Some(ClusterSpecifier::Name("b".into())), "no such cluster"),
        (Some(ClusterSpecifier::Refused(500)), "refused with 500"),
        (None, "no such cluster"),
    ];
    for (cluster, expected) in cases {
        let name = format!("{cluster:?}");
        let mut request = Request::new(());
        if let Some(cluster) = cluster {
            let forward = Forward::to([WeightedDestination::new(cluster)]);
            request.extensions_mut().insert(matched(forward));
        }
        let decision = service.explain(&request);
        assert_eq!(decision.outcome.to_string(), expected, "{name}");
    }
}
