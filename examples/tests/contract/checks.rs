//! What a layer is checked for.

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::task::yield_now;
use tokio::time::advance;
use tokio_test::{assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};

use crate::strict::{Behaviour, Failure, OwnBody, Probe, Strict};

/// Makes a request.
type Make<'a> = &'a dyn Fn() -> Request<OwnBody>;

/// When a layer is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Readiness {
    /// When the service below it is.
    Inner,
    /// Always; its futures wait for the service below.
    InCall,
    /// Always; it refuses requests for which the service below is not ready.
    Shed,
}

/// Requests that a layer is checked with.
pub(crate) struct Cases {
    readiness: Readiness,
    passing: Vec<(&'static str, Box<Maker>)>,
    refused: Vec<(&'static str, u16, Box<Maker>)>,
}

type Maker = dyn Fn() -> Request<OwnBody>;

impl Cases {
    /// A request that passes at once.
    pub(crate) fn passing(make: impl Fn() -> Request<OwnBody> + 'static) -> Self {
        Self {
            readiness: Readiness::Inner,
            passing: vec![("a request", Box::new(make))],
            refused: Vec::new(),
        }
    }

    /// Another request that passes, by another way.
    pub(crate) fn and(
        mut self,
        name: &'static str,
        make: impl Fn() -> Request<OwnBody> + 'static,
    ) -> Self {
        self.passing.push((name, Box::new(make)));
        self
    }

    /// A request that the layer answers itself.
    pub(crate) fn refused(
        mut self,
        name: &'static str,
        status: u16,
        make: impl Fn() -> Request<OwnBody> + 'static,
    ) -> Self {
        self.refused.push((name, status, Box::new(make)));
        self
    }

    pub(crate) fn ready(self, readiness: Readiness) -> Self {
        Self { readiness, ..self }
    }
}

/// Checks all of it, for a service that can fail.
///
/// Each check gets a layer of its own, whose limits let one request be under way.
pub(crate) async fn keeps_the_contract<L, B>(layer: impl Fn() -> L, cases: &Cases)
where
    L: Layer<Strict<Failure>>,
    L::Service: Service<Request<OwnBody>, Response = Response<B>, Error = Failure> + Clone,
    B: Body,
    B::Error: Debug,
{
    // One place: whoever calls a clone finds it not ready.
    let service = || {
        let (strict, probe) = Strict::new(1);
        (layer().layer(strict), probe)
    };
    for (name, make) in &cases.passing {
        let (checked, probe) = service();
        calls_what_was_ready(checked, &probe, name, make).await;
        let (checked, probe) = service();
        gives_back_what_is_dropped(checked, &probe, name, make).await;
        let (checked, probe) = service();
        match cases.readiness {
            Readiness::Inner => {
                waits_with_the_service_below(checked, &probe, name).await;
                let (checked, probe) = service();
                leaves_clones_alone(checked, &probe, name, make).await;
            }
            Readiness::InCall => waits_in_its_future(checked, &probe, name, make).await,
            Readiness::Shed => {}
        }
        let (checked, probe) = service();
        passes_errors(checked, &probe, cases.readiness, make).await;
    }
    for (name, status, make) in &cases.refused {
        let (checked, probe) = service();
        let next = &cases.passing[0].1;
        refuses_by_itself(checked, &probe, (name, *status), make, next).await;
    }
}

/// Checks that a service without errors is served, and stays without.
pub(crate) async fn serves_what_cannot_fail<L, B>(layer: impl Fn() -> L, cases: &Cases)
where
    L: Layer<Strict<Infallible>>,
    L::Service: Service<Request<OwnBody>, Response = Response<B>, Error = Infallible>,
{
    for (name, make) in &cases.passing {
        let (strict, probe) = Strict::new(1);
        let Ok(response) = layer().layer(strict).oneshot(make()).await;
        assert_eq!(
            (response.status().as_u16(), probe.calls()),
            (200, 1),
            "{name}"
        );
    }
}

/// Calls twice on one instance, with the one place that there is.
async fn calls_what_was_ready<S, B>(
    mut service: S,
    probe: &Probe<Failure>,
    name: &str,
    make: Make<'_>,
) where
    S: Service<Request<OwnBody>, Response = Response<B>, Error = Failure>,
    B: Body,
    B::Error: Debug,
{
    let response = service.ready().await.unwrap().call(make()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), probe.calls()),
        (200, 1),
        "{name}"
    );
    // An answer that nobody reads holds nothing back once it is dropped, nor does one that was read.
    drop(response);
    let response = service.ready().await.unwrap().call(make()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), probe.calls()),
        (200, 2),
        "{name}"
    );
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "cart", "{name}");
    let response = service.ready().await.unwrap().call(make()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), probe.calls()),
        (200, 3),
        "{name}"
    );
    drop((response, service));
    assert_eq!(probe.free(), 1, "{name}: a place is still taken");
}

/// Drops futures before they are polled, after, and when they have got as far as they can.
async fn gives_back_what_is_dropped<S>(
    mut service: S,
    probe: &Probe<Failure>,
    name: &str,
    make: Make<'_>,
) where
    S: Service<Request<OwnBody>, Error = Failure>,
{
    probe.set(Behaviour::Hang);
    for polls in 0..8 {
        let mut call = task::spawn(service.ready().await.unwrap().call(make()));
        for poll in 0..polls {
            assert!(call.poll().is_pending(), "{name}: it is over too early");
            if poll > 0 {
                advance(Duration::from_secs(1)).await;
                yield_now().await;
            }
        }
        drop(call);
        assert_eq!(probe.free(), 1, "{name}: dropped after {polls} polls");
    }
    assert!(probe.calls() > 0, "{name}: the calls got through");
    let calls = probe.calls();
    probe.set(Behaviour::Answer);
    assert!(service.ready().await.unwrap().call(make()).await.is_ok());
    assert_eq!(probe.calls(), calls + 1, "{name}: after the dropped ones");
}

async fn passes_errors<S>(
    mut service: S,
    probe: &Probe<Failure>,
    readiness: Readiness,
    make: Make<'_>,
) where
    S: Service<Request<OwnBody>, Error = Failure>,
{
    probe.set(Behaviour::Fail(Failure(7)));
    let result = service.ready().await.unwrap().call(make()).await;
    assert_eq!(result.err(), Some(Failure(7)));
    assert_eq!(probe.calls(), 1);
    probe.set(Behaviour::FailReadiness(Failure(8)));
    let error = match service.ready().await {
        Err(error) => Some(error),
        Ok(service) => {
            let why = "it is ready although the service below failed";
            assert_eq!(readiness, Readiness::InCall, "{why}");
            service.call(make()).await.err()
        }
    };
    assert_eq!(error, Some(Failure(8)));
}

async fn waits_with_the_service_below<S>(mut service: S, probe: &Probe<Failure>, name: &str)
where
    S: Service<Request<OwnBody>, Error = Failure>,
{
    let place = probe.take_place();
    let mut waiting = task::spawn(service.ready());
    assert!(waiting.poll().is_pending(), "{name}: it is ready too early");
    drop(place);
    assert!(waiting.is_woken(), "{name}");
    assert_ready_ok!(waiting.poll(), "{}", name);
}

/// A clone waits for the place that the original has, and gets it afterwards.
async fn leaves_clones_alone<S>(mut service: S, probe: &Probe<Failure>, name: &str, make: Make<'_>)
where
    S: Service<Request<OwnBody>, Error = Failure> + Clone,
{
    service.ready().await.unwrap();
    let mut clone = service.clone();
    let mut waiting = task::spawn(clone.ready());
    assert!(
        waiting.poll().is_pending(),
        "{name}: the original has the place"
    );
    drop(service.call(make()).await.unwrap());
    drop(service);
    assert!(waiting.is_woken(), "{name}");
    let clone = assert_ready_ok!(waiting.poll(), "{}", name);
    assert!(clone.call(make()).await.is_ok());
    assert_eq!(probe.calls(), 2, "{name}");
}

async fn waits_in_its_future<S>(mut service: S, probe: &Probe<Failure>, name: &str, make: Make<'_>)
where
    S: Service<Request<OwnBody>, Error = Failure>,
{
    let place = probe.take_place();
    let mut call = task::spawn(service.ready().await.unwrap().call(make()));
    assert!(call.poll().is_pending(), "{name}: it is over too early");
    assert_eq!(probe.calls(), 0, "{name}");
    drop(place);
    assert!(call.is_woken(), "{name}");
    assert_ready_ok!(call.poll(), "{}", name);
}

async fn refuses_by_itself<S, B>(
    mut service: S,
    probe: &Probe<Failure>,
    (name, status): (&str, u16),
    make: Make<'_>,
    next: Make<'_>,
) where
    S: Service<Request<OwnBody>, Response = Response<B>, Error = Failure>,
{
    let response = service.ready().await.unwrap().call(make()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), probe.calls()),
        (status, 0),
        "{name}"
    );
    drop(response);
    // The readiness that was not used is that of the next request.
    let response = service.ready().await.unwrap().call(next()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), probe.calls()),
        (200, 1),
        "{name}: the next"
    );
    drop((response, service));
    assert_eq!(probe.free(), 1, "{name}: a place is still taken");
}
