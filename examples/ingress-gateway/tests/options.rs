use std::path::PathBuf;

use clap::Parser;
use examples::program::log;
use mesh_core::workload::WorkloadKind;

use super::scene::{Program, answering};
use crate::options::Options;

#[test]
fn by_default_it_is_istios_ingress_gateway() {
    let options = options(&["--config", "mesh.yaml"]).unwrap();
    let workload = options.files().workload;
    assert_eq!(workload.kind, WorkloadKind::Gateway);
    assert_eq!(workload.namespace, "istio-system");
    assert_eq!(workload.labels.to_string(), "istio=ingressgateway");
    assert_eq!(options.drain().as_secs(), 45);
    assert_eq!(options.admin.to_string(), "127.0.0.1:15000");
    assert!(options.identity.is_none());

    let settings = options.settings(log::open(None).unwrap());
    assert_eq!(settings.bind.to_string(), "0.0.0.0");
    assert!(settings.ports.is_empty(), "{:?}", settings.ports);
    assert!(settings.threads > 0 && !settings.metrics && !settings.log_all);
    assert!(settings.captures.is_empty(), "nothing is redirected to it");
}

#[test]
fn what_it_is_and_where_it_listens_can_be_said() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log").display().to_string();
    let arguments = [
        "--config=mesh.yaml",
        "--namespace=shop",
        "--labels=app=edge,tier=front",
        "--locality=eu/a/rack",
        "--scope-gateway-to-namespace",
        "--identity=/etc/certs",
        "--bind=127.0.0.1",
        "--map-port=80=8080",
        "--map-port=443=0",
        "--threads=3",
        "--metrics",
        "--access-log",
        &log,
        "--admin=127.0.0.1:0",
        "--drain=7",
    ];
    let options = options(&arguments).unwrap();
    let files = options.files();
    assert_eq!(files.paths, [PathBuf::from("mesh.yaml")]);
    assert_eq!(files.workload.namespace, "shop");
    assert_eq!(files.workload.labels.to_string(), "app=edge,tier=front");
    assert_eq!(files.workload.locality, "eu/a/rack");
    assert!(files.features.scope_gateway_to_namespace);
    assert_eq!(options.identity, Some(PathBuf::from("/etc/certs")));
    assert_eq!(options.drain().as_secs(), 7);
    assert_eq!(options.admin.to_string(), "127.0.0.1:0");

    let settings = options.settings(log::open(Some(log.as_ref())).unwrap());
    assert_eq!(settings.bind.to_string(), "127.0.0.1");
    assert_eq!(settings.ports, [(80, 8080), (443, 0)].into());
    assert_eq!(settings.threads, 3);
    assert!(settings.metrics && settings.log_all);
}

#[test]
fn what_demands_an_identity_is_served_with_one_only() {
    let directory = tempfile::tempdir().unwrap();
    let identity = format!("--identity={}", directory.path().display());
    let mutual = "servers: [{ port: { number: 443, name: https, protocol: HTTPS }, hosts: ['*'], \
                  tls: { mode: ISTIO_MUTUAL } }, ";
    let yaml = answering("open").replace("servers: [", mutual);
    for (further, is_served) in [(&[][..], false), (&[identity.as_str()], true)] {
        let program = Program::start_with(&yaml, further);
        assert!(program.serves(80));
        assert_eq!(program.serves(443), is_served, "{further:?}");
    }
}

#[test]
fn a_command_line_that_says_nothing_sensible_is_refused() {
    for (arguments, expected) in [
        (&["--threads=1"][..], "--config"),
        (
            &["--config=a", "--map-port=80"],
            "`80` is not of the form DECLARED=BOUND, two port numbers",
        ),
        (
            &["--config=a", "--map-port=80=70000"],
            "`80=70000` is not of the form DECLARED=BOUND",
        ),
        (
            &["--config=a", "--labels=app"],
            "`app` is not of the form KEY=VALUE",
        ),
        (&["--config=a", "--bind=localhost"], "--bind"),
        (&["--config=a", "--admin=15000"], "--admin"),
        (&["--config=a", "--drain=soon"], "--drain"),
        (
            &["--config=a", "--locality=eu//rack"],
            "`eu//rack` is not of the form REGION/ZONE/SUBZONE",
        ),
    ] {
        let error = options(arguments).unwrap_err().to_string();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

fn options(arguments: &[&str]) -> Result<Options, clap::Error> {
    Options::try_parse_from(["ingress-gateway"].iter().chain(arguments))
}
