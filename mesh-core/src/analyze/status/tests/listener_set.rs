use super::*;

#[test]
fn a_listener_set_has_the_status_of_its_listeners() {
    let set = object(
        "ListenerSet",
        "more",
        "spec: { parentRef: { name: edge }, listeners: [{ name: more, port: 80, protocol: HTTP, \
         hostname: more.example }, { name: same, port: 80, protocol: HTTP }] }",
    );
    let parent = "{ kind: ListenerSet, name: more }";
    let text = set + &route("HTTPRoute", parent, TO_CART);
    let not_allowed = statuses_of(&(text.clone() + &gateway(&[HTTP], "")));
    let status = &not_allowed.listener_sets[0].status;
    assert_eq!(
        words(&status.conditions),
        ["Accepted=false NotAllowed", "Programmed=false NotAllowed"]
    );
    assert_eq!(status.listeners, []);
    assert_eq!(not_allowed.gateways[0].status.attached_listener_sets, None);
    assert_eq!(not_allowed.http_routes[0].status.parents.own, []);

    let allowed = ", allowedListeners: { namespaces: { from: Same } }";
    let statuses = statuses_of(&(text + &gateway(&[HTTP], allowed)));
    let status = &statuses.listener_sets[0].status;
    assert_eq!(
        words(&status.conditions),
        ["Accepted=true Accepted", "Programmed=true Programmed"]
    );
    let counts: Vec<_> = status
        .listeners
        .iter()
        .map(|found| found.attached_routes)
        .collect();
    assert_eq!(counts, [1, 0]);
    assert_eq!(
        words(&status.listeners[1].conditions)[1],
        "Conflicted=true HostnameConflict"
    );
    assert_eq!(statuses.gateways[0].status.attached_listener_sets, Some(1));
}

#[test]
fn a_listener_set_without_a_valid_listener_takes_no_routes() {
    let set = object(
        "ListenerSet",
        "more",
        "spec: { parentRef: { name: edge }, listeners: [{ name: more, port: 443, protocol: HTTPS }] }",
    );
    let allowed = ", allowedListeners: { namespaces: { from: All } }";
    let text = gateway(&[HTTP], allowed)
        + &set
        + &route("HTTPRoute", "{ kind: ListenerSet, name: more }", TO_CART);
    let statuses = statuses_of(&text);
    let status = &statuses.listener_sets[0].status;
    assert_eq!(
        words(&status.conditions),
        [
            "Accepted=false ListenersNotValid",
            "Programmed=false ListenersNotValid"
        ]
    );
    assert_eq!(
        words(&status.listeners[0].conditions)[0],
        "Accepted=false UnsupportedProtocol"
    );
    assert_eq!(statuses.http_routes[0].status.parents.own, []);
    assert_eq!(statuses.gateways[0].status.attached_listener_sets, None);
}
