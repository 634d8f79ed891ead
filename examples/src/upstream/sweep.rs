//! Drop pooled connections that are closed, or unused for too long.
//!
//! Idle connections have no task that would notice. A sweep counts itself on each of them, so that
//! neither taking a connection out nor putting it back has to read a clock.

use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::error::BoxError;
use super::pool::Shared;

const INTERVAL: Duration = Duration::from_secs(1);

/// Sweeps the pool until it is empty, unless that happens already.
pub(super) fn start<B>(pool: &Rc<Shared<B>>)
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    if !pool.sweeping.replace(true) {
        tokio::task::spawn_local(run(Rc::downgrade(pool)));
    }
}

async fn run<B>(pool: Weak<Shared<B>>)
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(pool) = pool.upgrade() else { return };
        if !once(&pool) {
            pool.sweeping.set(false);
            return;
        }
    }
}

/// Sweeps the pool, as is done once in each interval; false if nothing is left in it.
pub(super) fn once<B>(pool: &Shared<B>) -> bool
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut hosts = pool.hosts.borrow_mut();
    // A host that is referred to elsewhere is about to be used, or a connection to it is being made.
    hosts.retain(|host| host.sweep(INTERVAL) || Rc::strong_count(host) > 1);
    !hosts.is_empty()
}
