use mesh_core::diagnostic::Severity;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::authorization_policy::AuthorizationPolicy;
use mesh_core::resource::kubernetes::namespace::Namespace;
use mesh_core::resource::kubernetes::node::Node;

use super::*;

fn namespace(name: &str) -> Read {
    let mut namespace = Resource::<Namespace>::default();
    namespace.metadata.name = name.into();
    Read::Object(namespace.into())
}

fn node(name: &str) -> Read {
    let mut node = Resource::<Node>::default();
    node.metadata.name = name.into();
    Read::Object(node.into())
}

fn name(kind: Kind, name: &str) -> ObjectName {
    ObjectName {
        kind,
        namespace: String::new(),
        name: name.into(),
    }
}

fn why(message: &str) -> Diagnostic {
    Diagnostic::new(Severity::Error, "kubernetes", message)
}

/// Updates as text, short enough to compare.
fn told(updates: &[Update]) -> Vec<String> {
    let names = |objects: &[Object]| {
        let names = objects.iter().map(|object| object.metadata().name.as_str());
        names.collect::<Vec<_>>().join(" ")
    };
    let messages = |found: &[Diagnostic]| {
        let messages = found.iter().map(|found| found.message.as_str());
        messages.collect::<Vec<_>>().join(" ")
    };
    let tell = |update: &Update| match update {
        Update::All(objects) => format!("all: {}", names(objects)),
        Update::AllOf { kind, objects } => format!("{kind}: {}", names(objects)),
        Update::Changes { applied, removed } => {
            let removed: Vec<_> = removed.iter().map(|name| name.name.as_str()).collect();
            format!("+{} -{}", names(applied), removed.join(" "))
        }
        Update::Failed(why) => format!("failed: {}", messages(why)),
        Update::Problems(found) => format!("problems: {}", messages(found)),
        Update::Recovered => "recovered".to_owned(),
    };
    updates.iter().map(tell).collect()
}

#[test]
fn nothing_is_told_before_all_kinds_are_known_and_then_all_at_once() {
    let mut sync = Sync::new([Kind::Namespace, Kind::Node, Kind::ServiceEntry]);
    let listed = KindEvent::Listed(vec![namespace("a")]);
    assert!(sync.handle_event(Kind::Namespace, listed).is_empty());
    assert!(
        sync.handle_event(Kind::ServiceEntry, KindEvent::Absent)
            .is_empty()
    );
    let updates = sync.handle_event(Kind::Node, KindEvent::Listed(vec![node("n")]));
    assert_eq!(told(&updates), ["all: a n"]);

    let updates = sync.handle_event(Kind::Node, KindEvent::Applied(node("m")));
    assert_eq!(told(&updates), ["+m -"]);
    let updates = sync.handle_event(Kind::Node, KindEvent::Removed(name(Kind::Node, "n")));
    assert_eq!(told(&updates), ["+ -n"]);
    let updates = sync.handle_event(Kind::Node, KindEvent::Listed(vec![node("o")]));
    assert_eq!(told(&updates), ["Node: o"]);
}

#[test]
fn a_kind_that_may_not_be_read_is_a_problem_and_lived_without() {
    let mut sync = Sync::new([Kind::Node]);
    let updates = sync.handle_event(Kind::Node, KindEvent::Refused(why("no")));
    assert_eq!(told(&updates), ["all: ", "problems: no"]);
    let updates = sync.handle_event(Kind::Node, KindEvent::Listed(vec![node("n")]));
    assert_eq!(told(&updates), ["Node: n", "problems: "]);
}

#[test]
fn policies_that_may_not_be_read_keep_the_source_unknown() {
    let mut sync = Sync::new([Kind::AuthorizationPolicy]);
    let refused = || KindEvent::Refused(why("no"));
    let updates = sync.handle_event(Kind::AuthorizationPolicy, refused());
    assert_eq!(told(&updates), ["failed: no"]);
    assert!(
        sync.handle_event(Kind::AuthorizationPolicy, refused())
            .is_empty()
    );
    let updates = sync.handle_event(Kind::AuthorizationPolicy, KindEvent::Listed(Vec::new()));
    assert_eq!(told(&updates), ["all: ", "recovered"]);
}

#[test]
fn a_kind_that_is_refused_later_keeps_what_it_had() {
    let mut sync = Sync::new([Kind::Node]);
    sync.handle_event(Kind::Node, KindEvent::Listed(vec![node("n")]));
    let updates = sync.handle_event(Kind::Node, KindEvent::Refused(why("no")));
    assert_eq!(told(&updates), ["failed: no"]);
}

#[test]
fn the_source_has_recovered_when_all_kinds_have() {
    let mut sync = Sync::new([Kind::Namespace, Kind::Node]);
    for kind in [Kind::Namespace, Kind::Node] {
        sync.handle_event(kind, KindEvent::Listed(Vec::new()));
    }
    let failed = |message| KindEvent::Failed(why(message));
    assert_eq!(
        told(&sync.handle_event(Kind::Node, failed("a"))),
        ["failed: a"]
    );
    assert_eq!(
        told(&sync.handle_event(Kind::Namespace, failed("b"))),
        ["failed: b a"]
    );
    assert_eq!(
        told(&sync.handle_event(Kind::Node, KindEvent::Recovered)),
        ["failed: b"]
    );
    let updates = sync.handle_event(Kind::Namespace, KindEvent::Applied(namespace("x")));
    assert_eq!(told(&updates), ["+x -", "recovered"]);
}

#[test]
fn what_happens_to_a_listed_kind_before_all_are_known_is_in_the_first_report() {
    let mut sync = Sync::new([Kind::Namespace, Kind::Node]);
    let events = [
        KindEvent::Listed(vec![namespace("a"), namespace("b")]),
        KindEvent::Applied(namespace("c")),
        KindEvent::Removed(name(Kind::Namespace, "a")),
    ];
    for event in events {
        assert!(sync.handle_event(Kind::Namespace, event).is_empty());
    }
    let updates = sync.handle_event(Kind::Node, KindEvent::Listed(vec![node("n")]));
    assert_eq!(told(&updates), ["all: b c n"]);
}

/// A node that cannot be read, and what is to take its place.
fn unreadable(replacement: Option<&str>) -> Read {
    let replacement = replacement.map(|name| match node(name) {
        Read::Object(object) => object,
        Read::Unreadable(_) => unreachable!(),
    });
    Read::Unreadable(Unreadable {
        name: name(Kind::Node, "n"),
        why: vec![why("odd")],
        replacement,
    })
}

#[test]
fn an_object_that_cannot_be_read_any_more_stays_what_it_was() {
    for replacement in [None, Some("n")] {
        let mut sync = Sync::new([Kind::Node]);
        sync.handle_event(Kind::Node, KindEvent::Listed(vec![node("n")]));
        let updates = sync.handle_event(Kind::Node, KindEvent::Applied(unreadable(replacement)));
        assert_eq!(told(&updates), ["problems: odd"]);
        let listed = KindEvent::Listed(vec![node("m"), unreadable(replacement)]);
        let updates = sync.handle_event(Kind::Node, listed);
        assert_eq!(told(&updates), ["Node: m n"]);
        let updates = sync.handle_event(Kind::Node, KindEvent::Removed(name(Kind::Node, "n")));
        assert_eq!(told(&updates), ["+ -n", "problems: "]);
    }
}

#[test]
fn one_that_never_could_be_read_is_what_stands_in_for_it_until_it_can_be() {
    let mut sync = Sync::new([Kind::Node]);
    let updates = sync.handle_event(Kind::Node, KindEvent::Listed(vec![unreadable(None)]));
    assert_eq!(told(&updates), ["all: ", "problems: odd"]);
    for _ in 0..2 {
        let updates = sync.handle_event(Kind::Node, KindEvent::Applied(unreadable(Some("n"))));
        assert_eq!(told(&updates), ["+n -"], "it may be about something else");
    }
    let updates = sync.handle_event(Kind::Node, KindEvent::Applied(unreadable(None)));
    assert!(updates.is_empty(), "nothing better is known");
    let updates = sync.handle_event(Kind::Node, KindEvent::Applied(node("n")));
    assert_eq!(told(&updates), ["+n -", "problems: "]);
}

#[test]
fn a_policy_that_cannot_be_read_any_more_is_the_strictest_possible() {
    let kind = Kind::AuthorizationPolicy;
    let policy = || {
        let mut policy = Resource::<AuthorizationPolicy>::default();
        policy.metadata.name = "p".into();
        Object::from(policy)
    };
    let mut sync = Sync::new([kind]);
    sync.handle_event(kind, KindEvent::Listed(vec![Read::Object(policy())]));
    let unreadable = Read::Unreadable(Unreadable {
        name: name(kind, "p"),
        why: vec![why("odd")],
        replacement: Some(policy()),
    });
    let updates = sync.handle_event(kind, KindEvent::Applied(unreadable));
    assert_eq!(told(&updates), ["+p -", "problems: odd"]);
}
