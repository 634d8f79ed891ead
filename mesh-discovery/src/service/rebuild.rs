//! Tables that are compiled beside the requests.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::seams::now;
use crate::balance::{Pick, PickRequest};
use crate::cluster::Upstream;

impl Upstream {
    /// Picks an endpoint as its [`Balancer`](crate::balance::Balancer::pick_with_cluster) does, and has a
    /// table that [is stale](crate::balance::Balancer::is_stale) compiled: on a thread of the tokio
    /// runtime for what blocks, or here if there is no runtime. The pick does not wait for that.
    pub fn pick(
        self: &Arc<Self>,
        request: &PickRequest<'_>,
        random: impl FnMut() -> u64,
    ) -> Option<Pick> {
        let picked = self.balancer().pick_with_cluster(request, random);
        start(self);
        picked
    }
}

/// Has the balancer's tables compiled on a thread that may wait, unless that happens already. Without
/// a runtime it happens here.
fn start(upstream: &Arc<Upstream>) {
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
        let upstream = stale();
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

    #[tokio::test]
    async fn so_has_a_pick_without_a_request() {
        let upstream = stale();
        assert!(upstream.pick(&PickRequest::new(now()), || 0).is_some());
        while upstream.balancer().is_stale() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn without_a_runtime_a_pick_compiles_the_table_itself() {
        let upstream = stale();
        assert!(upstream.pick(&PickRequest::new(now()), || 0).is_some());
        assert!(!upstream.balancer().is_stale());
    }

    /// A cluster with an endpoint that its table does not have yet.
    fn stale() -> Arc<Upstream> {
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
        upstream
    }
}
