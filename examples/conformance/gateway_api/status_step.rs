//! What the checks of the suite look for in a status, by the names that they have there
//! (`conformance/utils/kubernetes/helpers.go`).

use serde_json::{Value, json};

use super::status::Observed;
use super::status_part::{self, Checked, GROUP, Miss, NOT_UNDERSTOOD, name};
use crate::case::{Outcome, list, text};

const ROUTES: [&str; 5] = ["GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute"];

/// The outcome of a step.
pub(super) fn check(step: &Value, observed: &Observed) -> Outcome {
    let step = Step {
        observed,
        function: text(step, "fn"),
        args: list(step, "args"),
    };
    match step.check() {
        Ok(()) => Outcome::Passed,
        Err(Miss::Failed(why)) => Outcome::Failed(why),
        Err(Miss::Unsupported(why)) => Outcome::unsupported(why),
    }
}

/// Whether a step is about a resource that is not in the manifests.
pub(super) fn is_about_others(step: &Value, observed: &Observed) -> bool {
    let first = list(step, "args").first();
    first.and_then(name).is_some_and(|name| !observed.has(name))
}

struct Step<'a> {
    observed: &'a Observed,
    function: &'a str,
    args: &'a [Value],
}

impl<'a> Step<'a> {
    fn check(&self) -> Checked {
        let of_route = ROUTES.iter().find_map(|kind| {
            let rest = self.function.strip_prefix(kind)?;
            Some((*kind, rest))
        });
        if let Some((kind, what)) = of_route {
            return self.route(kind, what);
        }
        match self.function {
            "GatewayMustHaveCondition" => self.condition("Gateway"),
            "ListenerSetMustHaveCondition" => self.condition("ListenerSet"),
            "GatewayClassMustHaveLatestConditions" => self.latest("GatewayClass"),
            "GatewayMustHaveLatestConditions" => self.latest("Gateway"),
            "BackendTLSPolicyMustHaveLatestConditions" => self.latest_ancestors(),
            "BackendTLSPolicyMustHaveCondition" => self.ancestor(),
            "GatewayListenerMustHaveConditions" => {
                self.listeners("Gateway", self.arg(2)?, &[self.arg(1)?])
            }
            "GatewayListenersMustHaveConditions" => {
                self.listeners("Gateway", self.arg(1)?, &self.rest(2))
            }
            "ListenerSetListenersMustHaveConditions" => {
                self.listeners("ListenerSet", self.arg(1)?, &self.rest(2))
            }
            "GatewayStatusMustHaveListeners" => self.whole_listeners("Gateway"),
            "ListenerSetStatusMustHaveListeners" => self.whole_listeners("ListenerSet"),
            "GatewayMustHaveZeroRoutes" => self.no_routes(),
            "GatewayMustHaveAttachedListeners" => self.attached_sets(),
            "GatewayAndUDPRoutesMustBeAccepted" => Err(Miss::Unsupported("UDP is not proxied")),
            "GatewayAndHTTPRoutesMustBeAccepted"
            | "GatewayAndTCPRoutesMustBeAccepted"
            | "GatewayAndTLSRoutesMustBeAccepted" => self.gateway_and_routes(1),
            "GatewayAndRoutesMustBeAccepted" => self.gateway_and_routes(3),
            "RoutesAndParentMustBeAccepted" => self.parent_and_routes(),
            _ => Err(Miss::Unsupported("a check of an unknown name")),
        }
    }

    /// A check of a route.
    fn route(&self, kind: &str, what: &str) -> Checked {
        let status = self.status(kind)?;
        let all = list(status, "parents");
        let condition = |kind: &str, status: &str, reason: &str| json!({"Type": kind, "Status": status, "Reason": reason});
        match what {
            "MustHaveCondition" => self.parent(all, self.arg(2)?),
            "MustHaveLatestConditions" => all
                .iter()
                .try_for_each(|parent| self.are_latest(list(parent, "conditions"))),
            "MustHaveNoAcceptedParents" => {
                let accepted = condition("Accepted", "False", "");
                match all {
                    [] => Ok(()),
                    [only] => status_part::has_all(only, &[accepted]),
                    many => Err(format!("it has {} parents", many.len()).into()),
                }
            }
            "MustHaveParents" => {
                let expected = self.arg(1)?.as_array();
                let expected = expected.ok_or(Miss::Unsupported(NOT_UNDERSTOOD))?;
                let namespaced = self.arg(2)?.as_bool().unwrap_or_default();
                if kind == "UDPRoute" {
                    return Err(Miss::Unsupported("UDP is not proxied"));
                }
                status_part::parents(status, expected, namespaced)
            }
            "MustHaveResolvedRefsConditionsTrue" => {
                self.parent(all, &condition("ResolvedRefs", "True", "ResolvedRefs"))
            }
            "MustHaveResolvedRefsMustHaveBackendsNotFound" => {
                self.parent(all, &condition("ResolvedRefs", "False", "BackendNotFound"))
            }
            "MustHaveRouteAcceptedConditionsTrue" => {
                self.parent(all, &condition("Accepted", "True", "Accepted"))
            }
            "MustBeAcceptedAndResolved" => {
                self.parent(all, &condition("Accepted", "True", "Accepted"))?;
                self.parent(all, &condition("ResolvedRefs", "True", "ResolvedRefs"))
            }
            _ => Err(Miss::Unsupported("a check of an unknown name")),
        }
    }

    fn arg(&self, index: usize) -> Result<&'a Value, Miss> {
        self.args
            .get(index)
            .ok_or(Miss::Unsupported(NOT_UNDERSTOOD))
    }

    /// The arguments from `first` on, of which each may be a list.
    fn rest(&self, first: usize) -> Vec<&'a Value> {
        let rest = self.args.get(first..).unwrap_or_default().iter();
        let items = rest.flat_map(|arg| match arg {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        });
        items.collect()
    }

    /// The status of the resource that the first argument names. Where the corpus lost the name it
    /// is the only one of its kind.
    fn status(&self, kind: &str) -> Result<&'a Value, Miss> {
        let first = self.arg(0)?;
        let name = match first.as_object() {
            Some(fields) if fields.is_empty() => self.observed.only(kind),
            _ => name(first),
        };
        let name = name.ok_or(Miss::Unsupported(NOT_UNDERSTOOD))?;
        let status = self.observed.get(kind, name);
        status.ok_or_else(|| format!("{kind} {}/{} has no status", name.0, name.1).into())
    }

    fn latest(&self, kind: &str) -> Checked {
        self.are_latest(list(self.status(kind)?, "conditions"))
    }

    fn latest_ancestors(&self) -> Checked {
        let status = self.status("BackendTLSPolicy")?;
        list(status, "ancestors")
            .iter()
            .try_for_each(|ancestor| self.are_latest(list(ancestor, "conditions")))
    }

    /// Whether all conditions, of which there are some, are about the generation of the resource.
    fn are_latest(&self, conditions: &[Value]) -> Checked {
        let generation = json!(self.observed.generation);
        let is_stale = |found: &&Value| found.get("observedGeneration") != Some(&generation);
        match conditions.iter().find(is_stale) {
            Some(stale) => Err(format!("it is stale: {stale}").into()),
            None if conditions.is_empty() => Err("there are no conditions".to_owned().into()),
            None => Ok(()),
        }
    }

    fn condition(&self, kind: &str) -> Checked {
        self.latest(kind)?;
        let expected = std::slice::from_ref(self.arg(1)?);
        status_part::has_all(self.status(kind)?, expected)
    }

    /// Whether listeners, all of them if none is named, have all conditions.
    fn listeners(&self, kind: &str, conditions: &Value, names: &[&Value]) -> Checked {
        let status = self.status(kind)?;
        status_part::listeners(status, conditions, names)
    }

    /// Whether the listeners are as expected, and no others are there.
    fn whole_listeners(&self, kind: &str) -> Checked {
        self.latest(kind)?;
        let found = list(self.status(kind)?, "listeners");
        let expected = self.arg(1)?.as_array();
        let expected = expected.ok_or(Miss::Unsupported(NOT_UNDERSTOOD))?;
        if found.len() != expected.len() {
            return Err(format!("there are {} listeners", found.len()).into());
        }
        for expected in expected {
            let name = expected.get("Name");
            let listener = found.iter().find(|found| found.get("name") == name);
            let listener = listener.ok_or_else(|| format!("there is no listener {name:?}"))?;
            status_part::listener(expected, listener)?;
        }
        Ok(())
    }

    fn no_routes(&self) -> Checked {
        self.latest("Gateway")?;
        match list(self.status("Gateway")?, "listeners") {
            [] => Ok(()),
            [only] if only.get("attachedRoutes") == Some(&json!(0)) => Ok(()),
            others => Err(format!("the listeners are {}", json!(others)).into()),
        }
    }

    fn attached_sets(&self) -> Checked {
        self.latest("Gateway")?;
        let found = self.status("Gateway")?.get("attachedListenerSets");
        let found = found.and_then(Value::as_u64).unwrap_or_default();
        match self.arg(1)?.as_u64() {
            Some(expected) if expected == found => Ok(()),
            expected => Err(format!("expected {expected:?} sets, got {found}").into()),
        }
    }

    /// Whether a parent, of the name that the second argument has, has a condition.
    fn parent(&self, all: &[Value], condition: &Value) -> Checked {
        self.reference(all, "parentRef", condition)
    }

    fn ancestor(&self) -> Checked {
        let all = list(self.status("BackendTLSPolicy")?, "ancestors");
        self.reference(all, "ancestorRef", self.arg(2)?)
    }

    fn reference(&self, all: &[Value], field: &str, condition: &Value) -> Checked {
        let parent = name(self.arg(1)?).ok_or(Miss::Unsupported(NOT_UNDERSTOOD))?;
        let mut seen = Vec::new();
        for entry in all {
            self.are_latest(list(entry, "conditions"))?;
            let reference = entry.get(field).unwrap_or(&Value::Null);
            let namespace = text(reference, "namespace");
            if text(reference, "name") == parent.1
                && (namespace.is_empty() || namespace == parent.0)
            {
                let expected = std::slice::from_ref(condition);
                if status_part::has_all(entry, expected).is_ok() {
                    return Ok(());
                }
                seen.extend(list(entry, "conditions"));
            }
        }
        Err(format!("expected {condition}, got {}", json!(seen)).into())
    }

    /// Whether a Gateway has an address and valid listeners, and the routes are attached to it.
    fn gateway_and_routes(&self, first: usize) -> Checked {
        let status = self.status("Gateway")?;
        if list(status, "addresses").is_empty() {
            return Err("the Gateway has no address".to_owned().into());
        }
        let gateway = name(self.arg(0)?).ok_or(Miss::Unsupported(NOT_UNDERSTOOD))?;
        self.routes("Gateway", gateway, first)?;
        if self.function == "GatewayAndTLSRoutesMustBeAccepted" {
            return Ok(());
        }
        status_part::listeners(status, &status_part::all_true(), &[])
    }

    /// Whether the routes are attached to a Gateway or a ListenerSet with valid listeners.
    fn parent_and_routes(&self) -> Checked {
        let understood = || Miss::Unsupported(NOT_UNDERSTOOD);
        let [group_kind, named] = list(self.arg(0)?, "args") else {
            return Err(understood());
        };
        let kind = text(group_kind, "Kind");
        let parent = name(named).ok_or_else(understood)?;
        self.routes(kind, parent, 2)?;
        let status = self.observed.get(kind, parent);
        let status = status.ok_or_else(|| format!("{kind} {} has no status", parent.1))?;
        status_part::listeners(status, &status_part::all_true(), &[])
    }

    /// Whether the routes that the arguments from `first` on name are attached to a parent.
    fn routes(&self, kind: &str, parent: (&str, &str), first: usize) -> Checked {
        let routes = self.rest(first);
        if routes.is_empty() {
            return Err(Miss::Unsupported(NOT_UNDERSTOOD));
        }
        for route in routes {
            let route = name(route).ok_or(Miss::Unsupported(NOT_UNDERSTOOD))?;
            let status = self.observed.route(route);
            let status = status.ok_or_else(|| format!("route {} has no status", route.1))?;
            let expected = json!({
                "ParentRef": {
                    "Group": GROUP, "Kind": kind, "Namespace": parent.0, "Name": parent.1,
                },
                "Conditions": [{"Type": "Accepted", "Status": "True", "Reason": "Accepted"}],
            });
            status_part::parents(status, &[expected], route.0 != parent.0)?;
        }
        Ok(())
    }
}
