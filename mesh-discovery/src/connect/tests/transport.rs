//! Connections whose cluster, or endpoint, is reached by other means than before.

use mesh_core::model::cluster::{Endpoint, MeshTls, UpstreamTls};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_connection_carries_no_request_that_is_to_go_by_another_transport() {
    let sni = || UpstreamTls::Mesh(mesh_tls("cart", "spiffe://a/ns/shop/sa/cart"));
    let cases: [(&str, UpstreamTls, Change); 5] = [
        ("mTLS", UpstreamTls::Plaintext, |cluster, _| {
            cluster.tls = UpstreamTls::Mesh(MeshTls::default());
        }),
        ("SAN", sni(), |cluster, _| {
            cluster.tls = UpstreamTls::Mesh(mesh_tls("cart", "spiffe://b/ns/shop/sa/cart"));
        }),
        ("SNI", sni(), |cluster, _| {
            cluster.tls = UpstreamTls::Mesh(mesh_tls("users", "spiffe://a/ns/shop/sa/cart"));
        }),
        (
            "endpoint",
            UpstreamTls::Auto(MeshTls::default()),
            |_, endpoint| {
                endpoint.mesh_tls = true;
            },
        ),
        ("PROXY protocol", UpstreamTls::Plaintext, |cluster, _| {
            cluster.policy.proxy_protocol = Some(serde_json::from_str("{}").unwrap());
        }),
    ];
    for protocol in [Protocol::Http, Protocol::Http2] {
        for (name, tls, change) in &cases {
            let mut mesh = Mesh::new("{}", protocol);
            mesh.change(|cluster, _| cluster.tls = tls.clone());
            assert_eq!(mesh.get().await, "hello");
            mesh.change(|cluster, _| cluster.connect_timeout = Duration::from_secs(3));
            assert_eq!(mesh.get().await, "hello");
            assert_eq!(mesh.connections(), 1, "{name}: nothing changed for it");

            mesh.change(change);
            for _ in 0..2 {
                assert_eq!(mesh.get().await, "hello");
                assert_eq!(mesh.connections(), 2, "{name}");
            }
            let open = mesh.target.breakers.used(Resource::Connections);
            assert_eq!(open, 1, "{name}: the other is closed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_in_use_while_the_transport_changes_is_not_used_again() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mut mesh = Mesh::new("{}", protocol);
        let before = mesh.send().await;
        mesh.change(|cluster, _| cluster.tls = UpstreamTls::Mesh(MeshTls::default()));
        let after = mesh.send().await;
        assert_eq!(mesh.connections(), 2, "{protocol:?}");
        assert_eq!(text(before).await, "hello", "it comes to its end");
        assert_eq!(text(after).await, "hello");
        assert_eq!(mesh.get().await, "hello");
        assert_eq!(mesh.connections(), 2, "{protocol:?}");
        assert_eq!(mesh.target.breakers.used(Resource::Connections), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_connection_by_the_transport_before() {
    let mut mesh = Mesh::new("{}", Protocol::Http2);
    mesh.faults(Fault::Hang, 1);
    let mut before = tokio_test::task::spawn(mesh.send());
    assert!(before.poll().is_pending());
    mesh.change(|cluster, _| cluster.tls = UpstreamTls::Mesh(MeshTls::default()));
    assert_eq!(mesh.get().await, "hello");
    assert_eq!(before.await.status(), 503);
    assert_eq!(mesh.get().await, "hello");
    assert_eq!(mesh.connections(), 1);
}

type Change = fn(&mut Cluster, &mut Endpoint);

impl<S> Mesh<S> {
    /// Requests go to another version of the cluster and the endpoint.
    fn change(&mut self, change: impl FnOnce(&mut Cluster, &mut Endpoint)) {
        let mut cluster = Cluster::clone(&self.target.cluster);
        let mut endpoint = Endpoint::clone(&self.target.endpoint);
        change(&mut cluster, &mut endpoint);
        self.target.cluster = Arc::new(cluster);
        self.target.endpoint = Arc::new(endpoint);
    }
}

fn mesh_tls(sni: &str, name: &str) -> MeshTls {
    MeshTls {
        sni: sni.to_owned(),
        subject_alt_names: vec![name.to_owned()],
    }
}
