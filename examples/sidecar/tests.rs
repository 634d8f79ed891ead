use std::collections::BTreeMap;

use clap::Parser;
use examples::program::log;
use mesh_core::config::MeshConfig;
use mesh_core::model::listener::Direction;
use mesh_core::resolve::resolve;
use mesh_core::resource::istio::mesh_config::MeshConfig as MeshOptions;
use mesh_policy::admission::values::Values;
use mesh_policy::admission::{Injector, Owner, Placement, Pod};
use serde_json::{Value, json};

use crate::check;
use crate::options::Options;

#[test]
fn the_check_passes() {
    check::run().unwrap();
}

#[test]
fn what_the_template_passes_is_understood() {
    let labels = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(labels.path(), "app=\"cart\"\nversion=\"v1\"\n").unwrap();
    let mut arguments = injected(&json!({"inboundTrafficPolicy": {"mode": "LOCALHOST"}}));
    for argument in &mut arguments {
        if argument == "/etc/istio/pod/labels" {
            *argument = labels.path().display().to_string();
        }
    }
    let options = options(&arguments).unwrap();

    let workload = options.files().unwrap().workload;
    assert_eq!(workload.name, "cart-7");
    assert_eq!(workload.namespace, "shop");
    assert_eq!(workload.service_account, "cart");
    assert_eq!(
        workload.addresses,
        ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(workload.labels.to_string(), "app=cart,version=v1");
    assert_eq!(workload.network, "", "it is not known");
    assert_eq!(options.status_port, [15020, 15021]);
    assert_eq!(options.probe_address().to_string(), "127.0.0.1");
    assert!(options.probes.get("/app-health/cart/readyz").is_some());
    assert!(options.identity().is_some());
    assert_eq!(
        captures(&options),
        [
            (Direction::Inbound, "0.0.0.0:15006".to_owned(), true),
            (Direction::Outbound, "127.0.0.1:15001".to_owned(), true),
        ]
    );
}

#[test]
fn tls_of_ingress_ports_is_asked_for_as_istiod_is() {
    let labels = tempfile::NamedTempFile::new().unwrap();
    let mut arguments = injected(&json!({}));
    for argument in &mut arguments {
        if argument == "/etc/istio/pod/labels" {
            *argument = labels.path().display().to_string();
        }
    }
    for asked in [false, true] {
        if asked {
            arguments.push("--tls-on-sidecar-ingress".to_owned());
        }
        let features = options(&arguments).unwrap().files().unwrap().features;
        assert_eq!(features.tls_on_sidecar_ingress, asked);
    }
}

#[test]
fn a_workload_is_where_its_argument_says_or_the_labels_of_its_pod() {
    let labels = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(labels.path(), "istio-locality=\"eu.a\"\n").unwrap();
    let labels = labels.path().to_str().unwrap();
    let arguments = ["--config", "mesh.yaml", "--labels-file", labels];
    let located = |options: Options| {
        let config = MeshConfig::builder().build(1).unwrap();
        resolve(&config, &options.files().unwrap().workload)
            .workload
            .locality
    };
    assert_eq!(located(options(&arguments).unwrap()), "eu/a");
    let further = |place| options(&[&arguments[..], &["--locality", place]].concat());
    assert_eq!(located(further("us/b/rack").unwrap()), "us/b/rack");
    let error = further("us//rack").unwrap_err().to_string();
    assert!(error.contains("REGION/ZONE/SUBZONE"), "{error}");
}

#[test]
fn settings_of_the_mesh_that_the_template_passes_are_understood() {
    let arguments = injected(&json!({
        "proxyListenPort": 16001,
        "proxyInboundListenPort": 16006,
        "defaultConfig": {
            "concurrency": 2,
            "interceptionMode": "REDIRECT",
            "terminationDrainDuration": "7s",
        },
    }));
    let options = options(&arguments).unwrap();
    assert_eq!(options.drain().as_secs(), 7);
    let sockets: Vec<_> = captures(&options)
        .into_iter()
        .map(|(_, socket, _)| socket)
        .collect();
    assert_eq!(sockets, ["0.0.0.0:16006", "127.0.0.1:16001"]);
}

#[test]
fn a_way_of_redirecting_that_there_is_not_is_refused() {
    let arguments = injected(&json!({"defaultConfig": {"interceptionMode": "TPROXY"}}));
    let error = options(&arguments).unwrap_err().to_string();
    assert!(error.contains("possible values: REDIRECT, NONE"), "{error}");
}

#[test]
fn what_is_not_redirected_is_captured_by_address() {
    let capture = "inbound:127.0.0.1:80=0.0.0.0:8080";
    let options = options(&["--config", "mesh.yaml", "--capture", capture]).unwrap();
    let expected = (Direction::Inbound, "0.0.0.0:8080".to_owned(), false);
    assert_eq!(captures(&options), [expected]);
    for wrong in [
        "127.0.0.1:80=0.0.0.0:8080",
        "inbound:80=8080",
        "inbound:127.0.0.1:80",
    ] {
        let error = self::options(&["--config", "mesh.yaml", "--capture", wrong]).unwrap_err();
        assert!(error.to_string().contains("is not of the form"), "{error}");
    }
}

#[test]
fn a_pod_of_ipv6_is_redirected_to_ipv6() {
    let options = options(&["--config", "mesh.yaml", "--addresses", "2001:db8::7"]).unwrap();
    let sockets: Vec<_> = captures(&options)
        .into_iter()
        .map(|(_, socket, _)| socket)
        .collect();
    assert_eq!(sockets, ["[::]:15006", "[::1]:15001"]);
}

#[test]
fn an_authority_is_asked_by_a_token() {
    let authority = [
        "--config",
        "mesh.yaml",
        "--ca",
        "https://istiod.istio-system.svc:15012",
    ];
    let error = options(&authority).unwrap_err().to_string();
    assert!(error.contains("--ca-root"), "{error}");
    assert!(error.contains("--token"), "{error}");
}

#[test]
fn probes_that_cannot_be_made_are_refused() {
    for (probes, expected) in [
        ("{", "not the JSON"),
        (
            r#"{"/healthz": {"tcpSocket": {"port": 80}}}"#,
            "`/healthz` is no probe",
        ),
        (r#"{"/app-health/cart/readyz": {}}"#, "is no probe"),
        (
            r#"{"/app-health/cart/readyz": {"httpGet": {"port": "http"}}}"#,
            "not the JSON",
        ),
    ] {
        let error = options(&["--config", "mesh.yaml", "--probes", probes]).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

fn options<S: AsRef<str>>(arguments: &[S]) -> Result<Options, clap::Error> {
    let arguments = arguments.iter().map(AsRef::as_ref);
    Options::try_parse_from(["sidecar"].into_iter().chain(arguments))
}

/// Direction and socket of what is captured, and whether it is redirected.
fn captures(options: &Options) -> Vec<(Direction, String, bool)> {
    let settings = options.settings(log::open(None).unwrap());
    let captures = settings.captures.iter();
    captures
        .map(|capture| {
            (
                capture.direction,
                capture.bind.to_string(),
                capture.is_redirected(),
            )
        })
        .collect()
}

/// The arguments of the sidecar in a pod of the mesh, as Kubernetes expands them.
fn injected(mesh: &Value) -> Vec<String> {
    let mesh: MeshOptions = serde_json::from_value(mesh.clone()).unwrap();
    let pod = Pod::new(json!({
        "metadata": {
            "name": "cart-7",
            "namespace": "shop",
            "labels": {"app": "cart", "version": "v1"},
            "annotations": {"inject.istio.io/templates": "mesh-sidecar"},
        },
        "spec": {"containers": [{
            "name": "cart",
            "image": "cart:1",
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 80}},
        }]},
    }));
    let injector = Injector::new(Values::default(), mesh);
    let injected = injector.inject(&pod, &Owner::of(&pod), Placement::default());
    let injected = injected.unwrap().into_value();
    let containers = injected["spec"]["initContainers"].as_array().unwrap();
    let proxy = containers
        .iter()
        .find(|container| container["name"] == "istio-proxy");
    let proxy = proxy.unwrap();
    let variables = variables(&proxy["env"]);
    let arguments = proxy["args"].as_array().unwrap().iter();
    arguments
        .map(|argument| expand(argument.as_str().unwrap(), &variables))
        .collect()
}

fn variables(env: &Value) -> BTreeMap<&str, String> {
    let of_pod = |path: &str| match path {
        "metadata.name" => "cart-7",
        "metadata.namespace" => "shop",
        "spec.serviceAccountName" => "cart",
        "status.podIP" => "10.0.0.7",
        _ => "",
    };
    let variables = env.as_array().unwrap().iter();
    let variables = variables.map(|variable| {
        let field = variable.pointer("/valueFrom/fieldRef/fieldPath");
        let value = match field.and_then(Value::as_str) {
            Some(path) => of_pod(path),
            None => variable["value"].as_str().unwrap(),
        };
        (variable["name"].as_str().unwrap(), value.to_owned())
    });
    variables.collect()
}

/// As Kubernetes does: what is not set stays as it is.
fn expand(argument: &str, variables: &BTreeMap<&str, String>) -> String {
    let expanded = variables.iter();
    expanded.fold(argument.to_owned(), |argument, (name, value)| {
        argument.replace(&format!("$({name})"), value)
    })
}
