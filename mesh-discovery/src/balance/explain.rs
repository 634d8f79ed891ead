//! Picks, explained.

use std::fmt;
use std::time::Instant;

use mesh_core::decision::{Decision, Step};
use mesh_core::model::cluster::{Cluster, EndpointAddress};
use mesh_core::origin::Origin;

use crate::balance::balancer::Balancer;
use crate::balance::members::Member;
use crate::balance::settings::Settings;
use crate::balance::snapshot::{PickRequest, Picked, Snapshot};
use crate::balance::state::State;
use crate::endpoint::AddressText;

/// The endpoint that was picked, or why there is none.
#[derive(Clone, Debug, Eq, Hash, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Choice {
    /// There is no such cluster, or the request has no route that names one.
    ClusterNotFound,
    /// The one at this address.
    Endpoint(EndpointAddress),
    /// None is healthy, or the request names none.
    NoHealthyUpstream,
    /// The route has this status in place of a destination.
    Refused(u16),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterNotFound => f.write_str("no such cluster"),
            Self::Endpoint(address) => write!(f, "endpoint `{}`", AddressText(address)),
            Self::NoHealthyUpstream => f.write_str("no healthy upstream"),
            Self::Refused(status) => write!(f, "refused with {status}"),
        }
    }
}

impl Balancer {
    /// Says what [`pick`](Self::pick) would say, and why: which endpoints could be picked and
    /// which could not, until when they are ejected, how load is divided among priorities, and
    /// by which policy the endpoint was picked. Nobody's turn is changed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant};
    ///
    /// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
    /// use mesh_core::service::ClusterName;
    /// use mesh_discovery::balance::{Balancer, PickRequest};
    /// use mesh_discovery::health::outlier::Outcome;
    ///
    /// let now = Instant::now();
    /// let mut cluster = Cluster::new(ClusterName::from("cart"));
    /// cluster.policy.outlier_detection = Some(serde_json::from_str(
    ///     r#"{"consecutive5xxErrors": 1, "maxEjectionPercent": 100}"#,
    /// )?);
    /// for port in [80, 81] {
    ///     let address = EndpointAddress::Ip(([10, 0, 0, 7], port).into());
    ///     cluster.endpoints.push(Endpoint::new(address));
    /// }
    /// let balancer = Balancer::new(Arc::new(cluster), Default::default(), now, 0);
    /// let host = balancer.pick(&PickRequest::new(now), || 0).unwrap();
    /// balancer.record(&host, Outcome::Status(503), now);
    ///
    /// let decision = balancer.explain(&PickRequest::new(now), || 0);
    /// assert_eq!(
    ///     decision.to_string(),
    ///     "endpoint `10.0.0.7:80`: no, ejected for consecutive5xxErrors, for 30 s more  [cluster]\n\
    ///      endpoint `10.0.0.7:81`: matched  [cluster]\n\
    ///      priority 0: 1 of 2 healthy, gets 100 % of the load  [cluster]\n\
    ///      endpoint `10.0.0.7:81`: picked by LEAST_REQUEST with 0 active requests  [cluster]\n\
    ///      => endpoint `10.0.0.7:81`",
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn explain(
        &self,
        request: &PickRequest<'_>,
        random: impl FnMut() -> u64,
    ) -> Decision<Choice> {
        self.handle_time(request.now);
        let tried = self.tried(request);
        let snapshot = self.snapshot().fork();
        let state = self.state();
        let cluster = &*state.cluster;
        let mut steps = members(&state, request.now);
        steps.extend(levels(&snapshot, cluster));
        let picked = snapshot.pick(request, &tried, random);
        let outcome = match &picked {
            Some(picked) => {
                steps.push(reason(picked, &snapshot.settings, cluster));
                Choice::Endpoint(picked.host.endpoint().address.clone())
            }
            None => Choice::NoHealthyUpstream,
        };
        Decision { outcome, steps }
    }
}

/// Who can be picked, in the order of addresses.
fn members(state: &State, now: Instant) -> Vec<Step> {
    let mut members: Vec<&Member> = state.members.iter().collect();
    members.sort_by_key(|member| &member.host.endpoint().address);
    let step = |member: &Member| {
        let subject = subject(&member.host.endpoint().address);
        let origin = state.cluster.origin.clone();
        match obstacle(state, member, now) {
            Some(why) => Step::failed(subject, origin, why),
            None => Step::matched(subject, origin),
        }
    };
    members.into_iter().map(step).collect()
}

fn subject(address: &EndpointAddress) -> String {
    format!("endpoint `{}`", AddressText(address))
}

/// Why an endpoint cannot be picked, panic aside.
fn obstacle(state: &State, member: &Member, now: Instant) -> Option<String> {
    let endpoint = member.host.endpoint();
    if member.priority.is_none() {
        let locality = &endpoint.locality;
        return Some(format!("its locality `{locality}` gets no load"));
    }
    if !endpoint.healthy {
        return Some("it is not ready".into());
    }
    if member.fails_probes {
        return Some("it fails its probes".into());
    }
    let detector = state.detector.as_ref()?;
    let ejection = detector.ejection(&endpoint.address)?;
    let returns = detector.return_time(ejection.until);
    let left = returns.saturating_duration_since(now);
    let seconds = left.as_secs_f64().ceil();
    Some(format!(
        "ejected for {}, for {seconds} s more",
        ejection.cause
    ))
}

fn levels<'a>(snapshot: &'a Snapshot, cluster: &'a Cluster) -> impl Iterator<Item = Step> + 'a {
    let levels = snapshot.levels.iter().zip(&snapshot.loads).enumerate();
    levels.map(|(index, (level, load))| {
        let panic = match level.panic {
            true => " regardless of health (panic)",
            false => "",
        };
        let (health, percent) = (level.health, load.percent);
        let what = format!(
            "{} of {} healthy, gets {percent} % of the load{panic}",
            health.healthy, health.total
        );
        Step::applied(format!("priority {index}"), origin(cluster), what)
    })
}

fn reason(picked: &Picked<'_>, settings: &Settings, cluster: &Cluster) -> Step {
    let subject = subject(&picked.host.endpoint().address);
    let what = match picked.level {
        None => "named by the request".to_owned(),
        Some(_) => {
            let place = match picked.place {
                Some(place) => format!(" in `{place}`"),
                None => String::new(),
            };
            let active = picked.host.state().active();
            let policy = settings.policy;
            format!("picked by {policy}{place} with {active} active requests")
        }
    };
    Step::applied(subject, origin(cluster), what)
}

/// Where the traffic policy was written.
fn origin(cluster: &Cluster) -> Origin {
    cluster
        .policy_origin
        .as_ref()
        .unwrap_or(&cluster.origin)
        .clone()
}
