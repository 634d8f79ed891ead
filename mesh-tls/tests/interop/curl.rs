//! curl.

use std::process::Command;

use mesh_core::resource::istio::gateway::ServerTlsMode;

use crate::hosts::Hosts;
use crate::ours::against_our_server;
use crate::process::bounded;

fn curl(hosts: &Hosts, authority: &str, credential: Option<&str>, port: u16) -> Command {
    let mut curl = bounded("curl");
    curl.args(["--silent", "--show-error", "--http1.1", "--cacert"]);
    curl.arg(hosts.files.path(authority));
    let server = format!("shop.example:443:127.0.0.1:{port}");
    curl.args(["--connect-to", &server]);
    if let Some(credential) = credential {
        let [chain, key] = ["pem", "key"].map(|kind| format!("{credential}.{kind}"));
        curl.arg("--cert").arg(hosts.files.path(&chain));
        curl.arg("--key").arg(hosts.files.path(&key));
    }
    curl.arg("https://shop.example/");
    curl
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn curl_calls_our_server() {
    use ServerTlsMode::{Mutual, OptionalMutual, Simple};
    let hosts = Hosts::new();
    let (ours, others) = (Some("root-client"), Some("stranger-client"));
    let cases = [
        (Simple, "root.pem", None, true, "ok"),
        (Simple, "stranger.pem", None, false, "our_issuer_untrusted"),
        (Mutual, "root.pem", ours, true, "ok"),
        (Mutual, "root.pem", others, false, "peer_issuer_untrusted"),
        (Mutual, "root.pem", None, false, "no_client_certificate"),
        (OptionalMutual, "root.pem", None, true, "ok"),
        (OptionalMutual, "root.pem", ours, true, "ok"),
        (
            OptionalMutual,
            "root.pem",
            others,
            false,
            "peer_issuer_untrusted",
        ),
    ];
    for (mode, authority, credential, is_content, outcome) in cases {
        let run = |port| curl(&hosts, authority, credential, port);
        let found = against_our_server(hosts.acceptor(mode), run).await;
        let name = format!("{mode:?} {authority} {credential:?}");
        assert_eq!((found.0, found.2.as_str()), (is_content, outcome), "{name}");
    }
}
