use super::*;

/// An entry created in minute `minute`.
fn entry(name: &str, hosts: &[&str], minute: u32) -> Resource<ServiceEntry> {
    let mut entry = Resource::<ServiceEntry>::default();
    entry.metadata.name = name.into();
    entry.metadata.namespace = "shop".into();
    let created = format!("2026-01-01T00:{minute:02}:00Z");
    entry.metadata.creation_timestamp = Some(created.parse().unwrap());
    entry.spec.hosts = hosts.iter().map(|host| (*host).into()).collect();
    entry.spec.resolution = Resolution::Dns;
    entry
}

fn with_status(mut entry: Resource<ServiceEntry>, given: &[(&str, &str)]) -> Object {
    let mut shared = Arc::new(entry.clone());
    let given = given.iter();
    let given = given.map(|(host, ip)| ((*host).to_owned(), ip.parse().unwrap()));
    write(&mut shared, given.collect());
    entry.status.clone_from(&shared.status);
    entry.into()
}

fn given(objects: &[Object]) -> Vec<String> {
    let entries = objects.iter().filter_map(|object| match object {
        Object::ServiceEntry(entry) => Some(entry),
        _ => None,
    });
    let v4 = entries
        .flat_map(|entry| addresses(entry))
        .filter(|(_, ip)| ip.is_ipv4());
    v4.map(|(host, ip)| format!("{host} {ip}")).collect()
}

#[test]
fn every_host_of_every_entry_gets_its_own_the_oldest_entry_first() {
    let mut objects = [
        entry("young", &["c.example"], 2).into(),
        entry("old", &["a.example", "b.example", "a.example"], 1).into(),
    ];
    assert!(Vips::default().allocate(&mut objects).is_empty());
    assert_eq!(
        given(&objects),
        [
            "c.example 240.240.0.3",
            "a.example 240.240.0.1",
            "b.example 240.240.0.2",
        ]
    );
}

#[test]
fn who_needs_or_wants_no_address_gets_none() {
    let mut none = entry("none", &["a.example"], 0);
    none.spec.resolution = Resolution::None;
    let mut own = entry("own", &["a.example"], 0);
    own.spec.addresses = vec!["192.0.2.1".into()];
    let mut refused = entry("refused", &["a.example"], 0);
    refused
        .metadata
        .labels
        .insert(ENABLE.into(), "False".into());
    let wildcard = entry("wildcard", &["*.example"], 0);
    let mut objects = [none.into(), own.into(), refused.into(), wildcard.into()];
    assert!(Vips::default().allocate(&mut objects).is_empty());
    assert!(given(&objects).is_empty());

    let mut dynamic = entry("dynamic", &["*.example"], 0);
    dynamic.spec.resolution = Resolution::DynamicDns;
    let mut objects = [dynamic.into()];
    Vips::default().allocate(&mut objects);
    assert_eq!(given(&objects), ["*.example 240.240.0.1"]);
}

#[test]
fn what_a_controller_or_a_user_gave_is_not_given_again() {
    let mut own = entry("own", &["own.example"], 3);
    own.spec.addresses = vec!["240.240.0.2".into()];
    let mut objects = [
        entry("new", &["new.example", "other.example"], 1).into(),
        with_status(
            entry("old", &["old.example"], 2),
            &[("old.example", "240.240.0.1"), ("old.example", "2001:2::1")],
        ),
        own.into(),
    ];
    Vips::default().allocate(&mut objects);
    assert_eq!(
        given(&objects),
        [
            "new.example 240.240.0.3",
            "other.example 240.240.0.4",
            "old.example 240.240.0.1",
        ]
    );
}

#[test]
fn of_two_entries_with_one_address_the_younger_gets_new_ones() {
    let claim = [("a.example", "240.240.0.1"), ("a.example", "2001:2::1")];
    let mut objects = [
        with_status(entry("younger", &["a.example"], 2), &claim),
        with_status(entry("older", &["a.example"], 1), &claim),
    ];
    let mut vips = Vips::default();
    vips.allocate(&mut objects);
    let expected = ["a.example 240.240.0.2", "a.example 240.240.0.1"];
    assert_eq!(given(&objects), expected);
    vips.allocate(&mut objects);
    assert_eq!(given(&objects), expected, "a second pass changes nothing");
}

#[test]
fn an_entry_that_is_written_again_keeps_its_addresses_and_one_that_is_gone_leaves_a_gap() {
    let mut vips = Vips::default();
    let mut first = [
        entry("a", &["a.example"], 1).into(),
        entry("b", &["b.example"], 2).into(),
    ];
    vips.allocate(&mut first);
    let mut again = [
        entry("b", &["b.example"], 2).into(),
        entry("c", &["c.example"], 3).into(),
    ];
    vips.allocate(&mut again);
    assert_eq!(
        given(&again),
        ["b.example 240.240.0.2", "c.example 240.240.0.3"]
    );
}

#[test]
fn a_range_that_is_full_is_reported() {
    let v4 = "192.0.2.0/30".parse().unwrap();
    let v6 = "2001:db8::/126".parse().unwrap();
    let mut objects = [entry("many", &["a", "b", "c", "d"], 1).into()];
    let warnings = Vips::new(v4, v6).allocate(&mut objects);
    assert_eq!(
        given(&objects),
        ["a 192.0.2.1", "b 192.0.2.2", "c 192.0.2.3"]
    );
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("`d`"), "{}", warnings[0]);
}
