use mesh_core::resource::istio::mesh_config::MeshConfig;
use serde_json::{Value, json};

use crate::admission::values::Values;
use crate::admission::{Injector, Owner, Placement, Pod};

#[test]
fn a_pod_gets_the_init_container_and_the_sidecar() {
    let pod = inject(&pod(&json!({})));
    let spec = &pod.value()["spec"];
    assert_eq!(
        names(&spec["initContainers"]),
        ["istio-init", "istio-proxy"]
    );
    assert_eq!(names(&spec["containers"]), ["cart"]);
    let proxy = &spec["initContainers"][1];
    assert_eq!(proxy["restartPolicy"], "Always");
    assert_eq!(proxy["image"], "mesh-sidecar:latest");
    assert_eq!(proxy["securityContext"]["runAsUser"], 1337);
    assert_eq!(proxy["securityContext"]["readOnlyRootFilesystem"], true);
    let ready = json!({"path": "/healthz/ready", "port": 15021});
    assert_eq!(proxy["readinessProbe"]["httpGet"], ready);
    assert_eq!(proxy["startupProbe"]["httpGet"], ready);
    let init = &spec["initContainers"][0]["args"];
    assert_eq!(
        after(init, "-u"),
        Some("1337"),
        "the sidecar's own traffic is let alone"
    );
}

#[test]
fn a_pod_without_native_sidecars_gets_a_container() {
    let pod = inject(&pod(&json!({"sidecar.istio.io/nativeSidecar": "false"})));
    let spec = &pod.value()["spec"];
    assert_eq!(names(&spec["initContainers"]), ["istio-init"]);
    assert_eq!(names(&spec["containers"]), ["cart", "istio-proxy"]);
    assert_eq!(spec["containers"][1].get("restartPolicy"), None);
}

#[test]
fn what_the_sidecar_needs_is_mounted() {
    let pod = inject(&pod(&json!({})));
    let volumes = &pod.value()["spec"]["volumes"];
    let expected = [
        "mesh-config",
        "istio-token",
        "istio-podinfo",
        "istiod-ca-cert",
    ];
    assert_eq!(names(volumes), expected);
    assert_eq!(volumes[0]["configMap"], json!({"name": "mesh-sidecar"}));
    let mounts = proxy(&pod)["volumeMounts"].as_array().unwrap();
    for mount in mounts {
        assert!(
            expected.contains(&mount["name"].as_str().unwrap()),
            "{mount}"
        );
    }
    assert_eq!(mounts.len(), expected.len());
    let arguments = &proxy(&pod)["args"];
    for (argument, file) in [
        ("--config", "/etc/mesh/config"),
        ("--labels-file", "/etc/istio/pod/labels"),
        ("--ca-root", "/var/run/secrets/istio/root-cert.pem"),
        ("--token", "/var/run/secrets/tokens/istio-token"),
    ] {
        let told = after(arguments, argument).unwrap();
        assert_eq!(told, file);
        let is_mounted = |mount: &Value| file.starts_with(mount["mountPath"].as_str().unwrap());
        assert!(mounts.iter().any(is_mounted), "{file}");
    }
}

#[test]
fn variables_of_arguments_are_set() {
    let pod = inject(&pod(&json!({})));
    let (arguments, env) = (&proxy(&pod)["args"], names(&proxy(&pod)["env"]));
    for (argument, variable) in [
        ("--name", "POD_NAME"),
        ("--namespace", "POD_NAMESPACE"),
        ("--service-account", "SERVICE_ACCOUNT"),
        ("--addresses", "INSTANCE_IP"),
        ("--probes", "ISTIO_KUBE_APP_PROBERS"),
    ] {
        let expected = format!("$({variable})");
        assert_eq!(after(arguments, argument), Some(&*expected));
        assert!(env.contains(&variable), "{variable}");
    }
    assert_eq!(after(arguments, "--ca"), Some("https://$(CA_ADDR)"));
    assert!(env.contains(&"CA_ADDR"));
}

#[test]
fn probes_of_the_application_ask_the_sidecar() {
    let pod = inject(&pod(&json!({})));
    let probe = &pod.value()["spec"]["containers"][0]["readinessProbe"]["httpGet"];
    assert_eq!(
        probe,
        &json!({"path": "/app-health/cart/readyz", "port": 15020})
    );
    assert_eq!(
        after(&proxy(&pod)["args"], "--status-port"),
        Some("15020,15021")
    );
    let moved = inject(&self::pod(
        &json!({"status.sidecar.istio.io/port": "16020"}),
    ));
    assert_eq!(
        after(&proxy(&moved)["args"], "--status-port"),
        Some("16020,15021")
    );
}

#[test]
fn a_pod_adjusts_the_sidecar_by_a_container_of_its_name() {
    let mut written = pod(&json!({})).into_value();
    let own = json!({
        "name": "istio-proxy",
        "image": "auto",
        "resources": {"limits": {"memory": "64Mi"}},
    });
    written["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(own);
    let pod = inject(&Pod::new(written));
    let proxy = proxy(&pod);
    assert_eq!(proxy["resources"]["limits"]["memory"], "64Mi");
    assert_eq!(proxy["image"], "mesh-sidecar:latest");
    assert_eq!(names(&pod.value()["spec"]["containers"]), ["cart"]);
}

#[test]
fn values_choose_the_image_and_the_config_map() {
    let values: Values = serde_json::from_value(json!({
        "meshSidecar": {"image": "registry.example/sidecar:1", "configMapName": "shop"},
    }))
    .unwrap();
    let injector = Injector::new(values, MeshConfig::default());
    let pod = inject_by(&injector, &pod(&json!({})));
    assert_eq!(proxy(&pod)["image"], "registry.example/sidecar:1");
    let volume = &pod.value()["spec"]["volumes"][0];
    assert_eq!(volume["configMap"]["name"], "shop");
}

#[test]
fn a_plugin_redirects_in_place_of_the_init_container() {
    let values: Values =
        serde_json::from_value(json!({"pilot": {"cni": {"enabled": true}}})).unwrap();
    let injector = Injector::new(values, MeshConfig::default());
    let pod = inject_by(&injector, &pod(&json!({})));
    let init = &pod.value()["spec"]["initContainers"];
    assert_eq!(names(init), ["istio-validation", "istio-proxy"]);
    assert_eq!(
        pod.annotation("sidecar.istio.io/interceptionMode"),
        Some("REDIRECT")
    );
}

#[test]
fn an_application_that_waits_is_held_until_the_sidecar_is_ready() {
    let annotations = json!({
        "sidecar.istio.io/nativeSidecar": "false",
        "proxy.istio.io/config": "holdApplicationUntilProxyStarts: true",
    });
    let pod = inject(&pod(&annotations));
    assert_eq!(
        names(&pod.value()["spec"]["containers"]),
        ["istio-proxy", "cart"]
    );
    let command = &proxy(&pod)["lifecycle"]["postStart"]["exec"]["command"];
    assert_eq!(
        command,
        &json!(["sidecar", "--wait", "--status-port", "15020,15021"])
    );
}

#[test]
fn what_is_injected_twice_is_the_same() {
    for native in ["true", "false"] {
        let annotations = json!({
            "sidecar.istio.io/nativeSidecar": native,
            "prometheus.io/port": "80",
        });
        let once = inject(&pod(&annotations));
        assert_eq!(inject(&once), once, "native: {native}");
    }
}

fn pod(annotations: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": "cart",
            "namespace": "shop",
            "labels": {"app": "cart"},
            "annotations": annotations,
        },
        "spec": {"containers": [{
            "name": "cart",
            "image": "cart:1",
            "ports": [{"name": "http", "containerPort": 80}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        }]},
    });
    pod["metadata"]["annotations"]["inject.istio.io/templates"] = "mesh-sidecar".into();
    Pod::new(pod)
}

fn inject(pod: &Pod) -> Pod {
    inject_by(
        &Injector::new(Values::default(), MeshConfig::default()),
        pod,
    )
}

fn inject_by(injector: &Injector, pod: &Pod) -> Pod {
    let injected = injector.inject(pod, &Owner::of(pod), Placement::default());
    injected.unwrap()
}

fn proxy(pod: &Pod) -> &Value {
    pod.find("istio-proxy").unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item["name"].as_str().unwrap()).collect()
}

/// The value of an argument.
fn after<'a>(arguments: &'a Value, argument: &str) -> Option<&'a str> {
    let mut arguments = arguments.as_array()?.iter();
    arguments.find(|found| *found == argument)?;
    arguments.next()?.as_str()
}
