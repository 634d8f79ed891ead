use super::*;

/// A Service in front of the Gateway, with an endpoint at its port 80.
const FRONT: &str = "---
apiVersion: v1
kind: Service
metadata: { name: front, namespace: shop }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: front, namespace: shop, labels: { kubernetes.io/service-name: front } }
addressType: IPv4
endpoints: [{ addresses: [10.1.0.1] }]
ports: [{ name: http, port: 8080 }]
";

#[test]
fn a_gateway_is_programmed_if_somebody_is_behind_its_services() {
    let named = ", addresses: [{ type: Hostname, value: front }]";
    let eight = "{ name: http, port: 8080, protocol: HTTP }";
    let balanced = FRONT.replace("clusterIP", "type: LoadBalancer, clusterIP");
    let ready = balanced.replace(
        "targetPort: 8080 }] }",
        "targetPort: 8080 }] }\nstatus: { loadBalancer: { ingress: [{ ip: 192.0.2.7 }] } }",
    );
    let front = "front.shop.svc.cluster.local";
    for (services, listener, programmed, addresses) in [
        (
            FRONT,
            HTTP,
            format!("Programmed: Resource programmed, assigned to service(s) {front}:80"),
            &[front][..],
        ),
        (
            "",
            HTTP,
            format!(
                "AddressNotUsable: Failed to assign to any requested addresses: hostname \
                 \"{front}\" not found"
            ),
            &[],
        ),
        (
            FRONT,
            eight,
            format!(
                "AddressNotUsable: Failed to assign to any requested addresses: port 8080 not found \
                 for hostname \"{front}\" (hint: the service port should be specified, not the \
                 workload port. Did you mean one of these ports: [80]?)"
            ),
            &[],
        ),
        (
            &balanced,
            HTTP,
            format!(
                "AddressNotAssigned: Assigned to service(s) {front}:80, but failed to assign to all \
                 requested addresses: address pending for hostname \"{front}\""
            ),
            &[],
        ),
        (
            &ready,
            HTTP,
            format!("Programmed: Resource programmed, assigned to service(s) {front}:80"),
            &["192.0.2.7"],
        ),
    ] {
        let text = gateway(&[listener], named) + services;
        let statuses = statuses(&config(&text), &StatusOptions::default());
        let status = &statuses.gateways[0].status;
        let found = &status.conditions[1];
        assert_eq!(format!("{}: {}", found.reason, found.message), programmed);
        let found: Vec<_> = status.addresses.iter().map(|found| &*found.value).collect();
        assert_eq!(found, addresses);
    }
}

#[test]
fn an_annotation_chooses_which_addresses_in_the_cluster_are_told() {
    let named = ", addresses: [{ type: Hostname, value: front }]";
    let front = "front.shop.svc.cluster.local";
    for (wanted, expected) in [
        ("Hostname", &[front][..]),
        ("IPAddress", &["10.0.0.1"]),
        ("", &["10.0.0.1", front]),
    ] {
        let annotation = format!("annotations: {{ networking.istio.io/address-type: '{wanted}' }}");
        let text = gateway(&[HTTP], named);
        let text = text.replace("generation: 3", &format!("generation: 3, {annotation}"));
        let statuses = statuses(&config(&(text + FRONT)), &StatusOptions::default());
        let addresses = statuses.gateways[0].status.addresses.iter();
        let found: Vec<_> = addresses.map(|found| &*found.value).collect();
        assert_eq!(found, expected, "{wanted}");
    }
}

#[test]
fn an_address_of_another_type_is_refused() {
    let named = ", addresses: [{ type: a.example/type, value: b }]";
    let text = gateway(&[HTTP], named);
    let statuses = statuses(&config(&text), &StatusOptions::default());
    let status = &statuses.gateways[0].status;
    assert_eq!(
        words(&status.conditions),
        [
            "Accepted=false UnsupportedAddress",
            "Programmed=false UnsupportedAddress",
            "ResolvedRefs=true ResolvedRefs"
        ]
    );
    // Nothing of it is looked at.
    assert_eq!(status.listeners, []);
}
