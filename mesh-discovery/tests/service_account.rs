//! A pod that reads its cluster as its service account, by the files that are mounted.
#![cfg(feature = "kubernetes")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "no test uses all of it")]
#[path = "support/api_server.rs"]
mod api_server;

use std::error::Error as _;
use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::time::Duration;

use mesh_core::resource::kind::Kind;
use mesh_discovery::source::kubernetes::{
    Cluster, ConnectError, Kubernetes, Pauses, ServiceAccount, connect,
};
use mesh_discovery::source::{Source, Update};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use api_server::{ApiServer, TOKEN};

/// Far more than any of the exchanges takes, and less than it takes for a token to be read anew.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVICES: &str = "v1/services";

/// The files of a pod in the cluster of `server`.
struct Mounted {
    account: ServiceAccount,
    directory: TempDir,
}

impl Mounted {
    fn new(server: &ApiServer) -> Self {
        // Fails only if another test was faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let url = format!("https://{}", server.address);
        let mounted = Self {
            account: ServiceAccount::mounted(url, directory.path()),
            directory,
        };
        mounted.write("token", TOKEN);
        mounted.write("ca.crt", &server.certificate_pem);
        mounted.write("namespace", "shop\n");
        mounted
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces a file whole, as the kubelet does.
    fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    async fn connect(&self) -> Result<kube::Client, ConnectError> {
        connect(&Cluster::ServiceAccount(self.account.clone())).await
    }

    async fn source(&self) -> Kubernetes {
        let pauses = Pauses {
            base: Duration::from_millis(20),
            max: Duration::from_millis(100),
            recheck: Duration::from_millis(50),
        };
        Kubernetes::new(self.connect().await.unwrap())
            .with_kinds([Kind::Service])
            .with_pauses(pauses)
    }
}

async fn next(source: &mut Kubernetes) -> Update {
    let update = poll_fn(|cx| source.poll_update(cx));
    timeout(PATIENCE, update).await.unwrap().unwrap()
}

/// Waits until the source tells of the Service `name`. Whether it said meanwhile that it can be read
/// again, after a failure.
async fn wait_for(source: &mut Kubernetes, name: &str) -> bool {
    let found = async {
        let mut recovered = false;
        loop {
            let objects = match next(source).await {
                Update::All(objects) | Update::AllOf { objects, .. } => objects,
                Update::Changes { applied, .. } => applied,
                Update::Recovered => {
                    recovered = true;
                    continue;
                }
                _ => continue,
            };
            if objects.iter().any(|object| object.metadata().name == name) {
                return recovered;
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

fn add(server: &ApiServer, name: &str) {
    let metadata = json!({ "name": name, "namespace": "shop" });
    let ports = json!([{ "name": "http", "port": 80 }]);
    let service = json!({ "metadata": metadata, "spec": { "ports": ports } });
    server.apply(SERVICES, service);
}

#[tokio::test]
async fn a_pod_reads_its_cluster_by_the_token_that_is_mounted() {
    let server = ApiServer::start().await;
    add(&server, "cart");
    let mounted = Mounted::new(&server);
    let client = mounted.connect().await.unwrap();
    assert_eq!(client.default_namespace(), "shop");
    wait_for(&mut mounted.source().await, "cart").await;
}

#[tokio::test]
async fn a_token_that_was_replaced_is_used_once_the_server_refuses_the_one_before() {
    let server = ApiServer::start().await;
    add(&server, "cart");
    let mounted = Mounted::new(&server);
    let mut source = mounted.source().await;
    wait_for(&mut source, "cart").await;
    server.wait_for("watch v1/services").await;

    mounted.write("token", "another");
    server.replace_token("another");
    let refused = async { while !matches!(next(&mut source).await, Update::Failed(_)) {} };
    timeout(PATIENCE, refused).await.unwrap();
    add(&server, "users");
    assert!(wait_for(&mut source, "users").await);
}

#[tokio::test]
async fn a_server_that_the_authorities_do_not_vouch_for_is_told_of_as_such() {
    let (server, other) = (ApiServer::start().await, ApiServer::start().await);
    add(&server, "cart");
    let mounted = Mounted::new(&server);
    mounted.write("ca.crt", &other.certificate_pem);
    let mut source = mounted.source().await;
    let Update::Failed(why) = next(&mut source).await else {
        panic!()
    };
    let why = why[0].to_string();
    assert!(why.contains("invalid peer certificate"), "{why}");
    assert_eq!(why.matches("invalid peer certificate").count(), 1, "{why}");
    assert!(server.requests().is_empty(), "the token was not shown");
}

#[tokio::test]
async fn a_file_that_is_missing_or_malformed_is_named() {
    let server = ApiServer::start().await;
    for (name, text, expected) in [
        ("token", None, "cannot be read"),
        ("token", Some("\n"), "has no token"),
        ("ca.crt", None, "cannot be read"),
        ("ca.crt", Some("none"), "has no certificate"),
        ("namespace", None, "cannot be read"),
    ] {
        let mounted = Mounted::new(&server);
        match text {
            None => fs::remove_file(mounted.path(name)).unwrap(),
            Some(text) => mounted.write(name, text),
        }
        let Err(error) = mounted.connect().await else {
            panic!("{name} {text:?}");
        };
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let expected = format!("`{}` {expected}", Path::display(&mounted.path(name)));
        assert_eq!(cause, expected);
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let account = ServiceAccount::mounted("https://[oops", "/nowhere");
    let Err(error) = connect(&Cluster::ServiceAccount(account)).await else {
        panic!();
    };
    let expected = "`https://[oops` is no address of an API server";
    assert_eq!(error.to_string(), expected);
}
