//! Versions of a cluster that come while a request is sent.

use std::sync::Mutex;

use mesh_core::model::cluster::UpstreamTls;

use super::*;

#[tokio::test]
async fn an_endpoint_is_spoken_to_as_the_version_says_that_it_was_picked_from() {
    let upstream = upstream("{}", 1);
    let targets = Arc::new(Mutex::new(Vec::new()));
    let service = Balance::new(Arc::clone(&upstream), {
        let targets = Arc::clone(&targets);
        move |target: &Target| {
            let is_secured = target.cluster.tls != UpstreamTls::Plaintext;
            let port = target.endpoint.address.port().unwrap();
            targets.lock().unwrap().push((port, is_secured));
            answering(200)
        }
    });
    // A pick draws a number. Just then another version comes.
    let service = service.with_random(move || {
        upstream.replace(secured(2), now());
        0
    });
    for _ in 0..2 {
        service.clone().oneshot(Request::new(())).await.unwrap();
    }
    assert_eq!(*targets.lock().unwrap(), [(1, false), (2, true)]);
}

/// A version of the cluster that demands TLS of its endpoint.
fn secured(port: u16) -> Arc<Cluster> {
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.tls = UpstreamTls::Settings(Box::default());
    cluster.endpoints.push(endpoint(port));
    Arc::new(cluster)
}
