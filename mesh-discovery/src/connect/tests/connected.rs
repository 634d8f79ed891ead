//! Services that are ready while there is a connection.

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::Constant;
use tower_test::mock::Spawn;

use super::mesh::{Connected, get};
use super::*;

const LIMITED: &str = r#"{"tcp": {"maxConnections": 1}}"#;

#[tokio::test(start_paused = true)]
async fn it_connects_by_itself_and_is_woken_when_there_is_a_connection() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mesh = Mesh::new("{}", protocol);
        mesh.faults(Fault::Slow(millis(3000)), 1);
        let mut service = Spawn::new(mesh.connected());
        assert_pending!(poll_ready(&mut service), "{protocol:?}");
        sleep(millis(2990)).await;
        assert!(!service.is_woken(), "{protocol:?}");
        sleep(millis(20)).await;
        assert!(service.is_woken(), "{protocol:?}");
        assert_ready_ok!(poll_ready(&mut service), "{protocol:?}");
        assert_eq!(text(service.call(get()).await.unwrap()).await, "hello");
        assert_eq!(mesh.connections(), 1, "{protocol:?}");
        assert_eq!(mesh.target.breakers.used(Resource::PendingRequests), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_reached_is_never_ready_and_tried_less_and_less_often() {
    let mesh = Mesh::new("{}", Protocol::Http);
    mesh.faults(Fault::Refuse, 100);
    let mut service = mesh.connected();
    assert!(timeout(millis(5000), service.ready()).await.is_err());
    // At once, at once again, and after 25, 50, 100 ms and so on up to a second each.
    assert_eq!(100 - mesh.faults_left(), 2 + 6 + 3);
    assert_eq!(mesh.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_soon_after_the_endpoint_can_be_reached_again() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mesh = Mesh::new("{}", protocol);
        mesh.faults(Fault::Refuse, 9);
        let mut service = Spawn::new(mesh.connected());
        let start = tokio::time::Instant::now();
        while poll_ready(&mut service).is_pending() {
            assert!(start.elapsed() < millis(4000), "{protocol:?}");
            sleep(millis(1)).await;
        }
        assert_eq!(mesh.faults_left(), 0, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_before_the_next_attempt_wakes_when_it_is_over() {
    let mesh = Mesh::new("{}", Protocol::Http);
    mesh.faults(Fault::Refuse, 2);
    for _ in 0..2 {
        assert_eq!(mesh.send().await.status(), 503);
    }
    let mut service = Spawn::new(mesh.connected());
    assert_pending!(poll_ready(&mut service));
    sleep(millis(24)).await;
    assert!(!service.is_woken());
    sleep(millis(2)).await;
    assert!(service.is_woken());
    assert_pending!(poll_ready(&mut service), "it is connected to only now");
    sleep(millis(1)).await;
    assert!(service.is_woken());
    assert_ready_ok!(poll_ready(&mut service));
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ready_while_its_only_connection_has_a_request() {
    let streams = r#"{"tcp": {"maxConnections": 1}, "http": {"maxConcurrentStreams": 1}}"#;
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mesh = Mesh::new(streams, protocol);
        let mut service = Spawn::new(mesh.connected());
        let mut clone = service.clone();
        service.get_mut().ready().await.unwrap();
        assert_ready_ok!(poll_ready(&mut clone));
        let response = service.call(get());
        assert_pending!(poll_ready(&mut clone), "{protocol:?}: who calls has it");
        assert_pending!(poll_ready(&mut service), "{protocol:?}");
        assert_eq!(text(response.await.unwrap()).await, "hello");
        sleep(millis(1)).await;
        for service in [&mut service, &mut clone] {
            assert!(service.is_woken(), "{protocol:?}");
            assert_ready_ok!(poll_ready(service), "{protocol:?}");
        }
        assert_eq!(mesh.connections(), 1, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_keeps_no_connection_and_no_turn_from_others() {
    let mesh = Mesh::new(LIMITED, Protocol::Http);
    let mut ready = Spawn::new(mesh.connected());
    ready.get_mut().ready().await.unwrap();
    let first = mesh.send().await;
    assert_pending!(poll_ready(&mut ready));
    let mut second = tokio_test::task::spawn(mesh.send());
    assert_pending!(second.poll());

    assert_eq!(text(first).await, "hello");
    sleep(millis(1)).await;
    assert!(ready.is_woken() && second.is_woken());
    assert_ready_ok!(poll_ready(&mut ready), "until somebody takes it");
    assert_eq!(text(second.await).await, "hello");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_outlives_who_waits_for_it_and_the_pool_gets_the_connection() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mesh = Mesh::new("{}", protocol);
        mesh.faults(Fault::Slow(millis(3000)), 1);
        let mut service = Spawn::new(mesh.connected());
        assert_pending!(poll_ready(&mut service));
        drop(service);
        sleep(millis(3001)).await;
        assert_eq!(mesh.get().await, "hello");
        assert_eq!(mesh.connections(), 1, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_is_replaced() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mesh = Mesh::new("{}", protocol);
        let mut service = Spawn::new(mesh.connected());
        service.get_mut().ready().await.unwrap();
        mesh.server.lock().unwrap().close();
        sleep(millis(1)).await;
        assert_pending!(poll_ready(&mut service), "{protocol:?}");
        service.get_mut().ready().await.unwrap();
        assert_eq!(mesh.connections(), 2, "{protocol:?}");
        assert_eq!(mesh.open(), 1, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_balancer_of_tower_sends_to_endpoints_that_can_be_reached() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let meshes = [Mesh::new("{}", protocol), Mesh::new("{}", protocol)];
        let services = meshes.each_ref().map(|mesh| mesh.connected());
        let services = services.map(|service| Constant::new(service, 0));
        let mut balance = Balance::<_, Request<Full<Bytes>>>::new(ServiceList::new(services));
        let [mut dead, mut live] = meshes.each_ref();
        for _ in 0..3 {
            dead.die();
            live.recover();
            sleep(millis(2000)).await;
            let before = dead.served();
            for _ in 0..10 {
                let balance = balance.ready().await.unwrap();
                let response = balance.call(get()).await.unwrap();
                assert_eq!(text(response).await, "hello", "{protocol:?}");
            }
            assert_eq!(dead.served(), before, "{protocol:?}");
            std::mem::swap(&mut dead, &mut live);
        }
    }
}

fn poll_ready(
    service: &mut Spawn<Connected>,
) -> std::task::Poll<Result<(), std::convert::Infallible>> {
    service.poll_ready::<Request<Full<Bytes>>>()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Mesh<Endpoint> {
    /// Cannot be reached any more.
    fn die(&self) {
        self.faults(Fault::Refuse, 1000);
        self.server.lock().unwrap().close();
    }
}
