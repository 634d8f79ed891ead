//! The order in which containers start.

use super::pod::{List, PROXY, Pod};

const CORE_DUMP: &str = "enable-core-dump";
const INIT: &str = "istio-init";
const VALIDATION: &str = "istio-validation";

/// Orders the containers of an injected pod. The proxy comes last, so that tools take the
/// application for the pod's first container, unless the application waits for it (`holds`).
///
/// A proxy among the init containers comes before those of the application, so that these use the
/// mesh; else traffic is redirected after all of them, so that they can work without.
pub(super) fn containers(pod: &mut Pod, holds: bool) {
    let place = if holds { Place::First } else { Place::Last };
    move_to(pod, List::Containers, PROXY, place);
    let moves: &[(&str, Place)] = if pod.container(List::InitContainers, PROXY).is_some() {
        &[
            (CORE_DUMP, Place::First),
            (PROXY, Place::First),
            (VALIDATION, Place::First),
            (INIT, Place::First),
        ]
    } else {
        &[
            (VALIDATION, Place::First),
            (INIT, Place::Last),
            (CORE_DUMP, Place::Last),
        ]
    };
    for (name, place) in moves {
        move_to(pod, List::InitContainers, name, *place);
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    Last,
}

fn move_to(pod: &mut Pod, list: List, name: &str, place: Place) {
    let Some(container) = pod.remove_container(list, name) else {
        return;
    };
    let mut all = pod.containers(list).to_vec();
    match place {
        Place::First => all.insert(0, container),
        Place::Last => all.push(container),
    }
    pod.set_containers(list, all);
}
