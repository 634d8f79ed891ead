use mesh_core::parse::{Limits, parse_as};
use mesh_core::resource::istio::mesh_config::MeshConfig;
use serde_json::{Value, json};

use crate::admission::values::Values;
use crate::admission::{Injector, Owner, Placement, Pod};

#[test]
fn what_a_pod_says_of_a_sidecar_does_not_concern_a_gateway() {
    let annotations = json!({
        "readiness.status.sidecar.istio.io/periodSeconds": "7",
        "sidecar.istio.io/interceptionMode": "TPROXY",
        "sidecar.istio.io/userVolume": r#"{"mine": {"emptyDir": {}}}"#,
        "sidecar.istio.io/userVolumeMount": r#"{"mine": {"mountPath": "/mine"}}"#,
    });
    for (template, period, mode, name, has_mine) in [
        ("sidecar", 7, "TPROXY", "front", true),
        ("gateway", 15, "REDIRECT", "cart", false),
    ] {
        let pod = inject(template, &annotations, &json!({}), "{}");
        let proxy = proxy(&pod);
        assert_eq!(proxy["readinessProbe"]["periodSeconds"], period);
        let mode_of = variable(&pod, "ISTIO_META_INTERCEPTION_MODE");
        assert_eq!(mode_of.as_deref(), Some(mode), "{template}");
        let workload = variable(&pod, "ISTIO_META_WORKLOAD_NAME");
        assert_eq!(workload.as_deref(), Some(name), "{template}");
        let mine = |list: &Value| list.to_string().contains("mine");
        assert_eq!(mine(&proxy["volumeMounts"]), has_mine, "{template}");
        assert_eq!(mine(&pod["spec"]["volumes"]), has_mine, "{template}");
    }
}

#[test]
fn an_agent_without_envoy_has_no_bootstrap_of_the_users_own() {
    let annotations = json!({"sidecar.istio.io/bootstrapOverride": "own"});
    for (template, is_mounted) in [("sidecar", true), ("gateway", true), ("grpc-agent", false)] {
        let pod = inject(template, &annotations, &json!({}), "{}");
        let mounts = proxy(&pod)["volumeMounts"].to_string();
        let found = mounts.contains("custom-bootstrap-volume");
        assert_eq!(found, is_mounted, "{template}");
    }
}

#[test]
fn tracers_have_variables_and_volumes_of_their_own() {
    let tracer = |name: &str| json!({"global": {"proxy": {"tracer": name}}});
    let annotations = json!({"apm.datadoghq.com/env": r#"{"DD_ENV": "prod", "DD_RATE": 5}"#});
    let tls = "defaultConfig: { tracing: { tlsSettings: \
               { mode: SIMPLE, caCertificates: /etc/lightstep/ca.pem } } }";
    let pod = inject("sidecar", &annotations, &tracer("datadog"), tls);
    assert_eq!(variable(&pod, "DD_ENV").as_deref(), Some("prod"));
    assert_eq!(variable(&pod, "DD_RATE").as_deref(), Some("5"));
    assert!(!pod["spec"]["volumes"].to_string().contains("lightstep"));

    let pod = inject("sidecar", &annotations, &tracer("lightstep"), tls);
    assert_eq!(variable(&pod, "DD_ENV"), None);
    let volume = json!({"name": "lightstep-certs",
        "secret": {"optional": true, "secretName": "lightstep.cacert"}});
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.contains(&volume), "{volumes:?}");
    let mount =
        json!({"name": "lightstep-certs", "mountPath": "/etc/lightstep/", "readOnly": true});
    let mounts = proxy(&pod)["volumeMounts"].as_array().unwrap();
    assert!(mounts.contains(&mount), "{mounts:?}");
}

#[test]
fn the_authority_is_the_service_of_the_revision() {
    let revision = |name: &str| json!({"revision": name});
    for (of_injector, values, expected) in [
        ("", json!({}), "istiod.istio-system.svc:15012"),
        ("default", json!({}), "istiod.istio-system.svc:15012"),
        ("canary", json!({}), "istiod-canary.istio-system.svc:15012"),
        (
            "prod",
            revision("1-32"),
            "istiod-1-32.istio-system.svc:15012",
        ),
    ] {
        let values: Values = serde_json::from_value(values).unwrap();
        let injector = Injector::new(values, MeshConfig::default()).with_revision(of_injector);
        let pod = injected(&injector, "sidecar", &json!({}));
        let authority = variable(&pod, "CA_ADDR");
        assert_eq!(authority.as_deref(), Some(expected), "{of_injector}");
    }
}

#[test]
fn all_but_false_asks_for_a_native_sidecar() {
    let injector = Injector::new(Values::default(), MeshConfig::default());
    for (is_default, written, is_native) in [
        (true, "", true),
        (false, "", false),
        (false, "true", true),
        (false, "yes", true),
        (true, "false", false),
    ] {
        let injector = injector.clone().with_native_sidecars(is_default);
        let annotations = json!({"sidecar.istio.io/nativeSidecar": written});
        let pod = injected(&injector, "sidecar", &annotations);
        let init = pod["spec"]["initContainers"].to_string();
        assert_eq!(init.contains("istio-proxy"), is_native, "{written}");
    }
}

#[test]
fn a_version_that_is_empty_is_none() {
    let mesh = "extensionProviders: [{ name: otel, opentelemetry: { service: a.example, \
                port: 4317, serviceAttributeEnrichment: OTEL_SEMANTIC_CONVENTIONS } }]";
    let pod = inject("sidecar", &json!({}), &json!({}), mesh);
    let attributes = variable(&pod, "OTEL_RESOURCE_ATTRIBUTES").unwrap();
    assert!(attributes.contains("service.version=1.2,"), "{attributes}");
}

#[test]
fn what_is_zero_or_empty_is_not_said() {
    let values = json!({"global": {"hub": "hub", "tag": "1", "proxy": {"image": ""}}});
    let pod = inject("sidecar", &json!({}), &values, "proxyListenPort: 0");
    assert_eq!(proxy(&pod)["image"], "hub/proxyv2:1");
    let arguments = &pod["spec"]["initContainers"][0]["args"];
    assert_eq!(arguments[1], "-p");
    assert_eq!(arguments[2], "15001");
}

#[test]
fn what_a_pod_says_of_its_proxy_takes_the_place_of_what_the_mesh_does_field_by_field() {
    const MESH: &str = "defaultConfig: { concurrency: 3, proxyMetadata: { A: mesh, B: mesh }, \
        tracing: { sampling: 5, zipkin: { address: 'zipkin:9411' } }, proxyHeaders: \
        { server: { value: shop }, setCurrentClientCertDetails: { uri: true } } }";
    let told = |annotation: &str| {
        let annotations = json!({"proxy.istio.io/config": annotation});
        let pod = inject("sidecar", &annotations, &json!({}), MESH);
        let told = variable(&pod, "PROXY_CONFIG").unwrap();
        serde_json::from_str::<Value>(&told).unwrap()
    };
    let of_mesh = told("{}");
    for (annotation, field, expected) in [
        (
            "concurrency: null",
            "concurrency",
            of_mesh["concurrency"].clone(),
        ),
        ("concurrency: 0", "concurrency", json!(0)),
        (
            "proxyMetadata: { B: own, C: own }",
            "proxyMetadata",
            json!({"A": "mesh", "B": "own", "C": "own"}),
        ),
        (
            "tracing: { datadog: { address: 'agent:8126' } }",
            "tracing",
            json!({"datadog": {"address": "agent:8126"}}),
        ),
        (
            "proxyHeaders: { attemptCount: { disabled: true } }",
            "proxyHeaders",
            json!({"attemptCount": {"disabled": true}, "server": {"value": "shop"}}),
        ),
    ] {
        let told = told(annotation);
        assert_eq!(told[field], expected, "{annotation}");
        for (name, value) in of_mesh.as_object().unwrap() {
            assert!(
                name == field || told[name] == *value,
                "{annotation}: {name}"
            );
        }
    }
}

#[test]
fn what_a_pod_says_of_its_proxy_takes_the_place_of_what_it_excludes_and_may_be_empty() {
    const MESH: &str = "defaultConfig: { serviceCluster: mesh, caCertificatesPem: [mesh], \
        extraStatTags: [mesh], runtimeValues: { A: mesh }, proxyMetadata: { A: mesh } }";
    let told = |annotation: &str| {
        let annotations = json!({"proxy.istio.io/config": annotation});
        let pod = inject("sidecar", &annotations, &json!({}), MESH);
        let told = variable(&pod, "PROXY_CONFIG").unwrap();
        serde_json::from_str::<Value>(&told).unwrap()
    };
    let of_mesh = told("{}");
    let named = "tracingServiceName: CANONICAL_NAME_ONLY";
    for (annotation, changed) in [
        (
            named,
            &[
                ("serviceCluster", None),
                ("tracingServiceName", Some("CANONICAL_NAME_ONLY")),
            ][..],
        ),
        ("serviceCluster: own", &[("serviceCluster", Some("own"))]),
        ("tracingServiceName: null", &[]),
        ("caCertificatesPem: []", &[("caCertificatesPem", None)]),
        ("caCertificatesPem: null", &[]),
        ("extraStatTags: []", &[("extraStatTags", None)]),
        ("runtimeValues: {}", &[("runtimeValues", None)]),
        ("proxyMetadata: {}", &[]),
    ] {
        let mut expected = of_mesh.clone();
        for (name, value) in changed {
            match value {
                Some(value) => expected[*name] = json!(value),
                None => drop(expected.as_object_mut().unwrap().remove(*name)),
            }
        }
        assert_eq!(told(annotation), expected, "{annotation}");
    }
}

/// A pod of the Deployment `cart`, injected.
fn inject(template: &str, annotations: &Value, values: &Value, mesh: &str) -> Value {
    let values: Values = serde_json::from_value(values.clone()).unwrap();
    let (mesh, _) = parse_as("mesh", mesh, &Limits::default()).unwrap();
    injected(&Injector::new(values, mesh), template, annotations)
}

fn injected(injector: &Injector, template: &str, annotations: &Value) -> Value {
    let mut pod = json!({
        "metadata": {
            "labels": {
                "service.istio.io/workload-name": "front",
                "app.kubernetes.io/version": "",
            },
            "annotations": annotations,
        },
        "spec": {"containers": [{"name": "cart", "image": "cart:1.2"}]},
    });
    pod["metadata"]["annotations"]["inject.istio.io/templates"] = template.into();
    let owner = Owner {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "cart".into(),
        namespace: "shop".into(),
    };
    let pod = injector.inject(&Pod::new(pod), &owner, Placement::default());
    pod.unwrap().into_value()
}

fn proxy(pod: &Value) -> &Value {
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let mut all = lists.into_iter().flatten().flatten();
    all.find(|container| container["name"] == "istio-proxy")
        .unwrap()
}

/// The value of a variable of the proxy.
fn variable(pod: &Value, name: &str) -> Option<String> {
    let variables = proxy(pod)["env"].as_array()?;
    let found = variables.iter().find(|found| found["name"] == name)?;
    Some(found["value"].as_str()?.to_owned())
}
