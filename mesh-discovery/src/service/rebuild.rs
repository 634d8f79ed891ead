//! Tables that are compiled beside the requests.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::seams::now;
use crate::cluster::Upstream;

/// Has the balancer's tables compiled on a thread that may wait, unless that happens already. Without
/// a runtime it happens here.
pub(super) fn start(upstream: &Arc<Upstream>) {
    if !upstream.balancer().claim_rebuild() {
        return;
    }
    let claim = Claim(Arc::clone(upstream));
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || claim.rebuild())),
        Err(_) => claim.rebuild(),
    }
}

/// The task to compile tables. Whoever drops it leaves it to the next request.
struct Claim(Arc<Upstream>);

impl Claim {
    fn rebuild(&self) {
        self.0.balancer().rebuild(now());
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.balancer().release_rebuild();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use mesh_core::model::cluster::Cluster;
    use mesh_core::service::ClusterName;
    use tower::discover::Change;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::balance::testing::endpoint;
    use crate::locality::Client;
    use crate::service::{Balance, Target};

    #[tokio::test]
    async fn a_request_has_the_table_compiled_and_does_not_wait_for_it() {
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        let policy = r#"{"consistentHash": {"useSourceIp": true, "maglev": {}}}"#;
        cluster.policy.load_balancer = Some(serde_json::from_str(policy).unwrap());
        cluster.endpoints = vec![endpoint(1)];
        let upstream = Upstream::new(Arc::new(cluster), Client::default(), now(), 0);
        let upstream = Arc::new(upstream);
        let added = Arc::new(endpoint(2));
        let change = Change::Insert(added.address.clone(), added);
        upstream.balancer().apply([change], now());
        assert!(upstream.balancer().is_stale());

        let service = Balance::new(Arc::clone(&upstream), |_: &Target| {
            service_fn(|_: Request<()>| async {
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            })
        });
        service.oneshot(Request::new(())).await.unwrap();
        while upstream.balancer().is_stale() {
            tokio::task::yield_now().await;
        }
    }
}
